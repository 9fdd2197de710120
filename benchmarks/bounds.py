"""What share of the hardware's rate a network reaches, and what bounds it. For full_size.py."""

import copy
import time
from collections import defaultdict

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

# bfloat16 with sums in single precision, dense, from the makers' data sheets; 1e12 operations a second.
PEAKS = {"H200": 989.0, "H100": 989.0, "A100": 312.0, "RTX 4090": 165.2, "L4": 121.0}
KINDS = {  # of a profiler's names; the first that fits
    "convolutions": ("convolution",),
    "attention": ("scaled_dot_product", "flash_attention", "efficient_attention", "bmm"),
    "linear layers": ("aten::mm", "aten::addmm", "mkldnn_linear"),
}


def now(device: str) -> float:
    """Seconds, when all that was begun is done: of the clock on a GPU, of the processor's threads together on a CPU.

    Other programs on the machine disturb the processor's seconds less.
    """
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def count_operations(network: nn.Module, inputs: tuple) -> dict[str, float]:
    """Floating-point operations of a forward, by kind; attention is counted where it is made of matrix products.

    Its scores would take more than a GPU has, so tensors have sizes and no numbers, and are on the CPU.
    """
    if next(network.parameters()).is_cuda:
        network = copy.deepcopy(network).to("cpu")
        inputs = [x.cpu() if isinstance(x, torch.Tensor) else x for x in inputs]
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    with fake, FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        network(*inputs)
    operations = defaultdict(float)
    for name, number in counter.get_flop_counts()["Global"].items():
        operations[kind_of(f"aten::{str(name).removeprefix('aten.')}")] += number
    return operations


def kind_of(name: str) -> str:
    """The kind of an operation by its name in torch."""
    return next((kind for kind, parts in KINDS.items() if any(part in name for part in parts)), "all else")


def profile_kinds(network: nn.Module, inputs: tuple, device: str) -> dict[str, float]:
    """Seconds of a forward by kind of operation; "waiting" is a GPU's time without work."""
    activities = [ProfilerActivity.CUDA] if device == "cuda" else []
    with profile(activities=[ProfilerActivity.CPU, *activities]) as found:
        network(*inputs)
        now(device)
    seconds = defaultdict(float)
    for row in found.key_averages():
        if row.key.startswith("aten::"):
            own = row.self_device_time_total if device == "cuda" else row.self_cpu_time_total
            seconds[kind_of(row.key)] += own / 1e6
    return seconds


def product_rate(device: str, dtype: torch.dtype) -> float:
    """Operations a second of a large product of matrices, the best of five."""
    side = 8192 if device == "cuda" else 1024
    a, b, found = (
        torch.randn(side, side, device=device).to(dtype),
        torch.randn(side, side, device=device).to(dtype),
        [],
    )
    for _ in range(6):
        start = now(device)
        a @ b
        found.append(2 * side**3 / (now(device) - start))
    return max(found[1:])


def print_bounds(network: nn.Module, inputs: tuple, dtype: torch.dtype, device: str) -> None:
    """What share of the hardware's rate a forward reaches, where its time goes, and what that says."""
    operations, rate = count_operations(network, inputs), product_rate(device, dtype)
    took = []
    for _ in range(3):
        start = now(device)
        network(*inputs)
        took.append(now(device) - start)
    seconds, total = profile_kinds(network, inputs, device), sum(operations.values())
    if device == "cuda":
        seconds["waiting"] = max(0.0, min(took) - sum(seconds.values()))
    else:  # the profiler has one thread's clock; its shares are taken
        scale = min(took) / sum(seconds.values())
        seconds = {kind: scale * value for kind, value in seconds.items()}
    reached = total / min(took)
    print(f"\na forward has {total / 1e9:.1f} billion operations, {reached / 1e9:.1f} billion a second at best:")
    print(f"  {reached / rate:.0%} of a large product of matrices here ({rate / 1e9:.1f} billion)")
    card = torch.cuda.get_device_name() if device == "cuda" else ""
    known = [name for name in PEAKS if f" {name} " in f" {card.replace('-', ' ')} "]
    for name in known:
        print(f"  {reached / PEAKS[name] / 1e12:.0%} of the {PEAKS[name]:.0f}e12 in a {name}'s data sheet")
    spent, ideal = sum(seconds.values()), {kind: number / rate for kind, number in operations.items()}
    for kind, time_of_kind in sorted(seconds.items(), key=lambda item: -item[1]):
        own = f", at {ideal[kind] / time_of_kind:.0%} of that rate" if ideal.get(kind) else ""
        print(f"  {kind:14} {time_of_kind / spent:4.0%} of the profiled time{own}")
    print(bound(seconds, ideal))


def bound(seconds: dict[str, float], ideal: dict[str, float]) -> str:
    """One sentence: the kind whose time above that of its bare products is the largest."""
    excess = {kind: value - ideal.get(kind, 0.0) for kind, value in seconds.items()}
    spent, worst = sum(seconds.values()), max(excess, key=excess.get)
    bare = sum(ideal.values()) / spent
    if bare > 0.6:
        return f"Bound by arithmetic: {bare:.0%} of the time is what its products take at full rate."
    why = {
        "all else": "memory traffic: norms, activations and copies, which are no products",
        "waiting": "the start of single operations: the GPU waits for them",
    }.get(worst, f"{worst} below the rate of large products")
    return f"Bound by {why}; {excess[worst] / spent:.0%} of the time, where bare products would take {bare:.0%}."
