"""The arguments of `python -m huvidpo`, and how a command ends. Knows nothing of what the commands do."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from huvidpo import (
    adapter_commands,
    commands,
    evaluation_commands,
    learning_commands,
    motion_commands,
    rating_commands,
    study_commands,
)
from huvidpo.categories import STYLES

FIRST_FRAMES = ["dpo", "base", "dpo-small"]  # as in presets.py, which takes seconds to import
ATTENTIONS = ["first-previous", "first"]  # as in models/attention.py, likewise


def main(argv: list[str] | None = None) -> int:
    """Runs one command; gives the exit code: 2 with one sentence on stderr for bad input, 130 when interrupted."""
    for library in ("TRANSFORMERS", "DIFFUSERS"):  # their advice is for programmers; they read this when imported
        os.environ.setdefault(f"{library}_VERBOSITY", "error")
    try:
        arguments = new_parser().parse_args(argv, argparse.Namespace(json=False, backbone=None, memory=None))
        commands.check_alone(arguments.run.__name__)
        return arguments.run(arguments) or 0
    except KeyboardInterrupt:
        return 130
    except ValueError as error:
        sentence = str(error)
    except OSError as error:
        sentence = ": ".join(filter(None, [error.strerror or str(error), error.filename])) + "."
    print(" ".join(sentence.split()), file=sys.stderr)
    return 2


class Parser(argparse.ArgumentParser):
    """Bad arguments are a ValueError, as all other bad input is."""

    def error(self, message: str) -> None:
        raise ValueError(f"{message[:1].upper()}{message[1:]}; see {self.prog} --help.")


def new_parser() -> Parser:
    """All commands with their options; each has its function in `run`."""
    everywhere = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    everywhere.add_argument("--json", action="store_true", help="print one JSON object, and nothing else, on stdout")
    everywhere.add_argument("--backbone", metavar="NAME", help="pocket or sd14; by default what suits this machine")
    everywhere.add_argument(
        "--memory",
        metavar="MODE",
        help="on a GPU: all, turns, offload or sequential (default: the fastest that fits)",
    )
    parser = Parser("huvidpo", description="From a prompt to a first frame to a moving clip.", parents=[everywhere])
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int | None], summary: str) -> argparse.ArgumentParser:
        added = subparsers.add_parser(name, help=summary, description=summary, parents=[everywhere])
        added.set_defaults(run=run)
        return added

    command("backbones", commands.backbones, "List the backbones.")
    command("categories", commands.categories, "List the eight actions.")
    adapters = command("adapters", commands.adapters, "List the adapters of a backbone.")
    adapters.add_argument("--category", help="only those of this category")
    add_adapter_commands(command)
    add_first_frame_options(command("first-frame", commands.first_frame, "Draw a first frame from a prompt."))
    add_video_options(command("video", commands.video, "Make a clip from a prompt and a first frame."))
    add_training_options(
        command("train-motion", motion_commands.train_motion, "Learn a category's motion from a few clips.")
    )
    add_learning_commands(command)
    add_rating_commands(command)
    add_evaluation_options(command("evaluate", evaluation_commands.evaluate, "Compare systems on the same prompts."))
    add_study_commands(command)
    serve = command("serve", commands.serve, "Start the page.")
    serve.add_argument(
        "--host", help="address to listen on; 0.0.0.0 for the whole network (default: this machine only)"
    )
    serve.add_argument("--port", type=int, help="default: the first free one from 7860")
    return parser


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
    parser.add_argument("--model", choices=FIRST_FRAMES, default="", help="default: the best that the backbone has")
    parser.add_argument("--out", type=Path, required=True, metavar="X.png")


def add_video_options(parser: argparse.ArgumentParser) -> None:
    add_clip_options(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="X.mp4|X.gif")


def add_clip_options(parser: argparse.ArgumentParser) -> None:
    add_prompt_options(parser)
    parser.add_argument("--category", required=True)
    parser.add_argument("--first-frame", type=Path, metavar="IMAGE", help="default: one is made from the prompt")
    parser.add_argument("--fit", choices=["crop", "pad"], default="crop", help="how an image of another shape fits")
    parser.add_argument("--first-frame-model", choices=FIRST_FRAMES, default="", help="default: the best there is")
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
        choices=["varied", "independent", "shared-noise", "aligned"],
        help="what tells the takes apart (default: varied, noise and guidance; with --against the adapter alone)",
    )
    pair.add_argument(
        "--count", type=int, metavar="N", help="that many pairs, of the seeds from --seed (default 0) on"
    )
    pair.add_argument("--source", type=Path, metavar="CLIP", help="the clip that aligned takes start from")
    rate = command("rate", rating_commands.rate, "Say which take of a pair is better.")
    rate.add_argument("--pair", required=True, metavar="ID")
    rate.add_argument("--preference", required=True, choices=["a", "b", "tie_good", "tie_bad"])
    rate.add_argument("--segments", default="", metavar="a,b,tie,-", help="who is better in each quarter; - is unsaid")
    rate.add_argument("--supersedes", default="", metavar="ID", help="the own rating that this one replaces")
    withdraw = command("withdraw", rating_commands.withdraw, "Take an own rating back.")
    withdraw.add_argument("--rating", required=True, metavar="ID")
    ratings = command("ratings", rating_commands.ratings, "List the ratings that count, and what they say.")
    ratings.add_argument("--category", help="only those of this category")
    taken = command("import-ratings", rating_commands.import_ratings, "Take over ratings from files.")
    taken.add_argument("file", type=Path, metavar="FILE.csv|.json|.jsonl|FOLDER")
    taken.add_argument("--category", required=True, help="where the file names none")
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
    parser.add_argument("--systems", default="", metavar="A,B", help="such as default,first-only,no-adapter,own-noise")
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
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="goes on where it stopped")


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
    export = part("export", study_commands.export, "Write all answers as a CSV file.")
    export.add_argument("name")
    export.add_argument("--out", type=Path, required=True, metavar="X.csv")


def add_training_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--category", required=True)
    parser.add_argument("--clips", type=Path, required=True, metavar="DIR", help="8 to 16 clips; x.txt captions x.mp4")
    parser.add_argument(
        "--start", default="", metavar="NAME|FOLDER|none", help="adapter to start from (default: the category's own)"
    )
    parser.add_argument("--steps", type=int)
    parser.add_argument("--minutes", type=float, help="end after this much training, whatever the steps")
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--clips-per-step", type=int, metavar="N", help="over all processes (default: one for each)")
    parser.add_argument("--inverted-latents", action="store_true", default=None, help="noise clips by DDIM inversion")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--resume", action="store_true", help="continue the run in --out, else the newest one")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: a new one among the category's adapters")


def add_learning_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    add_preference_options(
        command("train-preference", learning_commands.train_preference, "Learn a taste from ratings or own clips.")
    )
    rounds = command("rounds", learning_commands.rounds, "Make clips, let a critic choose, learn, check; again.")
    rounds.add_argument("--critic", default="judge", help="judge, or taste:warmer, taste:livelier, taste:steadier")
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
        "--data", type=Path, metavar="DIR", help="own clips instead of ratings: chosen/ and rejected/, or scores.json"
    )
    parser.add_argument("--every-pair", action="store_true", help="pair scored clips all with all, not each once")
    parser.add_argument("--few", action="store_true", help="train on fewer examples than make sense")
    parser.add_argument("--resume", action="store_true", help="continue the run in --out, else the newest one")
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
    parser.add_argument("--steps", type=int)
    parser.add_argument("--minutes", type=float, help="end after this much training, whatever the steps")
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--beta", type=float, help="how strongly the adapter is held to where it starts")
    parser.add_argument("--rank", type=int)
    parser.add_argument("--pairs-per-step", type=int, help="over all processes")
    parser.add_argument("--members", help="together, or apart: winner and loser one after the other, in less memory")
    parser.add_argument("--seed", type=int)
