"""Which pair comes next: the stated shares, nothing twice, sides swapped, and what is worth asking."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from huvidpo.preferences.outlines import PairOutline
from huvidpo.preferences.records import Pair, TakeRecord, new_pair
from huvidpo.preferences.selection import (
    MEASURE_DRAWS,
    REPEAT_GAP,
    distinctness,
    information,
    most_telling,
    next_showing,
)
from huvidpo.preferences.store import RatingStore
from tests.preferences.conftest import rating_of

RATER = "a" * 16


@pytest.fixture
def fill(store: RatingStore) -> Callable[..., list[Pair]]:
    """Adds pairs of takes whose files are empty: here only the rows matter."""

    def add(
        count: int, prompt: str = "p", origin: str = "queue", split: str | None = None, backbone: str = ""
    ) -> list[Pair]:
        pairs = []
        for i in range(count):
            takes = [TakeRecord(f"{store.counts().pairs:062x}{i % 16:x}{side}", backbone=backbone) for side in "ab"]
            pair = new_pair(*takes, prompt, "horse", origin, "independent")
            for take in takes:
                store.video_path(take.sha256).touch()
            pairs.append(store.add_pair(replace(pair, split=split or pair.split)))
        return pairs

    return add


def test_a_rater_sees_every_shared_pair_once_and_own_uploads_of_others_never(
    store: RatingStore, fill: Callable[..., list[Pair]]
) -> None:
    shared = fill(6)
    fill(2, origin="upload")
    fill(2, origin="live")
    seen = []
    draw = random.Random(0)
    while (showing := next_showing(store, RATER, draw=draw)) and len(seen) < 20:
        if showing.is_repeat:
            continue
        seen.append(showing.pair.pair_id)
        store.append(rating_of(showing.pair, left_is=showing.left_is))
    assert sorted(seen) == sorted(pair.pair_id for pair in shared)
    assert next_showing(store, "b" * 16, draw=draw) is not None
    everything = [pair.pair_id for pair in shared]
    assert next_showing(store, "b" * 16, leave_out=everything) is None and next_showing(store, RATER, "rain") is None


def test_pairs_of_another_backbone_are_not_shown_not_even_again(
    store: RatingStore, fill: Callable[..., list[Pair]]
) -> None:
    """Nor do their votes count where adapters of one name are compared; clips of unknown making are shown."""
    others = fill(REPEAT_GAP + 3, backbone="sd14")
    for pair in others[: REPEAT_GAP + 1]:
        store.append(rating_of(pair))
    draw = random.Random(0)
    assert not any(next_showing(store, RATER, draw=draw, backbone="pocket") for _ in range(50))
    own = [*fill(1, backbone="pocket"), *fill(1)]
    shown = {next_showing(store, RATER, draw=draw, backbone="pocket").pair.pair_id for _ in range(50)}
    assert shown <= {pair.pair_id for pair in own} and len(store.outlines("horse", "pocket")) == 2
    mixed = new_pair(others[0].a, own[0].b, "p", "horse", "queue", "independent")
    store.add_pair(mixed)
    assert len(store.outlines(backbone="pocket")) == 2 and len(store.outlines(backbone="sd14")) == len(others) + 1


def test_shares_of_draws(store: RatingStore, fill: Callable[..., list[Pair]]) -> None:
    """With ten answered pairs: one in ten is a repeat, a quarter of the rest measures (of 400: 40 and 90).

    The bounds are about four standard deviations (6 and 9) wide.
    """
    fill(5, split="measure")
    fill(5, split="train")
    for pair in fill(10):
        store.append(rating_of(pair, left_is="a"))
    draw = random.Random(3)
    showings = [next_showing(store, RATER, draw=draw) for _ in range(400)]
    repeats = [showing for showing in showings if showing.is_repeat]
    measured = Counter(s.pair.pair_id for s in showings if s.pair.split == "measure" and not s.is_repeat)
    assert 16 < len(repeats) < 64 and abs(measured.total() - MEASURE_DRAWS * 360) < 36
    assert {showing.left_is for showing in repeats} == {"b"}, "sides are swapped"
    recent = {pair.pair_id for pair in store.pairs()[-REPEAT_GAP:]}
    assert not recent & {showing.pair.pair_id for showing in repeats}
    sides = Counter(showing.left_is for showing in showings if not showing.is_repeat)
    assert abs(sides["a"] - sides["b"]) < 80
    assert len(measured) == 5, "chance alone chooses among them"


def test_a_pair_comes_back_once(store: RatingStore, fill: Callable[..., list[Pair]]) -> None:
    pairs = fill(REPEAT_GAP + 1)
    for pair in pairs:
        store.append(rating_of(pair))
    draw = random.Random(0)
    shown = [showing for _ in range(200) if (showing := next_showing(store, RATER, draw=draw))]
    assert {showing.pair.pair_id for showing in shown} == {pairs[0].pair_id}
    store.append(rating_of(pairs[0], left_is=shown[0].left_is, is_repeat=True))
    assert not any(next_showing(store, RATER, draw=draw) for _ in range(50))


def test_information_by_hand() -> None:
    """No votes: p = 1/2, 4 * 1/4 / 1 = 1. Three wins of three: p = 4/5, 4 * 0.16 = 0.64; a quarter with 3 votes."""
    assert information(0, 0, 0) == 1 and information(3, 0, 0) == pytest.approx(0.64)
    assert information(3, 0, 3) == pytest.approx(0.16) and information(2, 2, 0) == 1


def test_distinctness_by_hand() -> None:
    """6 / (6 + 2) = 3/4; what is usual is one half, as is what is not known; nothing at all is 0."""
    assert distinctness(6, 2) == 0.75 and distinctness(0, 2) == 0
    assert distinctness(2, 2) == distinctness(-1, 2) == distinctness(-1, 0) == distinctness(0, 0) == 0.5


def outline(
    pair_id: str, prompt: str, adapters: str, votes: tuple[int, int, int] = (0, 0, 0), difference: float = -1
) -> PairOutline:
    return PairOutline(pair_id, "queue", "train", "horse", prompt, *adapters, *votes, difference)


def test_adapters_that_make_different_clips_come_first() -> None:
    """Differences of 1 and 5, usually 3: 1/4 and 5/8; not known is 1/2. Votes on a prompt still weigh more."""
    same, unlike = outline("1", "new", "xy", difference=1), outline("2", "new", "xy", difference=5)
    unknown = outline("3", "new", "xx")
    assert most_telling([same, unlike, unknown], [], random.Random(0)).pair_id == "2"
    assert most_telling([same, unknown], [], random.Random(0)).pair_id in "13"
    known = outline("4", "old", "zz", (1, 1, 0))
    assert most_telling([unlike._replace(prompt="old"), unknown], [known], random.Random(0)).pair_id == "3"


def test_open_contests_and_unknown_prompts_come_first() -> None:
    decided = [outline("1", "old", "xy", (9, 0, 0))]
    candidates = [outline("2", "new", "xy"), outline("3", "new", "xz"), outline("4", "old", "xz")]
    assert most_telling(candidates, [*decided, *candidates], random.Random(0)).pair_id == "3"
    assert most_telling(candidates[:1] + candidates[2:], [*decided, *candidates], random.Random(0)).pair_id == "2"
    chosen = {
        most_telling([candidates[1], outline("5", "new", "zx")], decided, random.Random(i)).pair_id for i in range(20)
    }
    assert chosen == {"3", "5"}, "chance among equals"
