"""The Space: loads the backbone, builds the page, queues, launches. Knows nothing of what the tabs do."""

import spaces  # isort: skip  (first: on ZeroGPU it must come before everything that touches CUDA)

import argparse
import os
import socket
import sys
from collections.abc import Iterator

import gradio as gr

from huvidpo.backbones import LoadedBackbone, load_backbone
from huvidpo.evaluation.board import SHIPPED
from huvidpo.home import check_home, home
from huvidpo.machine import choice_that_cannot_be, default_backbone
from huvidpo.memory import fixed_mode, on_zero_gpu, unusable_gpu
from huvidpo.preferences.new_pairs import add_starter_pairs
from huvidpo.preferences.pusher import NoPusher, Pusher, push_on_sigterm, start_pusher
from huvidpo.preferences.store import RatingStore
from huvidpo.requests import FirstFrameRequest
from huvidpo.takes import make_clip, make_takes
from huvidpo.training.runs import train_plan
from huvidpo.ui.create import CreateTab
from huvidpo.ui.endpoints import Endpoints
from huvidpo.ui.evaluate import EvaluateTab
from huvidpo.ui.finetune import FinetuneTab
from huvidpo.ui.finetune_needs import seconds_of_slice
from huvidpo.ui.first_start import choose_backbone
from huvidpo.ui.history import EXAMPLES, PAIRS, takes_folder
from huvidpo.ui.jobs import Job, MakeTakes, Run, Step, TrainSlice, before_computing
from huvidpo.ui.making import asked_seconds, pair_quota_words, sampling_seconds
from huvidpo.ui.pair_making import Filler
from huvidpo.ui.rate import RateTab, shown_folder
from huvidpo.ui.rate_layout import visitor_state
from huvidpo.ui.rate_sources import PairSources
from huvidpo.ui.study import StudyPage
from huvidpo.ui.theme import CSS, HERO, TITLE, about, head, theme
from huvidpo.ui.toasts import toasts
from huvidpo.ui.turns import CountedRun

ZERO_GPU = on_zero_gpu()
WAITING = 24  # visitors in the queue; more are told to come back
UPLOAD = "20mb"
AT_ONCE = 4  # visitors whose calls ZeroGPU may serve; a device of one's own serves one


def pairs_ahead() -> int:
    """Pairs made ahead of those who rate, while the model is idle; HUVIDPO_PAIRS_AHEAD, ValueError for no number.

    None on ZeroGPU, where every second is somebody's quota.
    """
    wanted = os.environ.get("HUVIDPO_PAIRS_AHEAD") or "3"
    if not wanted.isdecimal():
        raise ValueError(f"HUVIDPO_PAIRS_AHEAD must be a number of pairs, 0 for none, not {wanted!r}.")
    return 0 if ZERO_GPU else int(wanted)


def gpu_runner(backbone: LoadedBackbone) -> Run:
    """What computes, by a GPU that is lent where it is: ZeroGPU keeps a worker with all weights for each function."""

    def seconds(job: Job) -> int:
        """Asked of ZeroGPU for one call; the page says the same beforehand."""
        if isinstance(job, TrainSlice):
            return seconds_of_slice(backbone, job.plan, job.seconds)
        return asked_seconds(sampling_seconds(backbone, job))

    def compute(job: Job) -> Iterator[Step]:
        """Yields plain data only: on ZeroGPU it crosses from the worker's process into this one."""
        with toasts():
            match job:
                case TrainSlice(plan, time):
                    yield from train_plan(backbone, plan, time)
                case MakeTakes(FirstFrameRequest() as first, clips, previews):
                    yield from make_takes(backbone, first, clips, previews)
                case MakeTakes(picture, clips, previews):
                    for request in clips:
                        yield from make_clip(backbone, picture, request, previews=previews)

    on_lent_gpu = spaces.GPU(duration=seconds)(compute)  # ZeroGPU does not start a program without one

    def run(job: Job) -> Iterator[Step]:
        with toasts():
            yield from before_computing(backbone, job)
        yield from (on_lent_gpu if backbone.gpu_is_lent else compute)(job)

    return run


