"""The open pair of each visitor: what a browser may do with it, and what it may not."""

import json
from dataclasses import replace

import pytest

from huvidpo.preferences.booth import Booth
from huvidpo.preferences.open_pair import Visitor
from huvidpo.preferences.rate_limit import RateLimit
from huvidpo.preferences.selection import Showing
from huvidpo.preferences.store import RatingStore
from tests.ui.planted import FRAMES, plant_pair

ANNA, BERT = Visitor("a" * 16), Visitor("b" * 16, "huggingface", "c" * 16)


class Clock:
    """A clock that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A store with three pairs, whose files later stores of this module share."""
    folder = tmp_path_factory.mktemp("planted")
    store = RatingStore(folder / "home")
    return [(plant_pair(store, folder, number), store) for number in range(3)]


@pytest.fixture
def store(planted, tmp_path):
    store = RatingStore(tmp_path / "home")
    for pair, old in planted:
        store.add_pair(pair, [old.video_path(take.sha256) for take in (pair.a, pair.b)])
    yield store
    store.close()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def booth(store, clock):
    """Draws the pairs in order, the first take on the left, and never twice."""

    def draw(rater: str, category: str, without: set[str]) -> Showing | None:
        done = store.rated_pairs(rater)
        there = store.pairs(category or None)
        left = [pair for pair in there if pair.pair_id not in done and pair.pair_id not in without]
        return Showing(left[0], "a") if left else None

    return Booth(store, draw, clock)


def sent(open_pair, choice: str = "left", **changes) -> dict:
    """What an honest browser sends after a look at both clips."""
    return {
        "showing": open_pair.showing_id,
        "choice": choice,
        "segments": ["left", "right", "tie", "-"],
        "answers": {"left": {"quality": 4}, "right": {"alignment": 2}},
        "seen": FRAMES,
        "decision_ms": 1234,
        "watched": 0.5,
        "plays": 1,
        **changes,
    }


def watch(booth, clock, visitor=ANNA):
    """The visitor's open pair, after its clips have played once."""
    showing = booth.open(visitor)
    clock.now += showing.seconds
    return showing


def test_left_and_right_become_a_and_b_by_the_servers_own_draw(booth, clock, store):
    """b stands on the left: `left` is b, and part labels and answers turn with it."""
    showing = watch(booth, clock)
    booth._seats[ANNA.rater].showing = showing = replace(showing, left_is="b")
    rating, _ = booth.rate(ANNA, sent(showing))
    assert (rating.preference, rating.left_is) == ("b", "b")
    assert rating.segment_labels == ("b", "a", "tie", "-")
    assert (rating.answers_b.quality, rating.answers_a.alignment, rating.answers_a.quality) == (4, 2, 0)
    assert (rating.decision_ms, rating.watched_seconds, rating.plays) == (1234, 0.5, 1)
    assert store.ratings() == [rating]


@pytest.mark.parametrize(
    "choice, preference", [("left", "a"), ("right", "b"), ("both_good", "tie_good"), ("both_bad", "tie_bad")]
)
def test_every_choice_has_its_preference(booth, clock, choice, preference):
    assert booth.rate(ANNA, sent(watch(booth, clock), choice))[0].preference == preference


def test_a_reload_finds_the_same_pair_on_the_same_sides(booth):
    first = booth.open(ANNA)
    assert booth.open(ANNA) is first and booth.open(BERT).showing_id != first.showing_id


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"choice": "a"}, "Choose left"),
        ({"choice": ["left"]}, "Choose left"),
        ({"choice": None}, "Choose left"),
        ({"seen": FRAMES - 1}, "watch both clips"),
        ({"segments": ["left"]}, "parts"),
        ({"segments": ["a", "b", "tie", "-"]}, "parts"),
        ({"segments": "left"}, "parts"),
        ({"segments": [None, {}, [], 1]}, "parts"),
        ({"answers": {"left": {"quality": 6}}}, "from 1 to 5"),
        ({"answers": {"left": {"quality": True}}}, "from 1 to 5"),
        ({"answers": {"left": "5"}}, "damaged"),
        ({"showing": "0" * 16}, "no longer open"),
        ({"showing": None}, "no longer open"),
    ],
)
def test_what_does_not_fit_the_open_pair_is_refused_and_changes_nothing(booth, clock, store, changes, sentence):
    showing = watch(booth, clock)
    with pytest.raises(ValueError, match=sentence):
        booth.rate(ANNA, sent(showing) | changes)
    assert store.ratings() == [] and booth.open(ANNA) is showing
    booth.rate(ANNA, sent(showing))


@pytest.mark.parametrize("message", [None, [], "left", 7, {}])
def test_a_message_that_is_none_is_refused(booth, message):
    booth.open(ANNA)
    with pytest.raises(ValueError, match="no longer open"):
        booth.rate(ANNA, message)
    with pytest.raises(ValueError, match="no longer open"):
        booth.skip(ANNA, message)


