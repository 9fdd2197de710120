"""Measures of one clip or picture: pure functions of pixels, or of vectors of them. Knows no models, files or takes.

VBench is Huang et al. 2024 (arXiv 2311.17982), VBench-I2V its part for clips that continue a picture
(arXiv 2411.13503). Its figures are given here in percent. Where it needs a network of its own for pixels (RAFT, AMT),
the stand-in is named: such figures compare with each other and not with VBench's leaderboard.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.ndimage import uniform_filter
from skimage.color import rgb2gray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from skimage.registration import optical_flow_ilk
from skimage.transform import resize, warp

FLOW_SIDE = 48  # pixels of the longer side that flow is estimated at
MAX_FLOW = 25.0  # percent of the longer side in one frame: faster than that, flow cannot be told from noise
# No frame of a still differs from frame 1 by more than 3 levels, and nowhere in it by more than 7 over so many pixels,
# as small things may move: H.264 alone makes 1 to 2, and up to 4.
STILL_MSE, STILL_PART_MSE, STILL_PART = 9.0, 50.0, 16
SSIM_WINDOW = 7  # pixels, uniform weights
SMOOTH_SIDE = 128  # pixels of the longer side at which frames are interpolated


@dataclass(frozen=True)
class Metric:
    """What a number of a report means."""

    title: str
    better: str  # "higher" or "lower"; "" where neither is
    about: str  # one sentence: what, of what, in which unit
    digits: int = 1
    share: bool = False  # of clips, in percent: each clip has 0 or 100


METRICS: dict[str, Metric] = {
    "clip_score": Metric(
        "CLIPScore",
        "higher",
        "100 x cosine of frame and prompt, mean over frames; Hessel et al. 2021 without their 2.5.",
    ),
    "ssim": Metric("SSIM", "higher", "Consecutive frames, x 100; rewards stillness."),
    "mse": Metric("MSE", "lower", "Consecutive frames, squared levels of 255; rewards stillness."),
    "wrapped_mse": Metric(
        "8-bit MSE", "lower", "As MSE, overflowing as 8-bit numbers do: most likely what the paper's table shows."
    ),
    "motion": Metric("Motion", "", "Mean optical flow, percent of the longer side a frame.", 2),
    "dynamic": Metric(
        "Dynamic degree", "", "Percent of clips that VBench's rule calls dynamic (other flow).", share=True
    ),
    "still": Metric("Frozen", "lower", "Percent of clips that stand still.", share=True),
    "flicker": Metric("Flicker", "higher", "VBench: 100 is no change of any pixel; rewards stillness."),
    "smoothness": Metric(
        "Smoothness",
        "higher",
        "VBench's, with optical flow for AMT: how well odd frames follow from their neighbours.",
    ),
    "subject_consistency": Metric("Subject", "higher", "VBench: likeness of frames to the first and the one before."),
    "background_consistency": Metric("Background", "higher", "The same with image vectors of CLIP."),
    "image_fidelity": Metric("I2V fidelity", "higher", "VBench-I2V: 0.4 highest + 0.3 mean + 0.3 lowest of the next."),
    "image_highest": Metric("I2V highest", "higher", "Likeness of the likest frame to the given picture."),
    "image_mean": Metric("I2V mean", "higher", "Mean likeness of consecutive frames."),
    "image_lowest": Metric("I2V lowest", "higher", "Lowest likeness of consecutive frames."),
    "first_frame_psnr": Metric("First frame", "higher", "Frame 0 against the given picture, PSNR in dB, at most 100."),
    "seam": Metric("Seam", "lower", "MSE of frames 0 and 1 over the mean of all pairs: 1 is no seam.", 2),
    "action_seen": Metric(
        "Action seen", "higher", "Percent of clips whose action the judge names from motion alone.", share=True
    ),
}


def consecutive_ssim(frames: np.ndarray) -> float:
    """Mean SSIM x 100 of consecutive frames, uint8 (f h w 3): -100 .. 100, 100 is a still.

    Wang et al. 2004 as `skimage.metrics.structural_similarity` has it: window of 7x7 pixels with uniform weights,
    sample covariance, data range 255, mean over red, green and blue. Raises ValueError for fewer than two frames.
    """
    check_clip(frames)
    pairs = [
        structural_similarity(first, second, win_size=SSIM_WINDOW, data_range=255, channel_axis=-1)
        for first, second in pairwise(frames)
    ]
    return 100 * float(np.mean(pairs))


def pair_mse(frames: np.ndarray) -> np.ndarray:
    """Mean squared difference of each two consecutive frames, uint8 (f h w 3) -> (f-1,), in squared levels of 255.

    Raises ValueError for fewer than two frames.
    """
    check_clip(frames)
    return np.array([np.mean((second.astype(np.float64) - first) ** 2) for first, second in pairwise(frames)])


def wrapped_mse(frames: np.ndarray) -> float:
    """`np.mean((a - b) ** 2)` of consecutive frames left as uint8 (f h w 3), where 16 squared is 0 and not 256.

    Not a distance. It is here because the paper's table has numbers of this size and order, and true MSE has not.
    """
    check_clip(frames)
    return float(np.mean([np.mean((first - second) ** 2) for first, second in pairwise(frames)]))


def is_still(frames: np.ndarray) -> bool:
    """Whether a clip stands still: frame 1 repeated, everywhere in the picture, up to what a video codec adds.

    Frame 0 is given and not generated: a model that has stopped moving may leave it for another picture, and stay.
    """
    check_clip(frames)
    second, others = frames[1].astype(np.float64), frames[2:] if len(frames) > 2 else frames[:1]
    changes = [((frame - second) ** 2).mean(axis=2) for frame in others]
    most = max(change.mean() for change in changes)
    return bool(most <= STILL_MSE and max(uniform_filter(x, STILL_PART).max() for x in changes) <= STILL_PART_MSE)


def flicker(frames: np.ndarray) -> float:
    """VBench's temporal flickering in percent, (255 - mean absolute difference of consecutive frames) / 255."""
    check_clip(frames)
    changes = [np.abs(second.astype(np.float64) - first).mean() for first, second in pairwise(frames)]
    return 100 * (255 - float(np.mean(changes))) / 255


