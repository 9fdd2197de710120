"""Frames to mp4 or GIF and back, with the settings inside the file. Knows nothing of models, takes or adapters."""

import io
import json
import math
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from itertools import pairwise
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from PIL import Image, ImageSequence

from huvidpo.atomic import replacing
from huvidpo.checks import is_plain

DEFAULT_FPS = 8.0  # frames per second, where a file does not say
MAX_SIDE = 4096  # pixels
MAX_FRAMES = 2000
MAX_BYTES = 2**31  # of decoded frames
MAX_GIF_FPS = 50  # browsers play faster ones at 10
GIF_FPS = "gif_fps"  # beside the metadata: a GIF's writer makes one long frame of equal neighbours
MAX_METADATA = 30_000  # characters of JSON; a command line on Windows holds 32 k

# Each file is read by the demuxer of its own kind only: left to guess, ffmpeg would also follow a playlist
# that was named .mp4 to other files of this machine.
DEMUXERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".webm": "webm", ".mkv": "matroska"}
ANIMATED_IMAGES = (".gif", ".webp")
CLIP_SUFFIXES = (*DEMUXERS, *ANIMATED_IMAGES)  # all that `read_frames` reads, but for folders of frames
STILL_IMAGES = (".png", ".jpg", ".jpeg")

Metadata = Mapping[str, str | int | float | bool]
Fit = Callable[[np.ndarray], np.ndarray] | None


def clips_in(folder: Path) -> list[Path]:
    """All clips of a folder, files and folders of frames, by name. ValueError when there is none."""
    if not folder.is_dir():
        raise ValueError(f"There is no folder of clips at {folder}.")
    paths = sorted(path for path in folder.iterdir() if path.is_dir() or path.suffix.lower() in CLIP_SUFFIXES)
    if not paths:
        raise ValueError(f"{folder} holds no clips: put mp4, mov, webm, gif files or folders of frames into it.")
    return paths


def write_mp4(frames: np.ndarray, path: str | Path, fps: float, metadata: Metadata | None = None) -> Path:
    """Write uint8 RGB frames (f h w 3) as H.264 that every browser and phone plays; returns `path`.

    yuv420p, BT.709, constant `fps` frames per second, a keyframe every 8 frames (for seeking), index at the front.
    An odd height or width grows by one pixel that repeats the edge. `metadata` travels in the comment tag.
    Raises ValueError for unfit frames, fps or metadata or an unwritable file; then nothing is left behind.
    """
    frames = _even(_checked(frames, fps))
    _, height, width, _ = frames.shape
    # ffmpeg itself and not moviepy, which drops the last frame at 12 and 24 fps and rounds fps to two decimals.
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y"]
    command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", repr(float(fps)), "-i", "-"]
    command += ["-c:v", "libx264", "-preset", "medium", "-crf", "18", "-g", "8", "-pix_fmt", "yuv420p"]
    # Untagged files are taken for BT.601 by some players and BT.709 by others, which shifts the colours.
    tags = "colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"
    command += ["-vf", f"scale=out_color_matrix=bt709:out_range=tv,setparams={tags}"]
    command += ["-metadata", f"comment={_to_json(metadata)}", "-movflags", "+faststart", "-f", "mp4"]
    with replacing(Path(path)) as temporary:
        command.append(f"file:{temporary}")
        done = subprocess.run(command, input=frames.tobytes(), capture_output=True, check=False)
        if done.returncode:
            reason = done.stderr.decode(errors="replace").strip().splitlines() or ["ffmpeg was stopped"]
            raise OSError(re.sub(r"^\[.*?\] ", "", reason[-1]))
    return Path(path)


def write_gif(frames: np.ndarray, path: str | Path, fps: float, metadata: Metadata | None = None) -> Path:
    """Write uint8 RGB frames (f h w 3) as an endless GIF with one palette for all frames; returns `path`.

    A GIF counts in hundredths of a second, so delays are rounded such that their sum is true (8 fps: 12, 13, 12, ...).
    `metadata` travels in the comment. Raises ValueError as `write_mp4` does, and above MAX_GIF_FPS.
    """
    frames = _checked(frames, fps)
    if fps > MAX_GIF_FPS:
        raise ValueError(f"A GIF plays at most {MAX_GIF_FPS} frames per second, not {fps:g}: write an mp4 instead.")
    ends = [round(100 * i / fps) for i in range(len(frames) + 1)]
    delays = [10 * (end - start) for start, end in pairwise(ends)]
    palette = _common_palette(frames)
    images = [Image.fromarray(frame).quantize(palette=palette) for frame in frames]
    with replacing(Path(path)) as temporary:
        images[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=images[1:],
            duration=delays,
            loop=0,
            comment=_to_json({**(metadata or {}), GIF_FPS: float(fps)}).encode(),
        )
    return Path(path)