def test_what_the_browser_says_of_sides_and_pairs_is_not_read(booth, clock):
    showing = watch(booth, clock)
    lies = {"left_is": "b", "pair_id": "f" * 16, "rater": "f" * 16, "is_repeat": True, "supersedes": "f" * 16}
    rating, _ = booth.rate(ANNA, sent(showing, **lies))
    assert (rating.left_is, rating.preference, rating.rater) == ("a", "a", ANNA.rater)
    assert (rating.is_repeat, rating.supersedes, rating.pair) == (False, "", showing.pair)


UNKNOWN, NONE, MOST = (-1, -1, -1), (0, 0, 0), (86_400_000, 86_400, 10_000)


@pytest.mark.parametrize(
    "value, kept",
    [
        (float("nan"), UNKNOWN),
        (float("inf"), UNKNOWN),
        ("x", UNKNOWN),
        (None, UNKNOWN),
        (True, UNKNOWN),
        (-5, NONE),
        (1e300, MOST),
        (7, (7, 7, 7)),
    ],
)
def test_measured_times_are_clamped(booth, clock, value, kept):
    """A day is the longest that counts: 86,400,000 ms; what is no number is -1, which is "unknown"."""
    rating, _ = booth.rate(ANNA, sent(watch(booth, clock), decision_ms=value, watched=value, plays=value))
    assert (rating.decision_ms, rating.watched_seconds, rating.plays) == kept


def test_a_vote_before_the_clips_can_have_played_is_refused_whatever_the_browser_claims(booth, clock):
    """4 frames at 8 a second last 0.5 s; 0.4 s are not enough, whatever is claimed, 0.46 s are (nine tenths)."""
    showing = booth.open(ANNA)
    clock.now += 0.4
    with pytest.raises(ValueError, match="watch both clips"):
        booth.rate(ANNA, sent(showing))
    clock.now += 0.06
    booth.rate(ANNA, sent(showing))


def test_a_vote_counts_once(booth, clock, store):
    showing = watch(booth, clock)
    booth.rate(ANNA, sent(showing))
    with pytest.raises(ValueError, match="already rated"):
        booth.rate(ANNA, sent(showing, "right"))
    with pytest.raises(ValueError, match="no longer open"):
        booth.rate(BERT, sent(showing))
    assert [rating.preference for rating in store.ratings()] == ["a"]


def test_pairs_that_are_skipped_come_back_when_no_others_are_left(booth, store, clock):
    """A, B and C are skipped, A comes again and is rated, then B; what cannot be shown does not come again."""
    first, *others = [booth.open(ANNA)]
    booth.skip(ANNA, sent(first))
    for _ in range(2):
        others.append(booth.open(ANNA))
        assert others[-1].pair != first.pair and not others[-1].was_skipped
        booth.skip(ANNA, sent(others[-1]))
    again = watch(booth, clock)
    assert again.pair == first.pair and again.was_skipped
    booth.rate(ANNA, sent(again))
    assert booth.open(ANNA).pair == others[0].pair and booth.open(ANNA).was_skipped
    booth.mark_unfit(ANNA, booth.open(ANNA))
    booth.mark_unfit(ANNA, booth.open(ANNA))
    assert booth.open(ANNA) is None
    booth.arrive(ANNA)
    assert booth.open(ANNA).pair == others[0].pair and not booth.open(ANNA).was_skipped


def test_a_visitor_can_ask_for_one_action(booth, store, tmp_path):
    """The open pair of another one closes; a new visit begins with all again."""
    rain = plant_pair(store, tmp_path, 7, category="rain")
    assert booth.open(ANNA).pair.category == "horse"
    booth.choose(ANNA, "rain")
    open_pair = booth.open(ANNA)
    assert open_pair.pair == rain
    booth.choose(ANNA, "")
    assert booth.open(ANNA) == open_pair, "it stays: it is one of all"
    booth.choose(ANNA, "smile")
    assert booth.open(ANNA) is None
    booth.arrive(ANNA)
    assert booth.open(ANNA).pair.category == "horse"


def test_a_new_pair_ends_the_wait(booth, store, clock, tmp_path):
    for _ in range(3):
        booth.rate(ANNA, sent(watch(booth, clock)))
    assert booth.open(ANNA) is None
    new = plant_pair(store, tmp_path, 7)
    assert booth.open(ANNA).pair == new


def test_undo_takes_the_rating_back_and_opens_its_pair_again(booth, clock, store):
    showing = watch(booth, clock)
    assert not booth.can_undo(ANNA)
    booth.rate(ANNA, sent(showing))
    booth.open(ANNA)
    assert booth.can_undo(ANNA) and not booth.can_undo(BERT)
    again = booth.undo(ANNA, {"showing": ""})
    assert again.pair == showing.pair and again.showing_id != showing.showing_id and store.ratings() == []
    with pytest.raises(ValueError, match="nothing to undo"):
        booth.undo(ANNA, {"showing": ""})
    clock.now += 1
    rating, _ = booth.rate(ANNA, sent(again, "both_bad"))
    assert store.ratings() == [rating]


