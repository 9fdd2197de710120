"""Which half precision pays where: one question about the hardware, and the context that follows from it."""

import torch
from torch import nn


def has_bfloat16(device: str) -> bool:
    """Whether matrix work in bfloat16 is fast there: GPUs, and CPUs with instructions for it."""
    if device == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def mixed_precision(device: str, wanted: bool = True, half: torch.dtype = torch.bfloat16) -> torch.autocast:
    """Half precision for matrix work and single for the rest, where it is wanted; bfloat16 only where it pays."""
    return torch.autocast(device, half, enabled=wanted and (half == torch.float16 or has_bfloat16(device)))


def check_can_learn_motion(network: nn.Module) -> None:
    """ValueError for weights in half precision where bfloat16 is emulated: attention would take all of the memory.

    Preferences are learned in float16 there (training/preference_step.py).
    """
    weight = next(network.parameters())
    if weight.dtype != torch.float32 and weight.device.type == "cuda" and not has_bfloat16("cuda"):
        raise ValueError(
            f"{torch.cuda.get_device_name()} makes clips with this backbone and cannot learn motion with it, since it "
            "has no bfloat16: use an RTX 30 or newer, or the backbone pocket."
        )
