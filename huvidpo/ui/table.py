"""A table of names, numbers and intervals that reads on a phone too. Knows nothing of what the numbers mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

SCRIPT = Path(__file__).with_name("table.js")


@dataclass(frozen=True)
class Bar:
    """An interval with its value on a scale from 0 to 1; `middle` is a line across it."""

    low: float
    value: float
    high: float
    middle: float | None = None


@dataclass(frozen=True)
class Cell:
    """What stands in one place of the table."""

    text: str
    more: str = ""  # smaller, below
    bar: Bar | None = None
    strong: bool = False


@dataclass(frozen=True)
class Column:
    """A column's head."""

    title: str
    hint: str = ""


def table(label: str, elem_id: str) -> gr.HTML:
    """The table, empty. Its value comes from `table_value`; the template is constant: text enters as text."""
    return gr.HTML(
        table_value([], []),
        html_template=(
            f'<div class="board" role="region" tabindex="0" aria-label="{label}"><table hidden></table></div>'
            '<p class="empty" role="status"></p><p class="board-note"></p>'
        ),
        js_on_load=SCRIPT.read_text(encoding="utf-8"),
        elem_id=elem_id,
        elem_classes="board-block",
    )


def table_value(
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
    empty: str = "",
    note: str = "",
    tones: Sequence[str] = (),
) -> dict[str, Any]:
    """What a `table` shows; the first cell of a row names it. `empty` is said in the place of no rows.

    `tones` are the rows' classes: "quiet" for what is there for comparison only.
    """
    classes = [*tones, *[""] * (len(rows) - len(tones))]
    plain = [
        {"cells": [vars(cell) | {"bar": vars(cell.bar) if cell.bar else None} for cell in row], "tone": tone}
        for row, tone in zip(rows, classes, strict=True)
    ]
    return {"columns": [vars(column) for column in columns], "rows": plain, "empty": empty, "note": note}
