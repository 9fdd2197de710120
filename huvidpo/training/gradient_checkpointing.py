"""Gradient checkpointing: as many blocks recompute their activations as the GPU's memory asks for, and no more.

Every block that does costs a second forward pass of its own; the first and last ones hold the most, since their
activations are the largest. Knows a video UNet and how much memory is free.
"""

import torch

from huvidpo.memory import GIGABYTE, free_gigabytes
from huvidpo.models.video_unet import VideoUNet

# Gigabytes of activations a clip of 16 frames and 64x40 latents in Stable Diffusion 1.4's UNet, where none, one, two
# or all levels recompute theirs (benchmarks/memory.py, stage 2 with a pair at once, half of it, without 2 for copies).
PER_CLIP = (16.7, 9.8, 5.7, 3.4)
MARGIN, LIBRARIES = 1.15, 1.0  # for fragmentation; gigabytes of work space


def recompute_as_needed(unet: VideoUNet, clips: int, frames: int, rows: int, columns: int, optimizer: float) -> None:
    """Turns gradient checkpointing on where clips (c f h w) go through the UNet at once; nothing on a CPU.

    `optimizer` are gigabytes of gradients, optimizer and averages that will be there too. Autocast keeps a copy of
    each frozen weight in half precision, unless all levels recompute.
    """
    if unet.device.type == "cuda":
        size = frames * rows * columns / (16 * 40 * 64) * unet.config.block_out_channels[0] / 320
        frozen = [weight for weight in unet.parameters() if not weight.requires_grad and weight.dtype == torch.float16]
        copies = sum(weight.nbytes for weight in frozen) / GIGABYTE
        unet.enable_gradient_checkpointing(levels_needed(free_gigabytes() - optimizer - copies, clips * size))


def levels_needed(free: float, clips: float) -> int | None:
    """How many levels recompute so that clips, in units of PER_CLIP, fit into free gigabytes; None is all of them."""
    for levels, each in enumerate(PER_CLIP[:-1]):
        if clips * each * MARGIN + LIBRARIES <= free:
            return levels
    return None
