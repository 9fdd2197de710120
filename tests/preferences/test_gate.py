"""When a candidate may become the default: votes, ties, motion."""

import hashlib
from dataclasses import replace

import pytest

from huvidpo.evaluation.verdict import comparisons_of_ratings
from huvidpo.preferences.gate import judge, needed_words, verdict_of, votes_needed
from huvidpo.preferences.records import Rating, TakeRecord, new_id, new_pair
from huvidpo.preferences.statistics import wilson_interval


def votes(
    wins: int, losses: int, ties: int = 0, motion: tuple[float, float] = (1.0, 1.0), **pair: str
) -> list[Rating]:
    """Of a candidate of the revision `new` against `old`, on a pair each; the candidate is a and b in turn."""
    found = []
    for i in range(wins + losses + ties):
        sides = [("new", motion[0]), ("old", motion[1])][:: 1 if i % 2 else -1]
        takes = [
            TakeRecord(hashlib.sha256(f"{i} {name}".encode()).hexdigest(), adapter_revision=name, motion=moved)
            for name, moved in sides
        ]
        made = new_pair(*takes, f"prompt {i}", "horse", "live", "shared-noise")
        own, other = ("a", "b") if i % 2 else ("b", "a")
        said = own if i < wins else other if i < wins + losses else "tie_good"
        found.append(Rating(new_id(), replace(made, **{"split": "measure", **pair}), said, "a", "c" * 16))
    return found


def test_a_clear_winner_passes() -> None:
    """15 of 20 decided, z = 1.96: centre (15 + 1.92) / 23.84 = 0.710, half-width 0.178 (Wilson 1927).

    That is what is shown. The gate is looked at after every vote and asks for z = 2.81: 15 of 20 have the centre
    (15 + 3.94) / 27.88 = 0.679 and the half-width 0.213, 17 of 20 have 0.751 and 0.189.
    """
    verdict = judge(votes(15, 5, ties=4), "new", "old")
    assert (verdict.wins, verdict.losses, verdict.ties, verdict.win_rate) == (15, 5, 4, 0.75)
    assert verdict.low == pytest.approx(0.531, abs=1e-3) and verdict.high == pytest.approx(0.888, abs=1e-3)
    assert (
        not verdict.passed
        and verdict.reason == f"About {verdict.votes_needed} more decided votes are needed, at this rate."
    )
    verdict = judge(votes(17, 3, ties=4), "new", "old")
    assert verdict.passed and verdict.votes_needed == 0 and verdict.motion == 1


def test_the_other_side_sees_the_same_votes_the_other_way() -> None:
    verdict = judge(votes(15, 5), "old", "new")
    assert (verdict.wins, verdict.losses) == (5, 15) and not verdict.passed and "It lost" in verdict.reason


def test_ties_do_not_open_the_gate() -> None:
    assert not judge(votes(6, 0, ties=50), "new", "old").passed, "six votes decide nothing, whatever the ties"


def test_only_blind_first_votes_on_measure_pairs_of_the_two_count() -> None:
    good = votes(15, 0)
    assert judge([replace(vote, is_repeat=True) for vote in good], "new", "old").wins == 0
    assert judge([replace(vote, supersedes="f" * 16) for vote in good], "new", "old").wins == 0, "names were seen"
    assert judge(votes(15, 0, split="train"), "new", "old").wins == 0
    assert judge(good, "newer", "old").wins == 0
    assert judge([*good, *good], "new", "old").wins == 15, "a person has one vote on a pair"
    assert judge([replace(vote, rater_kind="import") for vote in good], "new", "old").wins == 0
    assert judge([replace(vote, rater_kind="owner") for vote in good], "new", "old").wins == 0, "by the command"
    at_the_page = [replace(vote, rater_kind="owner", decision_ms=900) for vote in good]
    assert judge(at_the_page, "new", "old").wins == 15


def test_a_clip_of_unknown_making_is_not_one_without_an_adapter() -> None:
    """Neither has a revision."""
    for adapter, wins in (("", 0), ("none", 15)):
        given = []
        for vote in votes(15, 0):
            a, b = (
                replace(take, adapter=adapter, adapter_revision="") if take.adapter_revision == "old" else take
                for take in (vote.pair.a, vote.pair.b)
            )
            given.append(replace(vote, pair=replace(vote.pair, a=a, b=b)))
        assert judge(given, "new", "").wins == wins


