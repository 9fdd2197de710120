"""How frames attend to each other and to the text; knows diffusers' `Attention`, nothing of the UNet around it."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention
from einops import rearrange
from torch import Tensor

from huvidpo.recipes import ATTENTION_VARIANTS

SCORES_AT_ONCE = 2**20  # on a CPU in bfloat16: what stays in its cache between two products


@dataclass
class ClipShape:
    """The number of frames in the clip under way.

    Frames travel folded into the batch, so a tensor alone cannot tell 2 clips of 8 frames from 1 of 16. The UNet and
    all of its video modules hold the same `ClipShape`; `VideoUNet.forward` sets it.
    """

    frames: int = 1


def attend(attn: Attention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Multi-head attention and the output projection of `attn`: (b i d), (b j d), (b j d) -> (b i d)."""
    query, key, value = (rearrange(x, "b n (h d) -> b h n d", h=attn.heads) for x in (query, key, value))
    tokens = scaled_dot_product(query, key, value, attn.scale)
    tokens = attn.to_out[0](rearrange(tokens, "b h n d -> b n (h d)"))
    return attn.to_out[1](tokens)


def scaled_dot_product(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """softmax(scale * query key^T) value: (b h i d), (b h j d), (b h j d) -> (b h i d).

    PyTorch's fused attention, but for bfloat16 on a CPU: its backward pass there takes up to ten times as long as
    that of matrix products written out (benchmarks/attention.py).
    """
    if query.device.type != "cpu" or query.dtype != torch.bfloat16:
        return F.scaled_dot_product_attention(query, key, value, scale=scale)
    at_once = max(1, SCORES_AT_ONCE // (query.shape[1] * query.shape[2] * key.shape[2]))
    parts = zip(*(tensor.split(at_once) for tensor in (scale * query, key, value)), strict=True)
    return torch.cat([torch.softmax(q @ k.transpose(-1, -2), dim=-1) @ v for q, k, v in parts])


def first_and_previous_frame(tokens: Tensor, frames: int) -> Tensor:
    """Keys or values that each frame sees: (b f) n d -> (b f) 2n d.

    Frame i sees frame 0 and frame max(i - 1, 0), as in Tune-A-Video (arXiv 2212.11565) and HuViDPO Eq. 10-11.
    """
    tokens = rearrange(tokens, "(b f) n d -> b f n d", f=frames)
    first = tokens[:, :1].expand_as(tokens)
    previous = torch.cat([tokens[:, :1], tokens[:, :-1]], dim=1)
    return rearrange(torch.cat([first, previous], dim=2), "b f n d -> (b f) n d")


class PictureAttention:
    """Processor of self- and cross-attention within single pictures: diffusers' own, by `scaled_dot_product`."""

    def __call__(
        self, attn: Attention, hidden_states: Tensor, encoder_hidden_states=None, attention_mask=None
    ) -> Tensor:
        """b n d, and for cross-attention text b m d -> b n d."""
        seen = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        return attend(attn, attn.to_q(hidden_states), attn.to_k(seen), attn.to_v(seen))


@dataclass
class FirstPreviousFrameAttention:
    """Self-attention processor of HuViDPO: every frame reads the first and the previous frame."""

    clip: ClipShape

    def __call__(
        self, attn: Attention, hidden_states: Tensor, encoder_hidden_states=None, attention_mask=None
    ) -> Tensor:
        """(b f) n d -> (b f) n d."""
        key = first_and_previous_frame(attn.to_k(hidden_states), self.clip.frames)
        value = first_and_previous_frame(attn.to_v(hidden_states), self.clip.frames)
        return attend(attn, attn.to_q(hidden_states), key, value)


@dataclass
class FirstFrameAttention:
    """Self-attention processor of LAMP: every frame reads the first frame only."""

    clip: ClipShape

    def __call__(
        self, attn: Attention, hidden_states: Tensor, encoder_hidden_states=None, attention_mask=None
    ) -> Tensor:
        """(b f) n d -> (b f) n d. All frames share their keys, so they form one long sequence of queries."""
        clips = rearrange(hidden_states, "(b f) n d -> b f n d", f=self.clip.frames)
        first = clips[:, 0]
        query = rearrange(attn.to_q(clips), "b f n d -> b (f n) d")
        tokens = attend(attn, query, attn.to_k(first), attn.to_v(first))
        return rearrange(tokens, "b (f n) d -> (b f) n d", f=self.clip.frames)


@dataclass
class TextAttention:
    """Cross-attention processor: keys and values of a clip's text are computed once, not once per frame."""

    clip: ClipShape

    def __call__(
        self, attn: Attention, hidden_states: Tensor, encoder_hidden_states: Tensor, attention_mask=None
    ) -> Tensor:
        """(b f) n d and text b m d -> (b f) n d."""
        frames = self.clip.frames
        query = rearrange(attn.to_q(hidden_states), "(b f) n d -> b (f n) d", f=frames)
        tokens = attend(attn, query, attn.to_k(encoder_hidden_states), attn.to_v(encoder_hidden_states))
        return rearrange(tokens, "b (f n) d -> (b f) n d", f=frames)


@dataclass
class TemporalAttention:
    """Self-attention processor over time: a position sees itself in all frames; no mask, no position encoding."""

    clip: ClipShape

    def __call__(
        self, attn: Attention, hidden_states: Tensor, encoder_hidden_states=None, attention_mask=None
    ) -> Tensor:
        """(b f) n d -> (b f) n d."""
        frames, positions = self.clip.frames, hidden_states.shape[1]
        # Contiguous: of one clip this is a view, whose projections would be a product for every frame.
        tokens = rearrange(hidden_states, "(b f) n d -> (b n) f d", f=frames).contiguous()
        tokens = attend(attn, attn.to_q(tokens), attn.to_k(tokens), attn.to_v(tokens))
        return rearrange(tokens, "(b n) f d -> (b f) n d", n=positions)


def self_attention(variant: str, clip: ClipShape) -> FirstPreviousFrameAttention | FirstFrameAttention:
    """The processor of `attn1` for one of `ATTENTION_VARIANTS`; ValueError for any other name."""
    if variant == "first-previous":
        return FirstPreviousFrameAttention(clip)
    if variant == "first":
        return FirstFrameAttention(clip)
    raise ValueError(f"attention must be one of {', '.join(ATTENTION_VARIANTS)}, not {variant!r}.")
