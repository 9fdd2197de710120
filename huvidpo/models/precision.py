"""Where bfloat16 pays: one question about the hardware, and the context that follows from it."""

import torch
from torch import nn


def has_bfloat16(device: str) -> bool:
    """Whether matrix work in bfloat16 is fast there: GPUs, and CPUs with instructions for it."""
    if device == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def mixed_precision(device: str, wanted: bool = True) -> torch.autocast:
    """bfloat16 for matrix work and single precision for the rest, where it is wanted and pays."""
    return torch.autocast(device, torch.bfloat16, enabled=wanted and has_bfloat16(device))


def check_can_learn(network: nn.Module) -> None:
    """ValueError for weights in half precision where bfloat16 is emulated: attention would take all of the memory."""
    weight = next(network.parameters())
    if weight.dtype != torch.float32 and weight.device.type == "cuda" and not has_bfloat16("cuda"):
        raise ValueError(
            f"{torch.cuda.get_device_name()} makes clips with this backbone and cannot learn with it, since it has no "
            "bfloat16: use an RTX 30 or newer, or the backbone pocket."
        )
