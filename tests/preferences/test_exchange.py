"""Files of other programs in, files for other programs out; hostile ones refused without a trace."""

import csv
import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from huvidpo.preferences.exchange import Imported, import_ratings
from huvidpo.preferences.export import export_ratings
from huvidpo.preferences.own_clips import read_own_clips
from huvidpo.preferences.pairs import training_set, votes_by_pair
from huvidpo.preferences.records import Pair, TakeRecord, new_pair
from huvidpo.preferences.store import RatingStore
from huvidpo.video import read_frames, write_gif, write_mp4
from tests.preferences.conftest import PROMPT, rating_of

RATER = "e" * 16


@pytest.fixture
def folder(tmp_path: Path, clips: list[Path]) -> Path:
    """A folder with the clips 0.mp4 to 5.mp4."""
    folder = tmp_path / "import"
    folder.mkdir()
    for clip in clips:
        shutil.copy(clip, folder)
    return folder


def write_json(folder: Path, rows: object, name: str = "scores.json") -> Path:
    (folder / name).write_text(json.dumps(rows))
    return folder / name


@pytest.mark.slow
def test_the_published_score_file(store: RatingStore, folder: Path) -> None:
    """HuViDPO's `[{"video", "score"}]`: six clips are three pairs at random, or fifteen all with all."""
    scores = [8.25, 3, 3, 0, 10, 7]
    path = write_json(folder, [{"video": f"{i}.mp4", "score": score} for i, score in enumerate(scores)])
    assert import_ratings(store, path, RATER, "horse") == Imported(pairs=3, ratings=3)
    ratings = store.ratings("horse")
    assert len({take.sha256 for one in ratings for take in (one.pair.a, one.pair.b)}) == 6, "each clip once"
    for rating in ratings:
        expected = "a" if rating.score_a > rating.score_b else "b" if rating.score_b > rating.score_a else "tie_bad"
        assert (rating.preference, rating.rater_kind, rating.pair.origin) == (expected, "import", "scores")
        assert (rating.pair.split, rating.pair.prompt) == ("train", "horse run") and rating.pair.a.motion >= 0
    assert import_ratings(store, folder, RATER, "rain", "all with all", all_pairs=True) == Imported(15, 15)
    preferences = [one.preference for one in store.ratings("rain")]
    assert preferences.count("tie_bad") == 1 and preferences.count("tie_good") == 0


@pytest.mark.slow
def test_chance_pairs_scored_clips(store: RatingStore, folder: Path) -> None:
    path = write_json(folder, [{"video": f"{i}.mp4", "score": i} for i in range(4)])
    partners = []
    for draw in range(8):
        import_ratings(store, path, RATER, "horse", prompt=f"draw {draw}", draw=random.Random(draw))
        rating = next(one for one in store.ratings(last=2) if 0 in (one.score_a, one.score_b))
        partners.append(max(rating.score_a, rating.score_b))
    assert len(set(partners)) > 1


@pytest.mark.slow
def test_pairs_under_other_names_of_columns(store: RatingStore, folder: Path) -> None:
    """GenAI-Bench's, VideoGen-RewardBench's, Pick-a-Pic's and a chosen/rejected table."""
    tables = {
        "arena.jsonl": {"left_video": "0.mp4", "right_video": "1.mp4", "prompt": "p", "vote_type": "rightvote"},
        "bench.csv": {"path_A": "2.mp4", "path_B": "3.mp4", "prompt": "p", "Overall": "same"},
        "pick.json": {"video_a": "4.mp4", "video_b": "5.mp4", "caption": "p", "label_a": 1.0, "label_b": 0.0},
        "chosen.csv": {"chosen": "0.mp4", "rejected": "2.mp4", "prompt": "p", "category": "rain"},
    }
    for name, row in tables.items():
        path = folder / name
        if path.suffix == ".csv":
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, row)
                writer.writeheader()
                writer.writerow(row)
        else:
            path.write_text(json.dumps(row if path.suffix == ".jsonl" else [row]))
        assert import_ratings(store, path, RATER, "horse") == Imported(1, 1)
    ratings = store.ratings()
    assert [one.preference for one in ratings] == ["b", "tie_good", "a", "a"]
    assert [one.pair.category for one in ratings] == ["horse", "horse", "horse", "rain"]
    assert {(one.pair.prompt, one.pair.origin) for one in ratings} == {("p", "import")}


