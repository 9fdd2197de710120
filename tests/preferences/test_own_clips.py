"""Folders of own pairs, judged clips and scores, good and hostile."""

import json
import shutil
from pathlib import Path

import pytest

from huvidpo.preferences.own_clips import clips_by_name, read_own_clips, real_clips, scored_pairs


@pytest.fixture
def folder(tmp_path: Path, clips: list[Path]) -> Path:
    (tmp_path / "own").mkdir()
    return tmp_path / "own"


def put(clip: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(clip, target))


def read(folder: Path, objective: str = "dpo", all_pairs: bool = False):
    return read_own_clips(folder, objective, "horse run", all_pairs, seed=0)


def test_chosen_and_rejected_by_name(folder: Path, clips: list[Path]) -> None:
    for i, name in enumerate(("x", "y")):
        put(clips[i], folder / "chosen" / f"{name}.mp4")
        put(clips[i + 2], folder / "rejected" / f"{name}.mp4")
    (folder / "chosen" / "y.txt").write_text("a blue horse\n")
    found = read(folder)
    assert [(p.winner.name, p.loser.parent.name, p.prompt) for p in found.pairs] == [
        ("x.mp4", "rejected", "horse run"),
        ("y.mp4", "rejected", "a blue horse"),
    ]
    before = found.sources_sha256
    shutil.copy(clips[5], folder / "rejected" / "y.mp4")
    assert read(folder).sources_sha256 != before, "the bytes of the clips count"


def test_good_and_bad(folder: Path, clips: list[Path]) -> None:
    put(clips[0], folder / "good" / "x.mp4")
    with pytest.raises(ValueError, match="bad/ holds none"):
        read(folder, "kto")
    put(clips[1], folder / "bad" / "x.mp4")
    assert [(c.clip.parent.name, c.good) for c in read(folder, "kto").clips] == [("good", True), ("bad", False)]


def test_scores_as_huvidpo_has_them(folder: Path, clips: list[Path]) -> None:
    """4 clips, two with the same score: 6 pairs with all, less one tie; 2 pairs at random, each clip once."""
    scores = {"p.mp4": 7.25, "q.mp4": 3, "r.mp4": 3, "s.mp4": 9.5}
    for i, name in enumerate(scores):
        put(clips[i], folder / name)
    rows = [{"video": f"train_data/videos/{name}", "score": score} for name, score in scores.items()]
    (folder / "scores.json").write_text(json.dumps(rows))
    found = read(folder, all_pairs=True)
    assert len(found.pairs) == 5 and found.left_out == {"a tie": 1}
    assert all(scores[p.winner.name] > scores[p.loser.name] for p in found.pairs)
    once = read(folder)
    assert len(once.pairs) + once.left_out.get("a tie", 0) == 2
    assert len({path for p in once.pairs for path in (p.winner, p.loser)}) == 2 * len(once.pairs) == once.judged


def test_every_pair_of_eight_clips_is_28_pairs() -> None:
    clips = [Path(f"{i}.mp4") for i in range(8)]
    pairs, ties = scored_pairs(clips, range(8), "", all_pairs=True, seed=0)
    assert (len(pairs), ties) == (28, 0) and len({frozenset((p.winner, p.loser)) for p in pairs}) == 28
    few, _ = scored_pairs(clips, range(8), "", all_pairs=False, seed=1)
    assert len(few) == 4 and scored_pairs(clips, range(8), "", False, 1)[0] == few != scored_pairs(clips, range(8), "", False, 2)[0]  # fmt: skip  # noqa: E501
    with pytest.raises(ValueError, match="at least 2"):
        scored_pairs(clips[:1], [1], "", True, 0)


@pytest.mark.parametrize(
    "scores, sentence",
    [
        ('[{"video": "../../secret.mp4", "score": 1}]', "is not beside it"),
        ('[{"video": "x.mp4", "score": "NaN"}]', "not a number"),
        ('[{"video": "x.mp4"}]', "is no list of"),
        ('{"video": 1}', "is no list of"),
        ("[" * 5000, "is no list of"),
        ('[{"video": "x.mp4", "score": 1}]', "at least 2"),
    ],
)
def test_broken_and_hostile_scores_are_refused(folder: Path, clips: list[Path], scores: str, sentence: str) -> None:
    put(clips[0], folder / "x.mp4")
    put(clips[0], folder.parent.parent / "secret.mp4")
    (folder / "scores.json").write_text(scores)
    with pytest.raises(ValueError, match=sentence):
        read(folder)


def test_folders_that_hold_nothing_usable(folder: Path, clips: list[Path]) -> None:
    with pytest.raises(ValueError, match="no folder of clips"):
        read(folder / "missing")
    with pytest.raises(ValueError, match="holds no pairs"):
        read(folder)
    put(clips[0], folder / "chosen" / "x.mp4")
    with pytest.raises(ValueError, match="is in only one"):
        read(folder)
    put(clips[0], folder / "chosen" / "x.gif")
    with pytest.raises(ValueError, match="two clips called x"):
        clips_by_name(folder / "chosen")
    with pytest.raises(ValueError, match="holds no clips"):
        real_clips(folder / "missing", "")
