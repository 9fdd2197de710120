"""What stands beside the stage of the tab Rate: a count, and the visitor's own ratings. Text enters only as text."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import gradio as gr

from huvidpo.preferences.records import Rating

OWN_SCRIPT = Path(__file__).with_name("own_ratings.js")
SAID = {"tie_good": "both were good", "tie_bad": "both were bad"}


def tally(elem_id: str) -> gr.HTML:
    """A headline with a sentence below it. Its value comes from `tally_value`."""
    return gr.HTML(
        tally_value("", ""),
        html_template='<p role="status"><b></b><span></span></p>',
        js_on_load="""
            const show = () => {
                element.querySelector('b').textContent = props.value.headline;
                element.querySelector('span').textContent = props.value.line;
            };
            watch('value', show);
            show();
        """,
        elem_id=elem_id,
    )


def tally_value(headline: str, line: str) -> dict[str, str]:
    """What a `tally` shows."""
    return {"headline": headline, "line": line}


def own_ratings(elem_id: str) -> gr.HTML:
    """The visitor's latest ratings, each with two buttons: the events `rerate` and `withdraw` name a rating's id."""
    return gr.HTML(
        [],
        html_template='<ul class="own-ratings"></ul><p class="empty"></p>',
        js_on_load=OWN_SCRIPT.read_text(encoding="utf-8"),
        elem_id=elem_id,
        empty="Nothing yet. What you choose appears here, and you can change it or take it back.",
    )


def own_ratings_value(ratings: Iterable[Rating]) -> list[dict[str, Any]]:
    """What `own_ratings` shows, in this order."""
    return [{"id": rating.rating_id, "title": said(rating), "prompt": rating.pair.prompt} for rating in ratings]


def said(rating: Rating) -> str:
    """What the rater chose, as they did it: "You chose left"."""
    if rating.score_a >= 0 and rating.score_b >= 0:
        return "You scored {:g} and {:g}".format(*sorted((rating.score_a, rating.score_b), reverse=True))
    side = "left" if rating.preference == rating.left_is else "right"
    return f"You said {SAID[rating.preference]}" if rating.preference in SAID else f"You chose {side}"
