"""Several processes at one job, which train one network together or share out what is to be made.

`accelerate launch` starts the processes; `join_processes` makes them know each other. In one process all of this is
without effect. Knows torch.distributed, and whether there is a GPU.
"""

import atexit
import os
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from huvidpo.memory import unusable_gpu

Item = TypeVar("Item")
PATIENCE = timedelta(days=2)  # a process waits for the others that long: shares of a big job end hours apart


def join_processes() -> None:
    """Joins the processes that `accelerate launch` or `torchrun` started, if any; each takes its own GPU.

    ValueError where there are GPUs that cannot be used: several processes on one CPU are not what was meant.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from accelerate import PartialState

        if why := unusable_gpu():
            raise ValueError(why)
        PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)
        atexit.register(leave_processes)


def leave_processes() -> None:
    """Ends what `join_processes` began: its threads can abort a process that exits while they run."""
    if dist.is_initialized():
        dist.destroy_process_group()


def process_number() -> tuple[int, int]:
    """This process's number, from 0 on, and how many there are."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else (0, 1)


def own_share(items: Sequence[Item]) -> list[Item]:
    """Those of the items that this process has to do: every item is one process's, shares differ by one at most."""
    rank, count = process_number()
    return list(items[rank::count])


def wait_for_all() -> None:
    """Returns when every process has come here; what the others wrote before can be read then."""
    if process_number()[1] > 1:
        dist.barrier()


def sum_over_processes(value: Tensor) -> Tensor:
    """The sum of a tensor over all processes, the same to the bit in each of them."""
    if process_number()[1] > 1:
        value = value.clone()
        dist.all_reduce(value)
    return value


def copy_from_first(tensors: Iterable[Tensor]) -> None:
    """Overwrites the tensors with those of the first process: what was drawn at random differs until then."""
    if process_number()[1] > 1:
        for tensor in tensors:
            dist.broadcast(tensor.detach(), src=0)


def copied_from_first(value: Item) -> Item:
    """The first process's plain value (a number, a name) in all of them: what they found out may differ, not more."""
    if process_number()[1] == 1:
        return value
    held = [value]
    dist.broadcast_object_list(held, src=0)
    return held[0]


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Sums the gradients of all processes into each one's; a parameter without a gradient counts as zero."""
    if process_number()[1] > 1:
        for parameter in parameters:
            own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad = sum_over_processes(own)


def largest_over_processes(number: float, device: torch.device) -> float:
    """The largest of a number over all processes: clocks differ, decisions must not."""
    if process_number()[1] == 1:
        return number
    value = torch.tensor(number, dtype=torch.float64, device=device)
    dist.all_reduce(value, op=dist.ReduceOp.MAX)
    return float(value)
