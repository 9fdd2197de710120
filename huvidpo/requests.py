"""What is asked for: a first frame, a clip. Checked here, and read back from what a file says. Makes nothing."""

import dataclasses
import secrets
from dataclasses import dataclass

from huvidpo.categories import MAX_PROMPT, STYLES, check_prompt, find_category
from huvidpo.checks import check_choice
from huvidpo.presets import FIRST_FRAME_MODELS
from huvidpo.recipes import ATTENTION_VARIANTS, RECIPES

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


def starting_from(request: ClipRequest, made: FirstFrameRequest) -> ClipRequest:
    """The request for a clip that also says how its first frame was made."""
    return dataclasses.replace(
        request,
        first_frame_model=made.model,
        first_frame_seed=made.seed,
        first_frame_steps=made.steps or 0,
        first_frame_guidance=-1.0 if made.guidance is None else made.guidance,
    )


def draw_seed() -> int:
    """A random seed, 0 .. MAX_SEED."""
    return secrets.randbelow(MAX_SEED + 1)


def check_request(request: FirstFrameRequest | ClipRequest) -> None:
    """ValueError with one sentence for the first thing that is out of range."""
    check_prompt(request.prompt)
    if len(request.negative_prompt) > MAX_PROMPT:
        raise ValueError(f"The negative prompt is too long: write at most {MAX_PROMPT} characters.")
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
