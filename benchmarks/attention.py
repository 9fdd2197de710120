"""Attention in bfloat16 on a CPU, written out against PyTorch's fused form: `python benchmarks/attention.py`.

One row for every shape of attention in a training step of `pocket` (a pair of clips): milliseconds of a forward and a
backward pass, the fastest of several, both forms in turn in one process.
"""

import argparse
import time

import torch
import torch.nn.functional as F
from torch import Tensor

from huvidpo.models.attention import scaled_dot_product

# What attends to what -> batch, heads, queries, keys, channels of a head.
SHAPES = {
    "first and previous frame, 16x16": (32, 5, 256, 512, 16),
    "first and previous frame, 8x8": (32, 5, 64, 128, 32),
    "text, 16x16": (2, 5, 4096, 24, 16),
    "text, 8x8": (2, 5, 1024, 24, 32),
    "time, 16x16": (512, 5, 16, 16, 16),
    "time, 8x8": (128, 5, 16, 16, 32),
}


def milliseconds(written_out: bool, shape: tuple[int, int, int, int, int], repeats: int) -> tuple[float, float]:
    """Of a forward and of a backward pass."""
    batch, heads, queries, keys, channels = shape
    query, key, value = (
        torch.randn(batch, length, heads, channels, dtype=torch.bfloat16).transpose(1, 2).requires_grad_()
        for length in (queries, keys, keys)
    )
    gradient = torch.randn_like(query)
    found = []
    for _ in range(repeats):
        begin = time.perf_counter()
        out = attend(written_out, query, key, value)
        middle = time.perf_counter()
        out.backward(gradient)
        found.append((middle - begin, time.perf_counter() - middle))
    return tuple(1000 * min(column) for column in zip(*found, strict=True))


def attend(written_out: bool, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    scale = query.shape[-1] ** -0.5
    if written_out:
        return scaled_dot_product(query, key, value, scale)
    return F.scaled_dot_product_attention(query, key, value, scale=scale)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    print(f"{torch.get_num_threads()} threads; milliseconds forward, backward; the share of the fused form's sum")
    for name, shape in SHAPES.items():
        (fused, fused_back), (ours, ours_back) = (milliseconds(form, shape, repeats) for form in (False, True))
        share = (ours + ours_back) / (fused + fused_back)
        print(f"{name:32} fused {fused:6.1f} {fused_back:6.1f}   ours {ours:6.1f} {ours_back:6.1f}   {share:.2f}")


if __name__ == "__main__":
    main()
