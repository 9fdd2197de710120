"""The page's work under ZeroGPU's rules, with `sd14` of the real classes at tiny size: Create, Rate, Fine-tune."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import app
from huvidpo.adapter_weights import save_motion_adapter
from huvidpo.adapters import read_adapter
from huvidpo.backbones import LoadedBackbone
from huvidpo.models.motion import motion_parameters, motion_state_dict
from huvidpo.models.video_unet import VideoUNet
from huvidpo.pipelines.image_to_video import ImageToVideoPipeline
from huvidpo.preferences.own_clips import read_own_clips
from huvidpo.preferences.records import Pair
from huvidpo.preferences.store import RatingStore
from huvidpo.presets import BACKBONES, FirstFrameSettings
from huvidpo.requests import ClipRequest, FirstFrameRequest
from huvidpo.takes import Clip
from huvidpo.training.preference_settings import preset_settings
from huvidpo.training.runs import RunPlan
from huvidpo.ui.history import open_take
from huvidpo.ui.jobs import MakeTakes, TrainSlice
from huvidpo.ui.making import draw_first_frame, estimate, make_take, pair_quota_words
from huvidpo.ui.pair_making import make_pair
from huvidpo.video import read_frames, write_mp4
from tests.tiny_models import tiny_sd14, tiny_sdxl
from tests.ui.test_create import FORM
from tests.zero_gpu import ZeroGPU

pytestmark = pytest.mark.slow
PROMPT = "a red horse runs on the beach"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sd14(tmp_path_factory: pytest.TempPathFactory) -> LoadedBackbone:
    """As `load_backbone("sd14")` gives it, but for the sizes; all first-frame models are there before the page is."""
    drawn = dict.fromkeys(("dpo", "base"), FirstFrameSettings(128, 128, steps=30, guidance=5.0))
    preset = replace(BACKBONES["sd14"], width=64, height=64, num_frames=8, first_frames=drawn)
    folder = tmp_path_factory.mktemp("words")
    image = tiny_sd14(folder)
    video = ImageToVideoPipeline(
        vae=image.vae,
        text_encoder=image.text_encoder,
        tokenizer=image.tokenizer,
        unet=VideoUNet.from_unet2d(image.unet).eval().requires_grad_(False),
        scheduler=image.scheduler,
    )
    still = {name: value.clone() for name, value in motion_state_dict(video.unet).items()}
    return LoadedBackbone(preset, "cpu", video, still, {"dpo": tiny_sdxl(folder), "base": tiny_sdxl(folder)})


@pytest.fixture
def zero_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[ZeroGPU]:
    emulated = ZeroGPU()
    monkeypatch.setattr(app.spaces, "GPU", emulated)
    monkeypatch.setattr(LoadedBackbone, "gpu_is_lent", True)
    yield emulated
    emulated.end_worker()


@pytest.fixture
def run(zero_gpu: ZeroGPU, sd14: LoadedBackbone, own_home: Path, tmp_path: Path) -> Callable:
    """The one decorated function, and an adapter of the action to be normalised away again."""
    unet, before = sd14.video.unet, {name: value.clone() for name, value in motion_state_dict(sd14.video.unet).items()}
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in motion_parameters(unet).values():
            parameter += torch.randn(parameter.shape, generator=generator)
    folder = own_home / "adapters" / "sd14" / "horse" / "gallop"
    save_motion_adapter(unet, folder, {"backbone": "sd14", "category": "horse"})
    with torch.no_grad():
        for name, parameter in motion_parameters(unet).items():
            parameter.copy_(before[name])
    return app.gpu_runner(sd14)


def clip_of(run: Callable, adapter: str) -> np.ndarray:
    *_, frame = run(MakeTakes(FirstFrameRequest(PROMPT, seed=3, steps=1)))
    *_, clip = run(MakeTakes(frame.image, (ClipRequest(PROMPT, "horse", adapter=adapter, seed=3, steps=2),)))
    assert isinstance(clip, Clip)
    return clip.frames


def test_create_on_a_used_worker_is_create_on_a_fresh_one(run: Callable, zero_gpu: ZeroGPU) -> None:
    """One decorated function, and every call brings its worker's networks to its own adapter first."""
    still = clip_of(run, "none")
    moving = clip_of(run, "gallop")
    assert not np.array_equal(still, moving)
    assert np.array_equal(clip_of(run, "none"), still) and len(zero_gpu.workers) == 1
    zero_gpu.end_worker()
    assert np.array_equal(clip_of(run, "none"), still) and len(zero_gpu.workers) == 2
    assert zero_gpu.decorated == ["compute"]
    form = replace(FORM, frame_model="dpo", adapter="gallop", frame_steps=1, steps=1)
    *_, view = make_take(run, form)
    assert read_frames(open_take(view.take).clip)[0].shape == (8, 64, 64, 3)
    assert all(10 < seconds < 600 for seconds in zero_gpu.asked_seconds)


