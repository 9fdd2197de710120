"""Sampling a clip: what is kept, what depends on what, and that it can be stopped. A small real model, two steps."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from huvidpo.pipelines.image_to_video import ImageToVideoOutput, ImageToVideoPipeline, SamplingStep, predicted_clean
from huvidpo.pipelines.latents import encode_frames, frames_to_tensor
from huvidpo.pipelines.text import encode_prompts
from huvidpo.pocket.components import new_scheduler
from huvidpo.recipes import RECIPES, Recipe

QUICK = {name: replace(recipe, steps=2) for name, recipe in RECIPES.items()}
PROMPTS = ["a red horse runs on the beach", "rain falls on a blue car at night"]
SIZE = {"num_frames": 4, "width": 64, "height": 64}


def steps_of(pipeline: ImageToVideoPipeline, *what, **options) -> tuple[list[SamplingStep], ImageToVideoOutput]:
    *steps, output = pipeline.stream(*what, **(SIZE | options))
    return steps, output


def passes(pipeline: ImageToVideoPipeline) -> tuple[list[int], torch.utils.hooks.RemovableHandle]:
    """The batch size of every pass through the UNet from now on, and what ends the counting."""
    batches: list[int] = []
    return batches, pipeline.unet.register_forward_pre_hook(lambda unet, inputs: batches.append(len(inputs[0])))


def test_a_saved_pipeline_makes_the_same_clip(pipeline: ImageToVideoPipeline, pictures: list, tmp_path: Path) -> None:
    pipeline.save_pretrained(tmp_path)
    again = ImageToVideoPipeline.from_pretrained(tmp_path)
    clips = [p(PROMPTS[:1], pictures[:1], [7], QUICK["default"], **SIZE).frames for p in (pipeline, again)]
    assert clips[0].shape == (1, 4, 64, 64, 3) and clips[0].dtype == np.uint8
    assert np.array_equal(*clips)


@pytest.mark.parametrize("recipe", QUICK.values(), ids=lambda recipe: recipe.name)
def test_a_take_does_not_depend_on_its_batch(pipeline: ImageToVideoPipeline, pictures: list, recipe: Recipe) -> None:
    together, _ = steps_of(pipeline, PROMPTS, pictures, [7, 8], recipe)
    alone = [steps_of(pipeline, PROMPTS[i : i + 1], pictures[i : i + 1], [7 + i], recipe)[0] for i in range(2)]
    for i, step in enumerate(together):
        assert step.latents.isfinite().all()
        expected = torch.cat([steps[i].latents for steps in alone])
        torch.testing.assert_close(step.latents, expected, atol=1e-4, rtol=0)


def test_the_seed_decides_the_clip(pipeline: ImageToVideoPipeline, pictures: list) -> None:
    clips = [
        steps_of(pipeline, PROMPTS[:1], pictures[:1], [seed], QUICK["default"])[1].frames[0] for seed in (7, 8, 7)
    ]
    assert np.array_equal(clips[0], clips[2])
    assert not np.array_equal(clips[0][1:], clips[1][1:])


@pytest.mark.parametrize("recipe", QUICK.values(), ids=lambda recipe: recipe.name)
def test_the_first_frame_stays_clean_at_every_step(
    pipeline: ImageToVideoPipeline, pictures: list, recipe: Recipe
) -> None:
    with torch.no_grad():
        clean = encode_frames(pipeline.vae, frames_to_tensor(np.stack(pictures)))
    steps, _ = steps_of(pipeline, PROMPTS, pictures, [7, 8], recipe)
    assert [(step.step, step.total) for step in steps] == [(1, 2), (2, 2)]
    for step in steps:
        assert torch.equal(step.latents[:, :, 0], clean)
        assert not torch.equal(step.latents[:, :, 1], clean)


def test_guidance_is_the_published_sum_and_1_takes_one_pass(pipeline: ImageToVideoPipeline) -> None:
    """unconditional + g * (text - unconditional), each half computed on its own here."""
    latents, timestep = torch.randn(1, 16, 4, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor(500)
    with torch.no_grad():
        text = encode_prompts(pipeline.text_encoder, pipeline.tokenizer, ["a blue car"], PROMPTS[:1])
        unconditional, conditional = (pipeline.unet(latents, timestep, half).sample for half in text.chunk(2))
        assert (conditional - unconditional).abs().max() > 1e-3
        batches, counting = passes(pipeline)
        plain = pipeline.guided_prediction(latents, timestep, text, 1)
        guided = pipeline.guided_prediction(latents, timestep, text, 4)
        counting.remove()
    assert batches == [1, 2]
    assert torch.equal(plain, conditional)
    torch.testing.assert_close(guided, unconditional + 4 * (conditional - unconditional), atol=1e-4, rtol=0)


def test_the_negative_prompt_counts(pipeline: ImageToVideoPipeline, pictures: list) -> None:
    what = (PROMPTS[:1], pictures[:1], [7], QUICK["default"])
    plain, _ = steps_of(pipeline, *what)
    other, _ = steps_of(pipeline, *what, negative_prompts=["snow"])
    assert not torch.equal(plain[-1].latents, other[-1].latents)


def test_closing_the_generator_ends_the_work(pipeline: ImageToVideoPipeline, pictures: list) -> None:
    batches, counting = passes(pipeline)
    steps = pipeline.stream(PROMPTS[:1], pictures[:1], [7], RECIPES["default"], **SIZE)
    next(steps)
    steps.close()
    counting.remove()
    assert batches == [2] and next(steps, None) is None


def test_previews_show_the_middle_frame_and_cost_nothing_when_off(
    pipeline: ImageToVideoPipeline, pictures: list
) -> None:
    recipe = replace(RECIPES["default"], steps=3)
    shown, _ = steps_of(pipeline, PROMPTS[:1], pictures[:1], [7], recipe, preview_every=1)
    assert [step.preview is not None for step in shown] == [True, True, False]  # the last step shows the clip itself
    assert shown[0].preview.shape == (64, 64, 3) and shown[0].preview.dtype == np.uint8
    hidden, _ = steps_of(pipeline, PROMPTS[:1], pictures[:1], [7], recipe, preview_every=0)
    assert all(step.preview is None for step in hidden)


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_a_perfect_prediction_gives_the_clean_latents(prediction_type: str) -> None:
    scheduler = new_scheduler()
    scheduler.register_to_config(prediction_type=prediction_type)
    generator = torch.Generator().manual_seed(0)
    clean, noise = (torch.randn(1, 4, 3, 8, 8, generator=generator) for _ in range(2))
    timestep = torch.tensor(500)
    noisy = scheduler.add_noise(clean, noise, timestep)
    velocity: Tensor = scheduler.get_velocity(clean, noise, timestep)
    prediction = noise if prediction_type == "epsilon" else velocity
    torch.testing.assert_close(predicted_clean(scheduler, noisy, prediction, timestep), clean, atol=1e-4, rtol=0)


PICTURE = Image.new("RGB", (8, 8))


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"seeds": [1, 2]}, "the lists differ in length"),
        ({"prompts": [], "images": [], "seeds": []}, "the lists differ in length"),
        ({"negative_prompts": ["", ""]}, "the lists differ in length"),
        ({"width": 60}, "sides divisible by 16 and 2 frames, not 60x64x4"),
        ({"height": 0}, "sides divisible by 16 and 2 frames, not 64x0x4"),
        ({"num_frames": 1}, "not 64x64x1"),
        ({"recipe": replace(RECIPES["default"], steps=0)}, "'default' has steps or shared noise out of range"),
        ({"recipe": replace(RECIPES["default"], shared_noise=1.5)}, "steps or shared noise out of range"),
        ({"recipe": replace(RECIPES["default"], solver="euler")}, "solver must be 'ddim' or 'dpm\\+\\+', not 'euler'"),
        ({"fit": "stretch"}, "not 'stretch'"),
    ],
)
def test_what_cannot_be_sampled_is_refused(pipeline: ImageToVideoPipeline, changes: dict, sentence: str) -> None:
    asked = {"prompts": ["rain"], "images": [PICTURE], "seeds": [1], "recipe": RECIPES["default"], **SIZE} | changes
    with pytest.raises(ValueError, match=sentence):
        next(pipeline.stream(**asked))
