"""What a take, a pair and a rating are: frozen records and their rows. Knows nothing of files, stores or models.

A row is a flat dict for JSON and for the dataset on the Hub: every column always there, nothing null. Records are
checked when they are made, wherever they come from; what does not fit is a ValueError with one sentence.
"""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Self

from huvidpo.checks import check_choice, require
from huvidpo.preferences.fields import (
    check_fields,
    check_identifier,
    check_sha256,
    check_version,
    from_fields,
    mapping,
)

SCHEMA_VERSION = 1
PREFERENCES = ("a", "b", "tie_good", "tie_bad")
WITHDRAWN = "withdrawn"  # the preference of a row that takes a rating back
SEGMENTS = 4  # equal parts of a clip that can be judged one by one
SEGMENT_LABELS = ("a", "b", "tie", "-")  # "-" is not judged
ORIGINS = ("live", "queue", "upload", "scores", "import")
PAIRINGS = ("varied", "independent", "shared-noise", "aligned")
SPLITS = ("train", "measure")
MEASURE_SHARE = 0.2  # of all pairs; training never sees them
RATER_KINDS = ("anonymous", "huggingface", "owner", "import", "simulated")
# Pick-a-Pic's labels: 1 for the chosen side, one half each for a tie. -1 is no label.
LABELS = {"a": (1.0, 0.0), "b": (0.0, 1.0), "tie_good": (0.5, 0.5), "tie_bad": (0.5, 0.5), WITHDRAWN: (-1.0, -1.0)}


def new_id() -> str:
    """A name for a rating that no other has."""
    return uuid.uuid4().hex


def now() -> str:
    """This moment, UTC, ISO 8601, in milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class TakeRecord:
    """One clip and everything needed to make it again. Of an uploaded clip only what is known; the rest is "" or -1.

    The names are those of the settings inside a clip's file (`takes.clip_metadata`).
    """

    sha256: str  # of its mp4 file
    num_frames: int = -1
    width: int = -1
    height: int = -1
    fps: float = -1.0
    motion: float = -1.0  # mean optical flow, see evaluation.metrics.motion_magnitude; -1 is not measured
    prompt: str = ""
    negative_prompt: str = ""
    category: str = ""
    style: str = ""
    seed: int = -1
    shared_noise_seed: int = -1  # of the noise part that both takes of a pair share; -1 is none
    first_frame_sha256: str = ""  # of its pixels
    first_frame_model: str = ""  # dpo, base or upload
    first_frame_seed: int = -1
    first_frame_steps: int = -1  # 0 is the backbone's own number
    first_frame_guidance: float = -1.0  # -1 is the backbone's own, or not known
    source_sha256: str = ""  # of the clip that an aligned take started from
    source_strength: float = -1.0  # how much of that clip became noise, 0..1
    backbone: str = ""
    backbone_revision: str = ""
    adapter: str = ""  # "none" is without
    adapter_revision: str = ""
    recipe: str = ""
    steps: int = -1
    guidance: float = -1.0
    attention: str = ""
    fit: str = ""
    huvidpo: str = ""  # version of this code; "" for a clip that it did not make
    torch: str = ""
    diffusers: str = ""

    def __post_init__(self) -> None:
        check_fields(self)
        check_sha256("A take", self.sha256)
        if self.source_sha256:
            check_sha256("The source of an aligned take", self.source_sha256)

    @classmethod
    def from_settings(
        cls,
        settings: Mapping[str, Any],
        sha256: str,
        num_frames: int,
        width: int,
        height: int,
        fps: float,
        motion: float = -1.0,
    ) -> Self:
        """The record of a clip from the settings in its file; what they do not say stays unknown."""
        measured = {"num_frames": num_frames, "width": width, "height": height, "fps": fps, "motion": motion}
        return from_fields(cls, {**settings, **measured, "sha256": sha256})

    def settings(self) -> dict[str, Any]:
        """The settings that are known, under the names that `requests.request_from_metadata` reads."""
        return {name: value for name, value in vars(self).items() if value not in ("", -1)}


@dataclass(frozen=True)
class Pair:
    """Two takes to choose between. `a` and `b` are the order of making, never the sides of a screen."""

    pair_id: str
    prompt: str  # as the rater sees it
    category: str
    a: TakeRecord
    b: TakeRecord
    origin: str  # one of ORIGINS
    pairing: str  # one of PAIRINGS
    split: str  # one of SPLITS, for good
    first_frame: str = ""  # sha256 of the PNG file of the common first frame; "" when there is none
    paired_at: str = field(default_factory=now)  # UTC, ISO 8601, as all times here

    def __post_init__(self) -> None:
        check_fields(self)
        check_identifier("pair_id", self.pair_id)
        check_choice("origin", self.origin, ORIGINS)
        check_choice("pairing", self.pairing, PAIRINGS)
        check_choice("split", self.split, SPLITS)
        if self.first_frame:
            check_sha256("A first frame", self.first_frame)
        require(self.a.sha256 != self.b.sha256, "The two clips of a pair are one and the same file.")
        expected = pair_identity(self.a.sha256, self.b.sha256, self.prompt)
        require(self.pair_id == expected, f"The pair {self.pair_id} is not the one of its clips and its prompt.")

    def to_row(self) -> dict[str, Any]:
        """All columns of the pair; what people look for first stands also outside of the two takes."""
        row = dict(vars(self))
        for side in "ab":
            take = dict(vars(row.pop(side)))
            row |= {f"{name}_{side}": take[name] for name in ("sha256", "seed", "adapter", "motion")}
            row[f"take_{side}"] = take
        return row

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """The pair in a row; further columns are not looked at. ValueError for a row that is none."""
        takes = {side: from_fields(TakeRecord, mapping(row, f"take_{side}")) for side in "ab"}
        return from_fields(cls, {**row, **takes})


@dataclass(frozen=True)
class Answers:
    """The paper's three questions about one clip, 1 (worst) to 5 (best); 0 is not answered."""

    alignment: int = 0
    quality: int = 0
    consistency: int = 0

    def __post_init__(self) -> None:
        check_fields(self)
        for name, answer in vars(self).items():
            require(0 <= answer <= 5, f"The answer on {name} must be from 1 to 5, or 0 for none.")


