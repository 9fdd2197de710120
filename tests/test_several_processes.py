"""Commands under `accelerate launch`, in two processes: the work is shared, the result is that of one process."""

import json
from contextlib import closing
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from huvidpo.cli import main
from huvidpo.pocket.practice_clips import render_clip, sample_scene
from huvidpo.preferences.store import RatingStore
from huvidpo.video import write_mp4
from tests.launched import launch_two

TRAIN = (
    "train-motion",
    "--category",
    "horse",
    "--learning-rate",
    "0.001",
    "--steps",
    "2",
    "--seed",
    "3",
    "--start",
    "gallop",
)


@pytest.fixture
def clips(own_home: Path, tmp_path: Path) -> str:
    """A folder of two clips; the small `pocket` is this machine's backbone."""
    (tmp_path / "clips").mkdir()
    for i in range(2):
        write_mp4(render_clip(sample_scene(i, action="horse")), tmp_path / "clips" / f"{i}.mp4", 8)
    return str(tmp_path / "clips")


@pytest.mark.slow
def test_two_processes_learn_the_motion_that_one_does(clips: str, moving_adapter, tmp_path: Path, capsys) -> None:
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    assert main([*TRAIN, "--clips", clips, "--clips-per-step", "2", "--out", str(alone)]) == 0
    capsys.readouterr()
    said = launch_two("huvidpo", *TRAIN, "--clips", clips, "--out", str(shared), "--json")
    card = json.loads(said)["card"]  # of the first process; the other one says nothing
    assert card["clips_per_step"] == 2 and card["steps"] == 2
    assert card["final_loss"] == pytest.approx(json.loads((alone / "card.json").read_text())["final_loss"], rel=1e-3)
    folders = (moving_adapter.folder, alone, shared)
    start, expected, found = (torch.cat([x.float().flatten() for _, x in sorted(load(f).items())]) for f in folders)
    # The files are in half precision, on some processors matrix work too, and the first steps of Adam go by the sign
    # of a gradient, however small: so equal up to a quarter. Learning from one clip alone ends further away.
    assert (found - expected).norm() < 0.25 * (expected - start).norm()


@pytest.mark.slow
def test_two_processes_share_the_pairs_to_make(own_home: Path) -> None:
    pair = ("pair", "--prompt", "a red horse runs", "--category", "horse", "--adapter", "none", "--steps", "1")
    made = json.loads(launch_two("huvidpo", *pair, "--count", "3", "--json"))
    with closing(RatingStore(own_home)) as store:
        assert [store.pair(name).a.seed for name in made["pairs"]] == [0, 1, 2]
        assert len(store.pairs()) == 3


def load(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "motion.safetensors")
