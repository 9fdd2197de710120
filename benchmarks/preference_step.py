"""Time and memory of one preference step against the plain form: `python benchmarks/preference_step.py`. Linux, macOS.

The plain form is what the published code does: a deep copy of the network as the reference, four forward passes one by
one (all with a graph), clips encoded anew in every step. Ours has the reference in the same network with its adapter
off, winner and loser in one pass, latents and text encoded once, and, with `kept`, the reference's errors as well. All
forms compute in the same precision. Every form runs in a process of its own; peak memory is what the process grew by
while it trained. Seconds are those of the clock, and those of the processor, which other programs disturb less.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
FORMS = {
    "plain": "deep copy, four passes, encoding in every step",
    "together": "adapter off, members in one pass",
    "apart": "adapter off, members one by one, exact",
    "kept": "as together, reference errors kept from the first time on",
    "kept, apart": "as apart, reference errors kept",
}


COLUMNS = {"seconds": "8.2f", "busy": "8.2f", "memory": "7.0f"}


def measure(form: str, steps: int, size: str) -> dict[str, float]:
    """Runs in the fresh process: seconds and processor seconds of a step (medians), growth of peak memory in MB."""
    import torch

    from huvidpo.training.preference_settings import PreferenceSettings

    torch.manual_seed(0)
    pipeline, clips = new_pipeline(size)
    before = peak_memory()
    settings = PreferenceSettings(
        "dpo", 500, 1e-5, rank=16, mirror=False, members="apart" if "apart" in form else "together"
    )
    step = plain_step(pipeline, clips) if form == "plain" else own_step(pipeline, clips, settings, "kept" in form)
    seconds, busy = [], []
    for _ in range(steps + 1):
        start, start_busy = time.perf_counter(), time.process_time()
        step()
        seconds.append(time.perf_counter() - start)
        busy.append(time.process_time() - start_busy)
    middle = {"seconds": statistics.median(seconds[1:]), "busy": statistics.median(busy[1:])}
    return middle | {"memory": peak_memory() - before}


def peak_memory() -> float:
    """The most memory that this process has had so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**10 if sys.platform == "linux" else 2**20)


def new_pipeline(size: str):
    """An untrained network of pocket's size (or a narrow one, to try this program) and two clips of frames."""
    import tempfile

    import numpy as np
    from diffusers import UNet2DConditionModel

    from huvidpo.models.video_unet import VideoUNet
    from huvidpo.pipelines.image_to_video import ImageToVideoPipeline
    from huvidpo.pocket.autoencoder import PatchAutoencoderKL
    from huvidpo.pocket.components import new_scheduler, new_text_encoder, new_tokenizer, new_unet

    with tempfile.TemporaryDirectory() as folder:
        tokenizer = new_tokenizer(Path(folder))
    image = new_unet()
    if size == "narrow":
        image = UNet2DConditionModel.from_config(image.config, block_out_channels=(32, 64))
    pipeline = ImageToVideoPipeline(
        vae=PatchAutoencoderKL().eval().requires_grad_(False),
        text_encoder=new_text_encoder(tokenizer).eval().requires_grad_(False),
        tokenizer=tokenizer,
        unet=VideoUNet.from_unet2d(image).eval(),
        scheduler=new_scheduler(),
    )
    generator = np.random.default_rng(0)
    return pipeline, [generator.integers(0, 255, (16, 128, 128, 3), np.uint8) for _ in range(2)]


