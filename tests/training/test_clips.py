"""Folders of clips as users have them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from huvidpo.training.clips import EncodedClip, read_clips
from huvidpo.video import write_gif, write_mp4


def frames(count: int, width: int = 96, height: int = 64) -> np.ndarray:
    ramp = np.linspace(0, 255, width, dtype=np.uint8)
    return np.stack(
        [np.repeat(np.roll(ramp, 4 * i)[None, :, None], 3, axis=2).repeat(height, 0) for i in range(count)]
    )


def test_every_kind_of_clip_is_read_at_the_model_s_size(tmp_path: Path) -> None:
    write_mp4(frames(18), tmp_path / "a.mp4", 8)
    write_gif(frames(16, 64, 96), tmp_path / "b.gif", 8)
    (tmp_path / "c").mkdir()
    for i, frame in enumerate(frames(17, 40, 40)):
        Image.fromarray(frame).save(tmp_path / "c" / f"{i}.png")
    (tmp_path / "a.txt").write_text("a green horse runs\n")
    clips = read_clips(tmp_path, "horse run", 16, 32, 32)
    assert [clip.name for clip in clips] == ["a.mp4", "b.gif", "c"]
    assert [clip.prompt for clip in clips] == ["a green horse runs", "horse run", "horse run"]
    assert [clip.frames.shape for clip in clips] == [(18, 32, 32, 3), (16, 32, 32, 3), (17, 32, 32, 3)]


def test_a_short_clip_is_named(tmp_path: Path) -> None:
    write_mp4(frames(16), tmp_path / "good.mp4", 8)
    write_mp4(frames(15), tmp_path / "short.mp4", 8)
    with pytest.raises(ValueError, match=r"short\.mp4 has 15 frames; training needs 16"):
        read_clips(tmp_path, "rain", 16, 32, 32)


def test_a_broken_clip_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"not a video at all")
    with pytest.raises(ValueError, match=r"broken\.mp4"):
        read_clips(tmp_path, "rain", 16, 32, 32)


@pytest.mark.parametrize("folder", ["missing", "empty"])
def test_a_folder_without_clips_is_refused(tmp_path: Path, folder: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=folder):
        read_clips(tmp_path / folder, "rain", 16, 32, 32)


def test_windows_are_consecutive_and_half_of_them_mirrored() -> None:
    """Latents that hold their frame number, negative where mirrored: 20 frames have 5 windows of 16."""
    numbers = torch.arange(1.0, 21.0).view(20, 1, 1, 1).expand(20, 2, 4, 4)
    clip = EncodedClip(numbers, -numbers, torch.zeros(3, 4))
    generator = torch.Generator().manual_seed(0)
    windows = [clip.random_window(16, generator, mirror=True) for _ in range(200)]
    assert all(w.shape == (2, 16, 4, 4) and (w[0, :, 0, 0].abs().diff() == 1).all() for w in windows)
    assert {int(w.abs()[0, 0, 0, 0]) for w in windows} == {1, 2, 3, 4, 5}
    assert 0.4 < sum(bool(w[0, 0, 0, 0] < 0) for w in windows) / 200 < 0.6
    assert all((clip.random_window(16, generator, mirror=False) > 0).all() for _ in range(20))
