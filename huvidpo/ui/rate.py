"""What each control of the tab Rate does. Knows nothing of rows or layout; `preferences.booth` keeps the rules."""

import os
import secrets
import time
from pathlib import Path

import gradio as gr

from huvidpo.categories import find_category
from huvidpo.home import home
from huvidpo.preferences.blind import blind_copy
from huvidpo.preferences.booth import Booth
from huvidpo.preferences.open_pair import OpenPair, Visitor, other
from huvidpo.preferences.pusher import NoPusher, Pusher
from huvidpo.preferences.raters import browser_id, rater_hash, rater_salt
from huvidpo.preferences.records import Rating, TakeRecord
from huvidpo.preferences.statistics import Summary, stillness_warning, summarise
from huvidpo.preferences.store import RatingStore
from huvidpo.ui.events import QUIET, SPOKEN, Changes
from huvidpo.ui.owner import is_owner
from huvidpo.ui.pair_making import Filler
from huvidpo.ui.pair_player import Revealed, Stage, player_value
from huvidpo.ui.phrases import counted
from huvidpo.ui.rate_layout import RateLayout
from huvidpo.ui.rate_widgets import own_ratings_value, tally_value
from huvidpo.ui.toasts import toasts

WATCH = "Watch both once, then choose."
SAME_START = "Both start from the same picture. Watch them once, then choose."
NONE_LEFT = "No pair{} is waiting for you."
AGAIN = "Choose again; your earlier answer counts until then."
OPEN_TAB = """action => {
  document.querySelector("[role=tab][data-tab-id=rate]").click();
  scrollTo(0, 0);
  return action;
}"""
LATEST = 100  # own ratings shown, in a list that scrolls


def shown_folder() -> Path:
    """Where the copies of clips lie that the page may serve."""
    return home() / "shown"


