"""The weights of adapters: onto the video UNet, off it, into files. Knows no prompts, no training."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from huvidpo.adapters import MOTION_FILE, PREFERENCE_FILE, Adapter, write_card
from huvidpo.atomic import write_whole
from huvidpo.models.checkpoints import save_lora
from huvidpo.models.motion import load_motion_state_dict, motion_state_dict
from huvidpo.models.video_unet import VideoUNet
from huvidpo.recipes import ATTENTION_VARIANTS

PREFERENCE = "preference"  # the name of the preference adapter inside the UNet


def apply_adapter(unet: VideoUNet, adapter: Adapter | None, still_motion: dict[str, torch.Tensor]) -> None:
    """Puts exactly this adapter onto the UNet, whatever was on it; None leaves `still_motion`, which does not move.

    Its attention comes with it; another one can be set afterwards. Raises ValueError when its files do not fit the
    UNet; the UNet is then without any adapter.
    """
    remove_adapter(unet, still_motion)
    if adapter is None:
        return
    for _ in adapter.download():
        pass
    try:
        if motion_file := adapter.motion_file():
            load_motion_state_dict(unet, load_file(motion_file))
        if (adapter.folder / PREFERENCE_FILE).is_file():
            unet.load_lora_adapter(adapter.folder, weight_name=PREFERENCE_FILE, adapter_name=PREFERENCE, prefix=None)
            unet.eval()  # peft's new layers come with their dropout on
        unet.set_attention(adapter.attention())
    except (SafetensorError, OSError, RuntimeError, ValueError, LookupError) as error:
        remove_adapter(unet, still_motion)
        raise ValueError(f"The adapter {adapter.name!r} could not be loaded: {error}") from error


def remove_adapter(unet: VideoUNet, still_motion: dict[str, torch.Tensor]) -> None:
    """The UNet as it was before any adapter."""
    unet.unload_lora()  # layers and all, so that names are Stable Diffusion's again: `delete_adapters` leaves wrappers
    unet.set_attention(ATTENTION_VARIANTS[0])
    load_motion_state_dict(unet, still_motion)


def save_motion_adapter(unet: VideoUNet, folder: Path, card: dict[str, object]) -> Adapter:
    """Writes the UNet's motion weights (half precision) with their card and a model card for the Hub.

    `card` needs `backbone` and `category`; what made the weights (clips, steps, seed ...) goes along unchanged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_motion_weights(motion_state_dict(unet), folder)
    return write_card(folder, {"kind": "motion", "attention": unet.config.attention, **card})


def save_motion_weights(state: dict[str, torch.Tensor], folder: Path) -> None:
    """Writes motion weights by plain name in half precision."""
    halves = {name: value.half().contiguous().cpu() for name, value in state.items()}
    write_whole(folder / MOTION_FILE, save(halves, {"format": "pt"}))  # with a second key bytes are not repeatable


def save_preference_adapter(unet: VideoUNet, folder: Path, card: dict[str, object]) -> Adapter:
    """Writes the UNet's preference adapter with its card and a model card; its motion stays the `parent`'s.

    `card` needs `backbone`, `category` and `parent`; what made the weights goes along unchanged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_lora(unet, PREFERENCE, folder / PREFERENCE_FILE)
    return write_card(folder, {"kind": "preference", "attention": unet.config.attention, **card})
