"""How strong an adapter may be: as strong as leaves its clips their motion. Knows weights and clips, not losses."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from huvidpo.models.video_unet import VideoUNet
from huvidpo.training.processes import copied_from_first
from huvidpo.training.reference import load_lora, lora_state
from huvidpo.training.validation import BEFORE, Validation

KEPT_MOTION = 0.96  # of what clips moved before training
CAUTION = 1.9  # standard errors: 95 % sure by Student's t, one-sided, of eight clips
TRIES = 4  # of strengths
CLIPS = 8  # whose motion is compared; their noise and first frames are the same each time
WEAKEST = 0.1


@dataclass(frozen=True)
class Measuring:
    """A clip was made and measured; for a progress bar."""

    done: int
    total: int
    strength: float


@dataclass(frozen=True)
class Strength:
    """The share of what was learned that an adapter keeps, and what its clips move then."""

    value: float  # above 0 and at most 1
    motion: float  # as a share of that before training; -1 where nothing moved


def settle_strength(
    unet: VideoUNet, start: Path | None, validation: Validation, step: int
) -> Iterator[Measuring | Strength]:
    """Weakens the policy on `unet`, if it must be, until validation clips keep their motion; at last says how far.

    `start` is the LoRA file that learning went out from, if there was one. The weights go from there to the learned
    ones in a straight line (as in WiSE-FT, arXiv 2109.01903), and so, nearly, does motion: a second try mostly fits.
    A few clips tell it to a few percent only, so motion must be kept by the lower bound of what they say.
    Clips that were measured before an interruption, after as many training steps, are not made again.
    """
    learned, origin, strength = lora_state(unet), load_file(start) if start else None, 1.0
    for tries_left in reversed(range(TRIES)):
        load_lora(unet, weakened(learned, origin, strength))
        found = yield from measured(validation, step, strength)
        motion, error = copied_from_first(found)  # or processes would part here
        at_least = motion - CAUTION * error
        if motion < 0 or at_least >= KEPT_MOTION or strength == WEAKEST or not tries_left:
            break
        strength = next_strength(strength, at_least)
    yield Strength(strength, motion)


def measured(validation: Validation, step: int, strength: float) -> Generator[Measuring, None, tuple[float, float]]:
    """Makes the clips that are not there yet, those of the reference first.

    Gives the share of motion that is left, and its standard error.
    """
    name = f"{step:05d}-strength-{strength:.2f}"
    clips = [(one, i) for one in (BEFORE, name) for i in range(validation.count)]
    for done, (one, i) in enumerate(clips, start=1):
        if not validation.is_known(one, i):
            validation.motion(one, i)
            yield Measuring(done, len(clips), strength)
    return validation.share(name), validation.share_error(name)


def next_strength(strength: float, motion: float) -> float:
    """Where motion should be kept, were its loss in proportion to strength; in hundredths, below the last one."""
    fitting = strength * (1 - KEPT_MOTION) / (1 - motion)
    return max(WEAKEST, min(int(100 * fitting) / 100, strength - 0.05))


def weakened(learned: dict[str, Tensor], origin: dict[str, Tensor] | None, strength: float) -> dict[str, Tensor]:
    """LoRA weights on the line from the origin to what was learned; without an origin from no effect at all."""
    if origin is not None:
        return {name: origin[name].float().lerp(value.float(), strength) for name, value in learned.items()}
    return {name: value * strength if "lora_B" in name else value for name, value in learned.items()}
