"""Intervals: how often they hold what they promise, and sums done by hand."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import bootstrap

from huvidpo.evaluation.estimates import expanded, mean, share, share_difference
from huvidpo.evaluation.results import ClipResult, Results, System
from huvidpo.evaluation.summary import difference, figure


def test_an_interval_of_ten_samples_holds_the_mean_about_95_times_in_100() -> None:
    """600 draws of ten normal numbers: 95 % +- 2 x 0.9. The plain percentile bootstrap holds it 90 times in 100."""
    rng = np.random.default_rng(1)
    found = [mean(rng.normal(size=10)) for _ in range(600)]
    assert 0.93 <= np.mean([one.low <= 0 <= one.high for one in found]) <= 0.97


def test_with_many_samples_it_is_the_plain_bootstrap() -> None:
    """Phi(-sqrt(n / (n - 1)) t) by hand for n = 10: 1.0541 x 2.2622 = 2.3846, so 1 - 2 x 0.00855 = 0.9829."""
    assert expanded(10) == pytest.approx(0.9829, abs=1e-4) and expanded(10**6) == pytest.approx(0.95, abs=1e-5)
    values = np.random.default_rng(2).normal(size=2000)
    found, drawn = mean(values), bootstrap((values,), np.mean, method="percentile", rng=np.random.default_rng(0))
    assert (found.low, found.high) == pytest.approx(tuple(drawn.confidence_interval), abs=2e-3)


def test_a_share_of_shares_has_wilsons_interval() -> None:
    """7.5 of 10, z = 1.96: middle (0.75 + 0.1921) / 1.3842 = 0.6806, half-width 1.4160 x 0.16838 = 0.2384."""
    found = share([1, 1, 1, 1, 1, 1, 1, 0.5, 0, 0])
    assert (found.value, found.low, found.high) == pytest.approx((75, 44.22, 91.90), abs=0.01)


def test_a_difference_of_paired_shares_by_hand() -> None:
    """Six pairs for, one against, of ten: p21 = 7/12, p12 = 2/12, d = 0.4167, se = sqrt(0.5764 / 12) = 0.2192.

    0.4167 -+ 1.96 x 0.2192 = -0.0129, 0.8462. Where none differ it is no point: 1/7 twice of five, se = 0.2020.
    """
    found = share_difference([1] * 6 + [-1] + [0] * 3)
    assert (found.value, found.low, found.high) == pytest.approx((50, -1.29, 84.62), abs=0.02)
    alike = share_difference([0] * 5)
    assert (alike.value, alike.low, alike.high) == pytest.approx((0, -39.6, 39.6), abs=0.1)
    assert share_difference([1] * 6).high == 100


def results_of(**values: list[float]) -> Results:
    """A system for each name, with one clip of every prompt that stands still or does not, in percent."""
    clips = tuple(
        ClipResult(name, "horse", f"horse-{i:02}", f"prompt {i}", 0, "x.mp4", {"still": one, "ssim": one})
        for name, given in values.items()
        for i, one in enumerate(given)
    )
    systems = tuple(System(name, name, {}) for name in values)
    return Results("pocket", "2026-01-01", {}, systems, clips)


def test_shares_of_clips_are_not_certain_because_all_clips_agree() -> None:
    """None of ten prompts stands still: Wilson's upper end is z^2 / (n + z^2) = 3.84 / 13.84 = 27.8 %."""
    results = results_of(ours=[0] * 10, theirs=[100] * 10)
    found = figure(results, "ours", "still")
    assert (found.value, found.low, found.high) == (0, 0, pytest.approx(27.75, abs=0.01))
    assert figure(results, "ours", "ssim").high == 0, "a mean of equal numbers is that number"
    assert difference(results, "theirs", "ours", "still").low > 0
    few = dataclasses.replace(results, clips=tuple(clip for clip in results.clips if clip.prompt_id < "horse-04"))
    assert figure(few, "ours", "still").low is None and difference(few, "ours", "theirs", "still").low is None
