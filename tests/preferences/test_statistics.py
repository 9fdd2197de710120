"""Figures about raters against sums done by hand."""

import math

import pytest

from huvidpo.preferences.records import Pair, Rating, TakeRecord, new_id, new_pair
from huvidpo.preferences.statistics import (
    Share,
    krippendorff_alpha,
    left_bias,
    rater_agreement,
    self_agreement,
    stiller_chosen,
    stillness_warning,
    summarise,
    wilson_interval,
)


def pair(number: int, motion_a: float = -1.0, motion_b: float = -1.0) -> Pair:
    a, b = f"{number:063x}a", f"{number:063x}b"
    return new_pair(TakeRecord(a, motion=motion_a), TakeRecord(b, motion=motion_b), "p", "horse", "queue", "aligned")


def rating(number: int, preference: str, left_is: str = "a", rater: str = "1", **more: object) -> Rating:
    motion = more.pop("motion", (-1.0, -1.0))
    return Rating(new_id(), pair(number, *motion), preference, left_is, rater * 16, **more)


def test_wilson_interval_by_hand() -> None:
    """8 of 10, z = 1.96: (0.8 + 0.19207) / 1.38415 +- 1.96 * sqrt(0.016 + 0.009604) / 1.38415 = 0.7167 +- 0.2266."""
    assert wilson_interval(8, 10) == pytest.approx((0.4902, 0.9433), abs=2e-4)
    assert wilson_interval(0, 0) == (0.0, 1.0) and math.isnan(Share(0, 0).value)
    assert str(Share(8, 10)) == "80% of 10 (95 % interval 49% to 94%)" and str(Share(0, 0)) == "no data yet"


def test_alpha_of_two_raters_by_hand() -> None:
    """Units ab, aa, bb, bb: n = 8, n_a = 3, n_b = 5. D_o = 2 / 8 (the unit ab twice), D_e = 2 * 15 / (8 * 7).

    alpha = 1 - 0.25 / 0.535714 = 0.533333.
    """
    assert krippendorff_alpha(["ab", "aa", "bb", "bb"]) == pytest.approx(1 - 0.25 / (30 / 56))


def test_alpha_of_four_raters_with_missing_values() -> None:
    """Krippendorff's own example of four observers and 12 units, nominal: 0.743 (Computing alpha, 2011, part C)."""
    units = ["111", "2232", "3333", "3333", "2222", "1234", "4444", "1121", "2222", "555", "11", "3"]
    assert krippendorff_alpha(units) == pytest.approx(0.743, abs=5e-4)


def test_alpha_of_numbers() -> None:
    """Krippendorff's own example again, as numbers: interval alpha 0.849 (Computing alpha, 2011, part D).

    By hand, units 12, 22, 33: n = 6, n_1 = 1, n_2 = 3, n_3 = 2. D_o = 2 x 1 / 6;
    D_e = 2 (1 x 3 x 1 + 1 x 2 x 4 + 3 x 2 x 1) / 30 = 34 / 30. alpha = 1 - 10 / 34.
    """
    units = ["111", "2232", "3333", "3333", "2222", "1234", "4444", "1121", "2222", "555", "11", "3"]
    assert krippendorff_alpha([list(map(int, unit)) for unit in units], interval=True) == pytest.approx(
        0.849, abs=5e-4
    )
    assert krippendorff_alpha([(1, 2), (2, 2), (3, 3)], interval=True) == pytest.approx(1 - 10 / 34)


def test_alpha_is_unknown_without_overlap_or_variety() -> None:
    assert all(math.isnan(krippendorff_alpha(units)) for units in ([], ["a", "b"], ["aa", "aa"]))
    assert krippendorff_alpha(["aa", "bb"]) == 1


def test_rater_agreement_takes_first_answers_and_one_kind_of_tie() -> None:
    """The second answer of rater 1 does not count; both ties agree. Units: a+a, tie+tie, b+a."""
    ratings = [
        rating(0, "a", rater="1"),
        rating(0, "b", rater="1", is_repeat=True),
        rating(0, "a", rater="2"),
        rating(1, "tie_good", rater="1"),
        rating(1, "tie_bad", rater="2"),
        rating(2, "b", rater="1"),
        rating(2, "a", rater="2"),
        rating(3, "a", rater="2"),
    ]
    assert rater_agreement(ratings) == pytest.approx(krippendorff_alpha(["aa", "tt", "ba"]))


def test_left_bias_leaves_ties_out() -> None:
    ratings = [rating(0, "a", "a"), rating(1, "b", "a"), rating(2, "b", "b"), rating(3, "tie_good", "a")]
    assert left_bias(ratings) == Share(2, 3)


def test_self_agreement_compares_repeats_with_the_first_answer_of_the_same_rater() -> None:
    ratings = [
        rating(0, "a", "a"),
        rating(0, "a", "b", is_repeat=True),
        rating(1, "tie_good"),
        rating(1, "tie_bad", is_repeat=True),
        rating(2, "b"),
        rating(2, "a", is_repeat=True),
        rating(2, "a", rater="2"),  # somebody else's first
        rating(3, "a", rater="2", is_repeat=True),  # of nothing
        rating(4, "a"),
        rating(4, "b", is_repeat=True, supersedes="f" * 16),  # after its names were seen
    ]
    assert self_agreement(ratings) == Share(2, 3)


def test_stiller_side_counts_where_motion_is_known_and_differs() -> None:
    """Chosen 1 against 2: stiller. 2 against 1: not. Ties, unknown motion and 2.00 against 2.05 do not count."""
    ratings = [
        rating(0, "a", motion=(1.0, 2.0)),
        rating(1, "b", motion=(1.0, 2.0)),
        rating(2, "tie_bad", motion=(1.0, 2.0)),
        rating(3, "a", motion=(-1.0, 2.0)),
        rating(4, "a", motion=(2.0, 2.05)),
        rating(5, "b", motion=(1.0, 0.0)),
    ]
    assert stiller_chosen(ratings) == Share(2, 3)


@pytest.mark.parametrize("count, total, warned", [(0, 0, False), (7, 10, False), (60, 100, False), (70, 100, True)])
def test_the_warning_needs_a_large_share_that_is_no_chance(count: int, total: int, warned: bool) -> None:
    """7 of 10: the interval reaches down to 40 %. 60 of 100: no chance (50.2 %), but below 65 %."""
    assert bool(stillness_warning(Share(count, total))) is warned


def test_summary_counts() -> None:
    ratings = [rating(0, "a"), rating(1, "b", rater="2"), rating(1, "tie_bad")]
    summary = summarise(ratings)
    assert (summary.ratings, summary.raters, summary.pairs) == (3, 2, 2)
    assert summary.preferences == {"a": 1, "b": 1, "tie_good": 0, "tie_bad": 1}
    assert summarise([]).ratings == 0
