"""What a preference run keeps: its state, its checkpoint, how it ended. Knows weights and rows, nothing of losses."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from huvidpo.home import CHECKPOINT
from huvidpo.training.guard import MAX_WINNER_DRIFT, Row, has_lost_motion, recent_loss, winner_drift
from huvidpo.training.loop import Clock, load_state, save_atomically
from huvidpo.training.preference_settings import FREE_TO_CHANGE, PreferenceSettings
from huvidpo.training.processes import process_number
from huvidpo.training.reference import load_lora, lora_state


@dataclass
class RunState:
    """What a checkpoint holds beside weights and optimizer."""

    step: int = 0
    rows: list[Row] = field(default_factory=list)
    reference_point: float = 0.0  # kto's z0
    loss_scale: float = 2.0**12  # halved whenever float16 overflows in the backward pass
    known: Tensor | None = None  # reference errors (examples, draws, members, f-1), NaN where not known yet
    best: dict[str, Tensor] | None = None  # LoRA of the lowest recent loss without drifted winners; first, the start
    best_step: int = 0
    best_loss: float = float("inf")
    stopped: str = ""


class RunOutcome(NamedTuple):
    """What a run's last checkpoint says of it."""

    rows: list[Row]  # of its steps, the oldest first
    stopped: str  # why it ended before its time; "" if it did not
    step: int  # whose weights it has; those of a run that was stopped are of an earlier step than its last


def run_outcome(work: Path) -> RunOutcome:
    """How far the run in a folder is; no rows where it has no checkpoint yet."""
    if (state := load_state(work / CHECKPOINT)) is None:
        return RunOutcome([], "", 0)
    step = state["best_step"] if state["stopped"] else len(state["rows"])
    return RunOutcome(state["rows"], state["stopped"], step)


def keep_best(unet: nn.Module, run: RunState) -> None:
    """Takes the LoRA as it is for the best if its recent loss is the lowest so far, and nothing speaks against it.

    That is winners that have drifted, or validation clips that had lost their motion when they were last looked at.
    """
    if run.stopped or has_lost_motion(run.rows):
        return
    loss = recent_loss(run.rows)
    if loss < run.best_loss and winner_drift(run.rows) <= MAX_WINNER_DRIFT:
        run.best, run.best_step, run.best_loss = lora_state(unet), run.step, loss


class Checkpoint:
    """A run's file: LoRA, optimizer, log, place in the sequence of examples. Randomness follows from that place."""

    def __init__(
        self,
        work: Path,
        unet: nn.Module,
        optimizer: torch.optim.Optimizer,
        settings: PreferenceSettings,
        identity: str,
    ):
        self.path, self.unet, self.optimizer = work / CHECKPOINT, unet, optimizer
        kept = {name: value for name, value in asdict(settings).items() if name not in FREE_TO_CHANGE}
        self.identity = {"examples and start": identity} | kept

    def save(self, run: RunState, clock: Clock) -> None:
        """Writes the old state or the new one, whole; of several processes the first does it."""
        if process_number()[0] == 0:
            state = vars(run) | {"seconds": clock.seconds(), "identity": self.identity}
            state |= {"weights": lora_state(self.unet), "optimizer": self.optimizer.state_dict()}
            save_atomically(state, self.path)

    def load(self, run: RunState, clock: Clock) -> None:
        """Brings everything back where there is a file. ValueError when it is that of another run."""
        if (state := load_state(self.path)) is None:
            return
        changed = [name for name, value in self.identity.items() if state["identity"].get(name) != value]
        if changed:
            name, before = changed[0], state["identity"].get(changed[0])
            other = f"{name} {before}" if isinstance(before, int | float) else f"other {name}"
            raise ValueError(
                f"The run in {self.path.parent} was begun with {other.replace('_', ' ')}; "
                "choose another folder, or continue with what it was begun with."
            )
        load_lora(self.unet, state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        clock.spent = state["seconds"]
        for name in vars(run).keys() & state:  # a run of an earlier version has no loss scale
            setattr(run, name, state[name])
