"""Clips before and during a run, from the same first frame and seed: what has changed, and does it still move?"""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from huvidpo.evaluation.metrics import motion_magnitude
from huvidpo.pipelines.image_to_video import ImageToVideoOutput, ImageToVideoPipeline, Recipe
from huvidpo.pipelines.latents import fit_image
from huvidpo.preferences.pairs import TrainingSet
from huvidpo.training.processes import process_number
from huvidpo.training.reference import reference
from huvidpo.video import read_frames, replacing, write_mp4

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
        self.prompts = [prompt for _, prompt in paths[:count]]
        frames = [Image.fromarray(read_frames(path, max_frames=1)[0][0]) for path, _ in paths[:count]]
        self.first_frames = [fit_image(frame, *size[1:], "crop") for frame in frames]

    def __call__(self, step: int) -> float:
        """Makes and keeps the clips of a step; gives their share of the motion before training; -1 without any."""
        before = self.motion_before()
        now = self.sample(f"step-{step:05d}")
        return now / before if before > 0 else -1.0

    def motion_before(self) -> float:
        """The motion of the reference's clips, made once for a run."""
        known = self.folder / "before.json"
        if not known.is_file():
            with reference(self.pipeline.unet):
                motion = self.sample("before")
            with replacing(known) as temporary:
                temporary.write_text(json.dumps({"motion": motion}))
        return float(json.loads(known.read_text())["motion"])

    def sample(self, name: str) -> float:
        """Makes and keeps the clips as the network is now; gives their mean motion."""
        self.folder.mkdir(parents=True, exist_ok=True)
        frames, width, height = self.size
        motions, unet = [], self.pipeline.unet
        training = unet.training
        unet.eval()  # no dropout
        for i, (prompt, image) in enumerate(zip(self.prompts, self.first_frames, strict=True)):
            *_, output = self.pipeline.stream(
                [prompt], [image], [SEED + i], self.recipe, frames, width, height, preview_every=0
            )
            motions.append(motion_magnitude(clip := finished(output)))
            if process_number()[0] == 0:
                write_mp4(clip, self.folder / f"{name}-{i}.mp4", self.fps)
        unet.train(training)
        return float(np.mean(motions))


def finished(output: ImageToVideoOutput) -> np.ndarray:
    """The one clip of a batch, uint8 (f h w 3)."""
    return output.frames[0]


def validation_clips(folder: Path) -> dict[int, list[Path]]:
    """Step -> its clips, those before training under 0; the oldest first."""
    found: dict[int, list[Path]] = {}
    for path in sorted(folder.glob("*-*.mp4")):
        name = path.stem.split("-")
        if name[0] == "before" or (name[0] == "step" and name[1].isdigit()):
            found.setdefault(0 if name[0] == "before" else int(name[1]), []).append(path)
    return dict(sorted(found.items()))
