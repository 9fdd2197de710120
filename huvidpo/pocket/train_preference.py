"""Trains the `dpo` variant of `pocket`'s first frames from automatic preferences. Knows nothing of motion.

Of a few attempts of the base model at one caption, the one with the judge's highest CLIPScore is preferred to the one
with its lowest. No variant that was tried beats the base model, so none is shipped: docs/design.md has the figures.
"""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import torch
from diffusers import StableDiffusionPipeline
from peft import LoraConfig
from torch import Tensor

from huvidpo.models.precision import mixed_precision
from huvidpo.pipelines.latents import decode_frames, tensor_to_frames
from huvidpo.pipelines.text import encode_text
from huvidpo.pocket.judge import Judge
from huvidpo.pocket.practice_data import practice_caption, training_seeds
from huvidpo.pocket.train_autoencoder import FRAMES
from huvidpo.training.diffusion import denoising_target, draw_timesteps
from huvidpo.training.loop import Clock, StepRecord, load_state, run_steps, save_atomically
from huvidpo.training.losses import denoising_error, diffusion_dpo

PAIRS = 256
ATTEMPTS = 4  # at each caption
BATCH = 8
BETA = 500.0
LEARNING_RATE = 1e-4
RANK = 8
SAMPLING_STEPS = 12
GUIDANCE = 2.5


def own_attempts(pipeline: StableDiffusionPipeline, prompts: list[str], first_seed: int) -> Tensor:
    """The base model's scaled latents for the prompts, (n c h w), one seed each from `first_seed` on."""
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


@torch.no_grad()
def preference_pairs(pipeline: StableDiffusionPipeline, judge: Judge, work: Path) -> dict[str, Tensor]:
    """Latents of winners and losers, (n c h w) each, for the prompts of `pair_prompts`; made once in `work`."""
    path = work / "preference-pairs.pt"
    if (pairs := load_state(path)) is not None:
        return pairs
    winners, losers = [], []
    prompts = pair_prompts()
    for start in range(0, PAIRS, 16):
        asked = prompts[start : start + 16]
        attempts, scores = [], []
        for i in range(ATTEMPTS):
            latents = own_attempts(pipeline, asked, first_seed=ATTEMPTS * start + i * len(asked))
            frames = tensor_to_frames(decode_frames(pipeline.vae, latents))
            attempts.append(latents.float())
            scores.append(torch.from_numpy(judge.clip_scores(frames, asked)))
        tried, marks, rows = torch.stack(attempts), torch.stack(scores), torch.arange(len(asked))
        winners.append(tried[marks.argmax(dim=0), rows])
        losers.append(tried[marks.argmin(dim=0), rows])
    pairs = {"winners": torch.cat(winners), "losers": torch.cat(losers)}
    save_atomically(pairs, path)
    return pairs


def train_first_frame_preference(
    pipeline: StableDiffusionPipeline, judge: Judge, work: Path, weights: Path, steps: int, minutes: float | None
) -> Iterator[StepRecord]:
    """Trains a LoRA called "dpo" on the pipeline's UNet and writes it to `weights`/dpo; yields a record per step."""
    pairs, prompts = preference_pairs(pipeline, judge, work), pair_prompts()
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
        with mixed_precision(unet.device.type):
            unet.disable_adapters()
            with torch.no_grad():
                reference = denoising_error(unet(noisy, timesteps, text).sample, target)
            unet.enable_adapters()
            policy = denoising_error(unet(noisy, timesteps, text).sample, target)
        return diffusion_dpo(*policy.chunk(2), *reference.chunk(2), beta=BETA).loss.mean()

    yield from run_steps(loss_of, optimizer, LEARNING_RATE, Clock(steps, minutes))
    unet.save_lora_adapter(weights / "dpo", adapter_name="dpo")
