"""Values of the form: those of a finished clip, and those that a browser kept. Knows nothing of components."""

from collections.abc import Collection, Sequence
from typing import Any

from PIL import Image

from huvidpo.categories import MAX_PROMPT, STYLES, known_categories
from huvidpo.recipes import ATTENTION_VARIANTS, RECIPES
from huvidpo.requests import MAX_GUIDANCE, MAX_SEED, MAX_STEPS
from huvidpo.ui.first_frames import signed
from huvidpo.ui.history import SavedTake
from huvidpo.video import read_frames

# What a browser keeps of the form; a picture is not there any more after a reload, nor how it was fitted.
RANGES = {"seed": (0, MAX_SEED), "frame_seed": (0, MAX_SEED), "steps": (1, MAX_STEPS), "frame_steps": (1, MAX_STEPS)}
RANGES |= dict.fromkeys(("guidance", "frame_guidance"), (0, MAX_GUIDANCE))
CHOICES = {"style": STYLES, "recipe": RECIPES, "attention": ("", *ATTENTION_VARIANTS)}
TEXTS = ("prompt", "negative_prompt")
KEPT = (*TEXTS, "category", *CHOICES, "adapter", "random_seed", "frame_model", *RANGES)


def form_values(take: SavedTake) -> dict[str, Any]:
    """Field of `Form` -> value, such that the main button makes this take again.

    A first frame that a model made is left out unless its exact picture lies beside the clip: drawn again from its
    seed it is exact, while frame 0 of the clip has gone through a video encoder. A visitor's own picture is taken
    from the clip, for want of anything better.
    """
    first, request = take.first_frame, take.request
    own = request.first_frame_model == "upload"
    return {
        "prompt": request.prompt,
        "category": request.category,
        "style": request.style,
        "adapter": request.adapter,
        "seed": request.seed,
        "random_seed": False,
        "frame_seed": None if own or first.seed == request.seed else first.seed,
        "frame_steps": None if own else first.steps,
        "frame_guidance": None if own else first.guidance,
        "negative_prompt": request.negative_prompt,
        "recipe": request.recipe,
        "steps": request.steps,
        "guidance": request.guidance,
        "attention": request.attention,
        "fit": request.fit,
        "picture": _picture(take, own),
    } | ({} if own else {"frame_model": first.model})


def _picture(take: SavedTake, own: bool) -> Image.Image | None:
    if take.picture.is_file():
        with Image.open(take.picture) as image:
            picture = image.convert("RGB")
        return picture if own else signed(picture, take.first_frame, take.backbone)
    if own:
        frames, _ = read_frames(take.clip, max_frames=1)
        return Image.fromarray(frames[0])
    return None


def kept_values(kept: object, frame_models: Sequence[str]) -> dict[str, Any]:
    """Field of `Form` -> value, of what a browser kept; what the form cannot show is left out.

    Which adapters there are is another matter: theirs is a name.
    """
    found = kept if isinstance(kept, dict) else {}
    choices = CHOICES | {"category": known_categories(), "frame_model": frame_models}
    return {name: found[name] for name in KEPT if name in found and _fits(name, found[name], choices.get(name))}


def _fits(name: str, value: object, choices: Collection[str] | None) -> bool:
    if name in RANGES:
        low, high = RANGES[name]
        return value is None or (type(value) in (int, float) and low <= value <= high)
    if name == "random_seed":
        return isinstance(value, bool)
    return isinstance(value, str) and len(value) <= MAX_PROMPT and (choices is None or value in choices)
