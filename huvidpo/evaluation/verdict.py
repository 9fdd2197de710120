"""What people's choices between systems say: win rates with intervals, ties in the open. Knows no models, no page."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from huvidpo.evaluation.estimates import clustered_interval
from huvidpo.preferences.gate import MAX_MORE, MIN_VOTES, blind_votes, motion_share, votes_needed
from huvidpo.preferences.records import Rating
from huvidpo.preferences.statistics import MIN_PROMPTS, Share

OUTCOMES = ("first", "second", "tie")


@dataclass(frozen=True)
class Comparison:
    """One person's choice between the clips that two systems made for one prompt."""

    prompt: str
    first: str  # a system's name
    second: str
    outcome: str  # one of OUTCOMES
    rater: str
    first_motion: float = -1.0  # of the clips, in percent of the longer side per frame; -1 is not known
    second_motion: float = -1.0

    def turned(self) -> "Comparison":
        """The same with the two systems in each other's place."""
        outcome = {"first": "second", "second": "first"}.get(self.outcome, "tie")
        return Comparison(
            self.prompt, self.second, self.first, outcome, self.rater, self.second_motion, self.first_motion
        )


@dataclass(frozen=True)
class WinRate:
    """One system against another. All intervals are of 95 %; see `clustered_interval` for those over prompts."""

    system: str
    against: str
    wins: int
    losses: int
    ties: int
    prompts: int
    decided_prompts: int  # those with votes for a side
    raters: int
    clustered: tuple[float, float] | None  # of the rate without ties, when other prompts had been drawn
    halved: float  # the rate with a tie as half a win; nan without votes
    halved_interval: tuple[float, float] | None  # likewise over prompts
    motion: float  # of the system's clips as a share of the other's; -1 is not known

    @property
    def decided(self) -> Share:
        """Wins among votes for a side, with Wilson's interval, which takes every vote for independent."""
        return Share(self.wins, self.wins + self.losses)

    @property
    def is_decided(self) -> bool:
        """Whether one half is outside of Wilson's interval and, where there is one, of that over prompts.

        It takes MIN_VOTES votes for a side on MIN_PROMPTS prompts at least.
        """
        enough = self.decided.total >= MIN_VOTES and self.decided_prompts >= MIN_PROMPTS
        intervals = filter(None, [self.decided.interval, self.clustered])
        return enough and all(not low <= 0.5 <= high for low, high in intervals)

    @property
    def votes_needed(self) -> int:
        """More votes for a side, at the rate so far and on other prompts, until it is decided.

        The gate asks for more: see `gate.Verdict.votes_needed`.
        """
        if self.is_decided:
            return 0
        needed = votes_needed(max(self.wins, self.losses), min(self.wins, self.losses))
        if needed == -1:
            return -1
        return min(MAX_MORE + 1, max(needed, MIN_PROMPTS - self.decided_prompts, self._needed_over_prompts()))

    def _needed_over_prompts(self) -> int:
        """Likewise until the interval over prompts leaves one half out; its width shrinks as the root of the votes."""
        low, high = self.clustered or (1.0, 1.0)
        ahead = abs(self.decided.value - 0.5)
        if not low <= 0.5 <= high or not ahead:
            return 0
        times = ((high - low) / 2 / ahead) ** 2
        return max(1, math.ceil(self.decided.total * (times - 1)))


def win_rate(comparisons: Iterable[Comparison], system: str, against: str) -> WinRate:
    """What is known of `system` against `against`; comparisons with other systems are not looked at.

    A person's votes, and votes on one prompt, are not independent of each other. The intervals over prompts draw whole
    prompts with all their votes (a cluster bootstrap).
    """
    both = {system, against}
    chosen = [c if c.first == system else c.turned() for c in comparisons if {c.first, c.second} == both]
    counts: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(3, dtype=int))
    for comparison in chosen:
        counts[comparison.prompt][OUTCOMES.index(comparison.outcome)] += 1
    table = np.array(list(counts.values())).reshape(-1, 3)
    wins, losses, ties = (int(count) for count in table.sum(axis=0))
    halves = table[:, 0] + table[:, 2] / 2
    return WinRate(
        system, against, wins, losses, ties,
        prompts=len(table),
        decided_prompts=int((table[:, :2].sum(axis=1) > 0).sum()),
        raters=len({comparison.rater for comparison in chosen}),
        clustered=clustered_interval(table[:, 0], table[:, :2].sum(axis=1)),
        halved=float(halves.sum() / table.sum()) if table.sum() else float("nan"),
        halved_interval=clustered_interval(halves, table.sum(axis=1)),
        motion=motion_share((comparison.first_motion, comparison.second_motion) for comparison in chosen),
    )  # fmt: skip


def win_rates(comparisons: Sequence[Comparison]) -> list[WinRate]:
    """One for every two systems that were compared, in the order of their names."""
    systems = sorted({name for comparison in comparisons for name in (comparison.first, comparison.second)})
    rates = [win_rate(comparisons, *pair) for pair in combinations(systems, 2)]
    return [rate for rate in rates if rate.prompts]


def comparisons_of_ratings(ratings: Iterable[Rating], names: Mapping[str, str]) -> list[Comparison]:
    """First, blind answers on `measure` pairs as comparisons of adapters; `names` gives each revision its name.

    "" is the revision of no adapter. Pairs of one adapter with itself, or of one without a name, are left out; so are
    answers that replace another, as their rater had seen the names.
    """
    found = []
    for rating in blind_votes(ratings):
        a, b = rating.pair.a, rating.pair.b
        known = (
            a.adapter_revision in names and b.adapter_revision in names and a.adapter_revision != b.adapter_revision
        )
        if not known:
            continue
        first, second = names[a.adapter_revision], names[b.adapter_revision]
        outcome = {"a": "first", "b": "second"}.get(rating.preference, "tie")
        found.append(Comparison(rating.pair.prompt, first, second, outcome, rating.rater, a.motion, b.motion))
    return found
