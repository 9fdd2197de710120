"""The two backbones and how each is loaded: the only place that asks which one it is.

HUVIDPO_POCKET_WEIGHTS names another folder to load `pocket` from, in the layout of the shipped one, HUVIDPO_MEMORY
the memory mode, where what fits should not be chosen.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock

import torch
from diffusers import DiffusionPipeline, StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel

import huvidpo.pocket.autoencoder  # noqa: F401 - diffusers loads a class of ours only from a module that is imported
from huvidpo import full_size, memory
from huvidpo.categories import STYLES, find_category, styled_prompt
from huvidpo.hub_models import Downloaded, HubFiles, cached, fetch, fetch_now
from huvidpo.models.motion import motion_state_dict
from huvidpo.models.video_unet import VideoUNet
from huvidpo.pipelines.image_to_video import RECIPES, ImageToVideoPipeline, Recipe
from huvidpo.pocket.practice_clips import caption, sample_scene, vocabulary

POCKET_WEIGHTS = Path(__file__).parent / "pocket" / "weights"
FIRST_FRAME_MODELS = ("dpo", "base", "dpo-small")  # those of all backbones; the last is for little memory
WORD = re.compile(r"[^\W_]+|[^\w\s!-~‘’“”–—…]+")  # letters and digits, or signs that are not punctuation


@dataclass(frozen=True)
class FirstFrameSettings:
    """The size and the guidance that a first-frame model was trained for."""

    width: int  # pixels
    height: int
    guidance: float


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
    clip_steps: int = RECIPES["default"].steps  # of the recipe `default`
    clip_guidance: float = RECIPES["default"].guidance  # likewise
    pair_guidances: tuple[float, float] = (5.0, 10.0)  # of two takes that should differ
    first_frame_models: tuple[str, ...] = ("dpo", "base")
    small_first_frames: FirstFrameSettings | None = None  # those of the model "dpo-small"
    preference_learning_rate: float = 1e-5  # of the preset `recommended`
    training_gigabytes: tuple[float, float] | None = None  # to learn: a pair at once, one by one; None: not measured
    seconds_per_step: dict[str, tuple[float, float]] = field(default_factory=dict)  # device -> (first frame, clip)
    gigabytes: dict[str, float] = field(default_factory=lambda: {"all": 1.0})  # free on the GPU, by memory mode

    def recipe(self, name: str) -> Recipe:
        """The named recipe for clips; `default` has this backbone's own steps and guidance."""
        recipe = RECIPES[name]
        return replace(recipe, steps=self.clip_steps, guidance=self.clip_guidance) if name == "default" else recipe

    def first_frame_settings(self, model: str) -> FirstFrameSettings:
        """Size and guidance of a first-frame model."""
        if model == "dpo-small" and self.small_first_frames:
            return self.small_first_frames
        return FirstFrameSettings(self.first_frame_width, self.first_frame_height, self.first_frame_guidance)


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
            clip_steps=4,  # with more, actions are not recognised more often (report, solver)
            clip_guidance=1.0,  # more moves more than practice clips do, and doubles the time (report, guidance)
            pair_guidances=(1.0, 2.5),
            preference_learning_rate=5e-4,  # a network of this size, from few steps
            training_gigabytes=(1.0, 0.5),  # benchmarks/preference_step.py
            seconds_per_step={"cpu": (0.1, 0.7), "cuda": (0.02, 0.03)},
        ),
        Backbone(
            name="sd14",
            title="Stable Diffusion 1.4 + DPO-SDXL",
            summary="The paper's model: DPO-SDXL first frames, a video UNet inflated from Stable Diffusion 1.4.",
            licence=(
                f"{full_size.RAIL_M[0]} (Stable Diffusion 1.4, {full_size.RAIL_M[1]}), "
                f"{full_size.RAIL_PP[0]} (SDXL and the DPO UNets, {full_size.RAIL_PP[1]})"
            ),
            width=512,
            height=320,
            first_frame_width=1024,
            first_frame_height=640,
            first_frame_steps=30,
            first_frame_guidance=5.0,
            first_frame_models=FIRST_FRAME_MODELS,
            small_first_frames=FirstFrameSettings(512, 320, 7.5),
            training_gigabytes=(6.0, 3.0),  # benchmarks/memory.py, stage 2 without the weights: 5.84 and 2.91
            seconds_per_step={"cpu": (60.0, 120.0), "cuda": (0.25, 0.6)},
            # Sizes and peaks of benchmarks/memory.py, and 1 to 2 on top: all models; SDXL; its UNet; the video model.
            gigabytes={"all": 22.0, "turns": 10.0, "offload": 7.0, "sequential": 5.5},
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
    memory: str = "all"  # one of memory.MODES
    lock: Lock = field(default_factory=Lock)

    def memory_modes(self) -> dict[str, float]:
        """The memory modes there are here, the fastest first, and the gigabytes that each needs."""
        return memory.modes_for(self.device, self.preset.gigabytes)

    def set_memory(self, mode: str) -> None:
        """Changes the memory mode, when whoever samples now is done. ValueError when there is no such mode here."""
        memory.check_mode(mode, self.memory_modes())
        with self.lock:
            self.memory = mode
            for pipeline in self.first_frames.values():
                memory.settle(pipeline, mode, self.device)

    def take_turn(self, pipeline: DiffusionPipeline) -> None:
        """Brings a pipeline to the device before it works; unless all have room there, the others leave it first."""
        if self.memory != "all":
            for other in (self.video, *self.first_frames.values()):
                if other is not pipeline:
                    memory.send_away(other)
        memory.bring(pipeline, self.device)

    def check_first_frame_model(self, model: str) -> None:
        """ValueError that lists the first-frame models when `model` is none of them."""
        if model not in self.preset.first_frame_models:
            raise ValueError(f"The first-frame model must be one of {', '.join(self.preset.first_frame_models)}.")

    def missing_files(self, model: str) -> list[HubFiles]:
        """What would be downloaded at the first use of a first-frame model."""
        self.check_first_frame_model(model)
        files = full_size.FIRST_FRAMES[model] if self.preset.name == "sd14" else ()
        return [wanted for wanted in files if model not in self.first_frames and not cached(wanted)]

    def first_frame_commit(self, model: str) -> str:
        """The commit on the Hub that a first-frame model's UNet in the cache is from; "" for one that is shipped."""
        folder = cached(full_size.FIRST_FRAMES[model][-1]) if self.preset.name == "sd14" else None
        return folder.name if folder else ""

    def download_first_frames(self, model: str) -> Iterator[Downloaded]:
        """Downloads what a first-frame model still lacks and yields progress. ValueError with one sentence."""
        for wanted in self.missing_files(model):
            yield from fetch(wanted)

    def first_frame_pipeline(self, model: str) -> StableDiffusionPipeline | StableDiffusionXLPipeline:
        """The pipeline of a first-frame model, loaded at its first use. ValueError for other names."""
        self.check_first_frame_model(model)
        if self.preset.name == "sd14":
            if model not in self.first_frames:
                self.first_frames[model] = full_size.load_first_frames(model, self.device)
                memory.settle(self.first_frames[model], self.memory, self.device)
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


def load_backbone(name: str | None = None, memory_mode: str | None = None) -> LoadedBackbone:
    """Loads a backbone, by default `default_backbone()`, onto the device that is there.

    The memory mode is the given one, else HUVIDPO_MEMORY, else the fastest that fits into the GPU's free memory.
    Raises ValueError when its weights cannot be found or loaded, or when there is no such mode.
    """
    preset, device = find_backbone(name or default_backbone()), default_device()
    mode = memory.chosen_mode(memory_mode or os.environ.get("HUVIDPO_MEMORY"), device, preset.gigabytes)
    image_pipeline = load_pocket(device) if preset.name == "pocket" else full_size.load_sd14(device)
    video = ImageToVideoPipeline(
        vae=image_pipeline.vae,
        text_encoder=image_pipeline.text_encoder,
        tokenizer=image_pipeline.tokenizer,
        unet=new_video_unet(image_pipeline.unet),
        scheduler=image_pipeline.scheduler,
        mixed_precision=device == "cpu",  # on a GPU the weights themselves are in half precision
    )
    still = {name: value.to("cpu", copy=True) for name, value in motion_state_dict(video.unet).items()}
    first_frames = {"base": with_dpo_lora(image_pipeline)} if preset.name == "pocket" else {}
    if first_frames and "dpo" not in getattr(image_pipeline.unet, "peft_config", {}):
        preset = replace(preset, first_frame_models=("base",))
    return LoadedBackbone(preset, device, video, still, first_frames, mode)


def new_video_unet(unet: UNet2DConditionModel) -> VideoUNet:
    """The video UNet of an image UNet. Its temporal weights are drawn alike every time, so that training is too."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return VideoUNet.from_unet2d(unet).eval().requires_grad_(False)


def empty_video_unet(name: str) -> VideoUNet:
    """The backbone's video UNet on the device "meta": names and shapes only. ValueError as `load_backbone`."""
    pocket = find_backbone(name).name == "pocket"
    folder = pocket_weights() if pocket else fetch_now(full_size.SD14_SIZES)[0]
    with torch.device("meta"):
        return VideoUNet.from_config(VideoUNet.load_config(folder / "unet"))


def pocket_weights() -> Path:
    """Where `pocket` is loaded from."""
    return Path(os.environ.get("HUVIDPO_POCKET_WEIGHTS") or POCKET_WEIGHTS)


def load_pocket(device: str) -> StableDiffusionPipeline:
    """The shipped image model, in single precision: it is small, and half precision pays in matrix work only."""
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
        own = "pytorch_lora_weights.safetensors"
        pipeline.unet.load_lora_adapter(folder, weight_name=own, use_safetensors=True, adapter_name="dpo", prefix=None)
    return pipeline


def known_words(backbone: LoadedBackbone) -> list[str]:
    """Every word that the model was trained on, sorted; empty where that is all of English."""
    return vocabulary() if backbone.preset.name == "pocket" else []


def varied_prompt(backbone: LoadedBackbone, category: str, number: int) -> str:
    """The prompt of that number for a category, the same each time, in words that the model knows."""
    if backbone.preset.name == "pocket":
        return caption(sample_scene(number, action=category), variant=number)
    prompts, styles = find_category(category).example_prompts, list(STYLES)
    return styled_prompt(prompts[number % len(prompts)], styles[number // len(prompts) % len(styles)])


def unknown_words(backbone: LoadedBackbone, *prompts: str) -> list[str]:
    """Words of the prompts, emoji too, that mean nothing to the model, in order, each once."""
    known = set(known_words(backbone))
    words = dict.fromkeys(WORD.findall(" ".join(prompts).lower())) if known else {}
    return [word for word in words if word not in known]


def seconds_for(backbone: Backbone, device: str, operation: str, steps: int) -> float:
    """A rough time for "first_frame" or "clip" on a device, shown before the click."""
    first_frame, clip = backbone.seconds_per_step.get(device, backbone.seconds_per_step["cpu"])
    return steps * (first_frame if operation == "first_frame" else clip)
