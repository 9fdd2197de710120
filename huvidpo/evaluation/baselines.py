"""Video models of others that diffusers runs, for comparison: prompt -> clip. Loaded only when asked for.

They are given no first frame, so of what is compared only the words and the seed are the same. diffusers has no
weights of LVDM; ModelScope's latent video diffusion model stands in its place.
Names are the Hub's, or folders: HUVIDPO_BASELINE_<NAME> sets another one.
"""

import os
from functools import lru_cache

import numpy as np
import torch
from diffusers import AnimateDiffPipeline, DDIMScheduler, DiffusionPipeline, MotionAdapter, TextToVideoSDPipeline

REPOSITORIES = {
    "animatediff_motion": "guoyww/animatediff-motion-adapter-v1-5-2",
    "animatediff": "stable-diffusion-v1-5/stable-diffusion-v1-5",  # the image model that this motion was trained on
    "modelscope": "ali-vilab/text-to-video-ms-1.7b",
}
STEPS, GUIDANCE = (
    {"animatediff": 25, "modelscope": 25},
    {"animatediff": 7.5, "modelscope": 9.0},
)  # of their model cards


def repository(name: str) -> str:
    """Where a part of a baseline comes from."""
    return os.environ.get(f"HUVIDPO_BASELINE_{name.upper()}") or REPOSITORIES[name]


@lru_cache(maxsize=1)
def load_baseline(name: str, device: str) -> DiffusionPipeline:
    """The pipeline of a baseline; one at a time is kept. ValueError when it cannot be loaded."""
    dtype = torch.float16 if device == "cuda" else torch.float32
    source = repository(name)
    try:
        if name == "animatediff":
            motion = MotionAdapter.from_pretrained(repository("animatediff_motion"), dtype=dtype)
            pipeline = AnimateDiffPipeline.from_pretrained(source, motion_adapter=motion, dtype=dtype)
            # As its model card asks: a linear schedule without clipping, from the first step on.
            changes = {
                "beta_schedule": "linear",
                "clip_sample": False,
                "timestep_spacing": "linspace",
                "steps_offset": 1,
            }
            pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, **changes)
        else:
            pipeline = TextToVideoSDPipeline.from_pretrained(source, dtype=dtype)
    except (OSError, ValueError) as error:  # a folder that is not there is taken for a bad name on the Hub
        raise ValueError(f"{source} could not be loaded from the Hub or its cache: check the network.") from error
    pipeline.set_progress_bar_config(disable=True)
    pipeline.vae.enable_slicing()
    return pipeline.to(device)


def make_baseline_clip(
    name: str, device: str, prompt: str, seed: int, num_frames: int, width: int, height: int
) -> np.ndarray:
    """A clip from a prompt alone, uint8 (f h w 3), with the steps and guidance of the model's card."""
    output = load_baseline(name, device)(
        prompt,
        num_frames=num_frames,
        width=width,
        height=height,
        num_inference_steps=STEPS[name],
        guidance_scale=GUIDANCE[name],
        generator=torch.Generator().manual_seed(seed),
        output_type="np",
    )
    return (255 * output.frames[0]).round().clip(0, 255).astype(np.uint8)
