import copy
import logging

import pytest
import torch
from diffusers import UNet2DConditionModel
from peft import LoraConfig

from huvidpo.models.video_unet import VideoUNet
from tests.goldens import load_golden_unet

from .conftest import SIZES

LORA = LoraConfig(r=2, lora_alpha=4, target_modules=["to_q", "to_k", "to_v", "to_out.0"], init_lora_weights=False)
SD14 = {
    "attention_head_dim": 8,
    "block_out_channels": [320, 640, 1280, 1280],
    "cross_attention_dim": 768,
    "layers_per_block": 2,
    "sample_size": 64,
}


@pytest.mark.parametrize("variant", ["lamp", "huvidpo"])
@pytest.mark.parametrize("case", ["", "2"])
def test_reproduces_the_published_implementation(variant, case):
    unet, golden = load_golden_unet(variant)
    names = ("sample", "timestep", "encoder_hidden_states")
    with torch.no_grad():
        ours = unet(*(golden[f"in{case}.{name}"] for name in names)).sample
    torch.testing.assert_close(ours, golden[f"out{case}.sample"], atol=2e-5, rtol=0)


def test_the_goldens_tell_the_two_attentions_apart():
    unet, golden = load_golden_unet("lamp")
    unet.set_attention("first-previous")
    ours = unet(golden["in.sample"], golden["in.timestep"], golden["in.encoder_hidden_states"]).sample
    assert (ours - golden["out.sample"]).abs().max() > 1e-2


def test_one_frame_is_the_image_unet(unet2d, inputs):
    sample, timestep, text = inputs
    unet = VideoUNet.from_unet2d(unet2d)
    with torch.no_grad():
        still = unet2d(sample[:, :, 0], timestep, text).sample
        torch.testing.assert_close(unet(sample[:, :, :1], timestep, text).sample[:, :, 0], still)


@pytest.mark.parametrize("attention", ["first-previous", "first"])
def test_equal_frames_give_the_image_unet_in_every_frame(unet2d, inputs, attention):
    sample, timestep, text = inputs
    unet = VideoUNet.from_unet2d(unet2d, attention)
    with torch.no_grad():
        still = unet2d(sample[:, :, 0], timestep, text).sample
        clip = unet(sample[:, :, :1].expand(-1, -1, 4, -1, -1), timestep, text).sample
    torch.testing.assert_close(clip, still.unsqueeze(2).expand_as(clip), atol=1e-5, rtol=1e-5)


def test_a_new_unet_has_no_motion_but_can_learn_it(inputs):
    """Scrambling every temporal part but the two zero projections changes nothing; those two get a gradient."""
    torch.manual_seed(0)
    unet = VideoUNet(**SIZES).eval()
    before = unet(*inputs).sample
    with torch.no_grad():
        for name, parameter in unet.named_parameters():
            if "conv_gate" in name or "attn_temp.to_q" in name or "attn_temp.to_v" in name or "norm_temp" in name:
                parameter += torch.randn(parameter.shape)
    after = unet(*inputs).sample
    assert torch.equal(before, after)
    after.square().sum().backward()
    projections = [p for name, p in unet.named_parameters() if "conv1d" in name or "attn_temp.to_out.0" in name]
    assert all(parameter.abs().sum() == 0 and parameter.grad.abs().sum() > 0 for parameter in projections)


def test_clips_of_a_batch_do_not_mix_and_timestep_forms_agree(moving_unet, inputs):
    sample, timestep, text = inputs
    with torch.no_grad():
        both = moving_unet(sample, timestep, text).sample
        for i, t in enumerate((10, 700)):
            for form in (t, torch.tensor(t), torch.tensor([t])):
                one = moving_unet(sample[i : i + 1], form, text[i : i + 1], return_dict=False)[0]
                torch.testing.assert_close(one[0], both[i], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("shape", "texts"), [((2, 4, 8, 8), 2), ((2, 4, 3, 8, 8), 6)])
def test_wrong_shapes_are_refused(moving_unet, shape, texts):
    with pytest.raises(ValueError, match="one text per clip"):
        moving_unet(torch.randn(shape), 1, torch.randn(texts, 5, 12))


def test_set_attention_matches_a_unet_built_that_way(moving_unet, inputs):
    other = VideoUNet(attention="first", **SIZES).eval()
    other.load_state_dict(moving_unet.state_dict())
    before = moving_unet(*inputs).sample
    moving_unet.set_attention("first")
    assert moving_unet.config.attention == "first"
    torch.testing.assert_close(moving_unet(*inputs).sample, other(*inputs).sample)
    assert not torch.allclose(moving_unet(*inputs).sample, before)
    with pytest.raises(ValueError, match="first-previous"):
        moving_unet.set_attention("everything")


def test_every_name_of_the_image_unet_keeps_its_shape(unet2d):
    ours = VideoUNet.from_unet2d(unet2d).state_dict()
    theirs = unet2d.state_dict()
    assert all(ours[name].shape == value.shape and torch.equal(ours[name], value) for name, value in theirs.items())


