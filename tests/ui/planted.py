"""Pairs of short drawn clips for the tab Rate: half a second each, so that a test can watch them to the end."""

import hashlib
from pathlib import Path

import numpy as np

from huvidpo.preferences.records import Pair, TakeRecord, new_pair
from huvidpo.preferences.store import RatingStore
from huvidpo.video import write_mp4

FRAMES, FPS, SIZE = 4, 8, 64
SETTINGS = {"huvidpo": "test", "category": "horse", "backbone": "pocket", "steps": 1}


def drawn_clip(seed: int, frames: int = FRAMES) -> np.ndarray:
    """A bright square that crosses a coloured ground, uint8 (f h w 3)."""
    generator = np.random.default_rng(seed)
    clip = np.empty((frames, SIZE, SIZE, 3), np.uint8)
    clip[:] = generator.integers(20, 120, 3)
    row, colour = generator.integers(4, SIZE - 20), generator.integers(140, 256, 3)
    for i in range(frames):
        left = round(i * (SIZE - 16) / max(1, frames - 1))
        clip[i, row : row + 16, left : left + 16] = colour
    return clip


def plant_pair(store: RatingStore, folder: Path, number: int, prompt: str = "", frames: int = FRAMES) -> Pair:
    """Adds the pair of that number; its two takes differ in seed and adapter."""
    folder.mkdir(parents=True, exist_ok=True)
    takes, files = [], []
    for side, adapter in enumerate(("gallop", "none")):
        seed = 2 * number + side
        settings = SETTINGS | {"prompt": prompt or f"a horse, number {number}", "seed": seed, "adapter": adapter}
        file = write_mp4(drawn_clip(seed, frames), folder / f"{number}-{side}.mp4", FPS, settings)
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        takes.append(TakeRecord.from_settings(settings, sha256, frames, SIZE, SIZE, FPS))
        files.append(file)
    pair = new_pair(*takes, settings["prompt"], "horse", "queue", "independent")
    return store.add_pair(pair, files)


def plant_pairs(home: Path, folder: Path, count: int) -> list[Pair]:
    """Adds pairs 0 .. count - 1 to the store of a home."""
    store = RatingStore(home)
    pairs = [plant_pair(store, folder, number) for number in range(count)]
    store.close()
    return pairs
