"""How each of the two backbones is loaded and put together: the only place that asks which one it is."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from threading import Lock

import torch
from diffusers import DiffusionPipeline, UNet2DConditionModel
from torch import nn

from huvidpo import full_size, memory
from huvidpo.categories import CATEGORIES, STYLES, Category, find_category, styled_prompt
from huvidpo.checks import check_choice
from huvidpo.full_size import FirstFramePipeline
from huvidpo.hub_models import Downloaded, HubFiles, cached, fetch_all, fetch_now
from huvidpo.machine import default_backbone, default_device
from huvidpo.models.motion import motion_state_dict
from huvidpo.models.video_unet import VideoUNet
from huvidpo.pipelines.image_to_video import ImageToVideoPipeline
from huvidpo.pocket.practice_clips import caption, sample_scene, vocabulary
from huvidpo.pocket.shipped import load_pocket, pocket_digest, pocket_weights, with_dpo_lora
from huvidpo.presets import Backbone, find_backbone
from huvidpo.quiet import without_bars

# Its vocabulary has other forms of some words of categories.
POCKET_FORMS = {"turn": "turns", "firework": "fireworks", "play": "plays", "run": "runs"}


@dataclass
class LoadedBackbone:
    """A backbone in memory. Its networks are shared by everybody: who samples holds the lock."""

    preset: Backbone
    device: str
    video: ImageToVideoPipeline
    still_motion: dict[str, torch.Tensor]  # stage-1 parameters without any category's motion
    first_frames: dict[str, FirstFramePipeline]  # by model, filled as needed
    memory: str = "all"  # one of memory.MODES
    commits: dict[str, str] = field(default_factory=dict)  # of the first-frame models that are loaded, as below
    lock: Lock = field(default_factory=Lock)

    @property
    def gpu_is_lent(self) -> bool:
        """Whether it computes on ZeroGPU's card, of which each second that is asked for is a visitor's quota."""
        return memory.on_zero_gpu() and self.device.startswith("cuda")

    def memory_modes(self) -> dict[str, float]:
        """The memory modes there are here, the fastest first, and the gigabytes that each needs."""
        return memory.modes_for(self.device, self.preset.gigabytes)

    def set_memory(self, mode: str) -> None:
        """Changes the memory mode, when whoever samples now is done. ValueError when there is no such mode here."""
        check_choice("memory mode", mode, self.memory_modes())
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

    def make_room_to_learn(self) -> None:
        """Brings the video model to the device, and takes the first-frame models off a GPU whatever the mode."""
        if len(self.memory_modes()) > 1:
            for pipeline in self.first_frames.values():
                memory.send_away(pipeline)
        self.take_turn(self.video)

    def room_to_learn(self) -> float:
        """Gigabytes that first-frame models have on the GPU now and leave before something is learned."""
        if len(self.memory_modes()) == 1:
            return 0.0
        kept = networks_of(self.video)
        leaving = [network for one in self.first_frames.values() for network in networks_of(one)]
        return memory.gigabytes_there(network for network in leaving if network not in kept)

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
        """The commit on the Hub that a first-frame model's UNet is from; "" for one that is shipped.

        That of a loaded one is remembered: on ZeroGPU its files leave the cache once they are in memory.
        """
        if model in self.commits:
            return self.commits[model]
        folder = cached(full_size.FIRST_FRAMES[model][-1]) if self.preset.name == "sd14" else None
        return folder.name if folder else ""

    def revision(self) -> str:
        """Names the video model's weights: their commit on the Hub, or what the shipped files hash to."""
        if self.preset.name == "sd14":
            return full_size.SD14.revision
        return pocket_digest("text_encoder", "unet", "vae")

    def first_frame_revision(self, model: str) -> str:
        """The same of a first-frame model."""
        if self.preset.name == "sd14":
            return self.first_frame_commit(model)
        return pocket_digest("text_encoder", "unet", "vae", *(["dpo"] if model == "dpo" else []))

    def download_first_frames(self, model: str) -> Iterator[Downloaded]:
        """Downloads what a first-frame model still lacks and yields progress. ValueError with one sentence."""
        yield from fetch_all(*self.missing_files(model))

    def first_frame_pipeline(self, model: str) -> FirstFramePipeline:
        """The pipeline of a first-frame model, loaded at its first use. ValueError for other names."""
        self.check_first_frame_model(model)
        if self.preset.name == "sd14":
            if model not in self.first_frames:
                with without_bars():
                    self.first_frames[model] = full_size.load_first_frames(model, self.device, self.first_frames)
                self.commits[model] = self.first_frame_commit(model)
                memory.settle(self.first_frames[model], self.memory, self.device)
            return self.first_frames[model]
        pipeline = self.first_frames["base"]
        if "dpo" in getattr(pipeline.unet, "peft_config", {}):
            pipeline.unet.enable_adapters() if model == "dpo" else pipeline.unet.disable_adapters()
        return pipeline


