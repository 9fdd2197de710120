import pytest
import torch
from diffusers import UNet2DConditionModel

from huvidpo.models.video_unet import VideoUNet

SIZES = {
    "sample_size": 8,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "cross_attention_dim": 12,
    "attention_head_dim": 2,
}


@pytest.fixture
def unet2d() -> UNet2DConditionModel:
    torch.manual_seed(0)
    return UNet2DConditionModel(**SIZES).eval()


@pytest.fixture
def moving_unet() -> VideoUNet:
    """A VideoUNet without a single zero parameter, so that every part leaves a trace in the output."""
    torch.manual_seed(0)
    unet = VideoUNet(**SIZES).eval()
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
    return unet


@pytest.fixture
def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two clips of 4 frames at different timesteps with different texts."""
    generator = torch.Generator().manual_seed(1)
    sample = torch.randn(2, 4, 4, 8, 8, generator=generator)
    text = torch.randn(2, 5, 12, generator=generator)
    return sample, torch.tensor([10, 700]), text
