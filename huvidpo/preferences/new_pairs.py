"""Pairs out of clips that people bring, and out of scores of many clips. Knows neither models nor the page."""

import random
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from huvidpo.categories import check_prompt, find_category
from huvidpo.preferences.clips import record_of
from huvidpo.preferences.records import SEGMENTS, Pair, Rating, TakeRecord, new_id, new_pair
from huvidpo.preferences.selection import SHARED_ORIGINS, draw_side
from huvidpo.preferences.store import RatingStore
from huvidpo.video import read_frames, read_metadata, write_mp4

MOST_FRAMES = 64  # of an uploaded clip; what comes after is left out
MOST_PIXELS = 1024  # a side
FEWEST_SCORED, MOST_SCORED = 8, 16  # clips of the published flow
BEST_SCORE = 10  # scores begin at 0

Frames = np.ndarray  # uint8 (f h w 3)


def add_starter_pairs(store: RatingStore, folder: Path, backbone: str) -> int:
    """Keeps the pairs of a backbone that ship: NAME-a.mp4, NAME-b.mp4 and NAME.png, see examples/make_pairs.py.

    Only into a store without pairs of it, so that a new page has something to show; returns how many were added.
    """
    if store.outlines(backbone=backbone):
        return 0
    found = [file for file in sorted(folder.glob("*-a.mp4")) if read_metadata(file).get("backbone") == backbone]
    for first in found:
        files = [first, first.with_name(first.name.replace("-a.mp4", "-b.mp4"))]
        settings = [read_metadata(file) for file in files]
        a, b = (record_of(store, file, *read_frames(file), said) for file, said in zip(files, settings, strict=True))
        frame = store.keep_file(first.with_name(first.name.replace("-a.mp4", ".png")))
        prompt, category = str(settings[0]["prompt"]), str(settings[0]["category"])
        store.add_pair(new_pair(a, b, prompt, category, "queue", "varied", frame))
    return len(found)


def add_uploaded_pair(store: RatingStore, files: Sequence[str | Path | None], prompt: str, category: str) -> Pair:
    """Keeps two clips of anyone's as a pair. ValueError, with one sentence, for what cannot be a pair."""
    if len(files) != 2 or not all(files):
        raise ValueError("Choose two clips, one for each side.")
    find_category(category)
    prompt = check_prompt(prompt)
    first, second, fps = at_one_pace(*map(read_upload, files))
    if first.shape == second.shape and np.array_equal(first, second):
        raise ValueError("These two clips show the same; choose two that differ.")
    settings = {"prompt": prompt, "category": category, "first_frame_model": "upload"}
    takes = [keep_upload(store, frames, fps, settings) for frames in (first, second)]
    return store.add_pair(new_pair(*takes, prompt, category, "upload", "independent"))


def at_one_pace(first: tuple[Frames, float], second: tuple[Frames, float]) -> tuple[Frames, Frames, float]:
    """Two clips at the lower of their frames per second, as long as the shorter one, and that rate.

    They are watched on one clock, and a part of one is compared with the same part of the other.
    """
    both, fps = (first, second), min(first[1], second[1])
    count = max(SEGMENTS, round(min(len(frames) / rate for frames, rate in both) * fps))
    chosen = [
        frames[np.minimum((np.arange(count) * rate / fps).astype(int), len(frames) - 1)]
        for frames, rate in (first, second)
    ]
    return chosen[0], chosen[1], fps


def read_upload(file: str | Path) -> tuple[Frames, float]:
    """Frames and frames per second of a clip of anyone's, cut to what a pair may have."""
    first, _ = read_frames(file, 1)  # what is too large is not read whole
    if max(first.shape[1:3]) > MOST_PIXELS:
        raise ValueError(f"A clip may be {MOST_PIXELS} pixels a side; {Path(file).name} is larger: scale it down.")
    frames, fps = read_frames(file, MOST_FRAMES)
    if len(frames) < SEGMENTS:
        raise ValueError(f"A clip needs at least {SEGMENTS} frames; {Path(file).name} has {len(frames)}.")
    return frames, min(max(fps, 1.0), 60.0)


