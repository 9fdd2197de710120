"""Folders of finished clips of any origin as systems of an evaluation. Knows no model."""

import shutil
from pathlib import Path

from huvidpo.atomic import replacing
from huvidpo.video import CLIP_SUFFIXES, read_frames

MAX_CLIP_BYTES = 200 * 2**20


def find_clip(folder: Path, name: str) -> Path | None:
    """The clip `name` with any suffix that is read here, in small or large letters; None when there is none."""
    suffixes = [spelt for suffix in CLIP_SUFFIXES for spelt in (suffix, suffix.upper())]
    return next((path for suffix in suffixes if (path := folder / f"{name}{suffix}").is_file()), None)


def remove_clip(folder: Path, name: str, but: Path | None = None) -> None:
    """Removes the clip `name`, whatever its suffix; `but` is the file of that name that stays."""
    for suffix in CLIP_SUFFIXES:
        if (path := folder / f"{name}{suffix}") != but:
            path.unlink(missing_ok=True)


def checked_clip(source: Path, name: str) -> Path:
    """The clip `name` of a folder. ValueError when it is missing, too large or broken."""
    found = find_clip(source, name)
    if found is None:
        raise ValueError(f"Put the clip into {source} as {name}.mp4 (or .gif, .webm ...) and run this again.")
    if found.stat().st_size > MAX_CLIP_BYTES:
        raise ValueError(f"{found} has more than {MAX_CLIP_BYTES // 2**20} MB.")
    read_frames(found, max_frames=2)  # so that a broken file is named where it lies
    return found


def copy_clip(source: Path, name: str, folder: Path) -> Path:
    """Copies the clip `name` of one folder into another, in the place of one with any suffix. ValueError as above."""
    found = checked_clip(source, name)
    target = folder / f"{name}{found.suffix.lower()}"
    remove_clip(folder, name, but=target)
    if not target.is_file() or target.read_bytes() != found.read_bytes():
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(target) as temporary:
            shutil.copyfile(found, temporary)
    return target
