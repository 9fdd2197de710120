"""The image model of `pocket`: where its files lie, what they hash to, how it is loaded. Knows no video model."""

import os
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from safetensors import SafetensorError

import huvidpo.pocket.autoencoder  # noqa: F401 - diffusers loads a class of ours only from a module that is imported
from huvidpo.adapters import digest_of

POCKET_WEIGHTS = Path(__file__).parent / "weights"


def pocket_weights() -> Path:
    """Where `pocket` is loaded from: the folder HUVIDPO_POCKET_WEIGHTS in the layout of the shipped one, or that."""
    return Path(os.environ.get("HUVIDPO_POCKET_WEIGHTS") or POCKET_WEIGHTS)


def pocket_digest(*parts: str) -> str:
    """The first 16 digits of the sha256 over the weight files of parts of `pocket`: equal exactly when they are."""
    return digest_of([file for part in parts for file in sorted((pocket_weights() / part).glob("*.safetensors"))])


def load_pocket(device: str) -> StableDiffusionPipeline:
    """The shipped image model, in single precision: it is small, and half precision pays in matrix work only."""
    folder = pocket_weights()
    if not (folder / "model_index.json").exists():
        raise ValueError(f"The pocket weights are missing from {folder}; clone the repository again.")
    try:
        pipeline = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    except (OSError, SafetensorError) as error:  # pointers, in a clone of a Space without git-lfs
        raise ValueError(
            f"The pocket weights in {folder} cannot be read: run `git lfs pull`, or clone the repository again."
        ) from error
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)


def with_dpo_lora(pipeline: StableDiffusionPipeline) -> StableDiffusionPipeline:
    """Adds the preference-trained LoRA of pocket's first frames, where it is shipped."""
    folder = pocket_weights() / "dpo"
    if folder.exists():
        own = "pytorch_lora_weights.safetensors"
        pipeline.unet.load_lora_adapter(folder, weight_name=own, use_safetensors=True, adapter_name="dpo", prefix=None)
    return pipeline
