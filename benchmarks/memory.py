"""GPU memory of a step of either stage and of sampling, counted tensor by tensor: `python benchmarks/memory.py`.

The real code runs on the real architectures with tensors that have sizes and no numbers (torch's FakeTensorMode), and
every tensor's storage is followed from its birth to its end: nothing is estimated or downloaded, no GPU is needed.
Two things are as a GPU has them and not a CPU: attention is fused, and under autocast norms are in single precision.
What is not counted: the CUDA context and the libraries' work space, about 1 GB, and fragmentation.
`--check` counts a small network twice, without numbers and with them, which must agree. `--measure` runs what fits on
a GPU whose memory is capped at 24 GB, and prints torch's own peak and the time of a step beside the count. Steps of
training are counted without gradient checkpointing, with that of the outer one or two levels, and of all
(training/gradient_checkpointing.py).
"""

import argparse
import gc
import statistics
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from unittest import mock

import torch
import torch.nn.functional as F
from bounds import now
from jobs import COLUMNS, FRAMES, JOBS, LEVELS, ROWS, SD14, network_gigabytes
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.weak import WeakIdKeyDictionary

from huvidpo.models import attention
from huvidpo.presets import BACKBONES

CAP = 24e9
NARROW = {"block_out_channels": (32, 64), "layers_per_block": 1, "norm_num_groups": 8, "sample_size": 16}
NARROW |= {"down_block_types": ("CrossAttnDownBlock2D",) * 2, "up_block_types": ("CrossAttnUpBlock2D",) * 2}
NARROW |= {"cross_attention_dim": 768, "attention_head_dim": 4}


def fused_attention(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """As `scaled_dot_product` is on a GPU: no tensor is as large as the scores."""
    return F.scaled_dot_product_attention(query, key, value, scale=scale)


def single_precision(norm: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A norm as autocast runs it on a GPU: whatever comes in, it is computed and given back in single precision."""

    def run(x: Tensor, shape: object, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        if torch.is_autocast_enabled("cpu"):
            x, weight, bias = x.float(), weight.float(), bias.float()
        return norm(x, shape, weight, bias, eps)

    return run


class LiveBytes(TorchDispatchMode):
    """Bytes of all storages that operations made and that are still held, now and at the peak."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._known = WeakIdKeyDictionary()

    def __torch_dispatch__(self, operation, types, arguments=(), settings=None):
        if operation is torch.ops.aten._local_scalar_dense.default and isinstance(arguments[0], FakeTensor):
            return 1.0  # what a step reports; any number does
        result = operation(*arguments, **(settings or {}))
        tree_map_only(Tensor, self.follow, result)
        return result

    def follow(self, tensor: Tensor) -> None:
        """Counts a tensor's storage, once, until it is freed."""
        storage = tensor.untyped_storage()
        if storage not in self._known:
            self._known[storage] = True
            weakref.finalize(storage, self._forget, storage.nbytes())
            self.live += storage.nbytes()
            self.peak = max(self.peak, self.live)

    def _forget(self, size: int) -> None:
        self.live -= size


@contextmanager
def as_on_a_gpu() -> Iterator[None]:
    """Attention and norms."""
    with (
        mock.patch.object(attention, "scaled_dot_product", fused_attention),
        mock.patch.object(F, "group_norm", single_precision(F.group_norm)),
        mock.patch.object(F, "layer_norm", single_precision(F.layer_norm)),
    ):
        yield


def count(job: Callable, config: dict, rows: int, columns: int, levels: int | None, fake: bool = True) -> dict:
    """Gigabytes by kind: what lasts from step to step (weights, optimizer), what else a step adds at its peak."""
    numbers = FakeTensorMode(allow_non_fake_inputs=True) if fake else nullcontext()
    with as_on_a_gpu(), numbers, LiveBytes() as memory:
        step, lasting = job(config, rows, columns, "cpu", levels)
        weights = sum(p.nbytes for module in lasting if isinstance(module, nn.Module) for p in module.parameters())
        step()  # creates the optimizer's states
        gc.collect()
        kept = memory.peak = memory.live
        step()
        peak = memory.peak
    found = {"weights": weights, "optimizer": kept - weights, "gradients and activations": peak - kept, "peak": peak}
    return {kind: size / 1e9 for kind, size in found.items()}


def measure(job: Callable, levels: int | None) -> str:
    """torch's own peak on the GPU, under the cap, and the time of a step, the middle one of those after the second."""
    total = torch.cuda.get_device_properties("cuda").total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, CAP / total))
    torch.cuda.reset_peak_memory_stats()
    try:
        seconds = step_seconds(job, levels)
    except torch.OutOfMemoryError:  # the other rows still have something to say
        return "  measured: out of memory"
    finally:
        gc.collect()
        torch.cuda.empty_cache()
    return f"  measured {torch.cuda.max_memory_allocated() / 1e9:.2f}, {seconds:.3f} s a step"


