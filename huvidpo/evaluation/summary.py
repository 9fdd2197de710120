"""Figures of an evaluation: a system's mean of a metric, and how far two systems are apart, with their intervals.

Clips of one prompt are not independent of each other, so a prompt counts once, with the mean over its seeds: the
bootstrap draws prompts, and for a share of clips a prompt is a trial.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from huvidpo.evaluation.estimates import Estimate, mean, share, share_difference
from huvidpo.evaluation.metrics import METRICS
from huvidpo.evaluation.results import Results
from huvidpo.preferences.statistics import MIN_PROMPTS


def prompt_means(results: Results, system: str, metric: str, category: str | None = None) -> dict[str, float]:
    """Prompt id -> mean over the seeds that have this metric; all categories, or one."""
    found: dict[str, list[float]] = {}
    for clip in results.clips:
        if clip.system == system and metric in clip.metrics and category in (None, clip.category):
            found.setdefault(clip.prompt_id, []).append(clip.metrics[metric])
    return {prompt: sum(values) / len(values) for prompt, values in found.items()}


def figure(results: Results, system: str, metric: str, category: str | None = None) -> Estimate | None:
    """A system's mean of a metric over prompts with its 95 % interval; None where nothing was measured."""
    values = [*prompt_means(results, system, metric, category).values()]
    if is_share(metric):
        return over_prompts([value / 100 for value in values], share)
    return over_prompts(values, mean)


def difference(
    results: Results, system: str, against: str, metric: str, category: str | None = None
) -> Estimate | None:
    """Mean of `system` - `against` over the prompts that both have, with its 95 % interval; None where none is."""
    ours, theirs = (prompt_means(results, name, metric, category) for name in (system, against))
    values = [ours[prompt] - theirs[prompt] for prompt in ours if prompt in theirs]
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


def frozen_share(results: Results, system: str, category: str | None = None) -> float:
    """How many percent of a system's clips stand still; 0 where that was not measured."""
    found = figure(results, system, "still", category)
    return found.value if found else 0.0
