"""The package `spaces` itself, as on ZeroGPU but for the card: `python -m tests.real_zero_gpu FOLDER` prints one JSON.

Started by tests/ui/test_zero_gpu.py, as it patches torch for the whole process. Stand-ins: what a CPU build of torch
lacks, the answers of the service that lends cards, and the moves of weights onto one.
"""

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import torch

os.environ |= {"SPACES_ZERO_GPU": "1", "SPACES_ZERO_DEVICE_API_URL": "http://127.0.0.1:1"}
torch.version.cuda = torch.version.cuda or "12.8"
if not hasattr(torch._C, "_cuda_init"):
    torch._C._cuda_init = lambda: None


def _is_in_bad_fork() -> bool:
    return False


_is_in_bad_fork.__module__ = "torch.cuda"  # it is pickled by name
torch.cuda._is_in_bad_fork = _is_in_bad_fork

import spaces  # noqa: E402, F401 - after the stand-ins, and before what it patches is used
from spaces.zero import client  # noqa: E402
from spaces.zero import torch as zero_torch  # noqa: E402
from spaces.zero.api import ScheduleResponse  # noqa: E402

import app  # noqa: E402
from huvidpo.backbones import LoadedBackbone, new_video_unet  # noqa: E402
from huvidpo.models.motion import motion_state_dict  # noqa: E402
from huvidpo.pipelines.image_to_video import ImageToVideoPipeline  # noqa: E402
from huvidpo.presets import BACKBONES, FirstFrameSettings  # noqa: E402
from huvidpo.requests import ClipRequest, FirstFrameRequest  # noqa: E402
from huvidpo.takes import Progress  # noqa: E402
from huvidpo.ui.jobs import MakeTakes  # noqa: E402
from huvidpo.ui.turns import CountedRun  # noqa: E402
from tests.tiny_models import tiny_sd14, tiny_sdxl  # noqa: E402

PROMPT = "a red horse runs on the beach"


def lend_without_a_service(asked: list[float], given_back: list[bool]) -> None:
    """Every call gets a card at once; what was asked for and how it ended is written down."""

    def schedule(task_id, request=None, duration=None, gpu_size=None):
        asked.append(duration.total_seconds())
        return ScheduleResponse(idle=True, nvidiaIndex=0, nvidiaUUID="0", allowToken="0")

    def release(token, *, fail=False, allow_404=False):
        given_back.append(not fail)

    client.schedule, client.release, client.allow = schedule, release, lambda allow_token: None
    zero_torch.unpatch()
    for name in ("init", "move", "unpatch", "enter_mode"):
        setattr(zero_torch, name, lambda *arguments, **named: None)
    zero_torch.size = lambda: 0


def tiny_backbone(folder: Path) -> LoadedBackbone:
    """`sd14` of the real classes, as it is once all is loaded; its card is the CPU."""
    drawn = {"dpo": FirstFrameSettings(128, 128, steps=30, guidance=5.0)}
    preset = replace(BACKBONES["sd14"], width=64, height=64, num_frames=4, first_frames=drawn)
    image = tiny_sd14(folder)
    parts = {name: getattr(image, name) for name in ("vae", "text_encoder", "tokenizer", "scheduler")}
    video = ImageToVideoPipeline(**parts, unet=new_video_unet(image.unet))
    still = {name: value.clone() for name, value in motion_state_dict(video.unet).items()}
    return LoadedBackbone(preset, "cpu", video, still, {"dpo": tiny_sdxl(folder)})


def main(folder: Path) -> None:
    asked: list[float] = []
    given_back: list[bool] = []
    lend_without_a_service(asked, given_back)
    LoadedBackbone.gpu_is_lent = True
    run = CountedRun(app.gpu_runner(tiny_backbone(folder)))
    request = ClipRequest(PROMPT, "horse", adapter="none", seed=1, steps=2)
    steps = run(MakeTakes(FirstFrameRequest(PROMPT, seed=1, steps=2), (request,)))
    frame, clip = (item for item in steps if not isinstance(item, Progress))
    cancelled = run(MakeTakes(frame.image, (replace(request, steps=150),)))
    next(cancelled)
    cancelled.close()
    *_, again = run(MakeTakes(frame.image, (request,)))
    try:
        list(run(MakeTakes(frame.image, (replace(request, steps=500),))))
        refused = ""
    except Exception as error:
        refused = str(error)
    for _ in range(100):
        if not run.active:
            break
        time.sleep(0.1)
    result = {
        "shape": clip.frames.shape,
        "same": bool((clip.frames == again.frames).all()),
        "refused": refused,
        "asked": asked,
        "given_back": given_back,
        "active": run.active,
    }
    print(json.dumps(result), flush=True)
    for worker in psutil.Process().children(recursive=True):  # they would outlive this process, and hold its output
        worker.kill()
    os._exit(0)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
