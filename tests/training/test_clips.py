"""Folders of clips as users have them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from huvidpo import video
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


def test_a_folder_s_caption_has_its_whole_name_and_a_byte_order_mark_is_no_word(tmp_path: Path) -> None:
    for name in ("horse", "horse.v2"):
        (tmp_path / name).mkdir()
        for i, frame in enumerate(frames(16, 40, 40)):
            Image.fromarray(frame).save(tmp_path / name / f"{i}.png")
    (tmp_path / "horse.txt").write_text("a red horse")
    (tmp_path / "horse.v2.txt").write_text("a green horse", encoding="utf-8-sig")
    assert [clip.prompt for clip in read_clips(tmp_path, "rain", 16, 32, 32)] == ["a red horse", "a green horse"]


def test_a_clip_is_held_at_the_model_s_size_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """20 frames of 96x64 take 368,640 bytes, of 32x32 61,440."""
    monkeypatch.setattr(video, "MAX_BYTES", 100_000)
    write_mp4(frames(20), tmp_path / "a.mp4", 60)
    write_gif(frames(20), tmp_path / "b.gif", 10)
    (tmp_path / "c").mkdir()
    for i, frame in enumerate(frames(20)):
        Image.fromarray(frame).save(tmp_path / "c" / f"{i}.png")
    clips = read_clips(tmp_path, "rain", 16, 32, 32)
    assert [clip.frames.shape for clip in clips] == [(20, 32, 32, 3)] * 3
    assert [clip.fps for clip in clips] == [60, 10, 8]
    for clip in ("a.mp4", "b.gif", "c"):
        with pytest.raises(ValueError, match="too long to hold in memory"):
            video.read_frames(tmp_path / clip)


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
