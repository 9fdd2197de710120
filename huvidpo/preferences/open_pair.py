"""A pair on one visitor's stage, and what a browser may say of it. Knows no page, no store.

A browser only ever learns left and right. Nothing of what it sends is believed but the choice itself, and that only
after the clips had time to play.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from huvidpo.preferences.records import SEGMENTS, Answers, Pair, Rating, TakeRecord, new_id

CHOICES = ("left", "right", "both_good", "both_bad")
A_DAY_MS = 86_400_000


@dataclass(frozen=True)
class Visitor:
    """Who rates, as far as the store may know."""

    rater: str  # salted hash
    kind: str = "anonymous"
    session: str = ""  # one load of the page
    before: str = ""  # the rater that this browser was before its visitor signed in; gets no pair a second time


@dataclass(frozen=True)
class OpenPair:
    """One pair on one visitor's stage."""

    showing_id: str  # a new one each time; the only name of it that the browser gets
    pair: Pair
    left_is: str  # "a" or "b"
    opened: float  # seconds of the clock
    is_repeat: bool = False
    supersedes: str = ""
    was_skipped: bool = False  # earlier in this visit
    earlier: Rating | None = None  # the visitor's own answer on it, which is to be given anew

    @property
    def left(self) -> TakeRecord:
        return getattr(self.pair, self.left_is)

    @property
    def right(self) -> TakeRecord:
        return getattr(self.pair, other(self.left_is))

    @property
    def seconds(self) -> float:
        """How long the clips play."""
        return self.left.num_frames / self.left.fps

    @property
    def marks(self) -> dict[str, Any]:
        """What the earlier answer said of the parts and the questions, in the words of a browser; {} without one."""
        if self.earlier is None:
            return {}
        said = {self.left_is: "left", other(self.left_is): "right", "tie": "tie", "-": "-"}
        answers = {said[take]: vars(getattr(self.earlier, f"answers_{take}")) for take in "ab"}
        return {"segments": [said[label] for label in self.earlier.segment_labels], "answers": answers}


def rating_of(showing: OpenPair, visitor: Visitor, sent: Mapping[str, Any], seconds: float) -> Rating:
    """The rating in what a browser sent `seconds` after the pair was opened. ValueError for anything unfit."""
    choice, segments = sent.get("choice"), sent.get("segments", ["-"] * SEGMENTS)
    if choice not in CHOICES:
        raise ValueError("Choose left, both good, both bad or right.")
    if sent.get("seen") != showing.left.num_frames or seconds < 0.9 * showing.seconds:
        raise ValueError("Please watch both clips to the end once, then choose.")
    labels = {"left": showing.left_is, "right": other(showing.left_is), "tie": "tie", "-": "-"}
    whole = isinstance(segments, list) and len(segments) == SEGMENTS
    if not whole or any(str(part) not in labels for part in segments):
        raise ValueError(f"Each of the {SEGMENTS} parts is better on the left, on the right, equal, or not judged.")
    answers = {labels[side]: answers_of(sent.get("answers"), side) for side in ("left", "right")}
    preference = {"both_good": "tie_good", "both_bad": "tie_bad"}.get(choice) or labels[choice]
    return Rating(
        rating_id=new_id(),
        pair=showing.pair,
        preference=preference,
        left_is=showing.left_is,
        rater=visitor.rater,
        rater_kind=visitor.kind,
        session=visitor.session,
        segment_labels=tuple(labels[part] for part in segments),
        answers_a=answers["a"],
        answers_b=answers["b"],
        decision_ms=round(clamped(sent.get("decision_ms"), A_DAY_MS)),
        watched_seconds=float(clamped(sent.get("watched"), A_DAY_MS / 1000)),
        plays=round(clamped(sent.get("plays"), 10_000)),
        is_repeat=showing.is_repeat,
        supersedes=showing.supersedes,
    )


def answers_of(sent: object, side: str) -> Answers:
    """The three questions' answers on one side; 0 for what was not answered."""
    given = sent.get(side) if isinstance(sent, Mapping) else None
    if given is not None and not isinstance(given, Mapping):
        raise ValueError("The answers to the three questions are damaged; reload the page.")
    values = {question: (given or {}).get(question, 0) for question in vars(Answers())}
    if any(type(value) is not int for value in values.values()):
        raise ValueError("The three questions are answered from 1 to 5.")
    return Answers(**values)


def clamped(value: object, most: float) -> float:
    """A number that a browser measured, 0..most; -1 for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return -1
    return min(max(value, 0), most)


def other(side: str) -> str:
    """The other take."""
    return "b" if side == "a" else "a"
