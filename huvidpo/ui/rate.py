"""What each control of the tab Rate does. Knows nothing of rows or layout; `preferences.booth` keeps the rules."""

import os
import secrets
from typing import Any

import gradio as gr

from huvidpo.backbones import LoadedBackbone
from huvidpo.home import home
from huvidpo.preferences.blind import blind_copy
from huvidpo.preferences.booth import Booth, RateLimit, Showing, Visitor
from huvidpo.preferences.raters import browser_id, rater_hash, rater_salt
from huvidpo.preferences.records import Rating, TakeRecord
from huvidpo.preferences.store import RatingStore
from huvidpo.ui.making import Run
from huvidpo.ui.pair_player import Revealed, Stage, player_value
from huvidpo.ui.rate_layout import RateLayout
from huvidpo.ui.rate_widgets import own_ratings_value, tally_value
from huvidpo.ui.toasts import toasts

Changes = dict[Any, Any]  # component -> its new value or settings
QUIET = {"show_progress": "hidden", "api_visibility": "private"}
# Gradio shows toasts of queued events only; a rating must never wait behind another one.
SPOKEN = {**QUIET, "queue": True, "concurrency_limit": None}
WATCH = "Both start from the same picture. Watch them once, then choose."
AGAIN = "Choose again; your earlier answer counts until then."
NONE_LEFT = "You have rated every pair that is here. Make one below from a prompt, or come back later."
LATEST = 6  # own ratings shown


def shown_folder() -> Any:
    """Where the copies of clips lie that the page may serve."""
    return home() / "shown"


