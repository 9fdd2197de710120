"""Policy and reference: one network whose preference adapter is on or off. Knows LoRA, nothing of losses or data."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from huvidpo.adapter_weights import PREFERENCE
from huvidpo.models.video_unet import VideoUNet

START = "start"  # the frozen copy of the adapter that training went out from, where there was one
TARGETS = ("to_q", "to_k", "to_v", "to_out.0")  # of all attention, over space, text and time


def add_policy(
    unet: VideoUNet, rank: int, alpha: float, dropout: float, seed: int, start: Path | None = None
) -> dict[str, nn.Parameter]:
    """Puts the LoRA that will learn onto a UNet without LoRA; gives its parameters, in single precision, by name.

    The policy then equals the reference exactly: its B matrices are zero, or both are the LoRA in the file `start`,
    of the same rank and alpha. Everything else is frozen. ValueError when the file does not fit.
    """
    unet.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet.add_adapter(lora_config(rank, alpha, dropout), PREFERENCE)
    if start is not None:
        unet.add_adapter(lora_config(rank, alpha, 0.0), START)
        weights = load_file(start)
        for name in (START, PREFERENCE):
            load_lora(unet, weights, name)
        unet.set_adapter(PREFERENCE)
        in_single_precision(unet, START)  # as the policy: rounded otherwise, the two would differ from the start
    trained = in_single_precision(unet, PREFERENCE)
    for parameter in trained.values():
        parameter.requires_grad_(True)
    unet.train(dropout > 0)
    return trained


def in_single_precision(unet: VideoUNet, adapter: str) -> dict[str, nn.Parameter]:
    """Turns the parameters of one of the network's LoRAs into single precision; gives them by name."""
    found = {name: parameter for name, parameter in unet.named_parameters() if f".{adapter}." in name}
    for parameter in found.values():
        parameter.data = parameter.data.float()
    return found


def lora_config(rank: int, alpha: float, dropout: float) -> LoraConfig:
    """LoRA on all attention projections; A is drawn from a Gaussian, B is zero."""
    return LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        init_lora_weights="gaussian",
        target_modules=list(TARGETS),
    )


@contextmanager
def reference(unet: VideoUNet) -> Iterator[VideoUNet]:
    """The same network as it was before learning: its adapter off, or the one it went out from on; no gradients.

    Dropout is off as well. The policy is back when the block ends, also by an exception.
    """
    training = unet.training
    unet.eval()
    if START in unet.peft_config:
        unet.set_adapter(START)
    else:
        unet.disable_adapters()
    try:
        with torch.no_grad():
            yield unet
    finally:
        if START in unet.peft_config:
            unet.set_adapter(PREFERENCE)
        else:
            unet.enable_adapters()
        unet.train(training)


def lora_state(unet: VideoUNet) -> dict[str, Tensor]:
    """The policy's LoRA, names as in the file of an adapter, on the CPU; a copy."""
    state = get_peft_model_state_dict(unet, adapter_name=PREFERENCE)
    return {name: value.detach().cpu().clone() for name, value in state.items()}


def load_lora(unet: VideoUNet, weights: dict[str, Tensor], name: str = PREFERENCE) -> None:
    """Copies LoRA weights, names as in the file of an adapter, into one that is there. ValueError unless all fit."""
    own = get_peft_model_state_dict(unet, adapter_name=name)
    if own.keys() != weights.keys() or any(own[key].shape != weights[key].shape for key in own):
        raise ValueError("The LoRA weights do not fit: they are of another network, rank or choice of layers.")
    set_peft_model_state_dict(unet, weights, adapter_name=name)


def lora_rank_and_alpha(path: Path) -> tuple[int, float]:
    """Rank and alpha of a LoRA file of ours; the alpha is the rank where the file does not say."""
    with safe_open(path, "pt") as file:
        metadata = json.loads((file.metadata() or {}).get("lora_adapter_metadata", "{}"))
        first = next(name for name in file.keys() if "lora_A" in name)  # noqa: SIM118 - this is no dict
        rank = file.get_slice(first).get_shape()[0]
    return rank, float(metadata.get("lora_alpha", rank))
