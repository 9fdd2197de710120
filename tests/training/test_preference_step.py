"""One step of preference training against the published one, and against the mistakes that others have made."""

import math
from dataclasses import replace

import pytest
import torch
from diffusers import DDIMScheduler
from safetensors.torch import save_file

from huvidpo.models.video_unet import VideoUNet
from huvidpo.pipelines.image_to_video import ImageToVideoPipeline
from huvidpo.training.examples import Batch, EncodedExamples, draw_batch
from huvidpo.training.preference_settings import OBJECTIVES, PRESETS, PreferenceSettings, preset_settings
from huvidpo.training.preference_step import accumulate_gradients, batch_weight, outcome
from huvidpo.training.reference import add_policy, load_lora, lora_state, reference
from tests.goldens import load_golden_unet

# In single precision on every processor: equations are compared here.
SETTINGS = PreferenceSettings("dpo", beta=500, learning_rate=1e-3, rank=2, alpha=4, autocast=False)
SCHEDULER = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False)


def published_step() -> tuple[VideoUNet, dict[str, torch.Tensor], Batch, dict[str, torch.Tensor]]:
    """The network with its LoRA, that LoRA's parameters by name, the batch, and all golden tensors."""
    unet, golden = load_golden_unet("huvidpo", "dpo")
    trained = add_policy(unet, 16, 32, 0.0, seed=0)
    lora = {name.removeprefix("lora."): value for name, value in golden.items() if name.startswith("lora.")}
    load_lora(unet, {f"{name[:-2]}.lora_{name[-1]}.weight": value for name, value in lora.items()})
    latents = torch.cat([golden["in.latents_w"], golden["in.latents_l"]])
    noise, text = golden["in.noise"].repeat(2, 1, 1, 1, 1), golden["in.text"].repeat(2, 1, 1)
    batch = Batch(latents, noise, golden["in.timestep"].repeat(2), text, torch.ones(1, 3), 0, ((0, 0),))
    return unet, trained, batch, golden


def gradients(unet: VideoUNet) -> dict[str, torch.Tensor]:
    found = {name: p.grad.clone() for name, p in unet.named_parameters() if p.grad is not None}
    unet.zero_grad()
    return found


@pytest.mark.parametrize("members", ["together", "apart"])
def test_losses_and_every_gradient_are_the_published_ones(members: str) -> None:
    unet, trained, batch, golden = published_step()
    settings = replace(SETTINGS, beta=50, members=members)
    numbers, _ = accumulate_gradients(unet, SCHEDULER, batch, settings, 1.0)
    assert numbers["loss"][0] == pytest.approx(golden["out.loss"].item(), abs=1e-5)
    expected = {name.removeprefix("grad."): value for name, value in golden.items() if name.startswith("grad.")}
    assert len(expected) == len(trained) == 96
    for name, value in expected.items():
        own = trained[f"{name[:-2]}.lora_{name[-1]}.preference.weight"].grad
        torch.testing.assert_close(own, value, atol=2e-6, rtol=1e-3)
    numbers, _ = accumulate_gradients(unet, SCHEDULER, batch, replace(settings, beta=5000), 1.0)
    assert numbers["loss"][0] == pytest.approx(golden["out.loss_beta5000"].item(), abs=3e-4)
    assert numbers["winner_error"][0] == pytest.approx(golden["out.model_w"].item(), abs=1e-5)
    assert numbers["loser_drift"][0] == pytest.approx((golden["out.model_l"] - golden["out.ref_l"]).item(), abs=1e-5)


def test_frame_0_has_no_part_in_the_step() -> None:
    unet, _, batch, _ = published_step()
    other_noise = batch.noise.clone()
    other_noise[:, :, 0] += 7
    found = []
    for noise in (batch.noise, other_noise):
        accumulate_gradients(unet, SCHEDULER, replace(batch, noise=noise), SETTINGS, 1.0)
        found.append(gradients(unet))
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


@pytest.fixture
def policy(pipeline: ImageToVideoPipeline) -> VideoUNet:
    """The tiny UNet, made to move, with a fresh LoRA."""
    with torch.no_grad():
        for name, parameter in pipeline.unet.named_parameters():
            if "attn_temp.to_out" in name or "conv1d" in name:
                parameter += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    add_policy(pipeline.unet, 2, 4, 0.0, seed=0)
    return pipeline.unet


def randomise(unet: VideoUNet) -> None:
    """A LoRA that has learned something."""
    generator = torch.Generator().manual_seed(3)
    load_lora(unet, {name: 0.1 * torch.randn(v.shape, generator=generator) for name, v in lora_state(unet).items()})


