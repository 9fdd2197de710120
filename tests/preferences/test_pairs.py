"""From ratings to what is trained on: the written rules of pairs.py, one case each."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from huvidpo.preferences.pairs import (
    TrainingPair,
    TrainingSet,
    agreement,
    missing_examples,
    rows_sha256,
    training_set,
    votes_by_pair,
)
from huvidpo.preferences.records import Pair, Rating, TakeRecord, new_id, new_pair
from huvidpo.preferences.store import RatingStore

ANNA, BEN, CARL = "a" * 16, "b" * 16, "c" * 16


def take(name: str, backbone: str = "pocket") -> TakeRecord:
    return TakeRecord(hashlib.sha256(name.encode()).hexdigest(), prompt="a red horse", backbone=backbone)


def pair_of(a: str = "one", b: str = "two", split: str = "train", **more: str) -> Pair:
    pair = new_pair(take(a, **more), take(b, **more), "a red horse", "horse", "queue", "shared-noise")
    return replace(pair, split=split)


def vote(pair: Pair, preference: str, rater: str = ANNA, segments: str = "----", **more: object) -> Rating:
    labels = tuple({"a": "a", "b": "b", "t": "tie", "-": "-"}[letter] for letter in segments)
    return Rating(new_id(), pair, preference, "a", rater, segment_labels=labels, **more)


@pytest.fixture
def video_path(tmp_path: Path) -> Callable[[str], Path]:
    """Files that are all there."""
    for name in ("one", "two", "three", "four"):
        (tmp_path / take(name).sha256).touch()
    return lambda sha256: tmp_path / sha256


@pytest.fixture
def learn(video_path) -> Callable[..., TrainingSet]:
    return lambda *ratings, objective="dpo": training_set(ratings, objective, "pocket", video_path)


def names(examples: TrainingSet) -> list[tuple[str, str]]:
    known = {take(name).sha256: name for name in ("one", "two", "three", "four")}
    return [(known[pair.winner.name], known[pair.loser.name]) for pair in examples.pairs]


def test_the_chosen_clip_wins_whichever_side_it_was_on(learn) -> None:
    found = learn(vote(pair_of(), "b"), vote(pair_of("three", "four"), "a"))
    assert sorted(names(found)) == [("three", "four"), ("two", "one")]
    assert (found.ratings, found.raters, found.left_out) == (2, 1, {})


def test_measure_pairs_are_never_trained_on(learn) -> None:
    for objective in ("dpo", "dense", "kto"):
        found = learn(vote(pair_of(split="measure"), "a"), objective=objective)
        assert len(found) == 0 and found.ratings == 0 and found.left_out == {"kept for measuring": 1}


def test_the_measure_share_of_a_real_store_is_left_out(store: RatingStore, add_pair) -> None:
    pairs = [add_pair(a, b, prompt=f"prompt {i}") for i in range(8) for a, b in ((0, 1), (2, 3))]
    for pair in pairs:
        store.append(vote(pair, "a"))
    found = training_set(store.ratings("horse"), "dpo", "pocket", store.video_path)
    measured = sum(pair.split == "measure" for pair in pairs)
    assert 0 < measured < 16 and len(found.pairs) == 16 - measured
    assert all(pair.winner.is_file() and pair.loser.is_file() for pair in found.pairs)


def test_clips_of_another_backbone_and_missing_files_are_left_out(learn) -> None:
    foreign, unknown = pair_of(backbone="sd14"), pair_of("three", "four", backbone="")
    found = learn(vote(foreign, "a"), vote(unknown, "a"), vote(pair_of("one", "nowhere"), "a"))
    assert names(found) == [("three", "four")]
    assert found.left_out == {"made on another backbone": 1, "its files are not here": 1}


@pytest.mark.parametrize(
    "preferences, expected, why",
    [
        (["a", "a", "b"], [("one", "two")], {}),
        (["a", "tie_good"], [("one", "two")], {}),
        (["a", "b"], [], {"a contradiction": 1}),
        (["a", "b", "tie_bad"], [], {"a contradiction": 1}),
        (["tie_good", "tie_bad"], [], {"a tie": 1}),
    ],
)
def test_the_majority_decides_and_ties_never_do(learn, preferences, expected, why) -> None:
    votes = [
        vote(pair_of(), preference, rater) for preference, rater in zip(preferences, (ANNA, BEN, CARL), strict=False)
    ]
    found = learn(*votes)
    assert names(found) == expected and found.left_out == why


def test_a_rater_counts_once_and_who_contradicts_himself_not_at_all(learn) -> None:
    """Anna says b twice, Ben and Carl a: 2 to 1 for a. Then Ben also says b: he is out, and 1 to 1 is left."""
    votes = [vote(pair_of(), "b"), vote(pair_of(), "b", is_repeat=True), vote(pair_of(), "a", BEN)]
    votes += [vote(pair_of(), "a", CARL)]
    assert names(learn(*votes)) == [("one", "two")]
    votes += [vote(pair_of(), "b", BEN, is_repeat=True)]
    assert names(learn(*votes)) == [] and learn(*votes).left_out == {"a contradiction": 1}


def test_segments_are_seen_from_the_winner(learn) -> None:
    """b wins; it is better in segments 1 and 4, a in 2, the third is a tie."""
    found = learn(vote(pair_of(), "b", segments="batb"), objective="dense")
    assert names(found) == [("two", "one")] and found.pairs[0].segments == (1, -1, 0, 1)


def test_segments_of_several_raters_are_counted_one_by_one(learn) -> None:
    votes = [vote(pair_of(), "a", ANNA, "aab-"), vote(pair_of(), "a", BEN, "abb-"), vote(pair_of(), "a", CARL)]
    assert learn(*votes, objective="dense").pairs[0].segments == (1, 0, -1, 0)


def test_without_judged_segments_the_whole_clip_s_verdict_is_theirs(learn) -> None:
    assert learn(vote(pair_of(), "b"), objective="dense").pairs[0].segments == (1, 1, 1, 1)


def test_a_tie_as_a_whole_still_teaches_dense_where_a_segment_is_decided(learn) -> None:
    tie = vote(pair_of(), "tie_good", segments="ab--")
    assert names(learn(tie)) == []
    (pair,) = learn(tie, objective="dense").pairs
    assert pair.segments == (1, -1, 0, 0) and not pair.decided
    assert learn(vote(pair_of(), "tie_bad", segments="tt--"), objective="dense").left_out == {"a tie": 1}
    nothing = learn(vote(pair_of(), "a", segments="tttt"), objective="dense")
    assert nothing.left_out == {"no segment is decided": 1}


def test_good_and_bad_clips(learn) -> None:
    """one wins (+1), two loses (-1) and is both-good with three (+1, +1): two is even. four is bad twice."""
    votes = [vote(pair_of(), "a"), vote(pair_of("two", "three"), "tie_good")]
    votes += [vote(pair_of("four", "one"), "tie_bad", BEN), vote(pair_of("one", "four"), "a", CARL)]
    found = learn(*votes, objective="kto")
    verdicts = {clip.clip.name: clip.good for clip in found.clips}
    assert verdicts == {take("one").sha256: True, take("three").sha256: True, take("four").sha256: False}
    assert found.left_out == {"as often good as bad": 1} and not found.pairs


def test_the_order_of_ratings_changes_nothing(learn) -> None:
    votes = [vote(pair_of(), "a"), vote(pair_of("three", "four"), "b", BEN), vote(pair_of(), "a", CARL)]
    assert learn(*votes) == learn(*votes[::-1])


def test_the_hash_is_that_of_exactly_the_rows_used(learn) -> None:
    used, other = vote(pair_of(), "a"), vote(pair_of("three", "four"), "tie_good")
    assert learn(used, other).sources_sha256 == learn(used).sources_sha256 == rows_sha256([used])
    assert rows_sha256([replace(used, decision_ms=5)]) != rows_sha256([used])


def test_agreement_by_hand() -> None:
    """Three votes of which two agree, and one pair with a single vote, which says nothing: 2 / 3."""
    votes = [vote(pair_of(), "a"), vote(pair_of(), "a", BEN), vote(pair_of(), "b", CARL)]
    assert agreement(votes_by_pair([*votes, vote(pair_of("three", "four"), "a")])) == pytest.approx(2 / 3)
    assert agreement(votes_by_pair(votes[:1])) == -1


def test_how_many_are_missing() -> None:
    pair = TrainingPair(Path("a"), Path("b"), "")
    assert missing_examples(TrainingSet((pair,) * 5)) == 3 and missing_examples(TrainingSet((pair,) * 9)) == 0


@pytest.mark.parametrize("clips, missing", [(6, 2), (8, 0), (12, 0), (16, 0)])
def test_of_scored_sets_the_clips_are_counted(clips: int, missing: int) -> None:
    """Random pairings of 8, 12 and 16 clips, the paper's sets, are 4, 6 and 8 pairs; all pairs of 4 clips are 6."""
    names = [Path(str(i)) for i in range(clips)]
    once = tuple(TrainingPair(a, b, "") for a, b in zip(names[::2], names[1::2], strict=True))
    assert missing_examples(TrainingSet(once, scored=True)) == missing
    every = tuple(TrainingPair(a, b, "") for a, b in combinations(names[:4], 2))
    assert missing_examples(TrainingSet(every, scored=True)) == 4


def test_pairs_of_scores_are_known_by_their_origin(learn) -> None:
    votes = [vote(replace(pair_of(*names), origin="scores"), "a") for names in (("one", "two"), ("three", "four"))]
    assert learn(*votes).scored and learn(*votes).judged == 4
    mixed = learn(*votes, vote(pair_of("one", "four"), "a"))
    assert not mixed.scored and mixed.judged == 3 and not learn(*votes, objective="kto").scored
