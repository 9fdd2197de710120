"""Clips before and during a run, from the same first frame and seed: what has changed, and does it still move?"""

import json
import math
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from PIL import Image

from huvidpo.atomic import write_whole
from huvidpo.evaluation.metrics import motion_magnitude
from huvidpo.pipelines.image_to_video import ImageToVideoPipeline
from huvidpo.pipelines.latents import fit_image
from huvidpo.preferences.pairs import TrainingSet
from huvidpo.recipes import Recipe
from huvidpo.training.processes import process_number
from huvidpo.training.reference import reference
from huvidpo.video import read_frames, write_mp4

BEFORE = "before"  # the name of the reference's clips, made once for a run
SEED = 4711  # of the noise; no training pair was made with it on purpose


class Validation:
    """Samples the same clips again and again; `validation(step)` gives the share of their first motion.

    First frames are those of the first examples. The clips lie in `folder` as `before-0.mp4` and `step-00050-0.mp4`.
    """

    def __init__(
        self,
        pipeline: ImageToVideoPipeline,
        examples: TrainingSet,
        size: tuple[int, int, int],  # frames, width and height
        fps: int,
        folder: Path,
        count: int,  # clips
        recipe: Recipe,
    ):
        self.pipeline, self.size, self.fps, self.folder, self.recipe = pipeline, size, fps, folder, recipe
        paths = [(pair.winner, pair.prompt) for pair in examples.pairs]
        paths += [(clip.clip, clip.prompt) for clip in examples.clips]
        chosen = [paths[i % len(paths)] for i in range(count)]
        self.prompts = [prompt for _, prompt in chosen]
        frames = [Image.fromarray(read_frames(path, max_frames=1)[0][0]) for path, _ in chosen]
        self.first_frames = [fit_image(frame, *size[1:], "crop") for frame in frames]
        self.count, self.known = count, folder / "motions.json"
        self.motions: dict[str, float] = (
            json.loads(self.known.read_text(encoding="utf-8")) if self.known.is_file() else {}
        )

    def __call__(self, step: int) -> float:
        """Makes and keeps the clips of a step; gives their share of the motion before training; -1 without any."""
        name = f"step-{step:05d}"
        for i in range(self.count):  # those of an attempt that went on otherwise
            self.motions.pop(f"{name}-{i}", None)
        return self.share(name)

    def share(self, name: str) -> float:
        """The motion of the clips of that name as a share of that before training; -1 where nothing moved then."""
        before, now = (np.mean([self.motion(one, i) for i in range(self.count)]) for one in (BEFORE, name))
        return float(now / before) if before > 0 else -1.0

    def share_error(self, name: str) -> float:
        """The standard error of `share`, from how unlike the clips are in it: 0 where there is one, or no motion."""
        before, now = (np.array([self.motion(one, i) for i in range(self.count)]) for one in (BEFORE, name))
        if self.count < 2 or before.mean() == 0:
            return 0.0
        left_over = now - self.share(name) * before  # a ratio of means, linearised (Cochran, Sampling Techniques)
        return float(np.std(left_over, ddof=1) / math.sqrt(self.count) / before.mean())

    def is_known(self, name: str, i: int) -> bool:
        """Whether clip `i` of that name was made and measured."""
        return f"{name}-{i}" in self.motions

    def motion(self, name: str, i: int) -> float:
        """The motion of clip `i`; it is made and kept, as the network is now, unless that was done under this name."""
        clip = f"{name}-{i}"
        if clip not in self.motions:
            with reference(self.pipeline.unet) if name == BEFORE else nullcontext():
                frames = self.sample(i)
            self.motions[clip] = motion_magnitude(frames)
            if process_number()[0] == 0:
                self.folder.mkdir(parents=True, exist_ok=True)
                write_mp4(frames, self.folder / f"{clip}.mp4", self.fps)
                write_whole(self.known, json.dumps(self.motions))
        return self.motions[clip]

    def sample(self, i: int) -> np.ndarray:
        """Clip `i` as the network is now, uint8 (f h w 3)."""
        frames, width, height = self.size
        unet = self.pipeline.unet
        training = unet.training
        unet.eval()  # no dropout
        prompts, images = self.prompts[i : i + 1], self.first_frames[i : i + 1]
        steps = self.pipeline.stream(prompts, images, [SEED + i], self.recipe, frames, width, height, preview_every=0)
        *_, output = steps
        unet.train(training)
        return output.frames[0]


def validation_clips(folder: Path) -> dict[int, list[Path]]:
    """Step -> its clips, those before training under 0; the oldest first."""
    found: dict[int, list[Path]] = {}
    for path in sorted(folder.glob("*-*.mp4")):
        name = path.stem.split("-")
        if name[0] == BEFORE or (name[0] == "step" and name[1].isdigit()):
            found.setdefault(0 if name[0] == BEFORE else int(name[1]), []).append(path)
    return dict(sorted(found.items()))