def as_on_a_gpu(unet: VideoUNet) -> None:
    """Frozen weights in float16, but those of norms, which autocast computes in single precision there."""
    for parameter in unet.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.half()
    for module in unet.modules():
        if isinstance(module, (torch.nn.GroupNorm, torch.nn.LayerNorm)):
            module.float()


def drawn(pipeline: ImageToVideoPipeline, encoded: EncodedExamples, settings: PreferenceSettings) -> Batch:
    return draw_batch(encoded, pipeline.scheduler, settings, 4, range(3))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_policy_and_reference_are_equal_at_the_start(policy, pipeline, encoded, judged, objective: str) -> None:
    """dpo, dense, ipo (without anchors): log 2; hinge 1; identity 1/4; kto 1 - sigmoid(0) = 1/2."""
    settings = replace(SETTINGS, objective=objective)
    batch = drawn(pipeline, judged if objective == "kto" else encoded, settings)
    weight = batch_weight(batch, settings)
    numbers, _ = accumulate_gradients(policy, pipeline.scheduler, batch, settings, weight)
    expected = {"hinge": 1, "identity": 0.25, "kto": 0.5}.get(objective, math.log(2))
    assert numbers["loss"][0] / numbers["loss"][1] == pytest.approx(expected)
    assert numbers["winner_drift"][0] == numbers["loser_drift"][0] == numbers["margin"][0] == 0
    assert numbers["accuracy"][0] / numbers["accuracy"][1] == 0.5


def test_policy_and_start_are_equal_where_weights_are_in_half_precision(policy, pipeline, encoded, tmp_path) -> None:
    """As on a GPU. A LoRA that went through float16 on one side only made margins of 0.05 before the first step."""
    randomise(policy)
    save_file({name: weight.half() for name, weight in lora_state(policy).items()}, tmp_path / "start.safetensors")
    policy.unload_lora()
    as_on_a_gpu(policy)
    add_policy(policy, 2, 4, 0.0, seed=1, start=tmp_path / "start.safetensors")
    settings = replace(SETTINGS, autocast=True)
    batch = drawn(pipeline, encoded, settings)
    numbers, _ = accumulate_gradients(policy, pipeline.scheduler, batch, settings, 3.0)
    assert numbers["winner_error"][0] > 0
    assert numbers["winner_drift"][0] == numbers["loser_drift"][0] == numbers["margin"][0] == 0


@pytest.mark.parametrize("objective", ["dense", "dpo"])
@pytest.mark.parametrize("winner", [0.21, 0.19])
def test_the_anchor_holds_winners_that_got_less_likely(objective: str, winner: float) -> None:
    """Beta 500, rho 0.2: 25 for each error above the reference's 0.2, so 0.25 at 0.21 and nothing at 0.19."""
    found = anchored(objective, [winner, 0.4 - winner], label=1.0)
    torch.testing.assert_close(found, torch.full_like(found, 0.25 if winner > 0.2 else 0.0))


@pytest.mark.parametrize("winner", [0.21, 0.19])
def test_the_anchor_holds_the_clip_that_a_segment_s_label_prefers(winner: float) -> None:
    """The same with the second clip as the winner."""
    found = anchored("dense", [0.4 - winner, winner], label=-1.0)
    torch.testing.assert_close(found, torch.full_like(found, 0.25 if winner > 0.2 else 0.0))


def anchored(objective: str, errors: list[float], label: float) -> torch.Tensor:
    """What rho 0.2 adds to the losses of a pair of clips of three frames, reference errors 0.2."""
    nothing = torch.zeros(2, 1, 4, 1, 1)
    batch = Batch(nothing, nothing, torch.zeros(2), torch.zeros(2, 1, 1), torch.full((1, 3), label), 0, ())
    settings = replace(SETTINGS, objective=objective, winner_anchor=0.2)
    policy, references = torch.tensor(errors)[:, None].repeat(1, 3), torch.full((2, 3), 0.2)
    held, free = (
        outcome(policy, references, batch, one, (1.0, 1.0), 0.0, policy)
        for one in (settings, replace(settings, winner_anchor=0.0))
    )
    return held.losses - free.losses


