"""Memory modes: which is chosen, what it moves, that pictures stay the same, and what a full GPU says."""

import dataclasses
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from huvidpo.backbones import LoadedBackbone, load_backbone
from huvidpo.memory import (
    MODES,
    changeable_modes,
    chosen_mode,
    explained,
    fastest_that_fits,
    fixed_mode,
    hooked,
    lower_mode,
    settle,
)
from huvidpo.pipelines.first_frame import stream_first_frame
from huvidpo.presets import BACKBONES
from huvidpo.requests import ClipRequest, FirstFrameRequest
from huvidpo.takes import make_clip, make_first_frame
from tests.tiny_models import tiny_sdxl

NEEDS = {"all": 22.0, "turns": 13.0, "offload": 9.0, "sequential": 6.0}


@pytest.mark.parametrize(
    "free, mode",
    [(80, "all"), (22, "all"), (21.9, "turns"), (12, "offload"), (8.9, "sequential"), (2, "sequential")],
)
def test_the_fastest_mode_that_fits_is_chosen(free: float, mode: str) -> None:
    assert fastest_that_fits(free, NEEDS) == mode


def test_every_backbone_names_its_modes_from_large_to_small() -> None:
    for preset in BACKBONES.values():
        assert list(preset.gigabytes) == [mode for mode in MODES if mode in preset.gigabytes]
        assert sorted(preset.gigabytes.values(), reverse=True) == list(preset.gigabytes.values())
        assert lower_mode(list(preset.gigabytes)[-1], preset.gigabytes) is None
    assert list(BACKBONES["sd14"].gigabytes) == list(MODES), "so that --memory offers each of them"


