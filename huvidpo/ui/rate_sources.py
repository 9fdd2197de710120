"""Where pairs come from, beside the queue: a prompt, two clips of the visitor's own, and scores of many clips."""

import secrets
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import gradio as gr

from huvidpo.adapters import motion_notice
from huvidpo.backbones import LoadedBackbone
from huvidpo.categories import known_categories
from huvidpo.preferences.new_pairs import add_uploaded_pair, clips_to_score, rate_by_scores, uploads_to_score
from huvidpo.preferences.open_pair import Visitor
from huvidpo.preferences.rate_limit import RateLimit
from huvidpo.preferences.records import Pair, TakeRecord
from huvidpo.ui.events import LATEST, QUIET, SPOKEN, STOPPING, Changes
from huvidpo.ui.making import View
from huvidpo.ui.pair_making import make_pair
from huvidpo.ui.phrases import counted
from huvidpo.ui.rate import RateTab
from huvidpo.ui.scored_clips import scored_value
from huvidpo.ui.toasts import STOPPED, toasts, told
from huvidpo.ui.turns import CountedRun
from huvidpo.ui.widgets import meter_value
from huvidpo.words import action_notice, notices

SETS = 500  # sets of clips to score that are remembered at once
READY = "Here is your pair. Watch both clips once, then choose."


