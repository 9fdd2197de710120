"""Waiting for what another thread or process does: a test that waits in vain fails, and does not hang."""

import time
from collections.abc import Callable

PATIENCE = 60.0  # seconds


def until(condition: Callable[[], object]) -> None:
    """Returns once the condition holds; AssertionError after PATIENCE."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)
