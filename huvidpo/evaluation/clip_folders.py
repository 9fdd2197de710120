"""Folders of finished clips of any origin as systems of an evaluation. Knows no model."""

import shutil
from pathlib import Path

from huvidpo.video import ANIMATED_IMAGES, DEMUXERS, read_frames, replacing

SUFFIXES = (".mp4", *(suffix for suffix in (*DEMUXERS, *ANIMATED_IMAGES) if suffix != ".mp4"))
MAX_CLIP_BYTES = 200 * 2**20


def find_clip(folder: Path, name: str) -> Path | None:
    """The clip `name` with any suffix that is read here; None when there is none."""
    return next((path for suffix in SUFFIXES if (path := folder / f"{name}{suffix}").is_file()), None)


def copy_clip(source: Path, name: str, target: Path) -> Path:
    """Copies the clip `name` of a folder to `target`, with its own suffix. ValueError when it is missing or broken."""
    found = find_clip(source, name)
    if found is None:
        raise ValueError(f"Put the clip into {source} as {name}.mp4 (or .gif, .webm ...) and run this again.")
    if found.stat().st_size > MAX_CLIP_BYTES:
        raise ValueError(f"{found} has more than {MAX_CLIP_BYTES // 2**20} MB.")
    read_frames(found, max_frames=2)  # so that a broken file is named where it lies
    target = target.with_suffix(found.suffix)
    if not target.is_file() or target.read_bytes() != found.read_bytes():
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as temporary:
            shutil.copyfile(found, temporary)
    return target
