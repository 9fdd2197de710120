"""The commands that train, with their options and help. What they do is in motion.py and learning.py."""

import argparse
from pathlib import Path

from huvidpo.commands import learning, motion
from huvidpo.commands.options import ALL_PAIRS, Command, add_category
from huvidpo.evaluation.contestants import CRITICS
from huvidpo.training.preference_settings import MEMBERS, OBJECTIVES, PRESETS

SAME_SEED = "the same seed trains the same adapter (default: 33)"
RESUMED = "go on with the run in --out, else with the newest one; what it was begun with need not be said again"
NEW_ADAPTER = "where the adapter is written (default: a new one among the category's)"


def add_motion_command(command: Command) -> None:
    parser = command("train-motion", motion.train_motion, "Learn a category's motion from a few clips.")
    add_category(parser)
    shown = (
        "8 to 16 clips of 16 frames or more; x.txt is the caption of x.mp4 (with --resume: those it was begun with)"
    )
    parser.add_argument("--clips", type=Path, metavar="DIR", help=shown)
    parser.add_argument(
        "--start", default="", metavar="NAME|FOLDER|none", help="adapter to start from (default: the category's own)"
    )
    parser.add_argument("--steps", type=int, help="how many steps to train (default: the backbone's)")
    parser.add_argument("--minutes", type=float, help="end after this much training, whatever the steps")
    parser.add_argument("--learning-rate", type=float, help="how far a step goes (default: the backbone's)")
    batch = "clips of one step over all processes (default: one for each)"
    parser.add_argument("--clips-per-step", type=int, metavar="N", help=batch)
    parser.add_argument("--inverted-latents", action="store_true", default=None, help="noise clips by DDIM inversion")
    parser.add_argument("--seed", type=int, help=SAME_SEED)
    parser.add_argument("--resume", action="store_true", help=RESUMED)
    parser.add_argument("--out", type=Path, metavar="DIR", help=NEW_ADAPTER)


def add_learning_commands(command: Command) -> None:
    add_preference_options(
        command("train-preference", learning.train_preference, "Learn a taste from ratings or own clips.")
    )
    rounds = command("rounds", learning.rounds, "Make clips, let a critic choose, learn, check; again.")
    who = "who chooses; judge knows pocket only (default: judge)"
    rounds.add_argument("--critic", choices=CRITICS, default="judge", help=who)
    accepts = "which critic accepts rounds (default: --critic)"
    rounds.add_argument("--held-out", choices=CRITICS, default="", metavar="CRITIC", help=accepts)
    rounds.add_argument("--rounds", type=int, default=3, help="how many rounds (default: 3)")
    rounds.add_argument("--pairs", type=int, default=24, help="pairs made and labelled in each round (default: 24)")
    unseen = "comparisons with the adapter before, on prompts that no round trains on (default: 40)"
    rounds.add_argument("--unseen", type=int, default=40, help=unseen)
    add_training_choices(rounds)
    rounds.add_argument("--out", type=Path, metavar="DIR", help="where the rounds lie, to go on with them")


def add_preference_options(parser: argparse.ArgumentParser) -> None:
    add_training_choices(parser)
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="own clips instead of ratings: chosen/ and rejected/, good/ and bad/ (kto), or scores.json",
    )
    parser.add_argument("--all-pairs", action="store_true", help=ALL_PAIRS)
    parser.add_argument("--few", action="store_true", help="train on fewer examples than make sense")
    parser.add_argument("--resume", action="store_true", help=RESUMED)
    parser.add_argument("--out", type=Path, metavar="DIR", help=NEW_ADAPTER)


def add_training_choices(parser: argparse.ArgumentParser) -> None:
    """What `train-preference` and `rounds` have in common."""
    add_category(parser)
    learns = "what is minimised; dense learns from marked segments too (default: dpo)"
    parser.add_argument("--objective", choices=list(OBJECTIVES), help=learns)
    named = "where the other settings come from (default: recommended)"
    parser.add_argument("--preset", choices=list(PRESETS), help=named)
    parser.add_argument("--real", type=Path, metavar="DIR", help="real clips, for the objective ipo")
    begins = "adapter to start from (default: the category's own)"
    parser.add_argument("--start", default="", metavar="NAME|FOLDER|none", help=begins)
    passes = "how many steps to train (default: the preset's passes through the examples)"
    parser.add_argument("--steps", type=int, help=passes)
    parser.add_argument("--minutes", type=float, help="end after this much training, whatever the steps")
    parser.add_argument(
        "--learning-rate", type=float, help="how far a step goes (default: the preset's and the backbone's)"
    )
    parser.add_argument("--beta", type=float, help="how strongly the adapter is held to where it starts")
    parser.add_argument("--rank", type=int, help="rank of the LoRA (default: the preset's, or that of --start)")
    parser.add_argument("--pairs-per-step", type=int, help="pairs of one step over all processes")
    parser.add_argument(
        "--members", choices=MEMBERS, help="apart takes winner and loser one after the other, in less memory"
    )
    parser.add_argument("--seed", type=int, help=SAME_SEED)
