"""The systems that are compared: what each is, and how it makes clips from first frames. Knows no metric."""

import dataclasses
import hashlib
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from huvidpo.adapter_weights import apply_adapter
from huvidpo.adapters import Adapter, find_adapter
from huvidpo.backbones import LoadedBackbone
from huvidpo.evaluation.baselines import baseline_settings
from huvidpo.evaluation.results import Plain
from huvidpo.models.precision import has_bfloat16
from huvidpo.presets import Backbone
from huvidpo.recipes import Recipe
from huvidpo.takes import versions


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


def chosen_adapter(backbone: str, category: str, contestant: Contestant) -> Adapter | None:
    """The adapter that a contestant has on for a category.

    Raises ValueError when there is none, or none to leave out: a system that is not what its name says says nothing.
    """
    adapter = find_adapter(backbone, category, contestant.adapter)
    if adapter is None and contestant.adapter != "none":
        raise ValueError(f"{category} has no default adapter: train one, or name it with --adapters.")
    if not contestant.without_preference:
        return adapter
    if adapter is None or not adapter.learned_taste:
        raise ValueError(f"{category}'s default adapter has learned no preferences, so none can be left out.")
    return find_adapter(backbone, category, str(adapter.card["parent"]))


def chosen_recipe(preset: Backbone, contestant: Contestant) -> Recipe:
    """The recipe that a contestant samples with."""
    recipe = preset.recipe(contestant.recipe)
    return recipe if contestant.shared_noise < 0 else replace(recipe, shared_noise=contestant.shared_noise)


def make_clips(
    backbone: LoadedBackbone,
    contestant: Contestant,
    category: str,
    prompts: list[str],
    images: list[Image.Image],
    seeds: list[int],
) -> np.ndarray:
    """One clip for each prompt, first frame and seed: uint8 (b f h w 3). Equal seeds give all systems equal noise.

    For systems that are an adapter, a recipe and an attention; not for stills, baselines and folders.
    """
    preset = backbone.preset
    adapter, recipe = chosen_adapter(preset.name, category, contestant), chosen_recipe(preset, contestant)
    with backbone.lock:
        backbone.take_turn(backbone.video)
        apply_adapter(backbone.video.unet, adapter, backbone.still_motion)
        if contestant.attention:
            backbone.video.unet.set_attention(contestant.attention)
        size = (preset.num_frames, preset.width, preset.height)
        *_, output = backbone.video.stream(prompts, images, seeds, recipe, *size, preview_every=0)
    return output.frames


def made_from(
    backbone: LoadedBackbone, contestant: Contestant, category: str, prompt: str, seed: int, image: Image.Image
) -> dict[str, Plain]:
    """Everything that decides what a clip looks like, as it is written into its file."""
    settings: dict[str, Plain] = {"prompt": prompt, "category": category, "seed": seed, **versions(backbone)}
    settings |= {"first_frame_sha256": image_digest(image), "backbone_revision": backbone.revision()}
    settings |= arithmetic(backbone)
    return settings | system_settings(backbone, contestant, [category])


def image_digest(image: Image.Image) -> str:
    """By what a clip knows the first frame that it continues: the sha256 of its pixels."""
    return hashlib.sha256(image.tobytes()).hexdigest()


def system_settings(backbone: LoadedBackbone, contestant: Contestant, categories: list[str]) -> dict[str, Plain]:
    """What a contestant is: its fields, its recipe's, the revisions of its adapters, a baseline's parts."""
    settings: dict[str, Plain] = {f"system.{name}": value for name, value in dataclasses.asdict(contestant).items()}
    if contestant.baseline:
        return settings | baseline_settings(contestant.baseline)
    if contestant.still or contestant.clips:
        return settings
    recipe = chosen_recipe(backbone.preset, contestant)
    settings |= {f"recipe.{name}": value for name, value in dataclasses.asdict(recipe).items()}
    for category in categories:
        adapter = chosen_adapter(backbone.preset.name, category, contestant)
        for _ in adapter.download() if adapter else ():  # a shared one has no revision before
            pass
        settings[f"adapter/{category}"] = adapter.name if adapter else "none"
        settings[f"adapter_revision/{category}"] = adapter.revision() if adapter else ""
    return settings


def environment(backbone: LoadedBackbone) -> dict[str, Plain]:
    """What clips depend on beside the systems: programs, weights, device, precision."""
    weights = {"backbone_revision": backbone.revision()}
    return {**versions(backbone), **weights, **arithmetic(backbone)}


def arithmetic(backbone: LoadedBackbone) -> dict[str, str]:
    """Device and precision: the same seed gives slightly other clips on another."""
    mixed = backbone.video.config.mixed_precision and has_bfloat16(backbone.device)
    dtype = str(backbone.video.unet.dtype).removeprefix("torch.") + ", bfloat16 for matrices" * mixed
    return {"device": backbone.device, "dtype": dtype}
