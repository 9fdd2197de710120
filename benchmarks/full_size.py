"""Speed of the video network and of prompt to clip against diffusers' AnimateDiff: `python benchmarks/full_size.py`.

At full size (Stable Diffusion 1.4, 512x320, 16 frames, bfloat16) where there is a GPU, else at a reduced size on the
CPU; all weights are random. Forms of one network take turns in every round and are compared within it, so that
other programs slow all of them alike. The plain form (plain_layers.py) is the published one of the same layers; it has
the weights of ours and must give the same output before anything is timed. At full size AnimateDiff's clip is compared
with ours and a first frame of SD 1.5's size, which `dpo-small` has.
"""

import argparse
import copy
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import diffusers
import torch
from bounds import now, print_bounds
from diffusers import (
    AnimateDiffPipeline,
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
    UNetMotionModel,
)
from plain_layers import plain_form
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from huvidpo.models.motion import motion_parameters
from huvidpo.models.video_unet import VideoUNet
from huvidpo.pipelines.image_to_video import ImageToVideoPipeline
from huvidpo.pocket.components import new_tokenizer
from huvidpo.recipes import Recipe

BASE = "VideoUNet"
PROMPT = "a red horse runs on the beach"


@dataclass(frozen=True)
class Size:
    """What is timed: networks, clips, steps."""

    channels: tuple[int, ...]
    layers: int
    groups: int  # of the norms
    text: int
    autoencoder: tuple[int, ...]
    frames: int
    rows: int  # of latents, an eighth of the pixels
    columns: int
    steps: int
    dtype: torch.dtype

    def unet(self) -> dict:
        """The settings that all UNet classes share."""
        return {
            "block_out_channels": self.channels,
            "layers_per_block": self.layers,
            "norm_num_groups": self.groups,
            "cross_attention_dim": self.text,
        }

    def image_unet(self) -> dict:
        """Those of the image UNet and of ours; the last level has no attention."""
        attended = len(self.channels) - 1
        return self.unet() | {
            "sample_size": self.columns,
            "down_block_types": ("CrossAttnDownBlock2D",) * attended + ("DownBlock2D",),
            "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * attended,
            "attention_head_dim": 8,  # the number of heads, in SD 1.x's configuration
        }

    def motion_unet(self) -> dict:
        """Those of AnimateDiff's."""
        attended = len(self.channels) - 1
        return self.unet() | {
            "down_block_types": ("CrossAttnDownBlockMotion",) * attended + ("DownBlockMotion",),
            "up_block_types": ("UpBlockMotion",) + ("CrossAttnUpBlockMotion",) * attended,
            "num_attention_heads": 8,
            "use_motion_mid_block": False,
        }


SIZES = {
    "reduced": Size((64, 128), 1, 16, 64, (16, 16, 16, 16), 16, 16, 16, 2, torch.float32),
    "full": Size((320, 640, 1280, 1280), 2, 32, 768, (128, 256, 512, 512), 16, 40, 64, 10, torch.bfloat16),
}


def new_networks(size: Size, device: str, compiled: bool) -> dict[str, nn.Module]:
    """One network in its forms, and AnimateDiff's; its temporal parts are not the identity that they start as."""
    unet = VideoUNet(**size.image_unet())
    with torch.no_grad():
        for parameter in motion_parameters(unet).values():
            parameter.add_(0.02 * torch.randn_like(parameter))
    unet.to(device, size.dtype).eval()
    first = copy.deepcopy(unet)
    first.set_attention("first")
    motion = UNetMotionModel(**size.motion_unet()).to(device, size.dtype).eval()
    networks = {BASE: unet, "attention to frame 0": first, "plain form": plain_form(unet), "UNetMotionModel": motion}
    return networks | (compiled_form(unet, size, device) if compiled else {})


def compiled_form(unet: VideoUNet, size: Size, device: str) -> dict[str, nn.Module]:
    """A copy whose repeated blocks are compiled. None where that fails: the rest is worth its time without it."""
    form, start = copy.deepcopy(unet), time.perf_counter()
    try:
        form.compile_repeated_blocks()
        with torch.inference_mode():
            form(*new_inputs(form, size, device))
    except Exception as error:  # whatever is missing: a compiler, headers, Triton
        print(f"compiled blocks: left out, {type(error).__name__}: {(str(error).splitlines() or [''])[0]}")
        return {}
    print(f"compiled blocks: {time.perf_counter() - start:.0f} s until the first output")
    return {"compiled blocks": form}


def new_inputs(network: nn.Module, size: Size, device: str) -> tuple[Tensor, int, Tensor]:
    """Latents, timestep and text of one clip, alike for all networks."""
    random = torch.Generator().manual_seed(0)
    sample = torch.randn(1, 4, size.frames, size.rows, size.columns, generator=random)
    text = torch.randn(1, 77, size.text, generator=random)
    if isinstance(network, UNetMotionModel):  # which takes the text once per frame
        text = text.repeat_interleave(size.frames, dim=0)
    return sample.to(device, size.dtype), 500, text.to(device, size.dtype)


