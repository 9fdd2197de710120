"""A visitor's fine-tune and its place on disk: begun, gone on with, discarded. Knows nothing of components."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from huvidpo.adapters import find_adapter, is_plain_name, list_adapters
from huvidpo.backbones import Backbone, LoadedBackbone
from huvidpo.candidates import new_candidate_name
from huvidpo.categories import find_category
from huvidpo.home import home
from huvidpo.preferences.own_clips import real_clips
from huvidpo.preferences.store import RatingStore
from huvidpo.training.clips import read_clip
from huvidpo.training.guard import Row
from huvidpo.training.preference import best_step
from huvidpo.training.preference_settings import preset_settings
from huvidpo.training.runs import RunPlan, fitted_to_start
from huvidpo.ui.finetune_needs import (
    SLICE_SECONDS,
    chosen_ratings,
    examples_for,
    free_gigabytes,
    members_that_fit,
    planned_steps,
    readiness,
)
from huvidpo.video import replacing

COMPARISONS = 5  # clips before and during a run, at most; each takes the time of a clip
MAX_REAL = 32  # clips, objective ipo


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


def begin(
    backbone: LoadedBackbone,
    category: str,
    objective: str,
    start: str,
    minutes: float,
    seed: int,
    real: Sequence[str] = (),  # files of real clips, for ipo
) -> str:
    """Writes down a new run; gives its name, "category/adapter". ValueError when it makes no sense."""
    ready = readiness(backbone, category, objective, minutes, zero_gpu=False)
    if not ready.ready:
        raise ValueError(". ".join(filter(None, [ready.facts[0][1], ready.text])))
    real = checked_real_clips(backbone.preset, real) if objective == "ipo" else []
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
    for number, clip in enumerate(real):
        (folder / "real").mkdir(exist_ok=True)
        shutil.copyfile(clip, folder / "real" / f"{number:02d}{clip.suffix.lower()}")
    with replacing(folder / "run.json") as temporary:
        temporary.write_text(json.dumps(asdict(request)))
    return f"{category}/{name}"


def checked_real_clips(preset: Backbone, files: Sequence[str]) -> list[Path]:
    """The uploaded clips, each of which can be read and is long enough. ValueError, naming it, for one that is not."""
    if not 1 <= len(files) <= MAX_REAL:
        raise ValueError(f"IPO also learns from real clips of the action: upload 1 to {MAX_REAL} of them.")
    for file in files:
        read_clip(Path(file), "", preset.num_frames, preset.width, preset.height)
    return [Path(file) for file in files]


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


def plan_of(backbone: LoadedBackbone, run: str, zero_gpu: bool = False) -> RunPlan:
    """All that a run is made of, from what was written down. ValueError when its ratings are no longer all there."""
    preset, request = backbone.preset, read_run(backbone.preset, run)
    start = find_adapter(preset.name, request.category, request.start)
    settings = preset_settings("recommended", request.objective, preset.preference_learning_rate)
    examples = examples_for(preset, request.category, request.objective, request.rating_ids)
    planned = planned_steps(backbone, settings, len(examples), request.minutes)
    settings = replace(
        settings,
        minutes=request.minutes,
        seed=request.seed,
        validate_every=min(50, max(5, planned // COMPARISONS)),
        members=members_that_fit(preset, free_gigabytes(backbone, zero_gpu)),
    )
    with closing(RatingStore(home())) as store:
        there = chosen_ratings(store, request.category, request.rating_ids)
    if len(there) < len(request.rating_ids):
        raise ValueError("Ratings that this run began with were changed or taken back: discard it and start anew.")
    work = run_folder(preset.name, request.category, request.name)
    prompt = find_category(request.category).motion_prompt
    return RunPlan(
        category=request.category,
        preset="recommended",
        settings=fitted_to_start(settings, start),
        examples=examples,
        start=start,
        work=work,
        out=home() / "adapters" / preset.name / request.category / request.name,
        real=real_clips(work / "real", prompt) if request.objective == "ipo" else (),
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
