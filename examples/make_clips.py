"""Makes the clips that the page and the README show: `python examples/make_clips.py`.

One clip per action with the shipped weights and default settings: examples/clips/ACTION.mp4,
and all of them side by side in docs/images/contact_sheet.gif.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from huvidpo.backbones import load_backbone
from huvidpo.requests import ClipRequest, FirstFrameRequest, starting_from
from huvidpo.takes import Clip, make_clip, make_first_frame, save_clip
from huvidpo.video import write_gif

ROOT = Path(__file__).parents[1]
PROMPTS = {  # action: (prompt, style, seed)
    "waterfall": ("a blue waterfall in the forest", "cartoon", 1),
    "smile": ("a girl in a red shirt turns to smile on the beach", "cartoon", 1),
    "helicopter": ("a yellow helicopter flies over the mountains", "cartoon", 1),
    "rain": ("rain falls on a red umbrella in the snow", "cartoon", 1),
    "firework": ("green fireworks over the mountains", "cartoon", 1),
    "guitar": ("a panda plays a red guitar on the beach", "cartoon", 1),
    "horse": ("a red horse runs on the beach", "cartoon", 1),
    "birds": ("blue birds fly over the desert", "cartoon", 1),
}


def make(backbone, action: str) -> Clip:
    """The clip of an action's example prompt."""
    prompt, style, seed = PROMPTS[action]
    *_, frame = make_first_frame(backbone, FirstFrameRequest(prompt, style=style, seed=seed))
    request = starting_from(ClipRequest(prompt, action, style=style, seed=seed), frame.request)
    *_, clip = make_clip(backbone, frame.image, request)
    return clip


def contact_sheet(clips: list[np.ndarray], columns: int = 4) -> np.ndarray:
    """Clips uint8 (f h w 3) in a grid, enlarged by half: one clip."""
    rows = [np.concatenate(clips[i : i + columns], axis=2) for i in range(0, len(clips), columns)]
    frames = np.concatenate(rows, axis=1)
    size = (frames.shape[2] * 3 // 2, frames.shape[1] * 3 // 2)
    return np.stack([np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS)) for frame in frames])


def main() -> None:
    backbone = load_backbone("pocket")
    (ROOT / "examples" / "clips").mkdir(parents=True, exist_ok=True)
    made = []
    for action in PROMPTS:
        clip = make(backbone, action)
        made.append(clip.frames)
        print(save_clip(clip, ROOT / "examples" / "clips" / f"{action}.mp4"))
    sheet = contact_sheet(made)
    (ROOT / "docs" / "images").mkdir(parents=True, exist_ok=True)
    write_gif(sheet, ROOT / "docs" / "images" / "contact_sheet.gif", fps=8)


if __name__ == "__main__":
    main()
