"""Stage 1: a category's motion from a few clips, as in LAMP (arXiv 2310.10769). Knows no files but its own."""

import hashlib
import inspect
import json
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from diffusers import DDIMInverseScheduler, DDIMScheduler
from diffusers.training_utils import EMAModel
from torch import Tensor

from huvidpo.atomic import write_whole
from huvidpo.home import CHECKPOINT
from huvidpo.memory import GIGABYTE
from huvidpo.models.motion import motion_parameters
from huvidpo.models.precision import check_can_learn_motion, mixed_precision
from huvidpo.models.video_unet import VideoUNet
from huvidpo.pipelines.image_to_video import ImageToVideoPipeline
from huvidpo.pipelines.latents import with_first_frame
from huvidpo.pipelines.text import encode_text
from huvidpo.training.clips import EncodedClip, TrainingClip, encode_both_ways
from huvidpo.training.diffusion import denoising_target, draw_timesteps
from huvidpo.training.gradient_checkpointing import recompute_as_needed
from huvidpo.training.loop import Clock, StepRecord, load_state, new_ema, run_steps, save_atomically
from huvidpo.training.losses import denoising_error
from huvidpo.training.motion_settings import BEGUN_WITH, FREE_TO_CHANGE, MotionSettings, Origin, begun_with
from huvidpo.training.muon import MuonAdamW
from huvidpo.training.processes import copy_from_first, own_share, process_number

DDIM_NAMES = inspect.signature(DDIMInverseScheduler).parameters  # Stable Diffusion's file is another scheduler's


def motion_loss(
    unet: VideoUNet, scheduler: DDIMScheduler, latents: Tensor, noise: Tensor, timesteps: Tensor, text: Tensor
) -> Tensor:
    """Stage-1 loss, latents and noise (b c f h w), one timestep per clip (b,), text (b n d) -> ().

    Frame 0 stays clean, as it will when sampling, and is left out of the mean squared error.
    """
    noisy = with_first_frame(scheduler.add_noise(latents, noise, timesteps), latents[:, :, 0])
    prediction = unet(noisy, timesteps, text).sample
    target = denoising_target(scheduler, latents, noise, timesteps)
    return denoising_error(prediction, target, first_index=1).mean()


@torch.no_grad()
def invert(unet: VideoUNet, scheduler: DDIMScheduler, latents: Tensor, text: Tensor, steps: int) -> Tensor:
    """The noise that DDIM would make `latents` (b c f h w) from, with frame 0 clean; text (b n d) without guidance.

    DDIM (arXiv 2010.02502) run backwards, as the paper's text has it; the published code draws noise at random.
    """
    halved = unet.dtype != torch.float32  # as on a GPU, where the trained weights are in single precision
    inverse = DDIMInverseScheduler.from_config(
        {name: value for name, value in scheduler.config.items() if name in DDIM_NAMES}
    )
    inverse.set_timesteps(steps)
    noise = latents
    for timestep in inverse.timesteps:
        with mixed_precision(latents.device.type, wanted=halved):
            prediction = unet(with_first_frame(noise, latents[:, :, 0]), timestep, text).sample.float()
        noise = inverse.step(prediction, timestep, noise).prev_sample
    return noise


