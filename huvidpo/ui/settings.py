"""A finished clip's settings as values of the form. Knows nothing of components."""

from typing import Any

from PIL import Image

from huvidpo.ui.history import SavedTake
from huvidpo.video import read_frames


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
        "made": None if own or not take.picture.is_file() else first,
    } | ({} if own else {"frame_model": first.model})


def _picture(take: SavedTake, own: bool) -> Image.Image | None:
    if take.picture.is_file():
        with Image.open(take.picture) as image:
            return image.convert("RGB")
    if own:
        frames, _ = read_frames(take.clip, max_frames=1)
        return Image.fromarray(frames[0])
    return None
