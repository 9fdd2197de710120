"""What is on the tab Evaluate, and where. Knows nothing of what the controls do."""

import gradio as gr

from huvidpo.ui.evaluate_tables import columns_explained
from huvidpo.ui.pair_player import pair_player
from huvidpo.ui.table import table
from huvidpo.ui.widgets import action_menu, text_line

SCOPES = [("This action", "this"), ("All actions", "all")]


class EvaluateLayout:
    """Builds the tab inside an open `gr.Tabs`. Its attributes are the components."""

    def __init__(self):
        with gr.Tab("Evaluate", id="evaluate", elem_id="evaluate-tab") as self.tab:
            with gr.Row(elem_id="evaluate-asked"):
                self.category = action_menu("evaluate-category")
                self.evaluation = gr.Dropdown([], label="Measured in", elem_id="evaluate-evaluation", visible=False)
            self.problems = text_line(elem_id="evaluate-problems")
            heading("Leaderboard", "this action's adapters: what people say, what was measured")
            self.leaderboard = table("Leaderboard", elem_id="leaderboard")
            self._side_by_side()
            self._systems()
            with gr.Column(visible=False) as self.versions:
                heading("History", "version after version, the newest last")
                self.history = table("History", elem_id="versions")
            self._studies()

    def _side_by_side(self) -> None:
        with gr.Column(visible=False, elem_id="evaluate-clips") as self.clips:
            heading("Side by side", "two systems, one prompt, one clock")
            with gr.Row(elem_id="evaluate-pair"):
                self.left = gr.Dropdown([], label="Left", elem_id="evaluate-left", min_width=150)
                self.right = gr.Dropdown([], label="Right", elem_id="evaluate-right", min_width=150)
                self.prompt = gr.Dropdown([], label="Prompt", elem_id="evaluate-prompt", min_width=240, scale=2)
            self.player = pair_player(elem_id="evaluate-player", watching=True)

    def _systems(self) -> None:
        heading("Systems and ablations", "one row for each way to make a clip")
        self.scope = gr.Radio(
            SCOPES,
            value="this",
            label="Prompts of",
            show_label=False,
            container=False,
            visible=False,
            elem_id="evaluate-scope",
        )
        self.systems = table("Systems and ablations", elem_id="systems")
        with gr.Accordion("What the columns mean", open=False, elem_id="evaluate-columns"):
            gr.Markdown(columns_explained())

    def _studies(self) -> None:
        with gr.Column(visible=False, elem_id="evaluate-studies") as self.studies:
            heading("Studies", "invited people mark clips, blind; only you see this")
            with gr.Row(elem_id="evaluate-study-row"):
                self.study = gr.Dropdown([], label="Study", elem_id="evaluate-study", scale=2)
                self.csv = gr.Button("⬇ Answers as CSV", size="md", min_width=0, visible=False)
                self.answers = gr.Textbox(visible=False)  # of the moment of a click, on their way into a file
            self.study_note = text_line(elem_id="evaluate-study-note")
            self.marks = table("Marks of the study", elem_id="study-marks")
            self.rates = table("Win rates of the study", elem_id="study-rates")


def heading(title: str, words: str) -> None:
    """A section's head."""
    gr.HTML(f"<h2>{title} <small>{words}</small></h2>")
