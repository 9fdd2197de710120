"""How a clip may be sampled: names and numbers, to be read without waiting for torch."""

from dataclasses import dataclass

ATTENTION_VARIANTS = ("first-previous", "first")  # what frames look at beside themselves; the second is LAMP's


@dataclass(frozen=True)
class Recipe:
    """How a clip is sampled. The network is the same for all recipes."""

    name: str
    solver: str  # "ddim" or "dpm++" (second order, multistep)
    steps: int
    guidance: float  # unconditional + guidance * (text - unconditional): 1 is without guidance
    shared_noise: float  # share of the first frame's noise in all later frames, 0..1
    preserve_variance: bool  # whether sharing keeps the noise's standard deviation at 1
    match_statistics: bool  # LAMP's AdaIN of latents towards the first frames, while and after sampling
    match_colours: bool  # histogram matching of the finished frames to frame 0


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("default", "dpm++", 25, 7.5, 0.2, preserve_variance=True, match_statistics=False, match_colours=False),
        # What LAMP and HuViDPO published, to the number.
        Recipe("huvidpo", "ddim", 50, 12.5, 0.2, preserve_variance=False, match_statistics=True, match_colours=True),
    )
}