def train_motion(
    pipeline: ImageToVideoPipeline,
    clips: list[TrainingClip],
    settings: MotionSettings,
    work: Path,
    origin: Origin | None = None,
) -> Iterator[StepRecord]:
    """Trains the motion parts of `pipeline.unet` in place, from what they are now; yields a record per step.

    Checkpoints go to `work`; a run that finds one there continues it, and ends with the same weights as a run that
    was never interrupted (but for `minutes`). At the end the UNet holds the averaged weights. Several processes share
    the clips of every step and end with the same weights; the first one writes the checkpoints. Raises ValueError when
    there are fewer clips in a step than processes, and when `work` holds a run of other clips, settings or `origin`.
    """
    rank, processes = process_number()
    if settings.clips_per_step < processes:
        raise ValueError(f"{processes} processes need {processes} clips per step at least: add --clips-per-step.")
    unet, device, frozen = pipeline.unet, pipeline.device, pipeline.unet.dtype
    check_can_learn_motion(unet)
    encoded = encode_clips(pipeline, clips)
    trained = prepare(unet)
    copy_from_first(trained.values())
    empty = encode_text(pipeline.text_encoder, pipeline.tokenizer, [""]).detach()[0].cpu()
    own_clips, size = len(own_share(range(settings.clips_per_step))), encoded[0].latents.shape[-2:]
    recompute_as_needed(unet, own_clips, settings.num_frames, *size, gigabytes_beside(unet))
    optimizer = new_optimizer(settings.optimizer, trained)
    average = new_ema(trained.values(), settings.average_decay)
    begin(work, settings, clips, origin)
    first, clock = resume(work / CHECKPOINT, trained, optimizer, average, settings)

    def loss_of(step: int) -> Tensor:
        latents, noise, timesteps, text = draw_batch(pipeline, encoded, empty, settings, step)
        with mixed_precision(device.type):
            loss = motion_loss(unet, pipeline.scheduler, latents, noise, timesteps, text)
        return loss * (len(latents) / settings.clips_per_step)  # summed over processes: the mean over the step's clips

    def save(step: int) -> None:
        if rank == 0:
            checkpoint(work / CHECKPOINT, trained, optimizer, average, step, clock.seconds())

    try:
        average_now = partial(average.step, list(trained.values()))
        yield from run_steps(loss_of, optimizer, settings.learning_rate, clock, first, average_now, save)
        average.copy_to(trained.values())
    finally:
        unet.disable_gradient_checkpointing()
        unet.requires_grad_(False).eval()
        for parameter in trained.values():  # as it came: to make clips with
            parameter.data = parameter.data.to(frozen)


def new_optimizer(name: str, trained: dict[str, torch.nn.Parameter]) -> torch.optim.Optimizer | MuonAdamW:
    """The optimizer of a run. Raises ValueError for an unknown name."""
    if name not in ("adamw", "muon"):
        raise ValueError(f"The optimizer must be 'adamw' or 'muon', not {name!r}.")
    if name == "muon":
        return MuonAdamW(trained.items())
    fused = all(parameter.is_cuda for parameter in trained.values())  # a third of the memory traffic
    return torch.optim.AdamW(trained.values(), weight_decay=1e-2, fused=fused)


def prepare(unet: VideoUNet) -> dict[str, torch.nn.Parameter]:
    """Freezes the UNet but for its motion parts, which go to single precision; gives those by name."""
    unet.requires_grad_(False).train()
    trained = motion_parameters(unet)
    for parameter in trained.values():
        parameter.data = parameter.data.float()
        parameter.requires_grad_(True)
    return trained


def gigabytes_beside(unet: VideoUNet) -> float:
    """What a step holds beside weights and activations.

    That is the gradient, two numbers of Adam and the average of what is trained; and of frozen weights in float16 the
    copies in bfloat16 that autocast keeps for the backward pass.
    """
    trained = [weight for weight in unet.parameters() if weight.requires_grad]
    copied = [weight for weight in unet.parameters() if not weight.requires_grad and weight.dtype == torch.float16]
    return (4 * sum(weight.nbytes for weight in trained) + sum(weight.nbytes for weight in copied)) / GIGABYTE


def encode_clips(pipeline: ImageToVideoPipeline, clips: list[TrainingClip]) -> list[EncodedClip]:
    """Latents and text of every clip, computed once."""
    prompts = [clip.prompt for clip in clips]
    with torch.no_grad():
        texts = encode_text(pipeline.text_encoder, pipeline.tokenizer, prompts)
    both_ways = [encode_both_ways(pipeline.vae, clip.frames) for clip in clips]
    return [EncodedClip(**both, text=text.cpu()) for both, text in zip(both_ways, texts, strict=True)]


