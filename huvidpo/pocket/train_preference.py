"""Trains the `dpo` variant of `pocket`'s first frames from automatic preferences. Knows nothing of motion.

No judge and no person is asked: a drawn practice frame is preferred to the base model's own attempt at its caption.
"""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import torch
from diffusers import StableDiffusionPipeline
from peft import LoraConfig
from torch import Tensor

from huvidpo.pipelines.text import encode_text
from huvidpo.pocket.practice_data import practice_caption, training_seeds
from huvidpo.pocket.train_autoencoder import FRAMES
from huvidpo.pocket.train_first_frames import frame_latents
from huvidpo.training.diffusion import denoising_target, draw_timesteps
from huvidpo.training.loop import Clock, StepRecord, load_state, run_steps, save_atomically
from huvidpo.training.losses import denoising_error, diffusion_dpo

PAIRS = 256
BATCH = 8
BETA = 500.0
LEARNING_RATE = 2e-4
RANK = 8
SAMPLING_STEPS = 12
GUIDANCE = 2.5


def own_attempts(pipeline: StableDiffusionPipeline, prompts: list[str], first_seed: int) -> Tensor:
    """The base model's latents for the prompts, (n c h w), one seed each from `first_seed` on."""
    generators = [torch.Generator().manual_seed(first_seed + i) for i in range(len(prompts))]
    return pipeline(
        prompts,
        num_inference_steps=SAMPLING_STEPS,
        guidance_scale=GUIDANCE,
        generator=generators,
        output_type="latent",
    ).images


def pair_prompts() -> list[str]:
    """A caption of each pair's practice frame."""
    return [practice_caption(seed, variant=seed) for seed in training_seeds(FRAMES)[:PAIRS]]


def preference_pairs(pipeline: StableDiffusionPipeline, work: Path) -> dict[str, Tensor]:
    """Latents of winners (drawn) and losers (the model's), (n c h w) each, for the first n training captions."""
    path = work / "preference-pairs.pt"
    if (pairs := load_state(path)) is None:
        prompts, losers = pair_prompts(), []
        for start in range(0, PAIRS, 32):
            losers.append(own_attempts(pipeline, prompts[start : start + 32], first_seed=start))
        pairs = {"winners": frame_latents(pipeline.vae, work)[:PAIRS].float(), "losers": torch.cat(losers).float()}
        save_atomically(pairs, path)
    return pairs


def train_first_frame_preference(
    pipeline: StableDiffusionPipeline, work: Path, weights: Path, steps: int, minutes: float | None
) -> Iterator[StepRecord]:
    """Trains a LoRA called "dpo" on the pipeline's UNet and writes it to `weights`/dpo; yields a record per step."""
    pairs, prompts = preference_pairs(pipeline, work), pair_prompts()
    unet, scheduler = pipeline.unet, pipeline.scheduler
    torch.manual_seed(2)
    unet.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=["to_q", "to_k", "to_v", "to_out.0"]), "dpo")
    trained = [p for p in unet.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, weight_decay=1e-4)

    def loss_of(step: int) -> Tensor:
        rng, generator = Random(f"pair {step}"), torch.Generator().manual_seed(step)
        rows = rng.sample(range(PAIRS), BATCH)
        with torch.no_grad():
            drawn = [prompts[row] for row in rows]
            text = encode_text(pipeline.text_encoder, pipeline.tokenizer, drawn).repeat(2, 1, 1)
        clean = torch.cat([pairs["winners"][rows], pairs["losers"][rows]])
        # One timestep and one noise for both members of a pair: the margin must come from their content alone.
        noise = torch.randn(clean[:BATCH].shape, generator=generator).repeat(2, 1, 1, 1)
        timesteps = draw_timesteps(scheduler, BATCH, generator).repeat(2)
        noisy = scheduler.add_noise(clean, noise, timesteps)
        target = denoising_target(scheduler, clean, noise, timesteps)
        unet.disable_adapters()
        with torch.no_grad():
            reference = denoising_error(unet(noisy, timesteps, text).sample, target)
        unet.enable_adapters()
        policy = denoising_error(unet(noisy, timesteps, text).sample, target)
        return diffusion_dpo(*policy.chunk(2), *reference.chunk(2), beta=BETA).loss.mean()

    yield from run_steps(loss_of, optimizer, LEARNING_RATE, Clock(steps, minutes))
    unet.save_lora_adapter(weights / "dpo", adapter_name="dpo")
