"""What ratings say about the raters: agreement, bias, stillness. Pure functions of ratings, each with its interval."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations
from statistics import NormalDist

from huvidpo.preferences.records import PREFERENCES, Rating

SUSPICIOUS = 0.65  # share of votes for the stiller side from which on the owner is warned
MIN_PROMPTS = 5  # with fewer, drawing prompts anew says too little, and nothing is decided
NOTICEABLE = 0.05  # relative difference of motion below which no side is the stiller one


@dataclass(frozen=True)
class Share:
    """`count` of `total` with a 95 % Wilson interval; nothing is known (0 to 1) of an empty total."""

    count: int
    total: int

    @property
    def value(self) -> float:
        return self.count / self.total if self.total else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        return wilson_interval(self.count, self.total)

    def __str__(self) -> str:
        if not self.total:
            return "no data yet"
        low, high = self.interval
        return f"{self.value:.0%} of {self.total} (95 % interval {low:.0%} to {high:.0%})"


@dataclass(frozen=True)
class Summary:
    """Everything that is shown about a set of ratings."""

    ratings: int
    raters: int
    pairs: int
    preferences: dict[str, int]  # a, b, tie_good, tie_bad
    left: Share  # left_bias
    repeats: Share  # self_agreement
    alpha: float  # rater_agreement; nan where nothing can be said
    stiller: Share  # stiller_chosen


def summarise(ratings: Sequence[Rating]) -> Summary:
    """The figures of these ratings, which are those that count, the oldest first."""
    counted = Counter(rating.preference for rating in ratings)
    return Summary(
        ratings=len(ratings),
        raters=len({rating.rater for rating in ratings}),
        pairs=len({rating.pair.pair_id for rating in ratings}),
        preferences={preference: counted[preference] for preference in PREFERENCES},
        left=left_bias(ratings),
        repeats=self_agreement(ratings),
        alpha=rater_agreement(ratings),
        stiller=stiller_chosen(ratings),
    )


# Wilson (1927): the shares p with |count / total - p| <= z sqrt(p (1 - p) / total).
def wilson_interval(count: float, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share; (0, 1) without data.

    `count` need not be whole: where each trial is a share itself, such as that of a prompt's clips, it is their sum.
    """
    if not total:
        return 0.0, 1.0
    share, z = count / total, NormalDist().inv_cdf((1 + confidence) / 2)
    middle = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    return max(0.0, middle - half) if count else 0.0, min(1.0, middle + half) if count < total else 1.0


def left_bias(ratings: Iterable[Rating]) -> Share:
    """How often the left side was chosen among votes for a side; about one half when sides do not matter."""
    votes = [
        rating.preference == rating.left_is
        for rating in ratings
        if rating.preference in ("a", "b") and seen_blind(rating) and not rating.supersedes
    ]
    return Share(sum(votes), len(votes))


def seen_blind(rating: Rating) -> bool:
    """Whether it is an answer to two clips side by side, on a page that did not say which is which.

    Not: scores, other programs' tables, the owner's own command, which names them (no page sent its time).
    """
    by_command = rating.rater_kind == "owner" and rating.decision_ms < 0
    return rating.score_a == -1 and rating.rater_kind != "import" and not by_command


def self_agreement(ratings: Iterable[Rating]) -> Share:
    """How often a rater gave the same answer when a pair came back with sides swapped; the two ties are one answer.

    A repeat that was answered anew after its names were seen says nothing and is left out.
    """
    first: dict[tuple[str, str], str] = {}
    same = []
    for rating in ratings:
        key = rating.rater, rating.pair.pair_id
        if not seen_blind(rating):
            continue
        if not rating.is_repeat:
            first.setdefault(key, answer(rating))
        elif key in first and not rating.supersedes:
            same.append(answer(rating) == first[key])
    return Share(sum(same), len(same))


def rater_agreement(ratings: Iterable[Rating]) -> float:
    """Krippendorff's alpha over pairs that several people rated: 1 is full agreement, 0 is chance, nan is unknown.

    Each rater counts once for a pair, with the first answer; the two ties are one answer.
    """
    units: dict[str, dict[str, str]] = defaultdict(dict)
    for rating in ratings:
        units[rating.pair.pair_id].setdefault(rating.rater, answer(rating))
    return krippendorff_alpha([list(answers.values()) for answers in units.values()])


# alpha = 1 - D_o / D_e (Krippendorff, Content Analysis, chapter 11), with a difference function delta. With n_uc the
# count of answer c in unit u of m_u answers, n_c the count over all units with m_u > 1, and n their sum:
# D_o = sum_u sum_{c != k} n_uc n_uk delta(c, k) / (m_u - 1) / n,
# D_e = sum_{c != k} n_c n_k delta(c, k) / (n (n - 1)).
# delta is 1 for kinds of answers (nominal), (c - k)^2 for points on a scale (interval).
def krippendorff_alpha(units: Sequence[Sequence[str]] | Sequence[Sequence[float]], interval: bool = False) -> float:
    """Alpha of the answers in each unit, of which any number may be missing; nan when all answers are one.

    Nominal: answers are equal or not. With `interval` they are numbers, and the nearer the more they agree.
    """
    counts = [Counter(answers) for answers in units if len(answers) > 1]
    totals = sum(counts, Counter())
    n = totals.total()
    observed = sum(disagreement(unit, interval) / (unit.total() - 1) for unit in counts)
    expected = disagreement(totals, interval) / (n - 1) if n > 1 else 0
    return 1 - observed / expected if expected else math.nan


def disagreement(counts: Counter, interval: bool) -> float:
    """The sum of n_c n_k delta(c, k) over c != k."""
    pairs = permutations(counts.items(), 2)
    return sum(n_c * n_k * ((c - k) ** 2 if interval else 1) for (c, n_c), (k, n_k) in pairs)


def stiller_chosen(ratings: Iterable[Rating]) -> Share:
    """How often the side that moves noticeably less was chosen, among votes for a side of pairs with known motion."""
    votes = []
    for rating in ratings:
        chosen, other = (rating.pair.a, rating.pair.b) if rating.preference == "a" else (rating.pair.b, rating.pair.a)
        known = rating.preference in ("a", "b") and min(chosen.motion, other.motion) >= 0
        if known and abs(chosen.motion - other.motion) > NOTICEABLE * max(chosen.motion, other.motion):
            votes.append(chosen.motion < other.motion)
    return Share(sum(votes), len(votes))


def stillness_warning(stiller: Share) -> str:
    """A sentence for the owner when people choose what moves less; "" while chance explains it or it is not much."""
    low, _ = stiller.interval
    if not stiller.total or low <= 0.5 or stiller.value < SUSPICIOUS:
        return ""
    return (
        f"The chosen side moves less in {stiller}: an adapter trained on these ratings may learn to stop moving. "
        "Look at what raters see, or collect more pairs whose two sides move alike."
    )


def answer(rating: Rating) -> str:
    """a, b or tie."""
    return rating.preference if rating.preference in ("a", "b") else "tie"
