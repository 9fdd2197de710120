"""Seconds and memory of `pocket` from a prompt to a clip: `python benchmarks/pocket.py`. Linux and macOS.

Cold counts from the start of a fresh process (imports, weights, first use); warm is the median of later takes in the
same process. The page's time runs from starting `app.py` until it answers.
"""

import argparse
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROMPTS = {"horse": "a red horse runs on the beach", "firework": "green fireworks over the mountains"}


def measure_takes(repeats: int) -> dict[str, float]:
    """Runs in the fresh process: seconds of loading, of the first take and of later ones; peak memory."""
    start = time.perf_counter()
    import torch

    from huvidpo.backbones import load_backbone
    from huvidpo.requests import ClipRequest, FirstFrameRequest
    from huvidpo.takes import make_clip, make_first_frame

    imported = time.perf_counter()
    backbone = load_backbone("pocket")
    loaded = time.perf_counter()
    frame_seconds, clip_seconds = [], []
    for i in range(repeats + 1):
        category, prompt = list(PROMPTS.items())[i % len(PROMPTS)]
        begin = time.perf_counter()
        *_, frame = make_first_frame(backbone, FirstFrameRequest(prompt, seed=i))
        middle = time.perf_counter()
        for _ in make_clip(backbone, frame.image, ClipRequest(prompt, category, seed=i)):
            pass
        frame_seconds.append(middle - begin)
        clip_seconds.append(time.perf_counter() - middle)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "linux" else 2**30)
    return {
        "threads": torch.get_num_threads(),
        "imports, s": imported - start,
        "load, s": loaded - imported,
        "first take, s": frame_seconds[0] + clip_seconds[0],
        "first frame warm, s": statistics.median(frame_seconds[1:]),
        "clip warm, s": statistics.median(clip_seconds[1:]),
        "peak memory, GB": memory,
    }


def measure_page() -> float:
    """Seconds from starting the page's process until it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    start = time.perf_counter()
    command = [sys.executable, "app.py", "--port", str(port)]
    page = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while time.perf_counter() - start < 300:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).read()
                return time.perf_counter() - start
            except OSError:
                time.sleep(0.1)
        raise SystemExit("The page did not answer within 300 s.")
    finally:
        page.terminate()
        page.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=4, help="warm takes")
    parser.add_argument("--takes-only", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.takes_only:
        print(json.dumps(measure_takes(arguments.repeats)))
        return
    command = [sys.executable, __file__, "--takes-only", "--repeats", str(arguments.repeats)]
    begin = time.perf_counter()
    answer = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=True)
    figures = json.loads(answer.stdout.splitlines()[-1])
    figures["whole process, s"] = time.perf_counter() - begin
    figures["page ready, s"] = measure_page()
    for name, value in figures.items():
        print(f"{name:24} {value:8.2f}")


if __name__ == "__main__":
    main()
