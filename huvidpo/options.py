"""The options of each command, with their help. Knows nothing of what the commands do with them."""

import argparse
from collections.abc import Callable
from pathlib import Path

from huvidpo import (
    adapter_commands,
    evaluation_commands,
    learning_commands,
    rating_commands,
    study_commands,
)
from huvidpo.categories import STYLES
from huvidpo.preferences.records import PAIRINGS, PREFERENCES

FIRST_FRAMES = ["dpo", "base", "dpo-small"]  # as in presets.py, which takes seconds to import
ATTENTIONS = ["first-previous", "first"]  # as in models/attention.py, likewise
WHICH_MODEL = "dpo-small is of sd14 only: 3.5 GB in the place of 12.4 (default: dpo, where there is one)"
SYSTEMS = (
    "default, first-only, no-adapter, no-dpo, base-first-frame, own-noise, huvidpo-recipe, animatediff, modelscope "
    "(default: default,first-only,no-adapter,own-noise)"
)


def add_adapter_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    taken = command(
        "import-checkpoint", adapter_commands.import_checkpoint, "Make an adapter of LAMP's or HuViDPO's weights."
    )
    taken.add_argument("file", type=Path, metavar="FILE", help=".bin, .pth or .safetensors, or the folder with unet/")
    taken.add_argument("--category", required=True)
    taken.add_argument("--name", default="imported", help="of the new adapter")
    taken.add_argument("--source", default="", metavar="ADDRESS", help="where the file comes from, for the card")
    taken.add_argument("--lora-alpha", type=float, help="default: twice the rank, as HuViDPO trains")
    wanted = "LAMP's weights want first; HuViDPO's want first-previous (default)"
    taken.add_argument("--attention", choices=ATTENTIONS, default=ATTENTIONS[0], help=wanted)
    pushed = command(
        "push-adapter", adapter_commands.push_adapter, "Share an adapter in a model repository of the Hub."
    )
    pushed.add_argument("name")
    pushed.add_argument("--category", required=True)
    pushed.add_argument("--repo", default="", metavar="OWNER/NAME", help="default: HUVIDPO_ADAPTERS")


def add_prompt_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--style", choices=list(STYLES), default="any")
    parser.add_argument(
        "--negative-prompt", default="", help="what should not be in the picture; heeded where the guidance is above 1"
    )
    parser.add_argument("--seed", type=int, help="the same seed makes the same result (default: a random one)")
    parser.add_argument("--steps", type=int, help="denoising steps (default: the backbone's)")
    parser.add_argument("--guidance", type=float, help="how closely to follow the prompt (default: the backbone's)")


def add_first_frame_options(parser: argparse.ArgumentParser) -> None:
    add_prompt_options(parser)
    parser.add_argument("--category", help="noted in the settings of the picture")
    parser.add_argument("--model", choices=FIRST_FRAMES, default="", help=WHICH_MODEL)
    parser.add_argument("--out", type=Path, required=True, metavar="X.png", help="the picture, its settings inside")


def add_video_options(parser: argparse.ArgumentParser) -> None:
    add_clip_options(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="X.mp4|X.gif", help="the clip, its settings inside")


def add_clip_options(parser: argparse.ArgumentParser) -> None:
    add_prompt_options(parser)
    parser.add_argument("--category", required=True)
    parser.add_argument("--first-frame", type=Path, metavar="IMAGE", help="default: one is made from the prompt")
    parser.add_argument("--fit", choices=["crop", "pad"], default="crop", help="how an image of another shape fits")
    parser.add_argument("--first-frame-model", choices=FIRST_FRAMES, default="", help=WHICH_MODEL)
    parser.add_argument("--first-frame-seed", type=int, help="default: the clip's seed")
    parser.add_argument("--adapter", default="", metavar="NAME|FOLDER|none", help="default: the category's own")
    parser.add_argument("--attention", default="", help="first-previous, or first (LAMP); default: the adapter's own")
    parser.add_argument("--recipe", default="default", help="default, or huvidpo for the published sampler")


