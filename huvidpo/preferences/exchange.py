"""Ratings from other programs' files, which may come from anyone; `export` writes them. Knows no network.

HuViDPO's `[{"video": ..., "score": ...}]`, CSV or JSON lists of pairs, or a folder with one of these inside.
"""

import hashlib
import json
import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from huvidpo.categories import check_prompt, find_category
from huvidpo.preferences.clips import record_of
from huvidpo.preferences.new_pairs import BEST_SCORE, preference_of_scores
from huvidpo.preferences.rating_tables import read_table, table_in
from huvidpo.preferences.records import PREFERENCES, Pair, Rating, TakeRecord, new_pair
from huvidpo.preferences.store import RatingStore
from huvidpo.video import CLIP_SUFFIXES, read_frames, read_metadata, write_mp4

MAX_FRAMES = 400
# What a table of pairs may call its columns; the first name is this program's own.
COLUMNS = {
    "video_a": ("video_a", "video1", "left_video", "path_a", "chosen"),
    "video_b": ("video_b", "video2", "right_video", "path_b", "rejected"),
    "prompt": ("prompt", "caption"),
    "preference": ("preference", "vote_type", "overall", "label"),
    "rater": ("rater", "rater_id", "annotator", "annotator_id", "worker_id", "user_id"),
}
# What it may call the answers, in small letters.
ANSWERS = {
    "a": ("a", "leftvote", "left", "1", "first", "chosen"),
    "b": ("b", "rightvote", "right", "2", "second"),
    "tie_good": ("tie_good", "tievote", "tie", "same", "0.5"),
    "tie_bad": ("tie_bad", "bothbad_vote", "bothbad", "both_bad"),
}


@dataclass(frozen=True)
class Imported:
    """What an import brought."""

    pairs: int
    ratings: int
    known: int = 0  # that were here already: of this store, or of the same file imported before


def import_ratings(
    store: RatingStore,
    path: Path,
    rater: str,
    category: str,
    prompt: str = "",
    all_pairs: bool = False,
    draw: random.Random | None = None,
) -> Imported:
    """Takes over the ratings in a CSV, JSON or JSONL file, or in the only such file of a folder.

    Videos are looked for beside the file. `category` and `prompt` stand where the file has none; scored clips (0 to
    10) are paired at random, each once, or all with all. Raises ValueError with one sentence, which names the row, for
    the first thing that is wrong: then no rating is taken over.
    """
    path = table_in(path)
    rows = read_table(path)
    check_columns(path, rows[0])
    clips = Clips(store, path.parent)
    if "score" in rows[0]:
        found = scored(clips, rows, named(category), prompt, rater, all_pairs, draw or random.Random(0))
    else:
        found = compared(clips, rows, category, prompt, rater, f"{path.resolve().parent.name}/{path.name}")
    ratings = {rating.rating_id: rating for rating in found}
    known = store.known(ratings)
    before = len(store.pairs())
    for rating in ratings.values():
        if rating.rating_id not in known:
            store.add_pair(rating.pair)
            store.append(rating)
    return Imported(len(store.pairs()) - before, len(ratings) - len(known), len(known))


def check_columns(path: Path, row: Mapping) -> None:
    """ValueError, with the names that there are, for a table of neither scored clips nor pairs."""
    pairs = all({*COLUMNS[side]} & row.keys() for side in ("video_a", "video_b"))
    if not (pairs or "pair_id" in row or {"video", "score"} <= row.keys()):
        raise ValueError(
            f"{path} needs the columns video_a, video_b and preference, or video and score, named in its first line; "
            f"it has: {', '.join(map(str, row))[:200]}."
        )


class Clips:
    """The clips that a table names, in a folder that none of them may leave; each is kept once."""

    def __init__(self, store: RatingStore, folder: Path):
        self.store, self.folder = store, folder.resolve()
        self.kept: dict[Path, TakeRecord] = {}

    def keep(self, name: object, prompt: str, category: str) -> TakeRecord:
        """The record of the clip called `name`, its file in the store. ValueError when there is no such clip here."""
        if not isinstance(name, str) or not name.strip():
            raise ValueError("a video is not named")
        path = (self.folder / name).resolve()
        if not path.is_relative_to(self.folder):
            raise ValueError(f"the video {name[:200]!r} lies outside of the folder of the file")
        if path.suffix.lower() not in CLIP_SUFFIXES or not path.is_file():
            raise ValueError(f"there is no video {name[:200]!r}")
        if path not in self.kept:
            self.kept[path] = keep_clip(self.store, path, prompt, category)
        return self.kept[path]


def keep_clip(store: RatingStore, path: Path, prompt: str, category: str) -> TakeRecord:
    """Keeps a clip from anywhere: one of this program's files as it is, any other written anew.

    Written anew it plays in every browser, and what else a file may carry (places, names, other tracks) stays out.
    Raises ValueError when it is not readable, or too long.
    """
    frames, fps = read_frames(path, max_frames=MAX_FRAMES + 1)
    if not 2 <= len(frames) <= MAX_FRAMES:
        raise ValueError(f"{path.name} must have 2 to {MAX_FRAMES} frames")
    settings = read_metadata(path) if path.suffix.lower() == ".mp4" else {}
    if isinstance(settings.get("huvidpo"), str):
        return record_of(store, path, frames, fps, settings)
    with tempfile.TemporaryDirectory(dir=store.folder) as folder:
        written = write_mp4(frames, Path(folder) / "clip.mp4", fps)
        return record_of(store, written, frames, fps, {"prompt": prompt, "category": category})


