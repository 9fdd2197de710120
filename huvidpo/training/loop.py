"""What every training loop here shares: atomic checkpoints, learning rate, step records. Knows no model."""

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from huvidpo.atomic import replacing
from huvidpo.training.processes import largest_over_processes, sum_gradients, sum_over_processes

CHECKPOINT_EVERY = 100  # steps
CHECKPOINT_SECONDS = 300.0
WARMUP, WARMUP_STEPS = 0.02, 50  # share of a run's progress; of its steps at least so many where it has them


@dataclass(frozen=True)
class StepRecord:
    """One optimizer step as the caller logs, plots or prints it."""

    step: int  # 1-based
    steps: int
    loss: float
    gradient_norm: float  # before clipping
    learning_rate: float
    seconds_left: float

    def to_row(self) -> dict[str, float]:
        """Plain numbers for a line of JSON."""
        return {name: round(value, 6) for name, value in asdict(self).items()}


@dataclass
class Clock:
    """How far a run is: by steps or, when `minutes` is given, by time, whichever is further.

    With `minutes` a run ends on time on a machine of any speed, and its learning rate still decays to zero.
    """

    steps: int
    minutes: float | None = None
    spent: float = 0.0  # seconds spent in earlier, interrupted runs

    def __post_init__(self) -> None:
        self._start = time.monotonic()

    def seconds(self) -> float:
        """Seconds of training so far, interrupted runs included."""
        return self.spent + time.monotonic() - self._start

    def progress(self, step: int) -> float:
        """0 at the start, 1 when the run is over."""
        by_time = self.seconds() / (60 * self.minutes) if self.minutes else 0.0
        return min(1.0, max(step / self.steps, by_time))

    def seconds_left(self, step: int) -> float:
        """Time to the end at the pace so far."""
        progress = self.progress(step)
        return self.seconds() * (1 - progress) / max(progress, 1e-6)


def learning_rate_factor(progress: float, warmup: float = WARMUP, decay: float = 0.4) -> float:
    """Linear warm-up, plateau, cosine decay to 2 %, as a function of progress in 0..1."""
    if progress < warmup:
        return max(progress / warmup, 0.02)
    if progress < 1 - decay:
        return 1.0
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (progress - 1 + decay) / decay))


def warm_share(step: int, steps: int) -> float:
    """The most of the learning rate that a step may have, by steps alone: linear over the first WARMUP_STEPS.

    By the clock a warm-up of half an hour's run ends in its second step when torch.compile prepares in the first. Runs
    that go by their steps are warmed up as `learning_rate_factor` has it: that is never more.
    """
    return min(1.0, (step + 1) / max(1.0, min(WARMUP_STEPS, WARMUP * steps)))


def optimizer_step(
    optimizer: torch.optim.Optimizer, loss: Tensor, learning_rate: float, clip: float = 1.0
) -> tuple[float, float]:
    """Backward and one step as `apply_gradients`; gives the loss and the gradient's norm before clipping.

    With several processes both are of the sum of their losses.
    """
    loss.backward()
    total = float(sum_over_processes(loss.detach()))
    return total, apply_gradients(optimizer, learning_rate, clip, total)


def apply_gradients(optimizer: torch.optim.Optimizer, learning_rate: float, clip: float, loss: float) -> float:
    """Sums the gradient over all processes, clips its norm at `clip`, takes one step; gives the norm before clipping.

    The weights stay as they are when the loss or the norm is no number: there would be no way back. Gradients are gone
    afterwards, so that they take no memory in the next forward pass.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    sum_gradients(parameters)
    norm = float(nn.utils.clip_grad_norm_(parameters, clip))
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    if math.isfinite(norm) and math.isfinite(loss):
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm


def run_steps(
    loss_of: Callable[[int], Tensor],
    optimizer: torch.optim.Optimizer,
    learning_rate: float,
    clock: Clock,
    first: int = 0,
    average: Callable[[], object] | None = None,
    save: Callable[[int], None] | None = None,
    decay: float = 0.4,
) -> Iterator[StepRecord]:
    """The frame of a training loop: step `first` to the clock's end, each on `loss_of(step)`; yields their records.

    A run that is over already has none. The learning rate falls over the last share `decay` of the run. `average` is
    called after every step. `save` is called with the number of steps done, at the end before that record, when the
    generator is closed, and every CHECKPOINT_EVERY steps unless that was less than CHECKPOINT_SECONDS ago: at full
    size it writes 4 GB.
    """
    saved = time.monotonic()
    device = optimizer.param_groups[0]["params"][0].device
    progress = largest_over_processes(clock.progress(first), device)
    if progress >= 1:
        return
    for step in range(first, clock.steps):
        rate = learning_rate * min(learning_rate_factor(progress, decay=decay), warm_share(step, clock.steps))
        loss, norm = optimizer_step(optimizer, loss_of(step), rate)
        if average:
            average()
        progress = largest_over_processes(clock.progress(step + 1), device)
        over = progress >= 1
        due = (step + 1) % CHECKPOINT_EVERY == 0 and time.monotonic() - saved >= CHECKPOINT_SECONDS
        if save and (over or due):
            save(step + 1)
            saved = time.monotonic()
        try:
            yield StepRecord(step + 1, clock.steps, loss, norm, rate, clock.seconds_left(step + 1))
        except GeneratorExit:
            if save:
                save(step + 1)
            raise
        if over:
            return


def new_ema(parameters: Iterable[nn.Parameter], decay: float = 0.999) -> EMAModel:
    """Exponential moving average whose horizon grows: after n updates decay is (1 + n) / (10 + n), at most `decay`."""
    return EMAModel(list(parameters), decay=decay, update_after_step=-1, foreach=True)


def digest_of_tensors(*states: dict[str, Tensor]) -> str:
    """The first 12 hex digits of the sha256 over tensors: what is made with weights is kept under a name with it."""
    digest = hashlib.sha256()
    for state in states:
        for name, value in sorted(state.items()):
            digest.update(name.encode() + value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def save_atomically(state: dict, path: Path) -> None:
    """Writes tensors and plain data so that `path` holds either the old state or the new one, whole.

    ValueError when it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        try:
            with temporary.open("wb") as file:
                torch.save(state, file)
        except RuntimeError as error:  # torch closes the file with words of its own for what the disk said before
            raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None


def load_state(path: Path) -> dict | None:
    """What `save_atomically` wrote, or None when there is nothing yet."""
    return torch.load(path, weights_only=True, map_location="cpu") if path.exists() else None
