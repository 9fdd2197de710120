"""Win rates and rankings against sums done by hand and against other ways to the same number."""

import math
from dataclasses import replace

import numpy as np
import pytest

from huvidpo.evaluation.estimates import clustered_interval
from huvidpo.evaluation.ranking import davidson, rank, ranking_of
from huvidpo.evaluation.verdict import (
    Comparison,
    comparisons_of_ratings,
    win_rate,
    win_rates,
)
from tests.preferences.test_gate import votes

TIED = np.array([[0, 4, 2], [4, 0, 6], [2, 6, 0]])
WINS = np.array([[0, 9, 12], [5, 0, 7], [3, 4, 0]])


def said(prompt: int, first: str, second: str, outcome: str, *motion: float) -> Comparison:
    return Comparison(f"prompt {prompt}", first, second, outcome, "rater", *motion)


def test_win_rate_by_hand() -> None:
    """Three for A, one for B, one tie: 3 of 4 decided; 3.5 of 5 with ties halved.

    One vote stands with B first. The motion of A's clips is 4 x 1.0 + 2.0 = 6, of B's 4 x 2.0 + 4.0 = 12: one half.
    """
    choices = [said(i, "A", "B", outcome, 1.0, 2.0) for i, outcome in enumerate(["first", "first", "second", "tie"])]
    choices += [said(9, "B", "A", "second", 4.0, 2.0), said(1, "A", "C", "second")]
    rate = win_rate(choices, "A", "B")
    assert (rate.wins, rate.losses, rate.ties, rate.prompts, rate.raters) == (3, 1, 1, 5, 1)
    assert rate.decided.value == 0.75 and rate.halved == pytest.approx(0.7)
    assert rate.motion == pytest.approx(0.5)
    turned = win_rate(choices, "B", "A")
    assert (turned.wins, turned.losses, turned.motion) == (1, 3, pytest.approx(2.0))
    assert [(rate.system, rate.against) for rate in win_rates(choices)] == [("A", "B"), ("A", "C")]


def test_nothing_is_known_without_votes() -> None:
    rate = win_rate([], "A", "B")
    assert math.isnan(rate.halved) and rate.clustered is None and rate.motion == -1 and rate.votes_needed > 0


def test_votes_needed_until_either_side_is_ahead() -> None:
    """Wilson for 15 of 20 is 0.53 to 0.89: decided. 12 of 20 needs more, the same for the side that is behind."""
    ahead, decided = ([said(i, "A", "B", "first" if i < wins else "second") for i in range(20)] for wins in (12, 15))
    assert win_rate(ahead, "A", "B").votes_needed == win_rate(ahead, "B", "A").votes_needed > 0
    assert win_rate(decided, "A", "B").votes_needed == 0 == win_rate(decided, "B", "A").votes_needed


def test_a_decision_needs_prompts_as_well_as_votes() -> None:
    """15 of 20 on one prompt lack four others. 40 of 60, Wilson 0.54 to 0.77, is four prompts of six: not decided.

    Their interval over prompts reaches below one half; it shrinks as the root of the votes, so they must be many more.
    """
    on_one = win_rate([said(0, "A", "B", "first" if i < 15 else "second") for i in range(20)], "A", "B")
    assert (on_one.decided_prompts, on_one.is_decided, on_one.votes_needed) == (1, False, 4)
    votes_of_six = [said(i, "A", "B", "first" if i < 4 else "second") for i in range(6) for _ in range(10)]
    rate = win_rate(votes_of_six, "A", "B")
    assert rate.decided.interval[0] > 0.5 > rate.clustered[0]
    assert not rate.is_decided and 60 < rate.votes_needed < 1000
    level = win_rate([said(i, "A", "B", "first" if i < 3 else "second") for i in range(6)], "A", "B")
    assert level.votes_needed > 0, "three of six do not say who is ahead"


def test_clustered_interval_of_equal_clusters_is_the_binomial() -> None:
    """Forty prompts with ten like votes each are forty votes: 1.96 sqrt(0.7 x 0.3 / 40) = 0.142 about 0.7.

    Wilson, who takes them for 400, says 0.045.
    """
    wins, totals = [10] * 28 + [0] * 12, [10] * 40
    low, high = clustered_interval(wins, totals)
    assert (low, high) == (pytest.approx(0.558, abs=0.03), pytest.approx(0.842, abs=0.03))
    assert clustered_interval([*wins, 0], [*totals, 0]) == (low, high), "a prompt with ties only says nothing"
    assert clustered_interval([10, 0, 10, 10], [10] * 4) is None, "four prompts are too few to draw from"
    assert clustered_interval([3] * 6, [3] * 6) is None and clustered_interval([1] * 6, [2] * 6) is None


def test_davidson_of_two_systems_by_hand() -> None:
    """The model is saturated: P = 24, 6, 10 of 40, so pi_1 / pi_2 = 24 / 6 and nu = 10 / sqrt(24 x 6) = 0.8333."""
    strengths, nu = davidson(np.array([[0, 24], [6, 0]]), np.array([[0, 10], [10, 0]]))
    assert strengths[0] - strengths[1] == pytest.approx(math.log(4), abs=1e-4)
    assert nu == pytest.approx(10 / 12, abs=1e-4) and strengths.sum() == pytest.approx(0)


