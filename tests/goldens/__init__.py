"""Numbers of the published implementations (see README.md) and the one way to load them."""

import json
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from huvidpo.models.checkpoints import convert_state_dict
from huvidpo.models.video_unet import VideoUNet

FOLDER = Path(__file__).parent
ATTENTION = {"lamp": "first", "huvidpo": "first-previous"}


def golden_metadata(variant: str, file: str) -> dict[str, str]:
    with safe_open(FOLDER / variant / f"{file}.safetensors", "pt") as opened:
        return opened.metadata()


def load_golden_unet(variant: str, file: str = "unet_forward") -> tuple[VideoUNet, dict[str, Tensor]]:
    """The published network of "lamp" or "huvidpo" as a VideoUNet in eval mode, and the tensors of `file`.

    `sampling` and `train` were computed with the weights of `unet_forward`; `dpo` has its own.
    """
    tensors = load_file(FOLDER / variant / f"{file}.safetensors")
    source = file if file == "dpo" else "unet_forward"
    weights = tensors if source == file else load_file(FOLDER / variant / f"{source}.safetensors")
    sizes = json.loads(golden_metadata(variant, source)["config"])
    for blocks in ("down_block_types", "up_block_types"):
        sizes[blocks] = [name.replace("3D", "2D") for name in sizes[blocks]]
    unet = VideoUNet(attention=ATTENTION[variant], **sizes).eval()
    weights, lora = convert_state_dict({k.removeprefix("sd."): v for k, v in weights.items() if k.startswith("sd.")})
    assert not lora
    unet.load_state_dict(weights)  # all of them, and no others
    return unet, tensors
