"""Preference losses against sums done by hand and against the published step."""

import math

import pytest
import torch

from huvidpo.training.losses import denoising_error, diffusion_dpo
from tests.goldens import load_golden_unet


def test_dpo_by_hand() -> None:
    """Policy errors 0.2 and 0.5, reference 0.3 and 0.4, beta 10: inside = -5 * ((0.2 - 0.3) - (0.5 - 0.4)) = 1."""
    terms = diffusion_dpo(*(torch.tensor([x]) for x in (0.2, 0.5, 0.3, 0.4)), beta=10)
    torch.testing.assert_close(terms.inside, torch.tensor([1.0]))
    torch.testing.assert_close(terms.loss, torch.tensor([math.log(1 + math.exp(-1))]))


def test_policy_that_is_the_reference_has_loss_log_2() -> None:
    winner, loser = torch.rand(7), torch.rand(7)
    torch.testing.assert_close(diffusion_dpo(winner, loser, winner, loser, 500).loss, torch.full((7,), math.log(2)))


def test_swapping_winner_and_loser_turns_the_sign() -> None:
    a, b, c, d = torch.rand(4, 5)
    torch.testing.assert_close(diffusion_dpo(a, b, c, d, 50).inside, -diffusion_dpo(b, a, d, c, 50).inside)


def test_gradient_lowers_the_winner_s_error_and_raises_the_loser_s() -> None:
    winner, loser = torch.tensor([0.3], requires_grad=True), torch.tensor([0.3], requires_grad=True)
    diffusion_dpo(winner, loser, torch.tensor([0.3]), torch.tensor([0.3]), 100).loss.sum().backward()
    assert winner.grad.item() == pytest.approx(25) and loser.grad.item() == pytest.approx(-25)  # beta/2 * sigmoid(0)


@pytest.mark.parametrize(("beta", "key"), [(50, "out.loss"), (5000, "out.loss_beta5000")])
def test_loss_of_the_published_step(beta: float, key: str) -> None:
    _, golden = load_golden_unet("huvidpo", "dpo")
    errors = [golden[f"out.{name}"].reshape(1) for name in ("model_w", "model_l", "ref_w", "ref_l")]
    torch.testing.assert_close(diffusion_dpo(*errors, beta=beta).loss[0], golden[key], atol=1e-5, rtol=0)


def test_error_is_a_mean_per_sample_without_the_given_frame() -> None:
    """Errors 1 in frame 0 and 2 in the other two: (1 + 4 + 4) / 3 with frame 0, 4 without."""
    prediction = torch.zeros(2, 3, 3, 4, 5)
    target = torch.tensor([1.0, 2.0, 2.0]).view(1, 1, 3, 1, 1).expand_as(prediction)
    torch.testing.assert_close(denoising_error(prediction, target), torch.full((2,), 3.0))
    torch.testing.assert_close(denoising_error(prediction, target, first_index=1), torch.full((2,), 4.0))
