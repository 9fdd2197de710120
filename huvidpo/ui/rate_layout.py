"""What is on the tab Rate, and where. Knows nothing of what the controls do."""

import os

import gradio as gr

from huvidpo.categories import CATEGORIES, known_categories
from huvidpo.ui.pair_player import pair_player
from huvidpo.ui.rate_widgets import own_ratings, tally
from huvidpo.ui.scored_clips import scored_clips
from huvidpo.ui.widgets import START, action_menu, meter, text_line

CLIP_TYPES = [".mp4", ".webm", ".mov", ".gif"]


def visitor_state() -> gr.BrowserState:
    """What a browser calls itself; the server hashes it with a secret before anything is kept.

    It belongs outside of the tabs: what is in a tab that was not opened yet is not there when the page asks for it.
    """
    return gr.BrowserState("", storage_key="huvidpo-rater", secret="huvidpo-rater")


class RateLayout:
    """Builds the tab inside an open `gr.Tabs`. Its attributes are the components."""

    def __init__(self, visitor: gr.BrowserState, promise: str, cost: str):
        """`promise` says what becomes of ratings, `cost` what a pair takes of a visitor's quota, if anything."""
        self.cost = cost
        self.visitor, self.own_note = visitor, f"Only you are shown these two. {promise}"
        with gr.Tab("Rate", id="rate", elem_id="rate-tab") as self.tab:
            self.waiting = gr.Timer(4, active=False)
            with gr.Row(elem_id="rate", equal_height=False):
                with gr.Column(elem_id="rate-main", min_width=320):
                    self.player = pair_player(elem_id="player")
                    self._sources()
                    with gr.Accordion("Score 8 to 16 clips one by one", open=False, elem_id="scores"):
                        self._scores()
                with gr.Column(elem_id="rate-side", min_width=280):
                    self._side(promise)

    def _sources(self) -> None:
        with gr.Accordion("Make a pair from a prompt", open=False, elem_id="live"):
            with gr.Row():
                self.action = action_menu(scale=1)
                example = CATEGORIES[START].example_prompts[0]
                self.prompt = gr.Textbox(example, label="Prompt", scale=3, elem_id="live-prompt")
            self.unknown = text_line(elem_id="live-unknown")
            with gr.Row(elem_id="live-go"):
                self.make = gr.Button("Make two clips", variant="primary", min_width=0, elem_id="live-make")
                self.stop = gr.Button("Cancel", min_width=0, visible=False, elem_id="live-cancel")
                self.meter = meter(elem_id="live-meter")
                self.reason = gr.State("")  # why the last run ended early
            gr.Markdown(self.cost, visible=bool(self.cost))
        with gr.Accordion("Compare two clips of your own", open=False, elem_id="own"):
            with gr.Row():
                self.files = [
                    gr.File(label=label, file_types=CLIP_TYPES, height=150, elem_id=f"own-{side}")
                    for label, side in (("First clip", "a"), ("Second clip", "b"))
                ]
            with gr.Row():
                self.own_action = action_menu(scale=1)
                self.own_prompt = gr.Textbox("", label="What both show", scale=3, elem_id="own-prompt")
            gr.Markdown(self.own_note)
            self.add = gr.Button("Put them on the stage", elem_id="own-add")

    def _scores(self) -> None:
        gr.Markdown(
            "The way of the paper: score clips of one action from 0 to 10. They are then paired at random, "
            "and in each pair the clip with the higher score counts as the better one; equal scores are a tie."
        )
        with gr.Row(equal_height=True):
            self.scored_action = action_menu()
            self.fetch = gr.Button("Show clips that are here", min_width=0, elem_id="scores-fetch")
        self.scored_files = gr.File(
            label="… or drop 8 to 16 clips of your own", file_count="multiple", file_types=CLIP_TYPES, height=150,
            elem_id="scores-files",
        )  # fmt: skip
        self.scored = scored_clips(elem_id="scored")

    def _side(self, promise: str) -> None:
        self.tally = tally(elem_id="tally")
        actions = [("Any action", ""), *((category.label, name) for name, category in known_categories().items())]
        self.only = gr.Dropdown(actions, value="", label="Show me pairs of", elem_id="rate-only")
        if os.environ.get("OAUTH_CLIENT_ID"):
            gr.LoginButton(size="md", elem_id="sign-in")
        self.owner_note = text_line(elem_id="owner-note")
        gr.HTML("<h3>Your latest ratings</h3>")
        self.own = own_ratings(elem_id="own-ratings")
        with gr.Accordion("How far can these ratings be trusted?", open=False, elem_id="trust") as self.trust:
            self.agreement = gr.Markdown(elem_id="agreement")
        gr.Markdown(promise, elem_id="promise")
