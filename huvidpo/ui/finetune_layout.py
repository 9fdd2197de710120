"""What is on the tab Fine-tune above "What was learned", and where. Knows nothing of what the controls do."""

import gradio as gr
import pandas as pd

from huvidpo.adapters import list_adapters
from huvidpo.presets import Backbone
from huvidpo.training.guard import Row
from huvidpo.ui.finetune_needs import MINUTES, OBJECTIVES
from huvidpo.ui.learned_layout import hidden_button
from huvidpo.ui.unfinished import Unfinished
from huvidpo.ui.widgets import START, action_menu, fact_sheet, meter, text_line, ticker

PLOTS = {  # what is drawn -> its lines: number of a step record -> name
    "Loss": {"loss": "loss"},
    "Margin": {"margin": "preferred over the other"},
    "Pairs that it gets right": {"accuracy": "share"},
    "Drift from the start": {"winner_drift": "winners", "loser_drift": "losers"},
}
POINTS = 200  # of a line, about
FEWEST_ON_AXIS = 10  # steps: an axis of fewer would have ticks between whole numbers
EXPLAINED = """
<p class="line"><b>Margin</b>: how much more than at its start the adapter prefers the clips that people chose; above 0
it learns. <b>Drift</b>: how its error on these clips (winners) and on the others (losers) has changed since the start;
below 0 it has come nearer to them.</p>
"""
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
        self.timer = ticker(0.5)
        self.current = gr.State(None)  # the page's `Turn` with a run

    def _form(self) -> None:
        self.category = action_menu("tune-category")
        objectives = [(title, name) for name, title in OBJECTIVES.items()]
        self.objective = gr.Radio(objectives, value="dense", label="Learn from", elem_id="tune-objective")
        self.real = gr.File(
            label="Real clips, 16 frames or more",
            file_count="multiple",
            file_types=[".mp4", ".gif", ".webm", ".mov"],
            height=170,
            visible=False,
            elem_id="tune-real",
        )
        self.start = gr.Dropdown(self.start_choices(START), value="", label="Begin as", elem_id="tune-start")
        label = f"Minutes of training, at most ({MINUTES[0]} to {MINUTES[1]})"
        # Without Gradio's bounds, which end in an error of the server: `check_request` says them.
        self.minutes = gr.Number(5, label=label, precision=0, elem_id="tune-minutes")
        self.readiness = fact_sheet(elem_id="tune-readiness")
        self.to_rate = hidden_button("Rate pairs of this action", "tune-rate")
        with gr.Row(elem_id="tune-go"):
            self.begin = gr.Button("Learn from these ratings", variant="primary", elem_id="tune-begin")

    def _run(self) -> None:
        self.unfinished = Unfinished(self.preset)
        self.empty = gr.HTML(EMPTY, elem_id="tune-empty")
        with gr.Row(elem_id="tune-progress"):
            self.meter = meter(elem_id="tune-meter")
            self.pause = hidden_button("Pause", "tune-pause")
        with gr.Row(elem_id="tune-clips", visible=False) as self.clips:
            self.prompt = text_line(elem_id="tune-prompt")
            self.before, self.after = map(clip_view, ("Before", "Now: same first frame, same noise"))
        with gr.Row(elem_id="tune-plots", visible=False) as self.plots_row:
            self.plots = [line_plot(title, len(lines) > 1) for title, lines in PLOTS.items()]
            gr.HTML(EXPLAINED, elem_id="tune-explained")

    def start_choices(self, category: str) -> list[tuple[str, str]]:
        """(shown, value) of the adapters that training can begin as."""
        found = [(adapter.name, adapter.name) for adapter in list_adapters(self.preset.name, category)]
        return [("The action's default", ""), *found]


def clip_view(caption: str) -> gr.Video:
    """A clip in a loop with a caption above it."""
    with gr.Column(min_width=0):
        gr.HTML(f'<p class="line">{caption}</p>')
        return gr.Video(label=caption, show_label=False, autoplay=True, loop=True, interactive=False, buttons=[])


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


def plot_of(rows: list[Row], lines: dict[str, str]) -> pd.DataFrame:
    """The lines of a plot from the rows of a run, each value the mean of its neighbourhood: steps alone are noisy.

    A line has a gap where nothing was measured in the whole neighbourhood.
    """
    if not rows:
        return empty_plot()
    table = pd.DataFrame(rows)
    smooth = table[list(lines)].astype(float).rolling(max(1, min(20, len(rows) // 4)), min_periods=1).mean()
    chosen = smooth.assign(step=table["step"].astype(int)).iloc[:: max(1, len(rows) // POINTS)]
    return chosen.rename(columns=lines).melt("step", var_name="line", value_name="value")
