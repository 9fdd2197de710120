"""Stage 1: the published loss, what it trains, that it learns, and that stopping and resuming changes nothing."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler

from huvidpo.models.motion import is_motion_parameter, motion_state_dict
from huvidpo.models.precision import has_bfloat16
from huvidpo.pipelines.image_to_video import ImageToVideoPipeline
from huvidpo.training.motion import gigabytes_beside, invert, motion_loss, train_motion
from huvidpo.training.motion_settings import MotionSettings
from tests.goldens import load_golden_unet
from tests.training.conftest import moving_clips

SETTINGS = MotionSettings(steps=6, learning_rate=1e-3, num_frames=4, seed=1)


@pytest.mark.parametrize("variant", ["lamp", "huvidpo"])
def test_loss_is_the_published_one(variant: str) -> None:
    unet, golden = load_golden_unet(variant, "train")
    scheduler = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False)
    with torch.no_grad():
        loss = motion_loss(
            unet, scheduler, golden["in.latents"], golden["in.noise"], golden["in.timestep"], golden["in.text"]
        )
    torch.testing.assert_close(loss, golden["out.loss"], atol=1e-5, rtol=0)


def test_loss_leaves_the_first_frame_out() -> None:
    """Noise of frame 0 neither enters the network (frame 0 is clean) nor the error."""
    unet, golden = load_golden_unet("huvidpo", "train")
    scheduler = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    other_noise = golden["in.noise"].clone()
    other_noise[:, :, 0] += 5
    with torch.no_grad():
        losses = [
            motion_loss(unet, scheduler, golden["in.latents"], noise, golden["in.timestep"], golden["in.text"])
            for noise in (golden["in.noise"], other_noise)
        ]
    assert torch.equal(*losses)


@pytest.mark.slow
def test_only_motion_parts_change(pipeline: ImageToVideoPipeline, tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in pipeline.unet.state_dict().items()}
    records = list(train_motion(pipeline, moving_clips(), SETTINGS, tmp_path / "run"))
    assert [record.step for record in records] == [1, 2, 3, 4, 5, 6]
    changed = {name for name, value in pipeline.unet.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all(is_motion_parameter(name) for name in changed)
    for part in ("conv1d", "attn_temp.to_out", "norm_temp", "attn1.to_q"):
        assert any(part in name for name in changed), part
    assert not any(parameter.requires_grad for parameter in pipeline.unet.parameters())


@pytest.mark.slow
def test_it_learns(pipeline: ImageToVideoPipeline, tmp_path: Path) -> None:
    settings = MotionSettings(steps=60, learning_rate=3e-3, num_frames=4, clips_per_step=2, seed=2)
    losses = [record.loss for record in train_motion(pipeline, moving_clips(), settings, tmp_path / "run")]
    assert np.mean(losses[-15:]) < 0.9 * np.mean(losses[:15])


@pytest.mark.slow
@pytest.mark.parametrize(("interruption", "left"), [("closed", [6]), ("killed", [5, 6])])
def test_an_interrupted_run_ends_with_the_same_weights(
    pipeline: ImageToVideoPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interruption: str, left: list[int]
) -> None:
    """After five of six steps. Closing keeps the fifth; of a killed run the last checkpoint is that of step 4."""
    start = {name: value.clone() for name, value in pipeline.unet.state_dict().items()}
    monkeypatch.setattr("huvidpo.training.loop.CHECKPOINT_EVERY", 2)
    monkeypatch.setattr("huvidpo.training.loop.CHECKPOINT_SECONDS", 0.0)
    list(train_motion(pipeline, moving_clips(), SETTINGS, tmp_path / "whole"))
    whole = {name: value.clone() for name, value in motion_state_dict(pipeline.unet).items()}

    pipeline.unet.load_state_dict(start)
    interrupted = train_motion(pipeline, moving_clips(), SETTINGS, tmp_path / "closed")
    for _ in range(5):
        next(interrupted)
    shutil.copytree(tmp_path / "closed", tmp_path / "killed")
    interrupted.close()
    pipeline.unet.load_state_dict(start)
    rest = list(train_motion(pipeline, moving_clips(), SETTINGS, tmp_path / interruption))
    assert [record.step for record in rest] == left
    for name, value in motion_state_dict(pipeline.unet).items():
        assert torch.equal(value, whole[name]), name


@pytest.mark.slow
def test_inversion_gives_the_noise_that_sampling_turns_back_into_the_clip(pipeline: ImageToVideoPipeline) -> None:
    """DDIM from the inverted noise lands near the clip; from other noise it does not."""
    unet, golden = load_golden_unet("huvidpo", "train")
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False
    )
    latents, text = golden["in.latents"], golden["in.text"]
    noise = invert(unet, scheduler, latents, text, steps=200)
    scheduler.set_timesteps(200)

    def sample(start: torch.Tensor) -> torch.Tensor:
        clip = torch.cat([latents[:, :, :1], start[:, :, 1:]], dim=2)
        for timestep in scheduler.timesteps:
            prediction = unet(clip, timestep, text).sample
            stepped = scheduler.step(prediction, timestep, clip).prev_sample
            clip = torch.cat([latents[:, :, :1], stepped[:, :, 1:]], dim=2)
        return clip

    with torch.no_grad():
        back, elsewhere = sample(noise), sample(torch.randn_like(noise))
    assert (back - latents).abs().mean() < 0.25 * (elsewhere - latents).abs().mean()


@pytest.mark.slow
@pytest.mark.skipif(not has_bfloat16("cpu"), reason="this processor has no bfloat16")
def test_frozen_weights_in_half_precision_can_be_inverted_too(pipeline: ImageToVideoPipeline, tmp_path: Path) -> None:
    """As on a GPU: the backbone is in half precision, what is trained in single."""
    pipeline.to(torch.bfloat16)
    settings = replace(SETTINGS, steps=2, inverted_latents=True)
    assert all(np.isfinite(r.loss) for r in train_motion(pipeline, moving_clips(), settings, tmp_path / "run"))
    assert {parameter.dtype for parameter in pipeline.unet.parameters()} == {torch.bfloat16}, "it makes clips again"


def test_what_a_step_holds_beside_weights_and_activations() -> None:
    """100 numbers are trained, four times 400 bytes beside them; of 100 frozen ones in float16 copies of 200 bytes."""
    network = torch.nn.Sequential(torch.nn.Linear(10, 10, bias=False), torch.nn.Linear(10, 10, bias=False))
    network[0].half().requires_grad_(False)
    assert 1e9 * gigabytes_beside(network) == pytest.approx(4 * 400 + 200)
