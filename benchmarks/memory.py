"""GPU memory of a step of either stage and of sampling, counted tensor by tensor: `python benchmarks/memory.py`.

The real code runs on the real architectures with tensors that have sizes and no numbers (torch's FakeTensorMode), and
every tensor's storage is followed from its birth to its end: nothing is estimated or downloaded, no GPU is needed.
Attention is the fused one that a GPU has, not the one that is written out for CPUs.
What is not counted: the CUDA context and the libraries' work space, about 1 GB, and fragmentation.
`--check` counts a small network twice, without numbers and with them, which must agree. `--measure` runs the full size
on a GPU whose memory is capped at 24 GB, and prints torch's own peak beside the count.
"""

import argparse
import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from unittest import mock

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.weak import WeakIdKeyDictionary

from huvidpo.models import attention
from huvidpo.models.motion import motion_parameters
from huvidpo.models.video_unet import VideoUNet
from huvidpo.training import preference_step
from huvidpo.training.examples import Batch
from huvidpo.training.loop import apply_gradients
from huvidpo.training.motion import motion_loss
from huvidpo.training.preference_settings import PreferenceSettings
from huvidpo.training.reference import add_policy

FRAMES, ROWS, COLUMNS, TEXT = 16, 40, 64, (77, 768)  # 512x320 pixels are 64x40 latents
CAP = 24e9
Job = tuple[Callable[[], None], list[object]]  # a step, and what lives from step to step
# The settings of the published models (their config.json).
SD14 = {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8}
SDXL = {
    "sample_size": 128,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
}
SDXL |= {"addition_embed_type": "text_time", "addition_time_embed_dim": 256}
SDXL |= {"projection_class_embeddings_input_dim": 2816, "transformer_layers_per_block": (1, 2, 10)}
VAE = {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2}
VAE |= {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
NARROW = {"block_out_channels": (32, 64), "layers_per_block": 1, "norm_num_groups": 8, "sample_size": 16}
NARROW |= {"down_block_types": ("CrossAttnDownBlock2D",) * 2, "up_block_types": ("CrossAttnUpBlock2D",) * 2}
NARROW |= {"cross_attention_dim": 768, "attention_head_dim": 4}
SCHEDULER = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False)


def video_unet(config: dict, device: str) -> VideoUNet:
    """As `sd14` is loaded on a GPU: frozen, in half precision."""
    with half_precision(), torch.device(device):
        return VideoUNet(**config).requires_grad_(False)


@contextmanager
def half_precision() -> Iterator[None]:
    """New tensors are in half precision; tensors without numbers cannot be converted afterwards."""
    torch.set_default_dtype(torch.bfloat16)  # as large as float16, which CPUs lack in places
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def motion_in_single_precision(unet: VideoUNet) -> list[nn.Parameter]:
    """As `training.motion.prepare` has it; gives the parameters that are trained."""
    trained = []
    for name, parameter in motion_parameters(unet).items():
        owner, _, last = name.rpartition(".")
        new = nn.Parameter(parameter.detach().float())
        unet.get_submodule(owner)._parameters[last] = new
        trained.append(new)
    return trained


