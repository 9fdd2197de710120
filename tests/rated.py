"""Clips that cost nothing, and ratings of pairs of them: what learning and its page are tried on."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from huvidpo.preferences.records import Rating, TakeRecord, new_id, new_pair
from huvidpo.preferences.store import RatingStore
from huvidpo.video import write_mp4


@cache
def moving_square(brightness: int, step: int) -> bytes:
    """16 frames of 32x32, encoded once: a square that moves by `step` pixels a frame over a ground of `brightness`."""
    frames = np.full((16, 32, 32, 3), brightness, np.uint8)
    for i, frame in enumerate(frames):
        frame[12:20, step * i % 24 : step * i % 24 + 8] = 255 - brightness
    with TemporaryDirectory() as folder:
        return write_mp4(frames, Path(folder) / "clip.mp4", 8).read_bytes()


def write_clip(path: Path, brightness: int, step: int = 2) -> Path:
    """The clip of a moving square at `path`."""
    path.write_bytes(moving_square(brightness, step))
    return path


def rated_pairs(store: RatingStore, folder: Path, count: int, origin: str = "queue") -> list[Rating]:
    """Pairs whose brighter clip was chosen, half of them as a, half as b."""
    ratings = []
    for i in range(count):
        levels = {"a": 20 + 10 * i + 100 * (i % 2), "b": 20 + 10 * i + 100 * (1 - i % 2)}
        files = [write_clip(folder / f"{i}-{side}.mp4", level, 2) for side, level in levels.items()]
        takes = [TakeRecord(hashlib.sha256(file.read_bytes()).hexdigest(), backbone="pocket") for file in files]
        pair = replace(new_pair(*takes, f"horse {i}", "horse", origin, "shared-noise"), split="train")
        store.add_pair(pair, files)
        ratings.append(Rating(new_id(), pair, "a" if i % 2 else "b", "a", "c" * 16))
        store.append(ratings[-1])
    return ratings


def vote(
    store: RatingStore, winner: str, loser: str, count: int, raters: Sequence[str] = ("d" * 16,), **more: str
) -> None:
    """Blind votes on `measure` pairs of two adapters, all for one of them, by raters in turn."""
    for i in range(count):
        takes = []
        for revision in (winner, loser):
            file = write_clip(store.folder / f"{i}-{revision}.mp4", 3 * i + 60 * (revision == winner))
            takes.append(TakeRecord(store.keep_file(file), adapter_revision=revision, motion=1.0, backbone="pocket"))
        pair = replace(new_pair(*takes, f"vote {i}", "horse", "live", "shared-noise"), split="measure")
        store.add_pair(pair)
        store.append(Rating(new_id(), pair, "a", "b", raters[i % len(raters)], **more))
