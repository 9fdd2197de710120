"""What each control of the tab Fine-tune does. Knows nothing of how training works, nor of the layout.

A run is a chain of slices. The page's ticker asks for the next one as soon as the last is over; so each slice is a
request of the visitor's own, which is what ZeroGPU counts, and a reload, a pause or an empty quota lose nothing.

Nothing is cancelled: a pause ends the page's `Turn` with the run, and the slice under way sees that after its step.
"""

import html
import traceback
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import gradio as gr

from huvidpo.adapters import Adapter
from huvidpo.backbones import LoadedBackbone
from huvidpo.home import home
from huvidpo.preferences.blind import blind_copy
from huvidpo.preferences.raters import rater_salt
from huvidpo.preferences.store import RatingStore
from huvidpo.requests import draw_seed
from huvidpo.training.examples import Encoded
from huvidpo.training.guard import Row
from huvidpo.training.preference import PreferenceRecord
from huvidpo.training.runs import RunPlan
from huvidpo.training.strength import Measuring
from huvidpo.training.validation import validation_clips
from huvidpo.ui import finetune_runs as runs
from huvidpo.ui.events import LATEST, QUIET, SPOKEN, Changes
from huvidpo.ui.finetune_layout import FEWEST_ON_AXIS, PLOTS, FinetuneLayout, plot_of
from huvidpo.ui.finetune_needs import Readiness, measuring_seconds, measuring_words, readiness
from huvidpo.ui.learned import Learned
from huvidpo.ui.owner import may_change
from huvidpo.ui.phrases import duration
from huvidpo.ui.rate import shown_folder
from huvidpo.ui.toasts import toasts
from huvidpo.ui.turns import CountedRun
from huvidpo.ui.unfinished import Turn
from huvidpo.ui.widgets import facts, meter_value

REALLY_DISCARD = "Really discard {}?"  # with its name: of two runs the one that was meant


