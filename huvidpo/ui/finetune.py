"""What each control of the tab Fine-tune does. Knows nothing of how training works, nor of the layout.

A run is a chain of slices. The page's timer asks for the next one as soon as the last is over; so each slice is a
request of the visitor's own, which is what ZeroGPU counts, and a reload, a pause or an empty quota lose nothing.
"""

import html
import traceback
from collections.abc import Iterator
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
        shown = [ui.timer, ui.current, ui.latest, ui.meter, ui.pause, ui.begin, unfinished.resume, ui.empty]
        shown += [ui.plots_row, *ui.plots, ui.clips, ui.prompt, ui.before, ui.after, ui.start]
        shown += [*unfinished.parts, *self.learned.parts]
        slices = ui.timer.tick(
            self.on_slice,
            ui.current,
            shown,
            trigger_mode="once",
            show_progress="hidden",
            api_visibility="private",
            **gpu_events,
        )
        ui.begin.click(self.on_begin, [ui.category, ui.objective, ui.start, ui.minutes, ui.real], shown, **SPOKEN)
        unfinished.resume.click(self.on_resume, unfinished.runs, shown, **SPOKEN)
        paused = ui.pause.click(self.on_pause, ui.current, shown, cancels=[slices], **QUIET)
        # A cancelled slice counts as failed: this comes after its last update, which may be later than Pause's words.
        # By a state: Gradio would refuse the name that a list has lost since the browser sent it.
        slices.failure(self.on_cancelled, [ui.current, ui.latest], shown, **QUIET)
        pressed = [unfinished.runs, unfinished.discard]
        discarded = unfinished.discard.click(self.on_discard, pressed, [*shown, unfinished.discard], **SPOKEN)
        ui.category.input(self.on_category, ui.category, self.learned.parts, **LATEST)
        ui.category.change(self.starts, ui.category, ui.start, **LATEST)  # a run that ends changes it too
        ready = [ui.readiness, ui.begin, ui.to_rate, ui.real]
        gr.on([control.change for control in asked], self.on_readiness, [*asked, ui.current], ready, **LATEST)
        for over in (slices, paused, discarded):  # the form may be about another action than the run was
            over.then(self.on_readiness, [*asked, ui.current], ready, **QUIET)
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
        current: str,
        start: str | None,
        adapter: str | None,
        request: gr.Request | None = None,
        profile: gr.OAuthProfile | None = None,
    ) -> Changes:
        may = may_change(request, profile)
        ready = self.on_readiness(category, objective, minutes, current)
        if current:  # what is on the page is the run's
            return ready
        changeable = {self.unfinished.discard: gr.Button("Discard", visible=may)}
        shown = self.starts(category, start) | self.unfinished.show() | self.learned.show(category, adapter, may=may)
        return ready | changeable | shown

    def on_readiness(self, category: str, objective: str, minutes: float, current: str = "") -> Changes:
        try:
            ready = readiness(self.backbone, self.store, category, objective, minutes)
        except ValueError as error:  # minutes that are no number yet, as while somebody types
            ready = Readiness(False, (), str(error))
        return {
            self.ui.readiness: facts(ready.facts, ready.text),
            self.ui.begin: gr.Button(interactive=ready.ready and not current),
            self.ui.to_rate: gr.Button(visible=ready.needs_ratings),
            self.ui.real: gr.File(visible=objective == "ipo"),
        }

    def on_category(
        self, category: str, request: gr.Request | None = None, profile: gr.OAuthProfile | None = None
    ) -> Changes:
        with toasts():
            return self.learned.show(category, may=may_change(request, profile))

    def starts(self, category: str, chosen: str | None = "") -> Changes:
        """What a run of an action can begin as; what was chosen stays if it is still there."""
        choices = self.ui.start_choices(category)
        return {self.ui.start: gr.Dropdown(choices, value=chosen if chosen in dict(choices).values() else "")}

    # The run

    def on_begin(
        self, category: str, objective: str, start: str, minutes: float, real: list[str] | None = None
    ) -> Changes:
        with toasts():
            run = runs.begin(self.backbone, self.store, category, objective, start, minutes, draw_seed(), real or ())
            return self.started(run)

    def on_resume(self, run: str | None) -> Changes:
        with toasts():
            if not run:
                raise ValueError("There is no unfinished run to go on with.")
            if self.unfinished.is_trained(run):  # to wait for it in silence would look like a page that hangs
                return self.unfinished.show()
            return self.started(run) | self.drawn(run, runs.log_of(self.backbone.preset, run))

    def started(self, run: str) -> Changes:
        runs.read_run(self.backbone.preset, run)  # ValueError for one that is not there
        self.unfinished.expect(run)
        return {
            self.ui.current: run,
            self.ui.latest: run,
            self.ui.timer: gr.Timer(active=True),
            self.ui.meter: meter_value(self.run.waiting(f"{run}: getting ready …"), total=None),
            self.ui.pause: gr.Button(visible=True),
            self.ui.begin: gr.Button(interactive=False),
            self.unfinished.resume: gr.Button(interactive=False),
            self.ui.empty: gr.HTML(visible=False),
        } | self.unfinished.hidden()

    def on_slice(
        self, run: str, request: gr.Request | None = None, profile: gr.OAuthProfile | None = None
    ) -> Iterator[Changes]:
        """Trains for one slice, showing every step; ends the run when it is over, pauses it when something failed."""
        if run and not self.unfinished.is_awaited(run):  # asked for just before the page heard that the run is paused
            yield {self.ui.meter: gr.skip()}
            return
        try:
            with self.unfinished.training(run):
                yield from self.one_slice(run, may_change(request, profile))
        except gr.Error as error:  # out of quota, a clip that cannot be read: what was learned is kept
            yield self.paused(run, f"Paused: {html.unescape(error.message)}")
        except Exception as error:  # whatever it is: the timer would try it again and again
            traceback.print_exc()
            yield self.paused(run, f"Paused by an error of this program ({type(error).__name__}): try to go on.")

    def one_slice(self, run: str, may: bool) -> Iterator[Changes]:
        with toasts():
            plan = runs.plan_of(self.backbone, self.store, run)
            rows, event = runs.log_of(self.backbone.preset, run), None
        for event in runs.train_slice(self.run, plan):  # has toasts of its own
            if isinstance(event, PreferenceRecord):
                rows.append(event.to_row())
                yield self.drawn(run, rows, plan.examples.first_prompt)
            elif isinstance(event, Encoded):
                text = f"{run}: reading clip {event.done} of {event.total}"
                yield {self.ui.meter: meter_value(text, event.done, event.total)}
            elif isinstance(event, Measuring):
                text = f"{run}: {measuring_words(self.backbone, event)}"
                yield {self.ui.meter: meter_value(text, event.done, event.total)}
        if isinstance(event, Adapter):
            stopped = str(event.card["stopped_because"])
            reason = f" early: {stopped}" if stopped else ""
            yield self.ended(plan.category, plan.out.name, f"{run} is finished{reason}", may)

    def on_pause(self, run: str) -> Changes:
        return self.paused(run, f"{run} is paused. What it learned is kept.")

    def on_cancelled(self, current: str, latest: str) -> Changes:
        """Says once more that the run is paused; nothing where it was discarded or another one has begun."""
        is_paused = not current and latest in runs.unfinished_runs(self.backbone.preset)
        return self.on_pause(latest) if is_paused else {self.ui.meter: gr.skip()}  # Gradio takes {} for a mistake

    def paused(self, run: str, text: str) -> Changes:
        self.unfinished.stopped(run)
        return self.idle(text) | self.unfinished.show(run)

    def ended(self, category: str, adapter: str, text: str, may: bool) -> Changes:
        found = self.idle(f"{text}. Try it in the tab Create, or make pairs to vote on below.")
        learned = self.learned.turn_to(category, adapter, "", may)
        return found | self.starts(category) | self.unfinished.show() | learned

    def idle(self, text: str) -> Changes:
        """No run is under way; whether one can begin is for `on_readiness` to say, which follows."""
        return {
            self.ui.current: "",
            self.ui.timer: gr.Timer(active=False),
            self.ui.meter: meter_value(text),
            self.ui.pause: gr.Button(visible=False),
            self.unfinished.resume: gr.Button(interactive=True),
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
        return self.idle(f"{run} is gone.") | self.unfinished.show() | hidden

    def drawn(self, run: str, rows: list[Row], prompt: str = "") -> Changes:
        """Progress, plots and the latest clips of a run."""
        if not rows:
            return {}
        ui, last = self.ui, rows[-1]
        request = runs.read_run(self.backbone.preset, run)
        right = "" if last["accuracy"] is None else f"{last['accuracy']:.0%} right, "
        left = duration(last["seconds_left"] + measuring_seconds(self.backbone))
        text = f"{run}: step {last['step']:.0f}, {right}about {left} left with the measuring at the end"
        changes = {ui.meter: meter_value(text, round(last["step"]), round(last["steps"]))}
        changes[ui.plots_row] = gr.Row(visible=True)
        x_lim = [0, max(FEWEST_ON_AXIS, round(last["step"]))]
        for plot, lines in zip(ui.plots, PLOTS.values(), strict=True):
            changes[plot] = gr.LinePlot(plot_of(rows, lines), x_lim=x_lim)
        folder = runs.run_folder(self.backbone.preset.name, request.category, request.name) / "clips"
        clips = validation_clips(folder)
        if 0 in clips and len(clips) > 1:
            before, after = (str(self.shown(clip)) for clip in (clips[0][0], clips[max(clips)][0]))
            changes |= {ui.clips: gr.Row(visible=True), ui.before: before, ui.after: after}
            changes[ui.prompt] = prompt and f"Prompt: {prompt}"  # without one while a run is taken up again
        return changes

    def shown(self, clip: Path) -> Path:
        """A copy of a run's clip under a name that cannot be guessed: others' real clips lie beside it."""
        which = f"{clip} {clip.stat().st_mtime_ns}".encode()
        return blind_copy(clip, shown_folder(), rater_salt(home()) + which)
