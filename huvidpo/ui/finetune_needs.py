"""What a fine-tune needs before it begins: examples, time, memory. Knows nothing of components, or of runs on disk."""

import math
from dataclasses import dataclass

import psutil

from huvidpo import memory
from huvidpo.backbones import LoadedBackbone
from huvidpo.categories import find_category
from huvidpo.checks import check_choice
from huvidpo.preferences.pairs import MIN_EXAMPLES, missing_examples, training_set
from huvidpo.preferences.store import RatingStore
from huvidpo.presets import Backbone, seconds_for
from huvidpo.training.preference_settings import MEMBERS_OF, PreferenceSettings, preset_settings, total_steps
from huvidpo.training.preference_state import run_outcome
from huvidpo.training.runs import RunPlan
from huvidpo.training.strength import CLIPS, Measuring
from huvidpo.ui.making import MARGIN, clip_seconds, quota_of
from huvidpo.ui.phrases import counted, duration

OBJECTIVES = {
    "dense": "The better side of each segment, or of the clip where nobody marked one (DenseDPO)",
    "dpo": "The better clip of each pair (DPO)",
    "kto": "Good clips and bad clips (KTO)",
    "ipo": "The better clip of each pair, and real clips (IPO)",
}
LEFT_OUT = {"kept for measuring": "kept to check the result (about one pair in five is)"}
MINUTES = (1, 60)
SLICE_SECONDS = 45  # of training in one request: a ZeroGPU call, and a step at which the page can pause
# A step of one pair: two passes of the reference, two of the policy with their backward, of twice the cost each. A
# sampling step, whose seconds are known, has two passes for guidance.
SAMPLING_STEPS_PER_PAIR = 4


@dataclass(frozen=True)
class Readiness:
    """Whether a run makes sense, and what it takes, in words."""

    ready: bool
    facts: tuple[tuple[str, str], ...]  # name, what is said of it
    text: str = ""  # why not
    needs_ratings: bool = False


def readiness(
    backbone: LoadedBackbone, store: RatingStore, category: str, objective: str, minutes: float
) -> Readiness:
    """How many examples there are and what the run will take; or why it would be pointless."""
    check_request(category, objective, minutes)
    examples = training_set(store.ratings(category), objective, backbone.preset.name, store.video_path)
    what = counted(len(examples), "clip" if objective == "kto" else "pair")
    people = counted(examples.raters, "person", "people")
    missing = missing_examples(examples)
    among = f" of {examples.judged} scored clips" if examples.scored else ""
    rated = f", rated by {people}" if examples else ""
    found = [
        ("Usable", f"{what}{among}{rated}{wanting(missing, examples.scored)}"),
        ("Left out", ", ".join(f"{count} {LEFT_OUT.get(why, why)}" for why, count in examples.left_out.items())),
    ]
    if missing:
        why = f"With fewer than {MIN_EXAMPLES} it would learn these clips and not your taste."
        return Readiness(False, tuple(found), f"{why} Rate more in the tab Rate.", needs_ratings=True)
    settings = preset_settings("recommended", objective)
    place = "GPU" if backbone.device.startswith("cuda") else "CPU"
    steps = planned_steps(backbone, settings, len(examples), minutes)
    measuring = measuring_seconds(backbone)
    seconds = min(60 * minutes, steps * step_seconds(backbone, settings.pairs_per_step)) + measuring
    time = f"{duration(seconds)} on this {place}: about {steps} steps, then {duration(measuring)} of measuring"
    found.append(("Time", time))
    if backbone.gpu_is_lent:
        found.append(("GPU quota", run_quota_words(backbone, seconds)))
    free = free_gigabytes(backbone)
    needed = memory_needed(backbone.preset, objective, free)
    found.append(("Memory", f"{needed:.1f} GB" + ("" if free is None else f" of {free:.1f} GB that are free")))
    if free is not None and free < needed:
        return Readiness(False, tuple(found), "That does not fit: close other programs, or use a larger machine.")
    return Readiness(True, tuple(found))


def wanting(missing: int, scored: bool) -> str:
    """What is said behind the examples of how many are missing: "; 8 more are needed", or clips where those count."""
    if not missing:
        return ""
    alone = missing == 1
    noun = (" clip" if alone else " clips") if scored else ""
    return f"; {missing} more{noun} {'is' if alone else 'are'} needed"


