"""One take: from a request to a first frame or a clip, and what is written into its file. Knows no page."""

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import diffusers
import numpy as np
import torch
from PIL import Image

from huvidpo import __version__
from huvidpo.adapter_weights import apply_adapter
from huvidpo.adapters import Adapter, find_adapter
from huvidpo.backbones import LoadedBackbone
from huvidpo.categories import check_prompt, find_category, styled_prompt
from huvidpo.hub_models import Downloaded
from huvidpo.memory import explained
from huvidpo.pipelines.first_frame import stream_first_frame
from huvidpo.pipelines.image_to_video import SamplingStep, Source
from huvidpo.pipelines.latents import fit_image
from huvidpo.presets import FIRST_FRAME_MODELS, Backbone
from huvidpo.recipes import ATTENTION_VARIANTS, Recipe
from huvidpo.requests import ClipRequest, FirstFrameRequest, check_request, starting_from
from huvidpo.video import write_gif, write_mp4


@dataclass(frozen=True)
class Progress:
    """A step of sampling, for a progress bar and a preview."""

    step: int
    total: int
    preview: Image.Image | None = None
    doing: str = ""  # what is done before the sampling; its steps are bytes then


@dataclass(frozen=True)
class FirstFrame:
    """A finished first frame."""

    image: Image.Image
    request: FirstFrameRequest


@dataclass(frozen=True)
class Clip:
    """A finished clip with everything needed to make it again."""

    frames: np.ndarray  # uint8 (f h w 3)
    fps: int
    metadata: dict[str, str | int | float]


def downloading(events: Iterable[Downloaded]) -> Iterator[Progress]:
    """A download as progress."""
    for event in events:
        yield Progress(event.done, event.total, doing=f"Downloading {event.wanted.notice()}")


def make_first_frame(backbone: LoadedBackbone, request: FirstFrameRequest) -> Iterator[Progress | FirstFrame]:
    """Yields progress, at last the first frame in the size of the backbone's clips.

    Raises ValueError for a request that makes no sense. Closing the generator ends the work.
    """
    check_request(request)
    preset = backbone.preset
    request = dataclasses.replace(request, model=request.model or preset.first_frame_models[0])
    yield from downloading(backbone.download_first_frames(request.model))  # ValueError for a model that is not there
    settings = preset.first_frames[request.model]
    steps = request.steps or settings.steps
    with backbone.lock, explained(backbone.memory, backbone.memory_modes()):
        pipeline = backbone.first_frame_pipeline(request.model)
        backbone.take_turn(pipeline)
        events = stream_first_frame(
            pipeline,
            styled_prompt(check_prompt(request.prompt), request.style),
            request.negative_prompt,
            request.seed,
            steps,
            settings.guidance if request.guidance is None else request.guidance,
            settings.width,
            settings.height,
        )
        with closing(events):  # before the lock is free: the pipeline must have stopped by then
            for event in events:
                if isinstance(event, int):
                    yield Progress(min(event, steps), steps)  # Stable Diffusion's own solver has one more
                else:
                    yield FirstFrame(fit_image(event, preset.width, preset.height, "crop"), request)


def make_clip(
    backbone: LoadedBackbone,
    image: Image.Image,
    request: ClipRequest,
    source: np.ndarray | None = None,
    previews: bool = True,
) -> Iterator[Progress | Clip]:
    """Yields progress with previews, if asked for, at last the clip that continues `image` (any size and mode).

    `source`, uint8 frames (f h w 3), are those of the clip that the request names, if it names one. Raises ValueError
    for a request that makes no sense. Closing the generator ends the work.
    """
    check_request(request)
    if (source is None) != (not request.source_sha256):
        raise ValueError("This take starts from another clip, which must be given with it.")
    preset, category = backbone.preset, find_category(request.category)
    recipe = chosen_recipe(preset, request)
    adapter = find_adapter(preset.name, category.name, request.adapter)
    prompt = styled_prompt(check_prompt(request.prompt), request.style)
    first_frame = fit_image(image, preset.width, preset.height, request.fit)
    yield from downloading(adapter.download() if adapter else ())
    with backbone.lock, explained(backbone.memory, backbone.memory_modes()):
        backbone.take_turn(backbone.video)
        apply_adapter(backbone.video.unet, adapter, backbone.still_motion)
        backbone.video.unet.set_attention(chosen_attention(request, adapter))
        steps = backbone.video.stream(
            [prompt], [first_frame], [request.seed], recipe, preset.num_frames, preset.width, preset.height,
            negative_prompts=[request.negative_prompt],
            shared_seeds=None if request.shared_noise_seed < 0 else [request.shared_noise_seed],
            source=None if source is None else Source(source, request.source_strength),
            preview_every=2 if previews else 0,
        )  # fmt: skip
        for event in steps:
            if isinstance(event, SamplingStep):
                preview = None if event.preview is None else Image.fromarray(event.preview)
                yield Progress(event.step, event.total, preview)
            else:
                metadata = clip_metadata(backbone, request, recipe, adapter, first_frame)
                yield Clip(event.frames[0], preset.fps, metadata)


