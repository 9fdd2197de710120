"""Trains the `dpo` variant of `pocket`'s first frames from automatic preferences. Knows nothing of motion.

Of two attempts of the base model at one caption, the more vivid picture is preferred where it also follows the
caption at least as well, by the judge's CLIPScore. CLIPScore alone taught nothing: base already draws what is asked.
"""

from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from random import Random

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from peft import LoraConfig
from torch import Tensor

from huvidpo.evaluation.metrics import colourfulness
from huvidpo.models.checkpoints import save_lora
from huvidpo.models.precision import mixed_precision
from huvidpo.pipelines.latents import decode_frames, tensor_to_frames
from huvidpo.pipelines.text import encode_text
from huvidpo.pocket.judge import Judge
from huvidpo.pocket.practice_data import practice_caption, training_seeds
from huvidpo.pocket.train_autoencoder import FRAMES
from huvidpo.training.diffusion import denoising_target, draw_timesteps
from huvidpo.training.loop import Clock, StepRecord, digest_of_tensors, load_state, run_steps, save_atomically
from huvidpo.training.losses import denoising_error, diffusion_dpo

PAIRS = 128
ATTEMPTS = 3  # at each caption
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
    """Latents of winners and losers, (n c h w) each, for the prompts of `pair_prompts`.

    They are made once in `work`, of these networks.
    """
    networks = (pipeline.unet, pipeline.text_encoder, pipeline.vae, judge.clip)
    digest = digest_of_tensors(*(network.state_dict() for network in networks))
    path = work / f"preference-pairs-{PAIRS}-{digest}.pt"
    if (pairs := load_state(path)) is not None:
        return pairs
    prompts = pair_prompts()
    attempts, vivid, follows = [], [], []
    for i in range(ATTEMPTS):
        for start in range(0, PAIRS, 16):
            asked = prompts[start : start + 16]
            latents = own_attempts(pipeline, asked, first_seed=i * PAIRS + start)
            frames = tensor_to_frames(decode_frames(pipeline.vae, latents))
            attempts.append(latents.float().cpu())
            vivid += [colourfulness(frame) for frame in frames]
            follows += [*judge.clip_scores(frames, asked)]
    tried = torch.cat(attempts).unflatten(0, (ATTEMPTS, PAIRS))
    marks = zip(*(np.reshape(scores, (ATTEMPTS, PAIRS)).T for scores in (vivid, follows)), strict=True)
    chosen = [best_pair(*of_caption) for of_caption in marks]
    winners, losers = (torch.stack([tried[pair[side], row] for row, pair in enumerate(chosen)]) for side in (0, 1))
    pairs = {"winners": winners, "losers": losers}
    save_atomically(pairs, path)
    return pairs


def best_pair(vivid: np.ndarray, follows: np.ndarray) -> tuple[int, int]:
    """Winner and loser among attempts at a caption: the most unlike in colourfulness of those that may be compared.

    The winner is more vivid and its CLIPScore no lower. Where no two are so, the highest CLIPScore wins against the
    lowest.
    """
    pairs = permutations(range(len(vivid)), 2)
    allowed = [(i, j) for i, j in pairs if vivid[i] > vivid[j] and follows[i] >= follows[j]]
    by_score = (int(np.argmax(follows)), int(np.argmin(follows)))
    return max(allowed, key=lambda pair: vivid[pair[0]] - vivid[pair[1]], default=by_score)


def train_first_frame_preference(
    pipeline: StableDiffusionPipeline, judge: Judge, work: Path, weights: Path, steps: int, minutes: float | None
) -> Iterator[StepRecord]:
    """Trains a LoRA called "dpo" on the pipeline's UNet and writes it to `weights`/dpo; yields a record per step."""
    pairs, prompts = preference_pairs(pipeline, judge, work), pair_prompts()
    unet, scheduler, device = pipeline.unet, pipeline.scheduler, pipeline.device
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
        clean = torch.cat([pairs["winners"][rows], pairs["losers"][rows]]).to(device)
        # One timestep and one noise for both members of a pair: the margin must come from their content alone.
        noise = torch.randn(clean[:BATCH].shape, generator=generator).repeat(2, 1, 1, 1).to(device)
        timesteps = draw_timesteps(scheduler, BATCH, generator).repeat(2).to(device)
        noisy = scheduler.add_noise(clean, noise, timesteps)
        target = denoising_target(scheduler, clean, noise, timesteps)
        with mixed_precision(device.type):
            unet.disable_adapters()
            with torch.no_grad():
                reference = denoising_error(unet(noisy, timesteps, text).sample, target)
            unet.enable_adapters()
            policy = denoising_error(unet(noisy, timesteps, text).sample, target)
        return diffusion_dpo(*policy.chunk(2), *reference.chunk(2), beta=BETA).loss.mean()

    yield from run_steps(loss_of, optimizer, LEARNING_RATE, Clock(steps, minutes))
    (weights / "dpo").mkdir(parents=True, exist_ok=True)
    save_lora(unet, "dpo", weights / "dpo" / "pytorch_lora_weights.safetensors")