def test_a_cpu_has_one_mode(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen_mode(None, "cpu", NEEDS) == "all"
    with pytest.raises(ValueError, match=r"no memory mode 'turns'; choose one of: all\."):
        load_backbone("pocket", "turns")
    monkeypatch.setenv("HUVIDPO_MEMORY", "tiny")
    with pytest.raises(ValueError, match="no memory mode 'tiny'"):
        load_backbone("pocket")
    monkeypatch.setenv("HUVIDPO_MEMORY", "turns")  # meant for the page's first choice, sd14 on a GPU
    assert load_backbone("pocket").memory == "all"


def test_zerogpu_moves_weights_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen_mode("offload", "cuda", NEEDS) == "offload"
    monkeypatch.setenv("SPACES_ZERO_GPU", "1")
    assert chosen_mode(None, "cuda", NEEDS) == "all"


def draw(pipeline) -> np.ndarray:
    *_, image = stream_first_frame(pipeline, "a red horse", "", 3, 2, 3.0, 128, 64)
    return np.asarray(image)


def test_first_frames_are_the_same_in_every_mode(tmp_path: Path) -> None:
    """And one mode leaves nothing behind for the next."""
    pipeline = tiny_sdxl(tmp_path)
    pictures = []
    for mode in ("all", "turns", "offload", "sequential", "all"):
        settle(pipeline, mode, "cpu")
        assert hooked(pipeline) == (mode in ("offload", "sequential"))
        if mode == "sequential":  # runs only where there is a second device; its weights wait behind empty ones
            assert {parameter.device.type for parameter in pipeline.unet.parameters()} == {"meta"}
        else:
            pictures.append(draw(pipeline))
    assert pictures[0].std() > 1 and all(np.array_equal(pictures[0], picture) for picture in pictures)


def test_tiles_of_the_smallest_mode_hardly_show(tmp_path: Path) -> None:
    """They are decoded one by one and blended at their borders."""
    pipeline = tiny_sdxl(tmp_path)
    whole = draw(pipeline)
    settle(pipeline, "sequential", "cpu")
    pipeline.remove_all_hooks()
    assert pipeline.vae.use_tiling and pipeline.vae.tile_latent_min_size == 8
    tiled = draw(pipeline)
    assert not np.array_equal(tiled, whole)
    # Random weights see a tile's own mean more than trained ones do.
    assert np.corrcoef(tiled.ravel(), whole.ravel())[0, 1] > 0.9


def test_the_smallest_mode_draws_layer_by_layer(tmp_path: Path) -> None:
    """The same picture as with all weights there, in tiles; and in the end no layer has any.

    accelerate's hooks ask for the device "cpu:0", a move that makes plain tensors of parameters; a GPU's has a number.
    """
    pipeline = tiny_sdxl(tmp_path)
    settle(pipeline, "sequential", "cpu")
    networks = [part for part in pipeline.components.values() if isinstance(part, nn.Module)]
    hooks = [layer._hf_hook for network in networks for layer in network.modules() if hasattr(layer, "_hf_hook")]
    for hook in hooks:
        for one in [hook, *getattr(hook, "hooks", ())]:
            one.execution_device = torch.device("cpu")
    layer_by_layer = draw(pipeline)
    assert {parameter.device.type for parameter in pipeline.unet.parameters()} == {"meta"}
    whole = tiny_sdxl(tmp_path)
    settle(whole, "sequential", "cpu")
    whole.remove_all_hooks()
    assert np.array_equal(layer_by_layer, draw(whole))


@pytest.mark.parametrize("mode", ["all", "turns"])
def test_whose_turn_it_is(backbone: LoadedBackbone, tmp_path: Path, mode: str) -> None:
    """The device `meta`, which holds no numbers, stands in for a GPU: networks really move there."""
    first_frames = tiny_sdxl(tmp_path)
    there = LoadedBackbone(backbone.preset, "meta", tiny_sdxl(tmp_path), {}, {"dpo": first_frames}, mode)
    assert {first_frames.device.type, there.video.device.type} == {"cpu"}
    there.take_turn(first_frames)
    assert (first_frames.device.type, there.video.device.type) == ("meta", "cpu")
    there.first_frames["dpo"] = tiny_sdxl(tmp_path)  # what is on `meta` cannot come back
    there.take_turn(there.video)
    assert there.video.device.type == "meta" and there.first_frames["dpo"].device.type == "cpu"


def test_a_full_gpu_says_what_to_do(backbone: LoadedBackbone) -> None:
    """And the next clip is made as if nothing had happened."""
    request = ClipRequest("a red horse runs", "horse", seed=1, steps=1)
    *_, frame = make_first_frame(backbone, FirstFrameRequest("a red horse", seed=1, steps=1))

    def full(*_) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    hook = backbone.video.unet.register_forward_pre_hook(full)
    with pytest.raises(ValueError, match=r"ran out of memory in the memory mode 'all'.*backbone pocket"):
        list(make_clip(backbone, frame.image, request))
    hook.remove()
    *_, clip = make_clip(backbone, frame.image, request)
    assert clip.frames.shape == (16, 128, 128, 3)
    with pytest.raises(ValueError, match=r"memory mode 'turns' .*--memory turns"), explained("all", NEEDS):
        full()


@pytest.mark.parametrize(
    "words",
    [
        "CUDA error: out of memory",
        "CUDA driver error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling",
        "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    ],
)
def test_the_drivers_own_lack_of_memory_is_explained_too(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither is a torch.OutOfMemoryError. On a Space nobody but its owner can choose the mode."""
    monkeypatch.setenv("SPACE_ID", "someone/space")
    with pytest.raises(ValueError, match="owner can, by its variable HUVIDPO_MEMORY=turns"), explained("all", NEEDS):
        raise RuntimeError(words)
    with pytest.raises(RuntimeError, match="illegal memory access"), explained("all", NEEDS):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")


def test_first_frame_models_leave_before_something_is_learned(
    backbone: LoadedBackbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in the mode `all`. As above, `meta` stands in for the GPU; a network that both have stays."""
    monkeypatch.setattr(LoadedBackbone, "memory_modes", lambda self: NEEDS)
    left, video = tiny_sdxl(tmp_path), tiny_sdxl(tmp_path)
    left.text_encoder = video.text_encoder
    there = LoadedBackbone(backbone.preset, "meta", video, {}, {"dpo": left}, "all")
    assert there.room_to_learn() == 0.0, "nothing is on a GPU yet"
    there.make_room_to_learn()
    assert left.unet.device.type == "cpu" and video.unet.device.type == video.text_encoder.device.type == "meta"


@pytest.mark.slow
def test_two_at_once_get_what_each_gets_alone(backbone: LoadedBackbone, moving_adapter) -> None:
    """Different adapters, attention and prompts: nobody's settings reach the other's clip."""
    first = ClipRequest("a red horse runs", "horse", adapter="gallop", seed=1, steps=3)
    second = dataclasses.replace(first, prompt="a blue bird", adapter="none", attention="first", seed=2)
    *_, frame = make_first_frame(backbone, FirstFrameRequest("a red horse", seed=1, steps=1))

    def clip(request: ClipRequest) -> np.ndarray:
        with closing(make_clip(backbone, frame.image, request)) as steps:
            *_, made = steps
        return made.frames

    alone = [clip(first), clip(second)]
    together: dict[int, np.ndarray] = {}
    requests = [first, second] * 2
    threads = [
        threading.Thread(target=lambda i=i, request=request: together.update({i: clip(request)}))
        for i, request in enumerate(requests)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not np.array_equal(*alone)
    assert all(np.array_equal(together[i], alone[i % 2]) for i in range(4))


def test_visitors_of_a_space_do_not_choose_for_each_other(monkeypatch) -> None:
    assert changeable_modes("turns", NEEDS) == list(MODES) and fixed_mode("turns", NEEDS) == ""
    monkeypatch.setenv("SPACE_ID", "someone/space")
    assert changeable_modes("turns", NEEDS) == ["turns"] and fixed_mode("turns", NEEDS) == MODES["turns"]
    assert fixed_mode("all", ["all"]) == "", "there is nothing to say where there is one only"
