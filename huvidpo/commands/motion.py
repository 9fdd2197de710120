"""The command `train-motion`."""

import dataclasses
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from huvidpo.categories import find_category
from huvidpo.commands.common import answer, check_run_folder, chosen_preset, load, warn_of
from huvidpo.interrupts import until_interrupted
from huvidpo.presets import Backbone
from huvidpo.training.motion_settings import MotionSettings, begun_with, check_settings, usual_settings
from huvidpo.video import clips_in

if TYPE_CHECKING:
    from huvidpo.adapters import Adapter
    from huvidpo.backbones import LoadedBackbone
    from huvidpo.training.clips import TrainingClip
    from huvidpo.training.loop import StepRecord

FEWEST, MOST = 8, 16  # clips of a motion, as in LAMP and HuViDPO
# Settings with an option.
CHANGEABLE = ("steps", "minutes", "learning_rate", "clips_per_step", "inverted_latents", "seed")


def train_motion(arguments: Namespace) -> None:
    """`train-motion`; under `accelerate launch` every process does this, and the first one speaks and saves."""
    category = find_category(arguments.category)
    if not (arguments.clips or arguments.resume):
        raise ValueError("Name the folder of clips to learn from with --clips.")
    if arguments.out:
        check_run_folder(arguments.out, arguments.resume)
    from huvidpo.training.run_folders import motion_to_resume

    preset, out, before = chosen_preset(arguments), arguments.out, {}
    if arguments.resume:
        out = out or motion_to_resume(preset.name, category.name)
        before = begun_with(out)
    settings = chosen_settings(arguments, preset, before)
    start = chosen_start(arguments, preset.name, before)
    folder = arguments.clips or Path(before.get("clips_folder") or "")
    clips_in(folder)
    from huvidpo.backbones import motion_words
    from huvidpo.candidates import how_to_use
    from huvidpo.training.clips import read_clips
    from huvidpo.training.motion_runs import new_folder, train_category
    from huvidpo.training.processes import join_processes, process_number

    caption = motion_words(preset.name, category)
    clips = read_clips(folder, caption, preset.num_frames, preset.width, preset.height)
    join_processes()
    rank, processes = process_number()
    if arguments.clips_per_step is None:  # a clip for each process is the least
        settings = dataclasses.replace(settings, clips_per_step=max(settings.clips_per_step, processes))
    backbone = load(arguments)
    warnings = [*count_warnings(clips), *caption_warnings(backbone, clips), *speed_warnings(clips, preset)]
    if rank == 0:
        warn_of(warnings)
    out = out or new_folder(preset.name, category.name)
    learning = train_category(backbone, category.name, clips, settings, out, start, str(folder.resolve()))
    saved = follow(learning, quiet=rank > 0)
    if saved is None:
        return
    if saved.card["final_loss"] is None:
        warn_of(["the run was over already, so nothing was learned: more --steps or --minutes go on with it."])
    result = {"out": str(out), "seed": settings.seed, "card": saved.card, "warnings": warnings}
    answer(arguments, result, [str(out), how_to_use(saved)])


def chosen_settings(arguments: Namespace, preset: Backbone, before: dict[str, object]) -> MotionSettings:
    """The backbone's own settings, or those that a run began with, with those that were given.

    ValueError when one is out of range.
    """
    given = {name: value for name in CHANGEABLE if (value := getattr(arguments, name)) is not None}
    usual = usual_settings(preset)
    known = {name: before[name] for name in dataclasses.asdict(usual) if name in before}
    settings = dataclasses.replace(usual, **known | given)
    check_settings(settings)
    return settings


def chosen_start(arguments: Namespace, backbone: str, before: dict[str, object]) -> "Adapter | None":
    """The adapter to start from; None for a run that goes on, whose checkpoint has what came of its own.

    ValueError where such a run is asked to start from another one.
    """
    if "start" in before and not arguments.start:
        return None
    from huvidpo.adapters import find_adapter

    start = find_adapter(backbone, arguments.category, arguments.start)
    if "start" in before and before["start_revision"] != (start.revision() if start else ""):
        raise ValueError(
            f"The run began with the adapter {before['start']}, and goes on from what it learned since: leave out "
            "--start, or choose another output folder."
        )
    return start


def count_warnings(clips: "list[TrainingClip]") -> list[str]:
    """What to know of fewer or more clips than a motion is usually learned from."""
    if FEWEST <= len(clips) <= MOST:
        return []
    return [f"a motion is learned from {FEWEST} to {MOST} clips; here are {len(clips)}."]


def caption_warnings(backbone: "LoadedBackbone", clips: "list[TrainingClip]") -> list[str]:
    """What to know of captions with words that the model does not know, or does not get to read."""
    from huvidpo.words import cut_notice, unknown_notice

    cut = [cut_notice(backbone, clip.prompt, "any", f"the caption of {clip.name}") for clip in clips]
    return [*filter(None, [*cut, unknown_notice(backbone, *(clip.prompt for clip in clips))])]


def speed_warnings(clips: "list[TrainingClip]", preset: Backbone) -> list[str]:
    """What to know of clips whose frames follow each other much faster than those of the model's clips."""
    fast = [clip for clip in clips if clip.fps > 1.5 * preset.fps]
    if not fast:
        return []
    names, first, frames = ", ".join(clip.name for clip in fast), fast[0], preset.num_frames
    return [
        f"{names}: {first.fps:g} frames a second. Frames are taken as they follow each other, so {frames} of them are "
        f"{frames / first.fps:.2f} s of motion, which the model shows in {frames / preset.fps:g} s; to keep the pace: "
        f"ffmpeg -i {first.name} -r {preset.fps} slower.mp4"
    ]


def follow(records: "Iterator[StepRecord | Adapter]", quiet: bool) -> "Adapter | None":
    """The adapter at the end of a run, with a bar on stderr; None in all processes but the first."""
    from huvidpo.training.loop import StepRecord

    record = None
    with tqdm(desc="Training", unit="step", disable=True if quiet else None) as bar:
        for record in until_interrupted(records):
            if isinstance(record, StepRecord):
                bar.total = record.steps
                bar.set_postfix_str(f"loss {record.loss:.4f}, {record.seconds_left / 60:.0f} min left", refresh=False)
                bar.update(record.step - bar.n)
    return None if quiet else record
