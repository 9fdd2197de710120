"""Where a clip of an evaluation lies, what is noted beside it, and first frames that are there. Knows no model."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from huvidpo.atomic import write_whole
from huvidpo.evaluation.clip_folders import find_clip, remove_clip
from huvidpo.images import SETTINGS, read_image
from huvidpo.video import read_frames, read_metadata, write_mp4


@dataclass(frozen=True)
class ClipPlace:
    """The clip of one system for one prompt and seed."""

    folder: Path  # of the system
    name: str  # see results.clip_name

    def clip(self) -> Path:
        """What is measured; a clip of others may have another suffix than .mp4."""
        return find_clip(self.folder, self.name) or self.folder / f"{self.name}.mp4"

    def shown(self) -> Path:
        """What is played: the clip, or a copy of one that not every browser plays."""
        clip = self.clip()
        return clip if clip.suffix == ".mp4" else self.copy()

    def copy(self) -> Path:
        return self.folder / f"{self.name}.shown.mp4"

    def make_shown(self) -> None:
        """Writes that copy, where one is needed, unless it is there."""
        clip, shown = self.clip(), self.shown()
        if clip == shown:
            return
        source = {"source_sha256": hashlib.sha256(clip.read_bytes()).hexdigest()}
        if not shown.is_file() or read_metadata(shown) != source:
            frames, fps = read_frames(clip)
            write_mp4(frames, shown, fps, source)

    def is_made_from(self, settings: dict[str, str | int | float | bool]) -> bool:
        """Whether the clip is there and these settings are inside."""
        return self.clip().is_file() and read_metadata(self.clip()) == settings

    def fail(self, problem: str) -> None:
        """Notes why there is no clip, and removes what is no longer what was asked for."""
        remove_clip(self.folder, self.name)
        self.copy().unlink(missing_ok=True)
        self.note({"problem": problem})

    def note(self, row: dict[str, object]) -> None:
        """Writes down what is known of the clip."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.notes_file(), json.dumps(row) + "\n")

    def notes(self) -> dict:
        """What was noted; {} when nothing was."""
        try:
            row = json.loads(self.notes_file().read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return row if isinstance(row, dict) else {}

    def notes_file(self) -> Path:
        return self.folder / f"{self.name}.json"


def picture_at(path: Path) -> Image.Image | None:
    """The picture in a file; None when it is missing or cannot be read, and so has to be made again."""
    try:
        return read_image(path).convert("RGB")
    except ValueError:
        return None


def settings_inside(path: Path) -> object:
    """The settings in a picture of ours; None when it is missing, cannot be read or has none."""
    try:
        return json.loads(read_image(path).info.get(SETTINGS, "null"))
    except ValueError:
        return None
