"""Several processes that train one network together: sums over all of them. Knows torch.distributed only.

`accelerate launch` starts the processes; `join_processes` makes them know each other. In one process all of this is
without effect.
"""

import os

import torch
import torch.distributed as dist
from torch import Tensor


def join_processes() -> None:
    """Joins the processes that `accelerate launch` or `torchrun` started, if any."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from accelerate import PartialState

        PartialState(cpu=not torch.cuda.is_available())


def process_number() -> tuple[int, int]:
    """This process's number, from 0 on, and how many there are."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else (0, 1)


def sum_over_processes(value: Tensor) -> Tensor:
    """The sum of a tensor over all processes, the same to the bit in each of them."""
    if process_number()[1] > 1:
        value = value.clone()
        dist.all_reduce(value)
    return value


def largest_over_processes(number: float, device: torch.device) -> float:
    """The largest of a number over all processes: clocks differ, decisions must not."""
    if process_number()[1] == 1:
        return number
    value = torch.tensor(number, dtype=torch.float64, device=device)
    dist.all_reduce(value, op=dist.ReduceOp.MAX)
    return float(value)
