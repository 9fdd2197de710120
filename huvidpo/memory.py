"""How much of a backbone lies on the GPU at a time: which mode fits, and the moves it takes. Knows pipelines only."""

import gc
import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from huvidpo.checks import check_choice

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

# From the fastest to the smallest; the words go behind "so that".
MODES = {
    "all": "everything stays on the GPU",
    "turns": "the first-frame and the video model take turns on the GPU",
    "offload": "of the first-frame model, only the network at work is on the GPU",
    "sequential": "of the first-frame model, only the layer at work is on the GPU, which is slow",
}
GIGABYTE = 1e9
# What the driver and the libraries say when memory is out, beside torch's own error.
FULL_GPU = r"CUDA (driver )?error: out of memory|CUBLAS_STATUS_(ALLOC_FAILED|NOT_INITIALIZED)|CUDNN_STATUS_\w*ALLOC\w*"
CLOSE_OTHERS = "Close other programs that use it, or choose the backbone pocket, which needs far less."
# No mode helps while the weights are loaded: each of them begins with the video model there.
NO_ROOM_TO_LOAD = f"The GPU has no room for the model. {CLOSE_OTHERS}"


def on_zero_gpu() -> bool:
    """Whether this is a Space on ZeroGPU, which lends a card for one call at a time."""
    return bool(os.environ.get("SPACES_ZERO_GPU"))


def unusable_gpu() -> str:
    """One sentence where there is an NVIDIA driver and torch cannot use its GPU; "" where all is as it should be."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    driver = Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi")
    if torch.cuda.is_available() or hidden or not driver:
        return ""
    built = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
    return (
        f"The GPU of this machine is not used: torch {torch.__version__} was built {built}, which its driver does not "
        "serve. Update the driver, or install a torch that fits it (docs/deploy.md)."
    )


def fastest_that_fits(free: float, needs: Mapping[str, float]) -> str:
    """The first mode that needs no more than `free` gigabytes; the smallest one where none does.

    `needs` are gigabytes by mode, from the fastest mode to the smallest.
    """
    return next((mode for mode, needed in needs.items() if needed <= free), list(needs)[-1])


def lower_mode(mode: str, needs: Mapping[str, float]) -> str | None:
    """The mode that needs less than `mode`; None after the smallest one."""
    modes = list(needs)
    return modes[modes.index(mode) + 1] if mode != modes[-1] else None


def modes_for(device: str, needs: Mapping[str, float]) -> dict[str, float]:
    """Those of the modes that a device has: a CPU and ZeroGPU, which moves weights by itself, have the first only."""
    several = device.startswith("cuda") and not on_zero_gpu()
    return dict(needs) if several else {"all": 0.0}


def chosen_mode(wanted: str | None, device: str, needs: Mapping[str, float]) -> str:
    """The wanted mode, else HUVIDPO_MEMORY, else the fastest that fits into what is free.

    ValueError for a mode that is not there; but the variable may name one that there is elsewhere: it is meant for
    another backbone or device.
    """
    modes, preferred = modes_for(device, needs), os.environ.get("HUVIDPO_MEMORY")
    if not wanted and (preferred in modes or preferred not in MODES):
        wanted = preferred
    if wanted:
        check_choice("memory mode", wanted, modes)
        return wanted
    return fastest_that_fits(free_gigabytes(), modes) if len(modes) > 1 else next(iter(modes))


def changeable_modes(mode: str, modes: Iterable[str]) -> list[str]:
    """Those of the modes that a visitor may choose: on a Space, which is shared, only the one that is on."""
    return [mode] if os.environ.get("SPACE_ID") else list(modes)


def fixed_mode(mode: str, modes: Collection[str]) -> str:
    """The mode in words, where there are several and no visitor may choose; else ""."""
    return MODES[mode] if len(modes) > 1 and len(changeable_modes(mode, modes)) == 1 else ""


def free_gigabytes() -> float:
    """What this process can still have on its GPU: what is free there, and what torch holds without using it."""
    held = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    return (torch.cuda.mem_get_info()[0] + held) / GIGABYTE


def gigabytes_there(networks: Iterable[nn.Module]) -> float:
    """What the weights of networks take of a GPU, each of them once."""
    weights = {id(weight): weight for network in networks for weight in network.parameters()}
    return sum(weight.nbytes for weight in weights.values() if weight.device.type not in ("cpu", "meta")) / GIGABYTE


def settle(pipeline: "DiffusionPipeline", mode: str, device: str) -> None:
    """Readies a first-frame pipeline for a mode: on the CPU, and in the two smallest modes with diffusers' hooks."""
    pipeline.remove_all_hooks()
    pipeline.vae.enable_slicing()
    pipeline.vae.disable_tiling()
    pipeline.to("cpu", silence_dtype_warnings=True)
    # Without a number diffusers takes the first GPU, whichever this process was given.
    place = torch.device(device, torch.cuda.current_device()) if device == "cuda" else torch.device(device)
    if mode == "offload":
        pipeline.enable_model_cpu_offload(device=place)
    elif mode == "sequential":
        half = pipeline.unet.config.sample_size * pipeline.vae_scale_factor // 2  # of what the UNet is made for
        pipeline.vae.tile_sample_min_size = half
        pipeline.vae.tile_latent_min_size = half // 2 ** (len(pipeline.vae.config.block_out_channels) - 1)
        pipeline.vae.enable_tiling()
        pipeline.enable_sequential_cpu_offload(device=place)