def test_what_kto_reports_by_hand() -> None:
    """Beta 100. Good clip: error 0.19 instead of 0.2, reward 0.01, z0 0.01: loss 1 - sigmoid(0) = 1/2.

    Bad clip: 0.24 instead of 0.2, reward -0.04: loss 1 - sigmoid(100 * 0.05) = 0.00669. The margins, without z0: 1, 4.
    """
    nothing, labels = torch.zeros(2, 1, 4, 1, 1), torch.tensor([1.0, -1.0])
    batch = Batch(nothing, nothing, torch.zeros(2), torch.zeros(2, 1, 1), labels, 0, ())
    policy, references = torch.tensor([0.19, 0.24])[:, None].repeat(1, 3), torch.full((2, 3), 0.2)
    settings = replace(SETTINGS, objective="kto", beta=100.0)
    found = outcome(policy, references, batch, settings, (1.0, 1.0), 0.01, policy)
    torch.testing.assert_close(found.losses, torch.tensor([0.5, 0.006693]), rtol=1e-3, atol=1e-6)
    assert found.sums["margin"] == (pytest.approx(5, rel=1e-4), 2) and found.sums["accuracy"] == (2, 2)
    assert found.sums["winner_drift"] == (pytest.approx(-0.01, rel=1e-4), 1)
    assert found.sums["loser_drift"] == (pytest.approx(0.04, rel=1e-4), 1)


def test_a_safe_loser_is_each_frame_s_own() -> None:
    """With mu 1 losers push no more where residuals agree: the second clip in frame 1, the first one in frame 2."""
    residuals = torch.tensor([[0.1, 0.3], [0.2, 0.1]])[:, None, :, None, None].requires_grad_()
    errors = residuals.square().mean(dim=(1, 3, 4))
    nothing = torch.zeros(2, 1, 3, 1, 1)
    batch = Batch(nothing, nothing, torch.zeros(2), torch.zeros(2, 1, 1), torch.tensor([[1.0, -1.0]]), 0, ())
    settings = replace(SETTINGS, objective="dense", safe_loser=1.0)
    outcome(errors, errors.detach(), batch, settings, (1.0, 1.0), 0.0, residuals).losses.sum().backward()
    assert (residuals.grad.flatten() != 0).tolist() == [True, False, False, True]


@pytest.mark.slow
@pytest.mark.parametrize("members", ["together", "apart"])
def test_every_lora_module_learns_under_checkpointing(policy, pipeline, encoded, members: str) -> None:
    """With reentrant checkpointing those of the down blocks would not. At the start all A wait for their B."""
    batch, settings = drawn(pipeline, encoded, SETTINGS), replace(SETTINGS, members=members)
    accumulate_gradients(policy, pipeline.scheduler, batch, settings, 3.0)
    plain = gradients(policy)
    assert all(plain[name].abs().max() > 0 for name in plain if "lora_B" in name)
    assert len(plain) == len(lora_state(policy))
    policy.enable_gradient_checkpointing()
    accumulate_gradients(policy, pipeline.scheduler, batch, settings, 3.0)
    checkpointed = gradients(policy)
    for name, value in plain.items():
        torch.testing.assert_close(checkpointed[name], value)


@pytest.mark.slow
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_apart_is_exactly_together(policy, pipeline, encoded, judged, objective: str) -> None:
    randomise(policy)
    settings = replace(preset_settings("recommended", objective), autocast=False)
    settings = replace(settings, beta=20, safe_loser=None if objective == "kto" else 0.5)
    batch = drawn(pipeline, judged if objective == "kto" else encoded, settings)
    assert batch.real == (3 if objective == "ipo" else 0)
    found = []
    for members in ("together", "apart"):
        numbers, _ = accumulate_gradients(
            policy, pipeline.scheduler, batch, replace(settings, members=members), 3.0, (1.5, 0.75), 0.01
        )
        found.append((numbers, gradients(policy)))
    (numbers, together), (again, apart) = found
    for name, value in together.items():
        torch.testing.assert_close(apart[name], value, atol=1e-5, rtol=1e-3)
    for name in numbers:
        assert again[name] == pytest.approx(numbers[name], rel=1e-4, abs=1e-5), name


def test_known_reference_errors_save_the_reference_s_pass(policy, pipeline, encoded) -> None:
    randomise(policy)
    batch, passes = drawn(pipeline, encoded, SETTINGS), []
    hook = policy.register_forward_hook(lambda *_: passes.append(1))
    _, errors = accumulate_gradients(policy, pipeline.scheduler, batch, SETTINGS, 3.0)
    fresh = gradients(policy)
    accumulate_gradients(policy, pipeline.scheduler, batch, SETTINGS, 3.0, reference_errors=errors)
    hook.remove()
    assert len(passes) == 3
    known = gradients(policy)
    assert all(torch.equal(fresh[name], known[name]) for name in fresh)


