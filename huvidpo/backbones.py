"""The two backbones and how each is loaded: the only place that knows Hub repositories and where weights lie.

HUVIDPO_POCKET_WEIGHTS names another folder to load `pocket` from, in the layout of the shipped one.
"""

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock

import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel

import huvidpo.pocket.autoencoder  # noqa: F401 - diffusers loads a class of ours only from a module that is imported
from huvidpo.models.motion import motion_state_dict
from huvidpo.models.video_unet import VideoUNet
from huvidpo.pipelines.image_to_video import RECIPES, ImageToVideoPipeline
from huvidpo.pocket.practice_clips import vocabulary

POCKET_WEIGHTS = Path(__file__).parent / "pocket" / "weights"
SD14 = "CompVis/stable-diffusion-v1-4"
SDXL = "stabilityai/stable-diffusion-xl-base-1.0"
SDXL_DPO = "mhdang/dpo-sdxl-text2image-v1"
FIRST_FRAME_MODELS = ("dpo", "base")
WORD = re.compile(r"[^\W_]+|[^\w\s!-~‘’“”–—…]+")  # letters and digits, or signs that are not punctuation


@dataclass(frozen=True)
class Backbone:
    """A first-frame model and a video model with the sizes and defaults they were trained for."""

    name: str
    title: str
    summary: str
    licence: str
    width: int  # pixels of clips
    height: int
    first_frame_width: int  # pixels of first frames as their model makes them
    first_frame_height: int
    first_frame_steps: int
    first_frame_guidance: float
    num_frames: int = 16
    fps: int = 8
    clip_steps: int = RECIPES["default"].steps
    clip_guidance: float = RECIPES["default"].guidance
    first_frame_models: tuple[str, ...] = FIRST_FRAME_MODELS
    preference_learning_rate: float = 1e-5  # of the preset `recommended`
    seconds_per_step: dict[str, tuple[float, float]] = field(default_factory=dict)  # device -> (first frame, clip)


BACKBONES = {
    backbone.name: backbone
    for backbone in (
        Backbone(
            name="pocket",
            title="Pocket",
            summary=(
                "A small model that ships with this repository and runs without a GPU. It was trained on drawn "
                "practice clips and knows their eight actions, eight colours, eight places and four styles."
            ),
            licence="Apache-2.0, trained by this project on its own practice clips",
            width=128,
            height=128,
            first_frame_width=128,
            first_frame_height=128,
            first_frame_steps=16,
            first_frame_guidance=2.5,
            preference_learning_rate=5e-4,  # a network of this size, from few steps
            seconds_per_step={"cpu": (0.1, 0.7), "cuda": (0.02, 0.03)},
        ),
        Backbone(
            name="sd14",
            title="Stable Diffusion 1.4 + DPO-SDXL",
            summary="The paper's model: DPO-SDXL first frames, a video UNet inflated from Stable Diffusion 1.4.",
            licence="CreativeML Open RAIL-M (SD 1.4), CreativeML Open RAIL++-M (SDXL): see their model pages",
            width=512,
            height=320,
            first_frame_width=1024,
            first_frame_height=640,
            first_frame_steps=30,
            first_frame_guidance=5.0,
            seconds_per_step={"cpu": (60.0, 120.0), "cuda": (0.25, 0.6)},
        ),
    )
}


@dataclass
class LoadedBackbone:
    """A backbone in memory. Its networks are shared by everybody: who samples holds the lock."""

    preset: Backbone
    device: str
    video: ImageToVideoPipeline
    still_motion: dict[str, torch.Tensor]  # stage-1 parameters without any category's motion
    first_frames: dict[str, StableDiffusionPipeline | StableDiffusionXLPipeline]  # by model, filled as needed
    lock: Lock = field(default_factory=Lock)

    def first_frame_pipeline(self, model: str) -> StableDiffusionPipeline | StableDiffusionXLPipeline:
        """The pipeline of "dpo" or "base" first frames, loaded at its first use. ValueError for other names."""
        if model not in self.preset.first_frame_models:
            raise ValueError(f"The first-frame model must be one of {', '.join(self.preset.first_frame_models)}.")
        if self.preset.name == "sd14":
            if model not in self.first_frames:
                self.first_frames[model] = load_sdxl(model, self.device)
            return self.first_frames[model]
        pipeline = self.first_frames["base"]
        if "dpo" in getattr(pipeline.unet, "peft_config", {}):
            pipeline.unet.enable_adapters() if model == "dpo" else pipeline.unet.disable_adapters()
        return pipeline