def hooked(pipeline: "DiffusionPipeline") -> bool:
    """Whether diffusers brings the pipeline's networks to the GPU by itself."""
    return any(hasattr(network, "_hf_hook") for network in pipeline.components.values())


def bring(pipeline: "DiffusionPipeline", device: str) -> None:
    """Puts a pipeline's networks on the device, unless hooks do that.

    Hooks are made anew: networks that it shares with another pipeline have those of the one that came last, which
    would leave this one's UNet on the GPU while a picture is decoded.
    """
    if hooked(pipeline):
        pipeline.maybe_free_model_hooks()
    else:
        pipeline.to(device)


def send_away(pipeline: "DiffusionPipeline") -> None:
    """Takes a pipeline's networks off the GPU, also those that a run which broke off left there."""
    if hooked(pipeline):
        pipeline.maybe_free_model_hooks()
    else:
        pipeline.to("cpu", silence_dtype_warnings=True)


@contextmanager
def full_gpu_says(sentence: str) -> Iterator[None]:
    """Turns a GPU's lack of memory into a ValueError with these words."""
    try:
        yield
    except RuntimeError as error:  # the driver's and cuBLAS's are no torch.OutOfMemoryError
        if not isinstance(error, torch.OutOfMemoryError) and not re.search(FULL_GPU, str(error)):
            raise
        raise ValueError(sentence) from error


@contextmanager
def explained(mode: str, needs: Mapping[str, float], sentence: str = "") -> Iterator[None]:
    """Turns a GPU's lack of memory into a ValueError: the sentence, else one that names the mode to choose instead."""
    lower = lower_mode(mode, needs)
    way_out = "Try again, or tell this Space's owner." if os.environ.get("SPACE_ID") else CLOSE_OTHERS
    if lower:
        how = f"on the page under Advanced settings, on the command line with --memory {lower}"
        if os.environ.get("SPACE_ID"):  # where visitors cannot choose
            how = f"this Space's owner can, by its variable HUVIDPO_MEMORY={lower}"
        way_out = f"Choose the memory mode {lower!r} ({MODES[lower]}): {how}."
    try:
        with full_gpu_says(sentence or f"The GPU ran out of memory in the memory mode {mode!r}. {way_out}"):
            yield
    finally:
        if mode != "all" and torch.cuda.is_available():
            gc.collect()
            torch.cuda.empty_cache()
