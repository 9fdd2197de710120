"""Measures of clips whose figures are known: patterns that travel, levels by hand, an independent SSIM."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, uniform_filter

from huvidpo.evaluation.metrics import (
    METRICS,
    colourfulness,
    consecutive_ssim,
    consistency,
    flicker,
    image_fidelity,
    is_dynamic,
    is_still,
    motion_magnitude,
    pair_mse,
    pixel_metrics,
    psnr,
    seam,
    smoothness,
    wrapped_mse,
)
from huvidpo.video import read_frames, write_mp4


def texture(side: int) -> np.ndarray:
    """A smooth periodic grey pattern, uint8 (side side)."""
    noise = gaussian_filter(np.random.default_rng(0).random((side, side)), side / 24, mode="wrap")
    return (255 * (noise - noise.min()) / np.ptp(noise)).astype(np.uint8)


def rolling(side: int, step: int, frames: int = 5) -> np.ndarray:
    """The pattern moving right by `step` pixels a frame: uint8 (f h w 3)."""
    clip = np.stack([np.roll(texture(side), step * i, axis=1) for i in range(frames)])
    return np.repeat(clip[..., None], 3, axis=-1)


def test_a_still_does_not_move() -> None:
    assert motion_magnitude(rolling(96, 0)) == 0


@pytest.mark.parametrize("side, step", [(96, 1), (96, 2), (96, 4), (192, 4)])
def test_a_travelling_pattern_has_its_speed(side: int, step: int) -> None:
    """`step` of `side` pixels a frame are 100 * step / side percent, whatever the size."""
    assert motion_magnitude(rolling(side, step)) == pytest.approx(100 * step / side, rel=0.1)


def test_the_longer_side_counts_and_direction_does_not() -> None:
    """The upper half of 128 x 64 pixels: 2 pixels a frame are 100 * 2 / 128 percent, to the right or downward."""
    wide = rolling(128, 2)[:, :64]
    assert motion_magnitude(wide) == pytest.approx(100 * 2 / 128, rel=0.15)
    assert motion_magnitude(wide.swapaxes(1, 2)) == pytest.approx(motion_magnitude(wide), rel=0.05)


def test_one_frame_cannot_move() -> None:
    with pytest.raises(ValueError, match="at least two of them"):
        motion_magnitude(rolling(32, 1, frames=1))


def noisy(frames: int = 6, height: int = 24, width: int = 32) -> np.ndarray:
    """Frames of coloured noise, uint8 (f h w 3)."""
    return np.random.default_rng(1).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


def frozen(frames: int = 16) -> np.ndarray:
    """One picture, repeated."""
    return np.repeat(noisy(1), frames, axis=0)


def windowed_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """Equation 13 of Wang et al. 2004 for one channel, from means of the 7x7 pixels around each inner one."""

    def local_mean(values: np.ndarray) -> np.ndarray:
        return uniform_filter(values, 7)[3:-3, 3:-3]

    x, y = x.astype(float), y.astype(float)
    mean_x, mean_y, unbiased = local_mean(x), local_mean(y), 49 / 48
    var_x, var_y = (unbiased * (local_mean(a * a) - m * m) for a, m in ((x, mean_x), (y, mean_y)))
    both = unbiased * (local_mean(x * y) - mean_x * mean_y)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    above = (2 * mean_x * mean_y + c1) * (2 * both + c2)
    return float((above / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))).mean())


def test_ssim_is_that_of_the_paper_channel_by_channel() -> None:
    clip = noisy()
    expected = [windowed_ssim(a[..., c], b[..., c]) for a, b in pairwise(clip) for c in range(3)]
    assert consecutive_ssim(clip) == pytest.approx(100 * np.mean(expected), abs=1e-6)


def test_mse_by_hand_and_what_eight_bits_make_of_it() -> None:
    """From 100 to 116: (-16)^2 = 256, and 256 modulo 256 = 0. From 116 to 113: 3^2 = 9. Means: 132.5 and 4.5."""
    clip = np.stack([np.full((8, 8, 3), level, np.uint8) for level in (100, 116, 113)])
    assert pair_mse(clip).tolist() == [256, 9]
    assert wrapped_mse(clip) == 4.5


def test_the_wrapped_figure_is_the_true_one_modulo_256() -> None:
    clip = noisy().astype(int)
    assert wrapped_mse(noisy()) == pytest.approx(np.mean(np.diff(clip, axis=0) ** 2 % 256))


def test_flicker_by_hand() -> None:
    """Levels 0, 51, 51: mean absolute differences 51 and 0, so 1 - 25.5 / 255 = 90 %."""
    clip = np.stack([np.full((8, 8, 3), level, np.uint8) for level in (0, 51, 51)])
    assert flicker(clip) == pytest.approx(90)


def test_colourfulness_by_hand() -> None:
    """Half (100, 0, 0), half black: red-green 100 and 0, yellow-blue 50 and 0; spreads and means are 50 and 25."""
    picture = np.zeros((4, 4, 3), np.uint8)
    picture[:2, :, 0] = 100
    assert colourfulness(picture) == pytest.approx(1.3 * np.hypot(50, 25))
    assert colourfulness(np.full((4, 4, 3), 77, np.uint8)) == 0


def test_the_seam_is_the_first_step_as_a_multiple_of_all() -> None:
    """Steps of 6, 2, 2 levels: squares 36, 4, 4 with mean 44/3, so 36 * 3 / 44."""
    clip = np.stack([np.full((8, 8, 3), level, np.uint8) for level in (10, 16, 18, 20)])
    assert seam(clip) == pytest.approx(108 / 44)
    assert seam(frozen()) is None


def test_a_frozen_clip_is_known_even_after_a_codec(tmp_path: Path) -> None:
    assert is_still(frozen())
    picture = np.repeat(rolling(96, 0, frames=1), 16, axis=0)
    assert is_still(read_frames(write_mp4(picture, tmp_path / "x.mp4", 8))[0])
    assert not is_still(rolling(64, 1))
    streak = np.full((16, 320, 512, 3), 90, np.uint8)  # a thing of 2 x 80 pixels that crosses an eighth of the picture
    for i, frame in enumerate(streak):
        frame[200:202, 100 + 4 * i : 180 + 4 * i] = 250
    assert not is_still(streak) and not is_still(read_frames(write_mp4(streak, tmp_path / "streak.mp4", 8))[0])
    almost = frozen()
    almost[9:] = 255 - almost[9:]  # one cut
    assert not is_still(almost)
    collapsed = frozen()
    collapsed[0] = 255 - collapsed[0]  # the given picture, then another one for ever
    assert is_still(collapsed)
    slow = np.stack([np.roll(texture(192), i, axis=1) for i in range(48)])[..., None].repeat(3, axis=-1)
    assert pair_mse(slow).max() < 50 and not is_still(slow), "a slow pan is none"


@pytest.mark.parametrize("change", [lambda i: 5 * (-1) ** i, lambda i: 2 * i, lambda i: 8 if i == 5 else 0])
def test_flicker_and_fading_are_no_motion(change) -> None:
    """Else a clip that stands still and flickers would pass for one that moves."""
    picture = texture(96)[..., None].repeat(3, axis=-1).astype(float)
    flickering = np.stack([(0.8 * picture + 20 + change(i)).clip(0, 255) for i in range(16)]).astype(np.uint8)
    moving = rolling(96, 1)
    assert motion_magnitude(flickering) < 0.1 * motion_magnitude(moving)
    assert not is_dynamic(flickering)
    lit = (0.7 * moving + np.arange(len(moving))[:, None, None, None]).astype(np.uint8)
    assert motion_magnitude(lit) == pytest.approx(motion_magnitude(moving), rel=0.1)


def test_a_frozen_clip_wins_what_rewards_stillness_and_never_moves() -> None:
    found = pixel_metrics(frozen())
    assert found == {
        "ssim": 100,
        "mse": 0,
        "wrapped_mse": 0,
        "motion": 0,
        "dynamic": 0,
        "still": 100,
        "flicker": 100,
        "smoothness": 100,
    }


@pytest.mark.parametrize("step, dynamic", [(1, False), (2, False), (4, True)])
def test_dynamic_is_six_pixels_where_the_shorter_side_has_256(step: int, dynamic: bool) -> None:
    """A pattern of 96 pixels: 6/256 of it are 2.25 pixels a frame."""
    assert is_dynamic(rolling(96, step, frames=8)) is dynamic


def test_dynamic_needs_a_quarter_of_the_frames() -> None:
    """16 frames need 4 pairs that move: three quick steps among stills are not enough."""
    moving = rolling(96, 4, frames=16)
    assert not is_dynamic(moving[[0, 1, 2, 3] + [3] * 12])
    assert is_dynamic(moving[[0, 1, 2, 3, 4] + [4] * 11])


def test_what_travels_evenly_is_smoother_than_what_jumps() -> None:
    """Frame 1 halfway between 0 and 2, or back where it started before it jumps on."""
    even = rolling(96, 2, frames=7)
    jumping = even[[0, 0, 2, 2, 4, 4, 6]]
    assert smoothness(even) > 99 > smoothness(jumping)
    assert smoothness(even[:2]) is None


def test_consistency_by_hand() -> None:
    """Vectors at 0, 60 and 120 degrees: frame 1 has 0.5 and 0.5, frame 2 has -0.5 (as 0) and 0.5: (0.5 + 0.25) / 2."""
    angles = np.radians([0, 60, 120])
    assert consistency(np.stack([np.cos(angles), np.sin(angles)], axis=1)) == pytest.approx(37.5)


def test_fidelity_to_the_picture_by_hand() -> None:
    """Picture at 60 degrees; frames at 0, 60, 60: highest 1, neighbours 0.5 and 1: 0.4 + 0.3 * 0.75 + 0.3 * 0.5."""
    angles = np.radians([0, 60, 60])
    found = image_fidelity(np.stack([np.cos(angles), np.sin(angles)], axis=1), np.array([0.5, np.sqrt(0.75)]))
    expected = {"image_fidelity": 77.5, "image_highest": 100, "image_mean": 75, "image_lowest": 50}
    assert found == pytest.approx(expected)


def test_psnr_by_hand() -> None:
    """Off by 5 levels everywhere: 10 log10(255^2 / 25) = 34.15 dB; by 1 level, 48.13 dB."""
    image = np.full((16, 16, 3), 100, np.uint8)
    assert psnr(image + np.uint8(5), image) == pytest.approx(34.1514, abs=1e-3)
    assert psnr(image + np.uint8(1), image) == pytest.approx(48.13, abs=0.01) and psnr(image, image) == 100


def test_every_measured_name_is_explained() -> None:
    assert set(pixel_metrics(rolling(48, 1))) <= set(METRICS)
    assert all(metric.better in ("higher", "lower", "") for metric in METRICS.values())