class PairSources:
    """The controls below the stage, working; whoever makes a pair gets it on the stage at once."""

    def __init__(self, tab: RateTab, backbone: LoadedBackbone, run: CountedRun, gpu_events: dict[str, Any]):
        self.tab, self.backbone, self.run, self.ui = tab, backbone, run, tab.ui
        self.limit = RateLimit(12, 600)
        self._sets: OrderedDict[str, tuple[str, str, list[TakeRecord]]] = OrderedDict()
        self._wire(gpu_events)

    def _wire(self, gpu_events: dict[str, Any]) -> None:
        ui, who = self.ui, self.ui.visitor
        live = [*self.tab.stage_parts, ui.meter, ui.reason, ui.make, ui.stop]
        shown = {"api_visibility": "private", "show_progress": "hidden", **gpu_events}
        making = ui.make.click(self.on_wait, None, live, **QUIET).then(
            self.on_make, [who, ui.prompt, ui.action], live, **shown
        )
        making.failure(self.on_stop, ui.reason, live, **QUIET)
        making.success(None, js="() => bringIntoView('#player')", **QUIET)
        ui.stop.click(None, None, ui.stop, cancels=making, **STOPPING)
        words = [ui.action, ui.prompt]
        ui.action.input(None, words, ui.prompt, js="promptFor", api_visibility="private")
        changes = [*(box.change for box in words), ui.tab.select]  # an action may have been taught meanwhile
        gr.on(changes, self.on_words, words, ui.unknown, **LATEST)
        own = [who, *ui.files, ui.own_prompt, ui.own_action]
        added = ui.add.click(self.on_add, own, [*self.tab.stage_parts, *ui.files], **SPOKEN)
        added.success(None, js="() => bringIntoView('#player')", **QUIET)
        ui.fetch.click(self.on_fetch, [who, ui.scored_action], ui.scored, **SPOKEN)
        ui.scored_files.upload(
            self.on_scored_files, [who, ui.scored_files, ui.scored_action], [ui.scored, ui.scored_files], **SPOKEN
        )
        scored = ui.scored.scores(self.on_scores, who, [ui.scored, *self.tab.stage_parts], **SPOKEN)
        scored.failure(self.tab.on_stage, who, self.tab.stage_parts, **QUIET)

    def bringing(self, known: object, request: gr.Request, profile: gr.OAuthProfile | None) -> Visitor:
        """Who brings new clips, which costs the server time. ValueError when it is too often."""
        visitor = self.tab.visitor(known, request, profile)
        self.limit.check(visitor.rater)
        return visitor

    # From a prompt

    def on_wait(self) -> Changes:
        """At once: the model may be busy for others, and then the queue is long silent."""
        begun = {self.ui.reason: STOPPED, self.ui.stop: gr.Button("Cancel", visible=True)}
        return self.progress(View(self.run.waiting())) | begun

    def on_make(
        self, known: object, prompt: str, category: str, request: gr.Request, profile: gr.OAuthProfile | None
    ) -> Iterator[Changes]:
        def steps() -> Iterator[Changes]:
            visitor = self.bringing(known, request, profile)
            for item in make_pair(self.run, self.backbone.preset, self.tab.store, prompt, category, "live"):
                if isinstance(item, Pair):
                    self.tab.booth.put(visitor, item)
                    done = self.progress(View("Your pair is on the stage.", busy=False))
                    yield done | self.tab.show(visitor, opening=READY)
                else:
                    yield self.progress(item)

        yield from told(steps(), self.ui.reason)

    def on_stop(self, reason: str = STOPPED) -> Changes:
        """The run has ended, by Cancel or by a toast, whose words are said once more, as toasts go."""
        return self.progress(View(reason, busy=False))

    def progress(self, view: View) -> Changes:
        return {
            self.ui.meter: meter_value(view.text, view.step, view.total),
            self.ui.make: gr.Button(interactive=not view.busy),
            self.ui.stop: gr.Button(visible=view.busy),
        }

    def on_words(self, category: str, prompt: str) -> str:
        moves = motion_notice(self.backbone.preset.name, category, "") if category in known_categories() else ""
        return " ".join(filter(None, [moves, action_notice(category, prompt), *notices(self.backbone, prompt)]))

    # Clips of the visitor's own

    def on_add(
        self,
        known: object,
        first: str | None,
        second: str | None,
        prompt: str,
        category: str,
        request: gr.Request,
        profile: gr.OAuthProfile | None,
    ) -> Changes:
        with toasts():
            visitor = self.bringing(known, request, profile)
            self.tab.booth.put(visitor, add_uploaded_pair(self.tab.store, (first, second), prompt, category))
            return dict.fromkeys(self.ui.files) | self.tab.show(visitor, opening=READY)

    # Scores

    def on_fetch(
        self, known: object, category: str, request: gr.Request, profile: gr.OAuthProfile | None
    ) -> dict[str, Any]:
        with toasts():
            visitor = self.tab.visitor(known, request, profile)
            takes = clips_to_score(self.tab.store, category, self.backbone.preset.name)
            return self.remember(visitor, category, takes)

    def on_scored_files(
        self,
        known: object,
        files: list[str] | None,
        category: str,
        request: gr.Request,
        profile: gr.OAuthProfile | None,
    ) -> Changes:
        with toasts():
            visitor = self.bringing(known, request, profile)
            takes = uploads_to_score(self.tab.store, files, category)
            return {self.ui.scored: self.remember(visitor, category, takes), self.ui.scored_files: None}

    def remember(self, visitor: Visitor, category: str, takes: list[TakeRecord]) -> dict[str, Any]:
        """Shows takes to be scored; only this visitor can score them, and only once."""
        name = secrets.token_hex(8)
        self._sets[name] = (visitor.rater, category, takes)
        if len(self._sets) > SETS:
            self._sets.popitem(last=False)
        clips = [self.tab.blind(take) for take in takes]
        return scored_value(name, clips, "Watch each clip, then give it 0 (bad) to 10 (perfect).")

    def on_scores(
        self, known: object, event: gr.EventData, request: gr.Request, profile: gr.OAuthProfile | None
    ) -> Changes:
        with toasts():
            visitor = self.tab.visitor(known, request, profile)
            sent = event._data if isinstance(event._data, dict) else {}
            name = str(sent.get("set"))
            rater, category, takes = self._sets.get(name, ("", "", []))
            if rater != visitor.rater:
                raise ValueError("These clips were scored already, or the page was restarted; show them again.")
            self.limit.check(visitor.rater)
            who = (visitor.rater, visitor.kind, visitor.session)
            saved = rate_by_scores(self.tab.store, takes, sent.get("scores"), category, *who)
            del self._sets[name]
            thanks = f"Thank you: {counted(len(saved), 'rating')} saved from {counted(len(takes), 'clip')}."
            return {self.ui.scored: scored_value("", [], thanks)} | self.tab.show(visitor)
