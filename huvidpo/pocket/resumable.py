"""Training that goes on from the file it keeps, as most networks of `pocket` are trained. Knows none of them."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from huvidpo.training.loop import Clock, StepRecord, load_state, run_steps, save_atomically
from huvidpo.training.muon import MuonAdamW

Optimizer = torch.optim.Optimizer | MuonAdamW


def resumable_steps(
    network: nn.Module,
    optimizer: Optimizer,
    loss_of: Callable[[int], Tensor],
    learning_rate: float,
    clock: Clock,
    checkpoint: Path,
    decay: float = 0.4,
    average: EMAModel | None = None,
) -> Iterator[StepRecord]:
    """Minimises `loss_of(step)`, from `checkpoint` on where it is there, and saves there; yields a record per step.

    `average` is of the network's parameters, follows every step, and is kept with them.
    """
    first = 0
    if state := load_state(checkpoint):
        network.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first, clock.spent = state["step"], state["seconds"]
        if average:
            device = next(network.parameters()).device
            average.shadow_params = [value.to(device) for value in state["average"]]
            average.optimization_step = first
    network.train()

    def save(step: int) -> None:
        averaged = {"average": average.shadow_params} if average else {}
        save_atomically(training_state(network, optimizer, step, clock.seconds()) | averaged, checkpoint)

    follow = partial(average.step, list(network.parameters())) if average else None
    yield from run_steps(loss_of, optimizer, learning_rate, clock, first, follow, save, decay)


def training_state(network: nn.Module, optimizer: Optimizer, step: int = 0, seconds: float = 0.0) -> dict[str, Any]:
    """What `resumable_steps` goes on from: a network at a step of its training, by default before the first."""
    return {"model": network.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "seconds": seconds}
