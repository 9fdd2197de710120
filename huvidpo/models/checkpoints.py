"""Reads UNet files of Stable Diffusion, LAMP and HuViDPO into our names, and writes the LoRA of one.

Knows nothing of what the weights are for.
"""

import re
import zipfile
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from huvidpo.atomic import replacing
from huvidpo.models.motion import plain_name
from huvidpo.models.weight_files import weight_file
from huvidpo.quiet import without_warnings

_LORA = re.compile(r"\.lora_([AB])\.(?:\w+\.)?weight$")  # peft puts the adapter's name in the middle


def load_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """Tensors by name from a .safetensors, .bin, .pth or .pt file, a UNet folder, or a pipeline folder with `unet/`.

    Nothing in the file is executed, and weights stay memory-mapped on the CPU until they are used. ValueError if there
    is no such file, if it is not a dictionary of tensors (or one under "state_dict"), or if it holds any code.
    """
    file = weight_file(Path(path))
    if file.suffix == ".safetensors":
        try:
            return load_file(file)
        except SafetensorError as error:
            raise ValueError(f"{file} is not a safetensors file: {error}.") from error
    try:
        # Only the zip format (torch >= 1.6) can be mapped; older files are read whole.
        state = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except OSError:  # a file that may not be read is not a damaged one
        raise
    except Exception as error:  # a damaged pickle can fail in any way: KeyError, IndexError, UnicodeDecodeError ...
        raise ValueError(f"{file} holds more than tensors, or is damaged; it was not loaded.") from error
    if isinstance(state, dict):
        state = state.get("state_dict", state)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{file} is not a dictionary of tensors, as a UNet's weights should be.")
    return state


def convert_state_dict(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Splits a file into UNet weights and LoRA matrices, both under our names; what is neither is left out.

    Understands diffusers' names (SD 1.x and ours), LAMP's and HuViDPO's (`<conv>.conv2d.weight` is our
    `<conv>.weight`), and whole networks saved with peft (`base_model.model.`, `.base_layer.`, `.lora_A.default.`).
    The LoRA part is as `unet.load_lora_adapter(lora_state, prefix=None)` wants it; its scale is not in such files
    (HuViDPO: r 16, alpha 32), so pass that along.
    """
    unet_state, lora_state = {}, {}
    for name, value in state.items():
        name = plain_name(name.removeprefix("base_model.model.")).replace(".conv2d.", ".")
        if _LORA.search(name):
            lora_state[_LORA.sub(r".lora_\1.weight", name)] = value
        elif name.endswith((".weight", ".bias")) and ".lora_" not in name:
            unet_state[name] = value
    return unet_state, lora_state


def save_lora(unet: UNet2DConditionModel, name: str, path: Path) -> None:
    """Writes the LoRA called `name` of a UNet. ValueError when it cannot be written."""
    with replacing(path) as temporary, without_warnings():  # of modules to keep in float32: an empty list of them
        try:
            unet.save_lora_adapter(path.parent, adapter_name=name, weight_name=temporary.name)
        except SafetensorError as error:  # how it says that the disk is full
            raise OSError(str(error)) from error
