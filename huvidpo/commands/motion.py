"""The command `train-motion`."""

import dataclasses
import itertools
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from huvidpo.categories import find_category
from huvidpo.commands.common import answer, check_run_folder, chosen_preset, load, warn_of
from huvidpo.home import CHECKPOINT, home
from huvidpo.interrupts import until_interrupted
from huvidpo.video import clips_in

if TYPE_CHECKING:
    from huvidpo.adapters import Adapter
    from huvidpo.backbones import LoadedBackbone
    from huvidpo.presets import Backbone
    from huvidpo.training.clips import TrainingClip
    from huvidpo.training.loop import StepRecord
    from huvidpo.training.motion_settings import MotionSettings, Origin


FEWEST, MOST = 8, 16  # clips of a motion, as in LAMP and HuViDPO
# No memory mode helps: whatever can leave the GPU has left it by then.
NO_ROOM = (
    "The GPU ran out of memory while learning: give fewer --clips-per-step, close other programs that use it, or "
    "choose the backbone pocket, which needs far less."
)


def train_motion(arguments: Namespace) -> None:
    """`train-motion`; under `accelerate launch` every process does this, and the first one speaks and saves."""
    category = find_category(arguments.category)
    if not (arguments.clips or arguments.resume):
        raise ValueError("Name the folder of clips to learn from with --clips.")
    if arguments.out:
        check_run_folder(arguments.out, arguments.resume)
    from huvidpo.adapters import find_adapter
    from huvidpo.training.motion_settings import begun_with

    preset = chosen_preset(arguments)
    if arguments.out is None and arguments.resume:
        arguments.out = unfinished_folder(preset.name, category.name)
    settings = training_settings(arguments, preset)
    before = begun_with(arguments.out) if arguments.resume else {}
    own_start = "start" in before and not arguments.start  # lies in the run's checkpoint already
    start = None if own_start else find_adapter(preset.name, category.name, arguments.start)
    folder = arguments.clips or Path(before.get("clips_folder") or "")
    clips_in(folder)
    from huvidpo.adapter_weights import apply_adapter, save_motion_adapter
    from huvidpo.backbones import motion_words
    from huvidpo.candidates import how_to_use, promote_first
    from huvidpo.memory import explained
    from huvidpo.training.clips import read_clips
    from huvidpo.training.motion import steps_done
    from huvidpo.training.motion import train_motion as train
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
    pipeline = backbone.video
    out = arguments.out or new_folder(preset.name, category.name)
    with explained(backbone.memory, backbone.memory_modes(), NO_ROOM):
        backbone.make_room_to_learn()
        apply_adapter(pipeline.unet, start, backbone.still_motion)
        pipeline.unet.unload_lora()  # only motion is trained, and only motion is saved
        origin = origin_of(backbone, start, before, asked=bool(arguments.start))
        origin = dataclasses.replace(origin, clips_folder=str(folder.resolve()))
        pipeline.unet.set_attention(origin.attention)
        out.mkdir(parents=True, exist_ok=True)
        last = follow_training(train(pipeline, clips, settings, out, origin), quiet=rank > 0)
    if rank > 0:
        return
    if last is None:
        warn_of(["the run was over already, so nothing was learned: more --steps or --minutes go on with it."])
    card = dataclasses.asdict(settings) | dataclasses.asdict(origin)
    card.pop("clips_folder")  # a path of this machine
    card |= {
        "backbone": preset.name,
        "category": category.name,
        "clips": [clip.name for clip in clips],
        "steps": last.step if last else steps_done(out),
        "final_loss": round(last.loss, 5) if last else None,
    }
    saved = save_motion_adapter(pipeline.unet, out, card)
    promote_first(saved)
    result = {"out": str(out), "seed": settings.seed, "card": saved.card, "warnings": warnings}
    answer(arguments, result, [str(out), how_to_use(saved)])


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


def speed_warnings(clips: "list[TrainingClip]", preset: "Backbone") -> list[str]:
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


def origin_of(backbone: "LoadedBackbone", start: "Adapter | None", before: dict[str, object], asked: bool) -> "Origin":
    """What a run begins with, or began with, as `before` has it. ValueError when another start is `asked` for then."""
    from huvidpo.training.motion_settings import Origin

    now = Origin(
        start=start.name if start else "none",
        start_revision=start.revision() if start else "",
        attention=backbone.video.unet.config.attention,
        backbone_revision=backbone.revision(),
    )
    if "start" not in before:
        return now
    if asked and before["start_revision"] != now.start_revision:
        raise ValueError(
            f"The run began with the adapter {before['start']}, and goes on from what it learned since: leave out "
            "--start, or choose another output folder."
        )
    return dataclasses.replace(now, **{name: before[name] for name in ("start", "start_revision", "attention")})


def new_folder(backbone: str, category: str) -> Path:
    """Makes the folder of a new adapter of this deployment, motion-1, -2 ...; in all processes that of the first."""
    from huvidpo.training.processes import copied_from_first, process_number
    from huvidpo.training.run_folders import made

    own = home() / "adapters" / backbone / category
    folders = (own / f"motion-{number}" for number in itertools.count(1))
    name = next(folder.name for folder in folders if made(folder)) if process_number()[0] == 0 else ""
    return own / copied_from_first(name)


def unfinished_folder(backbone: str, category: str) -> Path:
    """The folder of the newest run without --out that is not over; ValueError when there is none."""
    begun = (home() / "adapters" / backbone / category).glob(f"motion-*/{CHECKPOINT}")
    unfinished = [path for path in begun if not path.with_name("card.json").exists()]
    if not unfinished:
        raise ValueError(f"There is no unfinished run of {category}; one in a folder of your own needs --out.")
    return max(unfinished, key=lambda path: path.stat().st_mtime).parent


def training_settings(arguments: Namespace, preset: "Backbone") -> "MotionSettings":
    """The backbone's own settings, or those of the run that goes on, with those that were given.

    ValueError when one is out of range.
    """
    from huvidpo.requests import check_seed
    from huvidpo.training.motion_settings import begun_with, usual_settings

    names = ("steps", "minutes", "learning_rate", "clips_per_step", "inverted_latents", "seed")
    given = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    usual = usual_settings(preset)
    before = begun_with(arguments.out) if arguments.resume else {}  # a run goes on as it was begun
    known = {name: before[name] for name in dataclasses.asdict(usual) if name in before}
    settings = dataclasses.replace(usual, **known | given)
    if settings.steps < 1:
        raise ValueError(f"The number of steps must be at least 1, not {settings.steps}.")
    if settings.minutes is not None and not settings.minutes > 0:
        raise ValueError(f"The minutes must be above 0, not {settings.minutes:g}.")
    if not 0 < settings.learning_rate <= 1:
        raise ValueError(f"The learning rate must be above 0 and at most 1, not {settings.learning_rate:g}.")
    if settings.clips_per_step < 1:
        raise ValueError(f"The number of clips per step must be at least 1, not {settings.clips_per_step}.")
    check_seed(settings.seed)
    return settings


def follow_training(records: "Iterator[StepRecord]", quiet: bool = False) -> "StepRecord | None":
    """The last of `records`, with a bar on stderr; None when a run that is over was continued."""
    record = None
    with tqdm(desc="Training", unit="step", disable=True if quiet else None) as bar:
        for record in until_interrupted(records):
            bar.total = record.steps
            bar.set_postfix_str(f"loss {record.loss:.4f}, {record.seconds_left / 60:.0f} min left", refresh=False)
            bar.update(record.step - bar.n)
    return record
