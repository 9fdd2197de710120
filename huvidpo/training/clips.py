"""A folder of clips -> latents ready for training. Knows files and a VAE, nothing of losses or optimizers."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from einops import rearrange
from PIL import Image
from torch import Tensor

from huvidpo.pipelines.latents import encode_frames, fit_image, frames_to_tensor
from huvidpo.preferences.own_clips import prompt_beside
from huvidpo.video import DEFAULT_FPS, clips_in, read_frames


@dataclass(frozen=True)
class TrainingClip:
    """One clip at the backbone's size."""

    name: str
    frames: np.ndarray  # uint8 (f h w 3), at least as many frames as the model makes
    prompt: str
    fps: float = DEFAULT_FPS  # of the file


@dataclass(frozen=True)
class EncodedClip:
    """A clip's latents, as it is and mirrored: (f c h/8 w/8) each; and its text (n d)."""

    latents: Tensor
    mirrored: Tensor
    text: Tensor

    def window(self, start: int, frames: int, mirrored: bool) -> Tensor:
        """`frames` consecutive frames in single precision, (c f h w)."""
        source = self.mirrored if mirrored else self.latents
        return rearrange(source[start : start + frames], "f c h w -> c f h w").float()

    def random_window(self, frames: int, generator: torch.Generator, mirror: bool) -> Tensor:
        """The same from a random start, mirrored half of the time if asked for."""
        start = int(torch.randint(0, len(self.latents) - frames + 1, (1,), generator=generator))
        return self.window(start, frames, mirror and bool(torch.rand(1, generator=generator) < 0.5))


def read_clips(folder: Path, prompt: str, num_frames: int, width: int, height: int) -> list[TrainingClip]:
    """All clips of a folder (mp4, mov, webm, mkv, gif, webp or folders of frames), cropped to width x height.

    A text file beside a clip (`run.txt` for `run.mp4`) is its prompt, else `prompt`. Raises ValueError, naming the
    clip, when one cannot be read or has fewer than `num_frames` frames, and when there is none.
    """
    return [read_clip(path, prompt, num_frames, width, height) for path in clips_in(folder)]


def read_clip(path: Path, prompt: str, num_frames: int, width: int, height: int) -> TrainingClip:
    """One clip with the prompt of the text file beside it, where there is one; ValueError as in `fitted_clip`."""
    frames, fps = fitted_clip(path, num_frames, width, height)
    return TrainingClip(path.name, frames, prompt_beside(path, prompt), fps)


def fitted_frames(path: Path, num_frames: int, width: int, height: int) -> np.ndarray:
    """The frames of `fitted_clip` alone."""
    return fitted_clip(path, num_frames, width, height)[0]


def fitted_clip(path: Path, num_frames: int, width: int, height: int) -> tuple[np.ndarray, float]:
    """A clip's frames cropped to width x height, uint8 (f h w 3), and the frames a second that its file says.

    Raises ValueError, naming the clip, when it cannot be read or has fewer than `num_frames` frames.
    """

    def fit(frame: np.ndarray) -> np.ndarray:
        return np.asarray(fit_image(Image.fromarray(frame), width, height, "crop"))

    frames, fps = read_frames(path, fit=fit)
    if len(frames) < num_frames:
        raise ValueError(f"The clip {path.name} has {len(frames)} frames; training needs {num_frames} or more.")
    return frames, fps


@torch.no_grad()
def encode_both_ways(vae: AutoencoderKL, frames: np.ndarray) -> dict[str, Tensor]:
    """`latents` and `mirrored` of a clip's frames (f h w 3), on the CPU in half precision; eight frames at a time.

    The posterior's mode stands for the sample that the published code draws anew at each step: the difference is
    far below the noise that training adds.
    """
    parts = [frames[i : i + 8] for i in range(0, len(frames), 8)]  # which bounds memory
    return {
        name: torch.cat(
            [encode_frames(vae, frames_to_tensor(part[:, :, ::step])).half().cpu() for part in parts]
        ).contiguous()  # as files need it
        for name, step in (("latents", 1), ("mirrored", -1))
    }
