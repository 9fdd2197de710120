"""How preferences are trained: one frozen record, its presets, its checks. Knows no network and no data."""

import math
from dataclasses import dataclass, replace

from huvidpo.checks import check_choice, check_ranges
from huvidpo.requests import MAX_SEED

# What a step may minimise; see the functions of training/losses.py.
OBJECTIVES = {
    "dpo": "pairs: Diffusion-DPO, HuViDPO's Equation 9",
    "dense": "pairs with a verdict on each segment: DenseDPO",
    "kto": "clips that are good or bad on their own: Diffusion-KTO",
    "ipo": "pairs and real clips: Iterative Preference Optimization",
    "hinge": "pairs: a margin is enough",
    "identity": "pairs: the identity preference optimization of Azar et al.",
}
MEMBERS = ("together", "apart")
MEMBERS_OF = {"ipo": 3}  # clips of an example that go through the network together; elsewhere 2, of kto two examples
MAX_STEPS = 100_000


@dataclass(frozen=True)
class PreferenceSettings:
    """All that decides what a run makes of its examples. Errors are means over pixels, see training/losses.py."""

    objective: str  # one of OBJECTIVES
    beta: float  # how strongly the policy is held to the reference; larger is stronger
    learning_rate: float
    steps: int | None = None  # optimizer steps; None is `epochs` times through all examples
    epochs: int = 12
    minutes: float | None = None  # end after this much training, the learning rate decayed
    rank: int = 16
    alpha: float = 16.0  # the LoRA's output is multiplied by alpha / rank
    dropout: float = 0.0  # inside the LoRA
    adam_epsilon: float = 1e-8
    weight_decay: float = 1e-2
    gradient_clip: float = 1.0  # norm
    warmup: float = 0.1  # share of the run
    decay: float = 0.4  # share of the run
    pairs_per_step: int = 4  # over all processes; for kto, clips in twos
    members: str = "together"  # winner and loser in one batch, or "apart": less memory, one more forward pass each
    # Share of DPO's first force (rho) that pulls towards winners less likely than the reference finds them; objective
    # ipo: towards all winners.
    winner_anchor: float = 0.0
    real_anchor: float = 0.0  # the same towards real clips; objective ipo
    safe_loser: float | None = None  # SDPO's mu: the share of the winner's progress that the loser may not undo
    caption_dropout: float = 0.1  # share of empty captions, always for both members of a pair
    mirror: bool = True  # show half of the pairs mirrored
    draws_per_pair: int = 0  # fixed (timestep, noise) draws of a pair, whose reference errors are kept; 0: always new
    autocast: bool = True  # half precision for matrix work: the frozen weights' float16, or bfloat16 where it is fast
    guard: bool = True  # stop when winners drift away, gradients explode, or motion is lost
    validate_every: int = 50  # steps between the clips that show what has changed
    seed: int = 33


FREE_TO_CHANGE = ("minutes", "members", "autocast", "validate_every", "guard")  # when a run goes on

PRESETS = {
    # Constant beta and small steps as in DenseDPO and Flow-DPO; the anchor against winners that get less likely too.
    # Many steps of few pairs learn more in the same time than few steps of many (docs/learning.md).
    "recommended": PreferenceSettings(
        objective="dpo", beta=500.0, learning_rate=1e-5, winner_anchor=0.2, epochs=6, pairs_per_step=2
    ),
    # What HuViDPO's published code does, but for a loss scale: dropout also in training's margins, an Adam
    # epsilon that makes it nearly plain gradient descent, no warm-up, all pairs in 12 passes one by one.
    "huvidpo-release": PreferenceSettings(
        objective="dpo",
        beta=50.0,
        learning_rate=1e-4,
        alpha=32.0,
        dropout=0.1,
        adam_epsilon=1e-3,
        weight_decay=1e-4,
        warmup=0.0,
        decay=0.0,
        pairs_per_step=1,
        caption_dropout=0.0,
        guard=False,
    ),
}

PAIRS_ALL = ("huvidpo-release",)  # presets that pair scored clips all with all; the others pair each once


def preset_settings(preset: str, objective: str, learning_rate: float | None = None) -> PreferenceSettings:
    """The settings of a preset for an objective, at a backbone's own learning rate where the preset leaves it open.

    Raises ValueError for names that are none, and where the two do not go together.
    """
    check_choice("preset", preset, PRESETS)
    check_choice("objective", objective, OBJECTIVES)
    settings = PRESETS[preset]
    if preset != "recommended":
        if objective != settings.objective:
            raise ValueError(f"The preset {preset} is for the objective {settings.objective}, not {objective}.")
        return settings
    changes: dict[str, object] = {"objective": objective}
    if objective == "kto":
        changes |= {"beta": 1000.0, "winner_anchor": 0.0}
    if objective == "ipo":
        changes |= {"winner_anchor": 0.1, "real_anchor": 0.1}
    if learning_rate is not None:
        changes |= {"learning_rate": learning_rate}
    return replace(settings, **changes)


# Field -> lowest and highest value.
RANGES = {
    "beta": (1e-6, 1e6),
    "learning_rate": (1e-9, 1.0),
    "steps": (1, MAX_STEPS),
    "epochs": (1, 1000),
    "minutes": (1e-3, 1e5),
    "rank": (1, 256),
    "alpha": (1e-3, 1e4),
    "adam_epsilon": (1e-12, 1.0),
    "weight_decay": (0.0, 1.0),
    "gradient_clip": (1e-6, 1e6),
    "pairs_per_step": (1, 1024),
    "draws_per_pair": (0, 1000),
    "validate_every": (1, MAX_STEPS),
    "seed": (0, MAX_SEED),
    **dict.fromkeys(("dropout", "caption_dropout", "warmup", "decay"), (0.0, 1.0)),
    **dict.fromkeys(("winner_anchor", "real_anchor", "safe_loser"), (0.0, 1.0)),
}


def check_settings(settings: PreferenceSettings) -> None:
    """ValueError, with one sentence, for the first setting that is out of range."""
    check_ranges(settings, RANGES)
    if settings.members not in MEMBERS:
        raise ValueError(f"Winner and loser go through the network 'together' or 'apart', not {settings.members!r}.")
    check_choice("objective", settings.objective, OBJECTIVES)


def examples_per_step(settings: PreferenceSettings) -> int:
    """Pairs of one step over all processes; for kto, clips."""
    return settings.pairs_per_step * (2 if settings.objective == "kto" else 1)


def total_steps(settings: PreferenceSettings, examples: int) -> int:
    """Optimizer steps of a run over that many examples."""
    if settings.steps is not None:
        return settings.steps
    return math.ceil(settings.epochs * examples / examples_per_step(settings))


def clips_at_once(settings: PreferenceSettings) -> int:
    """How many clips go through the network together; activations take memory for each."""
    return 1 if settings.members == "apart" else MEMBERS_OF.get(settings.objective, 2)
