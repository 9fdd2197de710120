import copy
import os
import pickle

import numpy as np
import psutil
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file

from huvidpo.models.checkpoints import convert_state_dict, load_checkpoint
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
    weights, lora = convert_state_dict(state)
    assert not lora
    unet.load_state_dict(weights)
    assert torch.equal(unet(*inputs).sample, moving_unet(*inputs).sample)


def test_a_whole_peft_network_splits_into_weights_and_an_adapter_that_loads(moving_unet, inputs, tmp_path):
    """HuViDPO's .pth: everything in one pickle, as peft names it."""
    base = copy.deepcopy(moving_unet)
    config = LoraConfig(
        r=2, lora_alpha=4, target_modules=["to_q", "to_k", "to_v", "to_out.0"], init_lora_weights=False
    )
    whole = get_peft_model(moving_unet, config)
    torch.save(whole.state_dict(), tmp_path / "model_weights_epoch_0.pth")
    weights, lora = convert_state_dict(load_checkpoint(tmp_path / "model_weights_epoch_0.pth"))
    assert weights.keys() == base.state_dict().keys() and len(lora) + len(weights) == len(whole.state_dict())
    unet = VideoUNet(**SIZES).eval()
    unet.load_state_dict(weights)
    assert torch.equal(unet(*inputs).sample, base(*inputs).sample)
    unet.load_lora_adapter(lora, prefix=None, metadata=config.to_dict())
    torch.testing.assert_close(unet(*inputs).sample, whole(*inputs).sample)


def test_what_is_neither_a_weight_nor_a_lora_is_left_out():
    names = ("conv_in.conv2d.weight", "attn.lora_A.default.weight", "attn.lora_magnitude_vector", "step")
    weights, lora = convert_state_dict(dict.fromkeys(names, torch.zeros(1)))
    assert (list(weights), list(lora)) == (["conv_in.weight"], ["attn.lora_A.weight"])


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