def batch(clips: int, rows: int, columns: int, device: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Latents, noise, timesteps and text of a step."""
    latents = torch.randn(clips, 4, FRAMES, rows, columns, device=device)
    words = torch.randn(clips, *TEXT, device=device)
    return latents, torch.randn_like(latents), torch.full((clips,), 500, device=device), words


def stage_1(config: dict, rows: int, columns: int, device: str, checkpointing: bool) -> Job:
    """A step of `train_motion`, AdamW's states and the running average included."""
    unet = video_unet(config, device).train()
    trained = motion_in_single_precision(unet)
    if checkpointing:
        unet.enable_gradient_checkpointing()
    average = [parameter.detach().clone() for parameter in trained]
    optimizer = torch.optim.AdamW(trained, lr=3e-5)

    def step() -> None:
        latents, noise, timesteps, words = batch(1, rows, columns, device)
        with torch.autocast(device, torch.bfloat16):
            loss = motion_loss(unet, SCHEDULER, latents, noise, timesteps, words)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        torch._foreach_lerp_(average, [parameter.detach() for parameter in trained], 0.01)

    return step, [unet, optimizer, *average]


def stage_2(config: dict, rows: int, columns: int, device: str, checkpointing: bool, members: str = "together") -> Job:
    """A step of `train_preference` on one pair of clips: reference, policy, gradient, AdamW."""
    with unset_fake_temporarily(), half_precision(), torch.device("meta"):
        unet = VideoUNet(**config)
        add_policy(unet, rank=16, alpha=16.0, dropout=0.0, seed=0)
    give_memory(unet, device)
    trained = [parameter for parameter in unet.parameters() if parameter.requires_grad]
    if checkpointing:
        unet.enable_gradient_checkpointing()
    optimizer = torch.optim.AdamW(trained)
    settings = PreferenceSettings("dpo", beta=500.0, learning_rate=1e-5, members=members)

    def step() -> None:
        latents, noise, timesteps, words = batch(2, rows, columns, device)
        labels = torch.ones(1, FRAMES - 1, device=device)
        pair = Batch(latents, noise, timesteps, words, labels, real=0, draws=((0, 0),))
        with mock.patch.object(preference_step, "mixed_precision", half_precision_work):
            preference_step.accumulate_gradients(unet, SCHEDULER, pair, settings, 1.0)
        apply_gradients(optimizer, 1e-5, 1.0, 0.0)

    return step, [unet, optimizer]


def give_memory(network: nn.Module, device: str) -> None:
    """Turns parameters that are shapes only into zeros. (peft cannot add its layers among tensors without numbers.)"""
    for module in network.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                zeros = torch.zeros(parameter.shape, dtype=parameter.dtype, device=device)
                module._parameters[name] = nn.Parameter(zeros, parameter.requires_grad)


def half_precision_work(device: str, wanted: bool = True) -> torch.autocast:
    """As `mixed_precision` is on a GPU, on whatever CPU this counts."""
    return torch.autocast(device, torch.bfloat16, enabled=wanted)


def fused_attention(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """As `scaled_dot_product` is on a GPU: no tensor is as large as the scores."""
    return F.scaled_dot_product_attention(query, key, value, scale=scale)


def clip_sampling(config: dict, rows: int, columns: int, device: str, checkpointing: bool) -> Job:
    """One denoising step of a clip with guidance."""
    unet = video_unet(config, device)

    def step() -> None:
        latents, _, _, words = batch(2, rows, columns, device)
        with torch.no_grad():
            unet(latents.bfloat16(), 500, words.bfloat16())

    return step, [unet]


def first_frame_sampling(config: dict, rows: int, columns: int, device: str, checkpointing: bool) -> Job:
    """One denoising step of SDXL at 1024x640 with guidance."""
    with half_precision(), torch.device(device):
        unet = UNet2DConditionModel(**SDXL).requires_grad_(False)

    def step() -> None:
        more = {"text_embeds": torch.randn(2, 1280, device=device).bfloat16()}
        more["time_ids"] = torch.randn(2, 6, device=device).bfloat16()
        latents, words = torch.randn(2, 4, 80, 128, device=device), torch.randn(2, 77, 2048, device=device)
        with torch.no_grad():
            unet(latents.bfloat16(), 500, words.bfloat16(), added_cond_kwargs=more)

    return step, [unet]


def first_frame_decoding(config: dict, rows: int, columns: int, device: str, checkpointing: bool) -> Job:
    """SDXL's autoencoder on 1024x640 pixels, the one that was tuned for half precision."""
    with half_precision(), torch.device(device):
        vae = AutoencoderKL(**VAE, sample_size=1024).requires_grad_(False)

    def step() -> None:
        with torch.no_grad():
            vae.decode(torch.randn(1, 4, 80, 128, device=device).bfloat16())

    return step, [vae]


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


JOBS = {
    "stage 1, motion": stage_1,
    "stage 2, pair at once": stage_2,
    "stage 2, members apart": partial(stage_2, members="apart"),
    "a clip's step": clip_sampling,
    "a first frame's step": first_frame_sampling,
    "a first frame's decoding": first_frame_decoding,
}


def count(job: Callable, config: dict, rows: int, columns: int, checkpointing: bool, fake: bool = True) -> dict:
    """Gigabytes by kind: what lasts from step to step (weights, optimizer), what else a step adds at its peak."""
    numbers = FakeTensorMode(allow_non_fake_inputs=True) if fake else nullcontext()
    with mock.patch.object(attention, "scaled_dot_product", fused_attention), numbers, LiveBytes() as memory:
        step, lasting = job(config, rows, columns, "cpu", checkpointing)
        weights = sum(p.nbytes for module in lasting if isinstance(module, nn.Module) for p in module.parameters())
        step()  # creates the optimizer's states
        gc.collect()
        kept = memory.peak = memory.live
        step()
        peak = memory.peak
    found = {"weights": weights, "optimizer": kept - weights, "gradients and activations": peak - kept, "peak": peak}
    return {kind: size / 1e9 for kind, size in found.items()}


def measure(job: Callable, checkpointing: bool) -> float:
    """torch's own peak of two steps on the GPU, in gigabytes, under the cap."""
    total = torch.cuda.get_device_properties("cuda").total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, CAP / total))
    step, lasting = job(SD14, ROWS, COLUMNS, "cuda", checkpointing)
    torch.cuda.reset_peak_memory_stats()
    step()
    step()
    peak = torch.cuda.max_memory_allocated() / 1e9
    del step, lasting
    torch.cuda.empty_cache()
    return peak


def print_table(names: list[str], on_gpu: bool) -> None:
    print(f"512x320, {FRAMES} frames, one clip; gigabytes at the peak, torch {torch.__version__}")
    for name in names:
        variants = (True, False) if name.startswith("stage") else (False,)
        for checkpointing in variants:
            row = count(JOBS[name], SD14, ROWS, COLUMNS, checkpointing)
            title = name + (", checkpointed" if checkpointing else "")
            parts = "  ".join(f"{kind} {size:.2f}" for kind, size in row.items() if size >= 0.005)
            fits = "fits" if row["peak"] < CAP / 1e9 - 1 else "does not fit"
            measured = f"  measured {measure(JOBS[name], checkpointing):.2f}" if on_gpu else ""
            print(f"{title:32} {parts}  -> {fits} into 24 with 1 for CUDA{measured}", flush=True)


def check() -> None:
    """The count without numbers against the count with them, on a network that a CPU can run."""
    print("a narrow network, 16x16 latents: MB at the peak without numbers, with them")
    for name in ("stage 1, motion", "stage 2, pair at once", "stage 2, members apart", "a clip's step"):
        for checkpointing in (True, False):
            found = [count(JOBS[name], NARROW, 16, 16, checkpointing, fake)["peak"] * 1e3 for fake in (True, False)]
            print(f"{name:24} checkpointed {checkpointing!s:6} {found[0]:8.2f} {found[1]:8.2f}", flush=True)


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


if __name__ == "__main__":
    main()
