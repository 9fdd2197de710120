"""A visitor's fine-tune and its place on disk: begun, gone on with, discarded. Knows nothing of components."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from huvidpo.adapters import find_adapter, is_plain_name
from huvidpo.atomic import replacing
from huvidpo.backbones import LoadedBackbone
from huvidpo.categories import find_category
from huvidpo.home import home
from huvidpo.preferences.own_clips import real_clips
from huvidpo.preferences.pairs import training_set
from huvidpo.preferences.store import RatingStore
from huvidpo.presets import Backbone
from huvidpo.training import run_folders
from huvidpo.training.clips import fitted_frames
from huvidpo.training.guard import Row
from huvidpo.training.preference_settings import preset_settings
from huvidpo.training.preference_state import run_outcome
from huvidpo.training.run_folders import REQUEST, held, new_run, run_folder
from huvidpo.training.runs import RunPlan, fitted_to_start
from huvidpo.ui.finetune_needs import (
    SLICE_SECONDS,
    free_gigabytes,
    members_that_fit,
    planned_steps,
    readiness,
)

COMPARISONS = 5  # clips before and during a run, at most; each takes the time of a clip
MAX_REAL = 32  # clips, objective ipo
LAST_STEP = 60.0  # seconds for a step under way to end before its run, which was paused, is discarded


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
    store: RatingStore,
    category: str,
    objective: str,
    start: str,
    minutes: float,
    seed: int,
    real: Sequence[str] = (),  # files of real clips, for ipo
) -> str:
    """Writes down a new run; gives its name, "category/adapter". ValueError when it makes no sense."""
    ready = readiness(backbone, store, category, objective, minutes)
    if not ready.ready:
        raise ValueError(". ".join(filter(None, [ready.facts[0][1], ready.text])))
    real = checked_real_clips(backbone.preset, real) if objective == "ipo" else []
    preset = backbone.preset.name
    adapter = find_adapter(preset, category, start if is_plain_name(start) else "")
    used = [rating for rating in store.ratings(category) if rating.pair.split == "train"]
    rating_ids = tuple(rating.rating_id for rating in used)
    folder = new_run(preset, category, objective)
    begun_as = adapter.name if adapter else "none"
    request = RunRequest(category, objective, begun_as, minutes, folder.name, seed, rating_ids)
    for number, clip in enumerate(real):
        (folder / "real").mkdir(exist_ok=True)
        shutil.copyfile(clip, folder / "real" / f"{number:02d}{clip.suffix.lower()}")
    with replacing(folder / REQUEST) as temporary:
        temporary.write_text(json.dumps(asdict(request)), encoding="utf-8")
    return f"{category}/{folder.name}"


def checked_real_clips(preset: Backbone, files: Sequence[str]) -> list[Path]:
    """The uploaded clips, each of which can be read and is long enough. ValueError, naming it, for one that is not."""
    if not 1 <= len(files) <= MAX_REAL:
        raise ValueError(f"IPO also learns from real clips of the action: upload 1 to {MAX_REAL} of them.")
    for file in files:
        fitted_frames(Path(file), preset.num_frames, preset.width, preset.height)
    return [Path(file) for file in files]


def read_run(backbone: Backbone, run: str) -> RunRequest:
    """The run of that name, "category/adapter". ValueError when there is none."""
    category, _, name = str(run).partition("/")
    try:
        values = json.loads((run_folder(backbone.name, category, name) / REQUEST).read_text(encoding="utf-8"))
        return RunRequest(**{**values, "rating_ids": tuple(values["rating_ids"])})
    except (OSError, TypeError, KeyError) as error:
        raise ValueError(f"There is no run {str(run)[:80]!r}; it may have been discarded.") from error


def plan_of(backbone: LoadedBackbone, store: RatingStore, run: str) -> RunPlan:
    """All that a run is made of, from what was written down. ValueError when its ratings are no longer all there."""
    preset, request = backbone.preset, read_run(backbone.preset, run)
    start = find_adapter(preset.name, request.category, request.start)
    settings = preset_settings("recommended", request.objective, preset.preference_learning_rate)
    known = {rating.rating_id: rating for rating in store.ratings(request.category)}
    there = [known[name] for name in request.rating_ids if name in known]
    examples = training_set(there, request.objective, preset.name, store.video_path)
    if len(there) < len(request.rating_ids):
        raise ValueError("Ratings that this run began with were changed or taken back: discard it and start anew.")
    planned = planned_steps(backbone, settings, len(examples), request.minutes)
    settings = replace(
        settings,
        minutes=request.minutes,
        seed=request.seed,
        validate_every=min(50, max(5, planned // COMPARISONS)),
        members=members_that_fit(preset, request.objective, free_gigabytes(backbone)),
    )
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
    """Names of the page's runs that have not become an adapter yet, the latest first."""
    found = run_folders.unfinished_runs(backbone.name)
    return [f"{path.parent.name}/{path.name}" for path in found if (path / REQUEST).is_file()]


def discard(backbone: Backbone, run: str) -> None:
    """Forgets a run and what it learned. ValueError while somebody goes on with it."""
    request = read_run(backbone, run)
    folder = run_folder(backbone.name, request.category, request.name)
    with held(folder, LAST_STEP):
        pass  # nobody goes on with it; the lock itself lies in the folder
    shutil.rmtree(folder)


def log_of(backbone: Backbone, run: str) -> list[Row]:
    """The steps of a run so far."""
    request = read_run(backbone, run)
    return run_outcome(run_folder(backbone.name, request.category, request.name)).rows


def train_slice(run: Any, plan: RunPlan) -> Iterator[Any]:
    """One request's share of a run: its step records, through the function that computes."""
    with closing(run("train", (plan, SLICE_SECONDS))) as records:
        yield from records
