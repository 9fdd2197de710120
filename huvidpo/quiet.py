"""The libraries below this one, without their loading bars or warnings for a while. Knows nothing of what they do."""

from collections.abc import Iterator
from contextlib import contextmanager

import diffusers.utils.logging
import transformers.utils.logging


@contextmanager
def without_bars() -> Iterator[None]:
    """No loading bars in the block; afterwards they are as they were, since whoever imports this may want theirs."""
    shown = [library for library in (diffusers, transformers) if library.utils.logging.is_progress_bar_enabled()]
    for library in shown:
        library.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        for library in shown:
            library.utils.logging.enable_progress_bar()


@contextmanager
def without_warnings() -> Iterator[None]:
    """No warnings of diffusers in the block, for where it gives one that is none."""
    before = diffusers.utils.logging.get_verbosity()
    diffusers.utils.logging.set_verbosity_error()
    try:
        yield
    finally:
        diffusers.utils.logging.set_verbosity(before)
