"""Small components that Gradio lacks. Their templates are constant; text enters the page only as text.

They are instances of `gr.HTML` and no subclasses, for which Gradio would write stub files into the package.
"""

import itertools
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from huvidpo.categories import known_categories

START = "horse"  # the action that is chosen when the page opens
WALL_SCRIPT = Path(__file__).with_name("clip_wall.js")
SAID = itertools.count(int(1000 * time.time()))  # numbers what meters say; after a restart higher than ever before


def action_menu(elem_id: str | None = None, scale: int | None = None) -> gr.Dropdown:
    """The actions, one to be chosen."""
    actions = [(category.label, name) for name, category in known_categories().items()]
    return gr.Dropdown(actions, value=START, label="Action", scale=scale, min_width=140, elem_id=elem_id)


def served(file: Path) -> dict[str, Any]:
    """A file below a folder that the page may serve; Gradio knows it by its mark, and gives it an address."""
    return {"path": str(file), "meta": {"_type": "gradio.FileData"}}


def ticker(seconds: float) -> gr.HTML:
    """A clock whose event is `tick` and whose value says whether it goes; also while nobody looks at the page.

    `gr.Timer` stands still then. A worker counts: browsers hold back the timers of a hidden page, but not a worker's.
    """
    return gr.HTML(
        False,
        html_template="",
        js_on_load="""
            const count = `setInterval(() => postMessage(0), ${1000 * props.seconds})`;
            let worker = null;
            const turn = () => {
                if (props.value === (worker !== null)) return;
                worker?.terminate();
                worker = props.value ? new Worker(URL.createObjectURL(new Blob([count]))) : null;
                if (worker) worker.onmessage = () => trigger('tick');
            };
            watch('value', turn);
            turn();
        """,
        visible="hidden",
        seconds=seconds,
    )


def text_line(elem_id: str) -> gr.HTML:
    """A line of plain text, read aloud by screen readers when it changes. Its value is a string."""
    return gr.HTML(
        "",
        html_template='<p class="line" role="status"></p>',
        js_on_load="""
            const show = () => { element.querySelector('.line').textContent = props.value ?? '' };
            watch('value', show);
            show();
        """,
        elem_id=elem_id,
        elem_classes="text-line",
    )


def meter(elem_id: str) -> gr.HTML:
    """A progress bar with a sentence below it. Its value comes from `meter_value`."""
    return gr.HTML(
        meter_value(""),
        html_template="""
            <div class="bar" role="progressbar" aria-label="Progress" hidden><i></i></div>
            <p class="line" role="status"></p>
        """,
        js_on_load="""
            let shown = props.value;
            const show = () => {
                if (props.value.at > shown.at) shown = props.value;  // answers may overtake each other
                const { text, step, total } = shown;
                const bar = element.querySelector('.bar');
                bar.hidden = total === 0;
                bar.classList.toggle('unknown', total === null);
                bar.setAttribute('aria-valuemax', total || 1);
                total ? bar.setAttribute('aria-valuenow', step) : bar.removeAttribute('aria-valuenow');
                bar.firstElementChild.style.width = `${total ? 100 * step / total : 0}%`;
                element.querySelector('.line').textContent = text;
            };
            watch('value', show);
            show();
        """,
        elem_id=elem_id,
        elem_classes="meter",
    )


def meter_value(text: str, step: int = 0, total: int | None = 0) -> dict[str, Any]:
    """What a `meter` shows; without a total there is no bar, and with None, not known yet, one that comes and goes.

    What was said later stays, whatever reaches the page last.
    """
    return {"text": text, "step": step, "total": total, "at": next(SAID)}


def fact_sheet(elem_id: str) -> gr.HTML:
    """Short facts, each beside its name, and a sentence below them. Its value comes from `facts`."""
    return gr.HTML(
        facts(),
        html_template='<dl></dl><p class="line" role="status"></p>',
        js_on_load="""
            const show = () => {
                const fact = ([name, text]) => [make('dt', { textContent: name }), make('dd', { textContent: text })];
                element.querySelector('dl').replaceChildren(...props.value.facts.flatMap(fact));
                element.querySelector('.line').textContent = props.value.text;
            };
            watch('value', show);
            show();
        """,
        elem_id=elem_id,
        elem_classes="facts",
    )


def facts(rows: Iterable[tuple[str, str]] = (), text: str = "") -> dict[str, Any]:
    """What a `fact_sheet` shows: names with what is said of them, those without a word left out; a sentence."""
    return {"facts": [list(row) for row in rows if row[1]], "text": text}


@dataclass(frozen=True)
class Card:
    """One clip on a wall."""

    clip: Path  # an mp4 below a folder that the page may serve
    title: str
    prompt: str


def clip_wall(cards: Sequence[Card], empty: str, elem_id: str) -> gr.HTML:
    """Looping silent clips, each a button; `empty` is said where there are none. Its value comes from `wall_value`.

    Its event `pick` carries the place of the chosen card: see `picked`.
    """
    return gr.HTML(
        wall_value(cards),
        html_template='<ul class="wall"></ul><p class="empty"></p>',
        js_on_load=WALL_SCRIPT.read_text(encoding="utf-8"),
        elem_id=elem_id,
        empty=empty,
    )


def wall_value(cards: Iterable[Card]) -> list[dict[str, Any]]:
    """What a `clip_wall` shows."""
    return [{"clip": served(card.clip), "title": card.title, "prompt": card.prompt} for card in cards]


def picked(event: gr.EventData, count: int) -> int:
    """The place that a `pick` names among `count` cards; ValueError for anything else, since a browser sent it."""
    place = event._data.get("place") if isinstance(event._data, dict) else None
    if not isinstance(place, int) or not 0 <= place < count:
        raise ValueError("This clip is no longer here; reload the page.")
    return place
