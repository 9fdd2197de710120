"""Did it really get better? Blind votes on `measure` pairs of two adapters -> a verdict. Knows rows, no models."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace

from huvidpo.evaluation.estimates import clustered_interval
from huvidpo.preferences.records import Pair, Rating
from huvidpo.preferences.statistics import MIN_PROMPTS, seen_blind, wilson_interval

MIN_VOTES = 10  # decided votes, whatever the interval says
# Confidence of the bound that opens the gate: it is looked at after every vote, so 95 % would let an adapter that is
# no better through in one of seven contests of up to 100 votes, and this in one of fifty.
OPENING = 0.995
MIN_MOTION = 0.9  # of the other adapter's: taste for sharper or warmer clips must not buy stillness
# What two clips must have in common if their adapters are to be told apart by them.
ALIKE = ("backbone", "first_frame_sha256", "recipe", "steps", "guidance", "num_frames")
MAX_TAKEN_BACK = 0.05  # of the votes: who has seen the names and then takes back what went against a wish selects
MOST_MOTION = 10.0  # times another's; above, the other stands still
MAX_MORE = 2000  # votes that are looked ahead
LIKELY_RATE = 0.7  # what a win rate is taken for before there are MIN_VOTES


@dataclass(frozen=True)
class Verdict:
    """What the votes say of an adapter against another."""

    wins: int
    losses: int
    ties: int
    win_rate: float  # among the decided; -1 without any
    low: float  # Wilson's 95 % interval of it
    high: float
    motion: float  # of its clips in these pairs as a share of the other's; -1 is not known
    votes_needed: int  # more decided votes, at this rate, until the gate can open; see `votes_needed`
    prompts: int  # that have decided votes
    passed: bool
    reason: str  # one sentence

    def to_row(self) -> dict[str, object]:
        """Plain values for JSON."""
        return asdict(self)


def judge(answers: Iterable[Rating], revision: str, against: str, taken_back: Iterable[Rating] = ()) -> Verdict:
    """The verdict on the adapter of that revision against another's; "" is the revision of no adapter.

    `taken_back` are first answers that their raters took back once they had seen the names: they do not count, and
    where they are more than one in twenty, what is left cannot decide.

    Only blind answers on `measure` pairs count, of which one clip was made by each: a person's first one on a pair,
    given side by side on a page. Those of `RatingStore.blind_answers` also have what was changed after its names were
    seen. Ties take no side. A person's votes, and votes on one prompt, are not independent: so votes on MIN_PROMPTS
    prompts are asked for, and that it is ahead also if other prompts of their kind had been drawn.
    """
    votes = [rating for rating in blind_votes(answers) if is_between(rating.pair, revision, against)]
    by_prompt: dict[str, list[int]] = {}
    ties, motions = 0, []
    for rating in votes:
        a, b = rating.pair.a, rating.pair.b
        own = "a" if a.adapter_revision == revision else "b"
        motions.append((a.motion, b.motion) if own == "a" else (b.motion, a.motion))
        if rating.preference.startswith("tie"):
            ties += 1
        else:
            by_prompt.setdefault(rating.pair.prompt, [0, 0])[rating.preference != own] += 1
    verdict, decided = verdict_of(list(by_prompt.values()), ties, motion_share(motions)), len(votes) - ties
    first = [rating for rating in taken_back if not rating.is_repeat and is_between(rating.pair, revision, against)]
    undone = len({(rating.rater, rating.pair.pair_id) for rating in first})
    if verdict.passed and undone > MAX_TAKEN_BACK * decided:
        reason = f"It won, but {undone} answers were taken back after the names were seen: more votes are needed."
        return replace(verdict, passed=False, reason=reason)
    return verdict


def blind_votes(answers: Iterable[Rating]) -> list[Rating]:
    """A person's first answer on each pair that tells adapters apart, if it was given blind."""
    votes: dict[tuple[str, str], Rating] = {}
    for rating in answers:
        blind = seen_blind(rating) and not rating.is_repeat and not rating.supersedes
        if blind and tells_adapters_apart(rating.pair):
            votes.setdefault((rating.rater, rating.pair.pair_id), rating)
    return list(votes.values())


