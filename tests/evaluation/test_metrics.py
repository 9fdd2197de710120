"""Motion of patterns whose motion is known."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from huvidpo.evaluation.metrics import motion_magnitude


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
