"""A visitor's fine-tune and its place on disk: begun, gone on with, discarded. Knows nothing of components."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from huvidpo.adapters import find_adapter, is_plain_name
from huvidpo.backbones import LoadedBackbone
from huvidpo.categories import find_category
from huvidpo.home import home
from huvidpo.preferences.own_clips import real_clips
from huvidpo.preferences.store import RatingStore
from huvidpo.presets import Backbone
from huvidpo.training import run_folders
from huvidpo.training.begun_runs import BegunWith, is_of_page, rated_examples, read_begun, usable_ids, write_begun
from huvidpo.training.clips import fitted_frames
from huvidpo.training.guard import Row
from huvidpo.training.preference_settings import preset_settings
from huvidpo.training.preference_state import run_outcome
from huvidpo.training.run_folders import held, new_run, run_folder
from huvidpo.training.runs import RunPlan, fitted_to_start
from huvidpo.ui.finetune_needs import (
    SLICE_SECONDS,
    free_gigabytes,
    members_that_fit,
    planned_steps,
    readiness,
)
from huvidpo.ui.jobs import Run, Step, TrainSlice

COMPARISONS = 5  # clips before and during a run, at most; each takes the time of a clip
PRESET = "recommended"
MAX_REAL = 32  # clips, objective ipo
LAST_STEP = 60.0  # seconds for a step under way to end before its run, which was paused, is discarded


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
    settings = preset_settings(PRESET, objective, backbone.preset.preference_learning_rate)
    settings = replace(fitted_to_start(settings, adapter), minutes=minutes, seed=seed)
    folder = new_run(preset, category, objective)
    for number, clip in enumerate(real):
        (folder / "real").mkdir(exist_ok=True)
        shutil.copyfile(clip, folder / "real" / f"{number:02d}{clip.suffix.lower()}")
    begun = BegunWith(
        preset=PRESET,
        settings=settings,
        start=adapter.name if adapter else "none",
        real="real" if real else "",
        rating_ids=usable_ids(store, category),
    )
    write_begun(folder, begun, on_page=True)
    return f"{category}/{folder.name}"


def checked_real_clips(preset: Backbone, files: Sequence[str]) -> list[Path]:
    """The uploaded clips, each of which can be read and is long enough. ValueError, naming it, for one that is not."""
    if not 1 <= len(files) <= MAX_REAL:
        raise ValueError(f"IPO also learns from real clips of the action: upload 1 to {MAX_REAL} of them.")
    for file in files:
        fitted_frames(Path(file), preset.num_frames, preset.width, preset.height)
    return [Path(file) for file in files]


def folder_of(preset: Backbone, run: str) -> Path:
    """Where the run of that name lies, "category/adapter". ValueError when there is none."""
    category, _, name = str(run).partition("/")
    folder = run_folder(preset.name, category, name)
    if not is_of_page(folder):
        raise ValueError(f"There is no run {str(run)[:80]!r}; it may have been discarded.")
    return folder


def plan_of(backbone: LoadedBackbone, store: RatingStore, run: str) -> RunPlan:
    """All that a run is made of, from what was written down. ValueError when its ratings are no longer all there."""
    preset, work = backbone.preset, folder_of(backbone.preset, run)
    begun, category = read_begun(work), find_category(work.parent.name)
    settings, objective = begun.settings, begun.settings.objective
    examples = rated_examples(begun, category.name, preset.name, store)
    planned = planned_steps(backbone, settings, len(examples), settings.minutes)
    return RunPlan(
        category=category.name,
        preset=begun.preset,
        settings=replace(
            settings,
            validate_every=min(50, max(5, planned // COMPARISONS)),
            members=members_that_fit(preset, objective, free_gigabytes(backbone)),
        ),
        examples=examples,
        start=find_adapter(preset.name, category.name, begun.start),
        work=work,
        out=home() / "adapters" / preset.name / category.name / work.name,
        real=real_clips(Path(begun.real), category.motion_prompt) if begun.real else (),
    )


def unfinished_runs(backbone: Backbone) -> list[str]:
    """Names of the page's runs that have not become an adapter yet, the latest first."""
    found = run_folders.unfinished_runs(backbone.name)
    return [f"{path.parent.name}/{path.name}" for path in found if is_of_page(path)]


def discard(backbone: Backbone, run: str) -> None:
    """Forgets a run and what it learned. ValueError while somebody goes on with it."""
    folder = folder_of(backbone, run)
    with held(folder, LAST_STEP):
        pass  # nobody goes on with it; the lock itself lies in the folder
    shutil.rmtree(folder)


def log_of(backbone: Backbone, run: str) -> list[Row]:
    """The steps of a run so far."""
    return run_outcome(folder_of(backbone, run)).rows


def train_slice(run: Run, plan: RunPlan) -> Iterator[Step]:
    """One request's share of a run: its step records, through the function that computes."""
    with closing(run(TrainSlice(plan, SLICE_SECONDS))) as records:
        yield from records
