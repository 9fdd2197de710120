"""The two backbones in numbers: their sizes, defaults, needs and licences. Knows nothing of how one is loaded."""

from dataclasses import dataclass, field, replace

from huvidpo.checks import check_choice
from huvidpo.recipes import RECIPES, Recipe

FIRST_FRAME_MODELS = ("dpo", "base", "dpo-small")  # those of all backbones; the last is for little memory
# Licences of the models on the Hub: what they are called, where they stand.
RAIL_M = ("CreativeML Open RAIL-M", "https://hf.co/spaces/CompVis/stable-diffusion-license")
RAIL_PP = ("CreativeML Open RAIL++-M", "https://hf.co/stabilityai/stable-diffusion-xl-base-1.0/blob/main/LICENSE.md")


@dataclass(frozen=True)
class FirstFrameSettings:
    """What a first-frame model was trained for: its size; and how it is sampled."""

    width: int  # pixels
    height: int
    steps: int
    guidance: float
    time: float = 1.0  # of a step, as a share of that of the backbone's largest model


@dataclass(frozen=True)
class Backbone:
    """A first-frame model and a video model with the sizes and defaults they were trained for."""

    name: str
    title: str
    summary: str
    licence: str
    width: int  # pixels of clips
    height: int
    first_frames: dict[str, FirstFrameSettings]  # by model, the best one first
    training_gigabytes: tuple[float, float]  # to learn: a pair at once, one by one
    num_frames: int = 16
    fps: int = 8
    clip_steps: int = RECIPES["default"].steps  # of the recipe `default`
    clip_guidance: float = RECIPES["default"].guidance  # likewise
    pair_guidances: tuple[float, float] = (5.0, 10.0)  # of two takes that should differ
    clips_at_once: int = 1  # in an evaluation
    of_uploads: str = ""  # what to know of clips that begin with a picture of one's own, in one sentence
    judge: str = "hub"  # whose models look at an evaluation's clips: the Hub's, or pocket's, which know its world only
    motion_steps: int = 25_000  # of a category's motion; HuViDPO's, as the two below, where LAMP has 30,000
    motion_learning_rate: float = 3e-5
    motion_optimizer: str = "adamw"
    preference_learning_rate: float = 1e-5  # of the preset `recommended`
    seconds_per_step: dict[str, tuple[float, float]] = field(default_factory=dict)  # device -> (first frame, clip)
    gigabytes: dict[str, float] = field(default_factory=lambda: {"all": 1.0})  # free on the GPU, by memory mode

    def recipe(self, name: str) -> Recipe:
        """The named recipe for clips; `default` has this backbone's own steps and guidance."""
        recipe = RECIPES[name]
        return replace(recipe, steps=self.clip_steps, guidance=self.clip_guidance) if name == "default" else recipe

    @property
    def first_frame_models(self) -> tuple[str, ...]:
        """Names of the first-frame models, the best one first."""
        return tuple(self.first_frames)


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
            first_frames=dict.fromkeys(("dpo", "base"), FirstFrameSettings(128, 128, steps=16, guidance=2.5)),
            clip_steps=4,  # with more, actions are not recognised more often (report, solver)
            clip_guidance=1.0,  # more moves more than practice clips do, and doubles the time (report, guidance)
            pair_guidances=(1.0, 2.5),
            of_uploads="Pocket has seen drawings only: a photograph dissolves after this first frame.",
            clips_at_once=4,
            judge="pocket",
            motion_steps=800,  # about what the last run of its shipped motion had
            motion_learning_rate=5e-4,
            motion_optimizer="muon",
            preference_learning_rate=5e-4,  # a network of this size, from few steps
            training_gigabytes=(1.0, 0.5),  # benchmarks/preference_step.py
            seconds_per_step={"cpu": (0.1, 0.7), "cuda": (0.02, 0.03)},
        ),
        Backbone(
            name="sd14",
            title="Stable Diffusion 1.4 + DPO-SDXL",
            summary="The paper's model: DPO-SDXL first frames, a video UNet inflated from Stable Diffusion 1.4.",
            licence=(
                f"{RAIL_M[0]} (Stable Diffusion 1.4, {RAIL_M[1]}), {RAIL_PP[0]} (SDXL and the DPO UNets, {RAIL_PP[1]})"
            ),
            width=512,
            height=320,
            first_frames=dict.fromkeys(("dpo", "base"), FirstFrameSettings(1024, 640, steps=30, guidance=5.0))
            | {"dpo-small": FirstFrameSettings(512, 320, steps=30, guidance=7.5, time=0.15)},
            # benchmarks/memory.py, stage 2 without the weights, 6.65 and 3.32; some on top
            training_gigabytes=(7.5, 4.0),
            seconds_per_step={"cpu": (60.0, 120.0), "cuda": (0.25, 0.6)},
            # Peaks of benchmarks/memory.py, and 1 to 2 on top for CUDA: all models; SDXL; its UNet; the video model.
            gigabytes={"all": 20.0, "turns": 10.0, "offload": 7.0, "sequential": 5.5},
        ),
    )
}


def find_backbone(name: str) -> Backbone:
    """The preset of a name; ValueError that lists the names."""
    check_choice("backbone", name, BACKBONES)
    return BACKBONES[name]


def seconds_for(backbone: Backbone, device: str, operation: str, steps: int) -> float:
    """A rough time for "first_frame" or "clip" on a device, shown before the click."""
    first_frame, clip = backbone.seconds_per_step.get(device, backbone.seconds_per_step["cpu"])
    return steps * (first_frame if operation == "first_frame" else clip)
