"""What each command does: checks, calls, one answer on stdout. Knows nothing of argparse and of how clips are made.

Heavy modules are imported inside the commands, after what can be checked without them: bad input is answered at once.
"""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from huvidpo.categories import check_prompt, find_category
from huvidpo.home import CHECKPOINT
from huvidpo.images import read_image, write_png

if TYPE_CHECKING:
    from huvidpo.backbones import LoadedBackbone
    from huvidpo.presets import Backbone
    from huvidpo.requests import ClipRequest, FirstFrameRequest
    from huvidpo.takes import Clip, FirstFrame, Progress

APP = Path(__file__).parents[1] / "app.py"
ADDRESS = re.compile(r"Running on .*?(https?://[^\s,]+)")  # Gradio's line once the page is up
SHARED = ("train_motion", "train_preference", "evaluate", "pair")  # what several processes do together


def backbones(arguments: Namespace) -> None:
    """`backbones`"""
    from huvidpo.machine import default_backbone
    from huvidpo.presets import BACKBONES

    default = default_backbone()
    rows = [dataclasses.asdict(backbone) | {"default": backbone.name == default} for backbone in BACKBONES.values()]
    lines = [f"{row['name']}{' (default)' * row['default']}: {row['title']}. {row['summary']}" for row in rows]
    answer(arguments, {"backbones": rows}, lines)


def adapters(arguments: Namespace) -> None:
    """`adapters`"""
    if arguments.category is not None:
        find_category(arguments.category)
    from huvidpo.adapters import list_adapters

    backbone = chosen_preset(arguments).name
    rows = [
        {"name": found.name, "category": found.category, "status": found.status, "revision": found.revision()}
        for found in list_adapters(backbone, arguments.category)
    ]
    lines = [f"{row['category']}/{row['name']} ({row['status']})" for row in rows] or ["There are no adapters yet."]
    answer(arguments, {"backbone": backbone, "adapters": rows}, lines)


def first_frame(arguments: Namespace) -> None:
    """`first-frame`"""
    check_prompt(arguments.prompt)
    if arguments.category is not None:
        find_category(arguments.category)
    check_out(arguments.out, (".png",))
    from huvidpo import requests

    model, seed = arguments.model, arguments.seed
    request = first_frame_request(arguments, model, seed, arguments.steps, arguments.guidance)
    requests.check_request(request)
    from huvidpo import takes

    backbone = load(arguments)
    warnings = warn(backbone, request)
    frame = follow(takes.make_first_frame(backbone, request), "First frame")
    settings = takes.first_frame_metadata(backbone, request) | {"category": arguments.category or ""}
    write_png(frame.image, arguments.out, settings)
    result = {"out": str(arguments.out), "seed": request.seed, "settings": settings, "warnings": warnings}
    answer(arguments, result, [f"{arguments.out} (seed {request.seed})"])


def video(arguments: Namespace) -> None:
    """`video`"""
    check_prompt(arguments.prompt)
    find_category(arguments.category)
    check_out(arguments.out, (".mp4", ".gif"))
    image = read_image(arguments.first_frame) if arguments.first_frame else None
    from huvidpo import requests
    from huvidpo.adapters import find_adapter

    request, first = take_requests(arguments)
    find_adapter(chosen_preset(arguments).name, request.category, request.adapter)
    from huvidpo import takes

    backbone = load(arguments)
    warnings = warn(backbone, request)
    if image is None:
        frame = follow(takes.make_first_frame(backbone, first), "First frame")
        image, request = frame.image, requests.starting_from(request, frame.request)
    clip = follow(takes.make_clip(backbone, image, request, previews=False), "Clip")
    takes.save_clip(clip, arguments.out)
    result = {"out": str(arguments.out), "seed": request.seed, "settings": clip.metadata, "warnings": warnings}
    answer(arguments, result, [f"{arguments.out} (seed {request.seed})"])


