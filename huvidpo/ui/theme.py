"""Colours, type and the fixed words of the page. Knows nothing of what the tabs do."""

import json
from collections.abc import Iterable
from pathlib import Path

import gradio as gr

from huvidpo.categories import known_categories
from huvidpo.presets import Backbone

TITLE = "HuViDPO"
CSS = [
    Path(__file__).with_name(name) for name in ("page.css", "rate.css", "finetune.css", "study.css", "evaluate.css")
]

# Type that is on the visitor's machine already: nothing is fetched from elsewhere.
SANS = ["Inter", "Segoe UI", "system-ui", "-apple-system", "Roboto", "Helvetica Neue", "sans-serif"]
MONO = ["ui-monospace", "SF Mono", "Cascadia Mono", "Menlo", "DejaVu Sans Mono", "monospace"]

VERMILION = gr.themes.Color(
    name="vermilion",
    c50="#fff3ee",
    c100="#ffe3d8",
    c200="#ffc6b1",
    c300="#ffa182",
    c400="#ff7e55",
    c500="#e8552b",
    c600="#c53f17",
    c700="#a23212",
    c800="#7f2a13",
    c900="#632414",
    c950="#371009",
)
PAPER = gr.themes.Color(
    name="paper",
    c50="#faf8f4",
    c100="#f3efe8",
    c200="#e7e1d7",
    c300="#d3cbbf",
    c400="#a39b97",
    c500="#746d72",
    c600="#575159",
    c700="#3b3640",
    c800="#26222b",
    c900="#1a171e",
    c950="#121015",
)


def theme() -> gr.themes.Base:
    """Warm paper by day, a dark room by night, one vermilion for what matters."""
    base = gr.themes.Base(
        primary_hue=VERMILION,
        secondary_hue=VERMILION,
        neutral_hue=PAPER,
        radius_size=gr.themes.sizes.radius_lg,
        spacing_size=gr.themes.sizes.spacing_md,
        font=SANS,
        font_mono=MONO,
    )
    return base.set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color="*neutral_900",
        body_text_color_dark="*neutral_100",
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        background_fill_primary="white",
        background_fill_primary_dark="*neutral_900",
        background_fill_secondary="*neutral_100",
        background_fill_secondary_dark="*neutral_800",
        border_color_primary="*neutral_200",
        border_color_primary_dark="*neutral_700",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_border_width="0px",
        block_label_text_color="*neutral_500",
        block_label_text_color_dark="*neutral_400",
        block_title_text_color="*neutral_700",
        block_title_text_color_dark="*neutral_200",
        block_title_text_weight="600",
        block_info_text_color="*neutral_500",
        block_info_text_color_dark="*neutral_400",
        block_padding="0px",
        block_shadow="none",
        input_background_fill="white",
        input_background_fill_dark="*neutral_900",
        input_border_width="1px",
        input_border_color="*neutral_200",
        input_border_color_dark="*neutral_700",
        input_border_color_focus="*primary_500",
        input_border_color_focus_dark="*primary_400",
        input_shadow_focus="0 0 0 3px rgb(232 85 43 / .22)",
        input_shadow_focus_dark="0 0 0 3px rgb(255 126 85 / .28)",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_400",
        button_primary_background_fill_hover_dark="*primary_300",
        button_primary_text_color="white",
        button_primary_text_color_dark="*primary_950",
        button_secondary_background_fill="white",
        button_secondary_background_fill_dark="*neutral_800",
        button_secondary_background_fill_hover="*neutral_100",
        button_secondary_background_fill_hover_dark="*neutral_700",
        button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="*neutral_700",
        button_secondary_text_color="*neutral_900",
        button_secondary_text_color_dark="*neutral_100",
        button_border_width="1px",
        button_large_text_weight="650",
        button_large_radius="12px",
        button_medium_radius="10px",
        button_small_radius="999px",
        button_small_text_weight="500",
        slider_color="*primary_600",
        slider_color_dark="*primary_400",
        checkbox_background_color_selected="*primary_600",
        checkbox_background_color_selected_dark="*primary_500",
        checkbox_border_color="*neutral_400",
        checkbox_border_color_dark="*neutral_500",
        checkbox_label_background_fill="white",
        checkbox_label_background_fill_dark="*neutral_900",
        checkbox_label_background_fill_hover="*neutral_100",
        checkbox_label_background_fill_hover_dark="*neutral_800",
        checkbox_label_background_fill_selected="*primary_50",
        checkbox_label_background_fill_selected_dark="rgb(255 126 85 / .14)",
        checkbox_label_border_color="*neutral_200",
        checkbox_label_border_color_dark="*neutral_700",
        checkbox_label_border_color_selected="*primary_600",
        checkbox_label_border_color_selected_dark="*primary_400",
        checkbox_label_border_width="1px",
        checkbox_label_text_color_selected="*neutral_900",
        checkbox_label_text_color_selected_dark="*neutral_50",
        link_text_color="*primary_600",
        link_text_color_dark="*primary_400",
    )


# The mark: two frames of film, one of them chosen.
HERO = """
<header class="hero">
  <svg class="mark" viewBox="0 0 44 44" aria-hidden="true">
    <rect class="other" x="2" y="13" width="25" height="25" rx="6"/>
    <rect class="chosen" x="17" y="5" width="25" height="25" rx="6"/>
    <path class="play" d="M26 12.2v10.6a1 1 0 0 0 1.5.87l8.4-5.3a1 1 0 0 0 0-1.74l-8.4-5.3A1 1 0 0 0 26 12.2z"/>
  </svg>
  <div>
    <p class="brand">HuViDPO</p>
    <h1>Say it. See the first frame. Watch it move.</h1>
    <p class="lead">Write a prompt, pick an action, and get a short clip that grows out of its own first frame.</p>
  </div>
</header>
"""


def about(backbone: Backbone, device: str, memory: str, notes: Iterable[str]) -> str:
    """Markdown for the foot of the page: what runs, on what, what it knows, under which licence.

    `memory` is the mode that nobody can change here, in words; "" where it can be changed, or there is one only. Of
    the notes on what is not as the owner meant it, empty ones are left out.
    """
    place = "a GPU" if device.startswith("cuda") else "the CPU"
    held = f" ({memory})" if memory else ""
    said = "".join(f"**{note}** " for note in notes if note)
    return said + (
        f"**{backbone.title}** is running on {place} of this machine{held}: "
        f"{backbone.width} × {backbone.height} pixels, {backbone.num_frames} frames, {backbone.fps} a second. "
        f"{backbone.summary} Licence: {backbone.licence}."
    )


def head() -> str:
    """The page's own script and the example prompts that it chooses from, inline: it needs no second request."""
    prompts = json.dumps({category.name: category.example_prompts for category in known_categories().values()})
    prompts = prompts.replace("<", "\\u003c")  # those of one's own may hold anything, the end of a script too
    script = Path(__file__).with_name("page.js").read_text(encoding="utf-8")
    return f"<script>const examplePrompts = {prompts};\n{script}</script>"
