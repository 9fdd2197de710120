"""Takes: the same request makes the same clip, its file tells the request, and nothing is left locked or running."""

import dataclasses
import hashlib
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from huvidpo.adapters import Adapter
from huvidpo.backbones import LoadedBackbone
from huvidpo.pipelines.latents import decode_frames, encode_frames, fit_image, frames_to_tensor, tensor_to_frames
from huvidpo.presets import FirstFrameSettings
from huvidpo.requests import MAX_SEED, ClipRequest, FirstFrameRequest, request_from_metadata, starting_from
from huvidpo.takes import Clip, FirstFrame, Progress, make_clip, make_first_frame, make_takes, save_clip
from huvidpo.video import read_metadata
from tests.waiting import until

PROMPT = "a red horse runs on the beach"
REQUEST = ClipRequest(PROMPT, "horse", seed=7, steps=2)
FRAME_REQUEST = FirstFrameRequest(PROMPT, model="base", seed=7, steps=2)


@pytest.fixture
def small(backbone: LoadedBackbone) -> LoadedBackbone:
    """The small `pocket` with clips of 4 frames of 64x64 pixels."""
    drawn = dict.fromkeys(("dpo", "base"), FirstFrameSettings(64, 64, steps=16, guidance=2.5))
    preset = dataclasses.replace(backbone.preset, width=64, height=64, num_frames=4, first_frames=drawn)
    return dataclasses.replace(backbone, preset=preset)


@pytest.fixture
def picture() -> Image.Image:
    """90x70 pixels, transparent in one corner."""
    pixels = np.random.default_rng(0).integers(0, 256, (7, 9, 4), np.uint8)
    return Image.fromarray(pixels).resize((90, 70))


def clip_of(backbone: LoadedBackbone, picture: Image.Image, request: ClipRequest) -> Clip:
    *_, clip = make_clip(backbone, picture, request)
    return clip


@pytest.mark.slow
def test_the_same_request_makes_the_same_clip_whatever_ran_before(
    small: LoadedBackbone, moving_adapter: Adapter, picture: Image.Image
) -> None:
    first = clip_of(small, picture, REQUEST)
    moving = clip_of(small, picture, dataclasses.replace(REQUEST, adapter="gallop"))
    other = dataclasses.replace(REQUEST, seed=8, attention="first", recipe="huvidpo", style="cartoon")
    clip_of(small, picture, other)
    list(make_first_frame(small, FRAME_REQUEST))
    torch.manual_seed(99)
    again = clip_of(small, picture, REQUEST)
    assert np.array_equal(first.frames, again.frames) and first.metadata == again.metadata
    assert not np.array_equal(first.frames[1:], moving.frames[1:])
    assert np.array_equal(
        moving.frames, clip_of(small, picture, dataclasses.replace(REQUEST, adapter="gallop")).frames
    )


@pytest.mark.parametrize(
    "changes", [{"seed": 8}, {"style": "cartoon"}, {"attention": "first"}, {"guidance": 1.0}, {"steps": 3}]
)
def test_every_setting_counts(
    small: LoadedBackbone, moving_adapter: Adapter, picture: Image.Image, changes: dict
) -> None:
    request = dataclasses.replace(REQUEST, adapter="gallop", guidance=12.0)
    one, other = (clip_of(small, picture, r) for r in (request, dataclasses.replace(request, **changes)))
    assert not np.array_equal(one.frames, other.frames)


def test_progress_leads_to_a_clip(small: LoadedBackbone, picture: Image.Image) -> None:
    *steps, clip = make_clip(small, picture, dataclasses.replace(REQUEST, steps=3))
    assert [(step.step, step.total) for step in steps] == [(1, 3), (2, 3), (3, 3)]
    assert [step.preview and step.preview.size for step in steps] == [None, (64, 64), None]
    assert clip.frames.shape == (4, 64, 64, 3) and clip.frames.dtype == np.uint8 and clip.fps == 8


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_the_first_frame_is_kept(small: LoadedBackbone, picture: Image.Image, fit: str) -> None:
    """Frame 0 is what the autoencoder alone makes of the fitted picture; 1 of 255 is rounding in another batch."""
    vae, fitted = small.video.vae, fit_image(picture, 64, 64, fit)
    with torch.no_grad():
        kept = tensor_to_frames(decode_frames(vae, encode_frames(vae, frames_to_tensor(np.asarray(fitted)[None]))))[0]
    clip = clip_of(small, picture, dataclasses.replace(REQUEST, fit=fit))
    assert np.abs(clip.frames[0].astype(int) - kept).max() <= 1
    assert kept.std() > 10, "a blank picture would prove nothing"
    assert clip.metadata["first_frame_sha256"] == hashlib.sha256(fitted.tobytes()).hexdigest()


