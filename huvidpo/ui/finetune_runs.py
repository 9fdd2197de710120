"""A visitor's fine-tune: what it needs, what it costs, and its place on disk. Knows nothing of components."""

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from huvidpo.adapters import find_adapter, is_plain_name, list_adapters
from huvidpo.backbones import Backbone, LoadedBackbone
from huvidpo.candidates import new_candidate_name
from huvidpo.categories import find_category
from huvidpo.home import home
from huvidpo.preferences.pairs import MIN_EXAMPLES, TrainingSet, missing_examples, training_set
from huvidpo.preferences.records import Rating
from huvidpo.preferences.store import RatingStore
from huvidpo.training.guard import Row
from huvidpo.training.preference import best_step
from huvidpo.training.preference_settings import preset_settings
from huvidpo.training.runs import RunPlan, fitted_to_start
from huvidpo.ui.making import duration
from huvidpo.video import replacing

OBJECTIVES = {
    "dpo": "The better clip of each pair (DPO)",
    "dense": "The better side of each segment (DenseDPO)",
    "kto": "Good clips and bad clips (KTO)",
}
MINUTES = (1, 60)
SLICE_SECONDS = 45  # of training in one request: a ZeroGPU call, and a step at which the page can pause
# A step of one pair: two passes of the reference, two of the policy with their backward, of twice the cost each. A
# sampling step, whose seconds are known, has two passes for guidance.
SAMPLING_STEPS_PER_PAIR = 4


@dataclass(frozen=True)
class RunRequest:
    """What a visitor asked for; it lies beside the run's checkpoint, so that anyone with the page can go on."""

    category: str
    objective: str
    start: str  # an adapter's name, or "none"
    minutes: float
    name: str  # of the adapter to be
    seed: int
    rating_ids: tuple[str, ...]  # those that were there when it began: later ones would make it another run


@dataclass(frozen=True)
class Readiness:
    """Whether a run makes sense, and what it takes, in words."""

    ready: bool
    text: str


def examples_for(
    backbone: Backbone, category: str, objective: str, only: tuple[str, ...] | None = None
) -> TrainingSet:
    """What there is to learn from; `only` narrows it to the ratings of a run that has begun."""
    with closing(RatingStore(home())) as store:
        ratings = chosen_ratings(store, category, only)
        return training_set(ratings, objective, backbone.name, store.video_path)


def chosen_ratings(store: RatingStore, category: str, only: tuple[str, ...] | None) -> list[Rating]:
    """The ratings of a category that count, all or those named."""
    ratings = store.ratings(category)
    return ratings if only is None else [rating for rating in ratings if rating.rating_id in set(only)]


def readiness(backbone: LoadedBackbone, category: str, objective: str, minutes: float, zero_gpu: bool) -> Readiness:
    """How many examples there are and what the run will take; or why it would be pointless."""
    check_request(category, objective, minutes)
    examples = examples_for(backbone.preset, category, objective)
    what = "clips" if objective == "kto" else "pairs"
    reasons = ", ".join(f"{count} {why}" for why, count in examples.left_out.items())
    left_out = f" Left out: {reasons}." if reasons else ""
    if missing := missing_examples(examples):
        return Readiness(
            False,
            f"{len(examples)} usable {what}, {missing} more are needed: with fewer than {MIN_EXAMPLES} it would learn "
            f"these clips and not your taste. Rate more in the tab Rate.{left_out}",
        )
    settings = preset_settings("recommended", objective)
    steps = max(1, round(60 * minutes / step_seconds(backbone, settings.pairs_per_step)))
    place = "GPU" if backbone.device.startswith("cuda") else "CPU"
    cost = f"{duration(60 * minutes)} on this {place}, about {steps} steps"
    if zero_gpu:
        slices = max(1, round(60 * minutes / SLICE_SECONDS))
        cost += f", in {slices} slices of {SLICE_SECONDS} s of your GPU quota each"
    raters = f"{examples.raters} {'person' if examples.raters == 1 else 'people'}"
    return Readiness(True, f"{len(examples)} usable {what} from {raters}. {cost[0].upper()}{cost[1:]}.{left_out}")


def step_seconds(backbone: LoadedBackbone, pairs: int) -> float:
    """A rough time for one step of training on this device."""
    known = backbone.preset.seconds_per_step
    device = "cuda" if backbone.device.startswith("cuda") else "cpu"
    return pairs * SAMPLING_STEPS_PER_PAIR * known.get(device, known["cpu"])[1]


