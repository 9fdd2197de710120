"""The jobs at full size that memory.py counts and hours.py adds up: steps of both stages, of sampling, a decoding."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from torch._subclasses.fake_tensor import unset_fake_temporarily
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from huvidpo.models.motion import motion_parameters
from huvidpo.models.video_unet import VideoUNet
from huvidpo.training.examples import Batch
from huvidpo.training.loop import apply_gradients
from huvidpo.training.motion import motion_loss
from huvidpo.training.preference_settings import PreferenceSettings
from huvidpo.training.preference_step import accumulate_gradients
from huvidpo.training.reference import add_policy

FRAMES, ROWS, COLUMNS, TEXT = 16, 40, 64, (77, 768)  # 512x320 pixels are 64x40 latents
Job = tuple[Callable[[], None], list[object]]  # a step, and what lives from step to step
# The settings of the published models (their config.json).
SD14 = {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8}
SDXL = {
    "sample_size": 128,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
}
SDXL |= {"addition_embed_type": "text_time", "addition_time_embed_dim": 256}
SDXL |= {"projection_class_embeddings_input_dim": 2816, "transformer_layers_per_block": (1, 2, 10)}
VAE = {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2}
VAE |= {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
CLIP_L = {"vocab_size": 49408, "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12}
CLIP_L |= {"num_attention_heads": 12, "projection_dim": 768}
CLIP_G = {"vocab_size": 49408, "hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32}
CLIP_G |= {"num_attention_heads": 20, "projection_dim": 1280}
LEVELS = {"": 0, "one level recomputed": 1, "two levels recomputed": 2, "all recomputed": None}


def new_scheduler() -> DDIMScheduler:
    """Fresh for every job: it keeps its table on the device of the last one."""
    return DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False)


def video_unet(config: dict, device: str, dtype: torch.dtype = torch.bfloat16) -> VideoUNet:
    """As `sd14` is loaded on a GPU: frozen, in half precision. Autocast sees to it that CPUs can train in float16."""
    with half_precision(dtype), torch.device(device):
        return VideoUNet(**config).requires_grad_(False)


@contextmanager
def half_precision(dtype: torch.dtype = torch.bfloat16) -> Iterator[None]:
    """New tensors are in half precision; tensors without numbers cannot be converted afterwards.

    Weights of `sd14` are float16, of which stage 1's autocast to bfloat16 keeps copies for the backward pass. Where
    nothing is learned bfloat16 stands in, which is as large: CPUs lack float16 in places.
    """
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def motion_in_single_precision(unet: VideoUNet) -> list[nn.Parameter]:
    """As `training.motion.prepare` has it; gives the parameters that are trained."""
    trained = []
    for name, parameter in motion_parameters(unet).items():
        owner, _, last = name.rpartition(".")
        new = nn.Parameter(parameter.detach().float())
        unet.get_submodule(owner)._parameters[last] = new
        trained.append(new)
    return trained


def batch(clips: int, rows: int, columns: int, device: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Latents, noise, timesteps and text of a step."""
    latents = torch.randn(clips, 4, FRAMES, rows, columns, device=device)
    words = torch.randn(clips, *TEXT, device=device)
    return latents, torch.randn_like(latents), torch.full((clips,), 500, device=device), words


def stage_1(config: dict, rows: int, columns: int, device: str, levels: int | None) -> Job:
    """A step of `train_motion`, AdamW's states and the running average included."""
    unet = video_unet(config, device, torch.float16).train()
    trained = motion_in_single_precision(unet)
    if levels != 0:
        unet.enable_gradient_checkpointing(levels)
    average = [parameter.detach().clone() for parameter in trained]
    optimizer, scheduler = torch.optim.AdamW(trained, lr=3e-5), new_scheduler()

    def step() -> None:
        latents, noise, timesteps, words = batch(1, rows, columns, device)
        with torch.autocast(device, torch.bfloat16):
            loss = motion_loss(unet, scheduler, latents, noise, timesteps, words)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        torch._foreach_lerp_(average, [parameter.detach() for parameter in trained], 0.01)

    return step, [unet, optimizer, *average]


