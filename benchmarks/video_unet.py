"""Time of one forward of VideoUNet against diffusers' UNetMotionModel (AnimateDiff) of equal width, in one run.

    python benchmarks/video_unet.py --width 64 --levels 2 --frames 8 --height 16 --columns 16

Both are random networks in eval mode. The rounds are interleaved, so a busy machine slows all of them alike.
"""

import argparse
import os
import platform
import statistics
import time

import diffusers
import torch
from diffusers import UNetMotionModel

from huvidpo.models.attention import ATTENTION_VARIANTS
from huvidpo.models.video_unet import VideoUNet

TEXT_TOKENS, TEXT_WIDTH = 77, 64


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--width", type=int, default=64, help="channels of the first level; the others have twice that"
    )
    parser.add_argument("--levels", type=int, default=2, help="levels of the UNet; all but the last have attention")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--height", type=int, default=16, help="latent rows (an eighth of the pixels)")
    parser.add_argument("--columns", type=int, default=16, help="latent columns")
    parser.add_argument("--rounds", type=int, default=7, help="timed forwards of each network, after one to warm up")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def sizes(arguments: argparse.Namespace) -> dict:
    """The settings both classes share."""
    attended = arguments.levels - 1
    return {
        "block_out_channels": (arguments.width,) + (2 * arguments.width,) * attended,
        "layers_per_block": 1,
        "norm_num_groups": 16,
        "cross_attention_dim": TEXT_WIDTH,
    }


def build_networks(arguments: argparse.Namespace) -> dict[str, torch.nn.Module]:
    attended = arguments.levels - 1
    image_sizes = sizes(arguments) | {
        "down_block_types": ("CrossAttnDownBlock2D",) * attended + ("DownBlock2D",),
        "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * attended,
        "attention_head_dim": 8,
    }
    motion = UNetMotionModel(
        **sizes(arguments),
        down_block_types=("CrossAttnDownBlockMotion",) * attended + ("DownBlockMotion",),
        up_block_types=("UpBlockMotion",) + ("CrossAttnUpBlockMotion",) * attended,
        num_attention_heads=8,
        use_motion_mid_block=False,
    )
    ours = {f"VideoUNet {variant}": VideoUNet(attention=variant, **image_sizes) for variant in ATTENTION_VARIANTS}
    return {"UNetMotionModel": motion.eval()} | {name: unet.eval() for name, unet in ours.items()}


@torch.inference_mode()
def time_networks(networks: dict[str, torch.nn.Module], arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds of every timed forward."""
    sample = torch.randn(1, 4, arguments.frames, arguments.height, arguments.columns)
    text = torch.randn(1, TEXT_TOKENS, TEXT_WIDTH)
    seconds = {name: [] for name in networks}
    for _ in range(arguments.rounds + 1):
        for name, network in networks.items():
            # AnimateDiff's class wants the text once per frame.
            context = text if isinstance(network, VideoUNet) else text.repeat_interleave(arguments.frames, dim=0)
            start = time.perf_counter()
            network(sample, 500, context)
            seconds[name].append(time.perf_counter() - start)
    return {name: values[1:] for name, values in seconds.items()}


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    print("settings:", " ".join(f"{name}={value}" for name, value in vars(arguments).items()))
    print(
        f"torch {torch.__version__}, diffusers {diffusers.__version__}, {platform.machine()}, {os.cpu_count()} cores"
    )
    print(f"load before: {os.getloadavg()[0]:.1f}")
    networks = build_networks(arguments)
    seconds = time_networks(networks, arguments)
    base = seconds["UNetMotionModel"]
    for name, values in seconds.items():
        low, middle = min(values), statistics.median(values)
        print(
            f"{name:<26} {sum(p.numel() for p in networks[name].parameters()) / 1e6:6.1f} M parameters   "
            f"min {1e3 * low:8.1f} ms ({low / min(base):.2f}x)   "
            f"median {1e3 * middle:8.1f} ms ({middle / statistics.median(base):.2f}x)"
        )
    print(f"load after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