def test_clips_that_differ_in_more_than_their_adapters_do_not_count() -> None:
    """Nor do pairs of another program's, which may be of any making."""
    for pair in ({"origin": "import"}, {"origin": "live"}):
        found = judge(votes(30, 0, **pair), "new", "old")
        assert found.wins == (30 if pair["origin"] == "live" else 0)
    for change in ({"backbone": "sd14"}, {"steps": 50}, {"guidance": 7.5}, {"first_frame_sha256": "f" * 64}):
        unlike = [replace(vote, pair=replace(vote.pair, a=replace(vote.pair.a, **change))) for vote in votes(30, 0)]
        assert judge(unlike, "new", "old").wins == 0, change
        assert comparisons_of_ratings(unlike, {"new": "new", "old": "old"}) == []


def test_taking_back_what_went_against_a_wish_does_not_open_the_gate() -> None:
    """Names are seen after each vote. One in twenty may be a slip of the finger: 1 beside 20 votes, not 2."""
    won, undone = votes(20, 0), votes(0, 22)[20:]
    assert judge(won, "new", "old", undone[:1]).passed
    verdict = judge(won, "new", "old", undone)
    assert not verdict.passed and verdict.wins == 20 and "2 answers were taken back" in verdict.reason
    assert judge(won, "newer", "old", undone).wins == 0
    repeat = replace(undone[0], rating_id=new_id(), is_repeat=True)
    assert judge(won, "new", "old", [undone[0], repeat]).passed, "one pair of one person"


def test_people_who_agree_on_pairs_do_not_open_it_by_their_number() -> None:
    """Ten people, eight pairs, all for it on six and against it on two: Wilson would take that for 60 of 80 votes.

    Over prompts it is 6 of 8, whose bound at the gate's confidence lies below one half.
    """
    by_prompt = [(10, 0)] * 6 + [(0, 10)] * 2
    assert wilson_interval(60, 80, 0.995)[0] > 0.5
    verdict = verdict_of(by_prompt, 0, 1.0)
    assert not verdict.passed and "on some of the prompts only" in verdict.reason


def test_one_pair_that_many_liked_does_not_outweigh_the_others() -> None:
    """40 people for it on one pair, one vote against it on each of four others: with other prompts it would lose."""
    liked, others = votes(1, 0)[0], votes(0, 5)[1:]
    given = [replace(liked, rating_id=new_id(), rater=f"{i:016x}") for i in range(40)] + others
    verdict = judge(given, "new", "old")
    assert (verdict.wins, verdict.losses, verdict.prompts) == (40, 4, 5)
    assert not verdict.passed and verdict.reason == "It won, but on some of the prompts only: vote on pairs of others."


def test_votes_on_few_prompts_keep_it_closed() -> None:
    """Seventeen votes of twenty, on four prompts; a fifth prompt opens it. Ties on other prompts do not count."""
    for prompts, passed in ((4, False), (5, True)):
        given = [on_prompt(vote, i % prompts) for i, vote in enumerate(votes(17, 3))]
        ties = votes(17, 3, ties=9)[20:]
        verdict = judge([*given, *ties], "new", "old")
        assert (verdict.prompts, verdict.passed) == (prompts, passed)
        assert passed or verdict.reason == "It won, but on 4 prompts only: vote on 5 or more."
        assert verdict.votes_needed == 5 - prompts


def on_prompt(vote: Rating, number: int) -> Rating:
    """The same vote on a pair of another prompt."""
    pair = new_pair(vote.pair.a, vote.pair.b, f"shared prompt {number}", "horse", "live", "shared-noise")
    return replace(vote, pair=replace(pair, split="measure"))


def test_lost_motion_and_unknown_motion_keep_it_closed() -> None:
    assert "only 80% of the motion" in judge(votes(18, 2, motion=(0.8, 1.0)), "new", "old").reason
    unknown = judge(votes(18, 2, motion=(-1.0, 1.0)), "new", "old")
    assert not unknown.passed and "not measured" in unknown.reason


def test_votes_still_needed() -> None:
    """At 12 of 20 the lower bound is 0.39: more are needed, and one fewer would not do."""
    assert votes_needed(15, 5) == 0 and votes_needed(10, 10) == -1 and votes_needed(3, 20) == -1
    more = votes_needed(12, 8)
    wins = 12 + 0.6 * more
    assert (
        wilson_interval(int(wins + 1e-9), 20 + more)[0] > 0.5 >= wilson_interval(int(wins - 0.6 + 1e-9), 19 + more)[0]
    )
    assert 10 <= votes_needed(0, 0) < 40, "a first guess, before anybody voted"
    assert "more decided votes" in judge(votes(6, 3), "new", "old").reason
    assert "no number of votes" in judge(votes(10, 10), "new", "old").reason
    assert votes_needed(1001, 999) == 2001 and needed_words(2001) == "more than 2000 more votes", "not never"
    assert [needed_words(one) for one in (-1, 0, 1)] == ["no number of votes", "no more votes", "about 1 more vote"]
