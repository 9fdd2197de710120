"""Prompt -> first frame with a diffusers text-to-image pipeline, as a generator. Knows no files and no categories."""

from collections.abc import Callable, Iterator
from queue import SimpleQueue
from threading import Thread

import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from PIL import Image


def stream_first_frame(
    pipeline: StableDiffusionPipeline | StableDiffusionXLPipeline,
    prompt: str,
    negative_prompt: str,
    seed: int,
    steps: int,
    guidance: float,  # unconditional + guidance * (text - unconditional)
    width: int,  # pixels
    height: int,
) -> Iterator[int | Image.Image]:
    """Yields the number of each finished step, at last the image; closing the generator ends the work.

    diffusers reports steps through a callback only, so it runs on a thread of its own and a queue turns it around.
    Whatever it raises is raised here. The noise comes from the CPU: a seed gives the same image on every device.
    """
    events: SimpleQueue[int | Image.Image | BaseException] = SimpleQueue()

    def after_step(running, step: int, timestep, tensors: dict) -> dict:
        events.put(step + 1)
        return tensors

    def draw() -> Image.Image:
        return pipeline(
            prompt=prompt,
            negative_prompt=negative_prompt or None,  # for SDXL "" is another picture: without a text it takes zeros
            generator=torch.Generator().manual_seed(seed),
            num_inference_steps=steps,
            guidance_scale=guidance,
            width=width,
            height=height,
            callback_on_step_end=after_step,
        ).images[0]

    worker = Thread(target=put_outcome, args=(events, draw), daemon=True)
    worker.start()
    try:
        while isinstance(event := events.get(), int):
            yield event
        if isinstance(event, BaseException):
            try:
                raise event
            finally:
                del event  # else the error and this frame hold each other, and with them what is on the GPU
        yield event
    finally:
        pipeline._interrupt = True  # diffusers' own switch: the remaining steps are skipped
        worker.join()


def put_outcome(events: SimpleQueue, draw: Callable[[], Image.Image]) -> None:
    """Puts what `draw` gives, or what it raises, into the queue."""
    try:
        events.put(draw())
    except BaseException as error:
        events.put(error)
