"""The page of a study, behind the link `/?study=NAME`: one clip after the other, blind, with three questions."""

import secrets
from pathlib import Path
from typing import Any

import gradio as gr

from huvidpo.evaluation.study import QUESTIONS, StudyAnswers, read_study, study_folder
from huvidpo.home import home
from huvidpo.preferences.blind import blind_copy
from huvidpo.preferences.fields import from_fields
from huvidpo.preferences.rate_limit import RateLimit
from huvidpo.preferences.raters import browser_id, rater_hash, rater_salt
from huvidpo.preferences.records import Answers
from huvidpo.ui.events import QUIET, SPOKEN, Changes
from huvidpo.ui.rate import shown_folder
from huvidpo.ui.toasts import toasts
from huvidpo.ui.widgets import served

TEMPLATE = Path(__file__).with_name("study_card.html")
SCRIPT = Path(__file__).with_name("study_card.js")
WELCOME = (
    "You are not told what made a clip. Your answers are kept with a pseudonymous id, never with your name; "
    "you may stop at any time and go on later in this browser."
)
THANKS = "Thank you, that was the last one. You can go back and change an answer, or close this page."
GONE = "This study is no longer open here; reload the page."


def card_value(note: str = "", **shown: Any) -> dict[str, Any]:
    """What the card shows. `turn` differs from answer to answer, so that the browser notices each of them."""
    nothing = {"clip": None, "prompt": "", "position": -1, "given": {}, "done": 0, "total": 0, "count": ""}
    fixed = {"questions": list(QUESTIONS.items()), "can_go_back": False, "turn": secrets.token_hex(4)}
    return nothing | fixed | {"note": note} | shown


class StudyPage:
    """The page, working; shown only to those who come by the link. The rest of the page is hidden from them."""

    def __init__(self, page: gr.Blocks):
        self.salt = rater_salt(home())
        self._open: dict[tuple[str, int], StudyAnswers] = {}  # by the study's name and when its file was written
        self.limit, self.crowd = RateLimit(40, 60), RateLimit(600, 60)  # marks of a person, and of all
        # Another id than that of the tab Rate: answers here cannot be joined with ratings there.
        self.person = gr.BrowserState("", storage_key="huvidpo-study", secret="huvidpo-study")
        self.name = gr.State("")
        with gr.Column(visible=False, elem_id="study") as self.column:
            self.card = gr.HTML(
                card_value(),
                html_template=TEMPLATE.read_text(encoding="utf-8"),
                js_on_load=SCRIPT.read_text(encoding="utf-8"),
                elem_id="study-card",
            )
        page.load(self.on_load, self.person, [self.person, self.name, self.column, self.card], **QUIET)
        who, once = [self.name, self.person], {"trigger_mode": "once", **SPOKEN}
        for event in (
            self.card.mark(self.on_mark, who, self.card, **once),
            self.card.back(self.on_back, who, self.card, **once),
        ):
            event.failure(self.on_again, who, self.card, **QUIET)

    def on_load(self, known: object, request: gr.Request) -> Changes:
        name = request.query_params.get("study")
        if name is None:
            return {self.name: ""}
        known, shown = browser_id(known), {self.column: gr.Column(visible=True)}
        try:
            self.answers(name)
        except ValueError as error:
            return shown | {self.card: card_value(f"{error} Ask for the link again.")}
        return shown | {self.person: known, self.name: name, self.card: self.show(name, known, WELCOME)}

    def on_mark(self, name: str, known: object, event: gr.EventData) -> Changes:
        with toasts():
            if not name or known != browser_id(known):  # restarted; else each mark would be somebody new
                raise ValueError(GONE)
            answers, participant = self.answers(name), self.participant(name, known)
            self.limit.check(participant)
            self.crowd.check("everyone")
            order, position = answers.order(participant), place_in(event)
            if position >= len(order) or not isinstance(given := event._data.get("answers"), dict):
                raise ValueError(GONE)
            answers.append(participant, order[position], from_fields(Answers, given))
            return {self.card: self.show(name, known)}

    def on_back(self, name: str, known: object, event: gr.EventData) -> Changes:
        with toasts():
            return {self.card: self.show(name, known, position=place_in(event) - 1)}

    def on_again(self, name: str, known: object) -> Changes:
        """What is open, after an answer that was refused."""
        try:
            return {self.card: self.show(name, known)}
        except ValueError:  # removed, or the page was restarted and knows no longer which one it is
            return {self.card: card_value(GONE)}

    def show(self, name: str, known: object, note: str = "", position: int | None = None) -> dict[str, Any]:
        """The clip at a position of this person's order; by default the first one without an answer."""
        answers, participant = self.answers(name), self.participant(name, known)
        order, answered = answers.order(participant), answers.answered(participant)
        waiting = [i for i, place in enumerate(order) if place not in answered]
        done, total = len(order) - len(waiting), len(order)
        progress = {"done": done, "total": total, "count": f"{done} of {total} clips answered"}
        if position is None or not 0 <= position < total:
            position = waiting[0] if waiting else total
        if position == total:
            return card_value(THANKS, **progress, position=total, can_go_back=True)
        place = order[position]
        return card_value(
            note, **progress,
            clip=served(blind_copy(answers.clip_path(place), shown_folder(), self.salt)),
            prompt=answers.study.clips[place].prompt,
            position=position,
            given=vars(answered[place]) if place in answered else {},
            can_go_back=position > 0,
        )  # fmt: skip

    def answers(self, name: str) -> StudyAnswers:
        """The answers of the study of that name, open; ValueError when there is none.

        One that was made anew under the same name has answers of its own.
        """
        study = read_study(home(), name)
        key = name, (study_folder(home(), name) / "study.json").stat().st_mtime_ns
        if key not in self._open:
            self._open[key] = StudyAnswers(home(), study)
        return self._open[key]

    def participant(self, name: str, known: object) -> str:
        """Who is asking, as this study may know them."""
        return rater_hash(f"study {name}", browser_id(known), self.salt)


def place_in(event: gr.EventData) -> int:
    """The position that a browser speaks of; ValueError for anything else."""
    position = event._data.get("position") if isinstance(event._data, dict) else None
    if type(position) is not int or position < 0:
        raise ValueError(GONE)
    return position
