"""Trains `pocket`'s motion weights from 16 practice clips of each action. Knows not how stage 1 works."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save

from huvidpo.adapter_weights import save_motion_adapter
from huvidpo.adapters import MOTION_FILE
from huvidpo.atomic import write_whole
from huvidpo.models.motion import load_motion_state_dict, motion_state_dict
from huvidpo.models.video_unet import VideoUNet
from huvidpo.pipelines.image_to_video import ImageToVideoPipeline
from huvidpo.pocket.practice_clips import (
    ACTIONS,
    caption,
    combination,
    held_out_combinations,
    render_clip,
    sample_scene,
)
from huvidpo.presets import BACKBONES
from huvidpo.training.clips import TrainingClip
from huvidpo.training.loop import StepRecord
from huvidpo.training.motion import steps_done, train_motion
from huvidpo.training.motion_settings import MotionSettings, usual_settings

CLIPS = 16  # per action, as in the paper
CLIPS_AT_ONCE, GPU_CLIPS_AT_ONCE = 1, 8  # in a step
ADOPTED = "motion-{}-adopted.safetensors"
START_FILE = "motion-start.safetensors"
FIRST_SEED = 500_000  # of the few-shot clips
START = MotionSettings(steps=4000, learning_rate=1e-3, optimizer="muon", average_decay=0.995)
CATEGORY = usual_settings(BACKBONES["pocket"])
SHARED = f"motion trained on the {CLIPS} clips of each of the eight actions together"
# What was adopted is this stage's own work of another day, so it goes back to such a start too: a card that names this
# action's clips alone would not be the whole truth.
ADOPTED_START = f"this action's weights until then, which go back to {SHARED}"


def few_shot_seeds(action: str, count: int = CLIPS) -> list[int]:
    """Seeds of the action's own training clips, always the same ones; held-out combinations are passed over."""
    seeds = itertools.count(FIRST_SEED + 1000 * ACTIONS.index(action))
    allowed = (s for s in seeds if combination(sample_scene(s, action=action)) not in held_out_combinations())
    return list(itertools.islice(allowed, count))


def few_shot_clips(action: str, count: int = CLIPS) -> list[TrainingClip]:
    """The first `count` of the action's own training clips."""
    clips = []
    for i, seed in enumerate(few_shot_seeds(action, count)):
        scene = sample_scene(seed, action=action)
        clips.append(TrainingClip(f"{action}-{i}", render_clip(scene), caption(scene, variant=i)))
    return clips


def video_pipeline(image: StableDiffusionPipeline) -> ImageToVideoPipeline:
    """The video model that has the image model's weights and does not move yet."""
    return ImageToVideoPipeline(
        vae=image.vae,
        text_encoder=image.text_encoder,
        tokenizer=image.tokenizer,
        unet=VideoUNet.from_unet2d(image.unet),
        scheduler=image.scheduler,
    )


def adopt_motion(image: StableDiffusionPipeline, adapters: Path, work: Path) -> None:
    """Lets `work` go on from all actions' adapters: each from its own, their shared start from the mean of all.

    Weights that the image model has too (queries of attn1) are kept as changes to it: it may be trained on meanwhile.
    """
    own = image.unet.state_dict()
    states = {a: load_file(adapters / "pocket" / a / "motion" / MOTION_FILE) for a in ACTIONS}
    states["start"] = {
        name: torch.stack([state[name].float() for state in states.values()]).mean(dim=0) for name in states["horse"]
    }
    for which, state in states.items():
        changes = {name: value.float() - own.get(name, 0) for name, value in state.items()}
        write_whole(work / ADOPTED.format(which), save(changes))


def adopted_motion(image: StableDiffusionPipeline, which: str, work: Path) -> dict[str, torch.Tensor]:
    """What `adopt_motion` kept of an action or the shared start, for an image model that may have been trained on."""
    changes = load_file(work / ADOPTED.format(which), device=str(image.device))
    own = image.unet.state_dict()
    return {name: change + own.get(name, 0) for name, change in changes.items()}


def train_motion_start(
    image: StableDiffusionPipeline,
    work: Path,
    minutes: float | None,
    clips_at_once: int = CLIPS_AT_ONCE,
    steps: int | None = None,
) -> Iterator[StepRecord]:
    """What all actions share (going on from the first frame, keeping it sharp), from the clips of all of them.

    Eight short runs from here reach further in the same time than eight long ones from an image model.
    """
    clips = list(itertools.chain.from_iterable(few_shot_clips(action) for action in ACTIONS))
    pipeline = video_pipeline(image)
    if (work / ADOPTED.format("start")).exists():
        load_motion_state_dict(pipeline.unet, adopted_motion(image, "start", work))
    settings = replace(START, steps=steps or START.steps, minutes=minutes, clips_per_step=clips_at_once)
    yield from train_motion(pipeline, clips, settings, work / "motion-start")
    state = {name: value.contiguous() for name, value in motion_state_dict(pipeline.unet).items()}
    write_whole(work / START_FILE, save(state))


def train_category(
    image: StableDiffusionPipeline,
    action: str,
    work: Path,
    adapters: Path,
    minutes: float | None,
    clips_at_once: int = CLIPS_AT_ONCE,
    steps: int | None = None,
) -> Iterator[StepRecord]:
    """Trains an action's own motion weights and saves them in `adapters` as its default adapter.

    It begins with the shared start, or, where `work` has none and adopted the shipped weights, with the action's own.
    """
    pipeline = video_pipeline(image)
    shared = (work / START_FILE).exists()
    start = load_file(work / START_FILE) if shared else adopted_motion(image, action, work)
    load_motion_state_dict(pipeline.unet, start)
    settings = replace(CATEGORY, steps=steps or CATEGORY.steps, minutes=minutes, clips_per_step=clips_at_once)
    record = None
    run = work / f"motion-{action}"
    for record in train_motion(pipeline, few_shot_clips(action), settings, run):
        yield record
    card = {
        "backbone": "pocket",
        "category": action,
        "status": "default",
        "clips": CLIPS,
        "clip_seeds": few_shot_seeds(action),
        "start": SHARED if shared else ADOPTED_START,
        "steps": record.step if record else steps_done(run),
        "learning_rate": settings.learning_rate,
        "seed": settings.seed,
        "final_loss": round(record.loss, 5) if record else None,
        "license": "apache-2.0",
    }
    save_motion_adapter(pipeline.unet, adapters / "pocket" / action / "motion", card)
