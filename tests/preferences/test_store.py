"""The store: what was acknowledged is there, whatever happens; what was refused is not."""

import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from huvidpo.preferences.database import Database
from huvidpo.preferences.ratings_schema import SCHEMA
from huvidpo.preferences.records import (
    Answers,
    Pair,
    Rating,
    TakeRecord,
    Withdrawal,
    new_id,
    new_pair,
    record_from_row,
)
from huvidpo.preferences.store import SEALED, RatingStore
from tests.preferences.conftest import PROMPT, rating_of

ANNA, BELA = "a" * 16, "b" * 16


def test_a_rating_comes_back_as_it_went_in_with_its_pair(store: RatingStore, add_pair: Callable[..., Pair]) -> None:
    pair = add_pair()
    rating = rating_of(
        pair,
        "tie_bad",
        left_is="b",
        segment_labels=("a", "b", "tie", "-"),
        answers_a=Answers(1, 5, 0),
        decision_ms=1234,
        watched_seconds=4.5,
        is_repeat=True,
    )
    store.append(rating)
    again = RatingStore(store.folder.parent)
    assert again.ratings() == [rating] and again.pairs() == [pair] and again.rating(rating.rating_id) == rating
    assert again.pair(pair.pair_id) == pair and again.counts() == store.counts()
    assert (store.counts().pairs, store.counts().saved, store.counts().waiting) == (1, 1, 1)


def test_ratings_by_category_rater_and_recency(store: RatingStore, add_pair: Callable[..., Pair]) -> None:
    horse, rain = add_pair(), add_pair(2, 3, "rain", "rain")
    ratings = [rating_of(horse), rating_of(rain), rating_of(horse, rater=BELA)]
    for rating in ratings:
        store.append(rating)
    assert store.ratings("horse") == [ratings[0], ratings[2]] and store.ratings(rater=BELA) == [ratings[2]]
    assert store.ratings("rain", BELA) == [] and store.ratings(last=2) == ratings[1:]
    assert store.pairs("rain") == [rain] and [one.pair_id for one in store.outlines("horse")] == [horse.pair_id]


def test_changing_and_taking_back_only_appends(store: RatingStore, add_pair: Callable[..., Pair]) -> None:
    pair = add_pair()
    first = rating_of(pair, "a")
    second = rating_of(pair, "b", supersedes=first.rating_id)
    store.append(first)
    store.append(second)
    assert store.ratings() == [second]
    with pytest.raises(ValueError, match="changed already"):
        store.append(rating_of(pair, "a", supersedes=first.rating_id))
    with pytest.raises(ValueError, match="not yours"):
        store.append(rating_of(pair, "a", rater=BELA, supersedes=second.rating_id))
    with pytest.raises(ValueError, match="You have no rating"):
        store.withdraw(second.rating_id, BELA)
    store.withdraw(second.rating_id, ANNA)
    assert store.ratings() == [] and store.counts().saved == 0
    with pytest.raises(ValueError, match="You have no rating"):
        store.withdraw(second.rating_id, ANNA)
    kinds = [type(record) for record in store.batch(store.seal())]
    assert kinds == [Rating, Rating, Withdrawal]


def test_an_answer_after_one_that_was_taken_back_says_so(store: RatingStore, add_pair: Callable[..., Pair]) -> None:
    pair = add_pair()
    first = rating_of(pair, "a")
    store.append(first)
    assert store.taken_back(pair.pair_id, ANNA) == "", "it counts"
    store.withdraw(first.rating_id, ANNA)
    assert store.taken_back(pair.pair_id, ANNA) == first.rating_id and store.taken_back(pair.pair_id, BELA) == ""
    again = rating_of(pair, "b", supersedes=first.rating_id)
    store.append(again)
    assert store.ratings() == [again] and store.taken_back(pair.pair_id, ANNA) == ""
    with pytest.raises(ValueError, match="changed already"):
        store.append(rating_of(pair, "a", supersedes=first.rating_id))


