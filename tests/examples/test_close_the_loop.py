"""The experiment with simulated tastes: its rows, and the whole way on a tiny model."""

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from huvidpo.backbones import varied_prompt
from huvidpo.preferences.store import RatingStore

FOLDER = Path(__file__).parents[2] / "examples"
ROW = {"category": "horse", "taste": "warmer", "objective": "dpo", "pairs": 24, "flips": 0.2, "recipe": "", "seed": 0}
ROW |= {"wins": 80, "decided": 100, "motion": 0.99, "clip_score": 1.0, "minutes": 4.0, "stopped": ""}
ROW |= {"pairing": "varied", "votes": "segments", "strength": 1.0}


@pytest.fixture(scope="module")
def example() -> Iterator[ModuleType]:
    """The program as it is run, with its own folder on the path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield importlib.import_module("close_the_loop")


def test_a_row_says_what_was_missed(example) -> None:
    """80 of 100 has a lower bound of 71 %; 16 of 20 has one of 58 %."""
    assert example.line(ROW).endswith("reached")
    assert example.line(ROW | {"wins": 16, "decided": 20, "motion": 0.9}).endswith("missed: win rate, motion")
    assert example.line(ROW | {"clip_score": 0.94}).endswith("missed: prompts")


def test_seeds_and_categories_are_pooled(example) -> None:
    """80 + 20 wins of 200; mean motion of 0.99 and 1.01 is 1. Another taste stays apart."""
    rows = [ROW, ROW | {"seed": 1, "wins": 20, "motion": 1.01}, ROW | {"taste": "livelier"}]
    (row,) = example.pooled(rows, ("seed",))
    assert (row["wins"], row["decided"], row["motion"], row["seed"]) == (100, 200, 1.0, "all")
    assert "[   ?,    ?]" in example.line(row), "two runs say nothing of how runs differ"
    assert example.line(row).endswith("1 of 2 runs reach the aim")


def test_the_interval_of_several_runs_is_over_runs(example) -> None:
    """Nine runs of 20, of which one wins 10 and the others all: Wilson's for 170 of 180 would be [90, 97]."""
    rows = [ROW | {"seed": seed, "decided": 20, "wins": 20 if seed else 10} for seed in range(9)]
    (row,) = example.pooled(rows, ("seed",))
    low, high = row["interval"]
    assert low < 0.86 and high == 1 and row["reached"] == 8


def test_a_row_is_of_its_options_and_weights(example) -> None:
    """One from before has none written down: what it was made with is not known, so it is not taken for another."""
    cell = example.Cell("horse", "warmer", "dpo", 24, 0.0, "varied", "segments", "", 0)
    assert example.known_row([], cell, "aaa") == (None, cell.name())
    old = {"category": "horse", "adapter": cell.name()}
    assert example.known_row([old], cell, "aaa") == (None, f"{cell.name()}-aaa")
    rows = [old | {"key": "aaa"}, {"category": "horse", "adapter": f"{cell.name()}-bbb", "key": "bbb"}]
    assert [example.known_row(rows, cell, key)[0] for key in ("aaa", "bbb", "ccc")] == [*rows, None]


def test_a_recipe_is_changes_to_the_preset(example) -> None:
    assert example.recipe_changes("beta=100,members=apart,epochs=3") == {"beta": 100, "members": "apart", "epochs": 3}
    with pytest.raises(ValueError, match="no 'betta'"):
        example.recipe_changes("betta=3")


def test_no_prompt_is_rated_and_compared_on(example) -> None:
    """Birds, seed 2: that of the fourth scene is a rated one. So the next one stands there, with two seeds as all."""
    backbone = SimpleNamespace(preset=SimpleNamespace(name="pocket"))
    cell = example.Cell("birds", "livelier", "dense", 24, 0.0, "varied", "segments", "", 2)
    rated = [example.rated_scene(backbone, cell, number) for number in range(example.MAX_PAIRS)]
    found = example.unseen_scenes(backbone, cell, 19)
    assert varied_prompt(backbone, "birds", 3_020_003) in {prompt for _, prompt in rated[:24]}
    assert not {prompt for _, prompt in rated} & {prompt for _, prompt in found}
    scenes = [3_020_000 + i for i in range(11) if i != 3]
    assert [scene for scene, _ in found] == [scene for scene in scenes for _ in range(2)][:19]
    assert [scene for scene, _ in rated[:3]] == [2_020_000, 2_020_001, 2_020_002], "as published adapters had them"


def test_more_pairs_than_are_kept_apart_are_refused(example, capsys) -> None:
    with pytest.raises(SystemExit):
        example.main(["--pairs", "24", "101"])
    assert "At most 100 pairs can be asked for." in capsys.readouterr().err


@pytest.mark.slow
def test_the_whole_way_and_not_twice(example, own_home, monkeypatch, tmp_path: Path, capsys) -> None:
    options = ["--pairs", "2", "--unseen", "2", "--steps", "1", "--recipes", "pairs_per_step=1", "--start", "none"]
    options += ["--tastes", "livelier", "--objectives", "dense", "--flips", "0.5", "--votes", "whole"]
    options += ["--out", str(tmp_path / "loop")]
    monkeypatch.setenv("HUVIDPO_HOME", str(own_home))  # the program sets its own; this puts it back in the end
    example.main(options)
    (row,) = map(json.loads, (tmp_path / "loop" / "results.jsonl").read_text().splitlines())
    assert row["adapter"] == "livelier-dense-2p-50f-varied-whole-pairs_per_step1-0"
    assert row["decided"] <= 2 and row["motion"] > 0
    rated = RatingStore(tmp_path / "loop/cells/horse" / row["adapter"]).ratings("horse")
    assert [rating.segment_labels for rating in rated] == [("-",) * 4] * 2
    card = json.loads((tmp_path / "loop/adapters/pocket/horse" / row["adapter"] / "card.json").read_text())
    assert card["ratings"] == 2 and card["objective"] == "dense" and card["parent"] == "none"
    first = capsys.readouterr().out
    example.main(options)
    assert capsys.readouterr().out == first
    results = tmp_path / "loop" / "results.jsonl"
    results.write_text(json.dumps(row | {"scenes": [1], "wins": 7}) + "\n")  # as if it had been compared on another
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(example, "train")
        example.main(options)
    assert capsys.readouterr().out == first
    *_, again = map(json.loads, results.read_text().splitlines())
    assert again == row
    for before in (tmp_path / "loop" / "unseen").glob("*[0-9].npy"):
        np.save(before, np.zeros_like(np.load(before)))  # nothing is less lively than a clip that stands still
    results.write_text(json.dumps(row | {"scenes": [1]}) + "\n")
    example.main(options)
    *_, livelier = map(json.loads, results.read_text().splitlines())
    assert livelier["wins"] == livelier["decided"] == 2 and livelier["mean_difference"] > 0
    results.write_text(json.dumps(row) + "\n")
    example.main([*options, "--unseen", "1"])
    rows = [json.loads(text) for text in (tmp_path / "loop" / "results.jsonl").read_text().splitlines()]
    assert [row["adapter"] for row in rows] == [row["adapter"], f"{row['adapter']}-{rows[1]['key']}"]
    assert rows[1]["decided"] <= 1 and len([*(tmp_path / "loop" / "unseen").glob("*-0.npy")]) == 1
