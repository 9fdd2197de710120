"""One take: what was asked, the way it is made, what is written into its file. Knows no page and no command line."""

import dataclasses
import hashlib
import secrets
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import diffusers
import numpy as np
import torch
from PIL import Image

from huvidpo import __version__
from huvidpo.adapters import Adapter, apply_adapter, find_adapter
from huvidpo.backbones import LoadedBackbone
from huvidpo.categories import STYLES, check_prompt, find_category, styled_prompt
from huvidpo.checks import check_choice
from huvidpo.hub_models import Downloaded
from huvidpo.memory import explained
from huvidpo.models.attention import ATTENTION_VARIANTS
from huvidpo.pipelines.first_frame import stream_first_frame
from huvidpo.pipelines.image_to_video import RECIPES, Recipe, SamplingStep, Source
from huvidpo.pipelines.latents import fit_image
from huvidpo.presets import FIRST_FRAME_MODELS, Backbone
from huvidpo.video import write_gif, write_mp4

MAX_SEED, MAX_STEPS, MAX_GUIDANCE = 2**31 - 1, 200, 50.0


@dataclass(frozen=True)
class FirstFrameRequest:
    """What a first frame is made from; None takes the backbone's default."""

    prompt: str
    style: str = "any"
    negative_prompt: str = ""
    model: str = ""  # one of FIRST_FRAME_MODELS; "" is the best that the backbone has
    seed: int = 0
    steps: int | None = None
    guidance: float | None = None


@dataclass(frozen=True)
class ClipRequest:
    """What a clip is made from, beside its first frame; None takes the recipe's default."""

    prompt: str
    category: str
    style: str = "any"
    negative_prompt: str = ""
    adapter: str = ""  # "" the category's default, "none" without, else a name or a folder
    seed: int = 0
    recipe: str = "default"
    steps: int | None = None
    guidance: float | None = None
    attention: str = ""  # one of ATTENTION_VARIANTS; "" is what the adapter was trained with
    fit: str = "crop"  # or "pad": how an image of another shape becomes the first frame
    first_frame_model: str = "upload"  # where the first frame came from: its model, or upload
    first_frame_seed: int = -1  # -1 for an uploaded one
    first_frame_steps: int = 0  # 0 is the backbone's own number
    first_frame_guidance: float = -1.0  # -1 is the backbone's own
    shared_noise_seed: int = -1  # of the noise that the frames share, where two takes have it in common; -1 is `seed`
    source_sha256: str = ""  # of the file of the clip that the take starts from; "" starts from noise
    source_strength: float = -1.0  # share of the steps that is run anew then


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


def starting_from(request: ClipRequest, made: FirstFrameRequest) -> ClipRequest:
    """The request for a clip that also says how its first frame was made."""
    return dataclasses.replace(
        request,
        first_frame_model=made.model,
        first_frame_seed=made.seed,
        first_frame_steps=made.steps or 0,
        first_frame_guidance=-1.0 if made.guidance is None else made.guidance,
    )


def downloading(events: Iterable[Downloaded]) -> Iterator[Progress]:
    """A download as progress."""
    for event in events:
        yield Progress(event.done, event.total, doing=f"Downloading {event.wanted.notice()}")


def draw_seed() -> int:
    """A random seed, 0 .. MAX_SEED."""
    return secrets.randbelow(MAX_SEED + 1)


def make_first_frame(backbone: LoadedBackbone, request: FirstFrameRequest) -> Iterator[Progress | FirstFrame]:
    """Yields progress, at last the first frame in the size of the backbone's clips.

    Raises ValueError for a request that makes no sense. Closing the generator ends the work.
    """
    check_request(request)
    preset, steps = backbone.preset, request.steps or backbone.preset.first_frame_steps
    request = dataclasses.replace(request, model=request.model or preset.first_frame_models[0])
    settings = preset.first_frame_settings(request.model)
    yield from downloading(backbone.download_first_frames(request.model))
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


