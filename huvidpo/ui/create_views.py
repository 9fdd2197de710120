"""What the tab Create shows of a run and of a finished clip. Knows nothing of how they come about."""

import gradio as gr

from huvidpo.ui.create_layout import HINT, CreateLayout
from huvidpo.ui.events import Changes
from huvidpo.ui.first_frames import signed
from huvidpo.ui.history import SavedTake, open_take
from huvidpo.ui.making import View
from huvidpo.ui.widgets import meter_value


def show(ui: CreateLayout, view: View) -> Changes:
    """Everything that a view changes on the page."""
    changes = show_progress(ui, view)
    if view.seed is not None:
        changes[ui.form["seed"]] = view.seed
    if view.first_frame:
        frame = view.first_frame
        changes[ui.form["picture"]] = signed(frame.image, frame.request, ui.preset.name)
        changes[ui.form["fit"]] = gr.Radio(visible=False)
        changes[ui.hint] = HINT
        changes[ui.comparison] = gr.Column(visible=False)
        changes |= {ui.video: None} | dict.fromkeys((ui.mp4, ui.gif), gr.DownloadButton(visible=False))
    return changes | (play(ui, open_take(view.take)) if view.take else {})


def show_progress(ui: CreateLayout, view: View) -> Changes:
    """How far a run is, and what can be pressed meanwhile."""
    buttons = (ui.make, ui.draw, ui.reroll, ui.compare)
    return {button: gr.Button(interactive=not view.busy) for button in buttons} | {
        ui.meter: meter_value(view.text, view.step, view.total),
        ui.cancel: gr.Button(visible=view.busy),
        ui.preview: gr.Image(view.preview, visible=view.preview is not None),
    }


def play(ui: CreateLayout, take: SavedTake, note: str = "", what: str = "") -> Changes:
    """A take on the stage, with what it is called: `what` stands before its seed, `note` behind."""
    gif = take.gif.is_file()
    return {
        ui.video: str(take.clip),
        ui.meter: meter_value(f"{what}{take.line}{note}"),
        ui.mp4: gr.DownloadButton(value=take.clip, visible=True),
        ui.gif: gr.DownloadButton(value=take.gif if gif else None, visible=gif),
    }
