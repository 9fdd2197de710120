"""A tiny pipeline of the real classes, and clips that move."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from huvidpo.models.video_unet import VideoUNet
from huvidpo.pipelines.image_to_video import ImageToVideoPipeline
from huvidpo.pocket.autoencoder import PatchAutoencoderKL
from huvidpo.pocket.components import new_scheduler, new_text_encoder, new_tokenizer
from huvidpo.training.clips import EncodedClip, TrainingClip, encode_both_ways
from huvidpo.training.examples import EncodedExamples, Example, encode_prompt


@pytest.fixture
def pipeline(tmp_path: Path) -> ImageToVideoPipeline:
    """Real classes, tiny: 32x32 pixels, 4x4 latents of 4 channels."""
    torch.manual_seed(0)
    tokenizer = new_tokenizer(tmp_path / "tokenizer")
    unet = VideoUNet(
        sample_size=4,
        block_out_channels=(16, 32),
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        layers_per_block=1,
        cross_attention_dim=160,
        attention_head_dim=2,
        norm_num_groups=8,
    )
    return ImageToVideoPipeline(
        vae=PatchAutoencoderKL(width=32, latent_channels=4).eval(),
        text_encoder=new_text_encoder(tokenizer).eval(),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=new_scheduler(),
    )


def moving_clips() -> list[TrainingClip]:
    """Two clips of six frames: a bright column that walks right, and one that walks down."""
    frames = np.zeros((2, 6, 32, 32, 3), np.uint8)
    for frame in range(6):
        frames[0, frame, :, 4 * frame : 4 * frame + 8] = 255
        frames[1, frame, 4 * frame : 4 * frame + 8] = 255
    return [TrainingClip("right", frames[0], "a red horse runs"), TrainingClip("down", frames[1], "rain falls")]


@pytest.fixture
def encoded(pipeline: ImageToVideoPipeline) -> EncodedExamples:
    """Three pairs in which the column that walks right wins, and a real clip; 6 frames, of which 4 are shown."""
    right, down = (
        EncodedClip(**encode_both_ways(pipeline.vae, clip.frames), text=encode_prompt(pipeline, clip.prompt))
        for clip in moving_clips()
    )
    faint = replace(right, latents=right.latents / 2, mirrored=right.mirrored / 2)
    pairs = ((right, down), (faint, down), (right, faint))
    labels = ((1, 1, 1, 1), (1, 0, -1, 1), (0, 1, 1, 1))
    examples = tuple(Example(pair, label) for pair, label in zip(pairs, labels, strict=True))
    return EncodedExamples(examples, (right,), encode_prompt(pipeline, ""))


@pytest.fixture
def judged(encoded: EncodedExamples) -> EncodedExamples:
    """The same clips, good or bad on their own."""
    right, down = encoded.examples[0].clips
    return replace(encoded, examples=(Example((right,), (1,)), Example((down,), (-1,)), Example((down,), (-1,))))
