"""Makes the sections of the report one by one, prints them and adds them to a file. Knows no figure."""

import dataclasses
import json
from pathlib import Path

import torch

from huvidpo import __version__
from huvidpo.atomic import write_whole
from huvidpo.backbones import load_backbone
from huvidpo.pocket.judge import load_judge
from huvidpo.pocket.practice_clips import ACTIONS
from huvidpo.pocket.report import ablations
from huvidpo.pocket.report.few_shot import few_shot_section
from huvidpo.pocket.report.of_clips import clips_section, uploaded_section
from huvidpo.pocket.report.of_frames import (
    NoDpo,
    autoencoder_section,
    dpo_section,
    first_frames_section,
    held_out_section,
)
from huvidpo.pocket.report.of_judge import judge_section
from huvidpo.pocket.report.sheet import contact_sheet
from huvidpo.pocket.report.studio import Studio, shipped_adapter
from huvidpo.pocket.report.tables import Table

# Each takes the studio, the judge and a number of samples, and gives tables.
SECTIONS = {
    "judge": judge_section,
    "autoencoder": autoencoder_section,
    "first-frames": first_frames_section,
    "held-out": held_out_section,
    "clips": clips_section,
    "uploaded": uploaded_section,
    "dpo": dpo_section,
    "attention": ablations.attention_section,
    "first-frame-model": ablations.first_frame_model_section,
    "shared-noise": ablations.shared_noise_section,
    "solver": ablations.solver_section,
    "guidance": ablations.guidance_section,
    "recipe": ablations.recipe_section,
    "few-shot": few_shot_section,
}


def report(counts: dict[str, int], work: Path, out: Path, json_file: Path | None, leave_out: bool) -> None:
    """Prints the sections named in `counts` with that many samples, each as soon as it is there.

    What is made on the way is kept in `work`, the contact sheet goes to `out`, figures also to `json_file`. A section
    that asks for `dpo` first frames is left out with a word where there are none and `leave_out` is set; all else that
    a section cannot do is its ValueError.
    """
    if json_file:
        read_file(json_file)  # asked before hours of work, not after
    studio, judge = Studio(load_backbone("pocket"), work), load_judge()
    made_with = settings(studio)
    print(f"settings: {json.dumps(made_with)}\n", flush=True)
    for name, count in counts.items():
        if name not in SECTIONS:
            print(*contact_sheet(studio, count, out), sep="\n", flush=True)
            continue
        try:
            tables = SECTIONS[name](studio, judge, count)
        except NoDpo as error:
            if not leave_out:
                raise
            print(f"{name} is left out. {error}\n", flush=True)
            continue
        print("\n\n".join(table.to_text() for table in tables) + "\n", flush=True)
        if json_file:
            add_to_file(json_file, name, tables, made_with)


def settings(studio: Studio) -> dict[str, object]:
    """What the figures depend on beside the number of samples."""
    preset = studio.backbone.preset
    model = preset.first_frame_models[0]
    shipped = {action: shipped_adapter(preset.name, action) for action in ACTIONS}
    return {
        "huvidpo": __version__,
        "torch": torch.__version__,
        "weights": studio.weights,
        "adapters": {action: adapter.revision() if adapter else "none" for action, adapter in shipped.items()},
        "first frames": {
            "model": model,
            "steps": preset.first_frames[model].steps,
            "guidance": preset.first_frames[model].guidance,
        },
        "clips": dataclasses.asdict(preset.recipe("default")),
    }


def add_to_file(path: Path, name: str, tables: list[Table], made_with: dict[str, object]) -> None:
    """Puts a section into a file of JSON in the place of its earlier figures; other sections stay as they are."""
    whole = read_file(path)
    whole[name] = {"settings": made_with, "tables": [dataclasses.asdict(table) for table in tables]}
    write_whole(path, json.dumps(whole, indent=1) + "\n")


def read_file(path: Path) -> dict[str, object]:
    """The sections that are in a file already; ValueError when it is something else, or cannot be there."""
    if not path.parent.is_dir():
        raise ValueError(f"Could not write {path}: there is no folder {path.parent}.")
    try:
        whole = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (OSError, ValueError):
        whole = None
    if not isinstance(whole, dict):
        raise ValueError(f"{path} is there and holds no report: choose another file.")
    return whole
