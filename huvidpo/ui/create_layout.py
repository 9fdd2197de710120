"""What is on the tab Create, and where. Knows nothing of what the controls do."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from huvidpo.adapters import list_adapters
from huvidpo.categories import CATEGORIES, STYLES, known_categories
from huvidpo.memory import MODES as MEMORY_MODES
from huvidpo.presets import Backbone
from huvidpo.recipes import RECIPES
from huvidpo.requests import ClipRequest
from huvidpo.ui.history import SavedTake
from huvidpo.ui.widgets import START, clip_wall, meter, meter_value, text_line

FITS = [("Crop the middle", "crop"), ("Keep it whole, with bars", "pad")]
ATTENTIONS = [("As its adapter was trained", ""), ("First and previous frame", "first-previous")]
ATTENTIONS += [("First frame only", "first")]
EXAMPLE = "Example · "  # before what a clip was made from
HINT = "The clip starts with exactly this picture and moves on from it."
RECIPE_WORDS = {"default": "Short (default)", "huvidpo": "The paper's, 50 steps"}
MODELS = {"dpo": "Preference-trained (DPO)", "base": "Base", "dpo-small": "DPO, small"}


class CreateLayout:
    """Builds the tab inside an open `gr.Tabs`. Its attributes are the components; those of a `Form` are in `form`."""

    def __init__(self, preset: Backbone, examples: Sequence[SavedTake], memory: str, memory_modes: Sequence[str]):
        """`memory` is the mode that is on, of those that can be chosen here."""
        self.preset, self.memory_choice = preset, (memory, memory_modes)
        # An example to begin with. It is built in: brought later, it would replace what somebody types meanwhile.
        self.start = next((take for take in examples if take.request.category == START), None)
        self.form: dict[str, Any] = {}
        with gr.Tab("Create", id="create") as self.tab:
            with gr.Row(elem_id="create", equal_height=False):
                with gr.Column(elem_id="compose", min_width=320):
                    self._compose()
                with gr.Column(elem_id="stage", min_width=320):
                    with gr.Row(elem_id="screens", equal_height=False):
                        with gr.Column(elem_id="frame-side", min_width=160):
                            self._first_frame()
                        with gr.Column(elem_id="screen", min_width=260):
                            self._screen()
                    self._result()
            self._clips(examples)

    def _compose(self) -> None:
        form, prompts = self.form, CATEGORIES[START].example_prompts
        start = self.start.request if self.start else ClipRequest(prompts[0], START)
        actions = [(f"{category.emoji}\n{category.title}", name) for name, category in known_categories().items()]
        form["category"] = gr.Radio(actions, value=START, label="Action", elem_id="actions")
        form["prompt"] = gr.Textbox(
            start.prompt, label="Prompt", max_lines=6, placeholder="A picture in a few words", elem_id="prompt"
        )
        with gr.Row(elem_id="chips"):
            self.chips = [gr.Button(words, size="sm", min_width=0, elem_classes="chip") for words in prompts]
        styles = [("Any style" if style == "any" else style.capitalize(), style) for style in STYLES]
        form["style"] = gr.Radio(styles, value=start.style, label="Style", elem_id="styles")
        with gr.Row(elem_id="go"):
            self.make = gr.Button("Make the clip", variant="primary", scale=3, elem_id="make")
            self.draw = gr.Button("First frame", scale=2, elem_id="first-frame")
        self.estimate = text_line(elem_id="estimate")
        self.unknown = text_line(elem_id="unknown")  # below the buttons, which would move away from under the mouse
        with gr.Row(elem_id="seed-row"):
            form["seed"] = gr.Number(start.seed, label="Seed", precision=0, min_width=110, elem_id="seed")
            form["random_seed"] = gr.Checkbox(True, label="🎲 New each time", min_width=130, elem_id="dice")
            form["adapter"] = gr.Dropdown(
                self.adapter_choices(START), value="", label="Adapter", min_width=150, elem_id="adapter"
            )
        self.motion_note = text_line(elem_id="motion-note")
        with gr.Accordion("Advanced settings", open=False, elem_id="advanced"):
            self._advanced()

    def _advanced(self) -> None:
        form, preset, recipe = self.form, self.preset, self.preset.recipe("default")
        form["negative_prompt"] = gr.Textbox(
            "",
            label="Negative prompt",
            placeholder="what should not be there",
            info="For the first frame; for the clip too when its guidance is above 1.",
        )
        with gr.Row():
            recipes = [(RECIPE_WORDS.get(name, name), name) for name in RECIPES]
            form["recipe"] = gr.Radio(recipes, value=recipe.name, label="Recipe", elem_id="recipe")
            form["attention"] = gr.Radio(ATTENTIONS, value="", label="Each frame looks at")
        with gr.Row():
            form["steps"] = optional_number("Clip steps", recipe.steps, "steps", precision=0)
            form["guidance"] = optional_number("Clip guidance", recipe.guidance, "guidance")
        with gr.Row():
            frame = preset.first_frames[preset.first_frame_models[0]]
            form["frame_steps"] = optional_number("First-frame steps", frame.steps, "frame-steps", precision=0)
            form["frame_guidance"] = optional_number("First-frame guidance", frame.guidance, "frame-guidance")
        with gr.Row():
            form["frame_seed"] = optional_number("First-frame seed", "as the seed", "frame-seed", precision=0)
            models = [(MODELS[model], model) for model in preset.first_frame_models]
            form["frame_model"] = gr.Radio(models, value=models[0][1], label="First-frame model")
        mode, modes = self.memory_choice
        self.memory = gr.Radio(
            [(f"{name.capitalize()}: {MEMORY_MODES[name]}", name) for name in modes],
            value=mode,
            label="Memory",
            info="A lower mode needs less of the GPU's memory and more time. It holds for everybody on this page.",
            visible=len(modes) > 1,
            elem_id="memory",
        )

    def _first_frame(self) -> None:
        form = self.form
        form["picture"] = gr.Image(
            label="First frame",
            type="filepath",
            image_mode=None,  # the file as it is: Gradio would make transparency black and cut 16 bits at 255
            format="png",  # the default, webp, would lose what the seed promises
            sources=["upload", "clipboard"],
            buttons=[],
            placeholder="Made for you,\nor drop a picture here",
            elem_id="picture",
        )
        form["fit"] = gr.Radio(FITS, value="crop", label="Fit into the frame", visible=False, elem_id="fit")
        self.reroll = gr.Button("🎲 Roll again", size="md", elem_id="reroll")
        several = len(self.preset.first_frame_models) > 1
        self.compare = gr.Button("Base or DPO?", size="md", visible=several, elem_id="compare")
        self.hint = text_line(elem_id="first-frame-hint")
        self.hint.value = HINT

    def _screen(self) -> None:
        self.video = gr.Video(
            value=self.start and self.start.clip,
            show_label=False, autoplay=True, loop=True, interactive=False, buttons=[], elem_id="clip",
        )  # fmt: skip
        self.preview = gr.Image(
            show_label=False, interactive=False, buttons=[], format="jpeg", visible=False, elem_id="preview"
        )

    def _result(self) -> None:
        with gr.Row(elem_id="result"):
            self.meter = meter(elem_id="meter")
            self.meter.value = meter_value(f"{EXAMPLE}{self.start.line}" if self.start else "")
            self.reason = gr.State("")  # why the last run ended early
            self.cancel = gr.Button("Cancel", size="md", min_width=0, visible=False, elem_id="cancel")
            clip = self.start and self.start.clip
            self.mp4 = gr.DownloadButton("⬇ MP4", clip, size="md", min_width=0, visible=bool(clip), elem_id="mp4")
            self.gif = gr.DownloadButton("⬇ GIF", size="md", min_width=0, visible=False, elem_id="gif")
        with gr.Column(visible=False, elem_id="comparison") as self.comparison:
            self.slider = gr.ImageSlider(
                label="Base on the left, DPO on the right", interactive=False, buttons=[], format="png"
            )
            self.compared = gr.State([])  # the FirstFrames of the slider, left to right
            gr.Markdown("DPO is the base model after it learned from preferences. Drag the line to compare.")
            with gr.Row():
                self.keep = [gr.Button(words, size="md") for words in ("Keep base", "Keep DPO")]

    def _clips(self, examples: Sequence[SavedTake]) -> None:
        gr.HTML("<h2>Your clips <small>remembered in this browser; click one to load its settings</small></h2>")
        # The names cannot be guessed, and the server believes nothing else of what comes back.
        self.names = gr.BrowserState([], storage_key="huvidpo-takes", secret="huvidpo-takes")
        self.kept = gr.BrowserState({}, storage_key="huvidpo-form", secret="huvidpo-form")  # see `kept_values`
        self.recalled = gr.JSON(visible=False)  # of the form, see `on_load`
        self.history = clip_wall([], empty="Nothing yet. The clips you make appear here.", elem_id="history")
        self.file = gr.File(
            label="Drop a clip made here (mp4 or GIF) to get its settings back",
            file_types=[".mp4", ".gif"],
            height=76,
            elem_id="settings-file",
        )
        gr.HTML("<h2>Examples <small>click one to load its settings</small></h2>", visible=bool(examples))
        self.wall = clip_wall([take.card for take in examples], empty="", elem_id="examples")

    def adapter_choices(self, category: str) -> list[tuple[str, str]]:
        """(shown, value) of the adapter selector for an action."""
        found = [(adapter.name, adapter.name) for adapter in list_adapters(self.preset.name, category)]
        return [("Automatic", ""), *found, ("None: without learned motion", "none")]


def optional_number(label: str, default: object, elem_id: str, precision: int | None = None) -> gr.Number:
    """A number that may stay empty; what counts then is shown in it."""
    return gr.Number(None, label=label, placeholder=str(default), elem_id=elem_id, precision=precision, min_width=120)
