"""Which backbone a machine gets, and what is said when its GPU has no room for it."""

import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline

from huvidpo.cli import main
from huvidpo.machine import choice_that_cannot_be, default_backbone
from huvidpo.pipelines.image_to_video import ImageToVideoPipeline
from huvidpo.pocket.practice_clips import render_clip, sample_scene
from huvidpo.video import write_mp4

VIDEO = ["video", "--prompt", "a red horse", "--category", "horse"]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch):
    """What torch says of a GPU with so many bytes; `spaces` emulates one of 75e9 in the main process of ZeroGPU."""

    def present(size: float) -> None:
        monkeypatch.delenv("HUVIDPO_BACKBONE", raising=False)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: size > 0)
        properties = namedtuple("properties", "total_memory")(size)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)

    return present


@pytest.mark.parametrize("size, name", [(0, "pocket"), (8e9, "pocket"), (16.9e9, "sd14"), (80e9, "sd14")])
def test_the_machine_chooses_the_backbone(gpu, size: float, name: str) -> None:
    gpu(size)
    assert default_backbone() == name


def test_pointers_in_the_place_of_weights_are_one_sentence(
    pocket_weights: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    """What a clone without git-lfs has, of a Space for one: the Hub keeps weights in its large-file store."""
    shutil.copytree(pocket_weights, tmp_path / "weights")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    (tmp_path / "weights" / "unet" / "diffusion_pytorch_model.safetensors").write_text(pointer)
    monkeypatch.setenv("HUVIDPO_POCKET_WEIGHTS", str(tmp_path / "weights"))
    assert main([*VIDEO, "--backbone", "pocket", "--out", str(tmp_path / "x.mp4")]) == 2
    assert "cannot be read: run `git lfs pull`" in capsys.readouterr().err


def test_zerogpu_gets_the_large_model_only_when_asked(gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    """A duplicate of the Space would download 25 GB unasked; one with a GPU of its own is another thing."""
    gpu(75e9)
    monkeypatch.setenv("SPACE_ID", "someone/duplicate")
    assert default_backbone() == "sd14"
    monkeypatch.setenv("SPACES_ZERO_GPU", "1")
    assert default_backbone() == "pocket"
    monkeypatch.setenv("HUVIDPO_BACKBONE", "sd14")
    assert default_backbone() == "sd14"


def full_for(monkeypatch: pytest.MonkeyPatch, kind: type[DiffusionPipeline]) -> None:
    """No pipeline of that kind has room on the device any more."""
    whole = DiffusionPipeline.to

    def to(pipeline: DiffusionPipeline, *place: object, **more: object) -> DiffusionPipeline:
        if isinstance(pipeline, kind):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return whole(pipeline, *place, **more)

    monkeypatch.setattr(DiffusionPipeline, "to", to)


def test_a_duplicated_space_on_a_cpu_takes_pocket_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the variables of the original, not its GPU."""
    monkeypatch.setenv("HUVIDPO_BACKBONE", "sd14")
    assert default_backbone() == "sd14" and choice_that_cannot_be() == "", "elsewhere it is its owner's business"
    monkeypatch.setenv("SPACE_ID", "someone/copy")
    assert default_backbone() == "pocket" and "choose a GPU in its settings" in choice_that_cannot_be()


def test_no_room_to_load_is_one_sentence(
    own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Another memory mode would not help, so none is named."""
    full_for(monkeypatch, DiffusionPipeline)
    assert main([*VIDEO, "--out", str(tmp_path / "x.mp4")]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("The GPU has no room for the model. Close other programs") and "--memory" not in said


def test_no_room_to_learn_motion_is_one_sentence(
    own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """The video model finds no room before the first step."""
    (tmp_path / "clips").mkdir()
    write_mp4(render_clip(sample_scene(0)), tmp_path / "clips" / "a.mp4", 8)
    full_for(monkeypatch, ImageToVideoPipeline)
    arguments = ["--category", "horse", "--clips", str(tmp_path / "clips"), "--out", str(tmp_path / "run")]
    assert main(["train-motion", *arguments]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert (
        said.startswith("The GPU ran out of memory while learning: give fewer --clips-per-step")
        and "turns" not in said
    )


@pytest.mark.slow
def test_a_program_that_uses_the_library_reads_nothing_of_its_insides(pocket_weights: Path, tmp_path: Path) -> None:
    """No advice, no bars, no warnings; and those of its own are as they were."""
    program = """
import sys
from pathlib import Path
from diffusers.utils import logging
from peft import LoraConfig
from huvidpo.backbones import load_backbone
from huvidpo.models.checkpoints import save_lora
from huvidpo.pocket.judge import load_judge
unet, _ = load_backbone("pocket").video.unet, load_judge()
unet.add_adapter(LoraConfig(r=2, target_modules=["to_q"]), "taste")
save_lora(unet, "taste", Path(sys.argv[1]))
assert logging.is_progress_bar_enabled() and logging.get_verbosity() == logging.WARNING
"""
    environment = os.environ | {"HUVIDPO_POCKET_WEIGHTS": str(pocket_weights)}
    for library in ("TRANSFORMERS", "DIFFUSERS"):
        environment.pop(f"{library}_VERBOSITY", None)
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "taste.safetensors")],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
