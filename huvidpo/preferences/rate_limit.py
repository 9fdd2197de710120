"""How often one visitor, or all of them together, may do something. Knows no pairs."""

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from threading import RLock

SEATS = 10_000  # visitors that are remembered, the latest ones


class RateLimit:
    """At most `most` actions of one visitor in `seconds`."""

    def __init__(self, most: int, seconds: float, clock: Callable[[], float] = time.monotonic):
        self.most, self.seconds, self.clock = most, seconds, clock
        self._times: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = RLock()

    def check(self, visitor: str) -> None:
        """Counts one action. ValueError when it is one too many."""
        with self._lock:
            times = self._times.setdefault(visitor, deque())
            self._times.move_to_end(visitor)
            if len(self._times) > SEATS:
                self._times.popitem(last=False)
            now = self.clock()
            while times and times[0] <= now - self.seconds:
                times.popleft()
            if len(times) >= self.most:
                wait = math.ceil(times[0] + self.seconds - now)
                raise ValueError(f"That was a lot at once; please go on in {wait} s.")
            times.append(now)
