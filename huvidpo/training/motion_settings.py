"""How motion is trained, and what a run of it was begun with. Knows no network, so that it is read at once."""

import json
from dataclasses import dataclass
from pathlib import Path

from huvidpo.checks import check_ranges
from huvidpo.presets import Backbone
from huvidpo.requests import MAX_SEED

BEGUN_WITH = "begun_with.json"  # in a run's folder
FREE_TO_CHANGE = ("steps", "minutes", "clips_folder")  # when a run goes on
# Field -> lowest and highest value.
RANGES = {
    "steps": (1, 100_000),
    "minutes": (1e-3, 1e5),
    "learning_rate": (1e-9, 1.0),
    "clips_per_step": (1, 1024),
    "seed": (0, MAX_SEED),
}


@dataclass(frozen=True)
class MotionSettings:
    """How motion is trained.

    Steps, learning rate and clips of a step are HuViDPO's for SD 1.4 (LAMP has 30,000 steps); that captions are left
    out at times and weights averaged is this project's.
    """

    steps: int = 25_000
    learning_rate: float = 3e-5
    clips_per_step: int = 1  # over all processes
    num_frames: int = 16
    mirror: bool = True  # show half of the clips mirrored
    inverted_latents: bool = False  # noise clips with their DDIM inversion instead of random noise (the paper's text)
    caption_dropout: float = 0.1  # share of empty captions, which keeps classifier-free guidance alive
    average_decay: float = 0.99
    optimizer: str = "adamw"  # or "muon", which trained the shipped motion
    seed: int = 33
    minutes: float | None = None  # end after this much training, the learning rate decayed


@dataclass(frozen=True)
class Origin:
    """The network that a run begins with. One that goes on has its own: its checkpoint holds what came of that."""

    start: str = "none"  # the adapter's name
    start_revision: str = ""
    attention: str = ""  # one of ATTENTION_VARIANTS
    backbone_revision: str = ""
    clips_folder: str = ""  # read again where a run that goes on names none; of no card


def usual_settings(preset: Backbone) -> MotionSettings:
    """How a category's motion is trained on a backbone when nothing else is said."""
    return MotionSettings(
        steps=preset.motion_steps, learning_rate=preset.motion_learning_rate, optimizer=preset.motion_optimizer
    )


def check_settings(settings: MotionSettings) -> None:
    """ValueError, with one sentence, for the first setting that is out of range."""
    check_ranges(settings, RANGES)


def begun_with(work: Path) -> dict[str, object]:
    """What `begin` wrote down: settings and origin by name, what the clips hash to; empty where there is no run."""
    path = work / BEGUN_WITH
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
