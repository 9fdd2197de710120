"""What the store says of its pairs in short: how many, and each in a line. Knows nothing of how they lie there."""

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Counts:
    """How many there are."""

    pairs: int
    saved: int  # ratings that count
    waiting: int  # rows made here, withdrawals included, that are not on the Hub yet


class PairOutline(NamedTuple):
    """A pair in short, with the ratings of it that count."""

    pair_id: str
    origin: str
    split: str
    category: str
    prompt: str
    adapter_a: str
    adapter_b: str
    chosen_a: float  # counts
    chosen_b: float
    ties: float
    difference: float = -1.0  # of what two adapters made of the same noise, see making.adapter_difference; -1: unknown
