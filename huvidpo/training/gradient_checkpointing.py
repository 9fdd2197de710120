"""Gradient checkpointing: as many blocks recompute their activations as the GPU's memory asks for, and no more.

Every block that does costs a second forward pass of its own; the first and last ones hold the most, since their
activations are the largest. Knows a video UNet and how much memory is free.
"""

from huvidpo.memory import free_gigabytes
from huvidpo.models.video_unet import VideoUNet

# Gigabytes of activations a clip of 16 frames and 64x40 latents in Stable Diffusion 1.4's UNet, where none, one, two
# or all levels recompute theirs (benchmarks/memory.py, stage 2 with a pair at once, half of it).
PER_CLIP = (16.7, 9.8, 5.7, 3.4)
MARGIN, LIBRARIES = 1.15, 1.0  # for fragmentation; gigabytes of work space


def recompute_as_needed(unet: VideoUNet, clips: int, frames: int, rows: int, columns: int, beside: float) -> None:
    """Turns gradient checkpointing on where clips (c f h w) go through the UNet at once; nothing on a CPU.

    `beside` are gigabytes of gradients, optimizer, averages and copies of weights that will be there too.
    """
    if unet.device.type == "cuda":
        size = frames * rows * columns / (16 * 40 * 64) * unet.config.block_out_channels[0] / 320
        unet.enable_gradient_checkpointing(levels_needed(free_gigabytes() - beside, clips * size))


def levels_needed(free: float, clips: float) -> int | None:
    """How many levels recompute so that clips, in units of PER_CLIP, fit into free gigabytes; None is all of them."""
    for levels, each in enumerate(PER_CLIP[:-1]):
        if clips * each * MARGIN + LIBRARIES <= free:
            return levels
    return None
