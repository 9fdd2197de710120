"""Prompts -> text embeddings, for sampling and for training. Knows a CLIP text encoder, nothing of images."""

import torch
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer


def encode_text(text_encoder: CLIPTextModel, tokenizer: CLIPTokenizer, prompts: list[str]) -> Tensor:
    """Text embeddings (b n d) on the encoder's device, padded to full length as SD was trained; the rest is cut."""
    tokens = tokenizer(
        prompts, padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt"
    ).input_ids
    return text_encoder(tokens.to(text_encoder.device)).last_hidden_state


def encode_prompts(
    text_encoder: CLIPTextModel, tokenizer: CLIPTokenizer, negative_prompts: list[str], prompts: list[str]
) -> Tensor:
    """Both halves for classifier-free guidance, negative first: (2b n d)."""
    return torch.cat(
        [encode_text(text_encoder, tokenizer, negative_prompts), encode_text(text_encoder, tokenizer, prompts)]
    )
