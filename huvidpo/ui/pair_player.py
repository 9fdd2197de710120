"""The two clips on the stage, in sync, with the answer's controls. Knows nothing of stores, visitors or takes.

The page gets a pair as left and right only. The browser's answers come back in the events `rate`, `skip` and `undo`;
`preferences.booth` believes none of them before it has compared them with the pair that is open on the server.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from huvidpo.ui.widgets import served

PARTS = [Path(__file__).with_name(name) for name in ("pair_clock.js", "pair_player.js")]
TEMPLATE = Path(__file__).with_name("pair_player.html")


@dataclass(frozen=True)
class Stage:
    """One pair as the page may know it."""

    id: str  # of this showing, drawn anew each time
    prompt: str
    left: Path  # mp4 files whose names say nothing
    right: Path
    frames: int
    fps: float
    width: int
    height: int
    note: str  # said when the pair comes on the stage
    marks: dict[str, Any] = field(default_factory=dict)  # set already, in the player's own words


@dataclass(frozen=True)
class Revealed:
    """What a vote uncovers: who was on which side."""

    id: str  # of the showing
    choice: str
    left: str
    right: str


def pair_player(elem_id: str, watching: bool = False) -> gr.HTML:
    """The component, empty. Its value comes from `player_value`; its template is constant: text enters as text.

    One for `watching` asks nothing, and shows at once what the value has under `names`: {"left": ..., "right": ...}.
    """
    return gr.HTML(
        player_value(None, note="One moment …"),
        html_template=TEMPLATE.read_text(encoding="utf-8"),
        js_on_load="\n".join(part.read_text(encoding="utf-8") for part in PARTS),
        elem_id=elem_id,
        watching=watching,
    )


def player_value(
    stage: Stage | None, revealed: Revealed | None = None, note: str = "", can_undo: bool = False, turn: str = ""
) -> dict[str, Any]:
    """What the player shows. `turn` differs from answer to answer, so that the browser notices each of them."""
    return {
        "showing": None if stage is None else vars(stage) | {"left": served(stage.left), "right": served(stage.right)},
        "revealed": None if revealed is None else vars(revealed),
        "note": note,
        "can_undo": can_undo,
        "turn": turn,
    }
