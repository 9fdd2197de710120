"""What a critic, in a person's place, says of a pair. Knows records and files, nothing of training."""

import random

import numpy as np

from huvidpo.evaluation.critics import Critic
from huvidpo.preferences.records import SEGMENTS, Pair, Rating
from huvidpo.preferences.store import RatingStore
from huvidpo.video import read_frames

RATER = "51" * 8  # no person


def critic_rating(
    store: RatingStore, pair: Pair, critic: Critic, chance: random.Random, wrong: bool = False
) -> Rating:
    """What a critic says of a pair, as a whole and of each segment; the opposite if `wrong`.

    `chance` gives the row its name and its sides: the same ones make the same row.
    """
    a, b = (read_frames(store.video_path(clip.sha256))[0] for clip in (pair.a, pair.b))
    parts = zip(np.array_split(a, SEGMENTS), np.array_split(b, SEGMENTS), strict=True)
    return Rating(
        rating_id=f"{chance.getrandbits(128):032x}",
        pair=pair,
        preference=better(critic(a, pair.prompt), critic(b, pair.prompt), "tie_good", wrong),
        left_is=chance.choice("ab"),
        rater=RATER,
        rater_kind="simulated",
        segment_labels=tuple(better(critic(x, pair.prompt), critic(y, pair.prompt), "tie", wrong) for x, y in parts),
        created_at=pair.paired_at,  # the same row when an interrupted round is done again
    )


def better(a: float, b: float, tie: str, wrong: bool) -> str:
    """Which of two scores is the higher one."""
    if a == b:
        return tie
    return "a" if (a > b) != wrong else "b"
