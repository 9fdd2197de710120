"""What each control of the tab Create does. Knows nothing of how a frame or a clip is made, nor of the layout."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from huvidpo.adapters import motion_notice
from huvidpo.backbones import LoadedBackbone
from huvidpo.memory import MODES, changeable_modes
from huvidpo.takes import FirstFrame
from huvidpo.ui.create_layout import EXAMPLE, HINT, CreateLayout
from huvidpo.ui.create_views import play, show, show_progress
from huvidpo.ui.events import LATEST, QUIET, SPOKEN, STOPPING, Changes
from huvidpo.ui.first_frames import read_made
from huvidpo.ui.history import SavedTake, Shelves, examples, open_takes, read_dropped
from huvidpo.ui.making import (
    ASKED,
    UNREADABLE,
    Form,
    View,
    compare_models,
    draw_first_frame,
    estimate,
    make_take,
    read_upload,
)
from huvidpo.ui.settings import KEPT, form_values, kept_values
from huvidpo.ui.toasts import STOPPED, toasts, told
from huvidpo.ui.turns import CountedRun
from huvidpo.ui.widgets import START, meter_value, picked, wall_value
from huvidpo.words import action_notice, notices


class CreateTab:
    """The tab, working. Every handler returns or yields the components that it changes."""

    def __init__(
        self,
        page: gr.Blocks,
        visitor: gr.BrowserState,
        backbone: LoadedBackbone,
        run: CountedRun,
        gpu_events: dict[str, Any],
    ):
        self.backbone, self.run, self.visitor = backbone, run, visitor
        self.shelves, self.examples = Shelves(), examples()
        memory = (backbone.memory, changeable_modes(backbone.memory, backbone.memory_modes()))
        self.ui = CreateLayout(backbone.preset, self.examples, *memory)
        self._wire(page, gpu_events)

    def _wire(self, page: gr.Blocks, gpu_events: dict[str, Any]) -> None:
        ui, form = self.ui, self.ui.form
        asked = [form[name] for name in ASKED]
        shown = [*asked, ui.meter, ui.preview, ui.video, ui.mp4, ui.gif, ui.make, ui.draw, ui.reroll, ui.compare]
        shown += [ui.reason, ui.hint, ui.cancel, ui.motion_note, ui.names, ui.history]
        shown += [ui.comparison, ui.slider, ui.compared]
        gpu = {"api_visibility": "private", "show_progress": "minimal", "show_progress_on": ui.meter, **gpu_events}
        runs = [
            gr.on(triggers, self.on_wait, None, shown, **QUIET).then(handler, inputs, shown, **gpu)
            for triggers, handler, inputs in (
                ([ui.make.click], self.on_make, [ui.names, self.visitor, *asked]),
                ([ui.draw.click, form["prompt"].submit], self.on_first_frame, asked),
                ([ui.reroll.click], self.on_reroll, asked),
                ([ui.compare.click], self.on_compare, asked),
            )
        ]
        for event in runs:
            event.failure(self.on_stop, ui.reason, shown, **QUIET)
        runs[-1].success(None, js="() => bringIntoView('#comparison')", **QUIET)
        ui.cancel.click(None, None, ui.cancel, cancels=runs, **STOPPING)
        for place, button in enumerate(ui.keep):
            button.click(partial(self.keep, place), ui.compared, shown, **SPOKEN)
        uploaded = form["picture"].upload(self.on_upload, form["picture"], shown, **QUIET)
        unreadable = {**QUIET, "queue": True}  # warnings need the queue
        uploaded.failure(self.on_unreadable, None, form["picture"], **unreadable)
        form["picture"].clear(self.on_clear, None, shown, **QUIET)
        # In the browser: an answer of the server would come over what is typed meanwhile.
        private = {"api_visibility": "private"}
        form["category"].input(None, [form["category"], form["prompt"]], form["prompt"], js="promptFor", **private)
        form["category"].change(None, form["category"], ui.chips, js="shownPrompts", **private)
        chosen, adapters = [form["category"], form["adapter"]], [form["adapter"], ui.motion_note]
        form["category"].input(self.on_category, form["category"], adapters, **LATEST)
        ui.tab.select(self.on_open, chosen, adapters, **QUIET)
        form["adapter"].input(self.motion_note, chosen, ui.motion_note, **LATEST)
        form["recipe"].input(lambda: (None, None), None, [form["steps"], form["guidance"]], **LATEST)  # its own
        form["recipe"].change(self.on_recipe, form["recipe"], [form["steps"], form["guidance"]], **LATEST)
        frame_numbers = [form["frame_steps"], form["frame_guidance"]]
        form["frame_model"].change(self.on_frame_model, form["frame_model"], frame_numbers, **LATEST)
        for chip in ui.chips:
            chip.click(None, chip, form["prompt"], js="words => words", **private)
        # Gradio shows toasts of queued events only.
        dropped = ui.file.upload(self.on_file, ui.file, [*shown, ui.file], **SPOKEN)
        dropped.failure(lambda: None, None, ui.file, **QUIET)  # what could not be read does not stay in the way
        ui.memory.input(self.on_memory, ui.memory, ui.meter, **SPOKEN)
        ui.history.pick(self.on_history, ui.names, shown, **SPOKEN)
        ui.wall.pick(self.on_example, None, shown, **SPOKEN)
        changed = [form[name].change for name in (*KEPT, "picture")]
        gr.on(changed, self.on_form, asked, [ui.estimate, ui.kept], **LATEST)
        words = [form["category"], form["prompt"], form["style"], form["negative_prompt"]]
        gr.on([box.change for box in words], self.on_words, words, ui.unknown, **LATEST)
        kept = [form[name] for name in KEPT]
        remembered = [ui.names, ui.history, ui.memory, ui.recalled, form["adapter"]]
        loaded = page.load(self.on_load, [ui.names, ui.kept], remembered, **QUIET)
        recalled = loaded.then(None, [ui.recalled, *kept], kept, js="unlessChanged", **private)
        recalled.then(self.on_form, asked, [ui.estimate, ui.kept], **QUIET)
        recalled.then(self.on_open, chosen, adapters, **QUIET)

    # Making

    def on_wait(self) -> Changes:
        """At once: the model may be busy for others, and then the queue is long silent."""
        begun = {self.ui.reason: STOPPED, self.ui.cancel: gr.Button("Cancel", visible=True)}
        return show_progress(self.ui, View(self.run.waiting())) | begun

    def on_make(self, names: object, visitor: object, *values: Any) -> Iterator[Changes]:
        yield from told(self.making(self.form(values), names, visitor), self.ui.reason)

    def on_first_frame(self, *values: Any) -> Iterator[Changes]:
        yield from told(self.drawing(self.form(values)), self.ui.reason)

    def on_reroll(self, *values: Any) -> Iterator[Changes]:
        yield from told(self.drawing(self.form(values), fresh=True), self.ui.reason)

    def on_compare(self, *values: Any) -> Iterator[Changes]:
        yield from told(self.comparing(self.form(values)), self.ui.reason)

    def making(self, form: Form, names: object, visitor: object) -> Iterator[Changes]:
        for view in make_take(self.run, form):
            yield show(self.ui, view) | (self.remember(view.take, names, visitor) if view.take else {})

    def drawing(self, form: Form, fresh: bool = False) -> Iterator[Changes]:
        for view in draw_first_frame(self.run, form, fresh):
            yield show(self.ui, view)

    def comparing(self, form: Form) -> Iterator[Changes]:
        frames: list[FirstFrame] = []
        for view in compare_models(self.run, form, ("base", "dpo")):
            frames += [view.first_frame] if view.first_frame else []
            yield show_progress(self.ui, view)
        yield {
            self.ui.comparison: gr.Column(visible=True),
            self.ui.slider: tuple(frame.image for frame in frames),
            self.ui.compared: frames,
        }

    def keep(self, place: int, frames: list[FirstFrame]) -> Changes:
        """The left one, 0, or the right one, 1, of the two that were compared."""
        with toasts():
            if not frames:  # the page was restarted meanwhile
                raise ValueError("These first frames are gone: compare the two models again.")
        frame = frames[place]
        view = View("This first frame is kept.", busy=False, first_frame=frame)
        return show(self.ui, view) | {self.ui.form["frame_model"]: frame.request.model}

    def on_stop(self, reason: str = STOPPED) -> Changes:
        """The run has ended, by Cancel or by a toast, whose words are said once more, as toasts go."""
        return show_progress(self.ui, View(reason, busy=False))

    def remember(self, name: str, names: object, visitor: object) -> Changes:
        """Puts a new take before those that this visitor made earlier, in this tab of the browser or in another."""
        found = self.shelves.put(str(visitor), name, names)
        return {self.ui.names: [*found], self.ui.history: wall_value(take.card for take in found.values())}

    # The form

    def form(self, values: Sequence[Any]) -> Form:
        """What the components sent, and how the picture among it was made."""
        form = Form(*values)
        return replace(form, made=read_made(form.picture, self.backbone.preset.name))

    def on_upload(self, picture: str) -> Changes:
        with toasts():
            image = read_upload(picture)  # so that one that cannot be read is told at once
        form, hint = self.ui.form, self.backbone.preset.of_uploads or HINT
        changes = {form["fit"]: gr.Radio(visible=True), self.ui.hint: hint}
        if read_made(picture, self.backbone.preset.name):  # brought by the visitor, it goes with every prompt
            changes[form["picture"]] = Image.fromarray(np.asarray(image))  # without its settings
        return changes

    def on_unreadable(self) -> None:
        """What cannot be read does not stay; Gradio tells nothing of it by itself."""
        gr.Warning(UNREADABLE, title="That did not work")

    def on_clear(self) -> Changes:
        return {self.ui.form["fit"]: gr.Radio(visible=False), self.ui.hint: HINT}

    def on_open(self, category: str, adapter: str | None) -> Changes:
        """Adapters that were learned or deleted meanwhile; a chosen one that is gone is chosen no more."""
        choices, chosen = self.ui.adapter_choices(category), self.ui.form["adapter"]
        if adapter in dict(choices).values():  # and its value stays: it may be another one by now
            return {chosen: gr.Dropdown(choices)} | self.motion_note(category, adapter)
        return {chosen: gr.Dropdown(choices, value="")} | self.motion_note(category, "")

    def motion_note(self, category: str, adapter: str) -> Changes:
        try:
            return {self.ui.motion_note: motion_notice(self.backbone.preset.name, category, adapter)}
        except ValueError as error:  # somebody has deleted it meanwhile
            return {self.ui.motion_note: str(error)}

    def on_category(self, category: str) -> Changes:
        """Other adapters, and none of them chosen."""
        return self.on_open(category, None)

    def on_recipe(self, recipe: str) -> tuple[Any, Any]:
        own = self.backbone.preset.recipe(recipe)
        return gr.Number(placeholder=str(own.steps)), gr.Number(placeholder=str(own.guidance))

    def on_frame_model(self, model: str) -> tuple[Any, Any]:
        own = self.backbone.preset.first_frames[model]
        return gr.Number(placeholder=str(own.steps)), gr.Number(placeholder=str(own.guidance))

    def on_words(self, category: str, prompt: str, style: str, negative_prompt: str) -> str:
        others = action_notice(category, prompt)
        return " ".join(filter(None, [others, *notices(self.backbone, prompt, style, negative_prompt)]))

    def on_form(self, *values: Any) -> Changes:
        form = self.form(values)
        try:
            words = estimate(self.backbone, form)
        except ValueError as error:  # a prompt that is too long: said below the button before it is pressed
            words = str(error)
        return {self.ui.estimate: words, self.ui.kept: {name: getattr(form, name) for name in KEPT}}

    def on_memory(self, mode: str) -> dict[str, Any]:
        with toasts():
            if mode not in changeable_modes(self.backbone.memory, self.backbone.memory_modes()):
                raise ValueError("The memory mode cannot be changed here.")
            self.backbone.set_memory(mode)
        return meter_value(f"Memory mode {mode}: {MODES[mode]}.")

    # Settings of finished clips

    def on_file(self, file: str) -> Changes:
        with toasts():
            return self.load(read_dropped(Path(file))) | {self.ui.file: None}

    def on_history(self, names: object, event: gr.EventData) -> Changes:
        with toasts():
            takes = [*open_takes(names).values()]
            return self.load(takes[picked(event, len(takes))])

    def on_example(self, event: gr.EventData) -> Changes:
        with toasts():
            return self.load(self.examples[picked(event, len(self.examples))], EXAMPLE)

    def load(self, take: SavedTake, what: str = "") -> Changes:
        """Brings all settings of a take back onto the page, and plays it; `what` it is stands before its seed."""
        ui, values = self.ui, form_values(take)
        choices = ui.adapter_choices(values["category"])
        adapter, model = values["adapter"], values.get("frame_model", "")
        note = "" if adapter in dict(choices).values() else f" · its adapter {adapter} is not here"
        adapter = gr.Dropdown(choices, value="" if note else adapter)
        if model and model not in self.backbone.preset.first_frame_models:
            note += f" · its first-frame model {model} is not here"
            del values["frame_model"]
        changes = {ui.form[name]: value for name, value in values.items()} | self.motion_note(values["category"], "")
        changes |= {ui.form["adapter"]: adapter, ui.comparison: gr.Column(visible=False)}
        own = take.request.first_frame_model == "upload"
        return changes | {ui.form["fit"]: gr.Radio(value=values["fit"], visible=own)} | play(ui, take, note, what)

    def on_load(self, names: object, kept: object) -> Changes:
        """What this browser remembers: the visitor's clips, and the form as it was, which the browser puts back."""
        ui, found = self.ui, open_takes(names)
        values = kept_values(kept, self.backbone.preset.first_frame_models)
        choices = ui.adapter_choices(values.get("category", START))
        if values.get("adapter") not in dict(choices).values():  # it is gone, and chosen no more
            values["adapter"] = ""
        built_in = {name: ui.form[name].value for name in KEPT}
        return {
            ui.recalled: [[value, values.get(name, value)] for name, value in built_in.items()],
            ui.form["adapter"]: gr.Dropdown(choices),
            ui.names: [*found],
            ui.history: wall_value(take.card for take in found.values()),
            ui.memory: self.backbone.memory,  # somebody may have changed it since the page was built
        }
