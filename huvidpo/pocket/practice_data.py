"""Practice clips as arrays on disk: frames for the image models, rendered once by all cores. Knows no model.

Seeds below TRAINING_SEEDS train, apart from those of held-out combinations; the ones from there on are kept for tests
and reports, and from 2,000,000 on for the judge: no generator ever sees them.
"""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from itertools import islice
from pathlib import Path
from random import Random

import numpy as np

from huvidpo.atomic import replacing
from huvidpo.pocket.practice_clips import (
    VARIANTS,
    caption,
    combination,
    held_out_combinations,
    render_frame,
    sample_scene,
)

TRAINING_SEEDS = 1_000_000
FIRST_FRAME_SHARE = 0.85  # of the practice frames; the rest come from later in their clips


def practice_frame(seed: int) -> np.ndarray:
    """One frame of the scene of `seed`, uint8 (128 128 3): its first in FIRST_FRAME_SHARE of all cases."""
    rng = Random(f"frame {seed}")
    frame = 0 if rng.random() < FIRST_FRAME_SHARE else rng.randrange(1, 16)
    return render_frame(sample_scene(seed), frame)


def practice_caption(seed: int, variant: int) -> str:
    """One of the wordings for the scene of `seed`."""
    return caption(sample_scene(seed), variant % VARIANTS)


@lru_cache(maxsize=4)
def training_seeds(count: int) -> list[int]:
    """The first `count` seeds whose combination of action, colour, place and style is not held out of training."""
    allowed = (s for s in range(TRAINING_SEEDS) if combination(sample_scene(s)) not in held_out_combinations())
    return list(islice(allowed, count))


def named_by(seeds: Sequence[int]) -> str:
    """What a file of practice clips is called by: its first seed, how many there are, and a digest of all of them."""
    return f"{seeds[0]}-{len(seeds)}-{hashlib.sha256(repr([*seeds]).encode()).hexdigest()[:8]}"


def reserve_room(path: Path) -> None:
    """Lets the disk set aside what a file will take: a memory map that finds no room later ends the program."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def practice_frames(folder: Path, seeds: Sequence[int]) -> np.ndarray:
    """The practice frames of `seeds` as a read-only memory map, uint8 (n 128 128 3); rendered if not in `folder` yet.

    ValueError when the disk has no room for them.
    """
    path, shape = folder / f"frames-{named_by(seeds)}.npy", (len(seeds), 128, 128, 3)
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial, ProcessPoolExecutor(os.cpu_count()) as pool:
            frames = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape)
            reserve_room(partial)
            for i, frame in enumerate(pool.map(practice_frame, seeds, chunksize=64)):
                frames[i] = frame
            frames.flush()
    return np.load(path, mmap_mode="r")
