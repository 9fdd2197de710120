"""Preference losses against sums done by hand and against the published step."""

import math

import pytest
import torch

from huvidpo.training.losses import (
    anchor_weight,
    denoising_error,
    dense_dpo,
    diffusion_dpo,
    diffusion_hinge,
    diffusion_identity,
    diffusion_kto,
    frame_errors,
    iterative_preference,
    next_reference_point,
    safe_loser_scale,
    scale_gradient,
    winner_penalty,
)
from tests.goldens import load_golden_unet


def test_dpo_by_hand() -> None:
    """Policy errors 0.2 and 0.5, reference 0.3 and 0.4, beta 10: margin = -5 * ((0.2 - 0.3) - (0.5 - 0.4)) = 1."""
    terms = diffusion_dpo(*(torch.tensor([x]) for x in (0.2, 0.5, 0.3, 0.4)), beta=10)
    torch.testing.assert_close(terms.margin, torch.tensor([1.0]))
    torch.testing.assert_close(terms.loss, torch.tensor([math.log(1 + math.exp(-1))]))


def test_policy_that_is_the_reference_has_loss_log_2() -> None:
    winner, loser = torch.rand(7), torch.rand(7)
    torch.testing.assert_close(diffusion_dpo(winner, loser, winner, loser, 500).loss, torch.full((7,), math.log(2)))


def test_swapping_winner_and_loser_turns_the_sign() -> None:
    a, b, c, d = torch.rand(4, 5)
    torch.testing.assert_close(diffusion_dpo(a, b, c, d, 50).margin, -diffusion_dpo(b, a, d, c, 50).margin)


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


def test_frame_errors_average_to_the_clip_s_error() -> None:
    """Errors 1 in frame 0 and 2 in the other two: 1, 4, 4."""
    prediction = torch.zeros(2, 3, 3, 4, 5)
    target = torch.tensor([1.0, 2.0, 2.0]).view(1, 1, 3, 1, 1).expand_as(prediction)
    torch.testing.assert_close(frame_errors(prediction - target), torch.tensor([[1.0, 4.0, 4.0]] * 2))


def errors(*values: float) -> list[torch.Tensor]:
    return [torch.tensor([value], requires_grad=True) for value in values]


def test_hinge_by_hand_and_at_its_end() -> None:
    """margin = -5 * ((0.25 - 0.3) - (0.5 - 0.5)) = 0.25, so 0.75; at beta 100 it is 2.5, and the pair is done."""
    four = errors(0.25, 0.5, 0.3, 0.5)
    torch.testing.assert_close(diffusion_hinge(*four, beta=10).loss, torch.tensor([0.75]))
    done = diffusion_hinge(*four, beta=100)
    assert done.loss.item() == 0
    done.loss.sum().backward()
    assert four[0].grad.item() == 0


def test_identity_is_equation_17_and_has_an_end() -> None:
    """h = (0.5 - 0.5) - (0.25 - 0.3) = 0.05, tau = 10 / 2 = 5: tau^2 (h - 1 / (2 tau))^2 = 25 * (0.05 - 0.1)^2."""
    torch.testing.assert_close(diffusion_identity(*errors(0.25, 0.5, 0.3, 0.5), 10).loss, torch.tensor([0.0625]))
    too_far = errors(0.1, 0.5, 0.3, 0.5)  # h = 0.2 is more than 0.1: pulled back
    diffusion_identity(*too_far, 10).loss.sum().backward()
    assert too_far[0].grad.item() < 0 < too_far[1].grad.item()


def test_identity_and_dpo_start_with_gradients_of_one_size() -> None:
    """At margin 0: DPO -1/2 * d margin, identity 2 * (0 - 1/2) = -1 * d margin, with d margin / d winner = -beta/2."""
    for loss, expected in ((diffusion_dpo, 25), (diffusion_identity, 50), (diffusion_hinge, 50)):
        four = errors(0.3, 0.3, 0.3, 0.3)
        loss(*four, 100).loss.sum().backward()
        assert four[0].grad.item() == pytest.approx(expected) == -four[1].grad.item()


def test_dense_by_hand() -> None:
    """Two frames, clip a improved by 0.2 on both, b unchanged; beta 10: margin = 1, -1 and nothing."""
    reference = torch.full((1, 3), 0.5)
    policy_a = reference - 0.2
    terms = dense_dpo(policy_a, reference, reference, reference, torch.tensor([[1.0, -1.0, 0.0]]), beta=10)
    torch.testing.assert_close(terms.margin, torch.tensor([[1.0, -1.0, 0.0]]))
    expected = torch.tensor([[math.log(1 + math.exp(-1)), math.log(1 + math.e), 0.0]])
    torch.testing.assert_close(terms.loss, expected)