def build(backbone: LoadedBackbone, store: RatingStore, pusher: Pusher | NoPusher) -> gr.Blocks:
    """The page for a loaded backbone and the ratings that are here; a further tab is one more line."""
    run = CountedRun(gpu_runner(backbone), one_at_a_time=not backbone.gpu_is_lent)
    gpu_events = {"concurrency_id": "gpu", "concurrency_limit": AT_ONCE if backbone.gpu_is_lent else 1}
    filler = Filler(run, store, backbone, pairs_ahead())
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(3600, 86400)) as page:
        gr.HTML(HERO)
        visitor = visitor_state()
        StudyPage(page)
        with gr.Tabs():
            CreateTab(page, visitor, backbone, run, gpu_events)  # one line for each tab
            rate = RateTab(page, visitor, store, pusher, filler, pair_quota_words(backbone))
            PairSources(rate, backbone, run, gpu_events)
            finetune = FinetuneTab(page, backbone, store, run, gpu_events)
            EvaluateTab(backbone, store)
        for button in (finetune.ui.to_rate, finetune.learned.ui.to_rate):
            rate.opened_by(button, finetune.ui.category)
        notes = (unusable_gpu(), choice_that_cannot_be())
        held = fixed_mode(backbone.memory, backbone.memory_modes())
        gr.Markdown(about(backbone.preset, backbone.device, held, notes), elem_id="about")
        Endpoints(backbone, run, gpu_events)
        page.load(None, js="() => openAskedTab()", api_visibility="private")
    return page.queue(max_size=WAITING, default_concurrency_limit=4)


def serve(host: str | None = None, port: int | None = None) -> None:
    """Starts the page and stays until it is stopped. None takes GRADIO_SERVER_NAME and the first free port from 7860.

    Raises ValueError when the port is in use or the weights are missing.
    """
    if port is not None:
        check_port(host or "127.0.0.1", port)
    for note in filter(None, (unusable_gpu(), choice_that_cannot_be())):
        print(f"Warning: {note}", file=sys.stderr)
    pairs_ahead()  # a mistake is told before the weights are loaded
    check_home()
    store, name = RatingStore(home()), default_backbone()  # in this order: a disk that is full is told at once
    if not ZERO_GPU:  # its patched launch takes the weights that are loaded by then
        name, port = choose_backbone(name, host, port)
    backbone = load_backbone(name)
    if ZERO_GPU:  # its workers get the weights that are loaded before the page starts; others they would load anew
        for model in backbone.preset.first_frame_models:
            for _ in backbone.download_first_frames(model):
                pass
            backbone.take_turn(backbone.first_frame_pipeline(model))
    add_starter_pairs(store, PAIRS, name)
    pusher = start_pusher(store)
    push_on_sigterm(pusher)
    evaluated = [str(home() / "evaluations"), str(SHIPPED)]
    build(backbone, store, pusher).launch(
        server_name=host,
        server_port=port,
        theme=theme(),
        css_paths=CSS,
        head=head(),
        ssr_mode=False,
        run_history=False,
        footer_links=["api", "settings"],
        allowed_paths=[str(takes_folder()), str(EXAMPLES), str(shown_folder()), *evaluated],
        max_file_size=UPLOAD,
        show_error=True,
        _frontend=False,  # no second look at the page, whose limit of 3 s a busy machine misses: the server is up
    )


def check_port(host: str, port: int) -> None:
    """ValueError when nothing can listen there; asked before the weights are loaded."""
    if not 0 < port < 65536:
        raise ValueError(f"The port must be from 1 to 65535, not {port}.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = error.strerror or str(error)
            message = f"Port {port} on {host} cannot be used ({reason}); choose another with --port."
            raise ValueError(message) from error


def main() -> int:
    parser = argparse.ArgumentParser(description="Starts the page.")
    parser.add_argument("--host", help="address to listen on; 0.0.0.0 is the whole network (default: this machine)")
    parser.add_argument("--port", type=int, help="default: the first free one from 7860")
    arguments = parser.parse_args()
    try:
        serve(arguments.host, arguments.port)
    except (ValueError, OSError) as error:  # Gradio's, when every port that it tries is taken, is an OSError
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
