"""Muon (https://kellerjordan.github.io/posts/muon) for weight matrices, AdamW for all else. Knows no model.

`torch.optim.Muon` takes two-dimensional weights only and works in bfloat16, which many CPUs emulate slowly: here
convolutions count as matrices (out, in * height * width), and bfloat16 is left to hardware where it pays.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from huvidpo.models.precision import mixed_precision

MOMENTUM = 0.95
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration: fast near 0, settling between 0.7 and 1.2
ITERATIONS = 5
NOT_MATRICES = ("embedding", "conv_in", "conv_out", "lora_")  # lookups, and what meets data of a given scale


def orthogonalised(matrices: Tensor) -> Tensor:
    """Each of `matrices` (... m n) with all its singular values moved to about 1, by Newton-Schulz iterations."""
    a, b, c = COEFFICIENTS
    x = matrices / (matrices.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    if turned := x.shape[-2] > x.shape[-1]:
        x = x.mT
    with mixed_precision(x.device.type):
        for _ in range(ITERATIONS):
            gram = x @ x.mT
            x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if turned else x


class Muon(torch.optim.Optimizer):
    """Momentum whose direction is orthogonalised, for weights of two or more dimensions.

    A step's root mean square is 0.2 * lr, as AdamW's typically is (Liu et al., arXiv 2502.16982), so that both take
    the same learning rate.
    """

    def __init__(self, parameters: list[nn.Parameter], lr: float, weight_decay: float = 0.0):
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """One update from the gradients that are there.

        Matrices of one shape are orthogonalised at once: on a GPU hundreds of small products would take longer to
        start than to compute.
        """
        for group in self.param_groups:
            alike: dict[torch.Size, list[tuple[nn.Parameter, Tensor]]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    direction = self.direction(parameter)
                    alike[direction.shape].append((parameter, direction))
            for shape, pairs in alike.items():
                updates = orthogonalised(torch.stack([direction for _, direction in pairs]))
                scale = 0.2 * max(shape) ** 0.5
                for (parameter, _), update in zip(pairs, updates, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(update.reshape(parameter.shape), alpha=-group["lr"] * scale)

    def direction(self, parameter: nn.Parameter) -> Tensor:
        """The gradient (m n) with its momentum, Nesterov's look ahead; takes the gradient into the momentum."""
        gradient = parameter.grad.flatten(1)
        momentum = self.state[parameter].setdefault("momentum", torch.zeros_like(gradient))
        momentum.lerp_(gradient, 1 - MOMENTUM)
        return gradient.lerp(momentum, MOMENTUM)


class MuonAdamW:
    """Both optimizers behind the calls of one, for named parameters."""

    def __init__(self, named: Iterable[tuple[str, nn.Parameter]], lr: float = 1e-3, weight_decay: float = 1e-2):
        matrices, others = [], []
        for name, parameter in named:
            is_matrix = parameter.ndim >= 2 and not any(part in name for part in NOT_MATRICES)
            (matrices if is_matrix else others).append(parameter)
        self.parts = [
            Muon(matrices, lr, weight_decay),
            torch.optim.AdamW(others, lr, betas=(0.9, 0.99), weight_decay=weight_decay),
        ]

    @property
    def param_groups(self) -> list[dict]:
        """The groups of both, as an optimizer's."""
        return [group for part in self.parts for group in part.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none)

    def step(self) -> None:
        """One update of all weights."""
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict:
        """The states of both."""
        return {"muon": self.parts[0].state_dict(), "adamw": self.parts[1].state_dict()}

    def load_state_dict(self, state: dict) -> None:
        """Takes back what `state_dict` gave."""
        for part, name in zip(self.parts, ("muon", "adamw"), strict=True):
            part.load_state_dict(state[name])