def test_a_vote_is_for_the_same_clip_whatever_the_order_of_the_pair(
    store: RatingStore, add_pair: Callable[..., Pair]
) -> None:
    """Another program, or another Space, may have made the pair the other way round."""
    here = add_pair()
    there = new_pair(here.b, here.a, here.prompt, here.category, "import", "independent")
    assert there.pair_id == here.pair_id
    said = rating_of(there, "a", left_is="a", segment_labels=("a", "b", "tie", "-"), score_a=9.0, score_b=2.0)
    said = replace(said, answers_a=Answers(5, 4, 3))
    store.append(said)
    (kept,) = store.ratings()
    assert kept.pair == here and (kept.preference, kept.left_is) == ("b", "b"), "for the clip that is b here"
    assert (kept.score_a, kept.score_b, kept.answers_b) == (2.0, 9.0, Answers(5, 4, 3))
    assert kept.segment_labels == ("b", "a", "tie", "-")
    store.append(said)
    assert store.ratings() == [kept], "the same rating once more changes nothing"
    assert kept.of(there) == said


def test_blind_answers_are_first_ones_also_if_changed(store: RatingStore, add_pair: Callable[..., Pair]) -> None:
    """Who sees the names and changes what went against a favourite changes no verdict; what is taken back is gone."""
    first, second = rating_of(add_pair(0, 1), "a"), rating_of(add_pair(2, 3), "b")
    for rating in (first, second):
        store.append(rating)
    store.append(replace(first, rating_id=new_id(), preference="b", supersedes=first.rating_id))
    assert store.blind_answers("horse") == [first, second] and store.blind_answers("rain") == []
    store.withdraw(second.rating_id, second.rater)
    assert store.blind_answers() == [first]
    assert store.taken_back_answers() == [second]


def test_an_undone_repeat_leaves_the_first_answer(store: RatingStore, add_pair: Callable[..., Pair]) -> None:
    """Also one that was changed before; the first answer itself goes by a withdrawal of its own."""
    first = rating_of(add_pair())
    again = replace(first, rating_id=new_id(), is_repeat=True)
    changed = replace(again, rating_id=new_id(), preference="b", supersedes=again.rating_id)
    for rating in (first, again, changed):
        store.append(rating)
    store.withdraw(changed.rating_id, changed.rater)
    assert store.blind_answers() == [first, again] and store.taken_back_answers() == []
    store.withdraw(first.rating_id, first.rater)
    assert store.blind_answers() == [] and first in store.taken_back_answers()


def test_the_same_rating_twice_is_one_and_a_stolen_name_is_refused(
    store: RatingStore, add_pair: Callable[..., Pair]
) -> None:
    rating = rating_of(add_pair())
    store.append(rating)
    store.append(rating)
    assert store.ratings() == [rating]
    with pytest.raises(ValueError, match="another rating"):
        store.append(replace(rating, preference="b"))
    assert store.ratings() == [rating]


def test_what_does_not_fit_is_refused(store: RatingStore, add_pair: Callable[..., Pair], tmp_path: Path) -> None:
    pair = add_pair()
    stranger = new_pair(TakeRecord("1" * 64), TakeRecord("2" * 64), PROMPT, "horse", "queue", "independent")
    with pytest.raises(ValueError, match="There is no pair"):
        store.append(rating_of(stranger))
    with pytest.raises(ValueError, match="lacks the file 1111"):
        store.add_pair(stranger)
    for sha256 in ("../../etc/passwd", "A" * 64, ""):
        with pytest.raises(ValueError, match="known by the sha256"):
            store.video_path(sha256)
    (tmp_path / "evil.html").write_text("<script>")
    for path, sentence in ((tmp_path / "evil.html", "keeps .mp4 and .png"), (tmp_path / "no.mp4", "No such file")):
        with pytest.raises(ValueError, match=sentence):
            store.keep_file(path)
    for change, sentence in (
        ({"preference": "c"}, "no preference 'c'"),
        ({"rater": "Anna"}, "rater must be 16 to 64 hex digits"),
        ({"segment_labels": ("a",)}, "4 segments"),
        ({"segment_labels": ("a", "b", "x", "-")}, "no segment label 'x'"),
        ({"score_a": 11.0}, "from 0 to 10"),
        ({"watched_seconds": float("nan")}, "watched_seconds"),
        ({"decision_ms": True}, "decision_ms"),
        ({"session": "x" * 2001}, "session"),
        ({"answers_a": Answers}, "answers_a"),
    ):
        with pytest.raises(ValueError, match=sentence):
            replace(rating_of(pair), **change)
    assert store.counts().saved == 0


