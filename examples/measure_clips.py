"""Measures anyone's clips: `python examples/measure_clips.py DIR`. Needs no model, no GPU and no network.

Prints a table in Markdown: for every clip of the folder what its pixels say (SSIM, MSE, the 8-bit MSE, motion, dynamic
degree, frozen, flicker, smoothness, seam), of its first 16 frames or as many as `--frames` says. A clip that cannot be
read is a sentence on stderr, and the others follow.
"""

import argparse
import sys
from pathlib import Path

from huvidpo.evaluation.metrics import METRICS, pixel_metrics
from huvidpo.evaluation.tables import escaped, markdown, titled
from huvidpo.video import CLIP_SUFFIXES, read_frames

MEASURES = ("ssim", "mse", "wrapped_mse", "motion", "dynamic", "still", "flicker", "smoothness", "seam")


def measured(clip: Path, frames: int) -> list[str]:
    """A clip's row of the table. ValueError in a sentence when it cannot be read, or has one frame only."""
    pixels, fps = read_frames(clip, max_frames=frames)
    found = pixel_metrics(pixels)
    figures = [f"{found[name]:.{METRICS[name].digits}f}" if name in found else "-" for name in MEASURES]
    size = f"{len(pixels)} of {pixels.shape[2]}x{pixels.shape[1]}, {fps:.4g} fps"
    return [escaped(clip.name), size, *figures]


def main(folder: Path, frames: int = 16) -> list[list[str]]:
    """Prints the table of a folder's clips and gives its rows. ValueError when there is nothing to measure."""
    if not folder.is_dir() or frames < 2:
        raise ValueError(f"Name a folder of clips and 2 frames or more, not {folder} and {frames}.")
    clips = sorted(file for file in folder.iterdir() if file.suffix.lower() in CLIP_SUFFIXES)
    rows = []
    for clip in clips:
        try:
            rows.append(measured(clip, frames))
        except ValueError as error:
            print(f"{clip.name} was left out: {error}", file=sys.stderr)
    if not rows:
        raise ValueError(f"{folder} holds no clip that can be read ({', '.join(CLIP_SUFFIXES)}).")
    print(markdown(["clip", "frames", *map(titled, MEASURES)], rows))
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--frames", type=int, default=16, help="that many from the first one on (default: 16)")
    arguments = parser.parse_args()
    try:
        main(arguments.folder, arguments.frames)
    except ValueError as error:
        sys.exit(str(error))
