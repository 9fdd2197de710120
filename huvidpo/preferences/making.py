"""Two takes of one prompt and one first frame into the store, as a pair. What is asked for is in pairing.py."""

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from huvidpo.images import write_png
from huvidpo.preferences.clips import record_of
from huvidpo.preferences.records import Pair, TakeRecord, new_pair
from huvidpo.preferences.store import RatingStore
from huvidpo.takes import Clip, save_clip


def keep_pair(
    store: RatingStore,
    a: Clip,
    b: Clip,
    first_frame: Image.Image,
    prompt: str,
    category: str,
    origin: str,
    pairing: str,
    split: str = "",
) -> Pair:
    """Writes both clips and their first frame into the store, measures their motion, and adds the pair.

    Its split is drawn (see `records.new_pair`) unless the pair is made for one of them. Raises ValueError when they
    cannot be kept, or when both clips are the same to the last bit.
    """
    with tempfile.TemporaryDirectory(dir=store.folder) as folder:
        png = write_png(first_frame, Path(folder) / "first.png", {})
        takes = [keep_take(store, clip, Path(folder) / "clip.mp4") for clip in (a, b)]
        if takes[0].sha256 == takes[1].sha256:
            raise ValueError("Both takes are the same: choose another seed or another adapter for one of them.")
        pair = new_pair(*takes, prompt, category, origin, pairing, first_frame=store.keep_file(png))
        pair = dataclasses.replace(pair, split=split or pair.split)
        return store.add_pair(pair, difference=adapter_difference(a, b))


def adapter_difference(a: Clip, b: Clip) -> float:
    """How differently two adapters go on from one first frame and the same noise: mean over all pixels, in 0..255.

    -1 for clips that do not differ in the adapter, or not in it alone.
    """
    differ = {name for name in a.metadata.keys() | b.metadata.keys() if a.metadata.get(name) != b.metadata.get(name)}
    if "adapter" not in differ or differ - {"adapter", "adapter_revision"}:
        return -1.0
    return float(np.abs(a.frames.astype(np.int16) - b.frames).mean())


def keep_take(store: RatingStore, clip: Clip, path: Path) -> TakeRecord:
    """A clip's file into the store, by way of `path`."""
    return record_of(store, save_clip(clip, path), clip.frames, clip.fps, clip.metadata)