def networks_of(pipeline: DiffusionPipeline) -> list[nn.Module]:
    """The networks of a pipeline."""
    return [part for part in pipeline.components.values() if isinstance(part, nn.Module)]


def missing_weights(name: str) -> list[HubFiles]:
    """What would be downloaded before a backbone can be loaded, without its first-frame models."""
    files = [full_size.SD14] if name == "sd14" else []
    return [wanted for wanted in files if not cached(wanted)]


def load_backbone(name: str | None = None, memory_mode: str | None = None) -> LoadedBackbone:
    """Loads a backbone, by default `default_backbone()`, onto the device that is there.

    The memory mode is the given one, else HUVIDPO_MEMORY, else the fastest that fits into the GPU's free memory.
    Raises ValueError when its weights cannot be found or loaded, when the GPU has no room for them, or when there is
    no such mode.
    """
    preset = find_backbone(name or default_backbone())
    device = default_device(preset.name)
    if preset.name == "sd14" and memory.on_zero_gpu():
        # Every model is loaded before the page starts, onto a disk and into a memory that have no room for three.
        preset = replace(preset, first_frames={"dpo": preset.first_frames["dpo"]})
    with without_bars(), memory.full_gpu_says(memory.NO_ROOM_TO_LOAD):  # also the first look at a GPU needs some
        mode = memory.chosen_mode(memory_mode, device, preset.gigabytes)
        return put_together(preset, device, mode)


def put_together(preset: Backbone, device: str, mode: str) -> LoadedBackbone:
    """The image model of a preset on the device, and the video model made of it."""
    image_pipeline = load_pocket(device) if preset.name == "pocket" else full_size.load_sd14(device)
    video = ImageToVideoPipeline(
        vae=image_pipeline.vae,
        text_encoder=image_pipeline.text_encoder,
        tokenizer=image_pipeline.tokenizer,
        unet=new_video_unet(image_pipeline.unet),
        scheduler=image_pipeline.scheduler,
        mixed_precision=device == "cpu",  # on a GPU sd14's weights are in half precision, and pocket needs none
    )
    still = {name: value.to("cpu", copy=True) for name, value in motion_state_dict(video.unet).items()}
    first_frames = {"base": with_dpo_lora(image_pipeline)} if preset.name == "pocket" else {}
    if first_frames and "dpo" not in getattr(image_pipeline.unet, "peft_config", {}):
        preset = replace(preset, first_frames={"base": preset.first_frames["base"]})
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


def known_words(backbone: LoadedBackbone) -> list[str]:
    """Every word that the model was trained on, sorted; empty where that is all of English."""
    return vocabulary() if backbone.preset.name == "pocket" else []


def motion_words(name: str, category: Category) -> str:
    """What a clip of a category shows when nothing says so, in words that the backbone of that name knows."""
    forms = POCKET_FORMS if name == "pocket" else {}
    return " ".join(forms.get(word, word) for word in category.motion_prompt.split())


def varied_prompt(backbone: LoadedBackbone, category: str, number: int, unseen: bool | None = None) -> str:
    """The prompt of that number for a category, the same each time, in words that the model knows.

    Where there are few, `unseen` says of which: of one that is kept for comparing, or of the others. On `pocket` the
    prompts of other numbers are mostly others.
    """
    if backbone.preset.name == "pocket" and category in CATEGORIES:
        return caption(sample_scene(number, action=category), variant=number)
    prompts, styles = find_category(category).example_prompts, list(STYLES)
    if unseen is not None:
        prompts = prompts[-1:] if unseen else prompts[:-1]
    return styled_prompt(prompts[number % len(prompts)], styles[number // len(prompts) % len(styles)])


def unseen_prompts(
    backbone: LoadedBackbone, category: str, numbers: Iterable[int], seen: Collection[str]
) -> Iterator[tuple[int, str]]:
    """The prompts of those numbers that are kept for comparing, each with its number, but for those among `seen`."""
    for number in numbers:
        if (prompt := varied_prompt(backbone, category, number, unseen=True)) not in seen:
            yield number, prompt
