"""Finished clips on disk and the settings inside them. Knows neither how clips are made nor how they are shown."""

import os
import re
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image

from huvidpo.categories import CATEGORIES, find_category, label_of
from huvidpo.home import home
from huvidpo.images import write_png
from huvidpo.pipelines.latents import fit_image
from huvidpo.requests import ClipRequest, FirstFrameRequest, request_from_metadata
from huvidpo.takes import Clip, save_clip
from huvidpo.ui.widgets import Card
from huvidpo.video import read_frames, read_metadata, write_mp4

EXAMPLES = Path(__file__).parents[2] / "examples" / "clips"
PAIRS = EXAMPLES.with_name("pairs")  # for a page that has none yet
REMEMBERED = 24  # clips of one visitor
KEPT_DAYS = 7  # on a Space


@dataclass(frozen=True)
class SavedTake:
    """One clip with its settings. `gif` and `picture`, its first frame, lie beside a clip that this page made."""

    clip: Path
    first_frame: FirstFrameRequest
    request: ClipRequest
    backbone: str = ""

    @property
    def gif(self) -> Path:
        return self.clip.with_suffix(".gif")

    @property
    def picture(self) -> Path:
        return self.clip.with_suffix(".png")

    @property
    def line(self) -> str:
        """What it was made from, in a few words."""
        request = self.request
        made = f"first frame {request.first_frame_seed} ({request.first_frame_model})"
        origin = "your first frame" if request.first_frame_model == "upload" else made
        return f"Seed {request.seed} · {origin} · {request.recipe} recipe"

    @property
    def card(self) -> Card:
        return Card(self.clip, label_of(self.request.category), self.request.prompt)


def takes_folder() -> Path:
    """Where clips made on the page are kept; it is made when it is missing."""
    folder = home() / "takes"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def save_take(clip: Clip, first_frame: Image.Image) -> str:
    """Writes clip (mp4 and GIF) and its first frame under a name that cannot be guessed; returns that name.

    The first frame, which may be a large photograph, is kept as the clip starts with it. Raises ValueError when they
    cannot be written; then nothing stays behind.
    """
    if os.environ.get("SPACE_ID"):
        remove_old(takes_folder())
    name = f"{find_category(clip.metadata['category']).name}-{uuid.uuid4().hex}"
    mp4, (height, width) = takes_folder() / f"{name}.mp4", clip.frames.shape[1:3]
    try:
        write_png(fit_image(first_frame, width, height, clip.metadata["fit"]), mp4.with_suffix(".png"), {})
        save_clip(clip, mp4.with_suffix(".gif"))
        save_clip(clip, mp4)  # last: a take exists once its mp4 does
    except BaseException:
        for suffix in (".png", ".gif", ".mp4"):
            mp4.with_suffix(suffix).unlink(missing_ok=True)
        raise
    return name


def remove_old(folder: Path) -> None:
    """Removes takes of more than KEPT_DAYS: a Space that fills its disk is stopped. What was rated is in the store."""
    for file in folder.iterdir():
        with suppress(FileNotFoundError):  # another visitor's handler was faster
            if file.stat().st_mtime < time.time() - 86_400 * KEPT_DAYS:
                file.unlink()


def open_take(name: str) -> SavedTake | None:
    """The take of a name that `save_take` gave; None when it is gone. The name may come from anyone."""
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9-]+-[0-9a-f]{32}", name):
        return None
    clip = takes_folder() / f"{name}.mp4"
    return read_take(clip) if clip.is_file() else None


def open_takes(names: object) -> dict[str, SavedTake]:
    """Name -> take, for those of the first 24 names that are still there; what is no list of names counts as none."""
    found = [(name, open_take(name)) for name in names[:REMEMBERED]] if isinstance(names, list) else []
    return {name: take for name, take in found if take}


class Shelves:
    """The clips of each visitor since the start, in all tabs of their browser: a tab knows only what it was told."""

    def __init__(self) -> None:
        self._made: dict[str, list[str]] = {}

    def put(self, visitor: str, name: str, names: object) -> dict[str, SavedTake]:
        """Puts a take before those made earlier, `names` among them; gives them all. "" is nobody's name."""
        made = self._made.setdefault(visitor, []) if visitor else []
        made.insert(0, name)
        del made[REMEMBERED:]
        return open_takes([*dict.fromkeys([*made, *open_takes(names)])])


@lru_cache(maxsize=1024)
def read_take(clip: Path) -> SavedTake:
    """A clip file with the settings inside it. Raises ValueError when they are missing: the file is not ours."""
    settings = read_metadata(clip)
    return SavedTake(clip, *request_from_metadata(settings), str(settings.get("backbone", "")))


def read_dropped(file: Path) -> SavedTake:
    """A clip of ours that a visitor brings back; of a GIF, which no player plays, an mp4 is written beside it."""
    if file.suffix.lower() == ".mp4":
        return read_take(file)
    settings = read_metadata(file)
    request_from_metadata(settings)  # ValueError for the file of anyone else, before it is decoded
    frames, fps = read_frames(file)
    return read_take(write_mp4(frames, file.with_suffix(".mp4"), fps, settings))


def examples() -> list[SavedTake]:
    """The clips that ship with the page, one for each category that has one, in the categories' order."""
    files = [EXAMPLES / f"{category}.mp4" for category in CATEGORIES]
    return [read_take(file) for file in files if file.is_file()]
