"""`python -m huvidpo.pocket.report [SECTION ...]`: prints tables, and can add them to a file of JSON."""

import argparse
import dataclasses
import json
import os
import sys
from pathlib import Path

for library in ("TRANSFORMERS", "DIFFUSERS"):  # their advice is for programmers; they read this when imported
    os.environ.setdefault(f"{library}_VERBOSITY", "error")

import diffusers.utils.logging
import torch
import transformers.utils.logging

from huvidpo import __version__
from huvidpo.backbones import load_backbone
from huvidpo.home import home
from huvidpo.pipelines.image_to_video import RECIPES
from huvidpo.pocket.judge import load_judge
from huvidpo.pocket.report import ablations
from huvidpo.pocket.report.few_shot import few_shot_section
from huvidpo.pocket.report.of_clips import clips_section, uploaded_section
from huvidpo.pocket.report.of_frames import autoencoder_section, dpo_section, first_frames_section, held_out_section
from huvidpo.pocket.report.of_judge import judge_section
from huvidpo.pocket.report.sheet import contact_sheet
from huvidpo.pocket.report.studio import Studio
from huvidpo.pocket.report.tables import Table
from huvidpo.video import replacing

# Name -> what it makes, and of how many samples unless --count says so.
SECTIONS = {
    "judge": (judge_section, 1024),
    "autoencoder": (autoencoder_section, 256),
    "first-frames": (first_frames_section, 512),
    "held-out": (held_out_section, 188),
    "clips": (clips_section, 128),
    "uploaded": (uploaded_section, 128),
    "dpo": (dpo_section, 256),
    "attention": (ablations.attention_section, 64),
    "first-frame-model": (ablations.first_frame_model_section, 64),
    "shared-noise": (ablations.shared_noise_section, 64),
    "solver": (ablations.solver_section, 64),
    "guidance": (ablations.guidance_section, 64),
    "recipe": (ablations.recipe_section, 64),
    "few-shot": (few_shot_section, 64),
}
SHEET, SHEET_COLUMNS = "contact-sheet", 4
EVERYTHING = (*(name for name in SECTIONS if name != "few-shot"), SHEET)


def settings(studio: Studio) -> dict[str, object]:
    """What the figures depend on beside the number of samples."""
    preset = studio.backbone.preset
    return {
        "huvidpo": __version__,
        "torch": torch.__version__,
        "weights": studio.weights,
        "first frames": [preset.first_frame_models[0], preset.first_frame_steps, preset.first_frame_guidance],
        "clips": dataclasses.asdict(RECIPES["default"]),
    }


def add_to_file(path: Path, name: str, tables: list[Table], made_with: dict[str, object]) -> None:
    """Puts a section into the JSON file in the place of its earlier figures; the other sections stay."""
    report = json.loads(path.read_text()) if path.exists() else {}
    report[name] = {"settings": made_with, "tables": [dataclasses.asdict(table) for table in tables]}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(report, indent=1) + "\n")


def report(arguments: argparse.Namespace) -> None:
    """Makes the sections that were asked for, in their order, and prints each as soon as it is there."""
    studio, judge = Studio(load_backbone("pocket"), arguments.work), load_judge()
    made_with = settings(studio)
    print("settings: " + json.dumps(made_with) + "\n", flush=True)
    for name in arguments.sections or EVERYTHING:
        if name == SHEET:
            print(*contact_sheet(studio, arguments.count or SHEET_COLUMNS, arguments.out), sep="\n", flush=True)
            continue
        make, count = SECTIONS[name]
        try:
            tables = make(studio, judge, arguments.count or count)
        except ValueError as error:
            if arguments.sections:
                raise
            print(f"{name} left out: {error}\n", flush=True)
            continue
        print("\n\n".join(table.to_text() for table in tables) + "\n", flush=True)
        if arguments.json:
            add_to_file(arguments.json, name, tables, made_with)


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m huvidpo.pocket.report", description="Every figure about pocket.")
    names = [*SECTIONS, SHEET]
    parser.add_argument(
        "sections", nargs="*", metavar="SECTION", help=f"{', '.join(names)}; default: all but few-shot"
    )
    parser.add_argument(
        "--count", type=int, help="samples (columns of the contact sheet) instead of the section's own"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also put the figures into this file")
    parser.add_argument(
        "--work", type=Path, default=home() / "report", help="keeps what was made, to go on from there"
    )
    parser.add_argument("--out", type=Path, default=Path("docs/images"), help="folder of the contact sheet")
    arguments = parser.parse_args(argv)
    if unknown := [name for name in arguments.sections if name not in names]:
        raise ValueError(f"There is no section {unknown[0]!r}; choose from: {', '.join(names)}.")
    if arguments.count is not None and arguments.count < 1:
        raise ValueError(f"The count must be at least 1, not {arguments.count}.")
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Runs the report; gives the exit code, 2 with one sentence on stderr for bad input."""
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    try:
        report(parse_arguments(argv))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
