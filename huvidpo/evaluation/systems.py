"""How the systems that are compared make clips from first frames. Knows no metric."""

import dataclasses
import hashlib
from dataclasses import replace

import numpy as np
from PIL import Image

from huvidpo.adapter_weights import apply_adapter
from huvidpo.adapters import Adapter, find_adapter
from huvidpo.backbones import LoadedBackbone
from huvidpo.evaluation.baselines import baseline_settings
from huvidpo.evaluation.contestants import Contestant
from huvidpo.evaluation.results import Plain
from huvidpo.models.precision import has_bfloat16
from huvidpo.presets import Backbone
from huvidpo.recipes import Recipe
from huvidpo.takes import versions


def adapter_of(backbone: str, category: str, contestant: Contestant) -> Adapter | None:
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


def recipe_of(preset: Backbone, contestant: Contestant) -> Recipe:
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
    adapter, recipe = adapter_of(preset.name, category, contestant), recipe_of(preset, contestant)
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
    recipe = recipe_of(backbone.preset, contestant)
    settings |= {f"recipe.{name}": value for name, value in dataclasses.asdict(recipe).items()}
    for category in categories:
        adapter = adapter_of(backbone.preset.name, category, contestant)
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
    dtype = str(backbone.video.unet.dtype).removeprefix("torch.") + (", bfloat16 for matrices" if mixed else "")
    return {"device": backbone.device, "dtype": dtype}