def run_quota_words(backbone: LoadedBackbone, seconds: float) -> str:
    """What a run of so many seconds takes of a visitor's quota on ZeroGPU, which counts what is asked for."""
    slices = max(1, math.ceil(seconds / SLICE_SECONDS))
    asked = requested_seconds(backbone, min(seconds, SLICE_SECONDS), 2 * RunPlan.validation_clips)
    each = quota_of(asked)
    if slices == 1:
        return f"{each} s for a request of {asked} s"
    return f"up to {each} s for each of about {slices} requests, the first of {asked} s"


def seconds_of_slice(backbone: LoadedBackbone, plan: RunPlan, slice_seconds: float) -> int:
    """Asked of ZeroGPU for a run's next slice: what is left of it where that is less, and clips that fall into it."""
    rows, settings = run_outcome(plan.work).rows, plan.settings
    each = step_seconds(backbone, settings.pairs_per_step)
    steps = total_steps(settings, len(plan.examples))
    left = rows[-1]["seconds_left"] if rows else min(60 * (settings.minutes or math.inf), steps * each)
    seconds = min(slice_seconds, left + measuring_seconds(backbone))
    validated = (len(rows) + seconds / each) // settings.validate_every > len(rows) // settings.validate_every
    first = len(rows) < settings.validate_every
    clips = plan.validation_clips * (1 + first) if validated else 0
    return requested_seconds(backbone, seconds, clips)


def requested_seconds(backbone: LoadedBackbone, seconds: float, clips: int) -> int:
    """Asked of ZeroGPU for so many seconds of training, in which examples are encoded too.

    Beside them: the start of a worker, a step and a checkpoint after, and clips that are made without a break, of
    which the first time there are twice as many: before and now.
    """
    recipe = backbone.preset.recipe("default")
    each = clip_seconds(backbone, recipe.steps, recipe.guidance)
    return round(10 + seconds + MARGIN * clips * each)


def free_gigabytes(backbone: LoadedBackbone) -> float | None:
    """Memory that is free now where training will be; None for ZeroGPU's card, which is not there yet."""
    if backbone.gpu_is_lent:
        return None
    if backbone.device.startswith("cuda"):
        return memory.free_gigabytes() + backbone.room_to_learn()
    return psutil.virtual_memory().available / memory.GIGABYTE


def members_that_fit(preset: Backbone, objective: str, free: float | None) -> str:
    """Winner and loser "together" in a batch, or "apart" where that needs more memory than there is."""
    together = memory_by_members(preset, objective)["together"]
    return "apart" if free is not None and free < together else "together"


def memory_needed(preset: Backbone, objective: str, free: float | None) -> float:
    """What training takes beside the page, in GB."""
    return memory_by_members(preset, objective)[members_that_fit(preset, objective, free)]


def memory_by_members(preset: Backbone, objective: str) -> dict[str, float]:
    """GB by how the clips of an example go through the network."""
    pair, apart = preset.training_gigabytes
    return {"together": pair * MEMBERS_OF.get(objective, 2) / 2, "apart": apart}


def planned_steps(backbone: LoadedBackbone, settings: PreferenceSettings, examples: int, minutes: float) -> int:
    """Roughly how many steps a run will have: the preset's passes through the examples, or what the minutes allow."""
    in_time = round(60 * minutes / step_seconds(backbone, settings.pairs_per_step))
    return max(1, min(total_steps(settings, examples), in_time))


def step_seconds(backbone: LoadedBackbone, pairs: int) -> float:
    """A rough time for one step of training on this device."""
    return seconds_for(backbone.preset, backbone.device, "clip", SAMPLING_STEPS_PER_PAIR * pairs)


def measuring_seconds(backbone: LoadedBackbone) -> float:
    """A rough time for the clips that decide how strong the adapter may be: with it and without it, once each."""
    recipe = backbone.preset.recipe("default")
    return 2 * CLIPS * clip_seconds(backbone, recipe.steps, recipe.guidance)


def measuring_words(backbone: LoadedBackbone, at: Measuring) -> str:
    """How far the measuring is; it begins anew with a weaker adapter where clips had lost their motion."""
    weaker = f" again, at {at.strength:.0%} of what was learned" if at.strength < 1 else ""
    left = duration((at.total - at.done) * measuring_seconds(backbone) / (2 * CLIPS))
    return f"measuring whether its clips still move{weaker}, clip {at.done} of {at.total}, about {left} left"


def check_request(category: str, objective: str, minutes: float) -> None:
    """ValueError for what the page does not offer: a browser may send anything."""
    find_category(category)
    check_choice("objective", objective, OBJECTIVES)
    if not isinstance(minutes, int | float) or not MINUTES[0] <= minutes <= MINUTES[1]:
        raise ValueError(f"Train for {MINUTES[0]} to {MINUTES[1]} minutes.")
