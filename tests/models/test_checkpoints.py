import copy
import os
import pickle

import numpy as np
import psutil
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file

from huvidpo.models.checkpoints import CheckpointReport, convert_state_dict, load_checkpoint, load_into
from huvidpo.models.motion import MotionConv2d
from huvidpo.models.video_unet import VideoUNet

from .conftest import SIZES


def published_names(unet: VideoUNet) -> dict[str, torch.Tensor]:
    """The weights under the names that LAMP and HuViDPO save."""
    convs = {name for name, module in unet.named_modules() if isinstance(module, MotionConv2d)}

    def rename(name: str) -> str:
        parent, _, leaf = name.rpartition(".")
        return f"{parent}.conv2d.{leaf}" if parent in convs else name

    return {rename(name): value.clone() for name, value in unet.state_dict().items()}


def test_published_names_load_completely(moving_unet, inputs, tmp_path):
    """The bias of attn_temp's output, random in the published files, must come along."""
    torch.save(published_names(moving_unet), tmp_path / "unet.bin")
    state = load_checkpoint(tmp_path / "unet.bin")
    assert "conv_in.conv2d.weight" in state
    unet = VideoUNet(**SIZES).eval()
    report = load_into(unet, state)
    assert report == CheckpointReport(loaded=tuple(unet.state_dict()))
    assert torch.equal(unet(*inputs).sample, moving_unet(*inputs).sample)


def test_a_whole_peft_network_splits_into_weights_and_an_adapter_that_loads(moving_unet, inputs, tmp_path):
    """HuViDPO's .pth: everything in one pickle, as peft names it."""
    base = copy.deepcopy(moving_unet)
    config = LoraConfig(
        r=2, lora_alpha=4, target_modules=["to_q", "to_k", "to_v", "to_out.0"], init_lora_weights=False
    )
    whole = get_peft_model(moving_unet, config)
    torch.save(whole.state_dict(), tmp_path / "model_weights_epoch_0.pth")
    weights, lora, report = convert_state_dict(load_checkpoint(tmp_path / "model_weights_epoch_0.pth"))
    assert weights.keys() == base.state_dict().keys()
    assert not report.unexpected
    unet = VideoUNet(**SIZES).eval()
    load_into(unet, weights)
    assert torch.equal(unet(*inputs).sample, base(*inputs).sample)
    unet.load_lora_adapter(lora, prefix=None, metadata=config.to_dict())
    torch.testing.assert_close(unet(*inputs).sample, whole(*inputs).sample)


def test_an_image_unet_fills_the_spatial_part_only(unet2d, moving_unet):
    temporal = moving_unet.conv_in.conv1d.weight.clone()
    report = load_into(moving_unet, unet2d.state_dict())
    assert set(report.loaded) == set(unet2d.state_dict())
    assert set(report.missing) == set(moving_unet.state_dict()) - set(unet2d.state_dict())
    assert torch.equal(moving_unet.conv_in.weight, unet2d.conv_in.weight)
    assert torch.equal(moving_unet.conv_in.conv1d.weight, temporal)


def test_weights_reach_layers_that_peft_has_wrapped(moving_unet):
    unet = VideoUNet(**SIZES)
    unet.add_adapter(LoraConfig(r=2, target_modules=["to_q"]))
    assert set(load_into(unet, moving_unet.state_dict()).loaded) == set(moving_unet.state_dict())


def test_report_names_what_did_not_fit(moving_unet):
    state = {
        "conv_in.weight": moving_unet.conv_in.weight.detach() + 1,
        "conv_out.weight": torch.zeros(1),
        "other.weight": torch.zeros(1),
        "attn.lora_A.default.weight": torch.zeros(1),
        "step": torch.zeros(1),
    }
    report = load_into(moving_unet, state)
    assert report.loaded == ("conv_in.weight",)
    assert report.shape_mismatch == ("conv_out.weight",)
    assert report.unexpected == ("other.weight", "attn.lora_A.weight", "step")
    assert str(report).splitlines()[0] == "1 tensors loaded"
    assert "1 shape mismatch: conv_out.weight" in str(report)
    with pytest.raises(ValueError, match="another kind or size"):
        load_into(moving_unet, {"conv_in.weight": torch.zeros(1)})


@pytest.mark.parametrize("folder", ["", "unet"])
@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_folders_and_nested_dictionaries(tmp_path, folder, suffix):
    state = {"conv_in.weight": torch.randn(2, 3)}
    file = tmp_path / folder / f"diffusion_pytorch_model.{suffix}"
    file.parent.mkdir(exist_ok=True)
    save_file(state, file) if suffix == "safetensors" else torch.save({"state_dict": state, "epoch": 3}, file)
    assert torch.equal(load_checkpoint(tmp_path)["conv_in.weight"], state["conv_in.weight"])


def test_files_of_the_old_format_load(tmp_path):
    torch.save({"w": torch.ones(2)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert load_checkpoint(tmp_path / "old.pth")["w"].tolist() == [1, 1]


class Malicious:
    def __init__(self, path: str):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("container", ["zip", "pickle"])
def test_code_in_a_file_is_refused_and_not_run(tmp_path, container):
    payload, file = {"w": Malicious(str(tmp_path / "owned"))}, tmp_path / "evil.pth"
    torch.save(payload, file) if container == "zip" else file.write_bytes(pickle.dumps(payload, protocol=2))
    with pytest.raises(ValueError, match="holds more than tensors"):
        load_checkpoint(file)
    assert not (tmp_path / "owned").exists()


def saved(folder, old_format=False) -> bytes:
    torch.save({"w": torch.ones(100)}, folder / "whole.pth", _use_new_zipfile_serialization=not old_format)
    return (folder / "whole.pth").read_bytes()


DAMAGED = {
    "empty": lambda folder: b"",
    "words": lambda folder: b"not a model",
    "hello": lambda folder: b"hello",  # the pickle module takes it for an instruction
    "random": lambda folder: np.random.default_rng(0).bytes(1000),
    "cut": lambda folder: saved(folder)[:-200],
    "half": lambda folder: saved(folder)[:300],
    "old and cut": lambda folder: saved(folder, old_format=True)[:-100],
    "spoiled": lambda folder: saved(folder).replace(b"ctorch", b"ctorcx"),
}


@pytest.mark.parametrize("suffix", ["safetensors", "bin", "pth"])
@pytest.mark.parametrize("damage", list(DAMAGED))
def test_damaged_and_absent_files_are_refused(tmp_path, damage, suffix):
    name = f"broken.{suffix}"
    (tmp_path / name).write_bytes(DAMAGED[damage](tmp_path))
    with pytest.raises(ValueError, match=r"broken.* (is not a safetensors file|is damaged; it was not)"):
        load_checkpoint(tmp_path / name)
    with pytest.raises(ValueError, match="neither a weight file nor a folder"):
        load_checkpoint(tmp_path / "absent")


def test_weights_stay_on_the_disk_until_they_are_used(tmp_path):
    """A published file has over 4 GB, of which an import needs a quarter. Of 128 MB here less than half are read."""
    torch.save({"w": torch.zeros(2**25)}, tmp_path / "large.bin")
    before = psutil.Process().memory_info().rss
    state = load_checkpoint(tmp_path / "large.bin")
    assert state["w"].shape == (2**25,) and psutil.Process().memory_info().rss - before < 2**26


def test_a_file_that_is_not_a_dictionary_of_tensors_is_refused(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "log.pt")
    with pytest.raises(ValueError, match="not a dictionary of tensors"):
        load_checkpoint(tmp_path / "log.pt")