def add_rating_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    pair = command("pair", rating_commands.pair, "Make two takes to choose between.")
    add_clip_options(pair)
    pair.add_argument("--against", metavar="NAME|FOLDER|none", help="adapter of take b (default: the same)")
    pair.add_argument(
        "--pairing",
        choices=PAIRINGS,
        help="what tells the takes apart (default: varied, noise and guidance; with --against the adapter alone)",
    )
    pair.add_argument(
        "--count", type=int, metavar="N", help="that many pairs, of the seeds from --seed (default 0) on"
    )
    pair.add_argument("--source", type=Path, metavar="CLIP", help="the clip that aligned takes start from")
    rate = command("rate", rating_commands.rate, "Say which take of a pair is better.")
    rate.add_argument("--pair", required=True, metavar="ID")
    rate.add_argument("--preference", required=True, choices=PREFERENCES)
    rate.add_argument("--segments", default="", metavar="a,b,tie,-", help="who is better in each quarter; - is unsaid")
    rate.add_argument(
        "--supersedes",
        default="",
        metavar="ID",
        help="the own rating that this one replaces (default: that on this pair)",
    )
    withdraw = command("withdraw", rating_commands.withdraw, "Take an own rating back.")
    withdraw.add_argument("--rating", required=True, metavar="ID")
    ratings = command("ratings", rating_commands.ratings, "List the ratings that count, and what they say.")
    ratings.add_argument("--category", help="only those of this category")
    taken = command("import-ratings", rating_commands.import_ratings, "Take over ratings from files.")
    taken.add_argument("file", type=Path, metavar="FILE.csv|.json|.jsonl|FOLDER")
    taken.add_argument("--category", default="", help="where the file names none")
    taken.add_argument(
        "--prompt", default="", help="where the file names none (default: the category's motion prompt)"
    )
    taken.add_argument("--all-pairs", action="store_true", help="pair scored clips all with all, not each once")
    export = command("export-ratings", rating_commands.export_ratings, "Write the ratings as plain files.")
    export.add_argument("out", type=Path, metavar="OUT", help="a new or an empty folder")
    export.add_argument("--layout", choices=["flat", "chosen-rejected"], default="flat")
    export.add_argument("--category", help="only those of this category")
    for name, run, summary in (
        ("push", rating_commands.push, "Upload what waits to the dataset on the Hub."),
        ("pull", rating_commands.pull, "Take over others' ratings from the dataset on the Hub."),
    ):
        command(name, run, summary).add_argument("--dataset", default="", metavar="OWNER/NAME")


def add_evaluation_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--category", required=True, help="one of the eight, or all")
    parser.add_argument("--systems", default="", metavar="A,B", help=SYSTEMS)
    parser.add_argument("--adapters", default="", metavar="A,B", help="names or folders; each is a system")
    parser.add_argument(
        "--clips",
        action="append",
        metavar="NAME=DIR",
        help="finished clips as a system, horse-01-0.mp4; measure real footage with --judge hub",
    )
    parser.add_argument(
        "--prompts", type=Path, metavar="FILE|DIR", help="one prompt a line (default: examples/prompts)"
    )
    parser.add_argument("--seeds", type=int, default=1, help="clips of each prompt (default: 1)")
    parser.add_argument(
        "--judge",
        choices=["pocket", "hub"],
        help="default: pocket's for pocket (it knows drawn clips only), else the Hub's",
    )
    shown = "goes on where it stopped (default: evaluations/CATEGORY in HUVIDPO_HOME, which the tab Evaluate shows)"
    parser.add_argument("--out", type=Path, metavar="DIR", help=shown)


def add_study_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    study = command("study", study_commands.listed, "Let invited people mark the clips of systems, blind.")
    does = study.add_subparsers(metavar="create|list|results|export", required=True)

    def part(name: str, run: Callable[[argparse.Namespace], None], summary: str) -> argparse.ArgumentParser:
        added = does.add_parser(name, help=summary, description=summary)
        added.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object")
        added.set_defaults(run=run)
        return added

    create = part("create", study_commands.create, "Make a study from an evaluation folder.")
    create.add_argument("name", help="small letters, digits and -; the link is /?study=NAME")
    create.add_argument("--evaluation", type=Path, required=True, metavar="DIR", help="what `evaluate` wrote")
    create.add_argument("--systems", default="", metavar="A,B", help="default: all that were evaluated")
    create.add_argument("--prompts", type=int, default=14, help="how many (default: 14, as in the paper)")
    part("list", study_commands.listed, "List the studies.")
    part("results", study_commands.results, "What people said, with intervals.").add_argument("name")
    export = part("export", study_commands.export, "Write the answers that count as a CSV file.")
    export.add_argument("name")
    export.add_argument("--out", type=Path, required=True, metavar="X.csv")


