"""Figures with their 95 % intervals. Pure numbers: knows no model and no file."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import bootstrap, norm, t

from huvidpo.preferences.statistics import MIN_PROMPTS, wilson_interval

CONFIDENCE = 0.95
RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A figure over `count` samples with its 95 % interval; None where a single sample says nothing about that."""

    value: float
    low: float | None
    high: float | None
    count: int


def share(right: Sequence[float]) -> Estimate:
    """The mean of shares (0 to 1) or of true and false, in percent, with Wilson's interval: one trial each.

    Raises ValueError when there are none.
    """
    if not len(right):
        raise ValueError("A share needs at least one sample.")
    hits, count = float(np.sum(right)), len(right)
    low, high = wilson_interval(hits, count, CONFIDENCE)
    return Estimate(100 * hits / count, 100 * low, 100 * high, count)


# Bonett and Price (2012), "Adjusted Wald confidence interval for a difference of binomial proportions based on paired
# data": with x12 pairs that only the second has, x21 that only the first has, p = (x + 1) / (n + 2) and d = p21 - p12,
#   d +- z sqrt((p12 + p21 - d^2) / (n + 2)).
def share_difference(differences: Sequence[float]) -> Estimate:
    """The mean difference of two shares of the same samples, -1 to 1 each, in points of percent.

    Where a sample's shares are not 0 or 1, x12 and x21 are the sums of the negative and the positive differences.
    Raises ValueError when there are none.
    """
    if not len(differences):
        raise ValueError("A difference needs at least one sample.")
    values, n = np.asarray(differences, float), len(differences)
    p12, p21 = ((part.sum() + 1) / (n + 2) for part in ((-values).clip(0), values.clip(0)))
    d = p21 - p12
    half = norm.ppf((1 + CONFIDENCE) / 2) * math.sqrt((p12 + p21 - d**2) / (n + 2))
    low, high = max(-1.0, d - half), min(1.0, d + half)
    return Estimate(100 * float(values.mean()), 100 * float(low), 100 * float(high), n)


def mean(values: Sequence[float]) -> Estimate:
    """The mean with its bootstrap interval, see `ratio`. ValueError when there are no values."""
    return ratio(values, np.ones(len(values)))


def ratio(above: Sequence[float], below: Sequence[float], confidence: float = CONFIDENCE) -> Estimate:
    """The mean of `above` divided by that of `below`, pairs resampled for its bootstrap interval (`expanded`).

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
    settings = {"n_resamples": RESAMPLES, "confidence_level": expanded(len(above), confidence), "method": "percentile"}
    drawn = bootstrap((above, below), statistic, paired=True, vectorized=True, rng=rng, **settings)
    low, high = map(float, drawn.confidence_interval)
    return Estimate(value, min(low, value), max(high, value), len(above))  # of equal values they differ by a last bit


# Hesterberg (2015), "What Teachers Should Know about the Bootstrap", section 5.3: the bootstrap divides by n where the
# sample variance divides by n - 1, and knows no Student's t. The expanded percentile interval makes up for both,
#   alpha' / 2 = Phi(-sqrt(n / (n - 1)) t_{1 - alpha / 2, n - 1}).
def expanded(count: int, confidence: float = CONFIDENCE) -> float:
    """The confidence to ask of a percentile bootstrap of `count` samples for 95 %: 0.998 of 5, 0.952 of 200."""
    tail = norm.cdf(-math.sqrt(count / (count - 1)) * t.ppf((1 + confidence) / 2, count - 1))
    return float(1 - 2 * tail)


def written(figure: Estimate) -> str:
    """A figure with its interval, such as `97.3 [95.5, 98.4]`; small ones with one digit more."""
    digits = 1 if abs(figure.value) >= 10 else 2
    ends = ("?" if end is None else f"{end:.{digits}f}" for end in (figure.low, figure.high))
    return f"{figure.value:.{digits}f} [{', '.join(ends)}]"


def clustered_interval(
    parts: Sequence[float], totals: Sequence[float], confidence: float = CONFIDENCE
) -> tuple[float, float] | None:
    """The bootstrap interval of sum(parts) / sum(totals), with one number of each for every cluster.

    Clusters whose total is 0 say nothing and are left out. None when fewer than MIN_PROMPTS say something, and when
    all say the same: drawing from 6 of 6 gives 6 of 6 every time, which is not certainty.
    """
    parts, totals = np.asarray(parts, float), np.asarray(totals, float)
    parts, totals = parts[totals > 0], totals[totals > 0]
    if len(totals) < MIN_PROMPTS or np.ptp(parts / totals) < 1e-9:
        return None
    estimate = ratio(parts, totals, confidence)
    return estimate.low, estimate.high
