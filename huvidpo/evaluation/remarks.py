"""What is missing from an evaluation, or unlike the rest, in sentences. Knows counts and titles only."""

from collections import Counter
from collections.abc import Mapping, Sequence

FPS = 8.0  # frames a second that dynamic degree takes for granted, see metrics.is_dynamic
SAME_FPS = 0.05  # relative difference up to which a frame rate is the same: a GIF counts in hundredths of a second


def missing_sentence(title: str, problem: str, names: Sequence[str]) -> str:
    """Which clips a system lacks, and why."""
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"{title}: no figures for {shown}. {problem}"


def shape_sentences(shapes: Mapping[str, Counter[tuple[int, ...]]]) -> list[str]:
    """A sentence for every kind of clip that is not the usual one: figures of pixels do not compare across sizes.

    `shapes` are title -> (f, h, w, 3) -> count.
    """
    every = sum(shapes.values(), Counter())
    if len(every) < 2:
        return []
    frames, height, width, _ = usual = every.most_common(1)[0][0]
    return [
        f"{title}: {count} clips have {shape[0]} frames of {shape[2]}x{shape[1]} pixels, most others {frames} of "
        f"{width}x{height}; SSIM, MSE and flicker depend on that."
        for title, counts in shapes.items()
        for shape, count in counts.items()
        if shape != usual
    ]


def fps_sentences(rates: Mapping[str, Counter[float]]) -> list[str]:
    """A sentence for every other frame rate than FPS, which all measures between frames depend on.

    `rates` are title -> frames a second -> count.
    """
    return [
        f"{title}: {count} clips have {fps:.4g} frames a second and not {FPS:g}: their frames are nearer in time or "
        "farther apart, so motion, dynamic degree, SSIM and MSE do not compare."
        for title, counts in rates.items()
        for fps, count in counts.items()
        if abs(fps - FPS) > SAME_FPS * FPS
    ]


def sentence_of(error: Exception) -> str:
    """What went wrong, in one sentence; a library's own words where we have none."""
    if isinstance(error, ValueError):
        return str(error)
    first_line = str(error).strip().partition("\n")[0]
    return f"It ended with {type(error).__name__}: {first_line[:300]}"
