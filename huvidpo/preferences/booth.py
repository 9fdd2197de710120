"""The pair that each visitor has open: drawn, answered, undone, all on the server. Knows no page and no network.

A browser only ever learns left and right. What it sends back is compared with the open pair before it counts: nothing
of it is believed but the choice itself, and that only once, and only after the clips had time to play.
"""

import math
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from threading import RLock
from typing import Any

from huvidpo.preferences.rate_limit import SEATS, RateLimit
from huvidpo.preferences.records import SEGMENTS, Answers, Pair, Rating, TakeRecord, new_id
from huvidpo.preferences.selection import Showing, draw_side, next_showing
from huvidpo.preferences.store import RatingStore

CHOICES = ("left", "right", "both_good", "both_bad")
QUESTIONS = ("alignment", "quality", "consistency")
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


@dataclass
class Seat:
    """What is remembered of one visitor."""

    showing: OpenPair | None = None
    done: str = ""  # the last showing that was answered
    last_rating: str = ""  # that can still be undone
    skipped: set[str] = field(default_factory=set)
    empty_at: int = -1  # how many pairs there were when none was left for this visitor


class Booth:
    """All open pairs of a page. `draw(rater, skipped)` says which pair a visitor gets next; None leaves it to chance
    and to what there is to learn: `selection.next_showing`.
    """

    def __init__(
        self,
        store: RatingStore,
        draw: Callable[[str, set[str]], Showing | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.store, self.clock = store, clock
        self.draw = draw or (lambda rater, skipped: next_showing(store, rater, leave_out=skipped))
        self.limit = RateLimit(40, 60, clock)
        self.crowd = RateLimit(1200, 60, clock)  # whoever calls itself a new visitor each time meets this one
        self._seats: OrderedDict[str, Seat] = OrderedDict()
        self._signed_in: OrderedDict[str, set[str]] = OrderedDict()  # browser -> who did there
        self._lock = RLock()

    def open(self, visitor: Visitor) -> OpenPair | None:
        """The visitor's open pair, the same after a reload; else the next one; None when there is none left."""
        with self._lock:
            seat = self._seat(visitor)
            if seat.showing is None and seat.empty_at != (pairs := self.store.counts().pairs):
                drawn = self.draw(visitor.rater, seat.skipped | self._answered_otherwise(visitor))
                seat.showing = self._show(drawn.pair, drawn.left_is, drawn.is_repeat) if drawn else None
                seat.empty_at = -1 if drawn else pairs
            return seat.showing

    def arrive(self, visitor: Visitor) -> None:
        """Begins a visit: what was skipped in the one before may come again."""
        with self._lock:
            seat = self._seat(visitor)
            seat.skipped.clear()
            seat.empty_at = -1

    def can_undo(self, visitor: Visitor) -> bool:
        """Whether there is a last rating of this visit."""
        with self._lock:
            return bool(self._seat(visitor).last_rating)

    def rate(self, visitor: Visitor, sent: object) -> tuple[Rating, OpenPair]:
        """Keeps the answer that a browser sent on the open pair, and closes it; on the disk when this returns.

        ValueError, and nothing has changed, when it does not fit the pair, comes too early, too often, or again.
        """
        with self._lock:
            showing = self._expected(visitor, sent)
            rating = rating_of(showing, visitor, sent, self.clock() - showing.opened)
            if not rating.supersedes:  # who took an answer back has seen the names
                rating = replace(rating, supersedes=self.store.taken_back(showing.pair.pair_id, visitor.rater))
            self.limit.check(visitor.rater)
            self.crowd.check("everyone")
            self.store.append(rating)
            seat = self._seat(visitor)
            seat.showing, seat.done, seat.last_rating = None, showing.showing_id, rating.rating_id
            seat.skipped.discard(showing.pair.pair_id)
            return rating, showing

    def skip(self, visitor: Visitor, sent: object) -> None:
        """Puts the open pair aside for this visit. ValueError when it is another one."""
        with self._lock:
            showing = self._expected(visitor, sent)
            self.limit.check(visitor.rater)
            self.pass_over(visitor, showing)

    def pass_over(self, visitor: Visitor, showing: OpenPair) -> None:
        """The same without being asked, for a pair that cannot be shown."""
        with self._lock:
            seat = self._seat(visitor)
            seat.showing = None
            if not showing.supersedes:
                seat.skipped.add(showing.pair.pair_id)

    def undo(self, visitor: Visitor, sent: Mapping[str, Any]) -> OpenPair:
        """Takes the last rating back and opens its pair again, sides drawn anew.

        ValueError when there is none, or when it is not the last one of the page that asks: of two pages of one
        visitor the other may have rated since.
        """
        with self._lock:
            seat = self._seat(visitor)
            if not seat.last_rating:
                raise ValueError("There is nothing to undo.")
            if sent.get("showing") not in ("", seat.done, seat.showing and seat.showing.showing_id):
                raise ValueError("You have rated another pair since, on another page; it is among your ratings below.")
            self.limit.check(visitor.rater)
            rating = self.store.rating(seat.last_rating)
            self.store.withdraw(seat.last_rating, visitor.rater)
            seat.last_rating = ""
            seat.showing = self._show(rating.pair, draw_side(), rating.is_repeat)
            return seat.showing

    def change(self, visitor: Visitor, rating_id: object) -> OpenPair:
        """Opens the pair of one of the visitor's ratings again; the old answer counts until there is a new one."""
        with self._lock:
            rating = self._own(visitor, rating_id)
            self.limit.check(visitor.rater)
            seat = self._seat(visitor)
            seat.showing = self._show(rating.pair, draw_side(), rating.is_repeat, rating.rating_id)
            return seat.showing

    def withdraw(self, visitor: Visitor, rating_id: object) -> None:
        """Takes one of the visitor's ratings back. ValueError when it is not theirs."""
        with self._lock:
            rating = self._own(visitor, rating_id)
            self.limit.check(visitor.rater)
            self.store.withdraw(rating.rating_id, visitor.rater)
            seat = self._seat(visitor)
            if seat.last_rating == rating.rating_id:
                seat.last_rating = ""
            if seat.showing and seat.showing.supersedes == rating.rating_id:
                seat.showing = None

    def put(self, visitor: Visitor, pair: Pair) -> OpenPair:
        """Opens a certain pair, such as the one that the visitor just had made."""
        with self._lock:
            self._seat(visitor).showing = self._show(pair, draw_side())
            return self._seat(visitor).showing

    def _answered_otherwise(self, visitor: Visitor) -> set[str]:
        """Pairs that a visitor answered before signing in, or signed in before signing out; taken back or not."""
        if visitor.before:
            self._signed_in.setdefault(visitor.before, set()).add(visitor.rater)
            if len(self._signed_in) > SEATS:
                self._signed_in.popitem(last=False)
        others = [visitor.before] if visitor.before else self._signed_in.get(visitor.rater, ())
        return {pair_id for rater in others for pair_id in self.store.answered_pairs(rater)}

    def _show(self, pair: Pair, left_is: str, is_repeat: bool = False, supersedes: str = "") -> OpenPair:
        return OpenPair(secrets.token_hex(8), pair, left_is, self.clock(), is_repeat, supersedes)

    def _seat(self, visitor: Visitor) -> Seat:
        seat = self._seats.setdefault(visitor.rater, Seat())
        self._seats.move_to_end(visitor.rater)
        if len(self._seats) > SEATS:
            self._seats.popitem(last=False)
        return seat

    def _expected(self, visitor: Visitor, sent: object) -> OpenPair:
        """The open pair, when it is the one that a browser's message is about."""
        name = sent.get("showing") if isinstance(sent, Mapping) else None
        seat = self._seat(visitor)
        if seat.showing and name == seat.showing.showing_id:
            return seat.showing
        if name and name == seat.done:
            raise ValueError("This pair is already rated; undo the rating to change it.")
        raise ValueError("This pair is no longer open; here is the one that is.")

    def _own(self, visitor: Visitor, rating_id: object) -> Rating:
        for rating in self.store.ratings(rater=visitor.rater):
            if rating.rating_id == rating_id:
                return rating
        raise ValueError("This rating is not one of yours, or it is gone already.")


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
    values = {question: (given or {}).get(question, 0) for question in QUESTIONS}
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
