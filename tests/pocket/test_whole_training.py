"""`python -m huvidpo.pocket.train` as it is started: its arguments, and `all` from end to end on a small `pocket`."""

import json
import shutil
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel

from huvidpo import adapter_weights, adapters
from huvidpo.pocket import train, train_autoencoder, train_decoder, train_first_frames, train_motion, train_preference
from huvidpo.pocket.autoencoder import PatchAutoencoderKL
from huvidpo.pocket.practice_clips import ACTIONS
from huvidpo.pocket.train_motion import few_shot_clips, video_pipeline
from huvidpo.training import motion
from huvidpo.training.loop import load_state

LOGS = ("first-frames", "decoder", "motion-start", "motion-rain", "preference")


@pytest.fixture
def weights(own_home: Path, pocket_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the small `pocket` with an adapter for each action, and stages that are as small."""
    folder = tmp_path / "weights"
    shutil.copytree(pocket_weights, folder)
    monkeypatch.setenv("HUVIDPO_POCKET_WEIGHTS", str(folder))
    image = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
    unet = video_pipeline(image).unet
    for action in ACTIONS:
        card = {"backbone": "pocket", "category": action, "status": "default"}
        adapter_weights.save_motion_adapter(unet, adapters.SHIPPED / "pocket" / action / "motion", card)
    sizes = dict(image.unet.config)
    monkeypatch.setattr(train_first_frames, "new_unet", lambda: UNet2DConditionModel.from_config(sizes))
    monkeypatch.setattr(train_autoencoder, "PatchAutoencoderKL", partial(PatchAutoencoderKL, width=32))
    for module in (train_autoencoder, train_decoder, train_first_frames, train_preference):
        monkeypatch.setattr(module, "FRAMES", 16)
    for name, value in {"PAIRS": 2, "BATCH": 1, "SAMPLING_STEPS": 2, "ATTEMPTS": 2}.items():
        monkeypatch.setattr(train_preference, name, value)
    monkeypatch.setattr(train_motion, "few_shot_clips", lambda action, count=16: few_shot_clips(action, 1))
    for name in ("START", "CATEGORY"):
        monkeypatch.setattr(train_motion, name, replace(getattr(train_motion, name), num_frames=2))
    return folder


def shipped(weights: Path) -> dict[str, bytes]:
    """What lies where the app loads it from: the bytes of every weight file."""
    files = [*weights.rglob("*.safetensors"), *adapters.SHIPPED.rglob("*.safetensors")]
    return {str(file.relative_to(weights.parent)): file.read_bytes() for file in files}


def steps_in(work: Path) -> dict[str, list[int]]:
    """The last step of each row of the logs."""
    texts = {name: (work / f"{name}.jsonl").read_text() if (work / f"{name}.jsonl").exists() else "" for name in LOGS}
    return {name: [json.loads(row)["step"] for row in text.splitlines()] for name, text in texts.items()}


@pytest.mark.slow
def test_all_stages_go_on_after_ctrl_c_and_ship_together(weights, tmp_path, monkeypatch, capsys) -> None:
    """Ctrl-C in the second of three steps of `motion-start`; the same again; and once more, on from the new weights.

    Each stage's few steps are in its log, though a row has 25.
    """
    work, before = tmp_path / "work", shipped(weights)
    ask = ["all", "--work", str(work), "--steps", "3", "--batch", "2", "--device", "cpu"]
    asked, loss = [], motion.motion_loss

    def interrupted_loss(*arguments: object) -> torch.Tensor:
        asked.append(1)
        if len(asked) == 2:
            signal.raise_signal(signal.SIGINT)
        return loss(*arguments)

    monkeypatch.setattr(motion, "motion_loss", interrupted_loss)
    assert train.main(ask) == 130
    assert shipped(weights) == before, "nothing is shipped before all of it is there"
    nothing = {"motion-rain": [], "preference": []}
    assert steps_in(work) == {"first-frames": [3], "decoder": [3], "motion-start": [2]} | nothing

    assert train.main(ask) == 0
    assert "stage decoder is over already" in capsys.readouterr().out
    rest = {"motion-rain": [3], "preference": [3]}
    assert steps_in(work) == {"first-frames": [3], "decoder": [3], "motion-start": [2, 3]} | rest
    after = shipped(weights)
    assert after.keys() == before.keys()
    same = {name for name in after if after[name] == before[name]}
    assert not any(part in name for name in same for part in ("unet", "text_encoder", "dpo", "motion"))
    StableDiffusionPipeline.from_pretrained(weights, local_files_only=True).load_lora_weights(weights / "dpo")
    assert not (work / train.NEW).exists() and load_state(work / "first-frames.pt")["step"] == 0

    assert train.main(ask) == 0
    assert steps_in(work) == {name: [*([2] if name == "motion-start" else []), 3, 3] for name in LOGS}
    assert (
        shipped(weights)["weights/unet/diffusion_pytorch_model.safetensors"]
        != after["weights/unet/diffusion_pytorch_model.safetensors"]
    )


@pytest.mark.slow
def test_a_stage_that_is_over_says_so_and_changes_nothing(weights, tmp_path, capsys) -> None:
    work = tmp_path / "work"
    assert train.main(["adopt", "--work", str(work)]) == 0
    ask = ["first-frames", "--work", str(work), "--batch", "2", "--device", "cpu", "--steps"]
    assert train.main([*ask, "1"]) == 0
    learned = (work / "first-frames.pt").read_bytes()
    assert train.main([*ask, "1"]) == 0 and "It is over already" in capsys.readouterr().out
    assert (work / "first-frames.pt").read_bytes() == learned
    assert train.main([*ask, "2"]) == 0 and load_state(work / "first-frames.pt")["step"] == 2


@pytest.mark.slow
def test_adopting_leaves_nothing_of_another_training(weights, tmp_path) -> None:
    """A start of motion that was learned here would win over the adopted one."""
    work = tmp_path / "work"
    train.main(["adopt", "--work", str(work)])
    assert train.main(["motion-start", "--work", str(work), "--steps", "1", "--device", "cpu"]) == 0
    assert (work / train_motion.START_FILE).exists() and (work / "motion-start" / "training.pt").exists()
    train.main(["adopt", "--work", str(work)])
    assert not (work / train_motion.START_FILE).exists() and not (work / "motion-start").exists()
    assert (work / "motion-start.jsonl").exists() and (work / "motion-start-adopted.safetensors").exists()


@pytest.mark.slow
def test_a_decoder_that_got_worse_is_not_kept(weights, tmp_path, monkeypatch, capsys) -> None:
    work = tmp_path / "work"
    train.main(["adopt", "--work", str(work)])
    old = (work / "autoencoder.pt").read_bytes()
    monkeypatch.setattr(train_decoder, "LEARNING_RATE", 0.1)
    assert train.main(["decoder", "--work", str(work), "--steps", "2", "--batch", "1", "--device", "cpu"]) == 0
    assert "so the decoder stays" in capsys.readouterr().out and (work / "autoencoder.pt").read_bytes() == old


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["all", "--minutes", "0"], "The minutes must be above 0, not 0."),
        (["first-frames", "--minutes", "-5"], "The minutes must be above 0, not -5."),
        (["autoencoder", "--steps", "0"], "The --steps must be at least 1, not 0."),
        (["first-frames", "--batch", "0"], "The --batch must be at least 1, not 0."),
        (["all", "--actions", "horse"], "The stage all has no use for --actions: leave it out."),
        (["decoder", "--compile"], "The stage decoder has no use for --compile: leave it out."),
        (["judge", "--batch", "4"], "The stage judge has no use for --batch: leave it out."),
        (["export", "--steps", "4"], "The stage export has no use for --steps: leave it out."),
        (["motion"], "There is no trained first-frame model in "),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(own_home, capsys, arguments: list[str], sentence: str) -> None:
    assert train.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and sentence in err
