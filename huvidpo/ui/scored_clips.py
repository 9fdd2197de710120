"""A wall of clips to score from 0 to 10. Knows nothing of where they come from nor of what happens to the scores."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from huvidpo.ui.widgets import served

SCRIPT = Path(__file__).with_name("scored_clips.js")


def scored_clips(elem_id: str) -> gr.HTML:
    """The wall, empty. Its value comes from `scored_value`; its event `scores` has the set and one score a clip."""
    return gr.HTML(
        scored_value("", [], ""),
        html_template=(
            '<p class="empty" role="status"></p><ul class="scored"></ul>'
            '<button type="button" class="scored-go" hidden></button>'
        ),
        js_on_load=SCRIPT.read_text(encoding="utf-8"),
        elem_id=elem_id,
    )


def scored_value(name: str, clips: Sequence[Path], note: str) -> dict[str, Any]:
    """What the wall shows: a set of clips under a name that only this visitor was told, and a sentence."""
    cards = [{"clip": served(clip), "name": f"Clip {place}"} for place, clip in enumerate(clips, start=1)]
    return {"set": name, "clips": cards, "note": note}