def seam(frames: np.ndarray) -> float | None:
    """MSE of frames 0 and 1 as a multiple of the mean over all pairs; None for a clip that stands still.

    Frame 0 is given and the others are generated: above 1 the step between them shows.
    """
    errors = pair_mse(frames)
    return None if is_still(frames) else float(errors[0] / errors.mean())


def psnr(picture: np.ndarray, true: np.ndarray) -> float:
    """PSNR in dB of uint8 pictures or clips of equal shape; at most 100, for equal ones."""
    if np.array_equal(picture, true):
        return 100.0
    return min(100.0, float(peak_signal_noise_ratio(true, picture, data_range=255)))


def motion_magnitude(frames: np.ndarray) -> float:
    """How much a clip moves: uint8 (f h w 3) -> mean length of optical flow, in percent of the longer side per frame.

    0 is a still. A pattern that travels its own frame's width in 20 frames has 5. The flow is the iterative
    Lucas-Kanade estimate (Le Besnerais and Champagnat 2005, `skimage.registration.optical_flow_ilk`) between every two
    neighbours, with the longer side at 48 pixels, averaged over pixels and frames. It takes brightness as constant, so
    every frame is given the mean and the contrast of the first: a picture that only flickers or fades does not move.
    Raises ValueError for fewer than two frames.
    """
    return float(np.mean(flow_lengths(frames)))


def is_dynamic(frames: np.ndarray, lengths: np.ndarray | None = None) -> bool:
    """VBench's dynamic degree of one clip at 8 frames a second, uint8 (f h w 3): does it move, yes or no?

    A pair of frames moves when the mean flow of the fastest 5 % of its pixels is above 6 pixels where the shorter side
    has 256; a clip is dynamic when at least 4 of 16 frames do. VBench takes RAFT's flow and this one Lucas-Kanade's at
    a small size, which knows no small and fast things. `lengths` are its flow_lengths, where they are known.
    """
    lengths = flow_lengths(frames) if lengths is None else lengths
    height, width = frames.shape[1:3]
    threshold = 100 * 6 / 256 * min(height, width) / max(height, width)  # percent of the longer side
    pixels = np.sort(lengths.reshape(len(lengths), -1), axis=1)
    fastest = pixels[:, -max(1, round(0.05 * pixels.shape[1])) :].mean(axis=1)
    return bool((fastest > threshold).sum() >= max(1, round(4 * len(frames) / 16)))


def flow_lengths(frames: np.ndarray) -> np.ndarray:
    """Lengths of the flow between neighbours at a small size: uint8 (f h w 3) -> (f-1 h' w'), see motion_magnitude."""
    check_clip(frames)
    small = evenly_lit(shrunk_grey(frames, FLOW_SIDE))
    flows = (optical_flow_ilk(first, second, radius=7, num_warp=3) for first, second in pairwise(small))
    return np.stack([np.minimum(np.hypot(*flow) * 100 / FLOW_SIDE, MAX_FLOW) for flow in flows])