def plain_step(pipeline, clips):
    """One step as published: everything anew, the reference a copy."""
    import copy

    import torch
    import torch.nn.functional as F
    from einops import rearrange

    from huvidpo.models.precision import mixed_precision
    from huvidpo.pipelines.latents import encode_frames, frames_to_tensor, with_first_frame
    from huvidpo.pipelines.text import encode_text
    from huvidpo.training.diffusion import denoising_target
    from huvidpo.training.reference import add_policy

    policy, scheduler = pipeline.unet, pipeline.scheduler
    reference = copy.deepcopy(policy)
    trained = list(add_policy(policy, 16, 16.0, 0.0, seed=0).values())
    optimizer = torch.optim.AdamW(trained, lr=1e-5)

    def step() -> None:
        timestep, noise = torch.randint(0, 1000, (1,)), None
        with torch.no_grad():
            text = encode_text(pipeline.text_encoder, pipeline.tokenizer, ["a red horse runs on the beach"])
        errors = []
        for clip in clips:
            with torch.no_grad():
                latents = rearrange(encode_frames(pipeline.vae, frames_to_tensor(clip)), "f c h w -> 1 c f h w")
            noise = torch.randn_like(latents) if noise is None else noise
            noisy = with_first_frame(scheduler.add_noise(latents, noise, timestep), latents[:, :, 0])
            target = denoising_target(scheduler, latents, noise, timestep)
            for network in (policy, reference):
                with mixed_precision(network.device.type):
                    prediction = network(noisy, timestep, text).sample.float()
                errors.append(F.mse_loss(prediction[:, :, 1:], target[:, :, 1:]))
        inside = -250 * ((errors[0] - errors[1]) - (errors[2] - errors[3]))
        optimizer.zero_grad(set_to_none=True)
        (-F.logsigmoid(inside)).backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()

    return step


def own_step(pipeline, clips, settings, kept: bool):
    """One step as `train_preference` does it, on examples that are encoded already."""
    import torch

    from huvidpo.training.clips import EncodedClip, encode_both_ways
    from huvidpo.training.examples import EncodedExamples, Example, draw_batch, encode_prompt
    from huvidpo.training.loop import apply_gradients
    from huvidpo.training.preference_step import accumulate_gradients
    from huvidpo.training.reference import add_policy

    text = encode_prompt(pipeline, "a red horse runs on the beach")
    pair = tuple(EncodedClip(**encode_both_ways(pipeline.vae, clip), text=text) for clip in clips)
    encoded = EncodedExamples((Example(pair, (1,) * 4),), (), text)
    trained = list(add_policy(pipeline.unet, 16, 16.0, 0.0, seed=0).values())
    optimizer = torch.optim.AdamW(trained)
    numbers, errors = iter(range(10**6)), None

    def step() -> None:
        nonlocal errors
        batch = draw_batch(encoded, pipeline.scheduler, settings, 16, [next(numbers)])
        known = errors if kept else None  # of another draw, which changes the numbers and not the time
        _, errors = accumulate_gradients(
            pipeline.unet, pipeline.scheduler, batch, settings, 1.0, reference_errors=known
        )
        apply_gradients(optimizer, 1e-5, 1.0, 0.0)

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=5, help="of each form, after one that does not count")
    parser.add_argument("--size", choices=["pocket", "narrow"], default="pocket")
    parser.add_argument("--forms", nargs="+", choices=list(FORMS), default=list(FORMS), metavar="FORM")
    parser.add_argument("--only", choices=list(FORMS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(measure(arguments.only, arguments.steps, arguments.size)))
        return
    found: dict[str, dict[str, float]] = {}
    load = os.getloadavg()[0]
    print(f"one pair of 16 frames, network {arguments.size}, load of the machine at the start {load:.1f}")
    print(f"{'form':12} {'s/step':>8} {'ratio':>6} {'cpu s':>8} {'ratio':>6} {'MB':>7} {'ratio':>6}")
    for form in arguments.forms:
        command = [sys.executable, __file__, "--only", form, "--steps", str(arguments.steps), "--size", arguments.size]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        row = found[form] = json.loads(done.stdout.splitlines()[-1])
        base = found[arguments.forms[0]]
        columns = [f"{row[name]:{width}} {row[name] / base[name]:6.2f}" for name, width in COLUMNS.items()]
        print(f"{form:12} {' '.join(columns)}  {FORMS[form]}", flush=True)


if __name__ == "__main__":
    main()
