"""Preference losses on denoising errors: pure functions of tensors. Knows no network, no schedule, no data.

An error is the mean squared error of one clip at one timestep; `policy` is the network with the adapter that learns,
`reference` the one without. `w` is the winner of a pair, `l` its loser. `beta` belongs to errors that are means over
pixels (not sums), with the published code's factor 1/2; it has no default, since it decides how far the policy may
move. Losses come back one per sample: the caller reduces.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class PreferenceTerms(NamedTuple):
    """What a preference step is made of, per pair (b,), or per frame of each pair (b f)."""

    loss: Tensor
    margin: Tensor  # above 0 where the policy prefers the winner more than the reference does


def denoising_error(prediction: Tensor, target: Tensor, first_index: int = 0) -> Tensor:
    """Mean squared error of each sample, images (b c h w) or clips (b c f h w) -> (b,).

    Clips whose frame 0 is given, and so was never noised, leave it out with `first_index` 1.
    """
    residuals = prediction - target
    if residuals.ndim == 5:
        return frame_errors(residuals)[:, first_index:].mean(dim=1)
    return residuals.float().square().flatten(1).mean(dim=1)


def frame_errors(residuals: Tensor) -> Tensor:
    """Mean square of prediction - target in every frame, (b c f h w) -> (b f); its mean over frames is the clip's."""
    return residuals.float().square().mean(dim=(1, 3, 4))


# How much more the policy prefers the winner than the reference does, in the units of beta.
def margin_of(policy_w: Tensor, policy_l: Tensor, reference_w: Tensor, reference_l: Tensor, beta: float) -> Tensor:
    """-beta/2 * [(policy_w - reference_w) - (policy_l - reference_l)]; errors of one shape, (b,) or (b f)."""
    return -0.5 * beta * ((policy_w - reference_w) - (policy_l - reference_l))


# Diffusion-DPO (arXiv 2311.12908), Equation 14, T * omega(lambda_t) taken into beta; for clips HuViDPO's Equation 9.
def diffusion_dpo(
    policy_w: Tensor, policy_l: Tensor, reference_w: Tensor, reference_l: Tensor, beta: float
) -> PreferenceTerms:
    """-log sigmoid(margin); four errors (b,) -> terms (b,). Published: beta 5000 for images, 50 for clips."""
    margin = margin_of(policy_w, policy_l, reference_w, reference_l, beta)
    return PreferenceTerms(-F.logsigmoid(margin), margin)


# The hinge of SLiC (arXiv 2305.10425) in DPO's place, as diffusers' example has it.
def diffusion_hinge(
    policy_w: Tensor, policy_l: Tensor, reference_w: Tensor, reference_l: Tensor, beta: float
) -> PreferenceTerms:
    """max(0, 1 - margin); four errors (b,) -> terms (b,). A pair that is won by 1 teaches no more."""
    margin = margin_of(policy_w, policy_l, reference_w, reference_l, beta)
    return PreferenceTerms(F.relu(1 - margin), margin)


# The "identity preference optimization" of Azar et al. (arXiv 2310.12036), Equation 17. Also called IPO, as is
# Iterative Preference Optimization, which is another thing: see `iterative_preference`.
def diffusion_identity(
    policy_w: Tensor, policy_l: Tensor, reference_w: Tensor, reference_l: Tensor, beta: float
) -> PreferenceTerms:
    """(margin - 1/2)^2; four errors (b,) -> terms (b,). It has an end: a margin that is too large costs as well.

    With tau = beta/2 and h the margin of errors this is tau^2 (h - 1 / (2 tau))^2, Equation 17 in units where its
    gradient is of the size of DPO.
    """
    margin = margin_of(policy_w, policy_l, reference_w, reference_l, beta)
    return PreferenceTerms((margin - 0.5).square(), margin)


# DenseDPO (arXiv 2506.03517), the loss of its Appendix E: Equation 7 says one sigmoid of a sum, the code many.
def dense_dpo(
    policy_a: Tensor, policy_b: Tensor, reference_a: Tensor, reference_b: Tensor, labels: Tensor, beta: float
) -> PreferenceTerms:
    """-log sigmoid(label * margin) of every frame; four errors and `labels` (b f) -> terms (b f).

    A label is 1 where clip a is better, -1 where b is, 0 where neither is. Frames of label 0 have loss 0 and margin 0:
    the mean is to be taken over the others, as `labels.abs()` counts them.
    """
    margin = labels * margin_of(policy_a, policy_b, reference_a, reference_b, beta)
    return PreferenceTerms(-F.logsigmoid(margin) * labels.abs(), margin)