def smoothness(frames: np.ndarray) -> float | None:
    """VBench's motion smoothness in percent, with optical flow in the place of AMT, whose weights are not free.

    Every odd frame is dropped and interpolated from its neighbours: the flow between them, each warped half of the
    way, averaged. The figure is (255 - mean absolute error) / 255, of brightness with the longer side at 128 pixels.
    None for fewer than three frames.
    """
    check_clip(frames)
    small = shrunk_grey(frames, SMOOTH_SIDE)
    errors = [
        np.abs(between(before, after) - true).mean()
        for before, true, after in zip(small[:-2:2], small[1:-1:2], small[2::2], strict=True)
    ]
    return 100 * (1 - float(np.mean(errors))) if errors else None


def between(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The frame halfway between two grey ones (h w) of 0..1."""
    flow = optical_flow_ilk(before, after, radius=7, num_warp=3)  # before(x) = after(x + flow)
    rows, columns = np.meshgrid(*map(np.arange, before.shape), indexing="ij")
    halves = [
        warp(image, np.stack([rows + share * flow[0], columns + share * flow[1]]), mode="edge")
        for image, share in ((before, -0.5), (after, 0.5))
    ]
    return (halves[0] + halves[1]) / 2


def consistency(vectors: np.ndarray) -> float:
    """VBench's subject and background consistency in percent, from unit vectors of the frames (f d).

    The mean over frames 1.. of (cosine to the first frame + cosine to the frame before) / 2, negative ones as 0.
    VBench takes vectors of DINO ViT-B/16 for the subject and of CLIP ViT-B/32 for the background.
    """
    to_first, to_before = vectors[1:] @ vectors[0], (vectors[1:] * vectors[:-1]).sum(axis=1)
    return 100 * float(np.mean((to_first.clip(0) + to_before.clip(0)) / 2))


def image_fidelity(vectors: np.ndarray, image: np.ndarray) -> dict[str, float]:
    """VBench-I2V's i2v_subject in percent and its parts, from unit vectors of frames (f d) and of the picture (d).

    0.4 times the highest cosine of any frame with the picture, 0.3 times the mean and 0.3 times the lowest cosine of
    consecutive frames. The first part is 100 for whoever keeps frame 0, so the parts are given too.
    """
    neighbours = (vectors[1:] * vectors[:-1]).sum(axis=1).clip(0)
    parts = (float((vectors @ image).clip(0).max()), float(neighbours.mean()), float(neighbours.min()))
    whole = 0.4 * parts[0] + 0.3 * parts[1] + 0.3 * parts[2]
    names = ("image_fidelity", "image_highest", "image_mean", "image_lowest")
    return {name: 100 * value for name, value in zip(names, (whole, *parts), strict=True)}


def colourfulness(picture: np.ndarray) -> float:
    """How vivid a picture, uint8 (h w 3), looks; 0 is grey. The simplest measure of Hasler and Suesstrunk 2003."""
    red, green, blue = np.moveaxis(picture.astype(float), -1, 0)
    opponents = (red - green, (red + green) / 2 - blue)
    spread, shift = (np.hypot(*(what(part) for part in opponents)) for what in (np.std, np.mean))
    return float(spread + 0.3 * shift)


def pixel_metrics(frames: np.ndarray) -> dict[str, float]:
    """All that pixels alone say of a clip, uint8 (f h w 3), by the names of METRICS; ValueError for one frame."""
    lengths = flow_lengths(frames)
    found = {
        "ssim": consecutive_ssim(frames),
        "mse": float(pair_mse(frames).mean()),
        "wrapped_mse": wrapped_mse(frames),
        "motion": float(np.mean(lengths)),
        "dynamic": 100.0 * is_dynamic(frames, lengths),
        "still": 100.0 * is_still(frames),
        "flicker": flicker(frames),
        "smoothness": smoothness(frames),
        "seam": seam(frames),
    }
    return {name: value for name, value in found.items() if value is not None}


def shrunk_grey(frames: np.ndarray, longer_side: int) -> list[np.ndarray]:
    """Brightness in 0..1, each (h w), the longer side at that many pixels, the shorter at 8 or more."""
    scale = longer_side / max(frames.shape[1:3])
    size = [max(8, round(scale * side)) for side in frames.shape[1:3]]
    return [resize(rgb2gray(frame), size, anti_aliasing=scale < 1).astype(np.float32) for frame in frames]


def evenly_lit(frames: list[np.ndarray]) -> list[np.ndarray]:
    """Brightness (h w) of frames with the mean and the standard deviation of the first one."""
    mean, deviation = frames[0].mean(), frames[0].std()
    return [(frame - frame.mean()) * (deviation / max(frame.std(), 1e-3)) + mean for frame in frames]


def check_clip(frames: np.ndarray) -> None:
    """ValueError unless these are frames (f h w 3), at least two of them."""
    if frames.ndim != 4 or len(frames) < 2:
        raise ValueError(f"Motion is measured on frames (f h w 3), at least two of them, not on {frames.shape}.")