def make_takes(
    backbone: LoadedBackbone, first: FirstFrameRequest, requests: Sequence[ClipRequest], previews: bool = True
) -> Iterator[Progress | FirstFrame | Clip]:
    """`make_first_frame`, then `make_clip` for each request, all from that first frame: yields what both yield.

    One call for all of it: where a GPU is lent by the call, each call waits in a queue and costs its own start.
    """
    with closing(make_first_frame(backbone, first)) as steps:
        for frame in steps:
            yield frame
    for request in requests:
        yield from make_clip(backbone, frame.image, starting_from(request, frame.request), previews=previews)


def chosen_recipe(preset: Backbone, request: ClipRequest) -> Recipe:
    """The backbone's recipe of that name with the request's own steps and guidance, where it has them."""
    changes = {"steps": request.steps, "guidance": request.guidance}
    given = {name: value for name, value in changes.items() if value is not None}
    return dataclasses.replace(preset.recipe(request.recipe), **given)


def chosen_attention(request: ClipRequest, adapter: Adapter | None) -> str:
    """What the frames look at: as the request says, else as the adapter was trained; one of ATTENTION_VARIANTS."""
    return request.attention or (adapter.attention() if adapter else ATTENTION_VARIANTS[0])


def clip_metadata(
    backbone: LoadedBackbone, request: ClipRequest, recipe: Recipe, adapter: Adapter | None, first_frame: Image.Image
) -> dict[str, str | int | float]:
    """Everything needed to make the clip again, as it is written into its file."""
    return (
        dataclasses.asdict(request)
        | versions(backbone, request.first_frame_model)
        | {
            "adapter": adapter.name if adapter else "none",
            "adapter_revision": adapter.revision() if adapter else "",
            "attention": chosen_attention(request, adapter),
            "backbone_revision": backbone.revision(),
            "steps": recipe.steps,
            "guidance": recipe.guidance,
            "first_frame_sha256": hashlib.sha256(first_frame.tobytes()).hexdigest(),
        }
    )


def first_frame_metadata(backbone: LoadedBackbone, request: FirstFrameRequest) -> dict[str, str | int | float]:
    """Everything needed to make the first frame again."""
    preset = backbone.preset
    model = request.model or preset.first_frame_models[0]
    settings = preset.first_frames[model]
    guidance = settings.guidance if request.guidance is None else request.guidance
    used = {"steps": request.steps or settings.steps, "guidance": guidance}
    return dataclasses.asdict(request) | versions(backbone, model) | used


def versions(backbone: LoadedBackbone, first_frame_model: str = "") -> dict[str, str]:
    """What a result depends on beside its request."""
    commit = backbone.first_frame_commit(first_frame_model) if first_frame_model in FIRST_FRAME_MODELS else ""
    programs = {"huvidpo": __version__, "torch": torch.__version__, "diffusers": diffusers.__version__}
    return programs | {"backbone": backbone.preset.name} | ({"first_frame_commit": commit} if commit else {})


def save_clip(clip: Clip, path: Path) -> Path:
    """Writes the clip as .mp4 or .gif, its metadata inside. ValueError for another suffix or an unwritable place."""
    writers = {".mp4": write_mp4, ".gif": write_gif}
    if path.suffix.lower() not in writers:
        raise ValueError(f"A clip is written as .mp4 or .gif, not {path.suffix or 'without a suffix'}.")
    return writers[path.suffix.lower()](clip.frames, path, clip.fps, clip.metadata)