def test_other_kinds_of_video_are_written_anew(store: RatingStore, folder: Path) -> None:
    """A GIF becomes an mp4; of a foreign mp4 only the pictures stay, not the place noted in it."""
    frames, _ = read_frames(folder / "1.mp4")
    write_gif(frames, folder / "a.gif", 8)
    write_mp4(frames[::-1].copy(), folder / "b.mp4", 8, {"place": "47.4979, 19.0402"})
    path = write_json(folder, [{"video_a": "a.gif", "video_b": "b.mp4", "preference": "a"}])
    import_ratings(store, path, RATER, "horse")
    (pair,) = store.pairs()
    for take in (pair.a, pair.b):
        kept = store.video_path(take.sha256)
        assert b"47.4979" not in kept.read_bytes() and read_frames(kept)[0].shape == (6, 32, 32, 3)


@pytest.mark.parametrize(
    "rows, sentence",
    [
        ([{"video": "../secret.mp4", "score": 1}, {"video": "0.mp4", "score": 2}], "Row 1: the video .* lies outside"),
        ([{"video": "0.mp4", "score": 1}, {"video": "link.mp4", "score": 2}], "Row 2: the video .* lies outside"),
        ([{"video": "0.mp4", "score": 1}, {"video": "no.mp4", "score": 2}], "Row 2: there is no video 'no.mp4'"),
        ([{"video": "scores.json", "score": 1}], "Row 1: there is no video 'scores.json'"),
        ([{"video": "broken.mp4", "score": 1}], "Row 1: .*broken.mp4"),
        ([{"video": "0.mp4", "score": "NaN"}, {"video": "1.mp4", "score": 2}], "Row 1: the score 'NaN' is not from 0"),
        ([{"video": "0.mp4", "score": 11}], "Row 1: the score '11' is not from 0 to 10"),
        ([{"video": ["0.mp4"], "score": 1}], "Row 1: a video is not named"),
        ([{"video": "0.mp4", "score": 1}], "at least two different clips"),
        ([{"video_a": "0.mp4", "video_b": "1.mp4", "preference": "best"}], "Row 1: the preference 'best' is none of"),
        ([{"video_a": "0.mp4", "video_b": "0.mp4", "preference": "a"}], "Row 1: The two clips of a pair are one"),
        ([{"video_a": "0.mp4", "video_b": "1.mp4", "category": "swim"}], "Row 1: There is no category 'swim'"),
        ([{"video_a": "0.mp4", "video_b": "1.mp4", "prompt": "x" * 1500}], "Row 1: The prompt has 1500 characters"),
        ([], "must hold a list of ratings"),
        ({"video": "0.mp4"}, "must hold a list of ratings"),
        ([1], "must hold a list of ratings"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_imported(
    store: RatingStore, folder: Path, tmp_path: Path, rows: object, sentence: str
) -> None:
    shutil.copy(folder / "0.mp4", tmp_path / "secret.mp4")
    os.symlink(tmp_path / "secret.mp4", folder / "link.mp4")
    (folder / "broken.mp4").write_bytes(b"#EXTM3U\nfile:///etc/passwd\n")
    path = write_json(folder, rows)
    with pytest.raises(ValueError, match=sentence):
        import_ratings(store, path, RATER, "horse")
    assert store.counts().pairs == store.counts().saved == 0


def test_files_that_are_no_tables(store: RatingStore, folder: Path) -> None:
    (folder / "deep.json").write_text("[" * 100_000)
    (folder / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    for path, sentence in (
        (folder / "no.json", "There is no file"),
        (folder / "deep.json", "not a readable table"),
        (folder / "bytes.csv", "is not in UTF-8"),
        (folder, "exactly one .csv, .json or .jsonl file, not 2"),
    ):
        with pytest.raises(ValueError, match=sentence):
            import_ratings(store, path, RATER, "horse")


@pytest.mark.slow
def test_flat_export_can_be_imported_again(store: RatingStore, add_pair: Callable[..., Pair], tmp_path: Path) -> None:
    pair = add_pair(prompt='=1+1, "quoted"\nand a line')
    store.append(rating_of(pair, "b", segment_labels=("a", "-", "tie", "b")))
    store.append(rating_of(add_pair(2, 3), "tie_good"))
    assert export_ratings(store, tmp_path / "out") == 2
    with (tmp_path / "out" / "ratings.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["prompt"] == f"'{pair.prompt}", "no spreadsheet takes it for a formula"
    assert rows[0]["segment_labels"] == "a,-,tie,b"
    harmful = {name for row in rows for name, cell in row.items() if cell.startswith(("=", "+", "@"))}
    assert not harmful, "nor a part of a struct"
    assert rows[0]["take_a.seed"] == "0" and rows[0]["label_b"] == "1.0"
    assert (tmp_path / "out" / rows[0]["video_a"]).read_bytes() == store.video_path(pair.a.sha256).read_bytes()
    for table in ("ratings.csv", "ratings.jsonl"):
        other = RatingStore(tmp_path / f"other {table}")
        assert import_ratings(other, tmp_path / "out" / table, RATER, "horse") == Imported(2, 2)
        assert import_ratings(other, tmp_path / "out", RATER, "horse") == Imported(0, 0, known=2), "a second time"
        assert [one.preference for one in other.ratings()] == ["b", "tie_good"]
        assert {one.pair.prompt for one in other.ratings()} == {pair.prompt, PROMPT}


def test_the_same_rows_bring_nothing_new(store: RatingStore, folder: Path) -> None:
    """What this store exported, and any other table: nobody's vote counts twice. A changed answer is another one."""
    row = {"video_a": "0.mp4", "video_b": "1.mp4", "prompt": "p", "preference": "a"}
    path = write_json(folder, [row])
    assert [import_ratings(store, path, RATER, "horse") for _ in range(2)] == [Imported(1, 1), Imported(0, 0, 1)]
    export_ratings(store, folder / "out")
    assert import_ratings(store, folder / "out", RATER, "horse") == Imported(0, 0, known=1)
    with pytest.raises(ValueError, match="Row 1: No category is named"):
        import_ratings(store, path, RATER, "")
    store.withdraw(store.ratings()[0].rating_id, store.ratings()[0].rater)
    assert import_ratings(store, path, RATER, "horse") == Imported(0, 0, known=1) and store.ratings() == []
    path = write_json(folder, [row | {"preference": "b"}])
    assert import_ratings(store, path, RATER, "horse") == Imported(0, 1)


def test_two_people_s_files_are_two_people(store: RatingStore, folder: Path) -> None:
    """Their equal answers are two votes, and their different ones are theirs; the owner's own stays beside them."""
    pairs = [{"video_a": "0.mp4", "video_b": f"{i}.mp4", "prompt": "p"} for i in (1, 2, 3)]
    for person, said in (("anna", "aab"), ("bert", "aba")):
        path = write_json(
            folder, [pair | {"preference": one} for pair, one in zip(pairs, said, strict=True)], f"{person}.json"
        )
        assert import_ratings(store, path, RATER, "horse").known == 0
    assert len({rating.rater for rating in store.ratings()} | {RATER}) == 3
    assert [len(votes) for votes in votes_by_pair(store.ratings())] == [2, 2, 2]


def test_chosen_and_rejected(store: RatingStore, add_pair: Callable[..., Pair], tmp_path: Path) -> None:
    """The first pair has two votes for b and one tie; the second is contradictory, the third a tie: left out."""
    decided, open_pair, tie = add_pair(0, 1), add_pair(2, 3), add_pair(4, 5)
    votes = [
        (decided, "b"),
        (decided, "b"),
        (decided, "tie_bad"),
        (open_pair, "a"),
        (open_pair, "b"),
        (tie, "tie_bad"),
    ]
    for i, (pair, preference) in enumerate(votes):
        store.append(rating_of(pair, preference, rater=f"{i:016x}"))
    for preference in ("a", "a"):  # who came back counts once: the second pair stays a contradiction
        store.append(rating_of(open_pair, preference, rater=f"{3:016x}", is_repeat=True))
    assert export_ratings(store, tmp_path / "out", "chosen-rejected") == 1
    (row,) = [json.loads(line) for line in (tmp_path / "out" / "pairs.jsonl").read_text().splitlines()]
    assert (row["votes_for"], row["votes"], row["pair_id"]) == (2, 3, decided.pair_id)
    chosen, _ = read_frames(tmp_path / "out" / row["chosen"])
    assert np.array_equal(chosen, read_frames(store.video_path(decided.b.sha256))[0])
    other = RatingStore(tmp_path / "other")
    assert import_ratings(other, tmp_path / "out" / "pairs.csv", RATER, "rain") == Imported(1, 1)
    assert (other.ratings()[0].preference, other.ratings()[0].pair.category) == ("a", "horse")
    before = store.ratings()
    found = import_ratings(store, tmp_path / "out" / "pairs.csv", RATER, "")
    assert found == Imported(0, 0, 1) and store.ratings() == before, "its own export is no further person's votes"


def test_an_export_can_be_learned_from(store: RatingStore, clips: list[Path], tmp_path: Path) -> None:
    """With each pair's own prompt, and without the pairs that measure; these are there all the same."""
    takes = [TakeRecord(store.keep_file(clip), backbone="pocket") for clip in clips[:4]]
    for a, b, prompt, split in ((0, 1, "a größer horse runs", "train"), (2, 3, "a red horse", "measure")):
        pair = new_pair(takes[a], takes[b], prompt, "horse", "queue", "varied")
        store.append(rating_of(store.add_pair(replace(pair, split=split)), "b"))
    assert export_ratings(store, tmp_path / "out", "chosen-rejected") == 2
    found = read_own_clips(tmp_path / "out", "dpo", "horse run", all_pairs=False, seed=0)
    expected = training_set(store.ratings(), "dpo", "pocket", store.video_path)
    (learned,), (rated,) = found.pairs, expected.pairs
    assert (
        (learned.prompt, learned.segments) == (rated.prompt, rated.segments) == ("a größer horse runs", (1, 1, 1, 1))
    )
    assert learned.winner.read_bytes() == rated.winner.read_bytes()
    assert learned.loser.read_bytes() == rated.loser.read_bytes()
    kept = read_own_clips(tmp_path / "out" / "measure", "dpo", "horse run", all_pairs=False, seed=0)
    assert [pair.prompt for pair in kept.pairs] == ["a red horse"]
    other = RatingStore(tmp_path / "other")
    assert import_ratings(other, tmp_path / "out", RATER, "") == Imported(2, 2), "whoever reads the table has both"


def test_export_writes_over_nothing(store: RatingStore, add_pair: Callable[..., Pair], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no ratings to export"):
        export_ratings(store, tmp_path / "out")
    store.append(rating_of(add_pair(), "tie_bad"))
    with pytest.raises(ValueError, match="No pair is decided"):
        export_ratings(store, tmp_path / "out", "chosen-rejected")
    (tmp_path / "out" / "precious.txt").write_text("x")
    with pytest.raises(ValueError, match="must be a new or an empty folder"):
        export_ratings(store, tmp_path / "out")
    with pytest.raises(ValueError, match="no layout 'zip'"):
        export_ratings(store, tmp_path / "other", "zip")


def test_several_people_in_a_table_stay_several(store: RatingStore, clips: list[Path]) -> None:
    """Nine for the one clip and one for the other are ten votes, not one person's contradiction."""
    folder = clips[0].parent
    names = {"video_a": clips[0].name, "video_b": clips[1].name, "prompt": "a red horse"}
    for column in ({}, {"annotator": "someone"}):
        said = ["a"] * 9 + ["b"]
        rows = [names | {"preference": one} | ({"annotator": f"p{i}"} if column else {}) for i, one in enumerate(said)]
        (folder / "votes.json").write_text(json.dumps(rows))
        own = RatingStore(folder / f"own-{len(column)}")
        assert import_ratings(own, folder / "votes.json", RATER, "horse") == Imported(1, 10)
        (votes,) = votes_by_pair(own.ratings())
        assert len(votes) == 10 and sum(vote.preference == "a" for vote in votes) == 9
        assert not any("p1" in vote.rater for vote in votes)


TABLE = "Video_A;Video_B;Preference;Prompt\r\n0.mp4;1.mp4;a;Pferd; läuft\r\n".replace("Pferd; läuft", '"Pferd; läuft"')


@pytest.mark.parametrize(
    "content",
    [
        TABLE.encode("utf-8-sig"),  # Excel's CSV UTF-8 where the comma is in numbers
        TABLE.encode(),
        TABLE.replace(";", "\t").replace("Pferd\t", "Pferd;").encode("utf-16"),  # its Unicode text
        TABLE.replace(";", ",").replace("Pferd,", "Pferd;").encode(),
    ],
    ids=["excel", "semicolons", "unicode text", "commas"],
)
def test_tables_as_spreadsheets_write_them(store: RatingStore, folder: Path, content: bytes) -> None:
    (folder / "pairs.csv").write_bytes(content)
    assert import_ratings(store, folder / "pairs.csv", RATER, "horse") == Imported(1, 1)
    (rating,) = store.ratings("horse")
    assert (rating.preference, rating.pair.prompt) == ("a", "Pferd; läuft")


def test_scores_with_a_decimal_comma(store: RatingStore, folder: Path) -> None:
    (folder / "scores.csv").write_text("video;score\n0.mp4;7,5\n1.mp4;7,25\n")
    assert import_ratings(store, folder / "scores.csv", RATER, "horse") == Imported(1, 1)
    (rating,) = store.ratings("horse")
    assert {rating.score_a, rating.score_b} == {7.5, 7.25}


@pytest.mark.parametrize(
    "name, content, sentence",
    [
        ("x.csv", "video,score\n0.mp4,7,5\n", "line 2 has more cells than the first one has names."),
        ("x.csv", "video;score\n0.mp4;1\nl\u00e4uft;2\n".encode("cp1252"), "Line 3 of .* is not in UTF-8"),
        ("x.csv", "film;points\n0.mp4;7\n", "needs the columns video_a, .* it has: film, points."),
        ("x.csv", 'video,score\n0.mp4,1\n"1.mp4,1\n', "line 3 is no CSV"),
        ("x.jsonl", '{"video": "0.mp4", "score": 1}\n{"video"\n', "line 2 is no JSON."),
        ("x.json", '[{"video": "0.mp4",\n"score" 1}]', "line 2 is no JSON."),
    ],
)
def test_what_is_wrong_with_a_table_is_said_with_its_line(
    store: RatingStore, folder: Path, name: str, content: str | bytes, sentence: str
) -> None:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=sentence):
        import_ratings(store, folder / name, RATER, "horse")
    assert store.ratings() == []
