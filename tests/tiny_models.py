"""The real classes of full-size models, as small as they go, with random weights."""

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from tests.published_layouts import published_tokenizer


def tiny_sdxl(folder: Path) -> StableDiffusionXLPipeline:
    """Stable Diffusion XL with pictures of an eighth of 128 pixels; `folder` takes its tokenizer's files."""
    torch.manual_seed(0)
    tokenizer = published_tokenizer(folder / "words")
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=16,
        bos_token_id=0,  # of no use and wrong, as in the published configurations
        eos_token_id=2,
        pad_token_id=1,
    )
    unet = UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        transformer_layers_per_block=(1, 2),
        projection_class_embeddings_input_dim=6 * 8 + 16,
        cross_attention_dim=32,
        norm_num_groups=8,
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
        sample_size=128,
    )
    pipeline = StableDiffusionXLPipeline(
        vae=vae.eval(),
        text_encoder=CLIPTextModel(text).eval(),
        text_encoder_2=CLIPTextModelWithProjection(text).eval(),
        tokenizer=tokenizer,
        tokenizer_2=published_tokenizer(folder / "words_2", pad="!"),
        unet=unet.eval(),
        scheduler=EulerDiscreteScheduler(),
        add_watermarker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def tiny_sd14(folder: Path) -> StableDiffusionPipeline:
    """Stable Diffusion 1.4 with pictures of an eighth of 64 pixels; `folder` takes its tokenizer's files."""
    large = tiny_sdxl(folder)
    torch.manual_seed(1)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=2,
        cross_attention_dim=16,
        norm_num_groups=4,
    )
    pipeline = StableDiffusionPipeline(
        vae=large.vae,
        text_encoder=large.text_encoder,
        tokenizer=large.tokenizer,
        unet=unet.eval(),
        scheduler=PNDMScheduler(  # the real repository's class
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, skip_prk_steps=True
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
