"""Trains the judge of `pocket` on practice clips of its own seeds. Knows no generator, apart from its autoencoder.

Generated pictures are a little blurred, noisy or off in colour, and their clips flicker. So are the ones shown here.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor
from transformers import CLIPModel, CLIPTokenizer

from huvidpo.atomic import replacing
from huvidpo.pipelines.latents import decode_frames, encode_frames, frames_to_tensor, tensor_to_frames
from huvidpo.pocket.components import new_tokenizer
from huvidpo.pocket.judge import (
    ATTRIBUTES,
    MOTION_ANSWERS,
    NO_ACTION,
    Judge,
    MotionClassifier,
    brightness,
    differences,
    image_embeddings,
    new_dual_encoder,
    phrases,
    text_embeddings,
)
from huvidpo.pocket.practice_clips import VARIANTS, Scene, caption, render_clip, sample_scene
from huvidpo.pocket.practice_data import named_by, practice_frames
from huvidpo.pocket.resumable import resumable_steps, training_state
from huvidpo.pocket.train_autoencoder import load_autoencoder
from huvidpo.training.loop import Clock, StepRecord, digest_of_tensors, load_state, save_atomically
from huvidpo.training.muon import MuonAdamW

# Generators train on seeds below 1,000,000 and reports ask them for scenes of seeds from there on.
FRAME_SEEDS = range(2_000_000, 2_012_288)
CLIP_SEEDS = range(2_100_000, 2_101_600)
BATCH = 32  # frames of a step
CLIP_BATCH = 32
SOFTENED = 1024  # frames that are also there as an imperfect generator would paint them
LEARNING_RATE = 1e-3
DECAY = 0.7  # share of the run in which it falls
STILL_SHARE = 1 / 6  # of the clips that the motion classifier sees
STILL_KINDS = ("held", "flickering", "shaken", "panned", "faded")


def train_dual_encoder(
    work: Path, steps: int, minutes: float | None = None, device: str = "cpu"
) -> Iterator[StepRecord]:
    """Trains the small CLIP into `work`/judge-clip.pt and continues from there; yields a record per step."""
    frames = practice_frames(work, FRAME_SEEDS)
    soft = softened_frames(load_autoencoder(work), frames, work)
    clip, tokenizer = untrained_dual_encoder(work)
    clip.to(device)

    def loss(step: int) -> Tensor:
        rng = Random(f"judge {step}")
        softened = [i % 4 == 0 for i in range(BATCH)]
        rows = [rng.randrange(SOFTENED if is_soft else len(frames)) for is_soft in softened]
        images = [soft[row] if is_soft else frames[row] for row, is_soft in zip(rows, softened, strict=True)]
        disturbed = disturb_images(frames_to_tensor(np.stack(images)), torch.Generator().manual_seed(step))
        return dual_encoder_loss(clip, tokenizer, disturbed, [sample_scene(FRAME_SEEDS[row]) for row in rows], rng)

    clock, checkpoint = Clock(steps, minutes), work / "judge-clip.pt"
    yield from resumable_steps(clip, new_clip_optimizer(clip), loss, LEARNING_RATE, clock, checkpoint, DECAY)


def train_motion_classifier(
    work: Path, steps: int, minutes: float | None = None, device: str = "cpu"
) -> Iterator[StepRecord]:
    """Trains the motion classifier into `work`/judge-motion.pt and continues from there; yields a record per step."""
    clips = practice_brightness(work, CLIP_SEEDS)
    answers = torch.tensor([MOTION_ANSWERS.index(sample_scene(seed).action) for seed in CLIP_SEEDS])
    classifier = untrained_motion_classifier().to(device)

    def loss(step: int) -> Tensor:
        generator = torch.Generator().manual_seed(step)
        rows = torch.randint(0, len(clips), (CLIP_BATCH,), generator=generator)
        grey, right = torch.from_numpy(clips[rows.numpy()]).float() / 255, answers[rows]
        still = torch.arange(CLIP_BATCH) < round(STILL_SHARE * CLIP_BATCH)
        grey[still] = still_clips(grey[still], generator)
        right = right.masked_fill(still, MOTION_ANSWERS.index(NO_ACTION))
        moved = differences(disturb_clips(grey, generator)).to(device)
        return F.cross_entropy(classifier(moved), right.to(device), label_smoothing=0.05)

    clock, checkpoint = Clock(steps, minutes), work / "judge-motion.pt"
    optimizer = new_motion_optimizer(classifier)
    yield from resumable_steps(classifier, optimizer, loss, LEARNING_RATE, clock, checkpoint, DECAY)


def dual_encoder_loss(
    clip: CLIPModel, tokenizer: CLIPTokenizer, images: Tensor, scenes: list[Scene], rng: Random
) -> Tensor:
    """CLIP's loss on images (b 3 128 128) and captions, and the cross-entropy of the four questions; ().

    Beside the other captions of the batch, each image has one with a single attribute changed as a wrong answer
    (NegCLIP, arXiv 2210.01936): else telling scenes apart would need little more than their places.
    """
    variants = [rng.randrange(VARIANTS) for _ in scenes]
    right = [caption(scene, variant) for scene, variant in zip(scenes, variants, strict=True)]
    wrong = [caption(with_one_change(s, rng), rng.randrange(VARIANTS - 3)) for s in scenes]
    asked = [rng.choice(phrases(a, choice)) for a, choices in ATTRIBUTES.items() for choice in choices]
    scale = clip.logit_scale.clamp(max=4.6).exp()  # at most 100, as in CLIP
    texts = text_embeddings(clip, tokenizer, right + wrong + asked)
    vectors = image_embeddings(clip, images)
    logits = scale * vectors @ texts.T
    pairs, target = logits[:, : 2 * len(scenes)], torch.arange(len(scenes), device=logits.device)
    loss = (F.cross_entropy(pairs, target) + F.cross_entropy(pairs[:, : len(scenes)].T, target)) / 2
    start = 2 * len(scenes)
    for attribute, choices in ATTRIBUTES.items():
        answer = torch.tensor([choices.index(getattr(scene, attribute)) for scene in scenes], device=logits.device)
        loss = loss + F.cross_entropy(logits[:, start : start + len(choices)], answer)
        start += len(choices)
    return loss


def with_one_change(scene: Scene, rng: Random) -> Scene:
    """The scene with another action, colour, place or style (and a subject that the action has)."""
    attribute = rng.choice(list(ATTRIBUTES))
    other = rng.choice([choice for choice in ATTRIBUTES[attribute] if choice != getattr(scene, attribute)])
    if attribute == "action":
        return sample_scene(scene.seed, other, scene.colour, scene.place, scene.style)
    return replace(scene, **{attribute: other})


def disturb_images(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirrored, moved, blurred, noisy, brighter or tinted at random, each image in its own way: (b 3 h w) in -1..1."""
    count, size = len(images), images.shape[-1]

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=generator)

    # One resampling does it all: mirror, up to 5 % of zoom and 4 % of shift.
    matrix = torch.zeros(count, 2, 3)
    matrix[:, 1, 1] = uniform(0.95, 1.05)
    matrix[:, 0, 0] = matrix[:, 1, 1] * torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    matrix[:, :, 2] = uniform(-0.08, 0.08, 2)
    grid = F.affine_grid(matrix, [count, 3, size, size], align_corners=False)
    moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    blurred = F.avg_pool2d(F.pad(moved, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    soft = torch.lerp(moved, blurred, uniform(-0.4, 1, 1, 1, 1).clamp(min=0))
    level = uniform(-0.1, 0.1, 1, 1, 1) + uniform(-0.06, 0.06, 3, 1, 1)
    contrast = uniform(0.88, 1.1, 1, 1, 1)
    noise = torch.randn(images.shape, generator=generator) * uniform(-0.06, 0.12, 1, 1, 1).clamp(min=0)
    return (soft * contrast + level + noise).clamp(-1, 1)


def disturb_clips(grey: Tensor, generator: torch.Generator) -> Tensor:
    """Clips of brightness in 0..1, (b f h w), mirrored, of other contrast, blurred, or with flickering noise."""
    count, frames, height, width = grey.shape
    mirrored = torch.rand(count, 1, 1, 1, generator=generator) < 0.5
    grey = torch.where(mirrored, grey.flip(-1), grey)
    contrast = 0.7 + 0.5 * torch.rand(count, 1, 1, 1, generator=generator)
    coarse = torch.randn(count, frames, height // 4, width // 4, generator=generator)
    noise = torch.randn(grey.shape, generator=generator) + F.interpolate(coarse, (height, width), mode="bilinear")
    amount = 0.025 * torch.rand(count, 1, 1, 1, generator=generator).square()
    blurred = F.avg_pool2d(F.pad(grey, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    soft = torch.lerp(grey, blurred, 0.8 * torch.rand(count, 1, 1, 1, generator=generator))
    return soft * contrast + amount * noise


def still_clips(grey: Tensor, generator: torch.Generator, kind: str = "") -> Tensor:
    """Clips without any action made of real ones, (b f h w), each of one of STILL_KINDS or all of `kind`.

    Through these the classifier learns that showing an outline is not yet an action.
    """
    count, frames = grey.shape[:2]

    def drawn(low: int, high: int, *shape: int) -> Tensor:
        return torch.randint(low, high, shape, generator=generator)

    made = []
    for clip in grey:
        picture = clip[drawn(0, frames)]
        held = picture.expand_as(clip)
        match kind or STILL_KINDS[drawn(0, len(STILL_KINDS))]:
            case "flickering":
                held = held * (1 + 0.1 * torch.randn(frames, 1, 1, generator=generator))
            case "shaken":
                held = torch.stack([picture.roll(step, dims=(0, 1)) for step in drawn(-2, 3, frames, 2).tolist()])
            case "panned":
                down, right = drawn(-2, 3, 2).tolist()
                held = torch.stack([picture.roll((i * down, i * right), dims=(0, 1)) for i in range(frames)])
            case "faded":
                held = torch.lerp(held, grey[drawn(0, count), -1], torch.linspace(0, 1, frames).view(-1, 1, 1))
        made.append(held)
    return torch.stack(made)


@torch.no_grad()
def softened_frames(autoencoder: AutoencoderKL, frames: np.ndarray, work: Path) -> np.ndarray:
    """The first SOFTENED frames, uint8 (n 128 128 3), out of the autoencoder with noise of 0 to 0.4 on the latents.

    An encoded latent has a deviation of 1: the noise is a generator's error. Made once, then read from `work`.
    """
    path = work / f"softened-{SOFTENED}-{digest_of_tensors(autoencoder.state_dict())}.npy"
    if not path.exists():
        parts = []
        for start in range(0, SOFTENED, BATCH):
            latents = encode_frames(autoencoder, frames_to_tensor(frames[start : start + BATCH]))
            generator = torch.Generator().manual_seed(start)
            amount = 0.4 * torch.rand(len(latents), 1, 1, 1, generator=generator)
            latents = latents + amount * torch.randn(latents.shape, generator=generator)
            parts.append(tensor_to_frames(decode_frames(autoencoder, latents)))
        with replacing(path) as partial:
            np.save(partial, np.concatenate(parts))
    return np.load(path, mmap_mode="r")


def clip_brightness(seed: int) -> np.ndarray:
    """The practice clip of a seed in brightness alone, uint8 (16 64 64)."""
    grey = brightness(render_clip(sample_scene(seed))[None])[0]
    return (255 * grey).round().byte().numpy()


def practice_brightness(folder: Path, seeds: Sequence[int]) -> np.ndarray:
    """Practice clips of `seeds` in brightness alone, uint8 (n 16 64 64); rendered if not in `folder` yet."""
    path = folder / f"brightness-{named_by(seeds)}.npy"
    if not path.exists():
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            clips = np.stack(list(pool.map(clip_brightness, seeds, chunksize=16)))
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            np.save(partial, clips)
    return np.load(path)


def untrained_dual_encoder(work: Path) -> tuple[CLIPModel, CLIPTokenizer]:
    torch.manual_seed(3)
    tokenizer = new_tokenizer(work / "judge-tokenizer")
    return new_dual_encoder(tokenizer), tokenizer


def untrained_motion_classifier() -> MotionClassifier:
    torch.manual_seed(4)
    return MotionClassifier()


def adopt_judge(judge: Judge, work: Path) -> None:
    """Makes a trained judge the checkpoints of `work`."""
    save_atomically(training_state(judge.clip, new_clip_optimizer(judge.clip)), work / "judge-clip.pt")
    save_atomically(training_state(judge.motion, new_motion_optimizer(judge.motion)), work / "judge-motion.pt")


def new_clip_optimizer(clip: CLIPModel) -> MuonAdamW:
    return MuonAdamW(clip.requires_grad_(True).named_parameters(), weight_decay=0.05)


def new_motion_optimizer(classifier: MotionClassifier) -> torch.optim.Optimizer:
    return torch.optim.AdamW(classifier.requires_grad_(True).parameters(), weight_decay=0.05)


def trained_judge(work: Path) -> Judge:
    """The judge as trained in `work`. ValueError when it has not been."""
    clip, tokenizer = untrained_dual_encoder(work)
    motion = untrained_motion_classifier()
    for network, name in ((clip, "judge-clip.pt"), (motion, "judge-motion.pt")):
        state = load_state(work / name)
        if state is None:
            raise ValueError(f"There is no trained judge in {work}: run its stage first.")
        network.load_state_dict(state["model"])
        network.eval().requires_grad_(False)
    return Judge(clip, tokenizer, motion)
