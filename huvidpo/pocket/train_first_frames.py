"""Trains the `pocket` text encoder and image UNet together on latents of practice frames. Knows nothing of motion."""

from collections.abc import Iterator
from functools import lru_cache, partial
from itertools import accumulate
from pathlib import Path
from random import Random

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline
from torch import Tensor

from huvidpo.models.attention import PictureAttention
from huvidpo.models.precision import mixed_precision
from huvidpo.pipelines.latents import encode_frames, frames_to_tensor
from huvidpo.pipelines.text import encode_text
from huvidpo.pocket.components import new_scheduler, new_text_encoder, new_tokenizer, new_unet
from huvidpo.pocket.practice_clips import sample_scene
from huvidpo.pocket.practice_data import practice_caption, practice_frames, training_seeds
from huvidpo.pocket.resumable import resumable_steps, training_state
from huvidpo.pocket.train_autoencoder import FRAMES, load_autoencoder
from huvidpo.training.diffusion import denoising_target, draw_timesteps
from huvidpo.training.loop import Clock, StepRecord, digest_of_tensors, load_state, new_ema, save_atomically
from huvidpo.training.muon import MuonAdamW

BATCH, GPU_BATCH = 64, 256
LEARNING_RATE = 1e-3
CAPTION_DROPOUT = 0.1  # share of empty captions, which classifier-free guidance needs
FINE = {"smile": 2.0, "guitar": 1.5, "rain": 1.5, "birds": 1.5}  # faces, wings: trained so many times as often
MIDDLE_SHARE, MIDDLE, SPREAD = 0.7, -0.2, 1.0  # of the timesteps: how many are logit-normal, its location and scale


@torch.no_grad()
def frame_latents(autoencoder: AutoencoderKL, work: Path) -> Tensor:
    """Scaled latents of all practice frames, (n 16 16 16) in fp16 on the CPU; encoded once and kept in `work`.

    They are of this encoder and those frames; the ones of another encoder go.
    """
    encoder = (autoencoder.encoder.state_dict(), autoencoder.quant_conv.state_dict())
    scale = torch.tensor([autoencoder.config.scaling_factor])
    path = work / f"latents-{FRAMES}-{digest_of_tensors(*encoder, {'scale': scale})}.pt"
    if (state := load_state(path)) is None:
        frames, encoded = practice_frames(work, training_seeds(FRAMES)), []
        for start in range(0, len(frames), 32):
            encoded.append(encode_frames(autoencoder, frames_to_tensor(frames[start : start + 32])).half().cpu())
        state = {"latents": torch.cat(encoded)}
        for other in work.glob("latents*.pt"):
            other.unlink()
        save_atomically(state, path)
    return state["latents"]


