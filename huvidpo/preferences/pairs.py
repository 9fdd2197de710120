"""Ratings -> what can be trained on. Knows rows and paths, nothing of networks, of the store's files or of pixels.

The rules, in the order in which they act:

1. A pair whose split is `measure` is never trained on.
2. A pair made on another backbone is not trained on: the clips of one model teach another little. Clips whose maker is
   not known (uploads) are.
3. A rater who answered a pair more than once, with the sides swapped, counts once; who contradicts himself there
   counts as having said nothing.
4. A pair's verdict is the majority of `a` against `b`; ties take no side. As many for `a` as for `b` is a
   contradiction: the pair is left out. Only ties is a tie: left out as well, ties never decide.
5. The verdict on a segment (dense) is the sign of `a` minus `b` on it; 0 is a tie. A pair on which nobody judged any
   segment has the verdict of the whole clip on all of them. A pair that is a tie or a contradiction as a whole still
   counts for dense where one of its segments is decided. A pair without a decided segment does not.
6. Clips on their own (kto): the winner of a vote is good, the loser bad; both clips of `tie_good` are good, both of
   `tie_bad` bad. A clip's verdict is the majority over all votes it had; as many good as bad leaves it out.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from huvidpo.preferences.records import SEGMENTS, Pair, Rating

SIGNS = {"a": 1, "b": -1}  # everything else takes no side
GOODNESS = {"a": (1, -1), "b": (-1, 1), "tie_good": (1, 1), "tie_bad": (-1, -1)}  # of clip a, of clip b
MIN_EXAMPLES = 8  # below, an adapter learns the pairs and not the taste: the published few-shot sets begin at 8 clips


@dataclass(frozen=True)
class TrainingPair:
    """Two clips of which one was preferred."""

    winner: Path
    loser: Path
    prompt: str
    segments: tuple[int, ...] = (1,) * SEGMENTS  # 1 where the winner is better, -1 the loser, 0 neither
    decided: bool = True  # false where only segments decide: then "winner" is but a name


@dataclass(frozen=True)
class JudgedClip:
    """A clip that is good or bad on its own."""

    clip: Path
    prompt: str
    good: bool


@dataclass(frozen=True)
class TrainingSet:
    """What one objective learns from, and where it comes from."""

    pairs: tuple[TrainingPair, ...] = ()
    clips: tuple[JudgedClip, ...] = ()
    left_out: dict[str, int] = field(default_factory=dict)  # why -> how many pairs (kto: clips)
    sources_sha256: str = ""  # of the exact rating rows, or of the files and their verdicts
    ratings: int = 0
    raters: int = 0
    agreement: float = -1.0  # share of votes that agree with their pair's verdict; -1 without a pair of several votes
    scored: bool = False  # its pairs are drawn among clips with scores: these are what was judged

    def __len__(self) -> int:
        return len(self.pairs) or len(self.clips)

    @property
    def first_prompt(self) -> str:
        """Of the first example."""
        return (self.pairs or self.clips)[0].prompt

    @property
    def judged(self) -> int:
        """How much was judged: the examples, or of pairs among scored clips those clips, each once."""
        clips = {clip for pair in self.pairs for clip in (pair.winner, pair.loser)}
        return len(clips) if self.scored else len(self)


def missing_examples(examples: TrainingSet) -> int:
    """How many more examples, or scored clips, there should be before training is worth its time."""
    return max(0, MIN_EXAMPLES - examples.judged)


def training_set(
    ratings: Iterable[Rating], objective: str, backbone: str, video_path: Callable[[str], Path]
) -> TrainingSet:
    """What `objective` can learn from ratings that count (see the rules above), in an order that is always the same.

    `video_path` says where the file of a sha256 lies; pairs whose files are not there are left out.
    """
    left_out: Counter[str] = Counter()
    usable = []
    for votes in votes_by_pair(ratings):
        why = reason_to_leave_out(votes[0].pair, backbone, video_path)
        if why:
            left_out[why] += 1
        else:
            usable.append(votes)
    if objective == "kto":
        clips, undecided = judged_clips(usable, video_path)
        pairs, used = (), usable
        left_out["as often good as bad"] += undecided
    else:
        clips, pairs, used = (), [], []
        for votes in usable:
            pair, why = decide(votes, objective, video_path)
            if pair is None:
                left_out[why] += 1
            else:
                pairs.append(pair)
                used.append(votes)
    rows = [vote for votes in used for vote in votes]
    return TrainingSet(
        pairs=tuple(pairs),
        clips=tuple(clips),
        left_out=dict(+left_out),
        sources_sha256=rows_sha256(rows),
        ratings=len(rows),
        raters=len({vote.rater for vote in rows}),
        agreement=agreement(used),
        scored=objective != "kto" and bool(used) and all(votes[0].pair.origin == "scores" for votes in used),
    )


def votes_by_pair(ratings: Iterable[Rating]) -> list[list[Rating]]:
    """One list of votes for each pair, in the order of the pairs' names; a rater has one vote at most (rule 3)."""
    by_pair: defaultdict[str, defaultdict[str, list[Rating]]] = defaultdict(lambda: defaultdict(list))
    for rating in ratings:
        by_pair[rating.pair.pair_id][rating.rater].append(rating)
    found = []
    for _, by_rater in sorted(by_pair.items()):
        kept = [given[0] for _, given in sorted(by_rater.items()) if len({vote.preference for vote in given}) == 1]
        if kept:
            found.append(kept)
    return found


