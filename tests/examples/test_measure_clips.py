"""The example that measures anyone's clips: run as people run it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from huvidpo.video import write_gif, write_mp4

PROGRAM = Path(__file__).parents[2] / "examples" / "measure_clips.py"


def measure(*options: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, PROGRAM, *options], capture_output=True, text=True, check=False)


def levels(*brightness: int) -> np.ndarray:
    """Frames of one grey each, uint8 (f 32 32 3)."""
    return np.stack([np.full((32, 32, 3), level, np.uint8) for level in brightness])


@pytest.mark.slow
def test_a_row_for_each_clip_and_a_sentence_for_a_broken_one(tmp_path: Path) -> None:
    """Levels 0, 51, 0 of a GIF: 51 squared is 2601, and 41 modulo 256. Two of three frames are asked for: one step."""
    write_mp4(np.repeat(levels(90), 20, axis=0), tmp_path / "frozen.mp4", 24)
    write_gif(levels(0, 51, 0), tmp_path / "jumps.gif", 8)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    (tmp_path / "notes.txt").write_text("not looked at")
    done = measure(str(tmp_path), "--frames", "2")
    assert done.returncode == 0 and done.stderr.count("\n") == 1 and "broken.mp4 was left out" in done.stderr
    head, _, frozen, jumps = (line.strip("| ").split(" | ") for line in done.stdout.splitlines())
    assert head[:6] == ["clip", "frames", "SSIM ↑", "MSE ↓", "8-bit MSE ↓", "Motion"]
    assert frozen[:4] == ["frozen.mp4", "2 of 32x32, 24 fps", "100.0", "0.0"] and frozen[7] == "100.0"
    assert jumps[0] == "jumps.gif" and jumps[3:5] == ["2601.0", "41.0"] and jumps[-2:] == ["-", "1.00"]
    assert frozen[-1] == "-", "a still has no seam"


@pytest.mark.slow
def test_nothing_to_measure_is_one_sentence(tmp_path: Path) -> None:
    for options, sentence in (
        ([str(tmp_path)], "holds no clip that can be read"),
        ([str(tmp_path / "lost")], "Name a folder of clips"),
        ([str(tmp_path), "--frames", "1"], "2 frames or more"),
    ):
        done = measure(*options)
        assert done.returncode == 1 and sentence in done.stderr and done.stderr.count("\n") == 1
