"""What went wrong, as a toast on the page. Knows nothing of what was tried."""

import html
from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from huvidpo.ui.events import Changes

STOPPED = "Stopped."  # what is said after Cancel


@contextmanager
def toasts() -> Iterator[None]:
    """Turns what a person can act on (ValueError, a full disk) into a toast; anything else stays an error of ours.

    Gradio shows the text of a toast as HTML, and messages quote what people typed: so it is escaped.
    """
    try:
        yield
    except gr.Error:  # which is a ValueError, and a toast already
        raise
    except ValueError as error:
        raise gr.Error(html.escape(str(error)), title="That did not work", print_exception=False) from error
    except OSError as error:
        reason = html.escape(error.strerror or str(error))
        message = f"A file could not be read or written: {reason}."
        raise gr.Error(message, title="That did not work", print_exception=False) from error


def told(steps: Iterator[Changes], reason: gr.State) -> Iterator[Changes]:
    """Passes the steps of a handler on; what ends them as a toast stays in `reason`.

    Gradio tells a failure's handler nothing, and takes a cancelled run for a failed one: from `reason` it knows which
    it was. Who starts a run puts STOPPED into it.
    """
    try:
        with toasts():
            yield from steps
    except gr.Error as error:
        yield {reason: html.unescape(error.message)}
        raise
