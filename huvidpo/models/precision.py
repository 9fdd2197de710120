"""Where bfloat16 pays: one question about the hardware, and the context that follows from it."""

import torch


def has_bfloat16(device: str) -> bool:
    """Whether matrix work in bfloat16 is fast there: GPUs, and CPUs with instructions for it."""
    if device == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return device == "cuda"  # also where it is emulated: weights in half precision need it


def mixed_precision(device: str, wanted: bool = True) -> torch.autocast:
    """bfloat16 for matrix work and single precision for the rest, where it is wanted and pays."""
    return torch.autocast(device, torch.bfloat16, enabled=wanted and has_bfloat16(device))
