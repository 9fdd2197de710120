"""Published checkpoints as adapters: the numbers of the published implementations come out through the import."""

import json
import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from huvidpo.adapter_weights import PREFERENCE, apply_adapter, save_motion_adapter, save_preference_adapter
from huvidpo.adapters import MOTION_FILE, PREFERENCE_FILE, Adapter, find_adapter, read_adapter
from huvidpo.cli import main
from huvidpo.models.motion import is_motion_parameter, load_motion_state_dict, motion_state_dict
from huvidpo.models.video_unet import VideoUNet
from huvidpo.preferences.bulk import IDENTITY, expected_identity
from huvidpo.published_checkpoints import import_checkpoint
from huvidpo.requests import ClipRequest
from huvidpo.takes import make_clip
from tests.goldens import ATTENTION, load_golden_unet

CARD = {"backbone": "sd14", "category": "horse"}
LORA = "lora."


def published_weights(variant: str, golden: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix("sd."): value for name, value in golden.items() if name.startswith("sd.")}


def empty(unet: VideoUNet) -> VideoUNet:
    with torch.device("meta"):
        return VideoUNet.from_config(unet.config)


def base_of(unet: VideoUNet) -> VideoUNet:
    """The network whose motion weights are those of a fresh one: what a backbone is without an adapter."""
    torch.manual_seed(7)
    fresh = VideoUNet.from_config(unet.config).eval()
    rest = {name: value for name, value in unet.state_dict().items() if not is_motion_parameter(name)}
    fresh.load_state_dict(rest, strict=False)
    return fresh


def still(unet: VideoUNet) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in motion_state_dict(unet).items()}


def predict(unet: VideoUNet, golden: dict[str, Tensor], case: str = "") -> Tensor:
    with torch.no_grad():
        return unet(*(golden[f"in{case}.{name}"] for name in ("sample", "timestep", "encoder_hidden_states"))).sample


@pytest.mark.parametrize("variant", ["lamp", "huvidpo"])
def test_the_published_prediction_comes_out_of_the_imported_adapter(variant: str, tmp_path: Path) -> None:
    """LAMP's layout: a pipeline folder with unet/*.bin. Half precision of the motion weights is all that differs."""
    unet, golden = load_golden_unet(variant)
    (tmp_path / "horse-run" / "unet").mkdir(parents=True)
    torch.save(published_weights(variant, golden), tmp_path / "horse-run" / "unet" / "diffusion_pytorch_model.bin")
    card = CARD | {"attention": ATTENTION[variant]}
    adapter = import_checkpoint(tmp_path / "horse-run", empty(unet), tmp_path / "new", card)
    base = base_of(unet)
    assert (predict(base, golden) - golden["out.sample"]).abs().max() > 0.1, "the base alone is far off"
    apply_adapter(base, adapter, still(base))
    for case in ("", "2"):
        torch.testing.assert_close(predict(base, golden, case), golden[f"out{case}.sample"], atol=2e-3, rtol=0)
    load_motion_state_dict(unet, {name: value.half() for name, value in motion_state_dict(unet).items()})
    torch.testing.assert_close(predict(base, golden), predict(unet, golden), atol=0, rtol=0)
    assert not (adapter.folder / PREFERENCE_FILE).exists()


def whole_peft_network(golden: dict[str, Tensor]) -> dict[str, Tensor]:
    """HuViDPO's .pth: the whole network and its LoRA, as peft names them."""
    lora = {name.removeprefix(LORA): value for name, value in golden.items() if name.startswith(LORA)}
    wrapped = {name.rpartition(".")[0] for name in lora}
    state = {}
    for name, value in published_weights("huvidpo", golden).items():
        module, _, leaf = name.rpartition(".")
        state[f"base_model.model.{module}.base_layer.{leaf}" if module in wrapped else f"base_model.model.{name}"] = (
            value
        )
    for name, value in lora.items():
        module, _, part = name.rpartition(".")
        state[f"base_model.model.{module}.lora_{part}.default.weight"] = value
    return state