@pytest.mark.slow
def test_dropout_is_on_in_the_policy_and_off_in_the_reference(pipeline, encoded) -> None:
    """HuViDPO's preset. The same step twice has the same masks."""
    settings = replace(PRESETS["huvidpo-release"], rank=2)
    add_policy(pipeline.unet, 2, 4, 0.5, seed=0)
    randomise(pipeline.unet)
    batch = drawn(pipeline, encoded, settings)
    x, t, text = batch.latents, batch.timesteps, batch.text
    with reference(pipeline.unet):
        before = [pipeline.unet(x, t, text).sample for _ in range(2)]
    with torch.no_grad():
        after = [pipeline.unet(x, t, text).sample for _ in range(2)]
    assert torch.equal(*before) and not torch.equal(*after)
    numbers = [accumulate_gradients(pipeline.unet, pipeline.scheduler, batch, settings, 3.0)[0] for _ in range(2)]
    assert numbers[0] == numbers[1] and numbers[0]["margin"][0] != 0


def test_the_reference_is_what_was_there_before_learning(pipeline, encoded) -> None:
    batch = drawn(pipeline, encoded, SETTINGS)
    inputs = batch.latents, batch.timesteps, batch.text
    with torch.no_grad():
        before = pipeline.unet(*inputs).sample
    add_policy(pipeline.unet, 2, 4, 0.0, seed=0)
    randomise(pipeline.unet)
    with reference(pipeline.unet):
        assert torch.equal(pipeline.unet(*inputs).sample, before)
    with torch.no_grad():
        assert not torch.equal(pipeline.unet(*inputs).sample, before)


@pytest.mark.slow
@pytest.mark.parametrize("with_start", [False, True])
def test_the_policy_is_back_after_an_exception(pipeline, encoded, tmp_path, with_start: bool) -> None:
    start = None
    if with_start:
        add_policy(pipeline.unet, 2, 4, 0.0, seed=0)
        randomise(pipeline.unet)
        pipeline.unet.save_lora_adapter(tmp_path, adapter_name="preference", weight_name="lora.safetensors")
        pipeline.unet.unload_lora()
        start = tmp_path / "lora.safetensors"
    add_policy(pipeline.unet, 2, 4, 0.0, seed=5, start=start)
    batch = drawn(pipeline, encoded, SETTINGS)
    with torch.no_grad():
        inputs = batch.latents, batch.timesteps, batch.text
        before = pipeline.unet(*inputs).sample
        with pytest.raises(ZeroDivisionError), reference(pipeline.unet):
            1 / 0  # noqa: B018
        assert torch.equal(pipeline.unet(*inputs).sample, before)
    learning = [name for name, p in pipeline.unet.named_parameters() if p.requires_grad]
    assert learning and all(".preference." in name for name in learning)


@pytest.mark.slow
def test_a_starting_adapter_is_the_reference_and_stays_it(pipeline, encoded, tmp_path) -> None:
    """Loss log 2 at the start although the LoRA is not zero; and the reference does not follow the policy."""
    unet, batch = pipeline.unet, drawn(pipeline, encoded, SETTINGS)
    inputs = batch.latents, batch.timesteps, batch.text
    add_policy(unet, 2, 4, 0.0, seed=0)
    randomise(unet)
    with torch.no_grad():
        started = unet(*inputs).sample
    unet.save_lora_adapter(tmp_path, adapter_name="preference", weight_name="lora.safetensors")
    unet.unload_lora()
    trained = add_policy(unet, 2, 4, 0.0, seed=1, start=tmp_path / "lora.safetensors")
    numbers, _ = accumulate_gradients(unet, pipeline.scheduler, batch, SETTINGS, 3.0)
    assert numbers["loss"][0] / 3 == pytest.approx(math.log(2))
    assert all(p.grad is not None for p in trained.values())
    assert not any(p.grad is not None for name, p in unet.named_parameters() if ".start." in name)
    with torch.no_grad():
        for parameter in trained.values():
            parameter -= 0.1 * parameter.grad
    with reference(unet):
        assert torch.equal(unet(*inputs).sample, started)


def test_weights_of_another_rank_are_refused(policy) -> None:
    state = {name: value[:1] for name, value in lora_state(policy).items()}
    with pytest.raises(ValueError, match="do not fit"):
        load_lora(policy, state)
