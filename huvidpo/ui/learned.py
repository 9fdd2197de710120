"""What becomes of what was learned: votes, promotion, download, deletion. Knows nothing of how it was trained.

Pairs to vote on are made one by one, each by a request of the visitor's own, as slices of training are: on ZeroGPU it
is that visitor's quota, elsewhere others get their turn between two pairs, and what is made stays when the page goes.
"""

import html
import shutil
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import gradio as gr

from huvidpo import candidates
from huvidpo.adapters import Adapter, list_adapters, read_promotions
from huvidpo.backbones import LoadedBackbone
from huvidpo.categories import find_category
from huvidpo.preferences.records import Pair
from huvidpo.preferences.store import RatingStore
from huvidpo.shared_adapters import adapters_repo, can_push
from huvidpo.ui.contest import make_contest_pair, verdict_on, waiting_pairs
from huvidpo.ui.events import LATEST, QUIET, SPOKEN, Changes
from huvidpo.ui.learned_layout import Contest, LearnedLayout, adapter_facts, learned_choices
from huvidpo.ui.making import pair_quota_words
from huvidpo.ui.owner import may_change
from huvidpo.ui.toasts import toasts
from huvidpo.ui.turns import CountedRun
from huvidpo.ui.widgets import facts, meter_value

REALLY_DELETE = "Really delete {}?"  # with its name: of two adapters the one that was meant
WAITING_PAIRS = 12  # of two adapters that lie in the tab Rate without a vote, after one click
PACKED = "huvidpo-adapter-"  # how the names of folders begin in which adapters are packed


