"""The unfinished runs on the tab Fine-tune: which can go on, which a page trains at the moment. Knows no training."""

import time
from dataclasses import dataclass

import gradio as gr

from huvidpo.presets import Backbone
from huvidpo.ui.events import QUIET, Changes
from huvidpo.ui.finetune_runs import unfinished_runs
from huvidpo.ui.learned_layout import hidden_button
from huvidpo.ui.widgets import text_line, ticker

STAYS = 15.0  # seconds after a sign of a page in which it is taken to be still there
LOOK_EVERY = 3  # seconds, while others train; a page that trains gives a sign as often


@dataclass(eq=False)  # each is another one
class Turn:
    """One page's turn with a run: from the button that began it, or went on with it, to its end or its pause.

    The page keeps it, the server knows whose turn it is. So whatever comes late is told by the turn that it was for.
    """

    run: str
    until: float = 0.0  # seconds of the monotonic clock, in which nobody else can go on with the run
    over: bool = False  # and its page has been told


class Unfinished:
    """The list inside an open column, and who trains what. What its buttons do is for the tab to say."""

    def __init__(self, preset: Backbone):
        self.preset = preset
        self._turns: dict[str, Turn] = {}  # run -> whose turn it is, or was last
        self.note = text_line(elem_id="tune-unfinished-note")
        with gr.Row(elem_id="tune-unfinished-row", visible=False) as self.row:
            self.runs = gr.Dropdown([], label="Unfinished runs", elem_id="tune-unfinished")
            self.resume = gr.Button("Go on", size="md", min_width=0, elem_id="tune-resume")
            self.discard = hidden_button("Discard", "tune-discard")  # for who may
        self.watch = ticker(LOOK_EVERY)
        self.parts = [self.note, self.row, self.runs, self.watch]

    def wire(self, current: gr.State) -> None:
        """Looks again while others train; `current` is the turn of this page, which this keeps."""
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
            self.watch: bool(trained),
        }

    def hidden(self) -> Changes:
        """While a run of this page is under way."""
        return {self.note: "", self.row: gr.Row(visible=False), self.watch: True}

    def on_watch(self, current: Turn | None, said: str) -> Changes:
        if current:
            self.keep(current)
            return self.hidden() if said else {self.note: gr.skip()}
        found = self.show()
        return {self.note: gr.skip()} if found[self.note] == said else found  # leaves what was chosen meanwhile

    def take(self, run: str) -> Turn:
        """A new turn with the run, which ends any other."""
        turn = self._turns[run] = Turn(run)
        self.keep(turn)
        return turn

    def keep(self, turn: Turn) -> bool:
        """Whether it is that turn still; if so, nobody else can go on with its run for a while."""
        if turn.over or self._turns[turn.run] is not turn:
            return False
        turn.until = time.monotonic() + STAYS
        return True

    def is_trained(self, run: str) -> bool:
        """Whether a page trains the run now."""
        turn = self._turns.get(run)
        return turn is not None and not turn.over and time.monotonic() < turn.until
