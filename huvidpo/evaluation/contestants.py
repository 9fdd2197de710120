"""The systems that are compared, and the critics that may choose: names and settings, to be read without torch."""

from dataclasses import dataclass

CRITICS = ("judge", "taste:warmer", "taste:livelier", "taste:steadier")  # what each is, in critics.py


@dataclass(frozen=True)
class Contestant:
    """One way to make clips."""

    name: str
    title: str
    adapter: str = ""  # "" the category's default, "none", else a name or a folder
    without_preference: bool = False  # only the motion weights below the adapter
    attention: str = ""  # "" is what the adapter was trained with
    shared_noise: float = -1.0  # -1 is the recipe's own
    first_frame_model: str = ""  # "" is the best that the backbone has
    recipe: str = "default"
    baseline: str = ""  # a system of others, see `baselines`; it is given the prompt only
    clips: str = ""  # a folder of finished clips, in the place of a model
    still: bool = False  # the first frame, repeated


STILL = Contestant("still", "First frame repeated", still=True)
KNOWN = {
    contestant.name: contestant
    for contestant in (
        Contestant("default", "Default adapter"),
        Contestant("first-only", "Attention to the first frame only (LAMP)", attention="first"),
        Contestant("no-adapter", "Without motion weights", adapter="none"),
        Contestant("no-dpo", "Without the preference adapter", without_preference=True),
        Contestant("base-first-frame", "First frames of the base model", first_frame_model="base"),
        Contestant("own-noise", "Noise not shared between frames", shared_noise=0.0),
        Contestant("huvidpo-recipe", "The paper's sampler, 50 steps", recipe="huvidpo"),
        Contestant("animatediff", "AnimateDiff (text only)", baseline="animatediff"),
        Contestant("modelscope", "ModelScope (text only, in LVDM's place)", baseline="modelscope"),
    )
}
USUAL = ("default", "first-only", "no-adapter", "own-noise")