def verdict_of(by_prompt: Sequence[Sequence[int]], ties: int, motion: float, confidence: float = OPENING) -> Verdict:
    """The gate's rules on votes that count: for and against by prompt, ties; `motion` as `motion_share` has it.

    `confidence` is that of the bound which must lie above one half: 0.95 where it is looked at once.
    """
    wins, losses = (sum(votes[side] for votes in by_prompt) for side in (0, 1))
    prompts = len(by_prompt)
    low, high = wilson_interval(wins, wins + losses)
    needed = votes_needed(wins, losses, confidence)
    if needed >= 0:
        needed = max(needed, MIN_PROMPTS - prompts)  # on other prompts
    reason = reason_against(wins, losses, motion, needed, confidence) or few_prompts(prompts)
    over_prompts = clustered_interval(
        [votes[0] for votes in by_prompt], [sum(votes) for votes in by_prompt], confidence
    )
    if not reason and over_prompts and over_prompts[0] <= 0.5:
        reason = "It won, but on some of the prompts only: vote on pairs of others."
    rate = wins / (wins + losses) if wins + losses else -1.0
    passed, reason = not reason, reason or "It won."
    return Verdict(wins, losses, ties, rate, low, high, motion, needed, prompts, passed, reason)


def is_between(pair: Pair, revision: str, against: str) -> bool:
    """Whether a pair measures the adapter of that revision against the other's."""
    made_by = {pair.a.adapter_revision, pair.b.adapter_revision}
    return len(made_by) == 2 and made_by == {revision, against} and tells_adapters_apart(pair)


def tells_adapters_apart(pair: Pair) -> bool:
    """Whether its two clips were made here, and alike but for their adapters; a `measure` pair.

    A clip of unknown making has no revision, as one without an adapter has none.
    """
    known = all(take.adapter_revision or take.adapter == "none" for take in (pair.a, pair.b))
    alike = all(getattr(pair.a, name) == getattr(pair.b, name) for name in ALIKE)
    return pair.split == "measure" and pair.origin != "import" and known and alike


def answers_between(ratings: Iterable[Rating], revision: str, against: str) -> list[Rating]:
    """Answers on such pairs that were given before the names were seen; repeats too, for raters' agreement."""
    return [rating for rating in ratings if not rating.supersedes and is_between(rating.pair, revision, against)]


def motion_share(motions: Iterable[tuple[float, float]]) -> float:
    """Mean motion of the one's clips as a share of the other's, where both are known and move; else -1."""
    known = [(own, other) for own, other in motions if own >= 0 and other >= 0]
    own, other = sum(pair[0] for pair in known), sum(pair[1] for pair in known)
    return own / other if other > 0 else -1.0


def motion_words(share: float) -> str:
    """That share as people read it; beside clips that stand still it says nothing."""
    return f"motion {share:.0%}" if 0 <= share <= MOST_MOTION else "motion cannot be compared"


def votes_needed(wins: int, losses: int, confidence: float = 0.95) -> int:
    """More decided votes until Wilson's lower bound of that confidence is above one half, at the rate so far.

    -1: no number would do, as it is not ahead; MAX_MORE + 1: more than MAX_MORE, see `needed_words`. Before there are
    MIN_VOTES the rate is taken to be LIKELY_RATE.
    """
    votes = wins + losses
    rate = wins / votes if votes >= MIN_VOTES else LIKELY_RATE
    if rate <= 0.5:
        return -1
    for more in range(max(0, MIN_VOTES - votes), MAX_MORE + 1):
        won = min(votes + more, math.floor(wins + rate * more + 1e-9))
        if wilson_interval(won, votes + more, confidence)[0] > 0.5:
            return more
    return MAX_MORE + 1


def needed_words(needed: int) -> str:
    """How many more votes are needed, as people read it."""
    if needed <= 0:
        return "no number of votes" if needed else "no more votes"
    if needed > MAX_MORE:
        return f"more than {MAX_MORE} more votes"
    return f"about {needed} more {'vote' if needed == 1 else 'votes'}"


def few_prompts(prompts: int) -> str:
    """Why votes on so few prompts do not open the gate, in one sentence; "" when they are enough."""
    if prompts >= MIN_PROMPTS:
        return ""
    return f"It won, but on {prompts} {'prompt' if prompts == 1 else 'prompts'} only: vote on {MIN_PROMPTS} or more."


def reason_against(wins: int, losses: int, motion: float, needed: int, confidence: float) -> str:
    """Why the gate stays closed, in one sentence; "" when it opens."""
    votes = wins + losses
    if votes >= MIN_VOTES and (high := wilson_interval(wins, votes)[1]) < 0.5:
        return f"It lost: at most {high:.0%} of the votes are for it."
    if needed == -1:
        return "It is not ahead: at this rate no number of votes would do."
    if votes < MIN_VOTES or wilson_interval(wins, votes, confidence)[0] <= 0.5:
        many = f"More than {MAX_MORE}" if needed > MAX_MORE else f"About {needed}"
        rate = "at this rate" if votes >= MIN_VOTES else f"if {LIKELY_RATE:.0%} of them are for it"
        return f"{many} more decided votes are needed, {rate}."
    if motion < 0:
        return "It won, but how much its clips move was not measured."
    if motion < MIN_MOTION:
        return f"It won, but its clips have only {motion:.0%} of the motion of the other's."
    return ""
