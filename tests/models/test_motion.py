import pytest
import torch
from peft import LoraConfig
from torch import nn

from huvidpo.models.attention import ClipShape
from huvidpo.models.motion import (
    FrameSharedGroupNorm,
    MotionConv2d,
    is_motion_parameter,
    load_motion_state_dict,
    motion_parameters,
    motion_state_dict,
)
from huvidpo.models.video_unet import VideoUNet

FRAMES = 5


@pytest.fixture
def conv() -> MotionConv2d:
    torch.manual_seed(0)
    conv = MotionConv2d(nn.Conv2d(3, 4, 3, padding=1), ClipShape(FRAMES))
    for parameter in (*conv.conv1d.parameters(), *conv.conv_gate.parameters()):
        nn.init.normal_(parameter)
    return conv


@pytest.mark.parametrize("conv2d", [nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 3, 2, 1)])
def test_a_new_motion_layer_is_the_convolution_itself(conv2d):
    x = torch.randn(2 * FRAMES, 3, 6, 6)
    assert torch.equal(MotionConv2d(conv2d, ClipShape(FRAMES))(x), conv2d(x))


def test_motion_layer_equals_its_formula_written_with_pytorch(conv):
    """y + sigmoid(gate(y)) * conv1d(y), with PyTorch's conv1d run along time at every position."""
    x = torch.randn(2 * FRAMES, 3, 6, 7)
    y = nn.functional.conv2d(x, conv.weight, conv.bias, padding=1)
    along_time = y.unflatten(0, (2, FRAMES)).permute(0, 3, 4, 2, 1).flatten(0, 2)
    moved = nn.functional.conv1d(nn.functional.pad(along_time, (2, 0)), conv.conv1d.weight, conv.conv1d.bias)
    moved = moved.unflatten(0, (2, 6, 7)).permute(0, 4, 3, 1, 2).flatten(0, 1)
    torch.testing.assert_close(conv(x), y + torch.sigmoid(conv.conv_gate(y)) * moved)


def test_frame_i_sees_frames_i_minus_2_to_i(conv):
    x = torch.randn(FRAMES, 3, 6, 6)
    for changed in range(FRAMES):
        other = x.clone()
        other[changed] += 1
        moved = (conv(other) - conv(x)).abs().amax(dim=(1, 2, 3)) > 1e-6
        assert moved.tolist() == [changed <= i <= changed + 2 for i in range(FRAMES)]


def test_frame_shared_norm_equals_group_norm_on_the_whole_clip():
    norm = nn.GroupNorm(2, 4)
    nn.init.normal_(norm.weight)
    clips = torch.randn(2, 4, FRAMES, 6, 6) * torch.arange(1, FRAMES + 1).view(1, 1, -1, 1, 1)
    frames = clips.transpose(1, 2).flatten(0, 1)
    ours = FrameSharedGroupNorm(norm, ClipShape(FRAMES))(frames)
    torch.testing.assert_close(ours.unflatten(0, (2, FRAMES)).transpose(1, 2), norm(clips))
    assert not torch.allclose(ours, norm(frames), atol=0.1)


@pytest.mark.parametrize(
    ("name", "motion"),
    [
        ("down_blocks.0.resnets.0.conv1.conv1d.weight", True),
        ("conv_in.conv_gate.bias", True),
        ("mid_block.attentions.0.transformer_blocks.0.attn_temp.to_out.0.bias", True),
        ("mid_block.attentions.0.transformer_blocks.0.norm_temp.weight", True),
        ("mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight", True),
        ("mid_block.attentions.0.transformer_blocks.0.attn1.to_q.base_layer.weight", True),
        ("mid_block.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.default.weight", False),
        ("mid_block.attentions.0.transformer_blocks.0.attn_temp.to_q.lora_B.default.weight", False),
        ("mid_block.attentions.0.transformer_blocks.0.attn1.to_k.weight", False),
        ("mid_block.attentions.0.transformer_blocks.0.attn2.to_q.weight", False),
        ("down_blocks.0.resnets.0.conv1.weight", False),
    ],
)
def test_what_stage_1_trains(name, motion):
    assert is_motion_parameter(name) is motion


def test_motion_weights_move_from_one_unet_to_another_even_with_lora_between(unet2d, moving_unet):
    """Loaded into a UNet whose layers peft has wrapped, the same names arrive and leave bit-equal."""
    state = {name: value.clone() for name, value in motion_state_dict(moving_unet).items()}
    still = VideoUNet.from_unet2d(unet2d)
    still.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_k", "to_v", "to_out.0"]))
    assert motion_parameters(still).keys() == state.keys()
    load_motion_state_dict(still, state)
    assert all(torch.equal(value, state[name]) for name, value in motion_state_dict(still).items())


@pytest.mark.parametrize("problem", ["missing", "unknown", "another shape"])
def test_motion_weights_that_do_not_fit_change_nothing(moving_unet, problem):
    state = {name: torch.zeros_like(value) for name, value in motion_state_dict(moving_unet).items()}
    if problem == "missing":
        del state["conv_in.conv1d.weight"]
    elif problem == "unknown":
        state["conv_in.conv3d.weight"] = torch.zeros(1)
    else:
        state["conv_in.conv1d.weight"] = torch.zeros(8, 8, 5)
    before = moving_unet.conv_in.conv_gate.weight.clone()
    with pytest.raises(ValueError, match=rf"1 .*{problem}, first conv_in\.conv"):
        load_motion_state_dict(moving_unet, state)
    assert torch.equal(moving_unet.conv_in.conv_gate.weight, before)