class RateTab:
    """The stage and what stands beside it, working. Every handler returns the components that it changes.

    The `filler` is told whenever somebody rates, since pairs may be running out.
    """

    def __init__(
        self,
        page: gr.Blocks,
        visitor: gr.BrowserState,
        store: RatingStore,
        pusher: Pusher | NoPusher,
        filler: Filler,
        cost: str = "",
    ):
        self.store, self.pusher, self.filler = store, pusher, filler
        self.salt = rater_salt(home())
        self.booth = Booth(store, backbone=filler.backbone.preset.name)
        self.ui = RateLayout(visitor, promise(), cost)
        self.stage_parts = [self.ui.visitor, self.ui.player, self.ui.tally, self.ui.own, self.ui.waiting]
        self._summary: tuple[float, Summary] | None = None
        self._wire(page)

    def _wire(self, page: gr.Blocks) -> None:
        ui, who, stage = self.ui, self.ui.visitor, self.stage_parts
        once = {"trigger_mode": "once", **SPOKEN}
        for event in (
            ui.player.rate(self.on_rate, who, stage, **once),
            ui.player.skip(self.on_skip, who, stage, **once),
            ui.player.undo(self.on_undo, who, stage, **once),
            ui.own.rerate(self.on_change, who, stage, **once),
            ui.own.withdraw(self.on_withdraw, who, stage, **once),
        ):
            event.failure(self.on_stage, who, stage, **QUIET)
        ui.only.input(self.on_only, [who, ui.only], stage, **SPOKEN)
        ui.waiting.tick(self.on_wait, who, stage, **QUIET)
        page.load(self.on_load, who, [*stage, ui.owner_note, ui.only], **QUIET)
        ui.trust.expand(self.on_trust, None, ui.agreement, **QUIET)

    def opened_by(self, button: gr.Button, action: gr.Dropdown) -> None:
        """A button on another tab opens this one, with pairs of the action that is chosen there."""
        button.click(None, action, self.ui.only, js=OPEN_TAB, **QUIET)
        button.click(self.on_only, [self.ui.visitor, action], self.stage_parts, **SPOKEN)

    # The stage

    def on_load(self, known: object, request: gr.Request, profile: gr.OAuthProfile | None) -> Changes:
        known = browser_id(known)
        visitor = self.visitor(known, request, profile)
        self.booth.arrive(visitor)
        owner = is_owner(request, profile)
        notes = [stillness_warning(self.summary().stiller), self.pusher.problem] if owner else []
        begun = {self.ui.visitor: known, self.ui.owner_note: " ".join(filter(None, notes)), self.ui.only: ""}
        return begun | self.show(visitor)

    def on_only(self, known: object, category: str, request: gr.Request, profile: gr.OAuthProfile | None) -> Changes:
        """Pairs of one action, or of all again."""
        with toasts():
            if category:
                find_category(category)
            visitor = self.visitor(known, request, profile)
            self.booth.choose(visitor, category)
            self.filler.wake(category)
            return self.show(visitor)

    def on_stage(self, known: object, request: gr.Request, profile: gr.OAuthProfile | None) -> Changes:
        """The visitor's open pair: after a reload, and after an answer that was refused."""
        known = browser_id(known)
        return {self.ui.visitor: known} | self.show(self.visitor(known, request, profile))

    def on_wait(self, known: object, request: gr.Request, profile: gr.OAuthProfile | None) -> Changes:
        """While the stage is empty: a pair that has been made meanwhile."""
        visitor = self.visitor(known, request, profile)
        self.filler.wake(self.booth.wanted(visitor))
        return self.show(visitor) if self.booth.open(visitor) else {self.ui.waiting: gr.skip()}

    def on_rate(
        self, known: object, event: gr.EventData, request: gr.Request, profile: gr.OAuthProfile | None
    ) -> Changes:
        with toasts():
            visitor = self.visitor(known, request, profile)
            rating, showing = self.booth.rate(visitor, event._data)
            self.filler.wake(self.booth.wanted(visitor))
            self.pusher.notify()
            return self.show(visitor, revealed(rating, showing, event._data["choice"]), "Saved, thank you.")

    def on_skip(
        self, known: object, event: gr.EventData, request: gr.Request, profile: gr.OAuthProfile | None
    ) -> Changes:
        with toasts():
            visitor = self.visitor(known, request, profile)
            self.booth.skip(visitor, event._data)
            return self.show(visitor)

    def on_undo(
        self, known: object, event: gr.EventData, request: gr.Request, profile: gr.OAuthProfile | None
    ) -> Changes:
        with toasts():
            visitor = self.visitor(known, request, profile)
            self.booth.undo(visitor, event._data if isinstance(event._data, dict) else {})
            return self.show(visitor, opening="Taken back. Choose again, or skip.")

    def on_change(
        self, known: object, event: gr.EventData, request: gr.Request, profile: gr.OAuthProfile | None
    ) -> Changes:
        with toasts():
            visitor = self.visitor(known, request, profile)
            self.booth.change(visitor, named(event))
            return self.show(visitor)

    def on_withdraw(
        self, known: object, event: gr.EventData, request: gr.Request, profile: gr.OAuthProfile | None
    ) -> Changes:
        with toasts():
            visitor = self.visitor(known, request, profile)
            self.booth.withdraw(visitor, named(event))
            return self.show(visitor)

    def on_trust(self) -> str:
        return in_words(self.summary())

    def summary(self) -> Summary:
        """The figures of all ratings, at most a minute old."""
        if self._summary is None or time.monotonic() - self._summary[0] > 60:
            self._summary = (time.monotonic(), summarise(self.store.ratings()))
        return self._summary[1]

    # Showing

    def show(self, visitor: Visitor, told: Revealed | None = None, note: str = "", opening: str = "") -> Changes:
        """Everything that depends on the visitor's open pair and own ratings."""
        ui, stage = self.ui, self.next_stage(visitor, opening)
        counts, rated = self.store.counts(), len(self.store.rated_pairs(visitor.rater))
        uploaded = ", not all uploaded yet" if counts.waiting else ", all uploaded"
        if isinstance(self.pusher, NoPusher):
            uploaded = ""
        saved = f"{counted(counts.saved, 'rating')} saved here{uploaded}."
        saved = saved if counts.saved else "None is saved here yet."
        if stage is None:
            action = self.booth.wanted(visitor)
            of = f" of “{find_category(action).title}”" if action else ""
            note = " ".join(filter(None, [note, NONE_LEFT.format(of), self.filler.hope(action)]))
        return {
            ui.player: player_value(stage, told, note, self.booth.can_undo(visitor), secrets.token_hex(4)),
            ui.tally: tally_value(f"{counted(rated, 'pair')} rated by you", f"Thank you. {saved}" if rated else saved),
            ui.own: own_ratings_value(reversed(self.store.ratings(rater=visitor.rater, last=LATEST))),
            ui.waiting: gr.Timer(active=stage is None),
        }

    def next_stage(self, visitor: Visitor, opening: str = "") -> Stage | None:
        """The visitor's open pair as the page may know it; a pair that cannot be shown is passed over."""
        while showing := self.booth.open(visitor):
            try:
                return self.stage(showing, opening or opening_words(showing))
            except ValueError:
                self.booth.mark_unfit(visitor, showing)
        return None

    def stage(self, showing: OpenPair, note: str) -> Stage:
        """What the page may know of an open pair. ValueError when its clips are gone, or do not play side by side."""
        take = showing.left
        if (take.num_frames, take.fps) != (showing.right.num_frames, showing.right.fps):
            raise ValueError("The clips of this pair, from elsewhere, are not equally long.")
        size = (take.num_frames, take.fps, take.width, take.height)
        left, right = self.blind(showing.left), self.blind(showing.right)
        return Stage(showing.showing_id, showing.pair.prompt, left, right, *size, note, showing.marks)

    def blind(self, take: TakeRecord) -> Path:
        """A copy of a take's clip that does not say what it is."""
        return blind_copy(self.store.video_path(take.sha256), shown_folder(), self.salt)

    # Who

    def visitor(self, known: object, request: gr.Request, profile: gr.OAuthProfile | None) -> Visitor:
        """Who is asking, as the store may know them."""
        session = rater_hash("session", str(request.session_hash), self.salt)
        owner, browser = is_owner(request, profile), rater_hash("browser", browser_id(known), self.salt)
        if profile is None:
            return Visitor(browser, "owner" if owner else "anonymous", session)
        kind = "owner" if owner else "huggingface"
        return Visitor(rater_hash("huggingface", profile.username, self.salt), kind, session, before=browser)