def reason_to_leave_out(pair: Pair, backbone: str, video_path: Callable[[str], Path]) -> str:
    """Why a pair cannot be trained on whatever was said about it; "" when it can (rules 1 and 2)."""
    if pair.split == "measure":
        return "kept for measuring"
    if {pair.a.backbone, pair.b.backbone} - {"", backbone}:
        return "made on another backbone"
    if not all(video_path(take.sha256).is_file() for take in (pair.a, pair.b)):
        return "its files are not here"
    return ""


def decide(votes: list[Rating], objective: str, video_path: Callable[[str], Path]) -> tuple[TrainingPair | None, str]:
    """The training pair that the votes on one pair make, or None and why not (rules 4 and 5)."""
    signs = [SIGNS.get(vote.preference, 0) for vote in votes]
    verdict, pair = sum(signs), votes[0].pair
    segments = segment_verdicts(votes, sign(verdict))
    if verdict == 0 and (objective != "dense" or not any(segments)):
        return None, "a contradiction" if any(signs) else "a tie"
    if objective == "dense" and not any(segments):
        return None, "no segment is decided"
    better, worse, turn = (pair.b, pair.a, -1) if verdict < 0 else (pair.a, pair.b, 1)
    return TrainingPair(
        video_path(better.sha256),
        video_path(worse.sha256),
        pair.prompt,
        tuple(turn * segment for segment in segments),
        decided=verdict != 0,
    ), ""


def segment_verdicts(votes: list[Rating], whole: int) -> tuple[int, ...]:
    """1 where clip a is better, -1 where b is, 0 for a tie, a contradiction or a segment that nobody judged."""
    if not any(label != "-" for vote in votes for label in vote.segment_labels):
        return (whole,) * SEGMENTS
    columns = zip(*(vote.segment_labels for vote in votes), strict=True)
    return tuple(sign(sum(SIGNS.get(label, 0) for label in column)) for column in columns)


def judged_clips(
    votes_on_pairs: list[list[Rating]], video_path: Callable[[str], Path]
) -> tuple[tuple[JudgedClip, ...], int]:
    """Every clip that is good or bad by majority, and how many are neither (rule 6)."""
    balance: Counter[tuple[str, str]] = Counter()  # (sha256, prompt) -> good minus bad
    for votes in votes_on_pairs:
        for vote in votes:
            for take, good in zip((vote.pair.a, vote.pair.b), GOODNESS[vote.preference], strict=True):
                balance[take.sha256, vote.pair.prompt] += good
    decided = [(key, value) for key, value in sorted(balance.items()) if value]
    clips = [JudgedClip(video_path(sha256), prompt, good=value > 0) for (sha256, prompt), value in decided]
    return tuple(clips), len(balance) - len(clips)


def agreement(votes_on_pairs: list[list[Rating]]) -> float:
    """Share of the votes, on pairs that several people rated, that take the majority's side; -1 without such pairs."""
    agreeing, total = 0, 0
    for votes in votes_on_pairs:
        if len(votes) > 1:
            counts = Counter(vote.preference for vote in votes)
            agreeing, total = agreeing + max(counts.values()), total + len(votes)
    return agreeing / total if total else -1.0


def rows_sha256(ratings: Iterable[Rating]) -> str:
    """The sha256 of the rows of ratings, each as JSON with sorted keys on a line, in the order of their names."""
    lines = [json.dumps(rating.to_row(), sort_keys=True) for rating in sorted(ratings, key=lambda r: r.rating_id)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def sign(number: int) -> int:
    """-1, 0 or 1."""
    return (number > 0) - (number < 0)