def serve(arguments: Namespace) -> int:
    """`serve`: the page in a process of its own, whose exit code is this one's."""
    if not APP.is_file():
        raise ValueError(f"There is no page at {APP}: start it from a clone of the repository.")
    options = ["--host", arguments.host] if arguments.host else []
    options += ["--port", str(arguments.port)] if arguments.port is not None else []
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    if arguments.backbone:
        environment["HUVIDPO_BACKBONE"] = arguments.backbone
    if arguments.memory:
        environment["HUVIDPO_MEMORY"] = arguments.memory
    output = subprocess.PIPE if arguments.json else None
    page = subprocess.Popen([sys.executable, APP, *options], env=environment, stdout=output, text=True)
    signal.signal(signal.SIGTERM, lambda *_: page.terminate())  # else it would live on alone
    said = False
    try:
        for line in page.stdout or ():
            print(line, end="", file=sys.stderr)
            if not said and (address := ADDRESS.search(line)):
                print(json.dumps({"url": address[1]}), flush=True)
                said = True
        code = page.wait()
    finally:
        page.terminate()
        page.wait()
    return code if code >= 0 else 128 - code


def answer(arguments: Namespace, result: dict[str, object], lines: list[str]) -> None:
    """Prints `result` as JSON, or `lines`, as it was asked for."""
    print(json.dumps(result) if arguments.json else "\n".join(lines))


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
) -> "FirstFrameRequest":
    """The first frame that the arguments ask for; without a seed a random one is taken."""
    from huvidpo.requests import FirstFrameRequest, draw_seed

    seed = draw_seed() if seed is None else seed
    return FirstFrameRequest(
        arguments.prompt, arguments.style, arguments.negative_prompt, model, seed, steps, guidance
    )


def take_requests(arguments: Namespace) -> "tuple[ClipRequest, FirstFrameRequest]":
    """The clip that the arguments ask for, and the first frame for where none is given; ValueError for nonsense."""
    if arguments.first_frame and (arguments.model or arguments.first_frame_seed is not None):
        raise ValueError("The first frame is given: leave --model and --first-frame-seed out.")
    from huvidpo import requests

    request = requests.ClipRequest(
        prompt=arguments.prompt,
        category=arguments.category,
        style=arguments.style,
        negative_prompt=arguments.negative_prompt,
        adapter=arguments.adapter,
        seed=requests.draw_seed() if arguments.seed is None else arguments.seed,
        recipe=arguments.recipe,
        steps=arguments.steps,
        guidance=arguments.guidance,
        attention=arguments.attention,
        fit=arguments.fit,
    )
    seed = request.seed if arguments.first_frame_seed is None else arguments.first_frame_seed
    first = first_frame_request(arguments, arguments.model, seed)
    for asked in (request, first):
        requests.check_request(asked)
    return request, first


def check_alone(command: str) -> None:
    """ValueError in one of several processes that would all do the same; `command` is the name of its function."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and command not in SHARED:
        raise ValueError(
            "Only train-motion, train-preference, evaluate and pair --count share their work among processes: start "
            "this command without accelerate launch."
        )


def chosen_preset(arguments: Namespace) -> "Backbone":
    """The backbone that was named, else what suits this machine; ValueError for a name that is none."""
    from huvidpo.presets import find_backbone

    if arguments.backbone:
        return find_backbone(arguments.backbone)
    from huvidpo.machine import default_backbone  # asks torch for a GPU

    return find_backbone(default_backbone())


def load(arguments: Namespace) -> "LoadedBackbone":
    """The chosen backbone, without the loading bars of the libraries below it."""
    import diffusers.utils.logging
    import transformers.utils.logging

    from huvidpo.backbones import load_backbone
    from huvidpo.memory import unusable_gpu

    warn_of(filter(None, [unusable_gpu()]))
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    return load_backbone(arguments.backbone, arguments.memory)


def warn(
    backbone: "LoadedBackbone", request: "FirstFrameRequest | ClipRequest", against: str | None = None
) -> list[str]:
    """Says on stderr, and gives back, which words the model does not read, and whether it learned the motion.

    `against` is the adapter of a second take, where that is another one.
    """
    from huvidpo.adapters import motion_notice
    from huvidpo.requests import ClipRequest
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
                    print(doing, end="\n" * bool(doing), file=sys.stderr)
                bar.total = event.total
                bar.update(event.step - bar.n)
    return event
