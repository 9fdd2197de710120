"""The arguments of `python -m huvidpo.pocket.report`, and how it ends. Knows nothing of what a section does."""

import argparse
import os
import sys
from pathlib import Path

from huvidpo.home import home

SHEET, FEW_SHOT = "contact-sheet", "few-shot"
# Section -> how many samples it is made of unless --count says so; columns of the contact sheet.
COUNTS = {
    "judge": 1024,
    "autoencoder": 256,
    "first-frames": 512,
    "held-out": 188,
    "clips": 128,
    "uploaded": 128,
    "dpo": 256,
    "attention": 64,
    "first-frame-model": 64,
    "shared-noise": 64,
    "solver": 64,
    "guidance": 64,
    "recipe": 64,
    FEW_SHOT: 64,
    SHEET: 4,
}


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """The arguments; ValueError for a section that is not there or a count below 1."""
    parser = argparse.ArgumentParser("python -m huvidpo.pocket.report", description="Every figure about pocket.")
    known = ", ".join(COUNTS)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"{known}; by default all but {FEW_SHOT}")
    parser.add_argument("--count", type=int, help="samples (columns of the contact sheet) instead of a section's own")
    parser.add_argument("--json", type=Path, metavar="FILE", help="put the figures into this file too")
    parser.add_argument(
        "--work", type=Path, default=home() / "report", help="keeps what was made, to go on from there"
    )
    parser.add_argument("--out", type=Path, help="folder of the contact sheet (default: --work)")
    arguments = parser.parse_args(argv)
    for name in arguments.sections:
        if name not in COUNTS:
            raise ValueError(f"There is no section {name!r}; choose from: {known}.")
    if arguments.count is not None and arguments.count < 1:
        raise ValueError(f"The count must be at least 1, not {arguments.count}.")
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Runs the report; gives the exit code, 2 with one sentence on stderr for bad input."""
    for library in ("TRANSFORMERS", "DIFFUSERS"):  # their advice is for programmers; they read this when imported
        os.environ.setdefault(f"{library}_VERBOSITY", "error")
    try:
        arguments = parse_arguments(argv)
        from huvidpo.pocket.report.sections import report

        everything = [name for name in COUNTS if name != FEW_SHOT]
        counts = {name: arguments.count or COUNTS[name] for name in arguments.sections or everything}
        out = arguments.out or arguments.work
        report(counts, arguments.work, out, arguments.json, leave_out=not arguments.sections)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
