"""Ctrl-C during long work: it ends after the step under way. Knows nothing of what the work is."""

import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from types import FrameType
from typing import TypeVar

Kind = TypeVar("Kind")


def until_interrupted(records: Iterator[Kind]) -> Iterator[Kind]:
    """The same records; Ctrl-C ends them after the one under way, so that nothing learned is lost.

    Raises KeyboardInterrupt then, when `records` has been closed, and at once at a second Ctrl-C.
    """
    asked = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        print("\nEnding after this step; what was learned is kept. Ctrl-C again ends at once.", file=sys.stderr)

    before = signal.signal(signal.SIGINT, note)
    try:
        with closing(records):
            for record in records:
                yield record
                if asked:
                    break
    finally:
        signal.signal(signal.SIGINT, before)
    if asked:
        raise KeyboardInterrupt