def stage_2(config: dict, rows: int, columns: int, device: str, levels: int | None, members: str = "together") -> Job:
    """A step of `train_preference` on one pair of clips: reference, policy, gradient, AdamW."""
    with unset_fake_temporarily(), half_precision(torch.float16), torch.device("meta"):
        unet = VideoUNet(**config)
        add_policy(unet, rank=16, alpha=16.0, dropout=0.0, seed=0)
    give_memory(unet, device)
    trained = [parameter for parameter in unet.parameters() if parameter.requires_grad]
    if levels != 0:
        unet.enable_gradient_checkpointing(levels)
    optimizer, scheduler = torch.optim.AdamW(trained), new_scheduler()
    settings = PreferenceSettings("dpo", beta=500.0, learning_rate=1e-5, members=members)

    def step() -> None:
        latents, noise, timesteps, words = batch(2, rows, columns, device)
        labels = torch.ones(1, FRAMES - 1, device=device)
        pair = Batch(latents, noise, timesteps, words, labels, real=0, draws=((0, 0),))
        accumulate_gradients(unet, scheduler, pair, settings, 1.0)
        apply_gradients(optimizer, 1e-5, 1.0, 0.0)

    return step, [unet, optimizer]


def give_memory(network: nn.Module, device: str) -> None:
    """Turns parameters that are shapes only into zeros. (peft cannot add its layers among tensors without numbers.)"""
    for module in network.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                zeros = torch.zeros(parameter.shape, dtype=parameter.dtype, device=device)
                module._parameters[name] = nn.Parameter(zeros, parameter.requires_grad)


def clip_sampling(config: dict, rows: int, columns: int, device: str, levels: int | None) -> Job:
    """One denoising step of a clip with guidance."""
    unet = video_unet(config, device)

    def step() -> None:
        latents, _, _, words = batch(2, rows, columns, device)
        with torch.no_grad():
            unet(latents.bfloat16(), 500, words.bfloat16())

    return step, [unet]


def first_frame_sampling(config: dict, rows: int, columns: int, device: str, levels: int | None) -> Job:
    """One denoising step of SDXL at 1024x640 with guidance."""
    with half_precision(), torch.device(device):
        unet = UNet2DConditionModel(**SDXL).requires_grad_(False)

    def step() -> None:
        more = {"text_embeds": torch.randn(2, 1280, device=device).bfloat16()}
        more["time_ids"] = torch.randn(2, 6, device=device).bfloat16()
        latents, words = torch.randn(2, 4, 80, 128, device=device), torch.randn(2, 77, 2048, device=device)
        with torch.no_grad():
            unet(latents.bfloat16(), 500, words.bfloat16(), added_cond_kwargs=more)

    return step, [unet]


def first_frame_decoding(config: dict, rows: int, columns: int, device: str, levels: int | None) -> Job:
    """SDXL's autoencoder on 1024x640 pixels, the one that was tuned for half precision."""
    with half_precision(), torch.device(device):
        vae = AutoencoderKL(**VAE, sample_size=1024).requires_grad_(False)

    def step() -> None:
        with torch.no_grad():
            vae.decode(torch.randn(1, 4, 80, 128, device=device).bfloat16())

    return step, [vae]


JOBS = {
    "stage 1, motion": stage_1,
    "stage 2, pair at once": stage_2,
    "stage 2, members apart": partial(stage_2, members="apart"),
    "a clip's step": clip_sampling,
    "a first frame's step": first_frame_sampling,
    "a first frame's decoding": first_frame_decoding,
}


def network_gigabytes() -> dict[str, float]:
    """What the weights of the published networks take in half precision."""
    with torch.device("meta"):
        networks = {
            "video UNet": VideoUNet(**SD14),
            "UNet": UNet2DConditionModel(**SD14),
            "text": CLIPTextModel(CLIPTextConfig(**CLIP_L)),
            "autoencoder": AutoencoderKL(**VAE),
            "SDXL's UNet": UNet2DConditionModel(**SDXL),
            "SDXL's second text": CLIPTextModelWithProjection(CLIPTextConfig(**CLIP_G)),
        }
    return {name: 2 * sum(p.numel() for p in network.parameters()) / 1e9 for name, network in networks.items()}
