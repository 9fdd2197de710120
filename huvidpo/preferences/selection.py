"""Which pair a rater sees next, and which take stands on the left. Knows the store, no page.

Three kinds of draws, with these shares:
- one in ten is a pair that the rater has answered before, sides swapped, for self-agreement and left bias;
- a quarter of the rest, or half while two adapters are to be compared, is drawn evenly among the `measure` pairs:
  nothing but chance decides there, so that win rates from them are unbiased. Pairs of two adapters come first;
- what remains is the `train` pair that should teach the most: its two adapters are close in votes so far, they make
  different clips of the same noise, and little is known about its prompt.
Where a kind has no pair left for the rater, the next one takes its place.
"""

import math
import random
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from huvidpo.preferences.outlines import PairOutline
from huvidpo.preferences.records import Pair
from huvidpo.preferences.store import RatingStore

REPEAT_SHARE = 0.1
MEASURE_DRAWS = 0.25  # of what is no repeat
CONTEST_DRAWS = 0.5  # the same while pairs of two adapters wait for this rater
REPEAT_GAP = 5  # a pair comes back after at least so many others
# What visitors made or uploaded themselves is rated by themselves only; who scored clips has rated their pairs.
SHARED_ORIGINS = ("queue", "import")


@dataclass(frozen=True)
class Showing:
    """A pair as it is put before a rater."""

    pair: Pair
    left_is: str  # "a" or "b": never to be told to the browser
    is_repeat: bool = False


def next_showing(
    store: RatingStore,
    rater: str,
    category: str | None = None,
    leave_out: Collection[str] = (),
    draw: random.Random | None = None,
    backbone: str | None = None,
) -> Showing | None:
    """What `rater` sees next in a category (or in all); None when nothing is left.

    `leave_out` are pair_ids that were skipped, or are open elsewhere. `draw` is the source of chance, by default the
    system's. `backbone` is the one that is to learn: clips of another teach it nothing.
    """
    draw = draw or random.SystemRandom()
    rated = store.rated_pairs(rater)
    outlines = [outline for outline in store.outlines(category, backbone) if outline.pair_id not in leave_out]
    repeats = repeatable(rated, {outline.pair_id for outline in outlines})
    if repeats and draw.random() < REPEAT_SHARE:
        pair_id = draw.choice(repeats)
        return Showing(store.pair(pair_id), "b" if rated[pair_id][0][0] == "a" else "a", is_repeat=True)
    new = [outline for outline in outlines if outline.pair_id not in rated and outline.origin in SHARED_ORIGINS]
    measure = [outline for outline in new if outline.split == "measure"]
    train = [outline for outline in new if outline.split == "train"]
    contests = [outline for outline in measure if outline.adapter_a != outline.adapter_b]
    if measure and (not train or draw.random() < (CONTEST_DRAWS if contests else MEASURE_DRAWS)):
        chosen = draw.choice(contests or measure)
        return Showing(store.pair(chosen.pair_id), draw_side(draw))
    if train:
        return Showing(store.pair(most_telling(train, outlines, draw).pair_id), draw_side(draw))
    return None


def draw_side(draw: random.Random | None = None) -> str:
    """Which take stands on the left, evenly "a" or "b"."""
    return (draw or random.SystemRandom()).choice(("a", "b"))


def repeatable(rated: dict[str, list[tuple[str, bool]]], there: Collection[str]) -> list[str]:
    """Pairs answered once, at least REPEAT_GAP answers ago; `rated` is in the order of answers."""
    once = [pair_id for pair_id, answers in rated.items() if pair_id in there and len(answers) == 1]
    recent = set(list(rated)[-REPEAT_GAP:])
    return [pair_id for pair_id in once if pair_id not in recent]


def most_telling(
    candidates: Sequence[PairOutline], outlines: Sequence[PairOutline], draw: random.Random
) -> PairOutline:
    """The candidate with the largest `information` times `distinctness`, given all `outlines`; else chance decides."""
    by_prompt: Counter[tuple[str, str]] = Counter()
    wins: Counter[tuple[str, str, str]] = Counter()
    for outline in outlines:
        if votes := outline.chosen_a + outline.chosen_b + outline.ties:
            by_prompt[outline.category, outline.prompt] += votes
            wins[outline.category, outline.adapter_a, outline.adapter_b] += outline.chosen_a + outline.ties / 2
            wins[outline.category, outline.adapter_b, outline.adapter_a] += outline.chosen_b + outline.ties / 2

    differences = [outline.difference for outline in candidates if outline.difference >= 0]
    usual = sum(differences) / max(1, len(differences))

    def worth(outline: PairOutline) -> float:
        category, a, b = outline.category, outline.adapter_a, outline.adapter_b
        open_question = information(wins[category, a, b], wins[category, b, a], by_prompt[category, outline.prompt])
        return open_question * distinctness(outline.difference, usual)

    best = max(map(worth, candidates))
    return draw.choice([outline for outline in candidates if math.isclose(worth(outline), best)])


def information(wins: float, losses: float, votes_on_prompt: int) -> float:
    """4 p (1 - p) / (1 + n): how open the contest of two adapters is, over how often the prompt was judged.

    p = (wins + 1) / (wins + losses + 2) is Laplace's estimate that the one adapter wins. 1 is a new prompt and an open
    contest; two takes of one adapter are always open.
    """
    p = (wins + 1) / (wins + losses + 2)
    return 4 * p * (1 - p) / (1 + votes_on_prompt)


def distinctness(difference: float, usual: float) -> float:
    """d / (d + usual), 0..1: how far two adapters disagree about a clip; one half where it is usual or not known (-1).

    Two clips that look the same teach nothing, however open the contest of their adapters is.
    """
    return difference / (difference + usual) if difference >= 0 and usual > 0 else 0.5