def test_the_page_says_what_is_asked_for(
    run: Callable, zero_gpu: ZeroGPU, sd14: LoadedBackbone, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first frame with its clip, and with both takes of a pair, is one call, which is asked for and started once.

    Quota counts what is asked for, 1.5 times on the cards of today.
    """
    form = replace(FORM, frame_model="dpo", frame_steps=3, steps=2)
    said = estimate(sd14, form)
    *_, view = make_take(run, form)
    *_, _frame = draw_first_frame(run, form)
    *_, _pair = make_pair(run, sd14.preset, RatingStore(own_home), PROMPT, "horse", "queue")
    both, frame, pair = zero_gpu.asked_seconds
    assert f" Both ask for {round(1.5 * both)} s of your quota." in said
    assert said.endswith(f" Another first frame asks for {round(1.5 * frame)} s of your quota.")
    assert pair_quota_words(sd14) == f"A pair asks for {round(1.5 * pair)} s of your quota."
    monkeypatch.setattr(LoadedBackbone, "gpu_is_lent", False)
    assert "quota" not in estimate(sd14, form) + pair_quota_words(sd14)


def test_what_makes_no_sense_is_refused_before_a_gpu_is_asked_for(run: Callable, zero_gpu: ZeroGPU) -> None:
    """A call that fails costs its quota, and ZeroGPU ends the warm worker."""
    picture = Image.new("RGB", (64, 64))
    for job, words in (
        (MakeTakes(FirstFrameRequest(PROMPT, steps=500)), "number of steps"),
        (MakeTakes(FirstFrameRequest(PROMPT, model="base-xl")), "first-frame model must be"),
        (MakeTakes(picture, (ClipRequest(PROMPT, "horse", adapter="trot"),)), "no adapter"),
        (MakeTakes(picture, (ClipRequest(PROMPT, "horse", guidance=900.0),)), "guidance must be"),
        (MakeTakes(FirstFrameRequest(PROMPT), (ClipRequest(PROMPT, "horse", adapter="trot"),)), "no adapter"),
    ):
        with pytest.raises(gr.Error, match=words):
            list(run(job))
    assert zero_gpu.asked_seconds == []


def test_what_people_can_act_on_keeps_its_words(run: Callable, own_home: Path) -> None:
    """Weights of another network, which only the worker finds out."""
    broken = own_home / "adapters" / "sd14" / "horse" / "broken"
    shutil.copytree(broken.with_name("gallop"), broken)
    save_file({"mid_block.strange": torch.zeros(2)}, broken / "motion.safetensors")
    with pytest.raises(gr.Error, match="broken"):
        clip_of(run, "broken")
    assert clip_of(run, "none").shape == (8, 64, 64, 3)


@pytest.mark.skipif(sys.platform != "linux", reason="ZeroGPU forks, on Linux")
def test_the_package_of_zero_gpu_itself_runs_the_function(own_home: Path, tmp_path: Path) -> None:
    """A first frame with its clip, a clip that is cancelled, the same one again; what makes no sense asks for none."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "ZEROGPU_OFFLOAD_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "tests.real_zero_gpu", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert (
        said["shape"] == [4, 64, 64, 3] and said["same"] and "number of steps must be from 1 to 200" in said["refused"]
    )
    both, _, clip = said["asked"]
    assert both > clip and said["given_back"] == [True] * 3
    assert said["active"] == 0


def test_rate_gets_its_pair(run: Callable, sd14: LoadedBackbone, own_home: Path) -> None:
    store = RatingStore(own_home)
    *_, pair = make_pair(run, sd14.preset, store, PROMPT, "horse", "queue", against="gallop")
    assert isinstance(pair, Pair) and {pair.a.adapter, pair.b.adapter} == {"gallop", "none"}
    assert pair.a.backbone == "sd14" and store.video_path(pair.a.sha256).is_file()


def test_fine_tune_learns_in_slices_on_any_worker(
    run: Callable, zero_gpu: ZeroGPU, own_home: Path, tmp_path: Path
) -> None:
    """The second slice, on a fresh worker, goes on where the first one stopped; the adapter is on this side's disk."""
    for side, speed in (("chosen", 4), ("rejected", 0)):
        (tmp_path / "own" / side).mkdir(parents=True)
        frames = np.zeros((8, 64, 64, 3), np.uint8)
        for i in range(8):
            frames[i, :, speed * i : speed * i + 16] = 255
        write_mp4(frames, tmp_path / "own" / side / "a.mp4", 8)
    settings = replace(preset_settings("recommended", "dpo", 1e-4), steps=3, rank=2, alpha=2.0, guard=False)
    examples = read_own_clips(tmp_path / "own", "dpo", "horse run", False, 0)
    start, out = (
        own_home / "adapters" / "sd14" / "horse" / "gallop",
        own_home / "adapters" / "sd14" / "horse" / "dpo-1",
    )
    plan = RunPlan(
        "horse", "recommended", settings, examples, read_adapter(start), tmp_path / "work", out, validation_clips=0
    )
    slices = [list(run(TrainSlice(plan, 0.0))) for _ in range(3)]  # without time: two clips are encoded, then a step
    assert [len(events) for events in slices] == [1, 1, 1] and slices[2][0].step == 1
    zero_gpu.end_worker()
    *rest, learned = run(TrainSlice(plan, 600.0))
    assert [record.step for record in rest] == [2, 3] and len(zero_gpu.workers) == 2
    assert learned == read_adapter(out) and learned.card["steps"] == 3 and learned.parents()[0].name == "gallop"
    assert clip_of(run, "dpo-1").shape == (8, 64, 64, 3)