def scored(
    clips: Clips, rows: Sequence[Mapping], category: str, prompt: str, rater: str, all_pairs: bool, draw: random.Random
) -> Iterator[Rating]:
    """Ratings of pairs of scored clips: the higher score is preferred, equal scores are a tie."""
    prompt = check_prompt(prompt or find_category(category).motion_prompt)
    scores: dict[str, tuple[TakeRecord, float]] = {}
    for number, row in enumerate(rows, 1):
        with naming(number):
            take = clips.keep(row.get("video"), prompt, category)
            scores[take.sha256] = take, score_of(row.get("score"))
    takes = list(scores.values())
    if len(takes) < 2:
        raise ValueError("Scores need at least two different clips.")
    draw.shuffle(takes)
    pairs = list(combinations(takes, 2)) if all_pairs else list(zip(takes[::2], takes[1::2], strict=False))
    for (a, score_a), (b, score_b) in pairs:
        pair = new_pair(a, b, prompt, category, "scores", "independent")
        yield rating_from_file(pair, preference_of_scores(score_a, score_b), rater, score_a, score_b)


def compared(
    clips: Clips, rows: Sequence[Mapping], category: str, prompt: str, rater: str, file: str
) -> Iterator[Rating]:
    """Ratings of pairs as a table says them; of a chosen/rejected table the first is always preferred.

    Rows of several people are theirs: of whom a column names, else the first, second ... of each pair in that `file`.
    A row of an export of this store is the rating that it has already; one that names the pair alone, any of it.
    """
    there = {rating.pair.pair_id: rating for rating in clips.store.ratings()}
    times: Counter[str] = Counter()
    known = clips.store.known(str(row.get("rating_id")) for row in rows)
    for number, row in enumerate(rows, 1):
        if "rating_id" not in row and (own := there.get(str(row.get("pair_id")))):
            yield own
            continue
        with naming(number):
            own_category = named(str(row.get("category") or category))
            own_prompt = str(column(row, "prompt") or prompt or find_category(own_category).motion_prompt)
            own_prompt = check_prompt(own_prompt)
            takes = [clips.keep(column(row, f"video_{side}"), own_prompt, own_category) for side in "ab"]
            pair = new_pair(*takes, own_prompt, own_category, "import", "independent")
            person = column(row, "rater") or f"{file} {times[pair.pair_id]}"
            times[pair.pair_id] += 1
            rating = rating_from_file(pair, preference_of(row), somebody_of(rater, str(person)))
            own_id = str(row.get("rating_id"))
            yield replace(rating, rating_id=own_id) if own_id in known else rating


def named(category: str) -> str:
    """The name of a category; ValueError when it is unknown, or nothing names one."""
    if not category:
        raise ValueError("No category is named: give it with --category")
    return find_category(category).name


def somebody_of(rater: str, person: str) -> str:
    """The id of one of the people whose answers `rater` imports."""
    return hashlib.sha256(f"{rater} {person}".encode()).hexdigest()[:16]


def rating_from_file(pair: Pair, preference: str, rater: str, score_a: float = -1.0, score_b: float = -1.0) -> Rating:
    """A rating that nobody gave on the page. Which side was on the left is not known: chance says it.

    Its id follows from what it says, so that the same file brings nothing new a second time.
    """
    left_is = "a" if int(pair.pair_id, 16) % 2 else "b"
    said = json.dumps([pair.pair_id, rater, preference, score_a, score_b])
    rating_id = hashlib.sha256(said.encode()).hexdigest()[:32]
    return Rating(rating_id, pair, preference, left_is, rater, "import", score_a=score_a, score_b=score_b)


def number_of(value: object) -> float:
    """A number in a row, also with the decimal comma of many countries. ValueError for anything else."""
    return float(str(value).replace(",", "."))


def label_of(value: object) -> float:
    """A label in a row, a number. ValueError for anything else."""
    try:
        return number_of(value)
    except ValueError as error:
        raise ValueError(f"the label {str(value)[:80]!r} is not a number") from error


def preference_of(row: Mapping) -> str:
    """The answer in a row. ValueError for one that nobody knows."""
    if "label_a" in row and "label_b" in row and not row.get("preference"):
        first, second = (label_of(row[name]) for name in ("label_a", "label_b"))
        return "a" if first > second else "b" if second > first else "tie_good"
    said = column(row, "preference")
    if said in (None, "") and "chosen" in row and "rejected" in row:
        return "a"
    for preference, words in ANSWERS.items():
        if str(said).strip().lower() in words:
            return preference
    raise ValueError(f"the preference {str(said)[:80]!r} is none of {', '.join(PREFERENCES)}")


@contextmanager
def naming(number: int) -> Iterator[None]:
    """Says in which row something is wrong."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise ValueError(f"Row {number}: {str(error).rstrip('.')}. Nothing was imported.") from error


def score_of(value: object) -> float:
    """A score from 0 to 10. ValueError for anything else."""
    try:
        score = number_of(value)
    except ValueError:
        score = -1.0
    if not 0 <= score <= BEST_SCORE:
        raise ValueError(f"the score {str(value)[:80]!r} is not from 0 to {BEST_SCORE}")
    return score


def column(row: Mapping, name: str) -> object:
    """The value of the first column that may be meant."""
    return next((row[known] for known in COLUMNS[name] if row.get(known) not in (None, "")), None)
