"""What stands under "What was learned" on the tab Fine-tune. Knows nothing of what the controls do."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import gradio as gr

from huvidpo.adapters import Adapter, list_adapters
from huvidpo.preferences.gate import Verdict
from huvidpo.presets import Backbone
from huvidpo.ui.phrases import counted
from huvidpo.ui.widgets import fact_sheet, meter, text_line, ticker


@dataclass(eq=False)  # each is another one
class Contest:
    """A page's making of pairs to vote on, from its button to its end."""

    category: str
    adapter: str
    over: bool = False  # and its page has been told


class LearnedLayout:
    """Builds the section inside an open tab. Its attributes are the components."""

    def __init__(self, preset: Backbone, category: str, cost: str):
        """`cost` says what a pair to vote on takes of a visitor's quota, if anything."""
        gr.HTML("<h2>What was learned <small>a candidate becomes the default when blind votes say so</small></h2>")
        choices = learned_choices(list_adapters(preset.name, category))
        self.empty = text_line(elem_id="learned-empty")
        with gr.Row(elem_id="learned", equal_height=False, visible=bool(choices)) as self.section:
            with gr.Column(min_width=260):
                self.adapter = gr.Dropdown(choices, value=None, label="Adapter", elem_id="learned-adapter")
                self.about = fact_sheet(elem_id="learned-about")
            with gr.Column(min_width=260), gr.Row(elem_id="learned-actions"):
                self.vote = hidden_button("Make pairs to vote on", "learned-vote")
                self.to_rate = hidden_button("Vote in the tab Rate", "learned-rate", "primary")
                self.promote = hidden_button("Make it the default", "learned-promote")
                self.download = hidden_button("⬇ ZIP", "learned-zip")
                self.packed = gr.DownloadButton(visible="hidden", elem_id="learned-packed")  # on its way
                self.push = hidden_button("Push to the Hub", "learned-push")
                self.delete = hidden_button("Delete", "learned-delete")
                self.rollback = hidden_button("Bring back the default before", "learned-rollback")
        gr.Markdown(cost, visible=bool(cost))
        with gr.Row(elem_id="learned-making"):  # goes on while the visitor looks at another action
            self.meter = meter(elem_id="learned-meter")
            self.stop = hidden_button("Stop", "learned-stop")
        self.timer = ticker(0.5)
        self.contest = gr.State(None)  # the page's `Contest`


def learned_choices(adapters: list[Adapter]) -> list[tuple[str, str]]:
    """(shown, value) of a category's adapters, where there is anything to choose; else none."""
    if not any(adapter.learned_taste for adapter in adapters) and len(adapters) < 2:
        return []
    return [(f"{adapter.name} ({adapter.status})", adapter.name) for adapter in adapters]


def hidden_button(text: str, elem_id: str, variant: Literal["primary", "secondary"] = "secondary") -> gr.Button:
    """A button that is not there yet."""
    return gr.Button(text, variant=variant, size="md", min_width=0, visible=False, elem_id=elem_id)


def adapter_facts(adapter: Adapter, verdict: Verdict, waiting: int) -> Iterator[tuple[str, str]]:
    """What there is to say of an adapter."""
    card = adapter.card
    if not adapter.learned_taste:
        yield "Learned from", "a few clips: the action's motion"
        return
    people = counted(card.get("raters"), "person", "people")
    yield "Learned from", f"{card.get('examples', '?')} examples by {people} ({card.get('objective', '?')})"
    yield "Began as", str(card.get("parent") or "none")
    if stopped := str(card.get("stopped_because") or ""):
        yield "Stopped early", stopped
    if (strength := card.get("strength", 1.0)) < 1:
        yield "Weakened", f"to {strength:.0%} of what was learned, so that its clips still move"
    yield "Votes", f"{verdict.wins} for it, {verdict.losses} against, {verdict.ties} the same"
    if waiting:
        yield "In the tab Rate", f"{counted(waiting, 'pair')} nobody has voted on yet"