@pytest.mark.parametrize("name", ["clip.mp4", "clip.gif"])
def test_the_file_tells_the_request(
    small: LoadedBackbone, moving_adapter: Adapter, picture: Image.Image, tmp_path: Path, name: str
) -> None:
    request = ClipRequest(
        prompt='a "red" horse; runs = fast \\ é 雨',
        category="horse",
        style="pixel art",
        negative_prompt="blur",
        adapter="gallop",
        seed=MAX_SEED,
        recipe="huvidpo",
        steps=2,
        guidance=2.5,
        attention="first",
        fit="pad",
        first_frame_model="base",
        first_frame_seed=11,
        first_frame_steps=9,
        first_frame_guidance=3.5,
    )
    clip = clip_of(small, picture, request)
    metadata = read_metadata(save_clip(clip, tmp_path / name))
    first_frame, same = request_from_metadata(metadata)
    assert metadata == clip.metadata and same == request
    assert first_frame == FirstFrameRequest(request.prompt, "pixel art", "blur", "base", 11, 9, 3.5)
    assert metadata["adapter_revision"] == moving_adapter.revision() and metadata["torch"] == torch.__version__
    assert np.array_equal(clip_of(small, picture, same).frames, clip.frames)


def test_defaults_are_written_out(small: LoadedBackbone, picture: Image.Image) -> None:
    """The file must make the same clip when the defaults have changed."""
    metadata = clip_of(small, picture, dataclasses.replace(REQUEST, steps=None, guidance=None, adapter="")).metadata
    assert (metadata["guidance"], metadata["steps"], metadata["adapter"]) == (1.0, 4, "none")


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"prompt": " \n"}, "The prompt is empty"),
        ({"prompt": "x" * 10_000}, "The prompt has 10000 characters: write at most 1000"),
        ({"negative_prompt": "x" * 1001}, "The negative prompt is too long"),
        ({"seed": -1}, f"whole number from 0 to {MAX_SEED}, not -1"),
        ({"seed": MAX_SEED + 1}, f"whole number from 0 to {MAX_SEED}"),
        ({"steps": 0}, "from 1 to 200, not 0"),
        ({"steps": 201}, "from 1 to 200, not 201"),
        ({"guidance": -0.1}, "guidance must be from 0 to 50, not -0.1"),
        ({"guidance": float("nan")}, "guidance must be from 0 to 50, not nan"),
        ({"style": "oil"}, "no style 'oil'; choose one of: any, realistic"),
        ({"category": "swim"}, "no category 'swim'; choose one of: waterfall"),
        ({"adapter": "lost"}, "no adapter 'lost' for horse; choose one of: none"),
        ({"recipe": "fast"}, "no recipe 'fast'; choose one of: default, huvidpo"),
        ({"attention": "all"}, "no attention 'all'; choose one of: "),
        ({"fit": "stretch"}, "no way to fit the first frame 'stretch'; choose one of: crop, pad"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(
    small: LoadedBackbone, picture: Image.Image, changes: dict, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        next(make_clip(small, picture, dataclasses.replace(REQUEST, **changes)))
    fields = {field.name for field in dataclasses.fields(FirstFrameRequest)}
    if changes.keys() <= fields:
        with pytest.raises(ValueError, match=sentence):
            next(make_first_frame(small, dataclasses.replace(FRAME_REQUEST, **changes)))
    assert not small.lock.locked()


def test_an_unknown_first_frame_model_is_refused(small: LoadedBackbone) -> None:
    with pytest.raises(ValueError, match="must be one of dpo, base"):
        next(make_first_frame(small, dataclasses.replace(FRAME_REQUEST, model="sdxl")))
    assert not small.lock.locked()


def test_first_frames_have_the_size_of_clips(small: LoadedBackbone) -> None:
    preset = dataclasses.replace(small.preset, width=96, height=32)
    *steps, frame = make_first_frame(dataclasses.replace(small, preset=preset), FRAME_REQUEST)
    assert steps == [Progress(1, 2), Progress(2, 2)]
    assert isinstance(frame, FirstFrame) and frame.image.size == (96, 32) and frame.request == FRAME_REQUEST


def test_all_of_one_call_is_what_single_calls_make(small: LoadedBackbone) -> None:
    """A first frame and two clips from it, each of which says where its first frame came from."""
    other = dataclasses.replace(REQUEST, seed=8)
    events = list(make_takes(small, FRAME_REQUEST, [REQUEST, other], previews=False))
    frame, *clips = [event for event in events if not isinstance(event, Progress)]
    assert [event.step for event in events if isinstance(event, Progress)] == [1, 2] * 3
    *_, alone = make_first_frame(small, FRAME_REQUEST)
    assert np.array_equal(frame.image, alone.image) and frame.request == alone.request
    for clip, request in zip(clips, (REQUEST, other), strict=True):
        expected = clip_of(small, frame.image, starting_from(request, FRAME_REQUEST))
        assert np.array_equal(clip.frames, expected.frames) and clip.metadata == expected.metadata
    assert clips[0].metadata["first_frame_model"] == "base" and clips[0].metadata["first_frame_seed"] == 7


def test_a_closed_clip_frees_the_backbone(small: LoadedBackbone, picture: Image.Image) -> None:
    expected = clip_of(small, picture, REQUEST)
    events = make_clip(small, picture, dataclasses.replace(REQUEST, steps=50))
    next(events)
    assert small.lock.locked()
    events.close()
    assert not small.lock.locked()
    assert np.array_equal(clip_of(small, picture, REQUEST).frames, expected.frames)


def test_a_closed_first_frame_has_stopped_before_the_backbone_is_free(small: LoadedBackbone) -> None:
    """The pass that is under way when the generator is closed must still be under the lock."""
    pipeline = small.first_frame_pipeline("base")
    begun, locked = [], []

    def hold(unet, inputs, output) -> None:
        if locked:
            until(lambda: pipeline.interrupt)
        time.sleep(0.1)
        locked.append(small.lock.locked())

    begins = pipeline.unet.register_forward_pre_hook(lambda unet, inputs: begun.append(True))
    holding = pipeline.unet.register_forward_hook(hold)
    events = make_first_frame(small, dataclasses.replace(FRAME_REQUEST, steps=8))
    next(events)
    until(lambda: len(begun) == 2)
    events.close()
    begins.remove()
    holding.remove()
    assert locked == [True, True] and not small.lock.locked()


@pytest.mark.parametrize("name", ["clip.avi", "clip"])
def test_other_files_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"written as \.mp4 or \.gif, not"):
        save_clip(Clip(np.zeros((2, 16, 16, 3), np.uint8), 8, {}), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


GOOD = dataclasses.asdict(REQUEST) | {"huvidpo": "0.1.0", "steps": 2, "guidance": 4.0}


@pytest.mark.parametrize(
    "metadata, sentence",
    [
        ({}, "holds no settings"),
        (GOOD | {"huvidpo": 3}, "holds no settings"),
        (GOOD | {"prompt": 3}, "holds no settings"),
        (GOOD | {"seed": "x"}, "damaged: seed cannot be read"),
        (GOOD | {"guidance": None}, "damaged: guidance cannot be read"),
        (GOOD | {"steps": float("inf")}, "damaged: steps cannot be read"),
        (GOOD | {"seed": -5}, "whole number from 0"),
        (GOOD | {"first_frame_seed": 2**40}, "whole number from 0"),
        (GOOD | {"category": "../../etc"}, "no category"),
        ({key: value for key, value in GOOD.items() if key != "category"}, "no category ''"),
        (GOOD | {"prompt": "x" * 1001}, "write at most 1000"),
        (GOOD | {"fit": "stretch"}, "no way to fit"),
    ],
)
def test_settings_from_anyone_are_checked(metadata: dict, sentence: str) -> None:
    assert request_from_metadata(GOOD)[1] == dataclasses.replace(REQUEST, guidance=4.0)
    with pytest.raises(ValueError, match=sentence):
        request_from_metadata(metadata)
