"""Clips of a training set become tensors once; clips before and during a run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from huvidpo.preferences.pairs import JudgedClip, TrainingPair, TrainingSet
from huvidpo.recipes import RECIPES
from huvidpo.training.examples import encode_examples
from huvidpo.training.reference import add_policy, load_lora, lora_state
from huvidpo.training.validation import Validation, validation_clips
from huvidpo.video import read_frames, write_mp4

SIZE = (4, 32, 32)  # frames, width, height


def write_moving(path: Path, count: int, step: int) -> Path:
    frames = np.zeros((count, 40, 48, 3), np.uint8)
    for i, frame in enumerate(frames):
        frame[:, 2 + step * i : 14 + step * i] = 230
    return write_mp4(frames, path, 8)


@pytest.fixture
def pairs(tmp_path: Path) -> TrainingSet:
    a, b, c = (write_moving(tmp_path / f"{i}.mp4", 4 + i, i) for i in (0, 1, 2))
    return TrainingSet((TrainingPair(b, a, "a red horse"), TrainingPair(c, a, "a blue horse", (1, 0, -1, 1))))


def test_every_clip_is_encoded_once_at_the_model_s_size(pipeline, pairs: TrainingSet, tmp_path: Path) -> None:
    """Three files in two pairs, of 4, 5 and 6 frames; the second time nothing is encoded."""
    found = encode_examples(pipeline, pairs, [(pairs.pairs[0].winner, "real")], SIZE, tmp_path / "cache")
    (first, second), (real,) = found.examples, found.real
    assert [len(clip.latents) for clip in (*first.clips, *second.clips, real)] == [5, 4, 6, 4, 5]
    assert first.clips[0].latents.shape[1:] == (4, 4, 4) and second.labels == (1, 0, -1, 1)
    assert not torch.equal(first.clips[0].latents, first.clips[0].mirrored)
    assert torch.equal(first.clips[0].text, first.clips[1].text) and not torch.equal(first.clips[0].text, real.text)
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}
    again = encode_examples(pipeline, pairs, [], SIZE, tmp_path / "cache")
    assert len(files) == 3 == len({path.read_bytes() for path in files})
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()} == files
    assert torch.equal(again.examples[0].clips[0].latents, first.clips[0].latents)


def test_judged_clips_and_clips_that_are_too_short(pipeline, tmp_path: Path) -> None:
    good, short = write_moving(tmp_path / "good.mp4", 4, 1), write_moving(tmp_path / "short.mp4", 3, 1)
    found = encode_examples(pipeline, TrainingSet(clips=(JudgedClip(good, "x", False),)), [], SIZE, tmp_path / "cache")
    assert found.examples[0].labels == (-1,) and len(found.examples[0].clips) == 1
    with pytest.raises(ValueError, match=r"short\.mp4 has 3 frames; training needs 4"):
        encode_examples(pipeline, TrainingSet(clips=(JudgedClip(short, "x", True),)), [], SIZE, tmp_path / "cache")


@pytest.mark.slow
def test_clips_before_and_during_a_run(pipeline, pairs: TrainingSet, tmp_path: Path) -> None:
    """The share is 1 while nothing has been learned; the clips before are made once, with the adapter off."""
    unet = pipeline.unet
    with torch.no_grad():
        for name, parameter in unet.named_parameters():
            if "attn_temp.to_out" in name or "conv1d" in name:
                parameter += 0.2 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    add_policy(unet, 2, 4, 0.0, seed=0)
    quick = replace(RECIPES["default"], steps=2, guidance=1.0)
    validation = Validation(pipeline, pairs, SIZE, 8, tmp_path / "clips", 1, quick)
    assert validation(50) == pytest.approx(1)
    generator = torch.Generator().manual_seed(3)
    load_lora(unet, {name: 0.3 * torch.randn(v.shape, generator=generator) for name, v in lora_state(unet).items()})
    assert validation(100) != pytest.approx(1, abs=1e-3)
    clips = validation_clips(tmp_path / "clips")
    assert list(clips) == [0, 50, 100] and all(len(paths) == 1 for paths in clips.values())
    frames = {step: read_frames(paths[0])[0] for step, paths in clips.items()}
    assert np.array_equal(frames[0], frames[50]) and not np.array_equal(frames[0], frames[100])
    assert frames[0].shape == (4, 32, 32, 3)
