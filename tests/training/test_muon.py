"""Muon: the published update, convolutions as matrices, exact continuation."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn

from huvidpo.models.precision import has_bfloat16
from huvidpo.training import muon
from huvidpo.training.muon import Muon, MuonAdamW, orthogonalised


@pytest.fixture
def single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exact formula, also on hardware for bfloat16."""
    monkeypatch.setattr(muon, "mixed_precision", lambda *_: nullcontext())


@pytest.mark.parametrize("shape", [(24, 60), (60, 24), (24, 24)])
def test_orthogonalising_keeps_the_directions_and_levels_the_singular_values(shape, single_precision):
    """With matrix = U S V^T the result is U D V^T, D diagonal and about 1 (the iteration ends between 0.6 and 1.3)."""
    u, s, vh = torch.linalg.svd(torch.randn(shape, generator=torch.Generator().manual_seed(0)), full_matrices=False)
    s = s.clamp(min=1.0)
    levelled = u.T @ orthogonalised(u @ torch.diag(s) @ vh) @ vh.T
    diagonal = levelled.diagonal()
    assert ((diagonal > 0.6) & (diagonal < 1.3)).all()
    torch.testing.assert_close(levelled, torch.diag(diagonal), atol=2e-3, rtol=0)


@pytest.mark.skipif(not has_bfloat16("cpu"), reason="this CPU has no instructions for bfloat16: nothing differs")
@pytest.mark.parametrize("shape", [(24, 60), (640, 160)])
def test_bfloat16_changes_a_few_hundredths(shape, monkeypatch: pytest.MonkeyPatch):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    rough = orthogonalised(matrix)
    monkeypatch.setattr(muon, "mixed_precision", lambda *_: nullcontext())
    exact = orthogonalised(matrix)
    assert rough.dtype == torch.float32 and 0 < (rough - exact).norm() < 0.05 * exact.norm()


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch has Muon from 2.9 on; with it, this compares")
@pytest.mark.parametrize("shape", [(16, 48), (48, 16)])
def test_three_steps_equal_torchs_own(shape, single_precision):
    """torch.optim.Muon works in bfloat16, so the two agree to about a hundredth of a step."""
    start = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    optimizers = (
        Muon([ours], lr=0.05, weight_decay=0.1),
        torch.optim.Muon([theirs], lr=0.05, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
    )
    for step in range(3):
        gradient = torch.randn(shape, generator=torch.Generator().manual_seed(10 + step))
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        for optimizer in optimizers:
            optimizer.step()
    moved = (theirs - start).square().mean().sqrt()
    assert (ours - theirs).square().mean().sqrt() < 0.02 * moved


def test_a_convolution_moves_as_its_matrix_does():
    """Weights (6 4 3 3) take the step of a matrix (6 36) with the same numbers."""
    start = torch.randn(6, 4, 3, 3, generator=torch.Generator().manual_seed(2))
    convolution, matrix = nn.Parameter(start.clone()), nn.Parameter(start.flatten(1).clone())
    convolution.grad = torch.randn(6, 4, 3, 3, generator=torch.Generator().manual_seed(3))
    matrix.grad = convolution.grad.flatten(1)
    Muon([convolution], lr=0.1).step()
    Muon([matrix], lr=0.1).step()
    torch.testing.assert_close(convolution.flatten(1), matrix)


def small_network() -> nn.Module:
    torch.manual_seed(4)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 3))


def steps(network, optimizer, numbers):
    for number in numbers:
        optimizer.zero_grad()
        network(torch.randn(5, 2, 8, 8, generator=torch.Generator().manual_seed(number))).square().mean().backward()
        optimizer.step()


def test_a_continued_run_ends_as_an_unbroken_one():
    unbroken = small_network()
    steps(unbroken, MuonAdamW(unbroken.named_parameters(), lr=0.01), range(6))
    first = small_network()
    optimizer = MuonAdamW(first.named_parameters(), lr=0.01)
    steps(first, optimizer, range(3))
    second = small_network()
    second.load_state_dict(first.state_dict())
    continued = MuonAdamW(second.named_parameters(), lr=0.01)
    continued.load_state_dict(optimizer.state_dict())
    steps(second, continued, range(3, 6))
    assert all(torch.equal(a, b) for a, b in zip(unbroken.parameters(), second.parameters(), strict=True))


def test_biases_and_embeddings_are_left_to_adamw():
    """Of the four weights only the two matrices are Muon's; a name with "embedding" is AdamW's."""
    network = small_network()
    muon, adamw = MuonAdamW(network.named_parameters()).parts
    assert [p.shape for p in muon.param_groups[0]["params"]] == [(4, 2, 3, 3), (3, 144)]
    assert all(p.ndim == 1 for p in adamw.param_groups[0]["params"])
    table = nn.ModuleDict({"embedding": nn.Embedding(4, 3)})
    assert (
        not MuonAdamW([*network.named_parameters(), *table.named_parameters()]).parts[0].param_groups[0]["params"][2:]
    )
