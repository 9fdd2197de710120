"""What handlers of the page have in common: what they return, and how Gradio sends their events."""

from typing import Any

Changes = dict[Any, Any]  # component -> its new value or settings
QUIET = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
LATEST = {**QUIET, "trigger_mode": "always_last"}  # of quick choices the last one counts; else those in between do
# Gradio shows toasts of queued events only; one event must never wait behind another.
SPOKEN = {**QUIET, "queue": True, "concurrency_limit": None}
# Of a button that cancels a run, which ends with the step under way: only then does Gradio send that button's event
# again, and tell its `failure`.
STOPPING = {**QUIET, "js": "() => 'Stopping …'"}
