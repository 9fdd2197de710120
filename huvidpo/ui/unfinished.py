"""The unfinished runs on the tab Fine-tune: which can go on, which a page trains at the moment. Knows no training."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from huvidpo.presets import Backbone
from huvidpo.ui.events import QUIET, Changes
from huvidpo.ui.finetune_runs import unfinished_runs
from huvidpo.ui.learned_layout import hidden_button
from huvidpo.ui.widgets import text_line

BETWEEN_SLICES = 15.0  # seconds after a slice in which its page will ask for the next one, if it is still there
LOOK_EVERY = 3  # seconds, while others train


class Unfinished:
    """The list inside an open column, and who trains what. What its buttons do is for the tab to say."""

    def __init__(self, preset: Backbone):
        self.preset = preset
        self._trained_until: dict[str, float] = {}  # run -> seconds of the monotonic clock; infinite during a slice
        self.note = text_line(elem_id="tune-unfinished-note")
        with gr.Row(elem_id="tune-unfinished-row", visible=False) as self.row:
            self.runs = gr.Dropdown([], label="Unfinished runs", elem_id="tune-unfinished")
            self.resume = gr.Button("Go on", size="md", min_width=0, elem_id="tune-resume")
            self.discard = hidden_button("Discard", "tune-discard")  # for who may
        self.watch = gr.Timer(LOOK_EVERY, active=False)
        self.parts = [self.note, self.row, self.runs, self.watch]

    def wire(self, current: gr.State) -> None:
        """Looks again while others train; `current` is the run of this page."""
        self.watch.tick(self.on_watch, [current, self.note], self.parts, **QUIET)

    def show(self, own: str = "") -> Changes:
        """The runs that can go on, with `own` chosen, which this page has just paused; the newest one without it."""
        names = unfinished_runs(self.preset)
        trained = [name for name in names if self.is_trained(name)]
        free = [name for name in names if name not in trained]
        chosen = own if own in free else next(iter(free), None)
        said = [f"{name} is being trained now, by another visitor or in another tab." for name in trained]
        if chosen and not own:
            said.append(f"{chosen} is paused. What it learned is kept, and it can go on.")
        return {
            self.note: " ".join(said),
            self.row: gr.Row(visible=bool(free)),
            self.runs: gr.Dropdown(free, value=chosen),
            self.watch: gr.Timer(active=bool(trained)),
        }

    def hidden(self) -> Changes:
        """While a run of this page is under way."""
        return {self.note: "", self.row: gr.Row(visible=False), self.watch: gr.Timer(active=False)}

    def on_watch(self, current: str, said: str) -> Changes:
        if current:
            return self.hidden()
        found = self.show()
        return {self.note: gr.skip()} if found[self.note] == said else found  # leaves what was chosen meanwhile

    @contextmanager
    def training(self, run: str) -> Iterator[None]:
        """During a slice, and until its page asks for the next one; one that is broken off ends that at once."""
        self._trained_until[run] = math.inf
        try:
            yield
        except BaseException:  # also GeneratorExit: a pause, or a page that was closed
            self.stopped(run)
            raise
        if self.is_awaited(run):  # and was not paused in its last step
            self.expect(run)

    def expect(self, run: str) -> None:
        """A page will ask for a slice of the run soon."""
        self._trained_until[run] = time.monotonic() + BETWEEN_SLICES

    def stopped(self, run: str) -> None:
        """Nobody trains the run now."""
        self._trained_until.pop(run, None)

    def is_awaited(self, run: str) -> bool:
        """Whether a page began the run, or went on with it, and nobody has paused it since."""
        return run in self._trained_until

    def is_trained(self, run: str) -> bool:
        """Whether a page trains the run now."""
        return time.monotonic() < self._trained_until.get(run, -math.inf)
