"""Figures of an evaluation: a system's mean of a metric, and how far two systems are apart, with their intervals.

Clips of one prompt are not independent of each other, so a prompt counts once, with the mean over its seeds: the
bootstrap draws prompts, and for a share of clips a prompt is a trial.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from huvidpo.evaluation.estimates import Estimate, mean, share, share_difference
from huvidpo.evaluation.metrics import METRICS
from huvidpo.evaluation.results import Results
from huvidpo.preferences.statistics import MIN_PROMPTS


def measured(results: Results, system: str, metric: str, category: str | None = None) -> dict[tuple[str, int], float]:
    """(prompt id, seed) -> the metric of the system's clip; all categories, or one."""
    return {
        (clip.prompt_id, clip.seed): clip.metrics[metric]
        for clip in results.clips
        if clip.system == system and metric in clip.metrics and category in (None, clip.category)
    }


def by_prompt(values: Mapping[tuple[str, int], float]) -> list[float]:
    """The mean over its seeds of each prompt."""
    found: dict[str, list[float]] = {}
    for (prompt, _), value in values.items():
        found.setdefault(prompt, []).append(value)
    return [sum(seeds) / len(seeds) for seeds in found.values()]


def figure(results: Results, system: str, metric: str, category: str | None = None) -> Estimate | None:
    """A system's mean of a metric over prompts with its 95 % interval; None where nothing was measured."""
    values = by_prompt(measured(results, system, metric, category))
    if is_share(metric):
        return over_prompts([value / 100 for value in values], share)
    return over_prompts(values, mean)


def difference(results: Results, system: str, against: str, metric: str) -> Estimate | None:
    """Mean of `system` - `against` over the prompts and seeds that both have, with its 95 % interval; None without."""
    ours, theirs = (measured(results, name, metric) for name in (system, against))
    values = by_prompt({place: ours[place] - theirs[place] for place in ours if place in theirs})
    if is_share(metric):
        return over_prompts([value / 100 for value in values], share_difference)
    return over_prompts(values, mean)


def is_share(metric: str) -> bool:
    """Whether a metric is a share of clips; results of others may have metrics of their own."""
    return metric in METRICS and METRICS[metric].share


def over_prompts(values: Sequence[float], estimate: Callable[[Sequence[float]], Estimate]) -> Estimate | None:
    """The estimate from one number a prompt, without an interval below MIN_PROMPTS; None without any."""
    if not values:
        return None
    found = estimate(values)
    return found if len(values) >= MIN_PROMPTS else replace(found, low=None, high=None)


def frozen_share(results: Results, system: str) -> float:
    """How many percent of a system's clips stand still; 0 where that was not measured."""
    found = figure(results, system, "still")
    return found.value if found else 0.0
