"""The layers of LAMP and HuViDPO in the plain form they were published in, on our network's weights. For full_size.py.

Convolution over time on (b h w) c f, keys and values of the text anew for every frame, attention as matrix, softmax,
matrix. Frames stay folded into the batch between the layers, as in ours.
"""

import copy
from dataclasses import dataclass

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from huvidpo.models.attention import ClipShape, first_and_previous_frame
from huvidpo.models.motion import MotionConv2d, MotionTransformerBlock, adopt
from huvidpo.models.video_unet import VideoUNet


class PlainTimeConv1d(nn.Conv1d):
    """The convolution over frames i-2, i-1, i as published: every position a sequence of its own."""

    def __init__(self, conv1d: nn.Conv1d, clip: ClipShape):
        adopt(self, conv1d)
        self.clip = clip

    def forward(self, x: Tensor) -> Tensor:
        """(b f) c h w -> (b f) c h w."""
        height, width = x.shape[2:]
        sequences = F.pad(rearrange(x, "(b f) c h w -> (b h w) c f", f=self.clip.frames), (2, 0))
        return rearrange(super().forward(sequences), "(b h w) c f -> (b f) c h w", h=height, w=width)


@dataclass
class PlainAttention:
    """All three attentions as published, of the "kind" frames, text or time: no fused kernel, text once per frame."""

    clip: ClipShape
    kind: str

    def __call__(self, attn, hidden_states: Tensor, encoder_hidden_states=None, attention_mask=None) -> Tensor:
        """(b f) n d -> (b f) n d."""
        tokens, frames, positions = hidden_states, self.clip.frames, hidden_states.shape[1]
        if self.kind == "time":
            tokens = rearrange(tokens, "(b f) n d -> (b n) f d", f=frames)
        source = tokens
        if self.kind == "text":
            source = encoder_hidden_states.repeat_interleave(frames, dim=0)
        key, value = attn.to_k(source), attn.to_v(source)
        if self.kind == "frames":
            key, value = first_and_previous_frame(key, frames), first_and_previous_frame(value, frames)
        heads = (rearrange(x, "b n (h d) -> (b h) n d", h=attn.heads) for x in (attn.to_q(tokens), key, value))
        query, key, value = heads
        mixed = (attn.scale * query @ key.transpose(1, 2)).softmax(dim=-1) @ value
        out = attn.to_out[0](rearrange(mixed, "(b h) n d -> b n (h d)", h=attn.heads))
        return rearrange(out, "(b n) f d -> (b f) n d", n=positions) if self.kind == "time" else out


def plain_form(unet: VideoUNet) -> VideoUNet:
    """A copy of the network with the published layers in the place of ours, weights and outputs the same."""
    plain = copy.deepcopy(unet)
    for module in list(plain.modules()):
        if isinstance(module, MotionConv2d):
            module.conv1d = PlainTimeConv1d(module.conv1d, plain.clip)
        elif isinstance(module, MotionTransformerBlock):
            for attn, kind in ((module.attn1, "frames"), (module.attn2, "text"), (module.attn_temp, "time")):
                attn.set_processor(PlainAttention(plain.clip, kind))
    return plain