@dataclass(frozen=True)
class Rating:
    """One person's answer on one pair, with the pair whole."""

    rating_id: str
    pair: Pair
    preference: str  # one of PREFERENCES
    left_is: str  # which take was shown on the left: "a" or "b"
    rater: str  # salted hash; never a name
    rater_kind: str = "anonymous"  # one of RATER_KINDS
    session: str = ""  # one load of the page
    segment_labels: tuple[str, ...] = ("-",) * SEGMENTS
    answers_a: Answers = Answers()
    answers_b: Answers = Answers()
    score_a: float = -1.0  # 0..10 in the published flow; -1 is none
    score_b: float = -1.0
    decision_ms: int = -1  # from both clips ready to the answer
    watched_seconds: float = -1.0
    plays: int = -1  # times that both clips were seen to their end
    is_repeat: bool = False  # asked a second time, sides swapped
    supersedes: str = ""  # rating_id of the same rater's rating that this one replaces
    created_at: str = field(default_factory=now)
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        check_fields(self)
        check_identifier("rating_id", self.rating_id)
        check_identifier("rater", self.rater)
        check_choice("preference", self.preference, PREFERENCES)
        check_choice("left_is", self.left_is, ("a", "b"))
        check_choice("rater_kind", self.rater_kind, RATER_KINDS)
        require(len(self.segment_labels) == SEGMENTS, f"A clip has {SEGMENTS} segments to label.")
        for label in self.segment_labels:
            check_choice("segment label", label, SEGMENT_LABELS)
        for score in (self.score_a, self.score_b):
            require(score == -1 or 0 <= score <= 10, f"A score is from 0 to 10, not {score:g}.")
        check_version(self.schema_version, SCHEMA_VERSION)

    def to_row(self) -> dict[str, Any]:
        """All columns, the pair's included."""
        row = dict(vars(self))
        pair = row.pop("pair")
        row |= {name: dict(vars(row[name])) for name in ("answers_a", "answers_b")}
        row["segment_labels"] = list(self.segment_labels)
        row["num_segments"] = SEGMENTS
        row["label_a"], row["label_b"] = LABELS[self.preference]
        return row | pair.to_row()

    def of(self, pair: Pair) -> Self:
        """The same rating of the same pair whose takes may be the other way round."""
        if pair.a.sha256 == self.pair.a.sha256:
            return replace(self, pair=pair)
        turned = {"a": "b", "b": "a"}
        choice, labels = turned.get(self.preference, self.preference), [turned.get(x, x) for x in self.segment_labels]
        said = {"preference": choice, "left_is": turned[self.left_is], "segment_labels": tuple(labels)}
        said |= {"answers_a": self.answers_b, "answers_b": self.answers_a}
        return replace(self, pair=pair, score_a=self.score_b, score_b=self.score_a, **said)

    @classmethod
    def from_row(cls, row: Mapping[str, Any], pair: Pair | None = None) -> Self:
        """The rating in a row; further columns are not looked at. ValueError for a row that is none.

        With `pair`, which is known then, the pair's columns are not needed.
        """
        answers = {f"answers_{side}": from_fields(Answers, mapping(row, f"answers_{side}")) for side in "ab"}
        return from_fields(cls, {**row, **answers, "pair": pair or Pair.from_row(row)})


