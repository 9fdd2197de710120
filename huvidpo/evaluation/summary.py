"""Figures of an evaluation: a system's mean of a metric, and how far two systems are apart, with their intervals.

Clips of one prompt are not independent of each other, so a prompt counts once, with the mean over its seeds, and the
bootstrap draws prompts.
"""

from collections.abc import Sequence
from dataclasses import replace

from huvidpo.evaluation.estimates import Estimate, mean
from huvidpo.evaluation.results import Results

MIN_PROMPTS = 5  # with fewer a bootstrap over prompts is far too sure of itself, and no interval is given


def prompt_means(results: Results, system: str, metric: str, category: str | None = None) -> dict[str, float]:
    """Prompt id -> mean over the seeds that have this metric; all categories, or one."""
    found: dict[str, list[float]] = {}
    for clip in results.clips:
        if clip.system == system and metric in clip.metrics and category in (None, clip.category):
            found.setdefault(clip.prompt_id, []).append(clip.metrics[metric])
    return {prompt: sum(values) / len(values) for prompt, values in found.items()}


def figure(results: Results, system: str, metric: str, category: str | None = None) -> Estimate | None:
    """A system's mean of a metric over prompts with its 95 % interval; None where nothing was measured."""
    values = prompt_means(results, system, metric, category)
    return over_prompts([*values.values()])


def difference(
    results: Results, system: str, against: str, metric: str, category: str | None = None
) -> Estimate | None:
    """Mean of `system` - `against` over the prompts that both have, with its 95 % interval; None where none is."""
    ours, theirs = (prompt_means(results, name, metric, category) for name in (system, against))
    shared = [prompt for prompt in ours if prompt in theirs]
    return over_prompts([ours[prompt] - theirs[prompt] for prompt in shared])


def over_prompts(values: Sequence[float]) -> Estimate | None:
    """The mean of one number a prompt, without an interval below MIN_PROMPTS; None without any."""
    if not values:
        return None
    return mean(values) if len(values) >= MIN_PROMPTS else replace(mean(values), low=None, high=None)
