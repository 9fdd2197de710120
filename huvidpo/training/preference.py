"""Stage 2: a category's adapter learns from preferences. Knows the loop and its checkpoints, not who preferred.

    for record in train_preference(pipeline, encoded, settings, work, 16, identity):
        ...  # print, plot, or stop: closing the generator keeps everything that was learned

Reading order of a step: examples.draw_batch, preference_step.accumulate_gradients, losses.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from huvidpo.models.video_unet import VideoUNet
from huvidpo.pipelines.image_to_video import ImageToVideoPipeline
from huvidpo.training.examples import EncodedExamples, draw_batch
from huvidpo.training.gradient_checkpointing import recompute_as_needed
from huvidpo.training.guard import NO_NUMBERS, Row, is_broken, reason_to_stop
from huvidpo.training.loop import Clock, apply_gradients, learning_rate_factor
from huvidpo.training.losses import next_reference_point
from huvidpo.training.preference_settings import (
    PreferenceSettings,
    check_settings,
    clips_at_once,
    examples_per_step,
    total_steps,
)
from huvidpo.training.preference_state import Checkpoint, RunState, keep_best
from huvidpo.training.preference_step import NUMBERS, accumulate_gradients, batch_weight
from huvidpo.training.processes import (
    copied_from_first,
    largest_over_processes,
    process_number,
    sum_over_processes,
)
from huvidpo.training.reference import add_policy, load_lora, lora_state

CHECKPOINT_EVERY = 25  # steps
CHECKPOINT_SECONDS = 30.0  # the least between two others, so that a slice that breaks off loses no more


@dataclass(frozen=True)
class PreferenceRecord:
    """One optimizer step as the caller logs, plots or prints it; the numbers are those of `NUMBERS`.

    A number is NaN where the step had nothing to measure it on: kto's steps may be without good clips, or bad ones.
    """

    step: int  # 1-based
    steps: int
    loss: float
    margin: float
    accuracy: float
    winner_error: float
    loser_error: float
    winner_drift: float
    loser_drift: float
    gradient_norm: float  # before clipping
    learning_rate: float
    seconds_left: float
    motion: float = -1.0  # of validation clips, as a share of that before training; -1 is not measured at this step
    stopped: str = ""  # why the run ended before its time

    def to_row(self) -> Row:
        """Plain numbers for a line of JSON, without the words; what is no number, which JSON lacks, is None."""
        numbers = {name: value for name, value in asdict(self).items() if name != "stopped"}
        return {name: value if math.isfinite(value) else None for name, value in numbers.items()}


def train_preference(
    pipeline: ImageToVideoPipeline,
    encoded: EncodedExamples,
    settings: PreferenceSettings,
    work: Path,
    num_frames: int,
    identity: str,
    start: Path | None = None,
    validate: Callable[[int], float] | None = None,
) -> Iterator[PreferenceRecord]:
    """Trains a LoRA on `pipeline.unet`, which holds the starting adapter's motion and no LoRA; yields every step.

    `start` is the starting adapter's own LoRA file, if it has one: it is the reference then, and learning goes on from
    it. `identity` names examples and start. A run found in `work` goes on, with the same weights in the end, to the
    bit on a CPU, as one that was never interrupted (but for `minutes`). `validate(step)` gives the share of motion
    left on validation clips; of several processes the first one's counts. At the end the UNet holds the trained LoRA:
    the last one, or the best (at worst the one it began with) when the guard stopped the run. Without the guard a run
    stops all the same when its numbers are none, with the weights of the step before. Raises ValueError for settings
    out of range, and for a checkpoint of another run.
    """
    check_settings(settings)
    unet = pipeline.unet
    optimizer = policy_optimizer(unet, settings, start)
    size = (num_frames, *encoded.examples[0].clips[0].latents.shape[-2:])
    recompute_as_needed(unet, clips_at_once(settings), *size, 0.0)
    clock = Clock(total_steps(settings, len(encoded.examples)), settings.minutes)
    run = RunState(known=unknown_errors(encoded, settings, num_frames), best=lora_state(unet))
    checkpoint = Checkpoint(work, unet, optimizer, settings, identity)
    checkpoint.load(run, clock)
    if not settings.guard and run.stopped != NO_NUMBERS:
        run.stopped = ""
    progress, saved = largest_over_processes(clock.progress(run.step), unet.device), time.monotonic()
    while progress < 1 and not run.stopped:
        rate = settings.learning_rate * learning_rate_factor(progress, settings.warmup, settings.decay)
        numbers, norm = one_step(pipeline, encoded, settings, num_frames, run, optimizer, rate)
        run.step += 1
        motion = -1.0
        if validate is not None and run.step % settings.validate_every == 0:
            motion = copied_from_first(validate(run.step))
        left = clock.seconds_left(run.step)
        record = PreferenceRecord(
            run.step, clock.steps, **numbers, gradient_norm=norm, learning_rate=rate, seconds_left=left, motion=motion
        )
        run.rows.append(record.to_row())
        progress = largest_over_processes(clock.progress(run.step), unet.device)
        apply_guard(unet, run, settings.guard)
        due = run.step % CHECKPOINT_EVERY == 0 or progress >= 1 or run.stopped
        if due:
            keep_best(unet, run)
        validated_next = validate is not None and (run.step + 1) % settings.validate_every == 0  # which may fail
        if due or validated_next or time.monotonic() - saved >= CHECKPOINT_SECONDS:
            checkpoint.save(run, clock)
            saved = time.monotonic()
        try:
            yield replace(record, stopped=run.stopped)
        except GeneratorExit:
            checkpoint.save(run, clock)
            unet.requires_grad_(False).eval()
            raise
    if run.stopped:
        load_lora(unet, run.best)
    unet.requires_grad_(False).eval()


def policy_optimizer(unet: VideoUNet, settings: PreferenceSettings, start: Path | None) -> torch.optim.AdamW:
    """Puts the LoRA that will learn onto the UNet; gives the optimizer of its parameters."""
    trained = add_policy(unet, settings.rank, settings.alpha, settings.dropout, settings.seed, start)
    return torch.optim.AdamW(trained.values(), eps=settings.adam_epsilon, weight_decay=settings.weight_decay)


def apply_guard(unet: VideoUNet, run: RunState, guard: bool) -> None:
    """Says in the run's state whether it should stop: as the guard has it, or without one when numbers are none."""
    if guard:
        run.stopped = reason_to_stop(run.rows)
    elif is_broken(run.rows[-1]):
        run.stopped = NO_NUMBERS
        run.best, run.best_step = lora_state(unet), run.step - 1  # that step was not taken