@pytest.mark.parametrize("side", ["a", "b"])
def test_an_answer_that_is_given_anew_comes_back_with_its_marks(booth, clock, monkeypatch, side):
    """Sides are drawn anew: what was marked on the left stands on the right then."""
    showing = watch(booth, clock)
    assert showing.marks == {}
    rating, _ = booth.rate(ANNA, sent(showing))
    monkeypatch.setattr("huvidpo.preferences.booth.draw_side", lambda: side)
    again = booth.undo(ANNA, {"showing": ""})
    there, elsewhere = ("left", "right") if side == "a" else ("right", "left")
    assert again.marks["segments"] == [there, elsewhere, "tie", "-"]
    assert again.marks["answers"][there]["quality"] == 4 and again.marks["answers"][elsewhere]["alignment"] == 2
    clock.now += 1
    same, _ = booth.rate(ANNA, {**sent(again), **again.marks})
    assert (same.segment_labels, same.answers_a) == (rating.segment_labels, rating.answers_a)
    assert booth.change(ANNA, same.rating_id).marks == again.marks


def test_an_answer_after_the_names_were_seen_is_marked_however_the_pair_came_back(booth, clock, store):
    first, _ = booth.rate(ANNA, sent(watch(booth, clock)))
    booth.undo(ANNA, {"showing": ""})
    clock.now += 1
    second, _ = booth.rate(ANNA, sent(booth.open(ANNA)))
    assert (first.supersedes, second.supersedes) == ("", first.rating_id)
    booth.withdraw(ANNA, second.rating_id)
    restarted = Booth(store, booth.draw, clock)
    showing = watch(restarted, clock)
    assert showing.pair == first.pair, "it comes like any other"
    rating, _ = restarted.rate(ANNA, sent(showing))
    assert rating.supersedes == second.rating_id and store.ratings() == [rating]
    assert booth.rate(BERT, sent(watch(booth, clock, BERT)))[0].supersedes == ""


def test_an_own_rating_can_be_changed_and_another_ones_cannot(booth, clock, store):
    rating, _ = booth.rate(ANNA, sent(watch(booth, clock)))
    for name in (rating.rating_id, "f" * 16, None, ["x"]):
        with pytest.raises(ValueError, match="not one of yours"):
            booth.change(BERT, name)
        with pytest.raises(ValueError, match="not one of yours"):
            booth.withdraw(BERT, name)
    again = booth.change(ANNA, rating.rating_id)
    assert store.ratings() == [rating], "the old answer counts until there is a new one"
    clock.now += 1
    changed, _ = booth.rate(ANNA, sent(again, "both_good"))
    assert changed.supersedes == rating.rating_id and store.ratings() == [changed]


def test_an_own_rating_can_be_withdrawn(booth, clock, store):
    rating, _ = booth.rate(ANNA, sent(watch(booth, clock)))
    open_pair = booth.change(ANNA, rating.rating_id)
    booth.withdraw(ANNA, rating.rating_id)
    assert store.ratings() == [] and booth.open(ANNA) is not open_pair and not booth.can_undo(ANNA)
    with pytest.raises(ValueError, match="not one of yours"):
        booth.withdraw(ANNA, rating.rating_id)


def test_a_store_that_cannot_be_written_keeps_the_pair_open(booth, clock, store):
    showing = watch(booth, clock)
    store._database.rows("PRAGMA query_only = ON")
    with pytest.raises(ValueError, match="nothing was changed"):
        booth.rate(ANNA, sent(showing))
    store._database.rows("PRAGMA query_only = OFF")
    booth.rate(ANNA, sent(showing))
    assert len(store.ratings()) == 1


def test_a_visitor_who_does_too_much_has_to_wait_and_nobody_else_has():
    """Two in ten seconds: a third is refused at second 5 until second 10, when the first is ten seconds old."""
    clock = Clock()
    limit = RateLimit(2, 10, clock)
    limit.check("anna")
    clock.now += 5
    limit.check("anna")
    with pytest.raises(ValueError, match="in 5 s"):
        limit.check("anna")
    limit.check("bert")
    clock.now += 5
    limit.check("anna")
    with pytest.raises(ValueError, match="in 5 s"):
        limit.check("anna")


def test_visitors_without_end_meet_a_limit_for_all(booth, clock, store):
    """One more than the crowd's limit, each under a name of its own."""
    booth.crowd.most = 2
    for name in "cd":
        visitor = Visitor(name * 16)
        booth.rate(visitor, sent(watch(booth, clock, visitor)))
    with pytest.raises(ValueError, match="a lot at once"):
        booth.rate(ANNA, sent(watch(booth, clock)))
    assert len(store.ratings()) == 2


def test_a_row_names_no_person(booth, clock, store):
    booth.rate(BERT, sent(watch(booth, clock, BERT)))
    row = json.dumps(store.ratings()[0].to_row())
    assert BERT.rater in row and '"rater_kind": "huggingface"' in row
