"""Experiments of close_the_loop.py, and the rows that they become."""

import hashlib
import json
from dataclasses import dataclass, fields

import numpy as np

from huvidpo.evaluation.estimates import clustered_interval
from huvidpo.preferences.statistics import wilson_interval
from huvidpo.training.preference_settings import PreferenceSettings


@dataclass(frozen=True)
class Cell:
    """One experiment."""

    category: str
    taste: str
    objective: str
    pairs: int  # that were rated
    flips: float  # share of wrong answers
    pairing: str  # what tells two takes apart, see `pair_requests`
    votes: str  # "segments": on each segment too, or "whole": on the whole clip only
    recipe: str  # what differs from the preset `recommended`: "beta=100,pairs_per_step=1", or "" for nothing
    seed: int

    def name(self) -> str:
        """For files, and for the adapter."""
        recipe = "".join(f"-{change.replace('=', '')}" for change in self.recipe.split(",") if change)
        asked = f"{self.taste}-{self.objective}-{self.pairs}p-{round(100 * self.flips)}f"
        return f"{asked}-{self.pairing}{'-whole' * (self.votes == 'whole')}{recipe}-{self.seed}"


def recipe_changes(recipe: str) -> dict[str, int | float | str]:
    """ "beta=100,members=apart" as fields of PreferenceSettings. ValueError for what is none."""
    types, changes = {field.name: field.type for field in fields(PreferenceSettings)}, {}
    for change in filter(None, recipe.split(",")):
        name, _, value = change.partition("=")
        if name not in types or types[name] is bool:
            raise ValueError(f"A recipe has no {name!r}; it has numbers such as beta=100 or pairs_per_step=1.")
        changes[name] = next(kind for kind in (int, float, str) if converts(kind, value))(value)
    return changes


def converts(kind: type, text: str) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True


def settings_key(made_with: dict[str, object]) -> str:
    """Six hex digits for what a row depends on beside its cell."""
    return hashlib.sha256(json.dumps(made_with, sort_keys=True).encode()).hexdigest()[:6]


def known_row(rows: list[dict], cell: Cell, key: str) -> tuple[dict | None, str]:
    """The row of a cell with the settings of `key`, where there is one, and the name of its adapter.

    That is the cell's, unless one with other settings has it.
    """
    own = {row["adapter"]: row for row in rows if row["category"] == cell.category}
    name = cell.name()
    if name in own and own[name].get("key") != key:
        name = f"{name}-{key}"
    return own.get(name), name


def pooled(rows: list[dict], over: tuple[str, ...]) -> list[dict]:
    """Rows that differ in nothing but `over`, as one: wins summed, everything else averaged.

    Comparisons of one run are of one adapter, and two of each prompt: they are not independent. So the interval is
    that of a bootstrap over runs; there is none below five runs, or where all won the same share.
    """
    groups: dict[str, list[dict]] = {}
    for row in rows:
        key = [str(row[f.name]) for f in fields(Cell) if f.name not in over]
        groups.setdefault(" ".join(key), []).append(row)
    return [
        group[0]
        | {name: "all" for name in over if len({row[name] for row in group}) > 1}
        | {name: sum(row[name] for row in group) for name in ("wins", "decided")}
        | {
            name: float(np.mean([row[name] for row in group]))
            for name in ("motion", "clip_score", "strength", "minutes")
        }
        | {"stopped": "", "runs": len(group), "reached": sum(not misses(row) for row in group)}
        | {"interval": clustered_interval([row["wins"] for row in group], [row["decided"] for row in group])}
        for group in groups.values()
        if len(group) > 1
    ]


HEAD = "category   taste     objective pairs flips seed  wins  95 % interval motion CLIPScore strength minutes  recipe"


def misses(row: dict[str, object]) -> list[str]:
    """In what a run misses the aim. That is set by Wilson's interval, which takes comparisons for independent."""
    low, _ = wilson_interval(row["wins"], row["decided"])
    missed = [] if row["wins"] / max(1, row["decided"]) >= 0.75 and low > 0.65 else ["win rate"]
    missed += [] if row["motion"] >= 0.95 else ["motion"]
    return missed + ([] if row["clip_score"] >= 0.95 else ["prompts"])


def line(row: dict[str, object]) -> str:
    """One row of the table; what misses the aim says so, and of several runs how many reach it."""
    rate = row["wins"] / max(1, row["decided"])
    interval = row["interval"] if "runs" in row else wilson_interval(row["wins"], row["decided"])
    ends = ", ".join(f"{end:4.0%}" for end in interval) if interval else "   ?,    ?"
    if "runs" in row:
        said = f"{row['reached']} of {row['runs']} runs reach the aim"
    else:
        said = f"missed: {', '.join(misses(row))}" if misses(row) else "reached"
    return (
        f"{row['category']:10} {row['taste']:9} {row['objective']:9} {row['pairs']:5} {row['flips']:5.0%} "
        f"{row['seed']!s:>4} {rate:5.0%} [{ends}] {row['motion']:6.0%} {row['clip_score']:9.1%} "
        f"{row['strength']:8.0%} {row['minutes']:7.1f}  {row['recipe'] or 'recommended'}, {row['pairing']}, "
        f"{row['votes']}; "
        f"{said}{'; ' + row['stopped'] if row['stopped'] else ''}"
    )