def untrained_pipeline(work: Path) -> StableDiffusionPipeline:
    """The whole first-frame model around the trained autoencoder, its text encoder and UNet still random."""
    torch.manual_seed(1)
    tokenizer = new_tokenizer(work / "tokenizer")
    return StableDiffusionPipeline(
        vae=load_autoencoder(work),
        text_encoder=new_text_encoder(tokenizer),
        tokenizer=tokenizer,
        unet=new_unet(),
        scheduler=new_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


@lru_cache(maxsize=1)
def row_weights(count: int) -> list[float]:
    """Running sums of how often each of the first `count` practice frames is drawn."""
    return list(accumulate(FINE.get(sample_scene(seed).action, 1.0) for seed in training_seeds(count)))


def middle_timesteps(scheduler: DDIMScheduler, count: int, generator: torch.Generator) -> Tensor:
    """Training timesteps (count,) on the CPU: most where shapes are decided, few where all is noise or nearly none.

    Logit-normal ones (Esser et al., arXiv 2403.03206, section 3.1), and uniform ones, which still reach the ends.
    """
    uniform = draw_timesteps(scheduler, count, generator)
    logits = MIDDLE + SPREAD * torch.randn(count, generator=generator)
    middle = (logits.sigmoid() * scheduler.config.num_train_timesteps).long()
    return torch.where(torch.rand(count, generator=generator) < MIDDLE_SHARE, middle, uniform)


def batch_loss(pipeline: StableDiffusionPipeline, latents: Tensor, step: int, batch: int = BATCH) -> Tensor:
    """Mean squared error on a random batch of latents (n 16 16 16); everything random follows from `step`."""
    rng, generator, device = Random(f"batch {step}"), torch.Generator().manual_seed(step), pipeline.device
    rows = rng.choices(range(len(latents)), cum_weights=row_weights(len(latents)), k=batch)
    seeds = [training_seeds(len(latents))[row] for row in rows]
    prompts = ["" if rng.random() < CAPTION_DROPOUT else practice_caption(s, rng.randrange(999)) for s in seeds]
    clean = latents[rows].to(device).float()
    noise = torch.randn(clean.shape, generator=generator).to(device)
    timesteps = middle_timesteps(pipeline.scheduler, batch, generator).to(device)
    noisy = pipeline.scheduler.add_noise(clean, noise, timesteps)
    text = encode_text(pipeline.text_encoder, pipeline.tokenizer, prompts)
    with mixed_precision(device.type):
        prediction = pipeline.unet(noisy, timesteps, text).sample.float()
    return (prediction - denoising_target(pipeline.scheduler, clean, noise, timesteps)).square().mean()


def train_first_frames(
    work: Path,
    steps: int,
    minutes: float | None = None,
    device: str = "cpu",
    batch: int = BATCH,
    compiled: bool = False,
) -> Iterator[StepRecord]:
    """Trains into `work`/first-frames.pt and continues from there; yields a record per step.

    `compiled` lets torch.compile fuse the UNet's operations, which takes a C++ compiler and a minute or two first.
    """
    pipeline = untrained_pipeline(work).to(device)
    pipeline.unet.set_attn_processor(PictureAttention())
    if compiled:
        pipeline.unet.compile(dynamic=False)
    latents = frame_latents(pipeline.vae, work)
    trained = trained_parts(pipeline).train().to(memory_format=torch.channels_last)  # for the convolutions
    optimizer, average = new_optimizer(trained), new_ema(trained.parameters())
    loss_of = partial(batch_loss, pipeline, latents, batch=batch)
    clock, checkpoint = Clock(steps, minutes), work / "first-frames.pt"
    yield from resumable_steps(trained, optimizer, loss_of, LEARNING_RATE, clock, checkpoint, average=average)


def trained_parts(pipeline: StableDiffusionPipeline) -> torch.nn.ModuleDict:
    """What this stage trains."""
    return torch.nn.ModuleDict({"text_encoder": pipeline.text_encoder, "unet": pipeline.unet})


def new_optimizer(trained: torch.nn.ModuleDict) -> MuonAdamW:
    return MuonAdamW(trained.named_parameters(), weight_decay=1e-2)


def adopt_first_frames(pipeline: StableDiffusionPipeline, work: Path) -> None:
    """Makes a trained first-frame model the checkpoint of `work`."""
    trained = trained_parts(pipeline)
    state = training_state(trained, new_optimizer(trained))
    save_atomically(state | {"average": [p.detach() for p in trained.parameters()]}, work / "first-frames.pt")


def load_first_frames(work: Path) -> StableDiffusionPipeline:
    """The trained first-frame model with averaged weights.

    Raises ValueError when `train_first_frames` has not run in `work`.
    """
    state = load_state(work / "first-frames.pt")
    if state is None:
        raise ValueError(f"There is no trained first-frame model in {work}: run its stage first.")
    pipeline = untrained_pipeline(work)
    trained = trained_parts(pipeline)
    for parameter, value in zip(trained.parameters(), state["average"], strict=True):
        parameter.data.copy_(value)
    trained.eval().requires_grad_(False)
    return pipeline
