"""Commands under `accelerate launch`, in two processes: the work is shared, the result is that of one process."""

import json
from contextlib import closing
from pathlib import Path

import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.utils import DistributedType
from safetensors.torch import load_file

from huvidpo.cli import main
from huvidpo.commands.learning import fitted_to_processes
from huvidpo.memory import unusable_gpu
from huvidpo.pocket.practice_clips import render_clip, sample_scene
from huvidpo.preferences.store import RatingStore
from huvidpo.training.preference_settings import preset_settings
from huvidpo.training.processes import join_processes
from huvidpo.video import write_mp4
from tests.launched import ROOT, launch_two

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


@pytest.mark.parametrize("name, processes", [("1_gpu", 1), ("2_gpus", 2), ("8_gpus", 8)])
def test_the_example_for_a_number_of_gpus_starts_as_many_processes(name: str, processes: int) -> None:
    config = load_config_from_file(str(ROOT / "examples" / "accelerate" / f"{name}.yaml"))
    kind = DistributedType.MULTI_GPU if processes > 1 else DistributedType.NO
    assert (config.num_processes, config.distributed_type, config.use_cpu) == (processes, kind, False)


def test_a_job_that_is_not_shared_is_refused(own_home: Path, monkeypatch, capsys) -> None:
    """Every process would do all of it, on one GPU."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    pair = ("pair", "--prompt", "a red horse runs", "--category", "horse")
    for command in (("rounds", "--category", "horse"), ("categories",), pair):
        assert main(command) == 2
        assert "without accelerate launch" in capsys.readouterr().err


@pytest.mark.parametrize("given, pairs", [(False, 8), (True, 2)])
def test_every_process_has_a_pair_unless_their_number_was_given(given: bool, pairs: int, monkeypatch, capsys) -> None:
    monkeypatch.setattr("huvidpo.training.processes.process_number", lambda: (0, 8))
    assert fitted_to_processes(preset_settings("recommended", "dpo"), given).pairs_per_step == pairs
    said = "6 of 8 processes have nothing to do" if given else "a step has 8 pairs"
    assert said in capsys.readouterr().err


def test_a_gpu_that_torch_cannot_use_is_said_and_not_trained_beside(tmp_path: Path, monkeypatch) -> None:
    """As with a driver that is too old. A program of the driver's name stands for it."""
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="The GPU of this machine is not used: torch"):
        join_processes()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # somebody wants it so
    assert unusable_gpu() == ""


def load(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "motion.safetensors")
