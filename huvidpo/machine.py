"""What this machine is made for: the backbone that is taken where nobody names one, and the device it runs on."""

import os

import torch

from huvidpo.memory import on_zero_gpu
from huvidpo.presets import find_backbone


def default_device(backbone: str = "sd14") -> str:
    """The device that everything runs on here.

    Without a GPU of its own `pocket` takes ZeroGPU's CPU: its clips are there before a card would be lent.
    """
    lent = backbone == "pocket" and on_zero_gpu()
    return "cuda" if torch.cuda.is_available() and not lent else "cpu"


def default_backbone() -> str:
    """HUVIDPO_BACKBONE, else `sd14` with a GPU of 16 GB or more, else `pocket`.

    ZeroGPU counts as none: its card is lent for single calls, and about 25 GB would be downloaded unasked. On a Space
    with a CPU it is always `pocket` (see `choice_that_cannot_be`).
    """
    if (name := os.environ.get("HUVIDPO_BACKBONE")) and not choice_that_cannot_be():
        return find_backbone(name).name
    if on_zero_gpu():
        return "pocket"
    big_gpu = torch.cuda.is_available() and torch.cuda.get_device_properties("cuda").total_memory >= 15e9
    return "sd14" if big_gpu else "pocket"


def choice_that_cannot_be() -> str:
    """Why HUVIDPO_BACKBONE is not obeyed, in one sentence; "" when it is.

    A duplicated Space has the variables of the original and not its hardware: `sd14` would run out of memory there.
    """
    wanted, on_a_space = os.environ.get("HUVIDPO_BACKBONE"), os.environ.get("SPACE_ID")
    if wanted != "sd14" or not on_a_space or torch.cuda.is_available() or on_zero_gpu():
        return ""
    return "HUVIDPO_BACKBONE asks for sd14, which this Space's CPU cannot run: choose a GPU in its settings."
