"""Training follows the networks to their device. PyTorch's `meta` stands for a GPU: whatever mixes devices raises."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch
from diffusers import StableDiffusionPipeline

from huvidpo.pocket import train, train_autoencoder, train_decoder, train_first_frames, train_motion
from huvidpo.pocket.judge import load_judge
from huvidpo.pocket.practice_clips import sample_scene
from huvidpo.pocket.train_judge import dual_encoder_loss
from huvidpo.training import motion, muon
from huvidpo.training.clips import EncodedClip


@pytest.fixture
def image(pocket_weights: Path, monkeypatch: pytest.MonkeyPatch) -> StableDiffusionPipeline:
    """The small model, not on `meta` yet. That device has no autocast, so there is none."""
    for module in (train_first_frames, train_decoder, motion, muon):
        monkeypatch.setattr(module, "mixed_precision", lambda *_: nullcontext())
    return StableDiffusionPipeline.from_pretrained(pocket_weights, local_files_only=True)


def test_first_frames_and_their_optimizer(image) -> None:
    image.to("meta")
    trained = train_first_frames.trained_parts(image).requires_grad_(True)
    loss = train_first_frames.batch_loss(image, torch.randn(32, 16, 16, 16).half(), step=3, batch=4)
    assert loss.device.type == "meta"
    loss.backward()
    train_first_frames.new_optimizer(trained).step()


def test_autoencoder_and_decoder(image) -> None:
    image.to("meta")
    images, generator = torch.randn(2, 3, 128, 128, device="meta"), torch.Generator().manual_seed(0)
    assert train_autoencoder.reconstruction_loss(image.vae, images, generator).device.type == "meta"
    latents = torch.randn(2, 16, 16, 16, device="meta")
    assert train_decoder.resampled_latents(image, latents, [1, 2], step=5).device.type == "meta"


def test_motion(image) -> None:
    pipeline = train_motion.video_pipeline(image).to("meta")
    width = image.text_encoder.config.hidden_size
    clip = EncodedClip(torch.randn(16, 16, 16, 16).half(), torch.randn(16, 16, 16, 16).half(), torch.randn(24, width))
    settings = replace(train_motion.START, clips_per_step=2)
    batch = motion.draw_batch(pipeline, [clip] * 3, torch.randn(24, width), settings, step=1)
    assert all(tensor.device.type == "meta" for tensor in batch)
    assert motion.motion_loss(pipeline.unet, pipeline.scheduler, *batch).device.type == "meta"


def test_judge() -> None:
    judge = load_judge()
    scenes = [sample_scene(seed) for seed in range(3)]
    loss = dual_encoder_loss(judge.clip.to("meta"), judge.tokenizer, torch.randn(3, 3, 128, 128), scenes, Random(0))
    assert loss.device.type == "meta"


def test_a_gpu_gets_larger_batches_unless_one_is_named(tmp_path: Path) -> None:
    run = train.Run(tmp_path, 10, None, ())
    assert run.size(64, 256) == 64 and replace(run, device="cuda").size(64, 256) == 256
    assert replace(run, device="cuda", batch=7).size(64, 256) == 7


def test_all_stages_of_a_whole_run_are_there_and_share_its_time() -> None:
    assert train.SHARES.keys() <= train.STAGES.keys() and sum(train.SHARES.values()) == pytest.approx(1)
