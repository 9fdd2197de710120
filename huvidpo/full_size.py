"""Stable Diffusion 1.4, SDXL and their DPO UNets: which files of the Hub they are, and how they are put together.

Revisions are commits, so that a result can be made again. Of the DPO UNets no commit was known when this was written:
the one that `main` is at the first download stays in the cache, and is written into every first frame and clip.
Only safetensors are taken: the older pickles beside them may run code.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel
from torch import nn

from huvidpo.hub_models import HubFiles, fetch_now
from huvidpo.presets import RAIL_M, RAIL_PP

UNET = ("unet/config.json", "unet/diffusion_pytorch_model.safetensors")
DPO_REVISION = "main"  # put the commit here once it is known

SD14 = HubFiles(
    repo="CompVis/stable-diffusion-v1-4",
    revision="133a221b8aa7292a167afc5127cb63fb5005638b",
    files=(
        "model_index.json",
        "scheduler/scheduler_config.json",
        "tokenizer/merges.txt",
        "tokenizer/vocab.json",
        "tokenizer/special_tokens_map.json",
        "tokenizer/tokenizer_config.json",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
        *UNET,
    ),
    gigabytes=4.3,
    licence=RAIL_M[0],
    licence_url=RAIL_M[1],
)
SD14_SIZES = replace(SD14, files=UNET[:1], gigabytes=0.0)  # enough to know which weights fit
# SDXL without UNet and autoencoder. Its half-precision files are half the download and what a GPU works with anyway.
SDXL = HubFiles(
    repo="stabilityai/stable-diffusion-xl-base-1.0",
    revision="462165984030d82259a11f4367a4eed129e94a7b",
    files=(
        "model_index.json",
        "scheduler/scheduler_config.json",
        *(f"{folder}/{name}" for folder in ("tokenizer", "tokenizer_2") for name in (
            "merges.txt", "vocab.json", "special_tokens_map.json", "tokenizer_config.json"
        )),
        *(f"{folder}/{name}" for folder in ("text_encoder", "text_encoder_2") for name in (
            "config.json", "model.fp16.safetensors"
        )),
    ),
    gigabytes=1.7,
    licence=RAIL_PP[0],
    licence_url=RAIL_PP[1],
)  # fmt: skip
SDXL_UNET = replace(SDXL, files=("unet/config.json", "unet/diffusion_pytorch_model.fp16.safetensors"), gigabytes=5.2)
# SDXL's own autoencoder overflows in half precision and would be run in single; this one was tuned not to.
SDXL_VAE = HubFiles(
    repo="madebyollin/sdxl-vae-fp16-fix",
    revision="207b116dae70ace3637169f1ddd2434b91b3a8cd",
    files=("config.json", "diffusion_pytorch_model.safetensors"),
    gigabytes=0.4,
    licence="the MIT licence",
    licence_url="https://hf.co/madebyollin/sdxl-vae-fp16-fix",
)
SDXL_DPO = HubFiles("mhdang/dpo-sdxl-text2image-v1", DPO_REVISION, UNET, 10.3, *RAIL_PP)
SD15_DPO = HubFiles("mhdang/dpo-sd1.5-text2image-v1", DPO_REVISION, UNET, 3.5, *RAIL_PP)

# What each first-frame model is made of, its UNet last. 1.5 differs from 1.4 in the UNet only.
FIRST_FRAMES = {
    "dpo": (SDXL, SDXL_VAE, SDXL_DPO),
    "base": (SDXL, SDXL_VAE, SDXL_UNET),
    "dpo-small": (SD14, SD15_DPO),
}
FirstFramePipeline = StableDiffusionPipeline | StableDiffusionXLPipeline


def load_sd14(device: str) -> StableDiffusionPipeline:
    """Stable Diffusion 1.4, downloaded when it is not in the cache; half precision on a GPU. ValueError as `fetch`."""
    (folder,) = fetch_now(SD14)
    return assemble_sd14(folder, device, {}).to(device)


def load_first_frames(model: str, device: str, loaded: Mapping[str, FirstFramePipeline]) -> FirstFramePipeline:
    """The pipeline of a name in FIRST_FRAMES on the CPU, in the precision of the device. ValueError as `fetch`.

    `loaded` are those that are in memory, by name: from one that differs in the UNet only it takes all other networks,
    so that the second model costs one UNet.
    """
    files = FIRST_FRAMES[model]
    folders = fetch_now(*files)
    unet = UNet2DConditionModel.from_pretrained(
        folders[-1],
        subfolder="unet",
        dtype=precision(device),
        use_safetensors=True,
        variant="fp16" if model == "base" else None,
    )
    if model == "dpo-small":
        return assemble_sd14(folders[0], device, {"unet": unet})
    alike = [pipeline for other, pipeline in loaded.items() if FIRST_FRAMES[other][:-1] == files[:-1]]
    parts = networks_beside_unet(alike[0]) if alike else {"vae": load_sdxl_vae(folders[1], device)}
    pipeline = StableDiffusionXLPipeline.from_pretrained(
        folders[0],
        unet=unet,
        **parts,
        dtype=precision(device),
        variant="fp16",
        use_safetensors=True,
        add_watermarker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def load_sdxl_vae(folder: Path, device: str) -> AutoencoderKL:
    """The autoencoder that half precision suits, which diffusers would run in single all the same."""
    return AutoencoderKL.from_pretrained(folder, dtype=precision(device), use_safetensors=True, force_upcast=False)


def networks_beside_unet(pipeline: FirstFramePipeline) -> dict[str, nn.Module]:
    """What models that differ in the UNet have in common, by its name in the pipeline."""
    return {name: part for name, part in pipeline.components.items() if name != "unet" and isinstance(part, nn.Module)}


def assemble_sd14(folder: Path, device: str, parts: dict[str, UNet2DConditionModel]) -> StableDiffusionPipeline:
    """Stable Diffusion 1.4 from its folder, with `parts` in the place of its own."""
    pipeline = StableDiffusionPipeline.from_pretrained(
        folder,
        **parts,
        dtype=precision(device),
        use_safetensors=True,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.vae.enable_slicing()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def precision(device: str) -> torch.dtype:
    return torch.float16 if device == "cuda" else torch.float32