def step_seconds(job: Callable, levels: int | None) -> float:
    """The median of five steps on the GPU; two before them create the optimizer's states and choose kernels."""
    step, _lasting = job(SD14, ROWS, COLUMNS, "cuda", levels)
    took = []
    for _ in range(7):
        start = now("cuda")
        step()
        took.append(now("cuda") - start)
    return statistics.median(took[2:])


def print_table(names: list[str], on_gpu: bool) -> None:
    print(f"512x320, {FRAMES} frames, one clip; gigabytes at the peak, torch {torch.__version__}")
    for name in names:
        for words, levels in LEVELS.items() if name.startswith("stage") else [("", 0)]:
            row = count(JOBS[name], SD14, ROWS, COLUMNS, levels)
            title = f"{name}, {words}" if words else name
            parts = "  ".join(f"{kind} {size:.2f}" for kind, size in row.items() if size >= 0.005)
            fits = row["peak"] < CAP / 1e9 - 1
            measured = measure(JOBS[name], levels) if on_gpu and fits else ""
            print(
                f"{title:45} {parts}  -> {'fits' if fits else 'does not fit'} into 24 with 1 for CUDA{measured}",
                flush=True,
            )


def mode_gigabytes() -> dict[str, tuple[float, float]]:
    """By memory mode of `sd14`: the most weights that are on the GPU at once, and the peak of what works there.

    Mode `all` once every first-frame model was used: SDXL with two UNets, and SD 1.5's.
    """
    each, own = network_gigabytes(), {}
    for name in ("a clip's step", "a first frame's step", "a first frame's decoding"):
        row = count(JOBS[name], SD14, ROWS, COLUMNS, 0)
        own[name] = row["peak"] - row["weights"]
    clip, drawing, decoding = own.values()
    shared = each["text"] + each["autoencoder"]
    video, beside = each["video UNet"] + shared, shared + each["SDXL's second text"]
    unet, small = each["SDXL's UNet"], each["UNet"] + shared
    everything = video + beside + 2 * unet + small
    return {
        "all": (everything, everything + max(clip, drawing, decoding)),
        "turns": (unet + beside, max(video + clip, unet + beside + max(drawing, decoding))),
        "offload": (unet, max(video + clip, unet + drawing, each["autoencoder"] + decoding)),
        "sequential": (video, video + clip),
    }


def print_modes() -> None:
    print("\nthe memory modes of sd14; gigabytes on the GPU, and what has to be free there")
    for mode, (weights, peak) in mode_gigabytes().items():
        free = BACKBONES["sd14"].gigabytes[mode]
        print(f"{mode:11} weights {weights:5.2f}  peak {peak:5.2f}  free {free:4.1f}", flush=True)


CHECKED = ("stage 1, motion", "stage 2, pair at once", "stage 2, members apart", "a clip's step")


def check(jobs: Sequence[str] = CHECKED) -> None:
    """The count without numbers against the one with them, on a network that a CPU can run; ends where they differ."""
    print("a narrow network, 16x16 latents: MB at the peak without numbers, with them")
    for name in jobs:
        for words, levels in (("", 0), ("one level recomputed", 1), ("all recomputed", None)):
            found = [count(JOBS[name], NARROW, 16, 16, levels, fake)["peak"] * 1e3 for fake in (True, False)]
            print(f"{name:24} {words:21} {found[0]:8.2f} {found[1]:8.2f}", flush=True)
            if abs(found[0] - found[1]) > 0.01 * found[1]:
                sys.exit("These differ by more than 1 %: the table cannot be believed.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", nargs="+", choices=list(JOBS), default=list(JOBS), metavar="JOB")
    parser.add_argument("--check", action="store_true", help="the small count with and without numbers, nothing else")
    parser.add_argument("--measure", action="store_true", help="run on the GPU as well, capped at 24 GB")
    arguments = parser.parse_args()
    if arguments.check:
        check()
    else:
        print_table(arguments.jobs, arguments.measure)
        if arguments.jobs == list(JOBS):
            print_modes()


if __name__ == "__main__":
    main()
