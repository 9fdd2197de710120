"""What tells the two takes of a pair apart, as requests for them. Makes nothing, and needs no torch."""

import dataclasses
import random

from huvidpo.checks import check_choice
from huvidpo.preferences.records import PAIRINGS
from huvidpo.presets import Backbone
from huvidpo.requests import MAX_SEED, ClipRequest

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
