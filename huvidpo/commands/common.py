"""What the commands share: checks, requests out of arguments, a backbone loaded, words on stderr, the answer."""

import json
import os
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from huvidpo.home import CHECKPOINT
from huvidpo.presets import Backbone, find_backbone
from huvidpo.requests import ClipRequest, FirstFrameRequest, check_request, draw_seed

if TYPE_CHECKING:
    from huvidpo.backbones import LoadedBackbone
    from huvidpo.takes import Clip, FirstFrame, Progress

SHARED = ("train_motion", "train_preference", "evaluate", "pair")  # what several processes do together


def answer(arguments: Namespace, result: dict[str, object], lines: list[str]) -> None:
    """Prints `result` as JSON, or `lines`, as it was asked for."""
    print(json.dumps(result) if arguments.json else "\n".join(lines))


def names_in(text: str) -> list[str]:
    """The names in a list with commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def check_out(path: Path, suffixes: tuple[str, ...]) -> None:
    """ValueError when nothing can be written there; asked before hours of work, not after."""
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"--out must end in {' or '.join(suffixes)}, not {path.name!r}.")
    if path.is_dir():
        raise ValueError(f"Could not write {path}: it is a folder.")
    if not path.parent.is_dir():
        raise ValueError(f"Could not write {path}: there is no folder {path.parent}.")
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"Could not write {path}: the folder {path.parent} may not be written to.")


def check_run_folder(path: Path, resume: bool) -> None:
    """ValueError when a run may not start, or not go on, in that folder."""
    if path.exists() and not path.is_dir():
        raise ValueError(f"Could not write to {path}: it is not a folder.")
    begun = (path / CHECKPOINT).exists()
    if resume and not begun:
        raise ValueError(f"There is no run to continue in {path}.")
    if not resume and (begun or (path / "card.json").exists()):
        raise ValueError(f"{path} holds a run already: add --resume to continue it, or choose another folder.")


def first_frame_request(
    arguments: Namespace, model: str, seed: int | None, steps: int | None = None, guidance: float | None = None
) -> FirstFrameRequest:
    """The first frame that the arguments ask for; without a seed a random one is taken."""
    seed = draw_seed() if seed is None else seed
    return FirstFrameRequest(
        arguments.prompt, arguments.style, arguments.negative_prompt, model, seed, steps, guidance
    )


def take_requests(arguments: Namespace) -> tuple[ClipRequest, FirstFrameRequest]:
    """The clip that the arguments ask for, and the first frame for where none is given; ValueError for nonsense."""
    if arguments.first_frame and (arguments.model or arguments.first_frame_seed is not None):
        raise ValueError("The first frame is given: leave --model and --first-frame-seed out.")
    request = ClipRequest(
        prompt=arguments.prompt,
        category=arguments.category,
        style=arguments.style,
        negative_prompt=arguments.negative_prompt,
        adapter=arguments.adapter,
        seed=draw_seed() if arguments.seed is None else arguments.seed,
        recipe=arguments.recipe,
        steps=arguments.steps,
        guidance=arguments.guidance,
        attention=arguments.attention,
        fit=arguments.fit,
    )
    seed = request.seed if arguments.first_frame_seed is None else arguments.first_frame_seed
    first = first_frame_request(arguments, arguments.model, seed)
    for asked in (request, first):
        check_request(asked)
    return request, first


def check_alone(command: str) -> None:
    """ValueError in one of several processes that would all do the same; `command` is the name of its function."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and command not in SHARED:
        raise ValueError(
            "Only train-motion, train-preference, evaluate and pair --count share their work among processes: start "
            "this command without accelerate launch."
        )


def chosen_preset(arguments: Namespace) -> Backbone:
    """The backbone that was named, else what suits this machine; ValueError for a name that is none."""
    if arguments.backbone:
        return find_backbone(arguments.backbone)
    from huvidpo.machine import default_backbone  # asks torch for a GPU

    return find_backbone(default_backbone())


def load(arguments: Namespace) -> "LoadedBackbone":
    """The chosen backbone; says on stderr where a GPU goes to waste."""
    from huvidpo.backbones import load_backbone
    from huvidpo.memory import unusable_gpu

    warn_of(filter(None, [unusable_gpu()]))
    return load_backbone(arguments.backbone, arguments.memory)


def warn(
    backbone: "LoadedBackbone", request: FirstFrameRequest | ClipRequest, against: str | None = None
) -> list[str]:
    """Says on stderr, and gives back, which words the model does not read, and whether it learned the motion.

    `against` is the adapter of a second take, where that is another one.
    """
    from huvidpo.adapters import motion_notice
    from huvidpo.words import notices

    warnings = notices(backbone, request.prompt, request.style, request.negative_prompt)
    if isinstance(request, ClipRequest):
        names = [request.adapter] if against is None else [request.adapter, against]
        notices_of_motion = [motion_notice(backbone.preset.name, request.category, name) for name in names]
        warnings += dict.fromkeys(filter(None, notices_of_motion))
    warn_of(warnings)
    return warnings


def warn_of(warnings: Iterable[str]) -> None:
    """Says on stderr what should be known, a line each."""
    for warning in warnings:
        print(f"Warning: {warning}", file=sys.stderr)


def follow(events: "Iterator[Progress | FirstFrame | Clip]", label: str) -> "FirstFrame | Clip":
    """What `events` end with; a bar on stderr shows the steps before."""
    from huvidpo.takes import Progress

    doing = ""
    with closing(events), tqdm(desc=label, unit="step", disable=None) as bar:
        for event in events:
            if isinstance(event, Progress):
                if event.doing != doing:  # from one download to the next, at last to the steps
                    doing = event.doing
                    bar.reset()
                    bar.unit, bar.unit_scale = ("B", True) if doing else ("step", False)
                    print(doing, end="\n" if doing else "", file=sys.stderr)
                bar.total = event.total
                bar.update(event.step - bar.n)
    return event