def test_the_published_errors_come_out_of_an_imported_lora(tmp_path: Path) -> None:
    """Mean squared errors of winner and loser over frames 1.., with the LoRA (r 16, alpha 32) on and off."""
    unet, golden = load_golden_unet("huvidpo", "dpo")
    torch.save(whole_peft_network(golden), tmp_path / "model_weights_epoch_0.pth")
    adapter = import_checkpoint(tmp_path / "model_weights_epoch_0.pth", empty(unet), tmp_path / "new", CARD)
    base = base_of(unet)
    apply_adapter(base, adapter, still(base))
    config = base.peft_config[PREFERENCE]
    assert (config.r, config.lora_alpha) == (16, 32)
    for side in ("w", "l"):
        assert error(base, golden, side) == pytest.approx(golden[f"out.model_{side}"].item(), abs=1e-3)
    assert error(base, golden, "w") != pytest.approx(golden["out.ref_w"].item(), abs=1e-3)
    base.disable_adapters()
    for side in ("w", "l"):
        assert error(base, golden, side) == pytest.approx(golden[f"out.ref_{side}"].item(), abs=1e-3)


def error(unet: VideoUNet, golden: dict[str, Tensor], side: str) -> float:
    """As published: noise by Stable Diffusion's schedule, frame 0 clean and left out of the mean."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    alpha_bar = torch.cumprod(1 - betas, 0)[golden["in.timestep"]].reshape(-1, 1, 1, 1, 1)
    latents, noise = golden[f"in.latents_{side}"], golden["in.noise"]
    noisy = alpha_bar.sqrt() * latents + (1 - alpha_bar).sqrt() * noise
    noisy[:, :, 0] = latents[:, :, 0]
    with torch.no_grad():
        predicted = unet(noisy, golden["in.timestep"], golden["in.text"]).sample
    return (predicted - noise)[:, :, 1:].square().mean().item()


def test_the_card_names_source_and_licence_and_the_base_stays_out(tmp_path: Path) -> None:
    unet, golden = load_golden_unet("lamp")
    torch.save(published_weights("lamp", golden), tmp_path / "x.bin")
    card = CARD | {"source": "https://host.example/lamp"}
    adapter = import_checkpoint(tmp_path / "x.bin", empty(unet), tmp_path / "new", card)
    assert adapter == read_adapter(tmp_path / "new")
    assert adapter.card["license"] == "cc-by-nc-4.0" and adapter.card["source_file"] == "x.bin"
    readme = (tmp_path / "new" / "README.md").read_text()
    assert "\nlicense: cc-by-nc-4.0\n" in readme and "| source | https://host.example/lamp |" in readme
    saved = load_file(tmp_path / "new" / MOTION_FILE)
    assert saved.keys() == motion_state_dict(unet).keys()
    assert {value.dtype for value in saved.values()} == {torch.float16}


class Malicious:
    def __init__(self, path: str):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_what_does_not_fit_or_holds_code_leaves_nothing_behind(tmp_path: Path) -> None:
    unet, golden = load_golden_unet("lamp")
    weights = published_weights("lamp", golden)
    lora = {"a.lora_A.default.weight": torch.ones(2, 3), "a.lora_B.default.weight": torch.ones(3, 2)}
    image_only = {name: value for name, value in weights.items() if ".conv1d." not in name}
    cases = {
        "code": ({**weights, "w": Malicious(str(tmp_path / "owned"))}, "holds more than tensors"),
        "image": (image_only, "do not fit the UNet: .* are missing"),
        "resized": ({**weights, "conv_in.conv1d.bias": torch.ones(3)}, "have another shape"),
        "lora": ({**weights, **lora}, "does not fit the UNet, first in a"),
    }
    for name, (state, sentence) in cases.items():
        with (tmp_path / f"{name}.bin").open("wb") as file:
            torch.save(state, file) if name != "code" else pickle.dump(state, file, protocol=2)
        with pytest.raises(ValueError, match=sentence):
            import_checkpoint(tmp_path / f"{name}.bin", empty(unet), tmp_path / "new", CARD)
        assert not (tmp_path / "new").exists() and not (tmp_path / "owned").exists()
    (tmp_path / "picture.png").write_bytes(b"not weights")
    with pytest.raises(ValueError, match=r"picture\.png is no weight file"):
        import_checkpoint(tmp_path / "picture.png", empty(unet), tmp_path / "new", CARD)


def test_the_command_makes_a_candidate_that_moves(
    backbone, moving_adapter: Adapter, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    unet = backbone.video.unet
    apply_adapter(unet, moving_adapter, backbone.still_motion)
    torch.save(unet.state_dict(), tmp_path / "lamp.bin")
    apply_adapter(unet, None, backbone.still_motion)
    arguments = ["import-checkpoint", str(tmp_path / "lamp.bin"), "--category", "horse", "--name", "lamp", "--json"]
    assert main(arguments) == 0
    said = json.loads(capsys.readouterr().out)
    found = find_adapter("pocket", "horse", "lamp")
    assert said["out"] == str(found.folder) and said["card"]["license"] == "cc-by-nc-4.0"
    assert load_file(found.folder / MOTION_FILE).keys() == load_file(moving_adapter.folder / MOTION_FILE).keys()
    assert main(arguments) == 2 and "There is an adapter 'lamp' for horse already" in capsys.readouterr().err
    assert main(["import-checkpoint", "absent.bin", "--category", "horse"]) == 2
    assert "There is no file or folder absent.bin." in capsys.readouterr().err


def test_imported_weights_play_with_their_own_attention(
    backbone, moving_adapter: Adapter, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Where a clip asks for another one, it gets that."""
    apply_adapter(backbone.video.unet, moving_adapter, backbone.still_motion)
    torch.save(backbone.video.unet.state_dict(), tmp_path / "lamp.bin")
    arguments = ["import-checkpoint", str(tmp_path / "lamp.bin"), "--category", "horse"]
    for name, more in {"lamp": ["--attention", "first"], "huvidpo": []}.items():
        assert main([*arguments, "--name", name, *more]) == 0
        said = capsys.readouterr().out
        assert f"plays with the attention {'first' if more else 'first-previous'!r}" in said
    picture = Image.fromarray(np.arange(128 * 128 * 3, dtype=np.uint8).reshape(128, 128, 3))
    asked = ClipRequest("a red horse runs", "horse", adapter="lamp", seed=1, steps=1, guidance=1.0)
    cases = {"own": asked, "first": replace(asked, attention="first"), "other": replace(asked, adapter="huvidpo")}
    clips = {name: [*make_clip(backbone, picture, request)][-1] for name, request in cases.items()}
    assert np.array_equal(clips["own"].frames, clips["first"].frames)
    assert not np.array_equal(clips["own"].frames, clips["other"].frames)
    assert [clip.metadata["attention"] for clip in clips.values()] == ["first", "first", "first-previous"]
    assert expected_identity(backbone, asked)[IDENTITY.index("attention")] == "first"


def test_what_is_learned_on_imported_weights_keeps_their_attention(backbone, moving_adapter: Adapter) -> None:
    """Its own card says it, for where the parent is not; and it is not left on for the next adapter."""
    lamp, unet = moving_adapter.folder.with_name("lamp"), backbone.video.unet
    save_motion_adapter(unet, lamp, {"backbone": "pocket", "category": "horse", "attention": "first"})
    apply_adapter(unet, read_adapter(lamp), backbone.still_motion)
    assert unet.config.attention == "first"
    unet.add_adapter(LoraConfig(r=2, target_modules=["to_q"]), adapter_name=PREFERENCE)
    card = {"backbone": "pocket", "category": "horse", "parent": "lamp"}
    learned = save_preference_adapter(unet, lamp.with_name("learned"), card)
    assert learned.card["attention"] == learned.attention() == "first"
    bare = {name: value for name, value in learned.card.items() if name != "attention"}
    assert replace(learned, card=bare).attention() == "first", "older cards leave it to the parent's"
    apply_adapter(unet, moving_adapter, backbone.still_motion)
    assert unet.config.attention == moving_adapter.attention() == "first-previous"
    assert replace(learned, card={**bare, "attention": ["first"], "parent": ""}).attention() != "first"
