"""The published 50-step loop, against the numbers of the published implementations."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler
from safetensors import safe_open
from safetensors.torch import load_file

from huvidpo.pipelines.image_to_video import ImageToVideoPipeline
from huvidpo.pipelines.latents import adain, share_noise, with_first_frame
from huvidpo.recipes import RECIPES
from tests.goldens import load_golden_unet

GOLDENS = Path(__file__).parents[1] / "goldens"


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["huvidpo", "lamp"])
def test_recipe_huvidpo_gives_the_published_latents_at_every_step(variant: str) -> None:
    """Noise sharing, guidance 12.5, DDIM 50 and the AdaIN schedule: tolerances of the goldens' README."""
    unet, _ = load_golden_unet(variant)
    path = GOLDENS / variant / "sampling.safetensors"
    golden = load_file(path)
    with safe_open(path, "pt") as file:
        scheduler = DDIMScheduler(**json.loads(file.metadata()["scheduler"]))
    pipeline = ImageToVideoPipeline(None, None, None, unet, scheduler)
    recipe = RECIPES["huvidpo"]
    assert (recipe.steps, recipe.guidance) == (int(golden["in.steps"]), float(golden["in.guidance"]))
    first_frame = golden["in.first_frame"][:, :, 0]
    noise = share_noise(golden["in.noise"], recipe.shared_noise, recipe.preserve_variance)

    timesteps = pipeline.new_scheduler(recipe).timesteps
    assert timesteps.tolist() == golden["out.timesteps"].tolist()
    with torch.no_grad():
        start = with_first_frame(noise, first_frame)
        prediction = pipeline.guided_prediction(start, timesteps[0], golden["in.text"], recipe.guidance)
        torch.testing.assert_close(prediction[:, :, 1:], golden["out.first_eps"], atol=3e-4, rtol=0)
        compared = 0
        for step, _, latents, _ in pipeline.denoise(noise, first_frame, golden["in.text"], recipe):
            expected = golden.get(f"out.step_{step - 1:02d}")
            if expected is not None:
                torch.testing.assert_close(latents, expected, atol=5e-4, rtol=0, msg=f"step {step - 1}")
                compared += 1
    assert compared >= 5
    final = torch.cat([latents[:, :, :1], adain(latents[:, :, 1:], latents[:, :, :1])], dim=2)
    torch.testing.assert_close(final, golden["out.latents"], atol=2e-4, rtol=0)