def test_rows_are_plain_without_nulls_and_come_back(add_pair: Callable[..., Pair]) -> None:
    rating = rating_of(add_pair(), segment_labels=("a", "b", "tie", "-"))
    gone = Withdrawal(new_id(), rating.rating_id, rating.pair, rating.rater)
    for record in (rating, gone):
        row = json.loads(json.dumps(record.to_row(), allow_nan=False))
        assert "null" not in json.dumps(row) and record_from_row(row) == record
        assert record_from_row({**row, "a_later_column": 1}) == record
    assert rating.to_row().keys() == gone.to_row().keys()
    for broken in ({}, {"preference": "a"}, {**rating.to_row(), "take_a": None}):
        with pytest.raises(ValueError, match="has no column"):
            record_from_row(broken)


def test_a_pair_has_one_name_and_one_split_for_good(store: RatingStore, add_pair: Callable[..., Pair]) -> None:
    """About a fifth of all pairs are `measure`: 1000 draws at 0.2 lie within 4 deviations (13 each) of 200."""
    a, b = (TakeRecord(letter * 64) for letter in "ab")
    pair, turned = (new_pair(*takes, PROMPT, "horse", "queue", "aligned") for takes in ((a, b), (b, a)))
    assert (pair.pair_id, pair.split) == (turned.pair_id, turned.split)
    drawn = [new_pair(a, TakeRecord(f"{i:064x}"), PROMPT, "horse", "queue", "aligned").split for i in range(1000)]
    assert 150 < drawn.count("measure") < 250
    scored = [new_pair(a, TakeRecord(f"{i:064x}"), PROMPT, "horse", "scores", "aligned").split for i in range(100)]
    assert set(scored) == {"train"}
    kept = add_pair()
    assert store.add_pair(replace(kept, split="measure" if kept.split == "train" else "train")) == kept


def test_batches_are_limited_and_final(store: RatingStore, add_pair: Callable[..., Pair]) -> None:
    pair = add_pair()
    for i in range(100):
        store.append(rating_of(pair, rater=f"{i:016x}"))
    first = store.seal()
    rest = store.seal()
    assert (len(store.batch(first)), len(store.batch(rest)), store.seal()) == (80, 20, "")
    store.append(rating_of(pair, rater="f" * 16))
    assert len(store.batch(rest)) == 20 and set(store.batches(SEALED)) == {first, rest}


WRITER = """
import sys
from pathlib import Path
from huvidpo.preferences.records import Rating, new_id
from huvidpo.preferences.store import RatingStore

store = RatingStore(Path(sys.argv[1]))
pair = store.pairs()[0]
for i in range(int(sys.argv[2])):
    rating = Rating(new_id(), pair, "a", "b", f"{i:016x}")
    store.append(rating)
    print(rating.rating_id, flush=True)
    if i % 7 == 6:
        store.seal()
"""


