"""Makes an image UNet's modules a video UNet's; knows frames folded into the batch, nothing of the network."""

import torch
import torch.nn.functional as F
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import Attention
from einops import rearrange
from torch import Tensor, nn

from huvidpo.models.attention import ClipShape, TemporalAttention

# What stage 1 trains, as segments of parameter names; `attn1.to_q` is the only spatial one (LAMP).
MOTION_PARTS = ("conv1d", "conv_gate", "attn_temp", "norm_temp", "attn1.to_q")


def adopt(video_module: nn.Module, image_module: nn.Module) -> None:
    """Makes `video_module`, of a subclass, take over `image_module`: its parameters, children and settings."""
    video_module.__dict__.update(image_module.__dict__)


class CausalConv1d(nn.Conv1d):
    """A convolution over the frames at each position; frame i sees frames i-2, i-1 and i."""

    def __init__(self, channels: int, clip: ClipShape):
        super().__init__(channels, channels, kernel_size=3)
        self.clip = clip

    def forward(self, x: Tensor) -> Tensor:
        """(b f) c h w -> (b f) c h w.

        Written as a 2-D convolution over (frame, position): on two CPU cores about twice as fast as nn.Conv1d on
        "(b h w) c f", which transposes every activation twice, and as one 1x1 convolution of three shifted copies.
        """
        clips = rearrange(x, "(b f) c h w -> b c f (h w)", f=self.clip.frames)
        past_first = F.pad(clips, (0, 0, 2, 0))
        moved = F.conv2d(past_first, self.weight.unsqueeze(-1), self.bias)
        return rearrange(moved, "b c f (h w) -> (b f) c h w", h=x.shape[2])


class MotionConv2d(nn.Conv2d):
    """A 2-D convolution followed by LAMP's motion layer: y = conv2d(x); y + sigmoid(conv_gate(y)) * conv1d(y).

    `conv_gate` gives one weight per position. Both parts start at zero, which makes the layer an exact identity; the
    gate learns as soon as `conv1d` has left zero.
    """

    def __init__(self, conv2d: nn.Conv2d, clip: ClipShape):
        adopt(self, conv2d)
        self.clip = clip
        self.conv1d, self.conv_gate = self.new_temporal_parts().values()

    def new_temporal_parts(self) -> nn.ModuleDict:
        """`conv1d` and `conv_gate` as they start."""
        channels = self.out_channels
        conv1d, conv_gate = CausalConv1d(channels, self.clip), nn.Conv2d(channels, 1, kernel_size=3, padding=1)
        for parameter in (*conv1d.parameters(), *conv_gate.parameters()):
            nn.init.zeros_(parameter)
        return nn.ModuleDict({"conv1d": conv1d, "conv_gate": conv_gate})

    def forward(self, x: Tensor) -> Tensor:
        """(b f) c_in h_in w_in -> (b f) c h w."""
        y = super().forward(x)
        return y + torch.sigmoid(self.conv_gate(y)) * self.conv1d(y)


class FrameSharedGroupNorm(nn.GroupNorm):
    """GroupNorm whose statistics are shared by all frames of a clip: nn.GroupNorm on (b c f h w)."""

    def __init__(self, norm: nn.GroupNorm, clip: ClipShape):
        adopt(self, norm)
        self.clip = clip

    def forward(self, x: Tensor) -> Tensor:
        """(b f) c h w -> (b f) c h w."""
        clips = rearrange(x, "(b f) c h w -> b c f h w", f=self.clip.frames)
        return rearrange(super().forward(clips), "b c f h w -> (b f) c h w")


class MotionTransformerBlock(BasicTransformerBlock):
    """A transformer block that ends with temporal self-attention: x + attn_temp(norm_temp(x)).

    The whole output projection starts at zero. (The published code zeroes its weight only: a fresh network is not SD.)
    """

    def __init__(self, block: BasicTransformerBlock, clip: ClipShape):
        adopt(self, block)
        self.attn_temp, self.norm_temp = self.new_temporal_parts().values()
        self.attn_temp.set_processor(TemporalAttention(clip))

    def new_temporal_parts(self) -> nn.ModuleDict:
        """`attn_temp` and `norm_temp` as they start."""
        heads = self.attn1.heads
        attn_temp = Attention(self.dim, heads=heads, dim_head=self.dim // heads)
        nn.init.zeros_(attn_temp.to_out[0].weight)
        nn.init.zeros_(attn_temp.to_out[0].bias)
        return nn.ModuleDict({"attn_temp": attn_temp, "norm_temp": nn.LayerNorm(self.dim)})

    def forward(self, hidden_states: Tensor, *args, **kwargs) -> Tensor:
        """(b f) n d -> (b f) n d; further arguments are BasicTransformerBlock's."""
        hidden_states = super().forward(hidden_states, *args, **kwargs)
        return hidden_states + self.attn_temp(self.norm_temp(hidden_states))


def plain_name(name: str) -> str:
    """A parameter's name without peft's wrapper: `attn1.to_q.base_layer.weight` -> `attn1.to_q.weight`."""
    return name.replace(".base_layer.", ".")


def is_motion_parameter(name: str) -> bool:
    """Whether `name` belongs to what stage 1 trains; false for the LoRA matrices that peft adds beside it."""
    return ".lora_" not in name and any(f".{part}." in f".{plain_name(name)}" for part in MOTION_PARTS)


def motion_parameters(unet: nn.Module) -> dict[str, nn.Parameter]:
    """Stage 1's parameters by plain name, whether or not LoRA adapters wrap them."""
    return {plain_name(name): parameter for name, parameter in unet.named_parameters() if is_motion_parameter(name)}


def motion_state_dict(unet: nn.Module) -> dict[str, Tensor]:
    """Stage 1's weights by plain name: detached, sharing memory with the UNet."""
    return {name: parameter.detach() for name, parameter in motion_parameters(unet).items()}


def load_motion_state_dict(unet: nn.Module, state: dict[str, Tensor]) -> None:
    """Copies stage 1's weights into `unet`. ValueError, before anything is changed, unless names and shapes match."""
    parameters = motion_parameters(unet)
    missing, unexpected = (sorted(parameters.keys() - state.keys()), sorted(state.keys() - parameters.keys()))
    resized = sorted(k for k in parameters.keys() & state.keys() if parameters[k].shape != state[k].shape)
    for problem, names in (("are missing", missing), ("are unknown", unexpected), ("have another shape", resized)):
        if names:
            raise ValueError(f"These motion weights do not fit the UNet: {len(names)} {problem}, first {names[0]}.")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(state[name])
