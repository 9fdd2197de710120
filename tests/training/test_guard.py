"""When a run stops by itself, and which weights it may keep: rows of its log."""

import pytest

from huvidpo.training import guard


def rows(count: int, **last: float) -> list[dict[str, float]]:
    usual = {"loss": 0.6, "gradient_norm": 1.0, "winner_error": 0.2, "winner_drift": -0.001, "motion": -1.0}
    return [dict(usual) for _ in range(count - 1)] + [usual | last]


def test_what_the_guard_lets_pass_and_what_not() -> None:
    assert guard.reason_to_stop(rows(100)) == ""
    assert "no longer numbers" in guard.reason_to_stop(rows(1, loss=float("nan")))
    assert guard.reason_to_stop(rows(100, gradient_norm=1000)) == "", "one spike is no explosion"
    spikes = [*rows(100), *rows(1, gradient_norm=30), *rows(1, gradient_norm=25), *rows(1, gradient_norm=21)]
    assert "exploded" in guard.reason_to_stop(spikes)
    drifting = [row | {"winner_error": 0.21, "winner_drift": 0.01} for row in rows(40)]
    assert "5.0% above" in guard.reason_to_stop(drifting) and guard.reason_to_stop(drifting[:39]) == ""


def test_winners_that_come_back_do_not_drift() -> None:
    """10 % above the reference in the first half of 40 steps, 0.5 % (0.001 of 0.2) in the last; then turned round."""
    far = [row | {"winner_error": 0.22, "winner_drift": 0.02} for row in rows(20)]
    near = [row | {"winner_error": 0.201, "winner_drift": 0.001} for row in rows(20)]
    assert guard.winner_drift([*far, *near]) == pytest.approx(0.005) and guard.reason_to_stop([*far, *near]) == ""
    assert guard.winner_drift([*near, *far]) == pytest.approx(0.0525) and guard.reason_to_stop([*near, *far]) != ""


def test_steps_without_winners_take_no_part_in_their_drift() -> None:
    """Every other step had none; the others' error is 0.21, of which 0.01 is drift: 0.01 / 0.2."""
    drifting = [row | {"winner_error": 0.21, "winner_drift": 0.01} for row in rows(20)]
    without = [row | {"winner_error": None, "winner_drift": None} for row in rows(20)]
    mixed = [row for pair in zip(drifting, without, strict=True) for row in pair]
    assert guard.winner_drift(mixed) == pytest.approx(0.05) and "above" in guard.reason_to_stop(mixed)
    assert guard.winner_drift(without) == 0 and guard.reason_to_stop(without) == ""


def test_motion_is_lost_where_it_was_last_seen_so() -> None:
    assert not guard.has_lost_motion(rows(5)), "nobody looked"
    assert guard.has_lost_motion([*rows(1, motion=0.7), *rows(9)])
    assert not guard.has_lost_motion([*rows(1, motion=0.7), *rows(9, motion=0.8)])


def test_what_was_no_number_is_none_in_the_log() -> None:
    for name in ("loss", "gradient_norm"):
        assert guard.reason_to_stop(rows(3, **{name: None})) == guard.NO_NUMBERS
