"""Goes on training the `pocket` decoder alone, on latents as the image model really gives them. Knows no motion.

A sampled latent is never quite what an encoder would give. Half of each batch are frames that were made noisy and
sampled back by the image model, so that the decoder learns to draw clean shapes from what comes out; the other half
are encoded frames, so that pictures from elsewhere are still kept. Latents stay what they are: models trained on them
still fit.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
from torch import Tensor

from huvidpo.models.precision import mixed_precision
from huvidpo.pipelines.latents import frames_to_tensor
from huvidpo.pipelines.text import encode_text
from huvidpo.pocket.practice_data import practice_caption, practice_frames, training_seeds
from huvidpo.pocket.train_autoencoder import FRAMES, picture_error, reconstruction_psnr
from huvidpo.pocket.train_first_frames import frame_latents
from huvidpo.training.loop import Clock, StepRecord, load_state, run_steps, save_atomically

BATCH = 8
LEARNING_RATE = 2e-5  # it goes on from a trained decoder, whose pictures 2e-4 costs 8 dB in a few steps
STEPS, MOST_RESAMPLED = 16, 8  # of the solver, and how many of its last steps are run at most: SDEdit's strength
GUIDANCE = 2.5


@torch.no_grad()
def resampled_latents(pipeline: StableDiffusionPipeline, latents: Tensor, seeds: list[int], step: int) -> Tensor:
    """Clean latents made noisy and sampled back as first frames are (SDEdit, arXiv 2108.01073); (b c h w) each."""
    generator = torch.Generator().manual_seed(step)
    solver = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config, algorithm_type="dpmsolver++")
    solver.set_timesteps(STEPS)
    first = STEPS - int(torch.randint(2, MOST_RESAMPLED + 1, (), generator=generator))
    solver.set_begin_index(first)
    prompts = [practice_caption(seed, variant=step) for seed in seeds]
    text = encode_text(pipeline.text_encoder, pipeline.tokenizer, [""] * len(prompts) + prompts)
    noise = torch.randn(latents.shape, generator=generator).to(latents)
    latents = solver.add_noise(latents, noise, solver.timesteps[first, None])
    for timestep in solver.timesteps[first:]:
        with mixed_precision(latents.device.type):
            prediction = pipeline.unet(torch.cat([latents] * 2), timestep, text).sample.float()
        unconditional, conditional = prediction.chunk(2)
        prediction = unconditional + GUIDANCE * (conditional - unconditional)
        latents = solver.step(prediction, timestep, latents).prev_sample
    return latents


def train_decoder(
    pipeline: StableDiffusionPipeline, work: Path, steps: int, minutes: float | None, batch: int = BATCH
) -> Iterator[StepRecord]:
    """Trains the decoder of `pipeline.vae` in place, where it is, and in `work`/autoencoder.pt; yields every step.

    It is written only while unseen frames come back no worse than they did before: a short run may do harm.
    """
    before = reconstruction_psnr(pipeline.vae, work)
    frames, latents = practice_frames(work, training_seeds(FRAMES)), frame_latents(pipeline.vae, work)
    decoder = torch.nn.ModuleList([pipeline.vae.post_quant_conv, pipeline.vae.decoder]).train().requires_grad_(True)
    optimizer = torch.optim.AdamW(decoder.parameters(), weight_decay=1e-4, betas=(0.9, 0.99))

    def loss_of(step: int) -> Tensor:
        rows = np.random.default_rng(step).integers(0, len(latents), batch).tolist()
        seeds = [training_seeds(len(latents))[row] for row in rows]
        clean, half = latents[rows].to(pipeline.device).float(), batch // 2
        resampled = [resampled_latents(pipeline, clean[:half], seeds[:half], step)] if half else []
        shown = torch.cat([*resampled, clean[half:]])
        images = frames_to_tensor(np.stack([frames[row] for row in rows])).to(pipeline.device)
        return picture_error(pipeline.vae.decode(shown / pipeline.vae.config.scaling_factor).sample, images)

    def save(step: int) -> None:
        if reconstruction_psnr(pipeline.vae, work) < before:
            return
        state = load_state(work / "autoencoder.pt") | {"model": pipeline.vae.state_dict()}
        save_atomically(state, work / "autoencoder.pt")

    yield from run_steps(loss_of, optimizer, LEARNING_RATE, Clock(steps, minutes), save=save)
    decoder.requires_grad_(False).eval()
