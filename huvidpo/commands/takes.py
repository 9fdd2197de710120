"""The commands that make something from a prompt, `first-frame` and `video`, and what there is to make it with."""

import dataclasses
from argparse import Namespace

from huvidpo.commands.common import (
    answer,
    check_out,
    chosen_preset,
    first_frame_request,
    follow,
    load,
    take_requests,
    warn,
)
from huvidpo.images import read_image, write_png
from huvidpo.presets import BACKBONES
from huvidpo.requests import check_request, starting_from


def backbones(arguments: Namespace) -> None:
    """`backbones`"""
    from huvidpo.machine import default_backbone

    default = default_backbone()
    rows = [dataclasses.asdict(backbone) | {"default": backbone.name == default} for backbone in BACKBONES.values()]
    lines = [f"{row['name']}{' (default)' * row['default']}: {row['title']}. {row['summary']}" for row in rows]
    answer(arguments, {"backbones": rows}, lines)


def first_frame(arguments: Namespace) -> None:
    """`first-frame`"""
    check_out(arguments.out, (".png",))
    model, seed = arguments.model, arguments.seed
    request = first_frame_request(arguments, model, seed, arguments.steps, arguments.guidance)
    check_request(request)
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
    check_out(arguments.out, (".mp4", ".gif"))
    image = read_image(arguments.first_frame) if arguments.first_frame else None
    from huvidpo.adapters import find_adapter

    request, first = take_requests(arguments)
    find_adapter(chosen_preset(arguments).name, request.category, request.adapter)
    from huvidpo import takes

    backbone = load(arguments)
    warnings = warn(backbone, request)
    if image is None:
        frame = follow(takes.make_first_frame(backbone, first), "First frame")
        image, request = frame.image, starting_from(request, frame.request)
    clip = follow(takes.make_clip(backbone, image, request, previews=False), "Clip")
    takes.save_clip(clip, arguments.out)
    result = {"out": str(arguments.out), "seed": request.seed, "settings": clip.metadata, "warnings": warnings}
    answer(arguments, result, [f"{arguments.out} (seed {request.seed})"])
