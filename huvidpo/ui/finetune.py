"""What each control of the tab Fine-tune does. Knows nothing of how training works, nor of the layout.

A run is a chain of slices. The page's timer asks for the next one as soon as the last is over; so each slice is a
request of the visitor's own, which is what ZeroGPU counts, and a reload, a pause or an empty quota lose nothing.
"""

import html
import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import gradio as gr

from huvidpo import candidates
from huvidpo.adapters import Adapter, find_adapter, list_adapters
from huvidpo.backbones import LoadedBackbone
from huvidpo.home import home
from huvidpo.preferences.gate import Verdict, judge
from huvidpo.preferences.store import RatingStore
from huvidpo.takes import draw_seed
from huvidpo.training.runs import is_over
from huvidpo.training.validation import validation_clips
from huvidpo.ui import finetune_runs as runs
from huvidpo.ui.finetune_layout import PLOTS, FinetuneLayout, plot_of
from huvidpo.ui.making import Run, duration
from huvidpo.ui.toasts import toasts
from huvidpo.ui.widgets import meter_value

Changes = dict[Any, Any]  # component -> its new value or settings
QUIET = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


class FinetuneTab:
    """The tab, working. Every handler returns or yields the components that it changes."""

    def __init__(
        self, page: gr.Blocks, backbone: LoadedBackbone, run: Run, gpu_events: dict[str, Any], zero_gpu: bool
    ):
        self.backbone, self.run, self.zero_gpu = backbone, run, zero_gpu
        # On a Space whoever comes could delete what others made.
        self.ui = FinetuneLayout(backbone.preset, may_delete=not os.environ.get("SPACE_ID"))
        self._wire(page, gpu_events)

    def _wire(self, page: gr.Blocks, gpu_events: dict[str, Any]) -> None:
        ui = self.ui
        asked = [ui.category, ui.objective, ui.minutes]
        shown = [ui.timer, ui.current, ui.meter, ui.pause, ui.begin, ui.resume, *ui.plots, ui.clips, ui.before]
        shown += [ui.after, ui.unfinished, ui.start, ui.adapter]
        spoken = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
        slices = ui.timer.tick(
            self.on_slice,
            ui.current,
            shown,
            trigger_mode="once",
            show_progress="hidden",
            api_visibility="private",
            **gpu_events,
        )
        ui.begin.click(self.on_begin, [ui.category, ui.objective, ui.start, ui.minutes], shown, **spoken)
        ui.resume.click(self.on_resume, ui.unfinished, shown, **spoken)
        ui.pause.click(self.on_pause, ui.current, shown, cancels=[slices], **QUIET)
        ui.discard.click(self.on_discard, ui.unfinished, shown, **spoken)
        ui.category.change(self.on_category, ui.category, [ui.start, ui.adapter, ui.verdict], **QUIET)
        gr.on([control.change for control in asked], self.on_readiness, asked, [ui.readiness, ui.begin], **QUIET)
        named = [ui.category, ui.adapter]
        ui.adapter.change(self.on_adapter, named, [ui.verdict, ui.promote, ui.download], **QUIET)
        changed = [ui.adapter, ui.start, ui.verdict]
        ui.promote.click(self.on_promote, named, changed, **spoken)
        ui.rollback.click(self.on_rollback, ui.category, changed, **spoken)
        ui.delete.click(self.on_delete, named, changed, **spoken)
        page.load(self.on_load, asked, [ui.readiness, ui.begin, ui.unfinished], **QUIET)

    # Before

    def on_load(self, *asked: Any) -> Changes:
        return self.on_readiness(*asked) | {self.ui.unfinished: self.unfinished_choices()}

    def on_readiness(self, category: str, objective: str, minutes: float) -> Changes:
        with toasts():
            ready = runs.readiness(self.backbone, category, objective, minutes, self.zero_gpu)
        return {self.ui.readiness: ready.text, self.ui.begin: gr.Button(interactive=ready.ready)}

    def on_category(self, category: str) -> Changes:
        with toasts():
            choices = self.ui.learned(category)
            return {
                self.ui.start: gr.Dropdown(self.ui.start_choices(category), value=""),
                self.ui.adapter: gr.Dropdown(choices, value=None),
                self.ui.verdict: "",
            }

    # The run

    def on_begin(self, category: str, objective: str, start: str, minutes: float) -> Changes:
        with toasts():
            run = runs.begin(self.backbone, category, objective, start, minutes, draw_seed())
            return self.started(run)

    def on_resume(self, run: str | None) -> Changes:
        with toasts():
            if not run:
                raise ValueError("There is no unfinished run to go on with.")
            return self.started(run) | self.drawn(run, runs.log_of(self.backbone.preset, run)[0])

    def started(self, run: str) -> Changes:
        runs.read_run(self.backbone.preset, run)  # ValueError for one that is not there
        return {
            self.ui.current: run,
            self.ui.timer: gr.Timer(active=True),
            self.ui.meter: meter_value(f"{run}: getting ready …"),
            self.ui.pause: gr.Button(visible=True),
            self.ui.begin: gr.Button(interactive=False),
            self.ui.resume: gr.Button(interactive=False),
        }

    def on_slice(self, run: str) -> Iterator[Changes]:
        """Trains for one slice, showing every step; ends the run when it is over, pauses it when something failed."""
        try:
            with toasts():
                plan = runs.plan_of(self.backbone, run)
                rows, record = runs.log_of(self.backbone.preset, run)[0], None
            for record in runs.train_slice(self.run, plan):  # has toasts of its own
                rows.append(record.to_row())
                yield self.drawn(run, rows)
        except gr.Error as error:  # out of quota, a clip that cannot be read: what was learned is kept
            yield self.paused(run, f"Paused: {html.unescape(error.message)}")
            return
        if record is None or is_over(record):
            reason = f" early: {record.stopped}" if record and record.stopped else ""
            yield self.ended(run, plan.category, plan.out.name, f"{run} is finished{reason}")

    def on_pause(self, run: str) -> Changes:
        return self.paused(run, f"{run} is paused. What it learned is kept.")

    def paused(self, run: str, text: str) -> Changes:
        return self.idle(text) | {self.ui.unfinished: self.unfinished_choices(run)}

    def ended(self, run: str, category: str, adapter: str, text: str) -> Changes:
        choices = self.ui.learned(category)
        return self.idle(f"{text} Try it in the tab Create, or let people vote in the tab Rate.") | {
            self.ui.unfinished: self.unfinished_choices(),
            self.ui.start: gr.Dropdown(self.ui.start_choices(category)),
            self.ui.adapter: gr.Dropdown(choices, value=adapter),
        }

    def idle(self, text: str) -> Changes:
        return {
            self.ui.timer: gr.Timer(active=False),
            self.ui.meter: meter_value(text),
            self.ui.pause: gr.Button(visible=False),
            self.ui.begin: gr.Button(interactive=True),
            self.ui.resume: gr.Button(interactive=True),
        }

    def on_discard(self, run: str | None) -> Changes:
        with toasts():
            if not run:
                raise ValueError("There is no unfinished run to discard.")
            runs.discard(self.backbone.preset, run)
        return self.idle(f"{run} is gone.") | {self.ui.unfinished: self.unfinished_choices()}

    def drawn(self, run: str, rows: list[dict[str, float]]) -> Changes:
        """Progress, plots and the latest clips of a run."""
        if not rows:
            return {}
        ui, last = self.ui, rows[-1]
        request = runs.read_run(self.backbone.preset, run)
        left = last["seconds_left"]
        text = f"{run}: step {last['step']:.0f}, {last['accuracy']:.0%} right, about {duration(left)} left"
        total = 60 * request.minutes
        changes = {ui.meter: meter_value(text, round(max(0.0, total - left)), round(total))}
        changes |= {plot: plot_of(rows, lines) for plot, lines in zip(ui.plots, PLOTS.values(), strict=True)}
        folder = runs.run_folder(self.backbone.preset.name, request.category, request.name) / "clips"
        clips = validation_clips(folder)
        if 0 in clips and len(clips) > 1:
            before, after = clips[0][0], clips[max(clips)][0]
            changes |= {ui.clips: gr.Row(visible=True), ui.before: str(before), ui.after: str(after)}
        return changes

    def unfinished_choices(self, chosen: str | None = None) -> gr.Dropdown:
        names = runs.unfinished_runs(self.backbone.preset)
        return gr.Dropdown(names, value=chosen if chosen in names else next(iter(names), None))

    # What was learned

    def on_adapter(self, category: str, name: str | None) -> Changes:
        with toasts():
            adapter = self.find(category, name)
            if adapter is None:
                return {self.ui.verdict: "", self.ui.promote: gr.Button(interactive=False), self.ui.download: None}
            verdict = self.verdict(adapter)
            packed = self.packed(adapter)
            text = f"{verdict.wins} votes for it, {verdict.losses} against, {verdict.ties} ties. {verdict.reason}"
            return {
                self.ui.verdict: text,
                self.ui.promote: gr.Button(interactive=verdict.passed and adapter.status != "default"),
                self.ui.download: str(packed),
            }

    def on_promote(self, category: str, name: str | None) -> Changes:
        with toasts():
            adapter = self.find(category, name)
            if adapter is None or not (verdict := self.verdict(adapter)).passed:
                raise ValueError(f"Not yet: {verdict.reason}" if adapter else "Choose an adapter first.")
            candidates.promote(adapter)
            return self.listed(category, f"{adapter.name} is the default of {category} now.", adapter.name)

    def on_rollback(self, category: str) -> Changes:
        with toasts():
            adapter = candidates.rollback(self.backbone.preset.name, category)
            return self.listed(category, f"{adapter.name} is the default of {category} again.", adapter.name)

    def on_delete(self, category: str, name: str | None) -> Changes:
        with toasts():
            adapter = self.find(category, name)
            if adapter is None or os.environ.get("SPACE_ID"):
                raise ValueError("Choose an adapter first." if adapter is None else "Nothing is deleted here.")
            candidates.delete(adapter)
            return self.listed(category, f"{adapter.name} is gone.", None)

    def listed(self, category: str, text: str, name: str | None) -> Changes:
        return {
            self.ui.adapter: gr.Dropdown(self.ui.learned(category), value=name),
            self.ui.start: gr.Dropdown(self.ui.start_choices(category)),
            self.ui.verdict: text,
        }

    def find(self, category: str, name: str | None) -> Adapter | None:
        """One of the adapters that are listed: a browser's word names no folder."""
        if name and name in {adapter.name for adapter in list_adapters(self.backbone.preset.name, category)}:
            return find_adapter(self.backbone.preset.name, category, name)
        return None

    def packed(self, adapter: Adapter) -> Path:
        """The adapter as a zip, written once, where Gradio may send files from."""
        folder = Path(tempfile.gettempdir()) / "huvidpo-adapters" / adapter.revision()
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{adapter.name}.zip"
        return path if path.is_file() else candidates.pack(adapter, path)

    def verdict(self, adapter: Adapter) -> Verdict:
        parent = next(iter(adapter.parents()), None)
        with closing(RatingStore(home())) as store:
            ratings = store.ratings(adapter.category)
        return judge(ratings, adapter.revision(), parent.revision() if parent else "")
