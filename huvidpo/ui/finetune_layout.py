"""What is on the tab Fine-tune, and where. Knows nothing of what the controls do."""

import gradio as gr
import pandas as pd

from huvidpo.adapters import list_adapters
from huvidpo.backbones import Backbone
from huvidpo.categories import CATEGORIES
from huvidpo.ui.create_layout import START
from huvidpo.ui.finetune_runs import MINUTES, OBJECTIVES
from huvidpo.ui.widgets import meter, text_line

PLOTS = {  # what is drawn -> its lines: number of a step record -> name
    "Loss": {"loss": "loss"},
    "Preferred right": {"accuracy": "share of pairs"},
    "Drift from the start": {"winner_drift": "winners", "loser_drift": "losers"},
}


class FinetuneLayout:
    """Builds the tab inside an open `gr.Tabs`. Its attributes are the components."""

    def __init__(self, preset: Backbone, may_delete: bool):
        self.preset = preset
        with gr.Tab("Fine-tune", id="finetune"):
            with gr.Row(elem_id="tune", equal_height=False):
                with gr.Column(elem_id="tune-form", min_width=320):
                    self._form()
                with gr.Column(elem_id="tune-run", min_width=320):
                    self._run()
            self._adapters(may_delete)
        self.timer = gr.Timer(0.5, active=False)
        self.current = gr.State("")

    def _form(self) -> None:
        actions = [(f"{category.emoji} {category.title}", name) for name, category in CATEGORIES.items()]
        self.category = gr.Dropdown(actions, value=START, label="Action", elem_id="tune-category")
        objectives = [(title, name) for name, title in OBJECTIVES.items()]
        self.objective = gr.Radio(objectives, value="dpo", label="Learn from", elem_id="tune-objective")
        self.start = gr.Dropdown(self.start_choices(START), value="", label="Go out from", elem_id="tune-start")
        self.minutes = gr.Slider(*MINUTES, value=5, step=1, label="Minutes", elem_id="tune-minutes")
        self.readiness = text_line(elem_id="tune-readiness")
        with gr.Row(elem_id="tune-go"):
            self.begin = gr.Button("Learn from these ratings", variant="primary", elem_id="tune-begin")
        with gr.Row(elem_id="tune-unfinished-row"):
            self.unfinished = gr.Dropdown([], label="Unfinished runs", elem_id="tune-unfinished", scale=3)
            self.resume = gr.Button("Go on", size="md", min_width=0, elem_id="tune-resume")
            self.discard = gr.Button("Discard", size="md", min_width=0, elem_id="tune-discard")

    def _run(self) -> None:
        with gr.Row(elem_id="tune-progress"):
            self.meter = meter(elem_id="tune-meter")
            self.pause = gr.Button("Pause", size="md", min_width=0, visible=False, elem_id="tune-pause")
        with gr.Row(elem_id="tune-plots"):
            self.plots = [
                gr.LinePlot(
                    empty_plot(),
                    x="step",
                    y="value",
                    color="what",
                    title=title,
                    x_title="step",
                    y_title=" ",
                    height=190,
                    buttons=[],
                )
                for title in PLOTS
            ]
        with gr.Row(elem_id="tune-clips", visible=False) as self.clips:
            self.before, self.after = (
                gr.Video(label=label, autoplay=True, loop=True, interactive=False, buttons=[])
                for label in ("Before", "Now: same first frame, same noise")
            )

    def _adapters(self, may_delete: bool) -> None:
        gr.HTML("<h2>What was learned <small>a candidate becomes the default when blind votes say so</small></h2>")
        with gr.Row(elem_id="tune-adapters", equal_height=False):
            self.adapter = gr.Dropdown(
                self.learned(START), value=None, label="Adapter", elem_id="tune-adapter", min_width=220
            )
            with gr.Column(min_width=260):
                self.verdict = text_line(elem_id="tune-verdict")
                with gr.Row():
                    self.promote = gr.Button("Make it the default", size="md", min_width=0, elem_id="tune-promote")
                    self.rollback = gr.Button("Bring back the one before", size="md", min_width=0)
                    self.download = gr.DownloadButton("⬇ ZIP", size="md", min_width=0, elem_id="tune-zip")
                    self.delete = gr.Button("Delete", size="md", min_width=0, visible=may_delete)

    def start_choices(self, category: str) -> list[tuple[str, str]]:
        """(shown, value) of the adapters that training can go out from."""
        found = [(adapter.name, adapter.name) for adapter in list_adapters(self.preset.name, category)]
        return [("The action's default", ""), *found]

    def learned(self, category: str) -> list[tuple[str, str]]:
        """(shown, value) of a category's adapters."""
        found = list_adapters(self.preset.name, category)
        return [(f"{adapter.name} ({adapter.status})", adapter.name) for adapter in found]


def empty_plot() -> pd.DataFrame:
    """A plot without lines."""
    return pd.DataFrame({"step": pd.Series(dtype=int), "value": pd.Series(dtype=float), "what": pd.Series(dtype=str)})


def plot_of(rows: list[dict[str, float]], lines: dict[str, str], points: int = 200) -> pd.DataFrame:
    """The lines of a plot from the rows of a run, each value the mean of its neighbourhood: steps alone are noisy."""
    if not rows:
        return empty_plot()
    table = pd.DataFrame(rows)
    smooth = table[list(lines)].rolling(max(1, min(20, len(rows) // 4)), min_periods=1).mean()
    chosen = smooth.assign(step=table["step"].astype(int)).iloc[:: max(1, len(rows) // points)]
    return chosen.rename(columns=lines).melt("step", var_name="what", value_name="value")