def read_frames(path: str | Path, max_frames: int | None = None, fit: Fit = None) -> tuple[np.ndarray, float]:
    """Read an mp4, mov, webm, mkv, GIF, WebP or a folder of png/jpg frames: uint8 RGB (f h w 3), frames per second.

    Only the first `max_frames` are decoded when it is given; `fit` is done to each frame (h w 3) as it is read, so
    that a clip which becomes smaller may be longer. A folder is taken in natural order (2 before 10). Frames per
    second are 8 where the file does not say. In a GIF or WebP, a frame held k times as long as the shortest stands
    k times; one of `write_gif` has all of its frames again, also those that equal their neighbours. Raises
    ValueError with the file's name when it is missing, unreadable or too large to hold.
    """
    path = Path(path)
    if max_frames is not None and max_frames < 1:
        raise ValueError(f"max_frames must be at least 1, not {max_frames}.")
    if not path.exists():
        raise ValueError(f"{path} does not exist.")
    suffix = path.suffix.lower()
    try:
        if path.is_dir():
            return _collect(_folder_frames(path), path, max_frames, fit), DEFAULT_FPS
        if suffix in ANIMATED_IMAGES:
            return _read_animated(path, max_frames, fit)
        if suffix in DEMUXERS:
            return _read_video(path, max_frames, fit)
    except (OSError, RuntimeError, LookupError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is not a readable clip; it may be broken or cut off.") from error
    known = ", ".join(CLIP_SUFFIXES)
    raise ValueError(f"{path} is no clip this program reads: give one of {known} or a folder of png or jpg frames.")


def read_metadata(path: str | Path) -> dict[str, str | int | float | bool]:
    """The settings that `write_mp4` or `write_gif` put into a file; {} when there are none.

    The file may come from anyone: at most 30,000 characters are read, and only a flat JSON object of finite numbers,
    strings and booleans counts. Raises ValueError when `path` is no file.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} is not a file.")
    comment = ""
    if path.suffix.lower() == ".gif":
        comment = _gif_comment(path)
    elif path.suffix.lower() in DEMUXERS:
        comment = _video_comment(path)
    return {key: value for key, value in _from_json(comment).items() if key != GIF_FPS}


def _checked(frames: np.ndarray, fps: float) -> np.ndarray:
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or 0 in frames.shape:
        raise ValueError(f"Frames must be uint8 of shape (f h w 3), not {frames.dtype} of shape {frames.shape}.")
    if max(frames.shape[1:3]) > MAX_SIDE:
        raise ValueError(f"Frames may be at most {MAX_SIDE} pixels wide and high, not {frames.shape[1:3]}.")
    if not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"The frames per second must be above 0, not {fps}.")
    return frames


def _even(frames: np.ndarray) -> np.ndarray:
    """yuv420p stores one colour for 2x2 pixels: repeat the last row or column of odd sizes."""
    _, height, width, _ = frames.shape
    return np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _common_palette(frames: np.ndarray) -> Image.Image:
    """256 colours from a sample of at most about 2^18 pixels of all frames, so that a still area does not flicker."""
    pixels = frames.reshape(-1, 3)
    sample = pixels[:: max(1, len(pixels) >> 18)]
    return Image.fromarray(sample[None]).quantize(256)


def _to_json(metadata: Metadata | None) -> str:
    """One line of ASCII (JSON escapes line ends and all other characters), so that no container can mangle it."""
    for key, value in (metadata or {}).items():
        if not isinstance(key, str) or not is_plain(value):
            raise ValueError(f"Metadata holds finite numbers, strings and booleans under string keys: see {key!r}.")
    text = json.dumps(dict(metadata or {}))
    if len(text) > MAX_METADATA:
        raise ValueError(f"Metadata may take at most {MAX_METADATA} characters as JSON, not {len(text)}.")
    return text


def _from_json(text: str) -> dict[str, str | int | float | bool]:
    if len(text) > MAX_METADATA:
        return {}
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) and all(map(is_plain, values.values())) else {}


def _video_input(path: Path) -> list[str]:
    return ["-protocol_whitelist", "file,pipe", "-f", DEMUXERS[path.suffix.lower()]]


def _read_video(path: Path, max_frames: int | None, fit: Fit) -> tuple[np.ndarray, float]:
    with closing(imageio_ffmpeg.read_frames(f"file:{path}", input_params=_video_input(path))) as stream:
        header = next(stream)
        width, height = header["size"]
        _check_side(path, width, height)
        frames = (np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in stream)
        return _collect(frames, path, max_frames, fit), header["fps"] or DEFAULT_FPS


def _gif_comment(path: Path) -> str:
    """The comment before the first frame, from the head of the file only: Pillow is slow on a comment of megabytes."""
    with path.open("rb") as file:
        head = file.read(2 * MAX_METADATA)
    with (
        suppress(OSError, SyntaxError, Image.DecompressionBombError),
        Image.open(io.BytesIO(head), formats=["GIF"]) as image,
    ):
        return image.info.get("comment", b"").decode(errors="replace")
    return ""


def _video_comment(path: Path) -> str:
    """The comment tag, through ffmpeg's own text form of tags, which puts a backslash before = ; # and backslash."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "quiet", *_video_input(path)]
    command += ["-i", f"file:{path}", "-map_metadata", "0", "-f", "ffmetadata", "-"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        text = process.stdout.read(4 * MAX_METADATA).decode(errors="replace")
        process.kill()
    found = re.search(r"^comment=(.*)$", text, re.MULTILINE | re.IGNORECASE)
    return re.sub(r"\\(.)", r"\1", found[1]) if found else ""


def _read_animated(path: Path, max_frames: int | None, fit: Fit) -> tuple[np.ndarray, float]:
    delays = []  # milliseconds; 0 where the file does not say

    def decoded(image: Image.Image) -> Iterator[np.ndarray]:
        for frame in ImageSequence.Iterator(image):
            pixels = np.asarray(frame.convert("RGB"))
            delays.append(frame.info.get("duration") or 0)  # WebP knows it only once the frame is decoded
            yield pixels

    with Image.open(path) as image:
        _check_side(path, *image.size)
        frames = _collect(decoded(image), path, max_frames, fit)
    if not min(delays):
        return frames, DEFAULT_FPS
    fps = _from_json(_gif_comment(path)).get(GIF_FPS) if path.suffix.lower() == ".gif" else None
    known = type(fps) in (int, float) and 0 < fps <= MAX_GIF_FPS
    shortest = 1000 / fps if known else min(delays)
    holds = [max(1, round(delay / shortest)) for delay in delays]
    held = (frame for frame, hold in zip(frames, holds, strict=True) for _ in range(hold))
    return _collect(held, path, max_frames), 1000 * sum(holds) / sum(delays)


def _folder_frames(folder: Path) -> Iterator[np.ndarray]:
    files = [file for file in folder.iterdir() if file.suffix.lower() in STILL_IMAGES]
    if not files:
        raise ValueError(f"{folder} holds no png or jpg frames.")
    first_size = None
    for file in sorted(files, key=_natural):
        try:
            with Image.open(file) as image:
                _check_side(file, *image.size)
                first_size = first_size or image.size
                if image.size != first_size:
                    raise ValueError(f"{file} is {image.size} pixels, the frames before it are {first_size}.")
                frame = np.asarray(image.convert("RGB"))
        except (OSError, SyntaxError) as error:
            raise ValueError(f"{file} is not a readable picture.") from error
        yield frame


def _natural(file: Path) -> list[str | int]:
    parts = re.split(r"([0-9]+)", file.name)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)]


def _check_side(path: Path, width: int, height: int) -> None:
    if max(width, height) > MAX_SIDE:
        raise ValueError(f"{path} is {width}x{height} pixels; at most {MAX_SIDE} a side are read.")


def _collect(frames: Iterable[np.ndarray], path: Path, max_frames: int | None, fit: Fit = None) -> np.ndarray:
    """The first `max_frames` frames as one array (f h w 3); refuses what would not fit in memory."""
    kept: list[np.ndarray] = []
    for frame in map(fit, frames) if fit else frames:
        if len(kept) == MAX_FRAMES or (len(kept) + 1) * frame.nbytes > MAX_BYTES:
            raise ValueError(f"{path} is too long to hold in memory: cut it, or scale it down.")
        kept.append(frame)
        if len(kept) == max_frames:
            break
    if not kept:
        raise ValueError(f"{path} holds no frames.")
    return np.stack(kept)
