"""The contact sheet: first frames in a picture, clips in a GIF, one row for each action. Knows no figures."""

from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from huvidpo.atomic import replacing
from huvidpo.pocket.practice_clips import ACTIONS
from huvidpo.pocket.practice_data import TRAINING_SEEDS
from huvidpo.pocket.report.of_frames import prompt
from huvidpo.pocket.report.studio import Studio
from huvidpo.pocket.report.tables import scenes_of
from huvidpo.video import write_gif

SHOWN = TRAINING_SEEDS + 100_000  # first seed; the pictures are the first ones, not the best ones
GAP = 2  # pixels of white between pictures


def contact_sheet(studio: Studio, columns: int, folder: Path) -> list[Path]:
    """Writes first_frames.png and clips.gif into `folder`: a row for each action, `columns` prompts in each."""
    frames, clips = [], []
    scenes = scenes_of(SHOWN, columns * len(ACTIONS))  # the actions take turns
    for i, scene in enumerate(tqdm(scenes, desc="Contact sheet", disable=None, leave=False)):
        text = prompt(scene, i)
        frames.append(studio.first_frame(text, seed=i))
        clips.append(studio.clip(frames[-1], text, scene.action, seed=i))
    folder.mkdir(parents=True, exist_ok=True)
    picture, moving = folder / "first_frames.png", folder / "clips.gif"
    with replacing(picture) as temporary:
        Image.fromarray(grid([frame[None] for frame in frames], len(ACTIONS))[0]).save(temporary)
    write_gif(grid(clips, len(ACTIONS)), moving, studio.backbone.preset.fps)
    return [picture, moving]


def grid(clips: list[np.ndarray], rows: int) -> np.ndarray:
    """Clips uint8 (f h w 3) as one, filled column by column from the upper left, `rows` in each."""
    framed = [np.pad(clip, ((0, 0), (0, GAP), (0, GAP), (0, 0)), constant_values=255) for clip in clips]
    columns = [np.concatenate(framed[start : start + rows], axis=1) for start in range(0, len(framed), rows)]
    return np.concatenate(columns, axis=2)