class RateTab:
    """The tab, working. Every handler returns or yields the components that it changes."""

    def __init__(
        self, page: gr.Blocks, backbone: LoadedBackbone, run: Run, gpu_events: dict[str, Any], store: RatingStore
    ):
        self.backbone, self.run, self.store = backbone, run, store
        self.salt = rater_salt(home())
        self.booth = Booth(store, self.draw)
        self.making = RateLimit(12, 600)
        self.ui = RateLayout(promise())
        self._wire(page, gpu_events)

    def _wire(self, page: gr.Blocks, gpu_events: dict[str, Any]) -> None:
        ui, who = self.ui, self.ui.visitor
        stage = [who, ui.player, ui.tally, ui.own, ui.waiting]
        events = [
            ui.player.rate(self.on_rate, who, stage, trigger_mode="once", **SPOKEN),
            ui.player.skip(self.on_skip, who, stage, trigger_mode="once", **SPOKEN),
            ui.player.undo(self.on_undo, who, stage, trigger_mode="once", **SPOKEN),
            ui.own.rerate(self.on_change, who, stage, trigger_mode="once", **SPOKEN),
            ui.own.withdraw(self.on_withdraw, who, stage, trigger_mode="once", **SPOKEN),
        ]
        for event in events:
            event.failure(self.on_stage, who, stage, **QUIET)
        ui.waiting.tick(self.on_wait, who, stage, **QUIET)
        page.load(self.on_load, who, [*stage, ui.owner_note], **QUIET)
        ui.mode.change(self.on_mode, ui.mode, [ui.pairs, ui.scores], **QUIET)

    # The stage

    def on_load(self, known: object, request: gr.Request, profile: gr.OAuthProfile | None) -> Changes:
        return self.on_stage(known, request, profile)

    def on_stage(self, known: object, request: gr.Request, profile: gr.OAuthProfile | None) -> Changes:
        """The visitor's open pair: after a reload, and after an answer that was refused."""
        known = browser_id(known)
        return {self.ui.visitor: known} | self.show(self.visitor(known, request, profile))

    def on_wait(self, known: object, request: gr.Request, profile: gr.OAuthProfile | None) -> Changes:
        """While the stage is empty: a pair that has been made meanwhile."""
        visitor = self.visitor(known, request, profile)
        return self.show(visitor) if self.booth.open(visitor) else {self.ui.waiting: gr.skip()}

    def on_rate(
        self, known: object, event: gr.EventData, request: gr.Request, profile: gr.OAuthProfile | None
    ) -> Changes:
        with toasts():
            visitor = self.visitor(known, request, profile)
            rating, showing = self.booth.rate(visitor, event._data)
            return self.show(visitor, revealed(rating, showing, event._data["choice"]), "Saved, thank you.")

    def on_skip(
        self, known: object, event: gr.EventData, request: gr.Request, profile: gr.OAuthProfile | None
    ) -> Changes:
        with toasts():
            visitor = self.visitor(known, request, profile)
            self.booth.skip(visitor, event._data)
            return self.show(visitor)

    def on_undo(self, known: object, request: gr.Request, profile: gr.OAuthProfile | None) -> Changes:
        with toasts():
            visitor = self.visitor(known, request, profile)
            self.booth.undo(visitor)
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

    def on_mode(self, mode: str) -> Changes:
        return {self.ui.pairs: gr.Column(visible=mode == "pairs"), self.ui.scores: gr.Column(visible=mode == "scores")}

    # Showing

    def show(self, visitor: Visitor, told: Revealed | None = None, note: str = "", opening: str = "") -> Changes:
        """Everything that depends on the visitor's open pair and own ratings."""
        ui, stage = self.ui, self.next_stage(visitor, opening)
        counts, own = self.store.counts(), self.store.times_rated(visitor.rater)
        saved = f"{plural(counts.saved, 'rating')} saved here, {counts.waiting or 'none'} not yet uploaded."
        rated = sum(own.values())
        note = note if stage else " ".join(filter(None, [note, NONE_LEFT]))
        return {
            ui.player: player_value(stage, told, note, self.booth.can_undo(visitor), secrets.token_hex(4)),
            ui.tally: tally_value(f"{plural(rated, 'pair')} rated by you", f"Thank you. {saved}" if rated else saved),
            ui.own: own_ratings_value(reversed(self.store.ratings(rater=visitor.rater, last=LATEST))),
            ui.waiting: gr.Timer(active=stage is None),
        }

    def next_stage(self, visitor: Visitor, opening: str = "") -> Stage | None:
        """The visitor's open pair as the page may know it; a pair whose clips cannot be read is passed over."""
        for _ in range(8):
            showing = self.booth.open(visitor)
            if showing is None:
                return None
            try:
                return self.stage(showing, opening or (AGAIN if showing.supersedes else WATCH))
            except ValueError:
                self.booth.skip(visitor, {"showing": showing.showing_id})
        return None

    def stage(self, showing: Showing, note: str) -> Stage:
        left, right = (
            blind_copy(self.store.video_path(take.sha256), shown_folder(), self.salt)
            for take in (showing.left, showing.right)
        )
        take = showing.left
        size = (take.num_frames, take.fps, take.width, take.height)
        return Stage(showing.showing_id, showing.pair.prompt, left, right, *size, note)

    # Who

    def visitor(self, known: object, request: gr.Request, profile: gr.OAuthProfile | None) -> Visitor:
        """Who is asking, as the store may know them."""
        session = rater_hash("session", str(request.session_hash), self.salt)
        if profile is None:
            return Visitor(rater_hash("browser", browser_id(known), self.salt), "anonymous", session)
        kind = "owner" if is_owner(profile.username) else "huggingface"
        return Visitor(rater_hash("huggingface", profile.username, self.salt), kind, session)

    def draw(self, rater: str, skipped: set[str]) -> Any:
        from huvidpo.preferences.booth import Drawn, drawn_side

        rated = self.store.times_rated(rater)
        for pair in self.store.pairs():
            if pair.pair_id not in rated and pair.pair_id not in skipped:
                return Drawn(pair, drawn_side())
        return None


def revealed(rating: Rating, showing: Showing, choice: str) -> Revealed:
    """Who was on which side, for the eyes of someone whose vote is locked."""
    sides = {showing.left_is: "left", "b" if showing.left_is == "a" else "a": "right"}
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


def is_owner(username: str = "") -> bool:
    """Whether someone owns this page: on a Space its author, elsewhere whoever sits at the machine."""
    space = os.environ.get("SPACE_ID", "")
    return username == space.split("/")[0] if space else not username


def promise() -> str:
    """One sentence on what happens with ratings."""
    dataset = os.environ.get("HUVIDPO_DATASET")
    where = (
        f"is published in the dataset {dataset}" if dataset else "stays on this machine until its owner publishes it"
    )
    return (
        f"What you choose {where}, under CC BY 4.0, with a pseudonymous id and never your name; "
        "you can change it or take it back here."
    )


def plural(count: int, word: str) -> str:
    """ "1 pair", "2 pairs"."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