def test_inflating_keeps_dtype_and_mode(unet2d):
    unet = VideoUNet.from_unet2d(unet2d.to(torch.bfloat16).eval())
    assert (unet.training, unet.dtype) == (False, torch.bfloat16)


def test_sd14_has_the_published_number_of_tensors_and_parameters():
    """1062 tensors against 686 of SD 1.4; 1101.1 M parameters against 859.5 M (facts of LAMP's checkpoints)."""
    with torch.device("meta"):
        unet, image = VideoUNet(**SD14), UNet2DConditionModel(**SD14)
    assert (len(unet.state_dict()), len(image.state_dict())) == (1062, 686)
    assert round(unet.num_parameters() / 1e6, 1) == 1101.1


@pytest.mark.parametrize("low_cpu_mem_usage", [True, False])
def test_save_and_load_are_exact(moving_unet, inputs, tmp_path, low_cpu_mem_usage):
    moving_unet.set_attention("first")
    moving_unet.save_pretrained(tmp_path)
    loaded = VideoUNet.from_pretrained(tmp_path, low_cpu_mem_usage=low_cpu_mem_usage)
    assert loaded.config.attention == "first"
    assert torch.equal(loaded(*inputs).sample, moving_unet(*inputs).sample)


@pytest.mark.parametrize("low_cpu_mem_usage", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_sd_folder_loads_without_a_warning_and_stands_still(
    unet2d, inputs, tmp_path, caplog, low_cpu_mem_usage, dtype
):
    """diffusers builds on the meta device and skips initialisation: the identity must survive both, filled in full."""
    unet2d.save_pretrained(tmp_path)
    diffusers_logger = logging.getLogger("diffusers")
    diffusers_logger.addHandler(caplog.handler)
    loaded = VideoUNet.from_pretrained(tmp_path, low_cpu_mem_usage=low_cpu_mem_usage, dtype=dtype)
    diffusers_logger.removeHandler(caplog.handler)
    assert not caplog.records
    expected = VideoUNet.from_unet2d(unet2d).state_dict()
    for name, value in loaded.state_dict().items():
        assert (value.device.type, value.dtype) == ("cpu", dtype)
        if not name.endswith(("attn_temp.to_q.weight", "attn_temp.to_k.weight", "attn_temp.to_v.weight")):
            assert torch.equal(value, expected[name].to(dtype)), name
        else:
            assert value.float().std() > 0.1
    if dtype == torch.float32:
        assert torch.equal(loaded(*inputs).sample, VideoUNet.from_unet2d(unet2d)(*inputs).sample)


def lora_gradients(unet: VideoUNet, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    unet.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in unet.named_parameters() if ".lora_" in name}


def test_every_lora_layer_learns_under_gradient_checkpointing(moving_unet, inputs):
    """The published code trained none of the down blocks' LoRA (reentrant checkpointing over a frozen base).

    Two clips of different length share one backward: recomputation must use each forward's own number of frames.
    """
    sample, timestep, text = inputs
    moving_unet.requires_grad_(False)
    moving_unet.add_adapter(LORA)
    moving_unet.train()

    def loss() -> torch.Tensor:
        long, short = (moving_unet(x, timestep, text).sample.square().mean() for x in (sample, sample[:, :, :3]))
        return long + short

    plain = lora_gradients(moving_unet, loss())
    moving_unet.enable_gradient_checkpointing()
    checkpointed = lora_gradients(moving_unet, loss())
    assert len(plain) == 2 * 4 * 3 * 4  # A and B; q k v out; attn1 attn2 attn_temp; down, mid and two up blocks
    assert all(gradient.abs().sum() > 0 for gradient in checkpointed.values())
    for name, gradient in plain.items():
        torch.testing.assert_close(checkpointed[name], gradient)


def test_lora_survives_saving_bit_for_bit(moving_unet, inputs, tmp_path):
    bare, fresh = moving_unet(*inputs).sample, copy.deepcopy(moving_unet)
    moving_unet.add_adapter(LORA, "preference")
    moving_unet.save_lora_adapter(tmp_path, adapter_name="preference")
    file = "pytorch_lora_weights.safetensors"
    fresh.load_lora_adapter(tmp_path, adapter_name="preference", prefix=None, weight_name=file, use_safetensors=True)
    adapted = moving_unet(*inputs).sample
    assert torch.equal(fresh(*inputs).sample, adapted)
    assert not torch.allclose(adapted, bare)
    moving_unet.disable_adapters()
    assert torch.equal(moving_unet(*inputs).sample, bare)


def test_copies_do_not_share_the_number_of_frames(moving_unet, inputs):
    sample, timestep, text = inputs
    other = copy.deepcopy(moving_unet)
    before = moving_unet(sample, timestep, text).sample
    other(sample[:, :, :2], timestep, text)
    assert moving_unet.clip.frames == moving_unet.conv_in.clip.frames == 4
    assert torch.equal(moving_unet(sample, timestep, text).sample, before)
    assert torch.equal(other(sample, timestep, text).sample, before)
