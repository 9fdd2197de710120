"""Figures with their 95 % intervals. Pure numbers: knows no model and no file."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, bootstrap

CONFIDENCE = 0.95
RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A figure over `count` samples with its 95 % interval; None where a single sample says nothing about that."""

    value: float
    low: float | None
    high: float | None
    count: int


def share(right: Sequence[bool]) -> Estimate:
    """How many are true, in percent, with Wilson's interval. ValueError when there are none."""
    if not len(right):
        raise ValueError("A share needs at least one sample.")
    hits, count = int(np.sum(right)), len(right)
    low, high = binomtest(hits, count).proportion_ci(CONFIDENCE, method="wilson")
    return Estimate(100 * hits / count, 100 * float(low), 100 * float(high), count)


def mean(values: Sequence[float]) -> Estimate:
    """The mean with its percentile bootstrap interval. ValueError when there are no values."""
    return ratio(values, np.ones(len(values)))


def ratio(above: Sequence[float], below: Sequence[float]) -> Estimate:
    """The mean of `above` divided by that of `below`, pairs resampled for its percentile bootstrap interval.

    Unlike a mean of ratios it is not carried away by a few small numbers below. ValueError when there are no values.
    """
    above, below = np.asarray(above, float), np.asarray(below, float)
    if not len(above):
        raise ValueError("A mean needs at least one sample.")

    def statistic(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
        return x.mean(axis=axis) / y.mean(axis=axis)

    value = float(statistic(above, below))
    if len(above) == 1:
        return Estimate(value, None, None, 1)
    rng = np.random.default_rng(0)
    settings = {"n_resamples": RESAMPLES, "confidence_level": CONFIDENCE, "method": "percentile"}
    drawn = bootstrap((above, below), statistic, paired=True, vectorized=True, rng=rng, **settings)
    return Estimate(value, float(drawn.confidence_interval.low), float(drawn.confidence_interval.high), len(above))


def written(figure: Estimate) -> str:
    """A figure with its interval, such as `97.3 [95.5, 98.4]`; small ones with one digit more."""
    digits = 1 if abs(figure.value) >= 10 else 2
    ends = ("?" if end is None else f"{end:.{digits}f}" for end in (figure.low, figure.high))
    return f"{figure.value:.{digits}f} [{', '.join(ends)}]"
