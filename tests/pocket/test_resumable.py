"""Training that goes on from its checkpoint."""

from pathlib import Path

import pytest
import torch

from huvidpo.pocket.resumable import resumable_steps
from huvidpo.training.loop import Clock, new_ema


@pytest.mark.parametrize("averaged", [False, True])
def test_an_interrupted_training_ends_with_the_same_weights_and_their_average(tmp_path: Path, averaged: bool) -> None:
    def run(name: str, *ends: int) -> list[torch.Tensor]:
        for steps in ends:
            torch.manual_seed(0)
            network = torch.nn.Linear(3, 2)
            optimizer = torch.optim.AdamW(network.parameters())
            average = new_ema(network.parameters()) if averaged else None

            def loss(step: int, network=network) -> torch.Tensor:
                return network(torch.full((1, 3), float(step))).square().mean()

            checkpoint = tmp_path / f"{name}.pt"
            records = resumable_steps(network, optimizer, loss, 1e-3, Clock(100), checkpoint, average=average)
            for record in records:
                if record.step == steps:
                    break
        return [network.weight, *(average.shadow_params if average else [])]

    whole, parts = run("whole", 100), run("parts", 50, 100)
    assert len(whole) == (3 if averaged else 1) and all(map(torch.equal, whole, parts))
