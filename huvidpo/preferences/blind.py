"""Copies of clips that say nothing about where they come from. Knows no pairs and no page."""

import hashlib
import hmac
import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import imageio_ffmpeg

from huvidpo.atomic import replacing

UNUSED_SECONDS = 86_400  # after which a copy is removed; it can be made again at any time


def blind_copy(clip: Path, folder: Path, secret: bytes) -> Path:
    """The mp4 `clip` in `folder`, pictures bit for bit the same, without the settings inside; made when it is needed.

    A copy that nobody has asked for in a day is removed when the next one is made.
    Its name cannot be joined with the clip's own, which is public once ratings are, without knowing `secret`.
    """
    name = hmac.new(secret, clip.stem.encode(), hashlib.sha256).hexdigest()[:32]
    copy = folder / f"{name}.mp4"
    with suppress(FileNotFoundError):
        os.utime(copy)
        return copy
    folder.mkdir(parents=True, exist_ok=True)
    remove_unused(folder)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-f", "mp4", "-i", f"file:{clip}"]
    command += ["-map", "0:v:0", "-c", "copy", "-map_metadata", "-1", "-fflags", "+bitexact"]
    command += ["-movflags", "+faststart", "-f", "mp4"]
    with replacing(copy) as temporary:
        done = subprocess.run([*command, f"file:{temporary}"], capture_output=True, check=False)
        if done.returncode:
            raise ValueError("A clip of this pair cannot be read; skip it.")
    return copy


def remove_unused(folder: Path) -> None:
    """Removes the copies that were last asked for more than a day ago."""
    for copy in folder.glob("*.mp4"):
        with suppress(FileNotFoundError):  # another visitor's handler was faster
            if copy.stat().st_mtime < time.time() - UNUSED_SECONDS:
                copy.unlink()
