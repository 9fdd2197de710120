"""The pair that each visitor has open: drawn, answered, undone, all on the server. Knows no page and no network.

What a browser sends back is compared with the open pair before it counts, and counts once.
"""

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from threading import RLock
from typing import Any

from huvidpo.preferences.open_pair import OpenPair, Visitor, rating_of
from huvidpo.preferences.rate_limit import SEATS, RateLimit
from huvidpo.preferences.records import Pair, Rating
from huvidpo.preferences.selection import Showing, draw_side, next_showing
from huvidpo.preferences.store import RatingStore


@dataclass
class Seat:
    """What is remembered of one visitor."""

    showing: OpenPair | None = None
    done: str = ""  # the last showing that was answered
    last_rating: str = ""  # that can still be undone
    skipped: set[str] = field(default_factory=set)  # pairs that come again once no others are left
    once_skipped: set[str] = field(default_factory=set)
    unfit: set[str] = field(default_factory=set)  # pairs that cannot be shown
    category: str = ""  # whose pairs the visitor wants; "" is all
    empty_at: int = -1  # how many pairs there were when none was left for this visitor


class Booth:
    """All open pairs of a page. `draw(rater, category, without)` says which pair a visitor gets next; without it
    chance does, and what there is to learn for `backbone`: `selection.next_showing`.
    """

    def __init__(
        self,
        store: RatingStore,
        draw: Callable[[str, str, set[str]], Showing | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        backbone: str | None = None,
    ):
        self.store, self.clock = store, clock
        self.draw = draw or (
            lambda rater, category, without: next_showing(store, rater, category or None, without, backbone=backbone)
        )
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
                drawn = self._drawn(visitor, seat)
                seat.showing = self._show(drawn.pair, drawn.left_is, drawn.is_repeat) if drawn else None
                if drawn and drawn.pair.pair_id in seat.once_skipped:
                    seat.showing = replace(seat.showing, was_skipped=True)
                seat.empty_at = -1 if drawn else pairs
            return seat.showing

    def choose(self, visitor: Visitor, category: str) -> None:
        """From now on the visitor gets pairs of one action; "" is of all."""
        with self._lock:
            seat = self._seat(visitor)
            seat.category, seat.empty_at = category, -1
            if seat.showing and category not in ("", seat.showing.pair.category):
                seat.showing = None

    def wanted(self, visitor: Visitor) -> str:
        """The action whose pairs the visitor chose; "" is all."""
        with self._lock:
            return self._seat(visitor).category

    def arrive(self, visitor: Visitor) -> None:
        """Begins a visit: what was skipped in the one before may come again."""
        with self._lock:
            seat = self._seat(visitor)
            seat.skipped.clear()
            seat.once_skipped.clear()
            seat.unfit.clear()
            seat.category, seat.empty_at = "", -1

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
        """Closes the open pair at its visitor's wish until no others are left. ValueError when it is another one."""
        with self._lock:
            showing = self._expected(visitor, sent)
            self.limit.check(visitor.rater)
            seat = self._seat(visitor)
            seat.showing = None
            if not showing.supersedes:
                seat.skipped.add(showing.pair.pair_id)
                seat.once_skipped.add(showing.pair.pair_id)

    def mark_unfit(self, visitor: Visitor, showing: OpenPair) -> None:
        """Closes a pair that cannot be shown; this visit does not get it again."""
        with self._lock:
            seat = self._seat(visitor)
            seat.showing = None
            seat.unfit.add(showing.pair.pair_id)

    def undo(self, visitor: Visitor, sent: Mapping[str, Any]) -> OpenPair:
        """Takes the last rating back and opens its pair again, sides drawn anew, with the marks that were set.

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
            seat.showing = self._again(rating)
            return seat.showing

    def change(self, visitor: Visitor, rating_id: object) -> OpenPair:
        """Opens the pair of one of the visitor's ratings again; the old answer counts until there is a new one."""
        with self._lock:
            rating = self._own(visitor, rating_id)
            self.limit.check(visitor.rater)
            seat = self._seat(visitor)
            seat.showing = replace(self._again(rating), supersedes=rating.rating_id)
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

    def _drawn(self, visitor: Visitor, seat: Seat) -> Showing | None:
        """The next pair; one that was skipped only when there is no other."""
        leave_out = seat.unfit | self._answered_otherwise(visitor)
        drawn = self.draw(visitor.rater, seat.category, leave_out | seat.skipped)
        if drawn is None and seat.skipped:
            seat.skipped.clear()
            drawn = self.draw(visitor.rater, seat.category, leave_out)
        return drawn

    def _answered_otherwise(self, visitor: Visitor) -> set[str]:
        """Pairs that a visitor answered before signing in, or signed in before signing out; taken back or not."""
        if visitor.before:
            self._signed_in.setdefault(visitor.before, set()).add(visitor.rater)
            if len(self._signed_in) > SEATS:
                self._signed_in.popitem(last=False)
        others = [visitor.before] if visitor.before else self._signed_in.get(visitor.rater, ())
        return {pair_id for rater in others for pair_id in self.store.answered_pairs(rater)}

    def _show(self, pair: Pair, left_is: str, is_repeat: bool = False) -> OpenPair:
        return OpenPair(secrets.token_hex(8), pair, left_is, self.clock(), is_repeat)

    def _again(self, rating: Rating) -> OpenPair:
        """The pair of one of the visitor's own answers, sides drawn anew."""
        return replace(self._show(rating.pair, draw_side(), rating.is_repeat), earlier=rating)

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
