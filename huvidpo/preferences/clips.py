"""A clip's file into the store, with the record of what it is. Knows nothing of how clips are made."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from huvidpo.evaluation.metrics import motion_magnitude
from huvidpo.preferences.records import TakeRecord
from huvidpo.preferences.store import RatingStore


def record_of(
    store: RatingStore, path: Path, frames: np.ndarray, fps: float, settings: Mapping[str, object]
) -> TakeRecord:
    """Keeps a clip's file, of which `frames`, uint8 (f h w 3), are the content; its record, motion included."""
    count, height, width, _ = frames.shape
    motion = round(motion_magnitude(frames), 4) if count > 1 else -1.0
    return TakeRecord.from_settings(settings, store.keep_file(path), count, width, height, float(fps), motion)