def check_request(category: str, objective: str, minutes: float) -> None:
    """ValueError for what the page does not offer: a browser may send anything."""
    find_category(category)
    if objective not in OBJECTIVES:
        raise ValueError(f"There is no objective {objective!r} here; choose one of: {', '.join(OBJECTIVES)}.")
    if not isinstance(minutes, int | float) or not MINUTES[0] <= minutes <= MINUTES[1]:
        raise ValueError(f"Train for {MINUTES[0]} to {MINUTES[1]} minutes.")


def begin(backbone: LoadedBackbone, category: str, objective: str, start: str, minutes: float, seed: int) -> str:
    """Writes down a new run; gives its name, "category/adapter". ValueError when it makes no sense."""
    ready = readiness(backbone, category, objective, minutes, zero_gpu=False)
    if not ready.ready:
        raise ValueError(ready.text)
    preset = backbone.preset.name
    adapter = find_adapter(preset, category, start if is_plain_name(start) else "")
    running = {path.parent.name for path in run_folder(preset, category, "x").parent.glob("*/run.json")}
    name = new_candidate_name(preset, category, objective)
    while name in running:
        stem, number = name.rsplit("-", 1)
        name = f"{stem}-{int(number) + 1}"
    with closing(RatingStore(home())) as store:
        rating_ids = tuple(rating.rating_id for rating in store.ratings(category))
    request = RunRequest(category, objective, adapter.name if adapter else "none", minutes, name, seed, rating_ids)
    folder = run_folder(preset, category, name)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "run.json") as temporary:
        temporary.write_text(json.dumps(asdict(request)))
    return f"{category}/{name}"


def run_folder(backbone: str, category: str, name: str) -> Path:
    """Where a run lies. ValueError for names that lead elsewhere."""
    if not is_plain_name(name):
        raise ValueError(f"There is no run {name[:80]!r}.")
    return home() / "runs" / backbone / find_category(category).name / name


def read_run(backbone: Backbone, run: str) -> RunRequest:
    """The run of that name, "category/adapter". ValueError when there is none."""
    category, _, name = str(run).partition("/")
    try:
        values = json.loads((run_folder(backbone.name, category, name) / "run.json").read_text())
        return RunRequest(**{**values, "rating_ids": tuple(values["rating_ids"])})
    except (OSError, TypeError, KeyError) as error:
        raise ValueError(f"There is no run {str(run)[:80]!r}; it may have been discarded.") from error


def plan_of(backbone: LoadedBackbone, run: str) -> RunPlan:
    """All that a run is made of, from what was written down. ValueError when its ratings are no longer all there."""
    preset, request = backbone.preset, read_run(backbone.preset, run)
    start = find_adapter(preset.name, request.category, request.start)
    settings = preset_settings("recommended", request.objective, preset.preference_learning_rate)
    settings = replace(settings, steps=100_000, minutes=request.minutes, seed=request.seed)
    with closing(RatingStore(home())) as store:
        there = chosen_ratings(store, request.category, request.rating_ids)
    if len(there) < len(request.rating_ids):
        raise ValueError("Ratings that this run began with were changed or taken back: discard it and start anew.")
    return RunPlan(
        category=request.category,
        preset="recommended",
        settings=fitted_to_start(settings, start),
        examples=examples_for(preset, request.category, request.objective, request.rating_ids),
        start=start,
        work=run_folder(preset.name, request.category, request.name),
        out=home() / "adapters" / preset.name / request.category / request.name,
    )


def unfinished_runs(backbone: Backbone) -> list[str]:
    """Names of the runs that have no adapter yet, the latest first."""
    root = home() / "runs" / backbone.name
    found = sorted(root.glob("*/*/run.json"), key=lambda path: -path.stat().st_mtime)
    names = [(path.parent.parent.name, path.parent.name) for path in found]
    done = {(adapter.category, adapter.name) for adapter in list_adapters(backbone.name)}
    return [f"{category}/{name}" for category, name in names if (category, name) not in done]


def discard(backbone: Backbone, run: str) -> None:
    """Forgets a run and what it learned."""
    request = read_run(backbone, run)
    shutil.rmtree(run_folder(backbone.name, request.category, request.name))


def log_of(backbone: Backbone, run: str) -> tuple[list[Row], str]:
    """The steps of a run so far, and why it stopped early, if it did."""
    request = read_run(backbone, run)
    work = run_folder(backbone.name, request.category, request.name)
    rows, stopped, _ = best_step(work)
    return rows, stopped


def train_slice(run: Any, plan: RunPlan) -> Iterator[Any]:
    """One request's share of a run: its step records, through the function that computes."""
    with closing(run("train", (plan, SLICE_SECONDS))) as records:
        yield from records