def writer(store: RatingStore, count: int, **more: object) -> subprocess.Popen:
    command = [sys.executable, "-c", WRITER, str(store.folder.parent), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


@pytest.mark.parametrize("after", [1, 8, 23])
def test_kill_9_loses_no_acknowledged_rating(store: RatingStore, add_pair: Callable[..., Pair], after: int) -> None:
    """The writer acknowledges by a line; it dies in the middle of whatever comes next, sealing included."""
    add_pair()
    with writer(store, 10_000) as program:
        acknowledged = [program.stdout.readline().strip() for _ in range(after)]
        program.send_signal(signal.SIGKILL)
        acknowledged += program.stdout.read().split()
    again = RatingStore(store.folder.parent)
    there = [rating.rating_id for rating in again.ratings()]
    assert there[: len(acknowledged)] == acknowledged and len(there) <= len(acknowledged) + 1
    again.append(rating_of(again.pairs()[0], rater="f" * 16))
    while again.seal():
        pass
    batched = [record.rating_id for name in again.batches(SEALED) for record in again.batch(name)]
    assert sorted(batched) == sorted(rating.rating_id for rating in again.ratings())


def test_several_processes_and_threads_write_at_once(store: RatingStore, add_pair: Callable[..., Pair]) -> None:
    pair = add_pair()
    programs = [writer(store, 40) for _ in range(3)]
    here = [rating_of(pair, rater=f"{i:016x}") for i in range(40)]
    threads = [threading.Thread(target=lambda part=i: [store.append(one) for one in here[part::4]]) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outputs = [program.communicate() for program in programs]
    written = [name for output, _ in outputs for name in output.split()] + [one.rating_id for one in here]
    assert [error for _, error in outputs] == [""] * 3 and len(written) == 160
    assert sorted(rating.rating_id for rating in store.ratings()) == sorted(written)


def test_a_new_store_can_be_opened_by_several_at_once(tmp_path: Path) -> None:
    """While one is in the midst of making it, the others wait: SQLite itself does not when it changes to its log."""
    path = tmp_path / "ratings.sqlite"
    first = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    first.execute("BEGIN EXCLUSIVE")
    opened = []
    others = [threading.Thread(target=lambda: opened.append(Database(path, SCHEMA))) for _ in range(2)]
    for other in others:
        other.start()
    others[0].join(0.3)
    assert opened == []
    first.execute("COMMIT")
    for other in others:
        other.join(30)
    assert len(opened) == 2 and opened[0].rows("PRAGMA journal_mode") == [("wal",)]


def test_a_disk_that_cannot_do_it_is_told_when_the_store_is_opened(tmp_path: Path) -> None:
    """Here SQLite's shared memory cannot be opened, as on a network disk."""
    (tmp_path / "ratings.db-shm").symlink_to("ratings.db-shm")
    with pytest.raises(ValueError, match=f"{tmp_path} cannot be opened: .* set HUVIDPO_HOME to a folder"):
        Database(tmp_path / "ratings.db", SCHEMA)


def test_a_full_disk_is_an_error_and_loses_nothing(store: RatingStore, add_pair: Callable[..., Pair]) -> None:
    """Files of the writer may not grow beyond 200 kB: from some rating on, the system refuses every write."""
    add_pair()
    store.close()
    limit = 200_000
    with writer(
        store, 10_000, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    ) as program:
        output, error = program.communicate()
    assert program.returncode == 1 and "DiskProblem: The store could not do this, so nothing was changed" in error
    acknowledged = output.split()
    again = RatingStore(store.folder.parent)
    assert [rating.rating_id for rating in again.ratings()] == acknowledged and len(acknowledged) > 5
    again.append(rating_of(again.pairs()[0], rater="f" * 16))
    assert again.counts().saved == len(acknowledged) + 1


def test_a_file_that_does_not_fit_leaves_nothing(store: RatingStore, clips: list[Path]) -> None:
    program = """
import resource, sys
from pathlib import Path
from huvidpo.preferences.store import RatingStore
store = RatingStore(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
store.keep_file(Path(sys.argv[2]))
"""
    command = [sys.executable, "-c", program, str(store.folder.parent), str(clips[0])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "DiskProblem: The store could not be written, so nothing was saved" in done.stderr
    assert os.listdir(store.folder / "videos") == []
