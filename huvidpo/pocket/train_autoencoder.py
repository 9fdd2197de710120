"""Trains the `pocket` autoencoder on practice frames. Knows nothing of text or motion."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor

from huvidpo.pipelines.latents import frames_to_tensor
from huvidpo.pocket.autoencoder import PatchAutoencoderKL, start_from_principal_components
from huvidpo.pocket.components import LATENT_CHANNELS
from huvidpo.pocket.practice_data import TRAINING_SEEDS, practice_frames, training_seeds
from huvidpo.pocket.resumable import resumable_steps, training_state
from huvidpo.training.loop import Clock, StepRecord, load_state, save_atomically

FRAMES = 32_768
BATCH = 8
LEARNING_RATE = 2e-4  # small: the network starts as a good linear code, which 1e-3 destroys
LATENT_WEIGHT = 1e-4  # keeps latents near the deviation of 1 that they start with


def random_frames(frames: np.ndarray, count: int, rng: np.random.Generator) -> Tensor:
    """`count` random, randomly mirrored uint8 frames (n h w 3) as (count 3 h w) in -1..1."""
    drawn = [frames[i][:, ::-1] if rng.random() < 0.5 else frames[i] for i in rng.integers(0, len(frames), count)]
    return frames_to_tensor(np.stack(drawn))


def picture_error(decoded: Tensor, images: Tensor) -> Tensor:
    """Absolute and squared error of pixels, absolute error of their differences to the neighbours (edges); ()."""
    error = decoded - images
    edges = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    return error.abs().mean() + 2 * error.square().mean() + 0.5 * edges


def reconstruction_loss(autoencoder: AutoencoderKL, images: Tensor, generator: torch.Generator) -> Tensor:
    """Error of encoding and decoding images (b 3 h w), plus a faint weight on the latents; ()."""
    latents = autoencoder.encode(images).latent_dist.sample(generator)  # drawn on the CPU: the same on any device
    decoded = autoencoder.decode(latents).sample
    return picture_error(decoded, images) + LATENT_WEIGHT * latents.square().mean()


def untrained_autoencoder(frames: np.ndarray) -> PatchAutoencoderKL:
    """The autoencoder as a linear code of the frames' principal components."""
    torch.manual_seed(0)
    model = PatchAutoencoderKL(latent_channels=LATENT_CHANNELS)
    start_from_principal_components(model, frames_to_tensor(frames[:512]))
    return model.train()


def train_autoencoder(
    work: Path, steps: int, minutes: float | None = None, device: str = "cpu", batch: int = BATCH
) -> Iterator[StepRecord]:
    """Trains into `work`/autoencoder.pt and continues from there; yields a record per step."""
    frames = practice_frames(work, training_seeds(FRAMES))
    model = untrained_autoencoder(frames).to(device)

    def loss_of(step: int) -> Tensor:
        images = random_frames(frames, batch, np.random.default_rng(step)).to(device)
        return reconstruction_loss(model, images, torch.Generator().manual_seed(step))

    clock, checkpoint = Clock(steps, minutes), work / "autoencoder.pt"
    yield from resumable_steps(model, new_optimizer(model), loss_of, LEARNING_RATE, clock, checkpoint)


def new_optimizer(model: AutoencoderKL) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), weight_decay=1e-4, betas=(0.9, 0.99))


def adopt_autoencoder(model: AutoencoderKL, work: Path) -> None:
    """Makes a trained autoencoder the checkpoint of `work`, its scaling factor with it: networks know its latents."""
    state = training_state(model, new_optimizer(model)) | {"scaling_factor": model.config.scaling_factor}
    save_atomically(state, work / "autoencoder.pt")


def load_autoencoder(work: Path) -> AutoencoderKL:
    """The trained autoencoder, ready for use, with its adopted scaling factor, or a measured one after more training.

    Raises ValueError when `train_autoencoder` has not run in `work`.
    """
    state = load_state(work / "autoencoder.pt")
    if state is None:
        raise ValueError(f"There is no trained autoencoder in {work}: run its stage first.")
    frames = practice_frames(work, training_seeds(FRAMES))
    model = untrained_autoencoder(frames)
    model.load_state_dict(state["model"])
    model.eval().requires_grad_(False)
    if (scale := state.get("scaling_factor")) is None:
        with torch.no_grad():
            scale = 1 / model.encode(frames_to_tensor(frames[:64])).latent_dist.mean.std()
    model.register_to_config(scaling_factor=round(float(scale), 5))
    return model


@torch.no_grad()
def reconstruction_psnr(autoencoder: AutoencoderKL, work: Path, count: int = 64) -> float:
    """Mean PSNR in dB on practice frames that no training sees."""
    images = frames_to_tensor(practice_frames(work, range(TRAINING_SEEDS, TRAINING_SEEDS + count)))
    images = images.to(autoencoder.device)
    decoded = autoencoder.decode(autoencoder.encode(images).latent_dist.mode()).sample.clamp(-1, 1)
    error = F.mse_loss(decoded, images, reduction="none").mean(dim=(1, 2, 3))
    return float((10 * torch.log10(4 / error)).mean())