@dataclass(frozen=True)
class Withdrawal:
    """A rater takes a rating back. Its row has a rating's columns, with `withdrawn` for a preference."""

    withdrawal_id: str
    rating_id: str  # of the rating that no longer counts
    pair: Pair
    rater: str
    created_at: str = field(default_factory=now)

    def __post_init__(self) -> None:
        check_fields(self)
        for name in ("withdrawal_id", "rating_id", "rater"):
            check_identifier(name, getattr(self, name))

    def to_row(self) -> dict[str, Any]:
        """The columns of a rating, with nothing said in them."""
        silent = Rating(
            self.withdrawal_id, self.pair, "a", "a", self.rater, supersedes=self.rating_id, created_at=self.created_at
        )
        label_a, label_b = LABELS[WITHDRAWN]
        return silent.to_row() | {"preference": WITHDRAWN, "left_is": "-", "label_a": label_a, "label_b": label_b}

    @classmethod
    def from_row(cls, row: Mapping[str, Any], pair: Pair | None = None) -> Self:
        """The withdrawal in a row, likewise. ValueError for a row that is none."""
        require(row.get("preference") == WITHDRAWN, "This row does not take a rating back.")
        names = {"withdrawal_id": row.get("rating_id"), "rating_id": row.get("supersedes")}
        return from_fields(cls, {**row, **names, "pair": pair or Pair.from_row(row)})


def record_from_row(row: Mapping[str, Any], pair: Pair | None = None) -> Rating | Withdrawal:
    """What a row of the dataset holds, of a known `pair` or of the one in the row.

    LaterRow for one of a later program, whatever it says; ValueError for one that holds neither.
    """
    version = row.get("schema_version", SCHEMA_VERSION)
    if type(version) is int:
        check_version(version, SCHEMA_VERSION)
    return Withdrawal.from_row(row, pair) if row.get("preference") == WITHDRAWN else Rating.from_row(row, pair)


def new_pair(
    a: TakeRecord, b: TakeRecord, prompt: str, category: str, origin: str, pairing: str, first_frame: str = ""
) -> Pair:
    """A pair of two takes; its identity and its split follow from what it is, wherever and however often made."""
    pair_id = pair_identity(a.sha256, b.sha256, prompt)
    # Clips of the scoring flow recur in many pairs, so none can be held out.
    split = "train" if origin == "scores" else draw_split(pair_id)
    return Pair(pair_id, prompt, category, a, b, origin, pairing, split, first_frame)


def pair_identity(sha256_a: str, sha256_b: str, prompt: str) -> str:
    """16 hex digits that do not depend on the order of the two files."""
    text = "\n".join([*sorted((sha256_a, sha256_b)), prompt])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def draw_split(pair_id: str) -> str:
    """`measure` for MEASURE_SHARE of all pairs: a draw that comes out the same for the same pair everywhere."""
    drawn = int.from_bytes(hashlib.sha256(f"split {pair_id}".encode()).digest()[:8]) / 2**64
    return "measure" if drawn < MEASURE_SHARE else "train"
