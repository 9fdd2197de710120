"""What is on the tab Fine-tune above "What was learned", and where. Knows nothing of what the controls do."""

import gradio as gr
import pandas as pd

from huvidpo.adapters import list_adapters
from huvidpo.presets import Backbone
from huvidpo.training.guard import Row
from huvidpo.ui.finetune_needs import MINUTES, OBJECTIVES
from huvidpo.ui.finetune_runs import unfinished_runs
from huvidpo.ui.learned_layout import hidden_button
from huvidpo.ui.widgets import START, action_menu, fact_sheet, meter

PLOTS = {  # what is drawn -> its lines: number of a step record -> name
    "Loss": {"loss": "loss"},
    "Margin": {"margin": "preferred over the other"},
    "Pairs that it gets right": {"accuracy": "share"},
    "Drift from the start (below 0 is nearer)": {"winner_drift": "winners", "loser_drift": "losers"},
}
EMPTY = """
<div class="nothing-yet">
  <h3>Teach an action your taste</h3>
  <ol>
    <li><b>Rate pairs</b> in the tab Rate: eight decided pairs are enough to learn what you like.</li>
    <li><b>Learn from them</b> here. Curves, and one clip before and after, show what happens; pause at any time.</li>
    <li><b>Let votes decide</b> blind, between the new adapter and the one it began as.</li>
  </ol>
</div>
"""


class FinetuneLayout:
    """Builds the form and the view of a run inside an open tab. Its attributes are the components."""

    def __init__(self, preset: Backbone):
        self.preset = preset
        with gr.Row(elem_id="tune", equal_height=False):
            with gr.Column(elem_id="tune-form", min_width=320):
                self._form()
            with gr.Column(elem_id="tune-run", min_width=320):
                self._run()
        self.timer = gr.Timer(0.5, active=False)
        self.current = gr.State("")
        self.latest = gr.State("")  # the run that was current last

    def _form(self) -> None:
        self.category = action_menu("tune-category")
        objectives = [(title, name) for name, title in OBJECTIVES.items()]
        self.objective = gr.Radio(objectives, value="dense", label="Learn from", elem_id="tune-objective")
        self.real = gr.File(
            label="Real clips of the action, MP4 or GIF, 16 frames or more",
            file_count="multiple",
            file_types=[".mp4", ".gif", ".webm", ".mov"],
            height=130,
            visible=False,
            elem_id="tune-real",
        )
        self.start = gr.Dropdown(self.start_choices(START), value="", label="Begin as", elem_id="tune-start")
        self.minutes = gr.Slider(*MINUTES, value=5, step=1, label="Minutes, at most", elem_id="tune-minutes")
        self.readiness = fact_sheet(elem_id="tune-readiness")
        with gr.Row(elem_id="tune-go"):
            self.begin = gr.Button("Learn from these ratings", variant="primary", elem_id="tune-begin")
        names = unfinished_runs(self.preset)
        with gr.Row(elem_id="tune-unfinished-row", visible=bool(names)) as self.unfinished_row:
            self.unfinished = gr.Dropdown(names, label="Unfinished runs", elem_id="tune-unfinished", scale=3)
            self.resume = gr.Button("Go on", size="md", min_width=0, elem_id="tune-resume")
            self.discard = hidden_button("Discard", "tune-discard")  # for who may

    def _run(self) -> None:
        self.empty = gr.HTML(EMPTY, elem_id="tune-empty")
        with gr.Row(elem_id="tune-progress"):
            self.meter = meter(elem_id="tune-meter")
            self.pause = hidden_button("Pause", "tune-pause")
        with gr.Row(elem_id="tune-clips", visible=False) as self.clips:
            self.before, self.after = (
                gr.Video(label=label, autoplay=True, loop=True, interactive=False, buttons=[])
                for label in ("Before", "Now: same first frame, same noise")
            )
        with gr.Row(elem_id="tune-plots", visible=False) as self.plots_row:
            self.plots = [line_plot(title, len(lines) > 1) for title, lines in PLOTS.items()]

    def start_choices(self, category: str) -> list[tuple[str, str]]:
        """(shown, value) of the adapters that training can begin as."""
        found = [(adapter.name, adapter.name) for adapter in list_adapters(self.preset.name, category)]
        return [("The action's default", ""), *found]


def line_plot(title: str, several: bool) -> gr.LinePlot:
    """A plot over the steps of a run; only several lines need colours and their names."""
    return gr.LinePlot(
        empty_plot(),
        x="step",
        y="value",
        color="line" if several else None,
        color_title=" ",
        title=title,
        x_title="step",
        y_title=" ",
        height=190,
        buttons=[],
    )


def empty_plot() -> pd.DataFrame:
    """A plot without lines."""
    return pd.DataFrame({"step": pd.Series(dtype=int), "value": pd.Series(dtype=float), "line": pd.Series(dtype=str)})


def plot_of(rows: list[Row], lines: dict[str, str], points: int = 200) -> pd.DataFrame:
    """The lines of a plot from the rows of a run, each value the mean of its neighbourhood: steps alone are noisy.

    A line has a gap where nothing was measured in the whole neighbourhood.
    """
    if not rows:
        return empty_plot()
    table = pd.DataFrame(rows)
    smooth = table[list(lines)].astype(float).rolling(max(1, min(20, len(rows) // 4)), min_periods=1).mean()
    chosen = smooth.assign(step=table["step"].astype(int)).iloc[:: max(1, len(rows) // points)]
    return chosen.rename(columns=lines).melt("step", var_name="line", value_name="value")
