"""Video models of others that diffusers runs, for comparison: prompt -> clip. Loaded only when asked for.

They are given no first frame, so of what is compared only the words and the seed are the same. diffusers has no
weights of LVDM; ModelScope's latent video diffusion model stands in its place.
Names are the Hub's, or folders: HUVIDPO_BASELINE_<NAME> sets another one.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    AnimateDiffPipeline,
    DDIMScheduler,
    DiffusionPipeline,
    DPMSolverMultistepScheduler,
    MotionAdapter,
    TextToVideoSDPipeline,
)
from PIL import Image

from huvidpo.hub_models import HubFiles, cached, is_hub_error, sentence
from huvidpo.pipelines.latents import fit_image
from huvidpo.quiet import without_bars

# Where the parts come from, and one file of each, by which it is seen whether a part was downloaded before.
PARTS = {
    "animatediff_motion": HubFiles(
        "guoyww/animatediff-motion-adapter-v1-5-2",
        "main",
        ("config.json",),
        1.8,
        "Apache-2.0",
        "https://hf.co/guoyww/animatediff-motion-adapter-v1-5-2",
    ),
    "animatediff": HubFiles(  # the image model that this motion was trained on
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "main",
        ("model_index.json",),
        4.3,
        "CreativeML Open RAIL-M",
        "https://hf.co/spaces/CompVis/stable-diffusion-license",
    ),
    "modelscope": HubFiles(
        "ali-vilab/text-to-video-ms-1.7b",
        "main",
        ("model_index.json",),
        7.0,
        "CC BY-NC 4.0, for non-commercial use only",
        "https://creativecommons.org/licenses/by-nc/4.0",
    ),
}


@dataclass(frozen=True)
class Baseline:
    """A model of others, sampled as its card does it."""

    parts: tuple[str, ...]  # keys of PARTS, in the order in which they are loaded
    scheduler: str  # a class of diffusers
    steps: int
    guidance: float
    width: int  # pixels that it was trained at; of another size its clips are worse than they need be
    height: int


BASELINES = {
    "animatediff": Baseline(("animatediff_motion", "animatediff"), "DDIMScheduler", 25, 7.5, 512, 512),
    "modelscope": Baseline(("modelscope",), "DPMSolverMultistepScheduler", 25, 9.0, 256, 256),
}


def repository(part: str) -> str:
    """Where a part of a baseline comes from."""
    return os.environ.get(f"HUVIDPO_BASELINE_{part.upper()}") or PARTS[part].repo


def baseline_settings(name: str) -> dict[str, str | int | float]:
    """Everything that makes a baseline's clips what they are, beside prompt, seed and size."""
    baseline = BASELINES[name]
    sources = {f"repository.{part}": repository(part) for part in baseline.parts}
    settings = {name: value for name, value in vars(baseline).items() if name != "parts"}
    return {f"baseline.{name}": value for name, value in (sources | settings).items()}


@lru_cache(maxsize=1)
@without_bars()
def load_baseline(name: str, device: str) -> DiffusionPipeline:
    """The pipeline of a baseline; one at a time is kept. ValueError that names the part that cannot be loaded."""
    dtype = torch.float16 if device == "cuda" else torch.float32
    if name == "animatediff":
        with loading("animatediff_motion") as source:
            motion = MotionAdapter.from_pretrained(source, dtype=dtype)
        with loading("animatediff") as source:
            pipeline = AnimateDiffPipeline.from_pretrained(source, motion_adapter=motion, dtype=dtype)
        # As its model card asks: a linear schedule without clipping, from the first step on.
        changes = {"beta_schedule": "linear", "clip_sample": False, "timestep_spacing": "linspace", "steps_offset": 1}
        pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, **changes)
    else:
        with loading("modelscope") as source:
            pipeline = TextToVideoSDPipeline.from_pretrained(source, dtype=dtype)
        pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)  # as its card does
    pipeline.set_progress_bar_config(disable=True)
    pipeline.vae.enable_slicing()
    return pipeline.to(device)


@contextmanager
def loading(part: str) -> Iterator[str]:
    """Where to load a part from, after its licence was shown if that means a download; errors become one sentence."""
    source, wanted = repository(part), PARTS[part]
    if source == wanted.repo:
        show_licence(wanted)
    try:
        yield source
    except Exception as error:  # three libraries read these files, each with errors of its own
        raise ValueError(why_not(part, error)) from error


@lru_cache
def show_licence(wanted: HubFiles) -> None:
    """What a person should know before a part is downloaded, said once."""
    if not cached(wanted):
        print(f"Downloading {wanted.notice()}", file=sys.stderr)


def why_not(part: str, error: Exception) -> str:
    """Why a part could not be loaded, for a person: the Hub's own reason only where the Hub is."""
    source, wanted = repository(part), PARTS[part]
    if not Path(source).is_dir():
        if source.count("/") != 1 or Path(source).is_absolute():
            return f"There is no folder {source}: check HUVIDPO_BASELINE_{part.upper()}."
        if said_by_hub := hub_error(error):
            with suppress(type(said_by_hub)):  # it comes back when there is no sentence for it
                return sentence(replace(wanted, repo=source), said_by_hub)
    return f"{source} could not be loaded: a file is missing there, or broken ({type(error).__name__})."


def hub_error(error: BaseException | None) -> BaseException | None:
    """What the Hub's client said, where that is behind an error; diffusers and transformers wrap it."""
    while error and not is_hub_error(error):
        error = error.__cause__ or error.__context__
    return error


def make_baseline_clip(
    name: str, device: str, prompt: str, seed: int, num_frames: int, width: int, height: int
) -> np.ndarray:
    """A clip from a prompt alone, uint8 (f h w 3), made as the model's card does and at the size it was trained at.

    Then it is scaled and cropped to width x height pixels.
    """
    baseline = BASELINES[name]
    output = load_baseline(name, device)(
        prompt,
        num_frames=num_frames,
        width=baseline.width,
        height=baseline.height,
        num_inference_steps=baseline.steps,
        guidance_scale=baseline.guidance,
        generator=torch.Generator().manual_seed(seed),
        output_type="np",
    )
    frames = (255 * output.frames[0]).round().clip(0, 255).astype(np.uint8)
    return np.stack([np.asarray(fit_image(Image.fromarray(frame), width, height, "crop")) for frame in frames])