def one_step(
    pipeline: ImageToVideoPipeline,
    encoded: EncodedExamples,
    settings: PreferenceSettings,
    num_frames: int,
    run: RunState,
    optimizer: torch.optim.Optimizer,
    learning_rate: float,
) -> tuple[dict[str, float], float]:
    """Takes one step; gives its numbers by name, and the norm of its gradient before clipping.

    Where that overflows although the loss does not, the step is computed again with half of the loss scale, in all
    processes alike: both are of their sums.
    """
    while True:
        sums = accumulate_step(pipeline, encoded, settings, num_frames, run)
        numbers = means(sums)
        norm = apply_gradients(optimizer, learning_rate, settings.gradient_clip, numbers["loss"])
        if math.isfinite(norm) or not math.isfinite(numbers["loss"]) or run.loss_scale <= 1:
            break
        run.loss_scale /= 2
    if settings.objective == "kto":
        drift = sums[0, NUMBERS.index("winner_drift")] + sums[0, NUMBERS.index("loser_drift")]
        reward = -drift / examples_per_step(settings)
        run.reference_point = next_reference_point(run.reference_point, reward)
    return numbers, norm


def accumulate_step(
    pipeline: ImageToVideoPipeline,
    encoded: EncodedExamples,
    settings: PreferenceSettings,
    num_frames: int,
    run: RunState,
) -> Tensor:
    """Puts this process's part of a step's gradient into the policy's parameters; gives all processes' sums (2 n).

    They are those of NUMBERS, and their weights.
    """
    unet, count = pipeline.unet, examples_per_step(settings)
    rank, processes = process_number()
    own = range(run.step * count + rank, (run.step + 1) * count, processes)
    at_once = 2 if settings.objective == "kto" else 1
    batches = [
        draw_batch(encoded, pipeline.scheduler, settings, num_frames, own[i : i + at_once])
        for i in range(0, len(own), at_once)
    ]
    weight = sum(batch_weight(batch, settings) for batch in batches)
    total = float(sum_over_processes(torch.tensor(weight, dtype=torch.float64, device=unet.device)))
    sums = torch.zeros(2, len(NUMBERS), dtype=torch.float64)
    for batch in batches:
        known = None if run.known is None else recall(run.known, batch.draws)
        found, errors = accumulate_gradients(
            unet,
            pipeline.scheduler,
            batch.to(unet.device),
            settings,
            max(total, 1.0),
            balance(encoded),
            run.reference_point,
            None if known is None else known.to(unet.device),
            run.loss_scale,
        )
        if run.known is not None:
            remember(run.known, batch.draws, errors.cpu())
        sums += torch.tensor([found[name] for name in NUMBERS], dtype=torch.float64).T
    for parameter in unet.parameters():
        if parameter.grad is not None:
            parameter.grad /= run.loss_scale
    return sum_over_processes(sums.float().to(unet.device)).double().cpu()


def means(sums: Tensor) -> dict[str, float]:
    """NUMBERS from their sums and weights (2 n); NaN without weight, but 0 for a loss that nothing was asked of."""
    found = {
        name: float(total / weight) if weight != 0 else math.nan
        for name, total, weight in zip(NUMBERS, *sums, strict=True)
    }
    return found if sums[1, NUMBERS.index("loss")] != 0 else found | {"loss": 0.0}


def balance(encoded: EncodedExamples) -> tuple[float, float]:
    """Weights of good and of bad clips (kto) such that both sides count the same."""
    good = sum(example.labels[0] > 0 for example in encoded.examples)
    bad = len(encoded.examples) - good
    return len(encoded.examples) / (2 * max(good, 1)), len(encoded.examples) / (2 * max(bad, 1))


def unknown_errors(encoded: EncodedExamples, settings: PreferenceSettings, num_frames: int) -> Tensor | None:
    """Room for the reference errors of every fixed draw, or None where draws are always new."""
    if not settings.draws_per_pair:
        return None
    members = len(encoded.examples[0].clips)
    return torch.full((len(encoded.examples), settings.draws_per_pair, members, num_frames - 1), float("nan"))


def recall(known: Tensor, draws: tuple[tuple[int, int], ...]) -> Tensor | None:
    """The reference errors (members b, f-1) of draws, winners first; None unless all are known."""
    rows = torch.stack([known[example, number] for example, number in draws], dim=1)
    return None if rows.isnan().any() else rows.flatten(0, 1)


def remember(known: Tensor, draws: tuple[tuple[int, int], ...], errors: Tensor) -> None:
    """Keeps the reference errors (members b, f-1) of draws."""
    for (example, number), row in zip(draws, errors.unflatten(0, (-1, len(draws))).unbind(1), strict=True):
        known[example, number] = row