def keep_upload(store: RatingStore, frames: Frames, fps: float, settings: Mapping[str, Any]) -> TakeRecord:
    """Keeps pictures as a new file: of what the old one said about itself nothing is believed, so nothing is kept."""
    frames = frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2]  # H.264 has even sides
    with tempfile.TemporaryDirectory() as folder:
        return record_of(store, write_mp4(frames, Path(folder) / "take.mp4", fps, settings), frames, fps, settings)


def clips_to_score(
    store: RatingStore, category: str, backbone: str, draw: random.Random | None = None
) -> list[TakeRecord]:
    """Up to 16 different takes of a category and a backbone, by chance. ValueError when there are fewer than 8.

    Of pairs that everybody may see, and that are not kept for measuring: scores are trained on.
    """
    draw = draw or random.SystemRandom()
    known = store.outlines(find_category(category).name, backbone)
    outlines = [one for one in known if one.origin in SHARED_ORIGINS and one.split == "train"]
    takes: dict[str, TakeRecord] = {}
    for outline in draw.sample(outlines, min(len(outlines), MOST_SCORED)):
        pair = store.pair(outline.pair_id)
        takes |= {take.sha256: take for take in (pair.a, pair.b)}
    if len(takes) < FEWEST_SCORED:
        title = find_category(category).title
        raise ValueError(f"Of {title} only {len(takes)} clips are here; {FEWEST_SCORED} are needed, or drop your own.")
    return draw.sample(list(takes.values()), min(len(takes), MOST_SCORED))


def uploads_to_score(store: RatingStore, files: Sequence[str | Path] | None, category: str) -> list[TakeRecord]:
    """Takes from 8 to 16 files of anyone's."""
    if not FEWEST_SCORED <= len(files or []) <= MOST_SCORED:
        raise ValueError(f"Drop {FEWEST_SCORED} to {MOST_SCORED} clips at once, not {len(files or [])}.")
    for file in files:
        made_for = read_metadata(file).get("category", category)
        if made_for != category:
            name = Path(file).name
            raise ValueError(f"{name} was made for {made_for}, not {category}: leave it out, or choose its action.")
    settings = {"prompt": find_category(category).motion_prompt, "category": category, "first_frame_model": "upload"}
    takes = [keep_upload(store, *read_upload(file), settings) for file in files]
    if len({take.sha256 for take in takes}) < len(takes):
        raise ValueError("Two of these clips are the same; each may be there once.")
    return takes


def rate_by_scores(
    store: RatingStore,
    takes: Sequence[TakeRecord],
    scores: object,
    category: str,
    rater: str,
    rater_kind: str,
    session: str,
    draw: random.Random | None = None,
) -> list[Rating]:
    """Pairs the takes at random, each with two others, and keeps one rating for each pair: the higher score is better.

    The prompt is the category's own, as in HuViDPO (arXiv 2502.01690), where one prompt stands for all clips of a
    category. ValueError for anything but one number 0..10 for each take.
    """
    sound = isinstance(scores, list) and len(scores) == len(takes)
    if not sound or any(type(score) not in (int, float) or not 0 <= score <= BEST_SCORE for score in scores):
        raise ValueError(f"Score every clip from 0 to {BEST_SCORE}.")
    draw = draw or random.SystemRandom()
    given = {take.sha256: float(score) for take, score in zip(takes, scores, strict=True)}
    ring = draw.sample(takes, len(takes))
    prompt, ratings = find_category(category).motion_prompt, []
    for first, second in zip(ring, ring[1:] + ring[:1], strict=True):
        pair = store.add_pair(new_pair(first, second, prompt, category, "scores", "independent"))
        a, b = (given[take.sha256] for take in (pair.a, pair.b))
        said = (preference_of_scores(a, b), draw_side(draw), rater, rater_kind, session)
        ratings.append(Rating(new_id(), pair, *said, score_a=a, score_b=b))
        store.append(ratings[-1])
    return ratings


def preference_of_scores(a: float, b: float) -> str:
    """What two scores say of their clips: the higher one is better; equal ones are a tie, a good one from half up."""
    if a == b:
        return "tie_good" if a >= BEST_SCORE / 2 else "tie_bad"
    return "a" if a > b else "b"
