"""Ratings as plain files for other programs. Knows the store, no network."""

import csv
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from huvidpo.checks import check_choice
from huvidpo.preferences.pairs import votes_by_pair
from huvidpo.preferences.records import Rating
from huvidpo.preferences.store import RatingStore

LAYOUTS = ("flat", "chosen-rejected")


def export_ratings(store: RatingStore, out: Path, layout: str = "flat", category: str | None = None) -> int:
    """Writes the ratings that count into the new or empty folder `out`; returns how many rows its table has.

    `flat`: `ratings.csv` and `ratings.jsonl` with every column, videos and first frames in folders beside them.
    `chosen-rejected`: `pairs.csv` and `pairs.jsonl` with one row for each pair that most of its raters decided alike,
    the better clip in `chosen/` with its prompt, the other in `rejected/`, all under the pair's name: as `own_clips`
    reads them. Pairs that measure, which nothing may learn from, have these folders in `measure/`. Raises ValueError
    with one sentence when there is nothing to write or `out` cannot be written.
    """
    check_choice("layout", layout, LAYOUTS)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} must be a new or an empty folder.")
    ratings = store.ratings(category)
    if not ratings:
        raise ValueError(f"There are no ratings{f' of {category}' if category else ''} to export yet.")
    try:
        out.mkdir(parents=True, exist_ok=True)
        return write_flat(store, ratings, out) if layout == "flat" else write_chosen(store, ratings, out)
    except OSError as error:
        raise ValueError(f"Could not write to {out}: {error.strerror or error}.") from error


def write_flat(store: RatingStore, ratings: Iterable[Rating], out: Path) -> int:
    """One row for each rating."""
    rows = []
    for rating in ratings:
        pair = rating.pair
        videos = {f"video_{side}": f"videos/{take.sha256}.mp4" for side, take in (("a", pair.a), ("b", pair.b))}
        for name, take in zip(videos.values(), (pair.a, pair.b), strict=True):
            copy(store.video_path(take.sha256), out / name)
        if pair.first_frame:
            copy(store.frame_path(pair.first_frame), out / "frames" / f"{pair.first_frame}.png")
        rows.append(videos | rating.to_row())
    write_tables(rows, out / "ratings")
    return len(rows)


def write_chosen(store: RatingStore, ratings: Iterable[Rating], out: Path) -> int:
    """One row for each decided pair. Votes count as they do for training: a rater has one, and none who differs."""
    rows = []
    for votes in votes_by_pair(ratings):
        counted, pair = Counter(vote.preference for vote in votes), votes[0].pair
        if counted["a"] == counted["b"]:
            continue
        better, worse = (pair.a, pair.b) if counted["a"] > counted["b"] else (pair.b, pair.a)
        apart = "measure/" if pair.split == "measure" else ""
        names = {kind: f"{apart}{kind}/{pair.pair_id}.mp4" for kind in ("chosen", "rejected")}
        for name, take in zip(names.values(), (better, worse), strict=True):
            copy(store.video_path(take.sha256), out / name)
        (out / names["chosen"]).with_suffix(".txt").write_text(pair.prompt, encoding="utf-8")
        said = {"prompt": pair.prompt, "category": pair.category, "split": pair.split, "pair_id": pair.pair_id}
        decided = {"votes_for": max(counted["a"], counted["b"]), "votes": counted.total()}
        rows.append(names | said | decided)
    if not rows:
        raise ValueError("No pair is decided yet: there are only ties and contradictions.")
    write_tables(rows, out / "pairs")
    return len(rows)


def copy(file: Path, target: Path) -> None:
    """The file at `target`; a copy, which may be edited without changing the store."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        shutil.copyfile(file, target)


def write_tables(rows: list[Mapping[str, object]], stem: Path) -> None:
    """The same rows as .jsonl and as .csv, where the parts of a struct become columns `struct.part`."""
    with stem.with_suffix(".jsonl").open("w", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(row)}\n" for row in rows)
    flat = [flattened(row) for row in rows]
    with stem.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(flat[0]))
        writer.writeheader()
        writer.writerows(flat)


def harmless(cell: object) -> object:
    """A cell that no spreadsheet takes for a formula: prompts are strangers' words."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def flattened(row: Mapping[str, object]) -> dict[str, object]:
    """A row for a CSV file: structs taken apart, lists joined by commas."""
    flat: dict[str, object] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{part}": harmless(inner) for part, inner in value.items()}
        else:
            flat[name] = ",".join(value) if isinstance(value, list) else harmless(value)
    return flat
