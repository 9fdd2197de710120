"""The untrained parts of `pocket`: what they promise before any training."""

from pathlib import Path

import numpy as np
import pytest
import torch

from huvidpo.pipelines.latents import frames_to_tensor
from huvidpo.pocket.autoencoder import PatchAutoencoderKL, start_from_principal_components
from huvidpo.pocket.components import TEXT_TOKENS, new_scheduler, new_text_encoder, new_tokenizer
from huvidpo.pocket.practice_clips import VARIANTS, caption, render_frame, sample_scene, vocabulary
from huvidpo.pocket.train_motion import CLIPS, few_shot_clips
from huvidpo.training.diffusion import denoising_target


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return frames_to_tensor(np.stack([render_frame(sample_scene(seed), 0) for seed in range(24)]))


@pytest.mark.slow
def test_autoencoder_starts_as_the_best_linear_code(images: torch.Tensor) -> None:
    """Its error is that of projecting patches on their 16 leading principal components, done by numpy's SVD."""
    model = PatchAutoencoderKL(latent_channels=16).eval()
    start_from_principal_components(model, images)
    with torch.no_grad():
        latents = model.encode(images).latent_dist.mode()
        decoded = model.decode(latents).sample
    assert latents.shape == (24, 16, 16, 16)

    patches = images.unfold(2, 8, 8).unfold(3, 8, 8).permute(0, 2, 3, 1, 4, 5).reshape(-1, 192).numpy()
    centred = patches - patches.mean(axis=0)
    _, _, rows = np.linalg.svd(centred, full_matrices=False)
    linear_error = np.square(centred - centred @ rows[:16].T @ rows[:16]).mean()
    assert (decoded - images).square().mean().item() == pytest.approx(linear_error, rel=0.25)


def test_autoencoder_saves_and_loads_without_a_warning(
    images: torch.Tensor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = PatchAutoencoderKL(width=32, latent_channels=4, scaling_factor=0.5).eval()
    model.save_pretrained(tmp_path)
    again = PatchAutoencoderKL.from_pretrained(tmp_path).eval()
    assert (again.config.latent_channels, again.config.scaling_factor) == (4, 0.5)
    assert len(again.config.block_out_channels) == 4  # 2 ** (4 - 1) = 8: how pipelines find the scale
    assert not caplog.records
    with torch.no_grad():
        assert torch.equal(model(images[:1]).sample, again(images[:1]).sample)


def test_tokenizer_has_a_token_for_every_known_word_and_none_for_others(tmp_path: Path) -> None:
    tokenizer = new_tokenizer(tmp_path)
    assert all(tokenizer.tokenize(word) == [f"{word}</w>"] for word in vocabulary())
    for unknown in ("zebra", "firewörks", "12", "🎆"):
        assert len(tokenizer.tokenize(unknown)) > 1, unknown
    longest = max(len(tokenizer(caption(sample_scene(s), s)).input_ids) for s in range(20 * VARIANTS))
    assert longest <= TEXT_TOKENS


def test_text_encoder_tells_captions_apart(tmp_path: Path) -> None:
    tokenizer = new_tokenizer(tmp_path)
    encoder = new_text_encoder(tokenizer).eval()
    tokens = tokenizer(["a red horse", "a blue horse"], padding="max_length", return_tensors="pt").input_ids
    with torch.no_grad():
        red, blue = encoder(tokens).last_hidden_state
    assert red.shape == (TEXT_TOKENS, 160) and not torch.allclose(red, blue, atol=1e-3)


def test_noise_schedule_ends_in_pure_noise_and_asks_for_velocity() -> None:
    """v = sqrt(alpha) * noise - sqrt(1 - alpha) * clean; alpha is 0 at the last timestep: v = -clean there."""
    scheduler = new_scheduler()
    clean, noise = torch.randn(2, 1, 4, 4), torch.randn(2, 1, 4, 4)
    last = torch.tensor([999, 999])
    torch.testing.assert_close(scheduler.add_noise(clean, noise, last), noise, atol=2e-3, rtol=0)
    torch.testing.assert_close(denoising_target(scheduler, clean, noise, last), -clean, atol=2e-3, rtol=0)


def test_few_shot_clips_are_always_the_same_sixteen_of_their_action() -> None:
    clips = few_shot_clips("rain", count=2)
    assert CLIPS == 16
    assert all(clip.frames.shape == (16, 128, 128, 3) and "rain" in clip.prompt for clip in clips)
    assert np.array_equal(clips[1].frames, few_shot_clips("rain", count=2)[1].frames)


def test_a_tokenizer_that_is_there_is_used_again(tmp_path: Path) -> None:
    """Two made afresh may number equally frequent pieces differently: the second would not fit trained weights."""
    first, again = new_tokenizer(tmp_path / "words"), new_tokenizer(tmp_path / "words")
    first.save_pretrained(tmp_path / "adopted")
    adopted = new_tokenizer(tmp_path / "adopted")
    for other in (again, adopted):
        assert other.get_vocab() == first.get_vocab() and other.model_max_length == first.model_max_length
        assert other("a red zebra").input_ids == first("a red zebra").input_ids
