"""Checkpoints that LAMP and HuViDPO publish, as adapters: motion weights and LoRA. Knows no command line."""

import hashlib
import json
from pathlib import Path

from safetensors.torch import save
from torch import Tensor, nn

from huvidpo.adapter_weights import save_motion_weights
from huvidpo.adapters import PREFERENCE_FILE, Adapter, write_card
from huvidpo.atomic import write_whole
from huvidpo.models.checkpoints import convert_state_dict, load_checkpoint
from huvidpo.models.motion import is_motion_parameter, load_motion_state_dict
from huvidpo.models.video_unet import VideoUNet
from huvidpo.models.weight_files import weight_file

LICENCE = "cc-by-nc-4.0"  # of both publications; what is made from their weights stays non-commercial
ALPHA_OVER_RANK = 2.0  # HuViDPO trains r 16 with alpha 32, and its files do not say so


def import_checkpoint(
    path: Path,
    empty_unet: VideoUNet,
    folder: Path,
    card: dict[str, object],
    lora_alpha: float | None = None,
) -> Adapter:
    """Writes the motion weights (half precision) and the LoRA of a published UNet into a new adapter's folder.

    `path` is a file or a folder as `load_checkpoint` takes it, `empty_unet` the backbone's network (device "meta" is
    enough), `card` has `backbone`, `category` and `attention`, which files of the two publications do not tell: names
    and shapes are the same. The rest of the file is left out: the base stays the backbone's. Raises ValueError, before
    anything is written, for a file that holds code or does not fit the network.
    """
    weights, lora = convert_state_dict(load_checkpoint(path))
    motion = {name: value for name, value in weights.items() if is_motion_parameter(name)}
    load_motion_state_dict(empty_unet, motion)
    settings = lora_settings(empty_unet, lora, lora_alpha) if lora else None
    source = weight_file(path)
    folder.mkdir(parents=True, exist_ok=True)
    save_motion_weights(motion, folder)
    if settings:
        # As diffusers' save_lora_adapter writes it.
        metadata = {"format": "pt", "lora_adapter_metadata": json.dumps(settings, sort_keys=True)}
        whole = {name: value.contiguous() for name, value in lora.items()}
        write_whole(folder / PREFERENCE_FILE, save(whole, metadata))
    with source.open("rb") as opened:
        sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    told = {"source_file": source.name, "source_sha256": sha256, "license": LICENCE, "lora": bool(lora)}
    return write_card(folder, {"kind": "motion", **told, **card})


def lora_settings(unet: nn.Module, lora: dict[str, Tensor], alpha: float | None) -> dict[str, object]:
    """What peft must know to put the LoRA on. ValueError unless every pair of matrices fits a layer of the network."""
    layers = dict(unet.named_modules())
    names = {name.rpartition(".lora_")[0] for name in lora}
    ranks = set()
    for name in sorted(names):
        weight = getattr(layers.get(name), "weight", None)
        down, up = (lora.get(f"{name}.lora_{part}.weight") for part in "AB")
        shapes = [getattr(matrix, "shape", ()) for matrix in (weight, up, down)]
        if any(len(shape) != 2 for shape in shapes) or shapes[0] != (shapes[1][0], shapes[2][1]):
            raise ValueError(f"The LoRA in this file does not fit the UNet, first in {name}.")
        ranks |= {shapes[1][1], shapes[2][0]}
    if len(ranks) != 1:
        raise ValueError(f"The LoRA in this file has several ranks ({sorted(ranks)}), unlike HuViDPO's.")
    (rank,) = ranks
    return {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": ALPHA_OVER_RANK * rank if alpha is None else alpha,
        "target_modules": sorted(names),
    }
