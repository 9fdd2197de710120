"""Stage 2 where frozen weights are in float16, as on a GPU: what small steps taught counts, overflow is survived."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from huvidpo.home import CHECKPOINT
from huvidpo.models.video_unet import VideoUNet
from huvidpo.training import preference
from huvidpo.training.examples import Batch
from huvidpo.training.loop import load_state
from huvidpo.training.preference import PreferenceRecord, train_preference
from huvidpo.training.preference_settings import MEMBERS, PreferenceSettings
from huvidpo.training.preference_state import RunState
from huvidpo.training.preference_step import accumulate_gradients
from huvidpo.training.reference import lora_state
from tests.training.test_preference_step import SCHEDULER, SETTINGS, as_on_a_gpu, published_step

PAIRS = 6
BROAD = 1e4  # times as many numbers in a clip: the gradient of each is that much smaller


def step(unet: VideoUNet, batch: Batch, scale: float = 1.0, **changes) -> tuple[dict[str, float], Tensor]:
    """The numbers of a batch, and its gradient times BROAD."""
    settings = replace(SETTINGS, beta=500, **changes)
    sums, _ = accumulate_gradients(unet, SCHEDULER, batch, settings, PAIRS * BROAD, loss_scale=scale)
    parts = [parameter.grad.flatten() for parameter in unet.parameters() if parameter.grad is not None]
    unet.zero_grad()
    return {name: total / PAIRS for name, (total, _) in sums.items()}, BROAD / scale * torch.cat(parts)


@pytest.fixture(scope="module")
def learned() -> tuple[VideoUNet, Batch, dict[str, float], Tensor]:
    """The published network after about 72 steps of 1e-5 on pairs at many timesteps.

    Numbers and gradient are in single precision; the network comes in float16 then.
    """
    unet, trained, one, _ = published_step()
    generator = torch.Generator().manual_seed(5)
    noise = torch.randn(PAIRS, *one.noise.shape[1:], generator=generator).repeat(2, 1, 1, 1, 1)
    timesteps = torch.linspace(50, 950, PAIRS).long().repeat(2)
    labels, draws = one.labels.repeat(PAIRS, 1), one.draws * PAIRS
    latents, text = (x.repeat_interleave(PAIRS, dim=0) for x in (one.latents, one.text))
    batch = Batch(latents, noise, timesteps, text, labels, 0, draws)
    with torch.no_grad():
        for name, parameter in trained.items():
            parameter.normal_(std=1 / 16, generator=generator) if "lora_A" in name else parameter.zero_()
    accumulate_gradients(unet, SCHEDULER, batch, SETTINGS, PAIRS)
    with torch.no_grad():
        for name, parameter in trained.items():
            if "lora_B" in name:  # Adam goes by the sign, warm-up and decay take four tenths
                parameter.copy_(-0.6 * 72 * 1e-5 * parameter.grad.sign())
    unet.zero_grad()
    exact = step(unet, batch)
    as_on_a_gpu(unet)
    return unet, batch, *exact


@pytest.mark.slow
def test_what_small_steps_taught_arrives(learned) -> None:
    """The margin is 5 % off; in bfloat16 18 % of it were left, and without a scale half of the gradient was 0."""
    unet, batch, exact, gradient = learned
    found, rounded = step(unet, batch, RunState().loss_scale, autocast=True)
    assert exact["margin"] > 0.2
    assert found["margin"] == pytest.approx(exact["margin"], rel=0.1)
    assert found["winner_drift"] == pytest.approx(exact["winner_drift"], rel=0.1)
    assert torch.cosine_similarity(rounded, gradient, dim=0) > 0.999
    assert rounded.norm() == pytest.approx(float(gradient.norm()), rel=0.02)


@pytest.mark.slow
def test_apart_has_the_gradient_of_together(learned) -> None:
    """Of one pair."""
    unet, batch, *_ = learned
    winner_and_loser = {name: getattr(batch, name)[::PAIRS] for name in ("latents", "noise", "timesteps", "text")}
    pair = replace(batch, **winner_and_loser, labels=batch.labels[:1], draws=batch.draws[:1])
    together, apart = (
        step(unet, pair, RunState().loss_scale, autocast=True, members=members)[1] for members in MEMBERS
    )
    assert torch.cosine_similarity(together, apart, dim=0) > 0.9999
    assert apart.norm() == pytest.approx(float(together.norm()), rel=1e-3)


def begin(monkeypatch: pytest.MonkeyPatch, **state: float) -> None:
    """Runs begin with such a state."""
    monkeypatch.setattr(preference, "RunState", partial(RunState, **state))


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["dpo", "kto"])
def test_overflow_costs_no_step(pipeline, encoded, judged, tmp_path: Path, monkeypatch, objective: str) -> None:
    """The same steps as in a run whose scale was small enough at once; kto's z0, too, moves by 1 % once a step."""
    pipeline.unet.requires_grad_(False)
    as_on_a_gpu(pipeline.unet)
    settings = PreferenceSettings(objective, 500, 1e-3, steps=2, rank=2, pairs_per_step=1, guard=False, seed=1)
    examples = judged if objective == "kto" else encoded

    def run(name: str) -> list[PreferenceRecord]:
        pipeline.unet.unload_lora()
        return list(train_preference(pipeline, examples, settings, tmp_path / name, 4, "these examples"))

    begin(monkeypatch, loss_scale=2.0**30, reference_point=0.001)
    records, weights = run("too large"), lora_state(pipeline.unet)
    state = load_state(tmp_path / "too large" / CHECKPOINT)
    assert len(records) == 2 and not records[-1].stopped and 1 < state["loss_scale"] < 2.0**30
    assert all(value.any() for name, value in weights.items() if "lora_B" in name)
    begin(monkeypatch, loss_scale=state["loss_scale"], reference_point=0.001)
    assert [r.loss for r in run("small enough")] == pytest.approx([r.loss for r in records], rel=1e-3)
    other = load_state(tmp_path / "small enough" / CHECKPOINT)
    assert state["reference_point"] == pytest.approx(other["reference_point"], rel=0.01)


@pytest.mark.slow
def test_the_scale_is_kept_when_a_run_goes_on(pipeline, encoded, tmp_path: Path, monkeypatch) -> None:
    """And the weights are the same to the bit."""
    pipeline.unet.requires_grad_(False)
    as_on_a_gpu(pipeline.unet)
    settings = PreferenceSettings("dpo", 500, 1e-3, steps=2, rank=2, pairs_per_step=1, guard=False, seed=1)

    def run(name: str):
        pipeline.unet.unload_lora()
        return train_preference(pipeline, encoded, settings, tmp_path / name, 4, "these examples")

    begin(monkeypatch, loss_scale=2.0**30)
    list(run("whole"))
    whole, scale = lora_state(pipeline.unet), load_state(tmp_path / "whole" / CHECKPOINT)["loss_scale"]
    next(part := run("parts"))
    part.close()
    begin(monkeypatch, loss_scale=1.0)
    assert [record.step for record in run("parts")] == [2]
    assert load_state(tmp_path / "parts" / CHECKPOINT)["loss_scale"] == scale
    assert all(torch.equal(value, whole[name]) for name, value in lora_state(pipeline.unet).items())
