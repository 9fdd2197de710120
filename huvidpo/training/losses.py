"""Preference losses on denoising errors: pure functions of tensors. Knows no network, no schedule, no data."""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor


class DPOTerms(NamedTuple):
    """What a preference step is made of, per pair."""

    loss: Tensor  # (b,)  -log sigmoid(inside)
    inside: Tensor  # (b,)  above 0 where the policy prefers the winner more than the reference does


def denoising_error(prediction: Tensor, target: Tensor, first_index: int = 0) -> Tensor:
    """Mean squared error of each sample, images (b c h w) or clips (b c f h w) -> (b,).

    Clips whose frame 0 is given, and so was never noised, leave it out with `first_index` 1.
    """
    if prediction.ndim == 5:
        prediction, target = prediction[:, :, first_index:], target[:, :, first_index:]
    return (prediction - target).float().square().flatten(1).mean(dim=1)


# Diffusion-DPO (arXiv 2311.12908), Equation 14, T * omega(lambda_t) taken into beta; for clips HuViDPO's Equation 9.
def diffusion_dpo(
    policy_w: Tensor, policy_l: Tensor, reference_w: Tensor, reference_l: Tensor, beta: float
) -> DPOTerms:
    """inside = -beta/2 * [(policy_w - reference_w) - (policy_l - reference_l)]; four errors (b,) -> terms (b,).

    `beta` belongs to errors that are means, not sums, and has no default: it decides how far the policy may move. The
    1/2 is that of the published code, where 5000 is used for images and 50 for clips.
    """
    inside = -0.5 * beta * ((policy_w - reference_w) - (policy_l - reference_l))
    return DPOTerms(-F.logsigmoid(inside), inside)
