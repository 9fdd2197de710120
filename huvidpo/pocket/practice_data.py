"""Practice clips as arrays on disk: frames for the image models, rendered once by all cores. Knows no model.

Seeds below TRAINING_SEEDS train; the ones from there on are kept for tests and reports and no training ever sees them.
"""

import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from random import Random

import numpy as np

from huvidpo.pocket.practice_clips import VARIANTS, caption, render_frame, sample_scene

TRAINING_SEEDS = 1_000_000
FIRST_FRAME_SHARE = 0.6  # of the practice frames; the rest come from later in their clips


def practice_frame(seed: int, size: int = 128) -> np.ndarray:
    """One frame of the scene of `seed`, uint8 (h w 3): its first in FIRST_FRAME_SHARE of all cases."""
    rng = Random(f"frame {seed}")
    frame = 0 if rng.random() < FIRST_FRAME_SHARE else rng.randrange(1, 16)
    return render_frame(sample_scene(seed), frame, size=size)


def practice_caption(seed: int, variant: int) -> str:
    """One of the wordings for the scene of `seed`."""
    return caption(sample_scene(seed), variant % VARIANTS)


def practice_frames(folder: Path, count: int, first_seed: int = 0) -> np.ndarray:
    """`count` practice frames as a read-only memory map, uint8 (n 128 128 3); rendered when the file is not there."""
    path = folder / f"frames-{first_seed}-{count}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        frames = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=(count, 128, 128, 3))
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            rendered = pool.map(practice_frame, range(first_seed, first_seed + count), chunksize=64)
            for i, frame in enumerate(rendered):
                frames[i] = frame
        frames.flush()
        os.replace(partial, path)
    return np.load(path, mmap_mode="r")
