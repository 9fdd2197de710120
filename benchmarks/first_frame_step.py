"""A training step of `pocket`'s first frames, faster form by faster form: `python benchmarks/first_frame_step.py`.

Seconds of a step, the fastest of several, and its share of the first form's; all forms in one process, on random
latents. The compiled form takes minutes to prepare.
"""

import argparse
import time
from collections.abc import Callable
from unittest import mock

import torch
from diffusers import StableDiffusionPipeline

from huvidpo.models.attention import PictureAttention
from huvidpo.models.precision import mixed_precision
from huvidpo.pocket.shipped import load_pocket
from huvidpo.pocket.train_first_frames import batch_loss, new_optimizer, trained_parts
from huvidpo.training import muon


def plain(pipeline: StableDiffusionPipeline) -> None:
    """The pipeline as diffusers makes it."""


def written_out(pipeline: StableDiffusionPipeline) -> None:
    """Attention as matrix products."""
    pipeline.unet.set_attn_processor(PictureAttention())


def compiled(pipeline: StableDiffusionPipeline) -> None:
    """The same, fused by torch.compile."""
    written_out(pipeline)
    pipeline.unet.compile(dynamic=False)


# Form -> what it does to the pipeline, and whether Muon may use bfloat16.
FORMS: dict[str, tuple[Callable[[StableDiffusionPipeline], None], bool]] = {
    "as diffusers has it": (plain, False),
    "attention written out": (written_out, False),
    "and Muon in bfloat16": (written_out, True),
    "and torch.compile": (compiled, True),
}


def seconds(form: str, batch: int, repeats: int) -> float:
    """Of one training step, forward to update."""
    prepare, low_precision = FORMS[form]
    pipeline = load_pocket("cpu")
    trained = trained_parts(pipeline).requires_grad_(True).train().to(memory_format=torch.channels_last)
    prepare(pipeline)
    optimizer, latents, found = new_optimizer(trained), torch.randn(batch, 16, 16, 16).half(), []
    with mock.patch.object(muon, "mixed_precision", lambda device: mixed_precision(device, low_precision)):
        for step in range(repeats + 1):  # the first one warms up
            begin = time.perf_counter()
            batch_loss(pipeline, latents, step, batch).backward()
            optimizer.step()
            optimizer.zero_grad()
            found.append(time.perf_counter() - begin)
    return min(found[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    options = parser.parse_args()
    print(
        f"{torch.get_num_threads()} threads, {options.batch} frames a step; seconds, and the share of the first row's"
    )
    first = None
    for form in options.forms:
        taken = seconds(form, options.batch, options.repeats)
        first = first or taken
        print(f"{form:24} {taken:6.2f}   {taken / first:.2f}", flush=True)


if __name__ == "__main__":
    main()
