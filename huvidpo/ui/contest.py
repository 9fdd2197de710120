"""The contest of an adapter with what it was trained from: pairs to vote on, and the verdict. Knows no components."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace

from huvidpo.adapters import Adapter
from huvidpo.backbones import LoadedBackbone, varied_prompt
from huvidpo.preferences.gate import Verdict, answers_between, is_between, judge
from huvidpo.preferences.records import Pair, Rating
from huvidpo.preferences.store import RatingStore
from huvidpo.ui.jobs import Run
from huvidpo.ui.making import View
from huvidpo.ui.pair_making import make_pair

MIN_PEOPLE = 3  # who voted, before votes promote anything on a Space
FIRST_PROMPT = 4_000_000  # the number of the first one; see `varied_prompt`


def make_contest_pair(
    run: Run, backbone: LoadedBackbone, store: RatingStore, adapter: Adapter
) -> Iterator[View | Pair]:
    """Makes a pair that measures: the same first frame and noise for the parent, as take a, and the adapter.

    Each has a prompt of its own: votes on a few prompts would say little of others.
    """
    prompt = varied_prompt(backbone, adapter.category, FIRST_PROMPT + len(contest_pairs(store, adapter)))
    parent = adapter.parent()
    return make_pair(
        run,
        backbone.preset,
        store,
        prompt,
        adapter.category,
        "queue",
        against=adapter.name,
        adapter=parent.name if parent else "none",
        split="measure",
    )


def contest_pairs(store: RatingStore, adapter: Adapter) -> list[Pair]:
    """The pairs that measure an adapter against its parent."""
    between = (adapter.revision(), parent_revision(adapter))
    return [pair for pair in store.pairs(adapter.category) if is_between(pair, *between)]


def waiting_pairs(store: RatingStore, adapter: Adapter) -> int:
    """How many of those nobody has voted on yet."""
    pairs = {pair.pair_id for pair in contest_pairs(store, adapter)}
    return len(pairs - {rating.pair.pair_id for rating in store.ratings(adapter.category)})


def verdict_on(store: RatingStore, adapter: Adapter) -> Verdict:
    """What the votes say of an adapter against its parent.

    On a Space, where a browser can be a new visitor with every vote, only those who signed in decide, and no fewer
    than MIN_PEOPLE of them.
    """
    between = (adapter.revision(), parent_revision(adapter))
    answers, taken_back = store.blind_answers(adapter.category), store.taken_back_answers(adapter.category)
    if on_a_space := bool(os.environ.get("SPACE_ID")):
        answers, taken_back = signed_in(answers), signed_in(taken_back)
    verdict = judge(answers, *between, taken_back)
    people = {answer.rater for answer in answers_between(answers, *between)}
    if on_a_space and verdict.passed and len(people) < MIN_PEOPLE:
        reason = f"It won, but {MIN_PEOPLE} people or more must have voted, signed in with Hugging Face."
        return replace(verdict, passed=False, reason=reason)
    return verdict


def signed_in(answers: Iterable[Rating]) -> list[Rating]:
    """Those by people whom their account tells apart."""
    return [answer for answer in answers if answer.rater_kind in ("huggingface", "owner")]


def parent_revision(adapter: Adapter) -> str:
    """The revision of what an adapter was trained from; "" is that of none."""
    parent = adapter.parent()
    return parent.revision() if parent else ""