def chosen_recipe(preset: Backbone, request: ClipRequest) -> Recipe:
    """The backbone's recipe of that name with the request's own steps and guidance, where it has them."""
    changes = {"steps": request.steps, "guidance": request.guidance}
    given = {name: value for name, value in changes.items() if value is not None}
    return dataclasses.replace(preset.recipe(request.recipe), **given)


def chosen_attention(request: ClipRequest, adapter: Adapter | None) -> str:
    """What the frames look at: as the request says, else as the adapter was trained; one of ATTENTION_VARIANTS."""
    return request.attention or (adapter.attention() if adapter else ATTENTION_VARIANTS[0])


def check_request(request: FirstFrameRequest | ClipRequest) -> None:
    """ValueError with one sentence for the first thing that is out of range."""
    check_prompt(request.prompt)
    if len(request.negative_prompt) > 1000:
        raise ValueError("The negative prompt is too long: write at most 1000 characters.")
    check_seed(request.seed)
    if request.steps is not None and not 1 <= request.steps <= MAX_STEPS:
        raise ValueError(f"The number of steps must be from 1 to {MAX_STEPS}, not {request.steps}.")
    if request.guidance is not None and not 0 <= request.guidance <= MAX_GUIDANCE:
        raise ValueError(f"The guidance must be from 0 to {MAX_GUIDANCE:g}, not {request.guidance:g}.")
    check_choice("style", request.style, STYLES)
    if isinstance(request, ClipRequest):
        check_choice("recipe", request.recipe, RECIPES)
        if request.attention:
            check_choice("attention", request.attention, ATTENTION_VARIANTS)
        check_choice("way to fit the first frame", request.fit, ("crop", "pad"))
        if request.source_sha256 and not 0 < request.source_strength <= 1:
            raise ValueError(f"The strength must be above 0 and at most 1, not {request.source_strength:g}.")


def check_seed(seed: int) -> int:
    """The seed; ValueError when it is out of range."""
    if not 0 <= seed <= MAX_SEED:
        raise ValueError(f"The seed must be a whole number from 0 to {MAX_SEED}, not {seed}.")
    return seed


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
    settings = preset.first_frame_settings(model)
    guidance = settings.guidance if request.guidance is None else request.guidance
    used = {"steps": request.steps or preset.first_frame_steps, "guidance": guidance}
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


def request_from_metadata(metadata: dict[str, object]) -> tuple[FirstFrameRequest, ClipRequest]:
    """The two requests behind a clip from the metadata in its file.

    ValueError when the file is not one of ours or its settings are out of range.
    """
    if not isinstance(metadata.get("huvidpo"), str) or not isinstance(metadata.get("prompt"), str):
        raise ValueError("This file holds no settings: it was not made by this program, or it was re-encoded.")
    whole = ("seed", "first_frame_seed", "first_frame_steps", "shared_noise_seed", "steps")
    kinds = dict.fromkeys(whole, int) | dict.fromkeys(("guidance", "first_frame_guidance", "source_strength"), float)
    values = {}
    for field in dataclasses.fields(ClipRequest):
        if field.name in metadata:
            try:
                values[field.name] = kinds.get(field.name, str)(metadata[field.name])
            except (TypeError, ValueError, OverflowError) as error:
                raise ValueError(f"The settings in this file are damaged: {field.name} cannot be read.") from error
    clip = ClipRequest(**{"category": "", **values})
    check_request(clip)
    find_category(clip.category)
    model = clip.first_frame_model if clip.first_frame_model in FIRST_FRAME_MODELS else ""
    seed, guidance = max(clip.first_frame_seed, 0), clip.first_frame_guidance
    steps, guidance = clip.first_frame_steps or None, None if guidance == -1 else guidance
    first_frame = FirstFrameRequest(clip.prompt, clip.style, clip.negative_prompt, model, seed, steps, guidance)
    check_request(first_frame)
    return first_frame, clip
