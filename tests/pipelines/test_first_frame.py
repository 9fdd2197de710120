"""First frames as a generator: the same picture as diffusers' own call, stopped and failing in the caller's thread."""

import gc
import threading
import weakref

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from huvidpo.backbones import LoadedBackbone
from huvidpo.pipelines.first_frame import stream_first_frame
from tests.waiting import until

PROMPT = "a red horse runs on the beach"


@pytest.fixture
def image_pipeline(backbone: LoadedBackbone) -> StableDiffusionPipeline:
    return backbone.first_frame_pipeline("base")


def test_it_is_the_picture_that_diffusers_makes(image_pipeline: StableDiffusionPipeline) -> None:
    *steps, image = stream_first_frame(image_pipeline, PROMPT, "snow", 7, 3, 4.0, 64, 64)
    expected = image_pipeline(
        PROMPT,
        negative_prompt="snow",
        generator=torch.Generator().manual_seed(7),
        num_inference_steps=3,
        guidance_scale=4.0,
        width=64,
        height=64,
    ).images[0]
    assert steps == [1, 2, 3] and image.size == (64, 64)
    assert np.array_equal(image, expected)
    *_, other = stream_first_frame(image_pipeline, PROMPT, "snow", 8, 3, 4.0, 64, 64)
    assert not np.array_equal(image, other)


def test_closing_the_generator_ends_the_work(image_pipeline: StableDiffusionPipeline) -> None:
    """The second pass is held until the stop has arrived, so all steps behind it must be skipped."""
    passes = []

    def hold(unet, inputs) -> None:
        passes.append(1)
        if len(passes) == 2:
            until(lambda: image_pipeline.interrupt)

    holding = image_pipeline.unet.register_forward_pre_hook(hold)
    threads = threading.active_count()
    events = stream_first_frame(image_pipeline, PROMPT, "", 7, 8, 4.0, 64, 64)
    assert next(events) == 1
    events.close()
    holding.remove()
    assert len(passes) == 2 and threading.active_count() == threads
    *_, image = stream_first_frame(image_pipeline, PROMPT, "", 7, 2, 4.0, 64, 64)
    assert image.size == (64, 64), "the next picture is made as if nothing had been"


def test_a_failure_holds_nothing_once_it_was_handled(image_pipeline: StableDiffusionPipeline) -> None:
    """On a full GPU, what the failed picture had there must go at once, not when the garbage is collected."""
    held = []

    def full(unet, inputs, output) -> None:
        held.append(weakref.ref(output[0]))
        raise RuntimeError("CUDA error: out of memory")

    failing = image_pipeline.unet.register_forward_hook(full)
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(RuntimeError):
            list(stream_first_frame(image_pipeline, PROMPT, "", 7, 2, 4.0, 64, 64))
        assert held and held[0]() is None
    finally:
        gc.enable()
        failing.remove()


def test_an_error_is_raised_where_the_generator_runs(image_pipeline: StableDiffusionPipeline) -> None:
    with pytest.raises(ValueError, match="divisible by 8"):
        next(stream_first_frame(image_pipeline, PROMPT, "", 7, 2, 4.0, 60, 64))
