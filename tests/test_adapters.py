"""Adapters on disk and on the UNet: exactly the chosen one, and nothing that a card from anyone could smuggle in."""

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig
from torch import Tensor

from huvidpo import adapter_weights, adapters
from huvidpo.adapter_weights import PREFERENCE, apply_adapter, save_motion_adapter
from huvidpo.adapters import (
    MAX_CARD_BYTES,
    MOTION_FILE,
    PREFERENCE_FILE,
    Adapter,
    find_adapter,
    list_adapters,
    motion_notice,
    read_adapter,
)
from huvidpo.backbones import LoadedBackbone
from huvidpo.models.motion import motion_state_dict
from huvidpo.models.video_unet import VideoUNet

CARD = {"backbone": "pocket", "category": "horse"}


def write_card(folder: Path, **card: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.json").write_text(json.dumps(CARD | card))
    return folder


def predict(unet: VideoUNet) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    sample, text = torch.randn(1, 16, 3, 8, 8, generator=generator), torch.randn(1, 5, 160, generator=generator)
    with torch.no_grad():
        return unet(sample, 500, text).sample


@pytest.fixture
def horses(own_home: Path) -> Path:
    """The folder of the category `horse`, still empty."""
    return own_home / "adapters" / "pocket" / "horse"


@pytest.fixture
def preferred(backbone: LoadedBackbone, moving_adapter: Adapter, horses: Path) -> Adapter:
    """A preference adapter without motion of its own: its parent `gallop` lies beside it."""
    unet = backbone.video.unet
    folder = write_card(horses / "liked", parent="gallop", kind="preference")
    config = LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False)
    unet.add_adapter(config, adapter_name=PREFERENCE)
    unet.save_lora_adapter(folder, adapter_name=PREFERENCE, weight_name=PREFERENCE_FILE)
    adapter_weights.remove_adapter(unet, backbone.still_motion)
    return read_adapter(folder)


def test_saving_and_finding_again(backbone: LoadedBackbone, moving_adapter: Adapter) -> None:
    found = find_adapter("pocket", "horse", "gallop")
    assert found == moving_adapter == find_adapter("pocket", "horse", str(moving_adapter.folder))
    assert [(a.name, a.status) for a in list_adapters("pocket")] == [("gallop", "candidate")]
    assert found.card.items() >= {**CARD, "kind": "motion", "schema_version": 1}.items()
    readme = (found.folder / "README.md").read_text()
    assert "--category horse --adapter gallop" in readme and "| backbone | pocket |" in readme


def test_saved_motion_comes_back_in_half_precision(backbone: LoadedBackbone, moving_adapter: Adapter) -> None:
    unet = backbone.video.unet
    apply_adapter(unet, moving_adapter, backbone.still_motion)
    before = {name: value.clone() for name, value in motion_state_dict(unet).items()}
    again = save_motion_adapter(unet, moving_adapter.folder.parent / "again", CARD)
    apply_adapter(unet, None, backbone.still_motion)
    apply_adapter(unet, again, backbone.still_motion)
    after = motion_state_dict(unet)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert again.revision() == moving_adapter.revision()


def test_defaults_come_first_then_names(horses: Path) -> None:
    for name, status in (("b", "candidate"), ("c", "default"), ("a", "candidate")):
        write_card(horses / name, status=status)
    write_card(horses.parent / "birds" / "z", category="birds")
    assert [adapter.name for adapter in list_adapters("pocket")] == ["z", "c", "a", "b"]
    assert [adapter.name for adapter in list_adapters("pocket", "horse")] == ["c", "a", "b"]
    assert find_adapter("pocket", "horse", "").name == "c"
    assert find_adapter("pocket", "birds", "") is None, "a candidate is no default"
    assert find_adapter("pocket", "horse", "none") is None and list_adapters("sd14") == []


def test_shipped_adapters_are_found_too(horses: Path) -> None:
    write_card(adapters.SHIPPED / "pocket" / "horse" / "motion", status="default")
    write_card(horses / "own")
    assert [adapter.name for adapter in list_adapters("pocket", "horse")] == ["motion", "own"]


@pytest.mark.slow
def test_exactly_the_chosen_adapter_is_on(
    backbone: LoadedBackbone, moving_adapter: Adapter, preferred: Adapter
) -> None:
    """Whatever was on before and however often, each choice gives its own prediction, to the bit."""
    unet, choices = backbone.video.unet, {"none": None, "motion": moving_adapter, "preferred": preferred}
    expected = {}
    for name, adapter in choices.items():
        apply_adapter(unet, adapter, backbone.still_motion)
        expected[name] = predict(unet)
    for one, other in (("none", "motion"), ("motion", "preferred"), ("none", "preferred")):
        assert (expected[one] - expected[other]).abs().max() > 1e-3
    for name in ("preferred", "preferred", "none", "preferred", "motion", "motion", "none", "none"):
        apply_adapter(unet, choices[name], backbone.still_motion)
        assert torch.equal(predict(unet), expected[name]), name
    assert unet.state_dict().keys() == VideoUNet.from_config(unet.config).state_dict().keys(), "nothing stays behind"