class FinetuneTab:
    """The tab, working. Every handler returns or yields the components that it changes."""

    def __init__(
        self,
        page: gr.Blocks,
        backbone: LoadedBackbone,
        store: RatingStore,
        run: CountedRun,
        gpu_events: dict[str, Any],
    ):
        self.backbone, self.store, self.run = backbone, store, run
        with gr.Tab("Fine-tune", id="finetune") as self.tab:
            self.ui = FinetuneLayout(backbone.preset)
            self.unfinished = self.ui.unfinished
            self.learned = Learned(self.ui.category, backbone, store, run, gpu_events)
        self._wire(page, gpu_events)

    def _wire(self, page: gr.Blocks, gpu_events: dict[str, Any]) -> None:
        ui, unfinished = self.ui, self.unfinished
        unfinished.wire(ui.current)
        asked = [ui.category, ui.objective, ui.minutes]
        shown = [ui.timer, ui.current, ui.meter, ui.pause, ui.begin, ui.empty]
        shown += [ui.plots_row, *ui.plots, ui.clips, ui.prompt, ui.before, ui.after, ui.start]
        shown += [*unfinished.parts, *self.learned.parts]
        ui.timer.tick(
            self.on_slice,
            ui.current,
            shown,
            trigger_mode="once",
            show_progress="hidden",
            api_visibility="private",
            **gpu_events,
        )
        form = [ui.category, ui.objective, ui.start, ui.minutes, ui.real]
        ui.begin.click(self.on_begin, [*form, ui.current], shown, **SPOKEN)
        unfinished.resume.click(self.on_resume, [unfinished.runs, ui.current], shown, **SPOKEN)
        ui.pause.click(self.on_pause, ui.current, shown, **QUIET)
        pressed = [unfinished.runs, unfinished.discard]
        unfinished.discard.click(self.on_discard, pressed, [*shown, unfinished.discard], **SPOKEN)
        ui.category.input(self.on_category, ui.category, self.learned.parts, **LATEST)
        ui.category.change(self.starts, ui.category, ui.start, **LATEST)  # a run that ends changes it too
        ready = [ui.readiness, ui.begin, ui.to_rate, ui.real]
        gr.on([control.change for control in asked], self.on_readiness, asked, ready, **LATEST)
        opened = [*ready, *unfinished.parts, unfinished.discard, ui.start, *self.learned.parts]
        # Also when the tab is opened: ratings were given meanwhile, and others train too.
        chosen = [ui.start, self.learned.ui.adapter]
        gr.on([page.load, self.tab.select], self.on_open, [*asked, ui.current, *chosen], opened, **QUIET)

    # Before

    def on_open(
        self,
        category: str,
        objective: str,
        minutes: float,
        current: Turn | None,
        start: str | None,
        adapter: str | None,
        request: gr.Request | None = None,
        profile: gr.OAuthProfile | None = None,
    ) -> Changes:
        may = may_change(request, profile)
        ready = self.on_readiness(category, objective, minutes)
        if current:  # what is on the page is the run's
            return ready
        changeable = {self.unfinished.discard: gr.Button("Discard", visible=may)}
        shown = self.starts(category, start) | self.unfinished.show() | self.learned.show(category, adapter, may=may)
        return ready | changeable | shown

    def on_readiness(self, category: str, objective: str, minutes: float) -> Changes:
        try:
            ready = readiness(self.backbone, self.store, category, objective, minutes)
        except ValueError as error:  # minutes that are no number yet, as while somebody types
            ready = Readiness(False, (), str(error))
        return {
            self.ui.readiness: facts(ready.facts, ready.text),
            self.ui.begin: gr.Button(interactive=ready.ready),
            self.ui.to_rate: gr.Button(visible=ready.needs_ratings),
            self.ui.real: gr.File(visible=objective == "ipo"),
        }

    def on_category(
        self, category: str, request: gr.Request | None = None, profile: gr.OAuthProfile | None = None
    ) -> Changes:
        with toasts():
            return self.learned.show(category, may=may_change(request, profile))

    def starts(self, category: str, chosen: str | None = "") -> Changes:
        """What a run of an action can begin as; what was chosen, or is meanwhile, stays if it is still there."""
        choices = self.ui.start_choices(category)
        stays = chosen in dict(choices).values()
        return {self.ui.start: gr.Dropdown(choices) if stays else gr.Dropdown(choices, value="")}

    # The run

    def on_begin(
        self,
        category: str,
        objective: str,
        start: str,
        minutes: float,
        real: list[str] | None = None,
        current: Turn | None = None,
    ) -> Changes:
        with toasts():
            run = runs.begin(self.backbone, self.store, category, objective, start, minutes, draw_seed(), real or ())
            return self.started(run, current)

    def on_resume(self, run: str | None, current: Turn | None = None) -> Changes:
        with toasts():
            if not run:
                raise ValueError("There is no unfinished run to go on with.")
            if self.unfinished.is_trained(run):  # to wait for it in silence would look like a page that hangs
                return self.unfinished.show()
            return self.started(run, current) | self.drawn(run, runs.log_of(self.backbone.preset, run))

    def started(self, run: str, current: Turn | None) -> Changes:
        runs.folder_of(self.backbone.preset, run)  # ValueError for one that is not there
        if current:  # a page trains one run at a time
            current.over = True
        return {
            self.ui.current: self.unfinished.take(run),
            self.ui.timer: True,
            self.ui.meter: meter_value(self.run.waiting(f"{run}: getting ready …"), total=None),
            self.ui.pause: gr.Button(visible=True),
            self.ui.begin: gr.Button(visible=False),
            self.ui.empty: gr.HTML(visible=False),
        } | self.unfinished.hidden()

    def on_slice(
        self, turn: Turn | None, request: gr.Request | None = None, profile: gr.OAuthProfile | None = None
    ) -> Iterator[Changes]:
        """Trains for one slice, showing every step; ends the run when it is over, pauses it when something failed."""
        if turn is None or not self.unfinished.keep(turn):
            # Asked for just before a pause, as the page knows; or after its machine slept, and then it does not know.
            yield self.paused(turn, "Another page has gone on with this run.")
            return
        try:
            yield from self.one_slice(turn, may_change(request, profile))
        except gr.Error as error:  # out of quota, a clip that cannot be read: what was learned is kept
            yield self.paused(turn, f"Paused: {html.unescape(error.message)}")
        except Exception as error:  # whatever it is: the ticker would try it again and again
            traceback.print_exc()
            yield self.paused(turn, f"Paused by an error of this program ({type(error).__name__}): try to go on.")
        except GeneratorExit:  # the page was closed, or has lost the server: it may come back before another one
            turn.until = 0.0
            raise

    def one_slice(self, turn: Turn, may: bool) -> Iterator[Changes]:
        run, event = turn.run, None
        with toasts():
            plan = runs.plan_of(self.backbone, self.store, run)
            rows = runs.log_of(self.backbone.preset, run)
        with closing(runs.train_slice(self.run, plan)) as events:  # has toasts of its own
            for event in events:
                if isinstance(event, PreferenceRecord):
                    rows.append(event.to_row())
                    changes = self.drawn(run, rows, plan.examples.first_prompt)
                elif isinstance(event, Encoded):
                    text = f"{run}: reading clip {event.done} of {event.total}"
                    changes = {self.ui.meter: meter_value(text, event.done, event.total)}
                elif isinstance(event, Measuring):
                    text = f"{run}: {measuring_words(self.backbone, event)}"
                    changes = {self.ui.meter: meter_value(text, event.done, event.total)}
                else:  # the adapter: the run is finished, also if it was paused meanwhile
                    continue
                if not self.unfinished.keep(turn):  # looked at last: what a pause says has the higher number then
                    yield {self.ui.meter: gr.skip()}  # Gradio takes {} for a mistake
                    return
                yield changes
        if isinstance(event, Adapter):
            stopped = str(event.card["stopped_because"])
            reason = f" early: {stopped}" if stopped else ""
            yield self.ended(turn, plan, f"{run} is finished{reason}", may)

    def on_pause(self, turn: Turn | None) -> Changes:
        return self.paused(turn, f"{turn.run} is paused. What it learned is kept." if turn else "")

    def paused(self, turn: Turn | None, text: str) -> Changes:
        """Ends the page's turn with a run, once: after that the page may have begun another one."""
        if turn is None or turn.over:
            return {self.ui.meter: gr.skip()}
        turn.over = True
        return self.idle(text) | self.unfinished.show(turn.run)

    def ended(self, turn: Turn, plan: RunPlan, text: str, may: bool) -> Changes:
        text = f"{text}. Try it in the tab Create, or make pairs to vote on below."
        found = {self.ui.meter: meter_value(text)} if turn.over else self.idle(text)
        turn.over = True
        learned = self.learned.turn_to(plan.category, plan.out.name, "", may)
        return found | self.starts(plan.category) | self.unfinished.show() | learned

    def idle(self, text: str) -> Changes:
        """No run is under way."""
        return {
            self.ui.current: None,
            self.ui.timer: False,
            self.ui.meter: meter_value(text),
            self.ui.pause: gr.Button(visible=False),
            self.ui.begin: gr.Button(visible=True),
        }

    def on_discard(
        self,
        run: str | None,
        pressed: str,  # what the button said
        request: gr.Request | None = None,
        profile: gr.OAuthProfile | None = None,
    ) -> Changes:
        with toasts():
            if not may_change(request, profile):
                raise ValueError("Nothing is discarded here.")
            if not run:
                raise ValueError("There is no unfinished run to discard.")
            if self.unfinished.is_trained(run):
                return self.unfinished.show() | {self.unfinished.discard: gr.Button("Discard")}
            if pressed != (really := REALLY_DISCARD.format(run)):
                return {self.unfinished.discard: gr.Button(really)}
            runs.discard(self.backbone.preset, run)
        hidden = {self.ui.plots_row: gr.Row(visible=False), self.ui.clips: gr.Row(visible=False)}
        hidden |= {self.unfinished.discard: gr.Button("Discard"), self.ui.empty: gr.HTML(visible=True)}
        return {self.ui.meter: meter_value(f"{run} is gone.")} | self.unfinished.show() | hidden

    def drawn(self, run: str, rows: list[Row], prompt: str = "") -> Changes:
        """Progress, plots and the latest clips of a run."""
        if not rows:
            return {}
        ui, last = self.ui, rows[-1]
        right = "" if last["accuracy"] is None else f"{last['accuracy']:.0%} right, "
        left = duration(last["seconds_left"] + measuring_seconds(self.backbone))
        text = f"{run}: step {last['step']:.0f}, {right}about {left} left with the measuring at the end"
        changes = {ui.meter: meter_value(text, round(last["step"]), round(last["steps"]))}
        changes |= {ui.plots_row: gr.Row(visible=True), ui.empty: gr.HTML(visible=False)}
        x_lim = [0, max(FEWEST_ON_AXIS, round(last["step"]))]
        for plot, lines in zip(ui.plots, PLOTS.values(), strict=True):
            changes[plot] = gr.LinePlot(plot_of(rows, lines), x_lim=x_lim)
        clips = validation_clips(runs.folder_of(self.backbone.preset, run) / "clips")
        if 0 in clips and len(clips) > 1:
            before, after = (str(self.shown(clip)) for clip in (clips[0][0], clips[max(clips)][0]))
            changes |= {ui.clips: gr.Row(visible=True), ui.before: before, ui.after: after}
            changes[ui.prompt] = prompt and f"Prompt: {prompt}"  # without one while a run is taken up again
        return changes

    def shown(self, clip: Path) -> Path:
        """A copy of a run's clip under a name that cannot be guessed: others' real clips lie beside it."""
        which = f"{clip} {clip.stat().st_mtime_ns}".encode()
        return blind_copy(clip, shown_folder(), rater_salt(home()) + which)
