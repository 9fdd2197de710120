"""What programs may call: /first_frame, /video and /adapters, with the words of the command line. Knows no page."""

from contextlib import closing
from typing import Any

import gradio as gr
from PIL import Image

from huvidpo.adapters import list_adapters, motion_notice
from huvidpo.backbones import LoadedBackbone
from huvidpo.categories import STYLES, known_categories
from huvidpo.recipes import ATTENTION_VARIANTS, RECIPES
from huvidpo.requests import ClipRequest, FirstFrameRequest, draw_seed
from huvidpo.takes import Progress
from huvidpo.ui.history import open_take, save_take
from huvidpo.ui.jobs import MakeTakes, Run
from huvidpo.ui.making import read_upload
from huvidpo.ui.toasts import toasts
from huvidpo.words import notices, unknown_words


class Endpoints:
    """Declares the public endpoints inside an open `gr.Blocks`; everything else on the page is private to it."""

    def __init__(self, backbone: LoadedBackbone, run: Run, gpu_events: dict[str, Any]):
        self.backbone, self.run = backbone, run
        models = list(backbone.preset.first_frame_models)
        with gr.Row(visible=False):
            prompt = gr.Textbox(label="Prompt, at most 1000 characters")
            style = gr.Radio(list(STYLES), value="any", label="Style")
            model = gr.Radio(models, value=models[0], label="First-frame model")
            category = gr.Radio(list(known_categories()), value="horse", label="Action")
            adapter = gr.Textbox("", label='Adapter: "" the best for the action, "none", or a name from /adapters')
            negative = gr.Textbox("", label="Negative prompt")
            seed = gr.Number(-1, precision=0, label="Seed; -1 draws one")
            steps = gr.Number(None, precision=0, label="Steps; empty for the default")
            guidance = gr.Number(None, label="Guidance; empty for the default")
            uploaded = "First frame; empty to have one made"
            first_frame = gr.Image(type="filepath", image_mode=None, label=uploaded)
            fit = gr.Radio(["crop", "pad"], value="crop", label="How an uploaded first frame is fitted")
            recipe = gr.Radio(list(RECIPES), value="default", label="Recipe")
            looks = 'What each frame looks at; "" as the adapter was trained'
            attention = gr.Radio(["", *ATTENTION_VARIANTS], value="", label=looks)
            image, clip = gr.Image(format="png", label="First frame"), gr.Video(label="Clip")
            used, settings, found = gr.JSON(label="Settings"), gr.JSON(label="Settings"), gr.JSON(label="Adapters")
        call = gr.Button(visible=False)
        frame_inputs = [prompt, style, model, seed, steps, guidance, negative]
        call.click(self.first_frame, frame_inputs, [image, used], api_name="first_frame", **gpu_events)
        clip_inputs = [prompt, category, first_frame, style, adapter, seed, steps, guidance]
        clip_inputs += [negative, recipe, attention, fit, model]
        call.click(self.video, clip_inputs, [clip, settings], api_name="video", **gpu_events)
        call.click(self.adapters, [category], [found], api_name="adapters")

    def first_frame(
        self,
        prompt: str,
        style: str = "any",
        model: str = "",
        seed: int = -1,
        steps: int | None = None,
        guidance: float | None = None,
        negative_prompt: str = "",
    ) -> tuple[Image.Image, dict[str, Any]]:
        """Draws the first frame of a clip from a prompt; returns the picture and the settings that made it."""
        request = FirstFrameRequest(prompt, style, negative_prompt, model, _seed(seed), steps, guidance)
        (frame,) = self._made(MakeTakes(request))
        return frame.image, vars(frame.request) | self._strange(prompt, style, negative_prompt)

    def video(
        self,
        prompt: str,
        category: str,
        first_frame: str | None = None,
        style: str = "any",
        adapter: str = "",
        seed: int = -1,
        steps: int | None = None,
        guidance: float | None = None,
        negative_prompt: str = "",
        recipe: str = "default",
        attention: str = "",
        fit: str = "crop",
        first_frame_model: str = "",
    ) -> tuple[str, dict[str, Any]]:
        """Makes a 16-frame clip of one of the eight actions, from a given first frame or from one drawn first.

        Returns the mp4, which carries all settings, and the settings that made it.
        """
        with toasts():
            if adapter not in ("", "none", *(item["name"] for item in self.adapters(category))):
                raise ValueError(f"There is no adapter of that name for {category}; /adapters lists them.")
            seed = _seed(seed)
            words = (prompt, category, style, negative_prompt, adapter, seed, recipe, steps, guidance, attention, fit)
            request = ClipRequest(*words)
            if first_frame:
                picture = read_upload(first_frame)
                (clip,) = self._made(MakeTakes(picture, (request,)))
            else:
                first = FirstFrameRequest(prompt, style, negative_prompt, first_frame_model, seed)
                frame, clip = self._made(MakeTakes(first, (request,)))
                picture = frame.image
            note = motion_notice(self.backbone.preset.name, category, adapter)
            settings = clip.metadata | self._strange(prompt, style, negative_prompt, note)
            return str(open_take(save_take(clip, picture)).clip), settings

    def adapters(self, category: str) -> list[dict[str, str]]:
        """Lists the adapters of an action, best first."""
        found = list_adapters(self.backbone.preset.name, category)
        return [{"name": item.name, "category": item.category, "status": item.status} for item in found]

    def _strange(self, prompt: str, style: str, negative_prompt: str, note: str = "") -> dict[str, list[str]]:
        """Beside the settings: the words that mean nothing to the model, and what to know of the prompt, if anything.

        As on the command line. `note` is one more thing to know.
        """
        words = unknown_words(self.backbone, prompt, negative_prompt)
        warnings = [*notices(self.backbone, prompt, style, negative_prompt), *filter(None, [note])]
        return ({"unknown_words": words} if words else {}) | ({"warnings": warnings} if warnings else {})

    def _made(self, job: MakeTakes) -> list[Any]:
        with closing(self.run(job)) as steps:
            return [item for item in steps if not isinstance(item, Progress)]


def _seed(seed: int) -> int:
    return draw_seed() if seed == -1 else int(seed)
