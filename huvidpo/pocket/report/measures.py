"""What a report measures of pictures and clips. Pure numbers: knows no model and no file."""

import numpy as np
from skimage.color import rgb2gray, rgb2lab
from skimage.filters import laplace
from skimage.measure import block_reduce

PATCH = 8  # pixels that the autoencoder takes at once


def amount_of_motion(clip: np.ndarray) -> float:
    """Mean absolute change of brightness from frame to frame in levels of 255, uint8 (f h w 3).

    It is taken at half size, where motion is as large as before and fine noise is not.
    """
    small = block_reduce(rgb2gray(clip), (1, 2, 2), np.mean)
    return float(255 * np.abs(np.diff(small, axis=0)).mean())


def sharpness(frame: np.ndarray) -> float:
    """Mean absolute Laplacian of the brightness of a frame, uint8 (h w 3), in levels of 255."""
    return float(255 * np.abs(laplace(rgb2gray(frame))).mean())


def colour_drift(clip: np.ndarray) -> float:
    """How far the mean colour of the last frame is from that of the first, uint8 (f h w 3), in Delta E (CIE 1976).

    A difference of 2 to 3 is just noticed.
    """
    first, last = (rgb2lab(frame).mean(axis=(0, 1)) for frame in (clip[0], clip[-1]))
    return float(np.linalg.norm(last - first))


def grid_strength(picture: np.ndarray, true: np.ndarray) -> float:
    """How much more the error changes across the borders of patches than elsewhere, uint8 (h w 3) each.

    1 means that no grid is there; a picture whose patches do not meet has 2 and more.
    """
    error = picture.astype(float).mean(axis=2) - true.astype(float).mean(axis=2)
    steps = [np.abs(np.diff(error, axis=1)).mean(axis=0), np.abs(np.diff(error, axis=0)).mean(axis=1)]
    across = np.mean([step[PATCH - 1 :: PATCH].mean() for step in steps])
    elsewhere = np.mean([np.delete(step, np.s_[PATCH - 1 :: PATCH]).mean() for step in steps])
    return float(across / max(elsewhere, 1e-9))