def test_the_parents_motion_is_inherited(moving_adapter: Adapter, preferred: Adapter) -> None:
    assert preferred.motion_file() == moving_adapter.folder / MOTION_FILE
    assert preferred.revision() != moving_adapter.revision(), "the preference weights count"
    (preferred.folder / MOTION_FILE).write_bytes(b"own")
    assert preferred.motion_file() == preferred.folder / MOTION_FILE


@pytest.mark.parametrize("parent", ["..", "../other", "../horse/gallop", "../../..", ".", "", None, 5, ["gallop"]])
def test_a_parent_is_a_name_and_no_path(horses: Path, parent: object) -> None:
    for folder in (horses, horses.parent, horses.parent / "other", horses.parents[2], horses / "gallop"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MOTION_FILE).write_bytes(b"decoy")
    assert read_adapter(write_card(horses / "child", parent=parent)).motion_file() is None


def test_an_absolute_parent_is_no_name_either(horses: Path, tmp_path: Path) -> None:
    (tmp_path / MOTION_FILE).write_bytes(b"decoy")
    assert read_adapter(write_card(horses / "child", parent=str(tmp_path))).motion_file() is None


@pytest.mark.parametrize("name", ["..", "../birds/secret", "birds/secret", "", "no/such/folder", "*", "gal*"])
def test_a_name_does_not_lead_out_of_the_category(horses: Path, name: str) -> None:
    write_card(horses / "gallop")
    write_card(horses.parent / "birds" / "secret", category="birds", status="default")
    if name:
        with pytest.raises(ValueError, match="choose one of: none, gallop, or give its folder"):
            find_adapter("pocket", "horse", name)
    else:
        assert find_adapter("pocket", "horse", name) is None


@pytest.mark.parametrize(
    "card",
    [
        "",
        "not json",
        "[]",
        "null",
        '{"backbone": "pocket"}',
        "[" * 100_000,
        json.dumps(CARD | {"note": "x" * MAX_CARD_BYTES}),
        json.dumps(CARD | {"backbone": "sd14"}),
        json.dumps(CARD | {"category": "birds"}),
        b"\xff\xfe\x00",
    ],
    ids=["empty", "no-json", "list", "null", "no-category", "deep", "oversized", "foreign", "misplaced", "no-text"],
)
def test_a_card_that_makes_no_sense_is_left_out(horses: Path, card: str | bytes) -> None:
    write_card(horses / "good")
    (horses / "bad").mkdir()
    (horses / "bad" / "card.json").write_bytes(card if isinstance(card, bytes) else card.encode())
    assert [adapter.name for adapter in list_adapters("pocket")] == ["good"]


def test_an_adapter_of_another_backbone_is_refused(tmp_path: Path, own_home: Path) -> None:
    folder = write_card(tmp_path / "foreign", backbone="sd14")
    with pytest.raises(ValueError, match="'foreign' was made for the backbone sd14, not pocket"):
        find_adapter("pocket", "horse", str(folder))


@pytest.mark.parametrize("file", [MOTION_FILE, PREFERENCE_FILE])
@pytest.mark.parametrize("content", [b"", b"broken", b"\x10" * 5000])
def test_broken_weights_are_refused_and_leave_nothing_on(
    backbone: LoadedBackbone, moving_adapter: Adapter, file: str, content: bytes
) -> None:
    unet = backbone.video.unet
    still = predict(unet)
    (moving_adapter.folder / file).write_bytes(content)
    with pytest.raises(ValueError, match="adapter 'gallop' could not be loaded"):
        apply_adapter(unet, moving_adapter, backbone.still_motion)
    assert torch.equal(predict(unet), still)


def test_weights_of_another_network_are_refused(backbone: LoadedBackbone, horses: Path) -> None:
    torch.manual_seed(0)
    other = VideoUNet.from_config(backbone.video.unet.config, block_out_channels=(8, 16))
    adapter = save_motion_adapter(other, horses / "other", CARD)
    still = predict(backbone.video.unet)
    with pytest.raises(ValueError, match="'other' could not be loaded: These motion weights do not fit"):
        apply_adapter(backbone.video.unet, adapter, backbone.still_motion)
    assert torch.equal(predict(backbone.video.unet), still)


def test_a_folder_may_be_written_with_either_slash(moving_adapter: Adapter, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, whose own separator is another than the one in the documentation."""
    monkeypatch.setattr("huvidpo.adapters.os.sep", "\\")
    assert find_adapter("pocket", "horse", str(moving_adapter.folder)).name == "gallop"


def test_new_weights_of_one_name_have_another_revision(moving_adapter: Adapter) -> None:
    """It is kept from one take to the next, and notices when the file is another."""
    before = moving_adapter.revision()
    file = moving_adapter.folder / MOTION_FILE
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert moving_adapter.revision() not in ("", before)


def test_an_adapter_of_another_action_is_said(moving_adapter: Adapter) -> None:
    """It can be named by its folder only; its clips move, and not as they were asked to."""
    folder = str(moving_adapter.folder)
    said = motion_notice("pocket", "rain", folder)
    assert said == "The adapter 'gallop' is of horse, not of rain: clips will move like that."
    assert motion_notice("pocket", "horse", folder) == motion_notice("pocket", "rain", "none") == ""
    assert motion_notice("pocket", "rain", "").startswith("Nothing has taught pocket how rain moves")