def test_a_tie_has_no_gradient_in_dense() -> None:
    a, b = torch.rand(2, 4, requires_grad=True), torch.rand(2, 4, requires_grad=True)
    labels = torch.tensor([[1.0, 0.0, -1.0, 0.0]] * 2)
    dense_dpo(a, b, a.detach(), b.detach(), labels, beta=500).loss.sum().backward()
    assert torch.equal(a.grad != 0, labels != 0) and torch.equal(a.grad, -b.grad)
    assert (a.grad.sign() == labels).all()  # descent lowers the error of the better clip


def test_dense_with_one_frame_is_dpo() -> None:
    four = torch.rand(4, 5, 1)
    dense = dense_dpo(*four, torch.ones(5, 1), beta=50)
    torch.testing.assert_close(dense.loss[:, 0], diffusion_dpo(*four[..., 0], beta=50).loss)


def test_iterative_preference_by_hand() -> None:
    """DPO as above (margin 1), beta / 4 = 2.5: plus 0.1 * 2.5 * 0.2 for the winner and 0.4 * 2.5 * 0.7 for footage."""
    terms = iterative_preference(*errors(0.2, 0.5, 0.3, 0.4, 0.7), beta=10, winner_weight=0.1, real_weight=0.4)
    torch.testing.assert_close(terms.loss, torch.tensor([math.log(1 + math.exp(-1)) + 0.05 + 0.7]))
    assert anchor_weight(0.1, 500) == pytest.approx(12.5)


def test_kto_by_hand() -> None:
    """Rewards 0.3 - 0.1 = 0.2 and 0.3 - 0.5 = -0.2, z0 = 0.1, beta 10: 1 - sigmoid(1), 2 * (1 - sigmoid(3))."""
    policy, reference = torch.tensor([0.1, 0.5]), torch.tensor([0.3, 0.3])
    terms = diffusion_kto(policy, reference, torch.tensor([True, False]), 0.1, beta=10, bad_weight=2)
    torch.testing.assert_close(terms.reward, torch.tensor([0.2, -0.2]))
    torch.testing.assert_close(terms.loss, torch.tensor([1 / (1 + math.e), 2 / (1 + math.exp(3))]))


def test_kto_lowers_good_errors_and_raises_bad_ones() -> None:
    policy = torch.tensor([0.3, 0.3], requires_grad=True)
    diffusion_kto(policy, policy.detach(), torch.tensor([True, False]), 0.0, beta=100).loss.sum().backward()
    assert policy.grad[0].item() == pytest.approx(25) and policy.grad[1].item() == pytest.approx(-25)


def test_reference_point_runs_and_stays_above_zero() -> None:
    """0.9 * 0.5 + 0.1 * 0.2 = 0.47; 0.9 * 0.01 - 0.1 * 0.3 is below 0."""
    assert next_reference_point(0.5, torch.tensor([0.1, 0.3]), decay=0.9) == pytest.approx(0.47)
    assert next_reference_point(0.01, torch.tensor([-0.3]), decay=0.9) == 0


def test_safe_loser_scale_by_hand() -> None:
    """g_w = (1, 0), mu 0.5. g_l = (2, 0): 0.5 * 1 / 2 = 0.25. (0.4, 9): 1.25, cut to 1. (-1, 0), (0, 1): 1."""
    winner = torch.tensor([[1.0, 0.0]] * 4)
    loser = torch.tensor([[2.0, 0.0], [0.4, 9.0], [-1.0, 0.0], [0.0, 1.0]])
    torch.testing.assert_close(safe_loser_scale(winner, loser, 0.5), torch.tensor([0.25, 1.0, 1.0, 1.0]))


def test_a_safe_loser_keeps_the_promised_share_of_the_winner_s_progress() -> None:
    """The step along -g_w + scale * g_l changes the winner's error by -<g_w, g_w - scale g_l> = -mu |g_w|^2."""
    winner, mu = torch.randn(6, 20, generator=torch.Generator().manual_seed(0)), 0.7
    loser = 3 * winner + 0.1
    kept = (winner * (winner - safe_loser_scale(winner, loser, mu)[:, None] * loser)).sum(1)
    torch.testing.assert_close(kept, mu * winner.square().sum(1))


def test_scaled_gradients_keep_the_value() -> None:
    error = torch.tensor([2.0], requires_grad=True)
    scaled = scale_gradient(error, torch.tensor([0.25]))
    scaled.backward()
    assert scaled.item() == 2 and error.grad.item() == 0.25


def test_only_winners_that_got_less_likely_are_pulled_back() -> None:
    """0.3 - 0.2 and 0.1 - 0.2: the first costs 0.1 and is pulled, the second costs nothing."""
    policy = torch.tensor([0.3, 0.1], requires_grad=True)
    penalty = winner_penalty(policy, torch.tensor([0.2, 0.2]))
    penalty.sum().backward()
    torch.testing.assert_close(penalty.detach(), torch.tensor([0.1, 0.0]))
    assert policy.grad.tolist() == [1, 0]