def check_outputs(networks: dict[str, nn.Module], size: Size, device: str) -> None:
    """RuntimeError unless the forms of one network agree."""
    outputs = {name: network(*new_inputs(network, size, device)).sample.float() for name, network in networks.items()}
    allowed = 1e-4 if size.dtype == torch.float32 else 5e-2
    for name in outputs.keys() - {BASE, "attention to frame 0", "UNetMotionModel"}:
        difference = float((outputs[name] - outputs[BASE]).norm() / outputs[BASE].norm())
        print(f"{name}: output differs from {BASE} by {difference:.1e} of its norm")
        if not difference < allowed:
            raise RuntimeError(f"The {name} is another network: nothing was timed.")


def take_turns(forms: dict[str, Callable[[], object]], rounds: int, device: str) -> dict[str, list[float]]:
    """Seconds of every round after the first."""
    seconds = {name: [] for name in forms}
    for _ in range(rounds + 1):
        for name, run in forms.items():
            start = now(device)
            run()
            seconds[name].append(now(device) - start)
    return {name: values[1:] for name, values in seconds.items()}


def print_ratios(seconds: dict[str, list[float]], ours: str) -> None:
    """Medians, and the medians of what share of another's time ours takes in the same round."""
    for name, values in seconds.items():
        share = statistics.median(own / other for own, other in zip(seconds[ours], values, strict=True))
        print(f"  {name:26} {statistics.median(values):9.3f} s   {ours} takes {share:4.2f} of that", flush=True)


def new_pipelines(networks: dict[str, nn.Module], size: Size, device: str) -> dict[str, Callable[[], object]]:
    """Prompt to clip by ours, with and without the making of the first frame, and by AnimateDiff."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = new_tokenizer(Path(folder))
    tokenizer.model_max_length = 77
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.text,
        intermediate_size=4 * size.text,
        num_hidden_layers=12 if size.text == 768 else 2,
        num_attention_heads=size.text // 64,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    vae = AutoencoderKL(
        block_out_channels=size.autoencoder,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        norm_num_groups=size.autoencoder[0] // 4,
    )
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1
    )
    shared = {"vae": vae, "text_encoder": CLIPTextModel(config), "tokenizer": tokenizer, "scheduler": scheduler}
    image = StableDiffusionPipeline(
        **shared,
        unet=UNet2DConditionModel(**size.image_unet()),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    ours = ImageToVideoPipeline(**shared, unet=networks[BASE])
    theirs = AnimateDiffPipeline(**shared, unet=networks["UNetMotionModel"], motion_adapter=None)
    for pipeline in (image, ours, theirs):
        pipeline.set_progress_bar_config(disable=True)
        pipeline.to(device, size.dtype)
    height, width, guidance = 8 * size.rows, 8 * size.columns, 7.5
    recipe = Recipe("as many steps", "ddim", size.steps, guidance, 0.2, True, False, False)
    again = {"num_inference_steps": size.steps, "guidance_scale": guidance, "height": height, "width": width}

    def first_frame():
        return image(PROMPT, **again).images[0]

    def clip(frame):
        return ours([PROMPT], [frame], [0], recipe, size.frames, width, height)

    frame = first_frame()
    return {
        "AnimateDiff": lambda: theirs(PROMPT, num_frames=size.frames, output_type="np", **again),
        "first frame to clip": lambda: clip(frame),
        "prompt to clip": lambda: clip(first_frame()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    gpu = torch.cuda.is_available()
    parser.add_argument("--size", choices=list(SIZES), default="full" if gpu else "reduced")
    parser.add_argument("--rounds", type=int, default=10 if gpu else 5, help="timed, after one to warm up")
    compiling = {"action": argparse.BooleanOptionalAction, "default": gpu}
    parser.add_argument("--compile", **compiling, help="torch.compile of the repeated blocks too")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds must be at least 1.")
    size, device = SIZES[arguments.size], "cuda" if gpu else "cpu"
    diffusers.utils.logging.set_verbosity_error()  # it warns of empty lists
    torch.manual_seed(0)
    print(f"{arguments.size} size: {size}")
    place = torch.cuda.get_device_name() if gpu else f"{torch.get_num_threads()} threads"
    print(f"torch {torch.__version__}, diffusers {diffusers.__version__}, {place}, load {os.getloadavg()[0]:.1f}")
    networks = new_networks(size, device, arguments.compile)
    with torch.inference_mode():
        check_outputs(networks, size, device)
        print(f"\na forward; {'clock' if gpu else 'processor'} seconds, median of {arguments.rounds}")
        forms = {
            name: lambda network=network: network(*new_inputs(network, size, device))
            for name, network in networks.items()
        }
        print_ratios(take_turns(forms, arguments.rounds, device), BASE)
        print_bounds(networks[BASE], new_inputs(networks[BASE], size, device), size.dtype, device)
    print(f"\n{size.steps} steps, guidance, {8 * size.columns}x{8 * size.rows}, {size.frames} frames")
    rounds = max(1, arguments.rounds // 2)
    print_ratios(take_turns(new_pipelines(networks, size, device), rounds, device), "prompt to clip")


if __name__ == "__main__":
    main()