def draw_batch(
    pipeline: ImageToVideoPipeline, encoded: list[EncodedClip], empty: Tensor, settings: MotionSettings, step: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Latents and noise (b c f h w), timesteps (b,) and text (b n d) of a step; its number decides all of them.

    The batch is this process's share of the step's clips.
    """
    generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + step)
    order = torch.randint(0, len(encoded), (settings.clips_per_step,), generator=generator)
    chosen = [encoded[i] for i in order]
    latents = torch.stack([clip.random_window(settings.num_frames, generator, settings.mirror) for clip in chosen])
    dropped = torch.rand(len(chosen), generator=generator) < settings.caption_dropout
    text = torch.stack([empty if drop else clip.text for clip, drop in zip(chosen, dropped, strict=True)])
    timesteps = draw_timesteps(pipeline.scheduler, len(chosen), generator)
    noise = torch.randn(latents.shape, generator=generator)
    own, device = own_share(range(len(chosen))), pipeline.device
    latents, noise, timesteps, text = (x[own].to(device) for x in (latents, noise, timesteps, text))
    if settings.inverted_latents:
        noise = invert(pipeline.unet, pipeline.scheduler, latents, empty.to(device).expand_as(text), steps=10)
    return latents, noise, timesteps, text


def checkpoint(
    path: Path,
    trained: dict,
    optimizer: torch.optim.Optimizer | MuonAdamW,
    average: EMAModel,
    step: int,
    seconds: float,
) -> None:
    """Everything that continuing needs; randomness needs nothing, it follows from the step's number."""
    weights = {name: parameter.detach() for name, parameter in trained.items()}
    state = {"weights": weights, "optimizer": optimizer.state_dict(), "average": average.shadow_params}
    save_atomically(state | {"step": step, "seconds": seconds}, path)


def begin(work: Path, settings: MotionSettings, clips: list[TrainingClip], origin: Origin | None = None) -> None:
    """Writes down what a run is made of. ValueError when `work` holds one that is made of something else."""
    before, digest = begun_with(work), hashlib.sha256()
    for clip in clips:
        digest.update(clip.frames.tobytes() + clip.prompt.encode())
    now = asdict(settings) | (asdict(origin) if origin else {}) | {"clips": digest.hexdigest()}
    other = [name for name in before if name not in FREE_TO_CHANGE and before[name] != now.get(name)]
    if other and (work / CHECKPOINT).exists():
        words = ", ".join(name.replace("_", " ") for name in other)
        raise ValueError(f"{work} holds a run with other {words}: give the same, or another output folder.")
    if process_number()[0] == 0:
        work.mkdir(parents=True, exist_ok=True)
        write_whole(work / BEGUN_WITH, json.dumps(now))


def steps_done(work: Path) -> int:
    """How many steps the run in `work` has made."""
    state = load_state(work / CHECKPOINT)
    return state["step"] if state else 0


def resume(
    path: Path,
    trained: dict,
    optimizer: torch.optim.Optimizer | MuonAdamW,
    average: EMAModel,
    settings: MotionSettings,
) -> tuple[int, Clock]:
    """Puts a checkpoint back, where there is one; gives the next step and the clock.

    Raises ValueError when the checkpoint is of another network.
    """
    clock = Clock(settings.steps, settings.minutes)
    if (state := load_state(path)) is None:
        return 0, clock
    if state["weights"].keys() != trained.keys():
        raise ValueError(f"{path} is the checkpoint of another network; give another output folder.")
    with torch.no_grad():
        for name, parameter in trained.items():
            parameter.copy_(state["weights"][name])
    optimizer.load_state_dict(state["optimizer"])
    average.shadow_params = [value.to(next(iter(trained.values())).device) for value in state["average"]]
    average.optimization_step, clock.spent = state["step"], state["seconds"]
    return state["step"], clock
