"""`python -m huvidpo`: finds the command, runs it, ends as a shell has it. Knows no work of the commands."""

import argparse
import io
import os
import sys
from collections.abc import Callable

from huvidpo import __version__
from huvidpo.commands import options
from huvidpo.commands.common import check_alone
from huvidpo.home import check_home
from huvidpo.presets import BACKBONES


def main(argv: list[str] | None = None) -> int:
    """Runs one command; gives the exit code: 2 with one sentence on stderr for bad input, 130 when interrupted.

    141 is for an answer whose reader has gone, as a shell has it.
    """
    for library in ("TRANSFORMERS", "DIFFUSERS"):  # their advice is for programmers; they read this when imported
        os.environ.setdefault(f"{library}_VERBOSITY", "error")
    for stream in (sys.stdout, sys.stderr):  # on Windows a pipe may lack the letters of somebody's prompt
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        check_home()  # first: the home may hold actions of one's own, which options are about
        arguments = new_parser().parse_args(argv, argparse.Namespace(json=False, backbone=None, memory=None))
        check_alone(arguments.run.__name__)
        code = arguments.run(arguments) or 0
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # who read the answer has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
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
    everywhere.add_argument(
        "--backbone", choices=list(BACKBONES), help="which models (default: what suits this machine)"
    )
    everywhere.add_argument(
        "--memory",
        choices=list(dict.fromkeys(mode for backbone in BACKBONES.values() for mode in backbone.gigabytes)),
        help="on a GPU: how much of the models is on it at a time (default: the fastest that fits)",
    )
    parser = Parser("huvidpo", description="From a prompt to a first frame to a moving clip.", parents=[everywhere])
    parser.add_argument("--version", action="version", version=f"huvidpo {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int | None], summary: str) -> argparse.ArgumentParser:
        added = subparsers.add_parser(name, help=summary, description=summary, parents=[everywhere])
        added.set_defaults(run=run)
        return added

    options.add_category_commands(command)
    options.add_take_commands(command)
    options.add_adapter_commands(command)
    options.add_motion_command(command)
    options.add_learning_commands(command)
    options.add_rating_commands(command)
    options.add_evaluation_commands(command)
    options.add_study_commands(command)
    options.add_page_command(command)
    return parser
