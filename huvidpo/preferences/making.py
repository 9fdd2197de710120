"""Two takes of one prompt and one first frame: what to ask for, and keeping what came. Knows `takes` and the store."""

import dataclasses
import random
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from huvidpo.checks import check_choice
from huvidpo.images import write_png
from huvidpo.preferences.clips import record_of
from huvidpo.preferences.records import PAIRINGS, Pair, TakeRecord, new_pair
from huvidpo.preferences.store import RatingStore
from huvidpo.presets import Backbone
from huvidpo.requests import MAX_SEED, ClipRequest
from huvidpo.takes import Clip, save_clip

ALIGNED_STRENGTH = 0.75  # share of the steps that aligned takes run anew: the source's motion stays, details differ


def default_pairing(request: ClipRequest, against: str | None = None) -> str:
    """What is made where nobody chooses: the same noise for two adapters, takes that differ much for one.

    Takes of one adapter that differ in nothing but noise are so alike that votes on them say little (figures in
    docs/learning.md). A request with a guidance or a recipe of its own keeps it for both takes.
    """
    if against is not None:
        return "shared-noise"
    return "varied" if request.guidance is None and request.recipe == "default" else "independent"


def check_pairing(request: ClipRequest, pairing: str, against: str | None) -> None:
    """ValueError for a pairing that there is not, or that does not go with the request."""
    check_choice("pairing", pairing, PAIRINGS)
    if pairing == "varied" and (against is not None or request.guidance is not None):
        raise ValueError("Varied takes have one adapter and a guidance each: choose the pairing independent instead.")


def pair_requests(
    preset: Backbone, request: ClipRequest, pairing: str, source_sha256: str = "", against: str | None = None
) -> tuple[ClipRequest, ClipRequest]:
    """The requests of take a, which has the seed of `request`, and of take b; the same for the same request.

    `varied`: each has noise of its own, and one the lower, the other the higher of the backbone's `pair_guidances`;
    which one is chance. `independent`: noise of their own, one guidance. `shared-noise`: the noise that the frames
    of a clip share is common to both takes, the rest is each one's own. `aligned`: both start from the clip
    `source_sha256`. With `against`, another adapter for take b, both have the same noise: only the adapter differs.
    Raises ValueError as `check_pairing` does.
    """
    check_pairing(request, pairing, against)
    chance = random.Random(request.seed)
    other, shared = (chance.randint(0, MAX_SEED) for _ in range(2))
    a = request
    if pairing == "shared-noise":
        a = dataclasses.replace(request, shared_noise_seed=shared)
    elif pairing == "aligned":
        a = dataclasses.replace(request, source_sha256=source_sha256, source_strength=ALIGNED_STRENGTH)
    b = dataclasses.replace(a, seed=other) if against is None else dataclasses.replace(a, adapter=against)
    if pairing != "varied":
        return a, b
    low, high = preset.pair_guidances
    one, two = (low, high) if chance.random() < 0.5 else (high, low)
    return dataclasses.replace(a, guidance=one), dataclasses.replace(b, guidance=two)


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
