"""The arguments of `python -m huvidpo`, and how a command ends. Knows nothing of what the commands do."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from huvidpo import commands, learning_commands
from huvidpo.categories import STYLES


def main(argv: list[str] | None = None) -> int:
    """Runs one command; gives the exit code: 2 with one sentence on stderr for bad input, 130 when interrupted."""
    for library in ("TRANSFORMERS", "DIFFUSERS"):  # their advice is for programmers; they read this when imported
        os.environ.setdefault(f"{library}_VERBOSITY", "error")
    try:
        arguments = new_parser().parse_args(argv, argparse.Namespace(json=False, backbone=None))
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
    add_first_frame_options(command("first-frame", commands.first_frame, "Draw a first frame from a prompt."))
    add_video_options(command("video", commands.video, "Make a clip from a prompt and a first frame."))
    add_training_options(command("train-motion", commands.train_motion, "Learn a category's motion from a few clips."))
    add_preference_options(
        command("train-preference", learning_commands.train_preference, "Learn a taste from ratings or own clips.")
    )
    promote = command("promote", learning_commands.promote, "Make an adapter its category's default.")
    promote.add_argument("name")
    promote.add_argument("--category", help="needed where two categories have an adapter of that name")
    promote.add_argument("--force", action="store_true", help="whatever the votes say")
    rollback = command("rollback", learning_commands.rollback, "Bring back a category's default before this one.")
    rollback.add_argument("--category", required=True)
    winrate = command("winrate", learning_commands.winrate, "What blind votes say of an adapter against another.")
    winrate.add_argument("--category", required=True)
    winrate.add_argument("--adapter", default="", metavar="A", help="default: the newest candidate")
    winrate.add_argument("--against", default="", metavar="B", help="default: what it was trained from")
    serve = command("serve", commands.serve, "Start the page.")
    serve.add_argument(
        "--host", help="address to listen on; 0.0.0.0 for the whole network (default: this machine only)"
    )
    serve.add_argument("--port", type=int, help="default: the first free one from 7860")
    return parser


def add_prompt_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--style", choices=list(STYLES), default="any")
    parser.add_argument("--negative-prompt", default="", help="what should not be in the picture")
    parser.add_argument("--seed", type=int, help="the same seed makes the same result (default: a random one)")
    parser.add_argument("--steps", type=int, help="denoising steps (default: the backbone's)")
    parser.add_argument("--guidance", type=float, help="how closely to follow the prompt (default: the backbone's)")


def add_first_frame_options(parser: argparse.ArgumentParser) -> None:
    add_prompt_options(parser)
    parser.add_argument("--category", help="noted in the settings of the picture")
    parser.add_argument("--model", choices=["dpo", "base"], default="", help="default: the best that the backbone has")
    parser.add_argument("--out", type=Path, required=True, metavar="X.png")


def add_video_options(parser: argparse.ArgumentParser) -> None:
    add_prompt_options(parser)
    parser.add_argument("--category", required=True)
    parser.add_argument("--first-frame", type=Path, metavar="IMAGE", help="default: one is made from the prompt")
    parser.add_argument("--fit", choices=["crop", "pad"], default="crop", help="how an image of another shape fits")
    parser.add_argument("--first-frame-model", choices=["dpo", "base"], default="", help="default: the best there is")
    parser.add_argument("--first-frame-seed", type=int, help="default: the clip's seed")
    parser.add_argument("--adapter", default="", metavar="NAME|FOLDER|none", help="default: the category's own")
    parser.add_argument("--attention", default="first-previous", help="first-previous (HuViDPO) or first (LAMP)")
    parser.add_argument("--recipe", default="default", help="default, or huvidpo for the published sampler")
    parser.add_argument("--out", type=Path, required=True, metavar="X.mp4|X.gif")


def add_training_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--category", required=True)
    parser.add_argument("--clips", type=Path, required=True, metavar="DIR", help="8 to 16 clips; x.txt captions x.mp4")
    parser.add_argument(
        "--start", default="", metavar="NAME|FOLDER|none", help="adapter to start from (default: the category's own)"
    )
    parser.add_argument("--steps", type=int)
    parser.add_argument("--minutes", type=float, help="end after this much training, whatever the steps")
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--inverted-latents", action="store_true", default=None, help="noise clips by DDIM inversion")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--resume", action="store_true", help="continue the run in --out")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")


def add_preference_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--category", required=True)
    parser.add_argument("--objective", default="dpo", help="dpo, dense, kto, ipo, hinge or identity (default: dpo)")
    parser.add_argument("--preset", default="recommended", help="recommended or huvidpo-release")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="own clips instead of ratings: chosen/ and rejected/, or scores.json"
    )
    parser.add_argument("--every-pair", action="store_true", help="pair scored clips all with all, not each once")
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
    parser.add_argument("--few", action="store_true", help="train on fewer examples than make sense")
    parser.add_argument("--resume", action="store_true", help="continue the run in --out")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="default: a new candidate among the category's adapters"
    )
