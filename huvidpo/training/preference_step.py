"""One batch of preferences -> gradients and numbers. Knows the network and the losses, nothing of files or loops."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from huvidpo.models.precision import mixed_precision
from huvidpo.models.video_unet import VideoUNet
from huvidpo.pipelines.latents import with_first_frame
from huvidpo.training import losses
from huvidpo.training.diffusion import denoising_target
from huvidpo.training.examples import Batch
from huvidpo.training.preference_settings import PreferenceSettings
from huvidpo.training.reference import reference

# What a step reports: means over the pairs of all processes. A winner is also a good clip of kto, a loser a bad one.
NUMBERS = (
    "loss",
    "margin",  # the inside of the sigmoid; for kto without its reference point, so beta times the implicit reward
    "accuracy",  # share of margins above 0; one that is exactly 0 counts half
    "winner_error",  # the policy's
    "loser_error",
    "winner_drift",  # policy - reference: below 0 where the policy has come nearer to the winners
    "loser_drift",
)
PAIRED = {
    "dpo": losses.diffusion_dpo,
    "hinge": losses.diffusion_hinge,
    "identity": losses.diffusion_identity,
}


class Outcome(NamedTuple):
    """The losses of a batch and what to report of it."""

    losses: Tensor  # of pairs, frames or clips
    weights: Tensor  # of the same shape: their parts in the mean
    sums: dict[str, tuple[float, float]]  # name of NUMBERS -> sum and weight


def accumulate_gradients(
    unet: VideoUNet,
    scheduler: DDIMScheduler,
    batch: Batch,
    settings: PreferenceSettings,
    total_weight: float,
    balance: tuple[float, float] = (1.0, 1.0),  # kto: weights of good and of bad clips
    reference_point: float = 0.0,  # kto: z0
    reference_errors: Tensor | None = None,
    loss_scale: float = 1.0,
) -> tuple[dict[str, tuple[float, float]], Tensor]:
    """Adds the batch's part of the gradient to the policy's parameters; gives sums for NUMBERS, and reference errors.

    `total_weight` is that of the whole step over all batches and processes (see `batch_weight`). `reference_errors`
    (m f-1), where they are known already, save the reference's forward pass; the given ones are given back. The
    gradient is that of `loss_scale` times the loss: the backward pass through float16 rounds small numbers to zero.
    """
    residuals = denoiser(unet, scheduler, batch, settings.autocast)
    clips, judged = len(batch.latents), len(batch.latents) - batch.real  # real clips have no reference

    def policy(part: slice) -> Tensor:
        with own_dropout(unet, settings, batch, part):
            return residuals(part)

    apart = settings.members == "apart"
    if reference_errors is None:
        with reference(unet):
            parts = one_by_one(judged) if apart else [slice(0, judged)]
            reference_errors = torch.cat([losses.frame_errors(residuals(part)) for part in parts])
    if apart:
        with torch.no_grad():
            all_residuals = torch.cat([policy(part) for part in one_by_one(clips)])
    else:
        all_residuals = policy(slice(None))
    errors = losses.frame_errors(all_residuals)
    if apart:
        errors.requires_grad_(True)
    result = outcome(errors, reference_errors, batch, settings, balance, reference_point, all_residuals)
    (loss_scale * (result.losses * result.weights).sum() / total_weight).backward()
    if apart:
        # The exact gradient with the activations of one clip at a time: the loss depends on the network through the
        # errors alone, and its derivative by each of them is known now.
        for part in one_by_one(clips):
            losses.frame_errors(policy(part)).backward(errors.grad[part])
    return result.sums, reference_errors.detach()


def denoiser(unet: VideoUNet, scheduler: DDIMScheduler, batch: Batch, autocast: bool) -> Callable[[slice], Tensor]:
    """Gives prediction - target of some of the batch's clips, (m c f-1 h w): frame 0 was given, not predicted.

    A network with weights in float16 computes in it: in bfloat16, whose grid is eight times as coarse, much of what a
    LoRA has learned in few small steps is rounded away where it is added to a layer's output.
    """
    half = torch.float16 if unet.dtype == torch.float16 else torch.bfloat16
    noisy = with_first_frame(scheduler.add_noise(batch.latents, batch.noise, batch.timesteps), batch.latents[:, :, 0])
    target = denoising_target(scheduler, batch.latents, batch.noise, batch.timesteps)

    def residuals(clips: slice) -> Tensor:
        with mixed_precision(unet.device.type, autocast, half):
            prediction = unet(noisy[clips], batch.timesteps[clips], batch.text[clips]).sample
        return (prediction.float() - target[clips])[:, :, 1:]

    return residuals


def one_by_one(count: int) -> list[slice]:
    """Slices of one."""
    return [slice(i, i + 1) for i in range(count)]


def batch_weight(batch: Batch, settings: PreferenceSettings) -> float:
    """How much the batch counts in the mean of a step: its pairs, its clips, or its frames with a verdict."""
    return float(batch.labels.abs().sum()) if settings.objective == "dense" else float(len(batch.labels))


def outcome(
    policy: Tensor,
    reference_errors: Tensor,
    batch: Batch,
    settings: PreferenceSettings,
    balance: tuple[float, float],
    reference_point: float,
    residuals: Tensor,
) -> Outcome:
    """The objective on errors per frame: policy (m f), reference (m - real, f)."""
    if settings.objective == "kto":
        return judged_outcome(policy, reference_errors, batch, settings, balance, reference_point)
    judged = len(policy) - batch.real
    winner, loser = policy[:judged].chunk(2)
    reference_w, reference_l = reference_errors.chunk(2)
    dense = settings.objective == "dense"
    swap = batch.labels < 0 if dense else None  # where a pair's second clip is the better one
    if swap is not None:
        winner, loser = exchanged(winner, loser, swap)
        reference_w, reference_l = exchanged(reference_w, reference_l, swap)
    if settings.safe_loser is not None:
        scale = loser_scale(*residuals[:judged].chunk(2), settings.safe_loser, swap)
        loser = losses.scale_gradient(loser, scale)
    errors = (winner, loser, reference_w, reference_l)
    if not dense:
        errors = tuple(error.mean(dim=1) for error in errors)
    winner, loser, reference_w, reference_l = errors
    weights = batch.labels.abs() if dense else torch.ones_like(winner)
    terms = paired_terms(errors, weights, policy[judged:], settings)
    columns = {
        "loss": terms.loss,
        "margin": terms.margin,
        "accuracy": (terms.margin > 0).float() + 0.5 * (terms.margin == 0).float(),
        "winner_error": winner,
        "loser_error": loser,
        "winner_drift": winner - reference_w,
        "loser_drift": loser - reference_l,
    }
    return Outcome(terms.loss, weights, {name: weighted_sum(column, weights) for name, column in columns.items()})


def paired_terms(
    errors: tuple[Tensor, ...], weights: Tensor, real: Tensor, settings: PreferenceSettings
) -> losses.PreferenceTerms:
    """The objective with its anchor on winner's and loser's errors, the policy's and the reference's.

    Errors and weights are (b,), for dense (b f); the policy's errors on real clips (b f).
    """
    if settings.objective == "ipo":
        strengths = (settings.winner_anchor, settings.real_anchor)
        return losses.iterative_preference(*errors, real.mean(dim=1), settings.beta, *strengths)
    winner, _, reference_w, _ = errors
    anchor = losses.anchor_weight(settings.winner_anchor, settings.beta) * losses.winner_penalty(winner, reference_w)
    if settings.objective == "dense":
        terms = losses.dense_dpo(*errors, weights, settings.beta)
        return terms._replace(loss=terms.loss + anchor * weights)
    terms = PAIRED[settings.objective](*errors, settings.beta)
    return terms._replace(loss=terms.loss + anchor)


def exchanged(a: Tensor, b: Tensor, swap: Tensor) -> tuple[Tensor, Tensor]:
    """a and b, the other way round where `swap` says so."""
    return torch.where(swap, b, a), torch.where(swap, a, b)


def loser_scale(residual_a: Tensor, residual_b: Tensor, mu: float, swap: Tensor | None) -> Tensor:
    """SDPO's lambda from residuals (b c f h w): each frame's own (b f), or one for all frames of a pair (b 1).

    `swap` (b f) says in which frames clip b is the winner; without it clip a wins as a whole.
    """
    if swap is None:
        return losses.safe_loser_scale(residual_a, residual_b, mu)[:, None]
    frames = exchanged(residual_a, residual_b, swap[:, None, :, None, None])
    winner, loser = (part.transpose(1, 2).flatten(0, 1) for part in frames)
    return losses.safe_loser_scale(winner, loser, mu).unflatten(0, swap.shape)


def judged_outcome(
    policy: Tensor,
    reference_errors: Tensor,
    batch: Batch,
    settings: PreferenceSettings,
    balance: tuple[float, float],
    reference_point: float,
) -> Outcome:
    """Diffusion-KTO on clips that are good or bad on their own."""
    error, before, good = policy.mean(dim=1), reference_errors.mean(dim=1), batch.labels > 0
    terms = losses.diffusion_kto(error, before, good, reference_point, settings.beta, *balance)
    weights, margin = torch.ones_like(error), batch.labels * settings.beta * terms.reward
    columns = {
        "loss": (terms.loss, weights),
        "margin": (margin, weights),
        "accuracy": ((margin > 0).float() + 0.5 * (margin == 0).float(), weights),
        "winner_error": (error, good.float()),
        "loser_error": (error, 1 - good.float()),
        "winner_drift": (error - before, good.float()),
        "loser_drift": (error - before, 1 - good.float()),
    }
    return Outcome(terms.loss, weights, {name: weighted_sum(*column) for name, column in columns.items()})


def weighted_sum(values: Tensor, weights: Tensor) -> tuple[float, float]:
    """Sum of weighted values, and of weights."""
    return float((values.detach() * weights).sum()), float(weights.sum())


@contextmanager
def own_dropout(unet: VideoUNet, settings: PreferenceSettings, batch: Batch, clips: slice) -> Iterator[None]:
    """Dropout that follows from timestep, noise and place in the batch: the same when a clip goes through again."""
    if not settings.dropout:
        yield
        return
    first = clips.start or 0
    key = [int(batch.timesteps[first]), float(batch.noise[first].flatten()[0]), first]
    devices = [unet.device] if unet.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(hash(tuple(key)) & (2**63 - 1))
        yield
