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
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from huvidpo.categories import CATEGORIES, check_prompt, find_category
from huvidpo.images import read_image, write_png

if TYPE_CHECKING:
    from huvidpo.backbones import LoadedBackbone
    from huvidpo.takes import Clip, FirstFrame, FirstFrameRequest, Progress
    from huvidpo.training.loop import StepRecord
    from huvidpo.training.motion import MotionSettings

APP = Path(__file__).parents[1] / "app.py"
ADDRESS = re.compile(r"Running on .*?(https?://[^\s,]+)")  # Gradio's line once the page is up


def backbones(arguments: Namespace) -> None:
    """`backbones`"""
    from huvidpo.backbones import BACKBONES, default_backbone

    default = default_backbone()
    rows = [dataclasses.asdict(backbone) | {"default": backbone.name == default} for backbone in BACKBONES.values()]
    lines = [f"{row['name']}{' (default)' * row['default']}: {row['title']}. {row['summary']}" for row in rows]
    answer(arguments, {"backbones": rows}, lines)


def categories(arguments: Namespace) -> None:
    """`categories`"""
    rows = [dataclasses.asdict(category) for category in CATEGORIES.values()]
    lines = [f"{row['name']}: {row['motion_prompt']}, such as {row['example_prompts'][0]!r}" for row in rows]
    answer(arguments, {"categories": rows}, lines)


def adapters(arguments: Namespace) -> None:
    """`adapters`"""
    if arguments.category is not None:
        find_category(arguments.category)
    from huvidpo.adapters import list_adapters
    from huvidpo.backbones import default_backbone, find_backbone

    backbone = find_backbone(arguments.backbone or default_backbone()).name
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
    from huvidpo import takes

    request = first_frame_request(arguments, arguments.model, arguments.seed, arguments.steps, arguments.guidance)
    takes.check_request(request)
    backbone = load(arguments)
    warnings = warn_of_unknown_words(backbone, request.prompt)
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
    from huvidpo import takes
    from huvidpo.adapters import find_adapter
    from huvidpo.backbones import default_backbone, find_backbone

    request = takes.ClipRequest(
        prompt=arguments.prompt,
        category=arguments.category,
        style=arguments.style,
        negative_prompt=arguments.negative_prompt,
        adapter=arguments.adapter,
        seed=takes.draw_seed() if arguments.seed is None else arguments.seed,
        recipe=arguments.recipe,
        steps=arguments.steps,
        guidance=arguments.guidance,
        attention=arguments.attention,
        fit=arguments.fit,
    )
    takes.check_request(request)
    find_adapter(find_backbone(arguments.backbone or default_backbone()).name, request.category, request.adapter)
    if image is None:
        seed = request.seed if arguments.first_frame_seed is None else arguments.first_frame_seed
        first = first_frame_request(arguments, arguments.first_frame_model, seed)
        takes.check_request(first)
    backbone = load(arguments)
    warnings = warn_of_unknown_words(backbone, request.prompt)
    if image is None:
        frame = follow(takes.make_first_frame(backbone, first), "First frame")
        image, request = frame.image, takes.starting_from(request, frame.request)
    clip = follow(takes.make_clip(backbone, image, request), "Clip")
    takes.save_clip(clip, arguments.out)
    result = {"out": str(arguments.out), "seed": request.seed, "settings": clip.metadata, "warnings": warnings}
    answer(arguments, result, [f"{arguments.out} (seed {request.seed})"])


def train_motion(arguments: Namespace) -> None:
    """`train-motion`"""
    category = find_category(arguments.category)
    check_run_folder(arguments.out, arguments.resume)
    from huvidpo.adapters import apply_adapter, find_adapter, save_motion_adapter
    from huvidpo.backbones import default_backbone, find_backbone
    from huvidpo.training.clips import read_clips
    from huvidpo.training.motion import train_motion as train

    preset = find_backbone(arguments.backbone or default_backbone())
    settings = training_settings(arguments, preset.name)
    start = find_adapter(preset.name, category.name, arguments.start)
    clips = read_clips(arguments.clips, category.motion_prompt, preset.num_frames, preset.width, preset.height)
    backbone = load(arguments)
    pipeline = backbone.video
    apply_adapter(pipeline.unet, start, backbone.still_motion)
    pipeline.unet.unload_lora()  # only motion is trained, and only motion is saved
    arguments.out.mkdir(parents=True, exist_ok=True)
    last = follow_training(train(pipeline, clips, settings, arguments.out))
    card = dataclasses.asdict(settings) | {
        "backbone": preset.name,
        "category": category.name,
        "start": start.name if start else "none",
        "clips": [clip.name for clip in clips],
        "steps": last.step if last else settings.steps,
        "final_loss": round(last.loss, 5) if last else None,
    }
    saved = save_motion_adapter(pipeline.unet, arguments.out, card)
    answer(arguments, {"out": str(arguments.out), "seed": settings.seed, "card": saved.card}, [str(arguments.out)])