def default_device() -> str:
    """The device that everything runs on here."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def default_backbone() -> str:
    """HUVIDPO_BACKBONE, else `sd14` with a GPU of 16 GB or more, else `pocket`."""
    if name := os.environ.get("HUVIDPO_BACKBONE"):
        return find_backbone(name).name
    big_gpu = torch.cuda.is_available() and torch.cuda.get_device_properties("cuda").total_memory >= 15e9
    return "sd14" if big_gpu else "pocket"


def find_backbone(name: str) -> Backbone:
    """The preset of a name; ValueError that lists the names."""
    if name not in BACKBONES:
        raise ValueError(f"There is no backbone {name!r}; choose one of: {', '.join(BACKBONES)}.")
    return BACKBONES[name]


def load_backbone(name: str | None = None) -> LoadedBackbone:
    """Loads a backbone, by default `default_backbone()`, onto the device that is there.

    Raises ValueError when its weights cannot be found or loaded.
    """
    preset, device = find_backbone(name or default_backbone()), default_device()
    image_pipeline = load_pocket(device) if preset.name == "pocket" else load_sd14(device)
    video = ImageToVideoPipeline(
        vae=image_pipeline.vae,
        text_encoder=image_pipeline.text_encoder,
        tokenizer=image_pipeline.tokenizer,
        unet=VideoUNet.from_unet2d(image_pipeline.unet).eval().requires_grad_(False),
        scheduler=image_pipeline.scheduler,
    )
    still = {name: value.clone() for name, value in motion_state_dict(video.unet).items()}
    first_frames = {}
    if preset.name == "pocket":
        first_frames["base"] = with_dpo_lora(image_pipeline)
        if "dpo" not in getattr(image_pipeline.unet, "peft_config", {}):
            preset = replace(preset, first_frame_models=("base",))
    return LoadedBackbone(preset, device, video, still, first_frames)


def pocket_weights() -> Path:
    """Where `pocket` is loaded from."""
    return Path(os.environ.get("HUVIDPO_POCKET_WEIGHTS") or POCKET_WEIGHTS)


def load_pocket(device: str) -> StableDiffusionPipeline:
    """The shipped image model, in single precision: it is small, and CPUs are slow at half precision."""
    folder = pocket_weights()
    if not (folder / "model_index.json").exists():
        raise ValueError(f"The pocket weights are missing from {folder}; clone the repository again.")
    pipeline = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)


def with_dpo_lora(pipeline: StableDiffusionPipeline) -> StableDiffusionPipeline:
    """Adds the preference-trained LoRA of pocket's first frames, where it is shipped."""
    folder = pocket_weights() / "dpo"
    if folder.exists():
        name = "pytorch_lora_weights.safetensors"
        pipeline.unet.load_lora_adapter(
            folder, weight_name=name, use_safetensors=True, adapter_name="dpo", prefix=None
        )
    return pipeline


def load_sd14(device: str) -> StableDiffusionPipeline:
    """Stable Diffusion 1.4 from the Hub or its cache; half precision on a GPU."""
    dtype = torch.float16 if device == "cuda" else torch.float32
    try:
        pipeline = StableDiffusionPipeline.from_pretrained(
            SD14, dtype=dtype, use_safetensors=True, safety_checker=None, requires_safety_checker=False
        )
    except OSError as error:
        raise ValueError(f"{SD14} could not be loaded from the Hub or its cache: check the network.") from error
    pipeline.vae.enable_slicing()
    return pipeline.to(device)


def load_sdxl(model: str, device: str) -> StableDiffusionXLPipeline:
    """SDXL for first frames; `model` "dpo" takes the UNet of dpo-sdxl, which is all that its repository holds."""
    dtype = torch.float16 if device == "cuda" else torch.float32
    try:
        unet = UNet2DConditionModel.from_pretrained(
            SDXL_DPO if model == "dpo" else SDXL, subfolder="unet", dtype=dtype, use_safetensors=True
        )
        pipeline = StableDiffusionXLPipeline.from_pretrained(SDXL, unet=unet, dtype=dtype, use_safetensors=True)
    except OSError as error:
        raise ValueError(f"{SDXL} could not be loaded from the Hub or its cache: check the network.") from error
    pipeline.set_progress_bar_config(disable=True)
    if device == "cuda":
        pipeline.enable_model_cpu_offload()
        return pipeline
    return pipeline.to(device)


def known_words(backbone: LoadedBackbone) -> list[str]:
    """Every word that the model was trained on, sorted; empty where that is all of English."""
    if backbone.preset.name != "pocket":
        return []
    return vocabulary()


def unknown_words(backbone: LoadedBackbone, *prompts: str) -> list[str]:
    """Words of the prompts, emoji too, that mean nothing to the model, in order, each once."""
    known = set(known_words(backbone))
    words = dict.fromkeys(WORD.findall(" ".join(prompts).lower())) if known else {}
    return [word for word in words if word not in known]


def seconds_for(backbone: Backbone, device: str, operation: str, steps: int) -> float:
    """A rough time for "first_frame" or "clip" on a device, shown before the click."""
    first_frame, clip = backbone.seconds_per_step.get(device, backbone.seconds_per_step["cpu"])
    return steps * (first_frame if operation == "first_frame" else clip)