class Learned:
    """The section, working. Every handler returns or yields the components that it changes."""

    def __init__(
        self,
        category: gr.Dropdown,
        backbone: LoadedBackbone,
        store: RatingStore,
        run: CountedRun,
        gpu_events: dict[str, Any],
    ):
        self.category, self.backbone, self.store, self.run = category, backbone, store, run
        self.ui = LearnedLayout(backbone.preset, category.value, pair_quota_words(backbone, WAITING_PAIRS))
        self._wire(gpu_events)

    def _wire(self, gpu_events: dict[str, Any]) -> None:
        ui, category, named = self.ui, self.category, [self.category, self.ui.adapter]
        self.parts = [category, ui.section, ui.empty, ui.adapter, ui.about, ui.vote, ui.to_rate, ui.promote]
        self.parts += [ui.download, ui.delete, ui.push, ui.rollback, ui.meter, ui.stop, ui.timer, ui.contest]
        ui.adapter.input(self.on_adapter, named, self.parts, **LATEST)
        ui.timer.tick(
            self.on_pair,
            ui.contest,
            self.parts,
            trigger_mode="once",
            show_progress="hidden",
            api_visibility="private",
            **gpu_events,
        )
        ui.vote.click(self.on_vote, [*named, ui.contest], self.parts, **SPOKEN)
        ui.stop.click(self.on_stop, ui.contest, self.parts, **QUIET)
        packed = ui.download.click(self.on_download, named, ui.packed, **SPOKEN)
        packed.success(None, ui.packed, js="file => download(file.url, file.orig_name)", **QUIET)
        ui.delete.click(self.on_delete, [*named, ui.delete], self.parts, **SPOKEN)
        ui.push.click(self.on_push, named, self.parts, **SPOKEN)
        ui.promote.click(self.on_promote, named, self.parts, **SPOKEN)
        ui.rollback.click(self.on_rollback, category, self.parts, **SPOKEN)

    # Showing

    def show(self, category: str, name: str | None = None, text: str = "", may: bool = False) -> Changes:
        """The section for an action, with one of its adapters chosen; `text` says what has just happened.

        `may` says whether the visitor may change what others made.
        """
        ui, listed = self.ui, list_adapters(self.backbone.preset.name, category)
        choices, named = learned_choices(listed), {adapter.name: adapter for adapter in listed}
        title = find_category(category).title
        empty = f"Nothing has been learned for “{title}” yet. What is learned above appears here, with its votes."
        newest = max(listed, key=lambda adapter: str(adapter.card.get("created_at", "")), default=None)
        chosen = named.get(name, newest) if choices else None
        return {
            ui.section: gr.Row(visible=bool(choices)),
            ui.empty: "" if choices else empty,
            ui.adapter: gr.Dropdown(choices, value=chosen and chosen.name),
            ui.rollback: gr.Button(visible=may and self.has_earlier_default(category)),
            ui.meter: meter_value(text),
        } | self.chosen(chosen, may)

    def chosen(self, adapter: Adapter | None, may: bool) -> Changes:
        """What is said of an adapter, and what can be done with it."""
        ui = self.ui
        if adapter is None:
            buttons = dict.fromkeys((ui.vote, ui.to_rate, ui.promote, ui.push, ui.delete), gr.Button(visible=False))
            return {**buttons, ui.about: facts(), ui.download: gr.Button(visible=False)}
        if not adapter.revision():
            here = "its weights come from the Hub when it first makes a clip"
            return self.chosen(None, may) | {ui.about: facts([("Shared", here)])}
        verdict, waiting = verdict_on(self.store, adapter), waiting_pairs(self.store, adapter)
        learned, default = adapter.learned_taste, adapter.status == "default"
        own = candidates.is_own(adapter)
        return {
            ui.about: facts(adapter_facts(adapter, verdict, waiting), verdict.reason if learned else ""),
            ui.vote: gr.Button(visible=learned and waiting < WAITING_PAIRS),
            ui.to_rate: gr.Button(visible=learned and waiting > 0),
            ui.promote: gr.Button(visible=not default and (learned or may), interactive=verdict.passed or not learned),
            ui.push: gr.Button(visible=own and may and can_push()),
            ui.delete: gr.Button("Delete", visible=own and not default and may),
            ui.download: gr.Button(visible=True),
        }

    def on_adapter(
        self,
        category: str,
        name: str | None,
        request: gr.Request | None = None,
        profile: gr.OAuthProfile | None = None,
    ) -> Changes:
        with toasts():
            return self.chosen(self.find(category, name), may_change(request, profile))

    # Votes

    def on_vote(self, category: str, name: str | None, contest: Contest | None = None) -> Changes:
        with toasts():
            adapter = self.named(category, name)
            there = waiting_pairs(self.store, adapter)
            if there >= WAITING_PAIRS:
                raise ValueError("Enough pairs wait in the tab Rate already: they need votes now.")
            if contest:  # a page makes one adapter's pairs at a time
                contest.over = True
            return self.making(there, self.run.waiting("Getting ready …")) | {
                self.ui.contest: Contest(category, adapter.name),
                self.ui.timer: True,
                self.ui.stop: gr.Button(visible=True),
                self.ui.vote: gr.Button(visible=False),
            }

    def on_pair(
        self, contest: Contest | None, request: gr.Request | None = None, profile: gr.OAuthProfile | None = None
    ) -> Iterator[Changes]:
        """Makes one pair of the adapter against its parent; the last one, or a failure, ends it."""
        nothing = {self.ui.meter: gr.skip()}  # Gradio takes {} for a mistake
        if contest is None or contest.over:  # asked for just before the page heard that it was stopped
            yield nothing
            return
        may = may_change(request, profile)
        try:
            with toasts():
                adapter = self.named(contest.category, contest.adapter)
                there = waiting_pairs(self.store, adapter)
                with closing(make_contest_pair(self.run, self.backbone, self.store, adapter)) as items:
                    for item in items:
                        changes = nothing if isinstance(item, Pair) else self.making(there, item.text)
                        if contest.over:  # looked at last: what Stop says has the higher number then
                            yield nothing
                            return
                        yield changes
                waiting = waiting_pairs(self.store, adapter)
        except gr.Error as error:  # out of quota, for one: the pairs that were made stay
            yield self.stopped(contest, f"Paused: {html.unescape(error.message)}", may)
            return
        except Exception as error:  # whatever it is: the ticker would try it again and again
            traceback.print_exc()
            text = f"Stopped by an error of this program ({type(error).__name__}): try it again."
            yield self.stopped(contest, text, may)
            return
        if waiting >= WAITING_PAIRS:
            text = f"{waiting} pairs wait for votes in the tab Rate, among others. Vote there, and let others vote."
            yield self.stopped(contest, text, may)

    def making(self, there: int, text: str) -> Changes:
        """While pairs are being made, of which so many are there."""
        said = f"Pair {there + 1} of {WAITING_PAIRS}: {text[:1].lower()}{text[1:]}"
        return {self.ui.meter: meter_value(said, there, WAITING_PAIRS)}

    def on_stop(
        self, contest: Contest | None, request: gr.Request | None = None, profile: gr.OAuthProfile | None = None
    ) -> Changes:
        with toasts():
            text = "Stopped. The pairs that were made wait for votes in the tab Rate."
            return self.stopped(contest, text, may_change(request, profile))

    def stopped(self, contest: Contest | None, text: str, may: bool) -> Changes:
        """Ends a contest, once: after that the page may have turned to something else."""
        if contest is None or contest.over:
            return {self.ui.meter: gr.skip()}  # Gradio takes {} for a mistake
        contest.over = True
        over = {self.ui.timer: False, self.ui.stop: gr.Button(visible=False), self.ui.contest: None}
        return over | self.turn_to(contest.category, contest.adapter, text, may)

    def turn_to(self, category: str, name: str, text: str, may: bool) -> Changes:
        """Shows an adapter, and the form about its action: the visitor may have looked at another one meanwhile."""
        return {self.category: category} | self.show(category, name, text, may)

    # What becomes of it

    def on_promote(
        self,
        category: str,
        name: str | None,
        request: gr.Request | None = None,
        profile: gr.OAuthProfile | None = None,
    ) -> Changes:
        with toasts():
            may = may_change(request, profile)
            adapter = self.named(category, name)
            verdict = verdict_on(self.store, adapter) if adapter.learned_taste else None
            if verdict is None and not may:
                raise ValueError("Only what won by votes becomes the default here.")
            if verdict is not None and not verdict.passed:
                raise ValueError(f"Not yet: {verdict.reason}")
            candidates.promote(adapter, verdict)
            return self.show(category, name, f"{adapter.name} is the default of {category} now.", may)

    def on_rollback(
        self, category: str, request: gr.Request | None = None, profile: gr.OAuthProfile | None = None
    ) -> Changes:
        with toasts():
            may = may_change(request, profile)
            if not may:
                raise ValueError("No default is brought back here.")
            adapter = candidates.rollback(self.backbone.preset.name, category)
            return self.show(category, adapter.name, f"{adapter.name} is the default of {category} again.", may)

    def on_delete(
        self,
        category: str,
        name: str | None,
        pressed: str,  # what the button said
        request: gr.Request | None = None,
        profile: gr.OAuthProfile | None = None,
    ) -> Changes:
        with toasts():
            may = may_change(request, profile)
            if not may:
                raise ValueError("Nothing is deleted here.")
            adapter = self.named(category, name)
            if pressed != (really := REALLY_DELETE.format(adapter.name)):
                return {self.ui.delete: gr.Button(really)}
            candidates.delete(adapter)
            return self.show(category, None, f"{adapter.name} is gone.", may)

    def on_download(self, category: str, name: str | None) -> str:
        """The adapter as a zip, packed anew where Gradio may send files from; at full size it has half a gigabyte."""
        with toasts():
            adapter = self.named(category, name)
            for old in Path(tempfile.gettempdir()).glob(f"{PACKED}*"):  # Gradio has copies, for a day
                with suppress(OSError):  # it may be another account's, or gone by now
                    if time.time() - old.stat().st_mtime > 3600:  # else it may still be packed or copied
                        shutil.rmtree(old)
            return str(candidates.pack(adapter, Path(tempfile.mkdtemp(prefix=PACKED)) / f"{adapter.name}.zip"))

    def on_push(
        self,
        category: str,
        name: str | None,
        request: gr.Request | None = None,
        profile: gr.OAuthProfile | None = None,
    ) -> Changes:
        with toasts():
            may = may_change(request, profile)
            if not may:
                raise ValueError("Nothing is pushed from here; the command push-adapter does it.")
            adapter, repo = self.named(category, name), adapters_repo()
            candidates.push(adapter, repo)
            return self.show(category, name, f"{adapter.name} is in {repo} on the Hub now.", may)

    # Finding out

    def find(self, category: str, name: str | None) -> Adapter | None:
        """One of the adapters that are listed: a browser's word names no folder."""
        found = list_adapters(self.backbone.preset.name, category)
        return next((adapter for adapter in found if adapter.name == name), None)

    def named(self, category: str, name: str | None) -> Adapter:
        """The same; ValueError where there is none of that name."""
        if (adapter := self.find(category, name)) is None:
            raise ValueError("Choose an adapter first.")
        return adapter

    def has_earlier_default(self, category: str) -> bool:
        """Whether there is a default before this one that could be brought back."""
        return len(read_promotions(self.backbone.preset.name, category)) > 1
