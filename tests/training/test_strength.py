"""An adapter is weakened until its clips keep their motion: the line of weights, the tries, and going on."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from huvidpo.pipelines.image_to_video import ImageToVideoPipeline
from huvidpo.preferences.pairs import JudgedClip, TrainingSet
from huvidpo.recipes import RECIPES
from huvidpo.training.reference import add_policy, load_lora, lora_state
from huvidpo.training.strength import KEPT_MOTION, WEAKEST, Strength, next_strength, settle_strength, weakened
from huvidpo.training.validation import Validation
from tests.training.test_examples import write_moving

QUICK = replace(RECIPES["default"], steps=2, guidance=1.0)
SEED = 3  # of weights that lose motion: asserted below


def test_the_next_strength_is_where_the_loss_would_fit() -> None:
    """15 % lost at full strength: 0.04 / 0.15 = 0.266; 6 % at a half: 0.5 * 0.04 / 0.06 = 0.333; then the limits."""
    assert next_strength(1.0, 0.85) == 0.26 and next_strength(0.5, 0.94) == 0.33
    assert next_strength(1.0, 0.9595) == 0.95, "at least a visible step"
    assert next_strength(0.3, 0.2) == WEAKEST


def test_weights_go_in_a_straight_line_from_where_learning_began() -> None:
    learned = {"x.lora_A.weight": torch.tensor([1.0, 3.0]), "x.lora_B.weight": torch.tensor([2.0, 4.0])}
    origin = {"x.lora_A.weight": torch.tensor([1.0, 1.0]), "x.lora_B.weight": torch.tensor([0.0, 8.0])}
    from_origin = weakened(learned, origin, 0.25)
    assert from_origin["x.lora_A.weight"].tolist() == [1.0, 1.5]
    assert from_origin["x.lora_B.weight"].tolist() == [0.5, 7.0]
    from_nothing = weakened(learned, None, 0.25)
    assert from_nothing["x.lora_A.weight"].tolist() == [1.0, 3.0], "the product of both is a quarter, not a sixteenth"
    assert from_nothing["x.lora_B.weight"].tolist() == [0.5, 1.0]


@pytest.fixture
def learned(pipeline: ImageToVideoPipeline) -> dict[str, torch.Tensor]:
    """Weights that leave the tiny model, which moves, less motion than it had."""
    with torch.no_grad():
        for name, parameter in pipeline.unet.named_parameters():
            if "attn_temp.to_out" in name or "conv1d" in name:
                parameter += 0.2 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    add_policy(pipeline.unet, 2, 4, 0.0, seed=0)
    generator = torch.Generator().manual_seed(SEED)
    return {name: 0.3 * torch.randn(v.shape, generator=generator) for name, v in lora_state(pipeline.unet).items()}


@pytest.fixture
def validation(pipeline: ImageToVideoPipeline, tmp_path: Path):
    clip = JudgedClip(write_moving(tmp_path / "moving.mp4", 4, 1), "a red horse", True)
    settings = (TrainingSet(clips=(clip,)), (4, 32, 32), 8, tmp_path / "clips", 2, QUICK)
    return lambda: Validation(pipeline, *settings)


def test_motion_must_be_kept_by_the_lower_bound(pipeline, learned, validation) -> None:
    """Motions 1 and 3 become 1.1 and 2.79: a share of 3.89 / 4 = 0.9725, above 0.96, but of two clips that disagree.

    What is left over is 1.1 - 0.9725 = 0.1275 and -0.1275; deviation 0.1275 * sqrt(2), error 0.1275 / 2 = 0.06375. So
    0.9725 - 1.9 * 0.06375 = 0.851 counts, and 0.04 / 0.149 = 0.268 is tried next.
    """
    load_lora(pipeline.unet, learned)
    known = validation()
    known.motions |= {"before-0": 1.0, "before-1": 3.0, "00007-strength-1.00-0": 1.1, "00007-strength-1.00-1": 2.79}
    known.motions |= {"00007-strength-0.26-0": 1.0, "00007-strength-0.26-1": 3.0}
    assert known.share_error("00007-strength-1.00") == pytest.approx(0.06375)
    assert [*settle_strength(pipeline.unet, None, known, 7)] == [Strength(0.26, 1.0)]


@pytest.mark.slow
def test_what_loses_motion_is_weakened_until_it_keeps_it(pipeline, learned, validation) -> None:
    """One file gives the frames of both clips. What was measured is not measured again when it goes on."""
    unet = pipeline.unet
    load_lora(unet, learned)
    *made, settled = settle_strength(unet, None, validation(), 7)
    assert validation().share("00007-strength-1.00") < KEPT_MOTION
    assert isinstance(settled, Strength) and settled.value < 1
    assert settled.motion == validation().share(f"00007-strength-{settled.value:.2f}")
    expected = weakened(learned, None, settled.value)
    assert all(torch.equal(value, expected[name]) for name, value in lora_state(unet).items())
    load_lora(unet, learned)
    assert [*settle_strength(unet, None, validation(), 7)] == [settled], "everything is known"
    assert len(made) == len({*validation().motions})


@pytest.mark.slow
def test_what_changes_nothing_keeps_its_strength(pipeline, learned, validation, tmp_path: Path) -> None:
    """The same weights as those that learning began with."""
    load_lora(pipeline.unet, learned)
    save_file(learned, tmp_path / "start.safetensors")
    pipeline.unet.add_adapter(pipeline.unet.peft_config["preference"], "start")
    load_lora(pipeline.unet, load_file(tmp_path / "start.safetensors"), "start")
    pipeline.unet.set_adapter("preference")
    *made, settled = settle_strength(pipeline.unet, tmp_path / "start.safetensors", validation(), 7)
    assert settled == Strength(1.0, pytest.approx(1.0)) and len(made) == 4
