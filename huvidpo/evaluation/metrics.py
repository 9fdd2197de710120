"""Measures of one clip: pure functions of its frames. Knows no models, files or takes."""

from itertools import pairwise

import numpy as np
from skimage.color import rgb2gray
from skimage.registration import optical_flow_ilk
from skimage.transform import resize

FLOW_SIDE = 48  # pixels of the longer side that flow is estimated at
MAX_FLOW = 25.0  # percent of the longer side in one frame: faster than that, flow cannot be told from noise


def motion_magnitude(frames: np.ndarray) -> float:
    """How much a clip moves: uint8 (f h w 3) -> mean length of optical flow, in percent of the longer side per frame.

    0 is a still. A pattern that travels its own frame's width in 20 frames has 5. The flow is the iterative
    Lucas-Kanade estimate (Le Besnerais and Champagnat 2005, `skimage.registration.optical_flow_ilk`) between every two
    neighbours, with the longer side at 48 pixels, averaged over pixels and frames. Flicker counts a little too: flow
    takes brightness as constant. Raises ValueError for fewer than two frames.
    """
    if frames.ndim != 4 or len(frames) < 2:
        raise ValueError(f"Motion is measured on frames (f h w 3), at least two of them, not on {frames.shape}.")
    scale = FLOW_SIDE / max(frames.shape[1:3])
    size = [max(8, round(scale * side)) for side in frames.shape[1:3]]
    small = [resize(rgb2gray(frame), size, anti_aliasing=scale < 1).astype(np.float32) for frame in frames]
    flows = (optical_flow_ilk(first, second, radius=7, num_warp=3) for first, second in pairwise(small))
    lengths = [np.hypot(*flow) * 100 / FLOW_SIDE for flow in flows]
    return float(np.mean(np.minimum(lengths, MAX_FLOW)))
