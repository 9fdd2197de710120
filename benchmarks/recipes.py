"""What each part of the sampling recipes does to `pocket`'s clips: `python benchmarks/recipes.py`.

First frames are drawn practice frames that no training saw, so the true continuation is known: how a practice clip
goes on follows from its first frame. Every variant samples the same first frames with the same seeds. Printed per
variant, with a 95 % bootstrap interval over clips: PSNR to the true clip, motion (mean absolute difference of
neighbouring frames) as a share of the true clip's, sharpness of the last frame (mean absolute Laplacian) as a share of
the true one's, and seconds per clip.
"""

import argparse
import time
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from scipy.stats import bootstrap
from skimage.filters import laplace
from skimage.metrics import peak_signal_noise_ratio

from huvidpo.adapters import apply_adapter, find_adapter
from huvidpo.backbones import LoadedBackbone, load_backbone
from huvidpo.pipelines.image_to_video import RECIPES, Recipe
from huvidpo.pocket.practice_clips import ACTIONS, caption, render_clip, sample_scene
from huvidpo.pocket.practice_data import TRAINING_SEEDS

DEFAULT, HUVIDPO = RECIPES["default"], RECIPES["huvidpo"]
VARIANTS: dict[str, Recipe] = {
    "default": DEFAULT,
    "6 steps": replace(DEFAULT, steps=6),
    "24 steps": replace(DEFAULT, steps=24),
    "ddim": replace(DEFAULT, solver="ddim"),
    "guidance 1": replace(DEFAULT, guidance=1.0),
    "guidance 2": replace(DEFAULT, guidance=2.0),
    "guidance 12.5": replace(DEFAULT, guidance=12.5),
    "no shared noise": replace(DEFAULT, shared_noise=0.0),
    "shared noise of deviation 0.825": replace(DEFAULT, preserve_variance=False),
    "AdaIN": replace(DEFAULT, match_statistics=True),
    "histogram matching": replace(DEFAULT, match_colours=True),
    "huvidpo": HUVIDPO,
    "huvidpo, 12 steps": replace(HUVIDPO, steps=12),
}


def sample(backbone: LoadedBackbone, recipe: Recipe, action: str, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """A sampled clip and the true one, uint8 (f h w 3) each, and the seconds that sampling took."""
    scene = sample_scene(seed, action=action)
    true = render_clip(scene)
    apply_adapter(backbone.video.unet, find_adapter("pocket", action, ""), backbone.still_motion)
    backbone.video.set_progress_bar_config(disable=True)
    start = time.perf_counter()
    output = backbone.video(
        [caption(scene)], [Image.fromarray(true[0])], [seed], recipe, num_frames=16, width=128, height=128
    )
    return output.frames[0], true, time.perf_counter() - start


def measures(clip: np.ndarray, true: np.ndarray) -> tuple[float, float, float]:
    """PSNR in dB, motion and sharpness as shares of the true clip's; uint8 (f h w 3) each."""

    def motion(frames: np.ndarray) -> float:
        return float(np.abs(np.diff(frames.astype(float), axis=0)).mean())

    def sharpness(frame: np.ndarray) -> float:
        return float(np.abs(laplace(frame.astype(float).mean(axis=2))).mean())

    psnr = peak_signal_noise_ratio(true[1:], clip[1:], data_range=255)
    return psnr, motion(clip) / motion(true), sharpness(clip[-1]) / sharpness(true[-1])


def interval(values: np.ndarray) -> str:
    """Mean and 95 % bootstrap interval."""
    low, high = bootstrap((values,), np.mean, rng=np.random.default_rng(0)).confidence_interval
    return f"{values.mean():6.2f} [{low:5.2f}, {high:5.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=8, help="clips per variant; the actions take turns")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS), metavar="NAME")
    arguments = parser.parse_args()
    backbone = load_backbone("pocket")
    print(f"{arguments.clips} clips per variant, {torch.get_num_threads()} threads, {backbone.device}")
    print(f"{'variant':32} {'PSNR, dB':>22} {'motion':>22} {'sharpness':>22} {'s/clip':>7}")
    for name in arguments.variants:
        rows, seconds = [], []
        for i in range(arguments.clips):
            action = ACTIONS[i % len(ACTIONS)]
            clip, true, spent = sample(backbone, VARIANTS[name], action, TRAINING_SEEDS + 10_000 + i)
            rows.append(measures(clip, true))
            seconds.append(spent)
        columns = np.array(rows).T
        print(f"{name:32} {'  '.join(interval(column) for column in columns)}  {np.median(seconds):5.1f}", flush=True)


if __name__ == "__main__":
    main()
