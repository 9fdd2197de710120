"""The experiment with simulated tastes: what the tastes prefer, and the whole way on a tiny model."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

PATH = Path(__file__).parents[2] / "examples" / "close_the_loop.py"


@pytest.fixture(scope="module")
def example():
    specification = importlib.util.spec_from_file_location("close_the_loop", PATH)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def clip(brightness: list[int], red: list[int]) -> np.ndarray:
    frames = np.zeros((len(brightness), 32, 32, 3), np.uint8)
    frames += np.array(brightness, np.uint8)[:, None, None, None]
    frames[..., 0] += np.array(red, np.uint8)[:, None, None]
    return frames


def test_warmth_is_what_later_frames_gain(example) -> None:
    """Red less blue is 10 in the first frame, 30 and 50 later: 40 - 10."""
    assert example.warmth(clip([5, 90, 5], [10, 30, 50])) == 30


def test_steadiness_sees_flicker_and_not_a_fade(example) -> None:
    """0, 20, 0, 20 has second differences of -40, 40; an even fade has none."""
    assert example.steadiness(clip([0, 20, 0, 20], [0] * 4)) == -40
    assert example.steadiness(clip([0, 20, 40, 60], [0] * 4)) == 0


def test_a_row_says_what_was_missed(example) -> None:
    row = {"category": "horse", "taste": "warmer", "objective": "dpo", "pairs": 24, "flips": 0.2, "seed": 0}
    row |= {"win_rate": 0.8, "low": 0.68, "high": 0.9, "motion": 0.99, "minutes": 4.0, "stopped": ""}
    assert example.line(row).endswith("reached")
    assert example.line(row | {"low": 0.6, "motion": 0.9}).endswith("missed: win rate, motion")


@pytest.mark.slow
def test_the_whole_way_and_not_twice(example, own_home, monkeypatch, tmp_path: Path, capsys) -> None:
    options = ["--pairs", "2", "--unseen", "2", "--steps", "1", "--pairs-per-step", "1", "--start", "none"]
    options += ["--tastes", "livelier", "--objectives", "dense", "--flips", "0.5", "--out", str(tmp_path / "loop")]
    monkeypatch.setenv("HUVIDPO_HOME", str(own_home))  # the program sets its own; this puts it back in the end
    example.main(options)
    (row,) = map(json.loads, (tmp_path / "loop" / "results.jsonl").read_text().splitlines())
    assert row["adapter"] == "livelier-dense-2p-50f-0" and row["decided"] <= 2 and row["motion"] > 0
    card = json.loads((tmp_path / "loop/adapters/pocket/horse" / row["adapter"] / "card.json").read_text())
    assert card["ratings"] == 2 and card["objective"] == "dense" and card["parent"] == "none"
    first = capsys.readouterr().out
    example.main(options)
    assert capsys.readouterr().out == first