def add_training_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--category", required=True)
    parser.add_argument(
        "--clips",
        type=Path,
        required=True,
        metavar="DIR",
        help="8 to 16 clips of 16 frames or more; x.txt is the caption of x.mp4",
    )
    parser.add_argument(
        "--start", default="", metavar="NAME|FOLDER|none", help="adapter to start from (default: the category's own)"
    )
    parser.add_argument("--steps", type=int, help="default: the backbone's")
    parser.add_argument("--minutes", type=float, help="end after this much training, whatever the steps")
    parser.add_argument("--learning-rate", type=float, help="default: the backbone's")
    parser.add_argument("--clips-per-step", type=int, metavar="N", help="over all processes (default: one for each)")
    parser.add_argument("--inverted-latents", action="store_true", default=None, help="noise clips by DDIM inversion")
    parser.add_argument("--seed", type=int)
    parser.add_argument(
        "--resume", action="store_true", help="continue the run in --out, else the newest one, as it was begun"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: a new one among the category's adapters")


def add_learning_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    add_preference_options(
        command("train-preference", learning_commands.train_preference, "Learn a taste from ratings or own clips.")
    )
    rounds = command("rounds", learning_commands.rounds, "Make clips, let a critic choose, learn, check; again.")
    critics = "judge (default; pocket only), or taste:warmer, taste:livelier, taste:steadier"
    rounds.add_argument("--critic", default="judge", help=critics)
    rounds.add_argument("--held-out", default="", metavar="CRITIC", help="who accepts rounds (default: --critic)")
    rounds.add_argument("--rounds", type=int, default=3)
    rounds.add_argument("--pairs", type=int, default=24, help="made and labelled in each round")
    rounds.add_argument("--unseen", type=int, default=40, help="comparisons with the adapter before, on other prompts")
    add_training_choices(rounds)
    rounds.add_argument("--out", type=Path, metavar="DIR", help="where the rounds lie, to go on with them")
    promote = command("promote", learning_commands.promote, "Make an adapter its category's default.")
    promote.add_argument("name")
    promote.add_argument("--category", help="needed where two categories have an adapter of that name")
    promote.add_argument("--force", action="store_true", help="whatever the votes say")
    rollback = command("rollback", learning_commands.rollback, "Bring back a category's default before this one.")
    rollback.add_argument("--category", required=True)
    winrate = command("winrate", evaluation_commands.winrate, "What blind votes say of an adapter against another.")
    winrate.add_argument("--category", required=True)
    winrate.add_argument("--adapter", default="", metavar="A", help="default: the newest candidate")
    winrate.add_argument("--against", default="", metavar="B", help="default: what it was trained from")


def add_preference_options(parser: argparse.ArgumentParser) -> None:
    add_training_choices(parser)
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="own clips instead of ratings: chosen/ and rejected/, good/ and bad/ (kto), or scores.json",
    )
    parser.add_argument("--every-pair", action="store_true", help="pair scored clips all with all, not each once")
    parser.add_argument("--few", action="store_true", help="train on fewer examples than make sense")
    resumed = "continue the run in --out, else the newest one, with the options that it was begun with"
    parser.add_argument("--resume", action="store_true", help=resumed)
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="default: a new candidate among the category's adapters"
    )


def add_training_choices(parser: argparse.ArgumentParser) -> None:
    """What `train-preference` and `rounds` have in common."""
    parser.add_argument("--category", required=True)
    parser.add_argument(
        "--objective",
        default="dpo",
        help="dpo (default), dense (learns from marked segments too), kto, ipo, hinge or identity",
    )
    parser.add_argument("--preset", default="recommended", help="recommended or huvidpo-release")
    parser.add_argument("--real", type=Path, metavar="DIR", help="real clips, for the objective ipo")
    parser.add_argument("--start", default="", metavar="NAME|FOLDER|none", help="default: the category's own adapter")
    parser.add_argument("--steps", type=int, help="default: as many as the preset's passes through the examples have")
    parser.add_argument("--minutes", type=float, help="end after this much training, whatever the steps")
    parser.add_argument("--learning-rate", type=float, help="default: the preset's and the backbone's")
    parser.add_argument("--beta", type=float, help="how strongly the adapter is held to where it starts")
    parser.add_argument("--rank", type=int, help="of the LoRA (default: the preset's, or that of --start)")
    parser.add_argument("--pairs-per-step", type=int, help="over all processes")
    parser.add_argument("--members", help="together, or apart: winner and loser one after the other, in less memory")
    parser.add_argument("--seed", type=int)
