"""Experiments of close_the_loop.py, and the rows that they become."""

from dataclasses import dataclass, fields

import numpy as np

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


def pooled(rows: list[dict], over: tuple[str, ...]) -> list[dict]:
    """Rows that differ in nothing but `over`, as one: wins summed, everything else averaged."""
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
        | {"stopped": ""}
        for group in groups.values()
        if len(group) > 1
    ]


HEAD = "category   taste     objective pairs flips seed  wins  95 % interval motion CLIPScore strength minutes  recipe"


def line(row: dict[str, object]) -> str:
    """One row of the table; what misses the aim says so."""
    rate = row["wins"] / max(1, row["decided"])
    low, high = wilson_interval(row["wins"], row["decided"])
    missed = [] if rate >= 0.75 and low > 0.65 else ["win rate"]
    missed += [] if row["motion"] >= 0.95 else ["motion"]
    missed += [] if row["clip_score"] >= 0.95 else ["prompts"]
    return (
        f"{row['category']:10} {row['taste']:9} {row['objective']:9} {row['pairs']:5} {row['flips']:5.0%} "
        f"{row['seed']!s:>4} {rate:5.0%} [{low:4.0%}, {high:4.0%}] {row['motion']:6.0%} {row['clip_score']:9.1%} "
        f"{row['strength']:8.0%} {row['minutes']:7.1f}  {row['recipe'] or 'recommended'}, {row['pairing']}, "
        f"{row['votes']}; "
        f"{'missed: ' + ', '.join(missed) if missed else 'reached'}"
        f"{'; ' + row['stopped'] if row['stopped'] else ''}"
    )