def serve(arguments: Namespace) -> int:
    """`serve`: the page in a process of its own, whose exit code is this one's."""
    if not APP.is_file():
        raise ValueError(f"There is no page at {APP}: start it from a clone of the repository.")
    options = ["--host", arguments.host] if arguments.host else []
    options += ["--port", str(arguments.port)] if arguments.port is not None else []
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    if arguments.backbone:
        environment["HUVIDPO_BACKBONE"] = arguments.backbone
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
    begun = (path / "training.pt").exists()
    if resume and not begun:
        raise ValueError(f"There is no run to continue in {path}.")
    if not resume and (begun or (path / "card.json").exists()):
        raise ValueError(f"{path} holds a run already: add --resume to continue it, or choose another folder.")


def first_frame_request(
    arguments: Namespace, model: str, seed: int | None, steps: int | None = None, guidance: float | None = None
) -> "FirstFrameRequest":
    """The first frame that the arguments ask for; without a seed a random one is taken."""
    from huvidpo.takes import FirstFrameRequest, draw_seed

    seed = draw_seed() if seed is None else seed
    return FirstFrameRequest(
        arguments.prompt, arguments.style, arguments.negative_prompt, model, seed, steps, guidance
    )


def training_settings(arguments: Namespace, backbone: str) -> "MotionSettings":
    """The backbone's own settings with those that were given; ValueError when one is out of range."""
    from huvidpo.pocket.train_motion import CATEGORY
    from huvidpo.takes import MAX_SEED
    from huvidpo.training.motion import MotionSettings

    names = ("steps", "minutes", "learning_rate", "inverted_latents", "seed")
    given = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    settings = dataclasses.replace(CATEGORY if backbone == "pocket" else MotionSettings(), **given)
    if settings.steps < 1:
        raise ValueError(f"The number of steps must be at least 1, not {settings.steps}.")
    if settings.minutes is not None and not settings.minutes > 0:
        raise ValueError(f"The minutes must be above 0, not {settings.minutes:g}.")
    if not 0 < settings.learning_rate <= 1:
        raise ValueError(f"The learning rate must be above 0 and at most 1, not {settings.learning_rate:g}.")
    if not 0 <= settings.seed <= MAX_SEED:
        raise ValueError(f"The seed must be a whole number from 0 to {MAX_SEED}, not {settings.seed}.")
    return settings


def load(arguments: Namespace) -> "LoadedBackbone":
    """The chosen backbone, without the loading bars of the libraries below it."""
    import diffusers.utils.logging
    import transformers.utils.logging

    from huvidpo.backbones import load_backbone

    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    return load_backbone(arguments.backbone)


def warn_of_unknown_words(backbone: "LoadedBackbone", prompt: str) -> list[str]:
    """Says on stderr, and gives back, which words the model does not know and which it does."""
    from huvidpo.backbones import known_words, unknown_words

    unknown = unknown_words(backbone, prompt)
    if not unknown:
        return []
    known = ", ".join(known_words(backbone))
    warning = f"{backbone.preset.title} does not know these words: {', '.join(unknown)}; it knows: {known}."
    print(f"Warning: {warning}", file=sys.stderr)
    return [warning]


def follow(events: "Iterator[Progress | FirstFrame | Clip]", label: str) -> "FirstFrame | Clip":
    """What `events` end with; a bar on stderr shows the steps before."""
    from huvidpo.takes import Progress

    with closing(events), tqdm(desc=label, unit="step", disable=None) as bar:
        for event in events:
            if isinstance(event, Progress):
                bar.total = event.total
                bar.update(event.step - bar.n)
    return event


def follow_training(records: "Iterator[StepRecord]") -> "StepRecord | None":
    """The last of `records`, with a bar on stderr; None when a run that is over was continued."""
    record = None
    with closing(records), tqdm(desc="Training", unit="step", disable=None) as bar:
        for record in records:
            bar.total = record.steps
            bar.set_postfix_str(f"loss {record.loss:.4f}, {record.seconds_left / 60:.0f} min left", refresh=False)
            bar.update(record.step - bar.n)
    return record