# Iterative Preference Optimization (arXiv 2502.02088): DPO, the winner's likelihood, the likelihood of real clips.
def iterative_preference(
    policy_w: Tensor,
    policy_l: Tensor,
    reference_w: Tensor,
    reference_l: Tensor,
    real: Tensor,
    beta: float,
    winner_weight: float,
    real_weight: float,
) -> PreferenceTerms:
    """DPO + lambda_1 * policy_w + lambda_2 * real; five errors (b,) -> terms (b,).

    `real` are the policy's errors on real clips, one for each pair. The likelihoods -log p stand as denoising errors,
    and lambda = weight * beta / 4 (see `anchor_weight`): the paper does not give its values.
    """
    dpo = diffusion_dpo(policy_w, policy_l, reference_w, reference_l, beta)
    winner, footage = anchor_weight(winner_weight, beta) * policy_w, anchor_weight(real_weight, beta) * real
    return PreferenceTerms(dpo.loss + winner + footage, dpo.margin)


# The penalty of DPO-Positive (arXiv 2402.13228), added to the loss and not inside the sigmoid.
def winner_penalty(policy_w: Tensor, reference_w: Tensor) -> Tensor:
    """max(0, policy_w - reference_w): winners may not get less likely than the reference finds them.

    A pull towards winners that are likely already would only teach the policy to repeat its own clips.
    """
    return F.relu(policy_w - reference_w)


def anchor_weight(share: float, beta: float) -> float:
    """lambda of a term `lambda * error` that pulls with `share` of the force that DPO starts with.

    The derivative of -log sigmoid(margin) by an error is beta/4 where policy and reference are equal, so a fixed
    lambda would be everything at beta 10 and nothing at beta 5000.
    """
    return share * beta / 4


class JudgedTerms(NamedTuple):
    """What a step on clips that were judged one by one is made of, per clip (b,)."""

    loss: Tensor
    reward: Tensor  # reference - policy: above 0 where the policy has come nearer to the clip


# Diffusion-KTO (arXiv 2404.04465), Equation 8 with the published code's sigmoid utility.
def diffusion_kto(
    policy: Tensor,
    reference: Tensor,
    good: Tensor,
    reference_point: float | Tensor,
    beta: float,
    good_weight: float = 1.0,
    bad_weight: float = 1.0,
) -> JudgedTerms:
    """weight * (1 - sigmoid(y * beta * (reward - z0))) with y = 1 for good clips, -1 for others: (b,) -> (b,).

    `good` is boolean (b,); `reference_point` is z0, see `next_reference_point`. Here beta has no factor 1/2: 1000 is
    published for images.
    """
    reward = reference - policy
    sign, weight = torch.where(good, 1.0, -1.0), torch.where(good, good_weight, bad_weight)
    return JudgedTerms(weight * (1 - torch.sigmoid(sign * beta * (reward - reference_point))), reward.detach())


def next_reference_point(previous: float, rewards: Tensor, decay: float = 0.99) -> float:
    """z0 after a step with `rewards` (b,): a running mean that never falls below 0.

    The published code takes the mean of one batch over many GPUs; with one or two clips in a batch that is noise, so
    it is averaged over the last few hundred.
    """
    return max(0.0, decay * previous + (1 - decay) * float(rewards.mean()))


# Diffusion-SDPO (arXiv 2511.03317): how much of the loser's gradient leaves the winner unharmed.
def safe_loser_scale(residual_w: Tensor, residual_l: Tensor, mu: float) -> Tensor:
    """lambda in 0..1 per pair from prediction - target of both, (b ...) -> (b,).

    g = dE/dprediction is proportional to the residual. Where <g_l, g_w> > 0 the step away from the loser also goes
    away from the winner; lambda = (1 - mu) |g_w|^2 / <g_l, g_w> keeps the share `mu` of the winner's progress.
    """
    winner, loser = residual_w.detach().float().flatten(1), residual_l.detach().float().flatten(1)
    overlap = (winner * loser).sum(dim=1)
    scale = (1 - mu) * winner.square().sum(dim=1) / overlap.clamp(min=torch.finfo(overlap.dtype).tiny)
    return torch.where(overlap > 0, scale.clamp(0, 1), torch.ones_like(scale))


def scale_gradient(error: Tensor, scale: Tensor) -> Tensor:
    """The same values whose gradients are multiplied by `scale`, of the same shape or one that broadcasts."""
    return error.detach() + scale * (error - error.detach())
