"""What an evaluation found, as records and as one JSON file. Knows no model and makes no clip.

An evaluation folder:

```text
results.json                                   everything below, every setting, every number: `Results`
first_frames/<model>/<prompt id>-<seed>.png    one for each prompt and seed, shared by all systems of that model
clips/<system>/<prompt id>-<seed>.mp4          the clips; beside each a .json with what was measured of it, and
                                               a .shown.mp4 to be played where a clip of others is no mp4
table.md                                       the tables, in Markdown
plots/*.png
index.html                                     all clips side by side
```

A prompt's id is its category and its number in the list of prompts, such as `horse-03`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from huvidpo.atomic import write_whole
from huvidpo.checks import is_plain, require
from huvidpo.evaluation.metrics import METRICS
from huvidpo.preferences.fields import check_fields, from_fields

SCHEMA_VERSION = 1
RESULTS_FILE = "results.json"
MAX_RESULTS_BYTES = 64 * 2**20
MAX_METRIC = 1e9  # beyond what any metric here can be

Plain = str | int | float | bool


@dataclass(frozen=True)
class System:
    """One way to make clips."""

    name: str  # also the name of its folder
    title: str  # as people read it
    settings: Mapping[str, Plain]  # what makes its clips; adapters' revisions under `adapter_revision/<category>`


@dataclass(frozen=True)
class ClipResult:
    """One clip and what was measured of it. A metric that says nothing about this clip is missing."""

    system: str
    category: str
    prompt_id: str
    prompt: str
    seed: int
    file: str  # below the evaluation folder, with forward slashes
    metrics: Mapping[str, float]  # by name, as `evaluation.metrics.METRICS` lists them


@dataclass(frozen=True)
class Results:
    """An evaluation: systems x prompts x seeds."""

    backbone: str
    created_at: str  # ISO 8601, UTC
    settings: Mapping[str, Plain]  # of the whole evaluation: versions, judges, number of seeds ...
    systems: tuple[System, ...]
    clips: tuple[ClipResult, ...]
    problems: tuple[str, ...] = ()  # one sentence each: what is missing, and why

    def categories(self) -> list[str]:
        """The categories that have clips, in order of appearance."""
        return list(dict.fromkeys(clip.category for clip in self.clips))

    def metrics(self) -> list[str]:
        """Names of all that was measured of any clip, in order of appearance."""
        return list(dict.fromkeys(name for clip in self.clips for name in clip.metrics))


def clip_name(prompt_id: str, seed: int) -> str:
    """How the files of a prompt and a seed are called, without suffix."""
    return f"{prompt_id}-{seed}"


def write_results(results: Results, folder: Path) -> Path:
    """Writes `results.json` whole or not at all; ValueError when the folder cannot be written."""
    row = {"schema_version": SCHEMA_VERSION, **asdict(results)}
    write_whole(folder / RESULTS_FILE, json.dumps(row, indent=1, allow_nan=False) + "\n")
    return folder / RESULTS_FILE


def has_clips(folder: Path) -> bool:
    """Whether an evaluation folder has results of clips that are still there."""
    try:
        return any((folder / clip.file).is_file() for clip in read_results(folder).clips)
    except ValueError:
        return False


def read_results(folder: Path) -> Results:
    """The results in an evaluation folder, which may come from anyone; ValueError with one sentence when unfit."""
    path = folder / RESULTS_FILE
    try:
        require(path.stat().st_size <= MAX_RESULTS_BYTES, f"{path} is too large to be the results of an evaluation.")
        row = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(
            f"{folder} holds no {RESULTS_FILE}: make one with `huvidpo evaluate --out {folder}`."
        ) from error
    except (OSError, RecursionError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read; it may be cut off.") from error
    try:
        return results_from_row(row)
    except (TypeError, KeyError, AttributeError, ValueError, OverflowError) as error:
        raise ValueError(f"{path} is not the results of an evaluation: {error}") from error


def results_from_row(row: Mapping[str, Any]) -> Results:
    """The record behind a row of JSON, every field checked."""
    require(row["schema_version"] == SCHEMA_VERSION, f"its schema_version is {row['schema_version']!r}.")
    systems = tuple(System(str(s["name"]), str(s["title"]), plain(s["settings"])) for s in row["systems"])
    names = [system.name for system in systems]
    require(len(set(names)) == len(names), "two systems have one name.")
    return Results(
        backbone=str(row["backbone"]),
        created_at=str(row["created_at"]),
        settings=plain(row["settings"]),
        systems=systems,
        clips=tuple(clip_from_row(clip, names) for clip in row["clips"]),
        problems=tuple(str(problem) for problem in row["problems"]),
    )


def clip_from_row(row: Mapping[str, Any], systems: Iterable[str]) -> ClipResult:
    """One clip's record; its file must lie below the folder, its numbers be finite, its system be known."""
    clip: ClipResult = from_fields(ClipResult, {**row, "metrics": ()})
    check_fields(clip)
    metrics = plain(row["metrics"])
    for name, value in metrics.items():
        require(
            type(value) in (int, float) and abs(value) <= MAX_METRIC, f"its {name} is not a number, or no measure."
        )
        share = name in METRICS and METRICS[name].share
        require(not share or 0 <= value <= 100, f"its {name} is {value:g}, which is no share in percent.")
    file = PurePosixPath(clip.file)
    outside = file.is_absolute() or ".." in file.parts or "\\" in clip.file or ":" in clip.file
    require(clip.file and not outside, f"the file {clip.file!r} lies outside of its folder.")
    require(clip.system in systems, f"the system {clip.system!r} is not in the list of systems.")
    return ClipResult(**{**asdict(clip), "metrics": {name: float(value) for name, value in metrics.items()}})


def plain(values: Mapping[str, Any]) -> dict[str, Plain]:
    """A flat dictionary of texts, finite numbers and booleans; ValueError for anything else."""
    for name, value in values.items():
        require(isinstance(name, str) and is_plain(value), f"the value of {name!r} is not a plain one.")
    return dict(values)