def test_without_ties_it_is_the_model_of_bradley_and_terry() -> None:
    """Zermelo's iteration as in Hunter (2004), MM algorithms, equation 3: pi_i <- w_i / sum_j n_ij / (pi_i + pi_j)."""
    met, pi = WINS + WINS.T, np.ones(3)
    for _ in range(2000):
        pi = WINS.sum(axis=1) / (met / (pi[:, None] + pi[None, :])).sum(axis=1)
        pi /= pi.sum()
    found, nu = davidson(WINS, np.zeros_like(WINS))
    assert np.exp(found) / np.exp(found).sum() == pytest.approx(pi, abs=1e-4) and nu < 1e-4


def test_davidson_expects_what_was_seen() -> None:
    """At the maximum each system's expected wins + ties / 2, and all ties together, are the observed ones."""
    strengths, nu = davidson(WINS, TIED)
    pi = np.exp(strengths)
    between = nu * np.sqrt(np.outer(pi, pi))
    met = WINS + WINS.T + TIED
    share = met / (pi[:, None] + pi[None, :] + between)
    expected = (share * pi[:, None] + share * between / 2).sum(axis=1)
    assert expected == pytest.approx((WINS + TIED / 2).sum(axis=1), abs=1e-3)
    assert np.triu(share * between, 1).sum() == pytest.approx(12, abs=1e-3)


def test_a_ranking_with_intervals() -> None:
    outcomes = [("A", "B", "first"), ("A", "B", "tie"), ("B", "C", "first"), ("B", "C", "second"), ("A", "C", "first")]
    choices = [said(i, *outcome) for i in range(8) for outcome in outcomes]
    choices += [said(i, "B", "C", "first") for i in range(4)] + [said(6, "C", "A", "first")]
    ranking = rank(choices)
    assert [standing.system for standing in ranking] == ["A", "B", "C"]
    for standing in ranking:
        assert -math.inf < standing.low <= standing.strength <= standing.high < math.inf
    assert ranking[0].against_average > 0.5 > ranking[-1].against_average
    few = rank([choice for choice in choices if choice.prompt < "prompt 3"])
    assert few[0].low == -math.inf, "three prompts say nothing of others"


def test_who_never_lost_keeps_a_finite_strength_and_strangers_are_not_ranked() -> None:
    """6 : 0 and half a win each way are 6.5 : 0.5, so log 13 lies between the two."""
    best, _ = rank([said(i, "A", "B", "first") for i in range(6)])
    assert best.system == "A" and best.strength == pytest.approx(math.log(13) / 2, abs=1e-3)
    assert (best.low, best.high) == (-math.inf, math.inf), "every draw of six such prompts is the same"
    with pytest.raises(ValueError, match="never compared"):
        rank([said(0, "A", "B", "first"), said(1, "C", "D", "tie")])
    assert rank([]) == []


def test_who_won_every_vote_may_be_stronger_still() -> None:
    """C lost to both on eight prompts, A and B are close: nothing says how far below them C is, or A and B above."""
    choices = [said(i, one, "C", "first") for i in range(8) for one in "AB"]
    choices += [said(i, "A", "B", "first" if i % 3 else "second") for i in range(8)]
    standings = {standing.system: standing for standing in rank(choices)}
    assert standings["C"].low == -math.inf and standings["C"].against_average_interval[0] == 0
    assert all(math.isfinite(standings[name].high) for name in "AB"), "each lost to the other"
    assert standings["C"].to_row()["low"] is None
    winner = {standing.system: standing for standing in rank([one for one in choices if one.outcome == "first"])}["A"]
    assert winner.high == math.inf and winner.against_average_interval[1] == 1 > winner.against_average


def test_where_there_is_no_ranking_the_reason_is_said() -> None:
    """Two systems need none; of two groups that never met nobody is the better one."""
    apart = [said(0, "A", "B", "first"), said(1, "C", "D", "tie")]
    assert ranking_of(apart[:1]) == ([], "") and "never compared" in ranking_of(apart)[1]
    assert len(ranking_of([*apart, said(2, "B", "C", "first")])[0]) == 4


def test_ratings_become_comparisons_of_adapters() -> None:
    ratings = votes(3, 1, ties=2, motion=(2.0, 1.0))
    choices = comparisons_of_ratings(ratings, {"new": "dpo-1", "old": "motion"})
    rate = win_rate(choices, "dpo-1", "motion")
    assert (rate.wins, rate.losses, rate.ties, rate.motion) == (3, 1, 2, 2.0)
    assert comparisons_of_ratings(ratings, {"new": "dpo-1"}) == []
    for unfit in ({"supersedes": "e" * 16}, {"is_repeat": True}):
        assert comparisons_of_ratings([replace(one, **unfit) for one in ratings], {"new": "n", "old": "o"}) == []
    assert comparisons_of_ratings(votes(3, 1, split="train"), {"new": "dpo-1", "old": "motion"}) == []