def opening_words(showing: OpenPair) -> str:
    """What is said of a pair that was just opened."""
    if showing.supersedes:
        return AGAIN
    usual = SAME_START if showing.pair.first_frame else WATCH
    return f"You skipped this one; no others are left. {usual}" if showing.was_skipped else usual


def revealed(rating: Rating, showing: OpenPair, choice: str) -> Revealed:
    """Who was on which side, for the eyes of someone whose vote is locked."""
    sides = {showing.left_is: "left", other(showing.left_is): "right"}
    names = {sides[take]: name_of(getattr(rating.pair, take), take) for take in "ab"}
    return Revealed(showing.showing_id, choice, names["left"], names["right"])


def name_of(take: TakeRecord, letter: str) -> str:
    """A take in a few words."""
    if not take.huvidpo:
        return f"clip {letter.upper()}"
    adapter = "without an adapter" if take.adapter in ("", "none") else take.adapter
    return f"{adapter}, seed {take.seed}"


def named(event: gr.EventData) -> object:
    """The id of a rating in what a browser sent."""
    return event._data.get("rating") if isinstance(event._data, dict) else None


def promise() -> str:
    """One sentence on what happens with ratings."""
    dataset = os.environ.get("HUVIDPO_DATASET")
    where = "stays on this machine until its owner publishes it"
    if dataset:
        where = f"is published with its clips in the dataset {dataset}"
    stays = ", and what was published by then stays in the dataset's history" if dataset else ""
    return (
        f"What you choose {where}, under CC BY 4.0, with a pseudonymous id and never your name; "
        f"you can change it or take it back here{stays}."
    )


def in_words(summary: Summary) -> str:
    """Markdown on how far ratings can be trusted."""
    alpha = "not known yet" if summary.alpha != summary.alpha else f"{summary.alpha:.2f}"  # nan is not itself
    people = counted(summary.raters, "person", "people")
    return (
        f"- **{counted(summary.ratings, 'rating')}** of {counted(summary.pairs, 'pair')} by {people}\n"
        f"- **Same answer when a pair came back** with sides swapped, about one in ten does: {summary.repeats}\n"
        f"- **Left side chosen**, one half when sides do not matter: {summary.left}\n"
        f"- **Agreement between people** (Krippendorff's alpha; 1 is full, 0 is chance): {alpha}\n"
        f"- **The stiller side chosen**: {summary.stiller}"
    )
