"""What becomes of a trained adapter: promoted, rolled back, deleted, packed."""

import json
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from huvidpo.adapter_weights import apply_adapter, remove_adapter, save_preference_adapter
from huvidpo.adapters import (
    MOTION_FILE,
    PREFERENCE_FILE,
    Adapter,
    find_adapter,
    list_adapters,
    promotions_file,
    read_adapter,
    read_promotions,
)
from huvidpo.backbones import LoadedBackbone
from huvidpo.candidates import candidate_folder, delete, pack, promote, promotion_words, push, rollback
from huvidpo.preferences.gate import Verdict
from huvidpo.training.reference import add_policy, load_lora, lora_rank_and_alpha, lora_state
from tests.preferences.hub_server import HubServer


@pytest.fixture
def candidate(backbone: LoadedBackbone, moving_adapter: Adapter) -> Adapter:
    """Learned from `gallop`, with an alpha that is not its rank and with dropout."""
    return trained(backbone, moving_adapter, "dpo-1")


def trained(backbone: LoadedBackbone, parent: Adapter, name: str) -> Adapter:
    unet, generator = backbone.video.unet, torch.Generator().manual_seed(9)
    apply_adapter(unet, parent, backbone.still_motion)
    unet.unload_lora()
    add_policy(unet, 2, 8, 0.5, seed=0)
    load_lora(unet, {n: 0.2 * torch.randn(v.shape, generator=generator) for n, v in lora_state(unet).items()})
    card = {"backbone": "pocket", "category": "horse", "parent": parent.name}
    saved = save_preference_adapter(unet, candidate_folder("pocket", "horse", name), card)
    remove_adapter(unet, backbone.still_motion)
    return saved


def prediction(backbone: LoadedBackbone) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    unet = backbone.video.unet
    shape = (1, unet.config.in_channels, 4, 8, 8)
    with torch.no_grad():
        text = torch.randn(1, 5, unet.config.cross_attention_dim, generator=generator)
        return unet(torch.randn(shape, generator=generator), 500, text).sample


def test_a_candidate_is_listed_with_its_parent_s_motion_and_its_own_lora(backbone, moving_adapter, candidate) -> None:
    assert [(a.name, a.status) for a in list_adapters("pocket", "horse")] == [
        ("dpo-1", "candidate"),
        ("gallop", "candidate"),
    ]
    assert candidate.motion_file() == moving_adapter.folder / MOTION_FILE
    assert lora_rank_and_alpha(candidate.folder / PREFERENCE_FILE) == (2, 8)
    assert candidate.revision() != moving_adapter.revision()
    apply_adapter(backbone.video.unet, candidate, backbone.still_motion)
    first = prediction(backbone)
    assert torch.equal(first, prediction(backbone)), "dropout must be off in what people see"
    apply_adapter(backbone.video.unet, moving_adapter, backbone.still_motion)
    assert not torch.allclose(first, prediction(backbone))


def test_a_grandchild_inherits_motion_too(backbone, moving_adapter, candidate) -> None:
    grandchild = trained(backbone, candidate, "dpo-2")
    assert grandchild.motion_file() == moving_adapter.folder / MOTION_FILE


def test_adapters_that_name_each_other_as_parents_have_no_motion(own_home: Path) -> None:
    for name, parent in (("x", "y"), ("y", "x"), ("z", "../../..")):
        folder = own_home / "adapters" / "pocket" / "horse" / name
        folder.mkdir(parents=True)
        (folder / "card.json").write_text(json.dumps({"backbone": "pocket", "category": "horse", "parent": parent}))
        assert read_adapter(folder).motion_file() is None


def test_promotion_and_rollback(own_home: Path, moving_adapter, candidate) -> None:
    assert find_adapter("pocket", "horse", "") is None
    promote(moving_adapter)
    promote(candidate)
    assert find_adapter("pocket", "horse", "").name == "dpo-1"
    promote(candidate)  # a second time changes nothing
    assert rollback("pocket", "horse").name == "gallop" == find_adapter("pocket", "horse", "").name
    assert [(a.name, a.status) for a in list_adapters("pocket", "horse")] == [
        ("gallop", "default"),
        ("dpo-1", "candidate"),
    ]
    with pytest.raises(ValueError, match="no earlier default of horse"):
        rollback("pocket", "horse")


def test_the_shipped_default_comes_back(own_home: Path, tmp_path: Path, moving_adapter, candidate) -> None:
    """Its own card, which is not ours to change, says that it is the default."""
    shipped = tmp_path / "shipped" / "pocket" / "horse" / "motion"
    shipped.mkdir(parents=True)
    (shipped / "card.json").write_text(json.dumps({"backbone": "pocket", "category": "horse", "status": "default"}))
    promote(candidate)
    assert [a.status for a in list_adapters("pocket", "horse")] == ["default", "candidate", "candidate"]
    assert rollback("pocket", "horse").name == "motion" == find_adapter("pocket", "horse", "").name


@pytest.mark.parametrize("content", ["", "[", '{"a": 1}', "[1, null]", '[{"a": 1}]', "[]"])
def test_a_damaged_list_of_promotions_does_no_harm(own_home: Path, moving_adapter, content: str) -> None:
    promotions_file("pocket", "horse").write_text(content)
    assert [a.name for a in list_adapters("pocket", "horse")] == ["gallop"]


def test_delete(own_home: Path, tmp_path: Path, moving_adapter, candidate) -> None:
    with pytest.raises(ValueError, match="needed by 'dpo-1'"):
        delete(moving_adapter)
    promote(moving_adapter)
    promote(candidate)
    with pytest.raises(ValueError, match="is the default of horse"):
        delete(find_adapter("pocket", "horse", "dpo-1"))
    rollback("pocket", "horse")
    delete(find_adapter("pocket", "horse", "dpo-1"))
    assert [path.name for path in moving_adapter.folder.parent.iterdir() if path.is_dir()] == ["gallop"]
    shipped = tmp_path / "shipped" / "pocket" / "horse" / "motion"
    shipped.mkdir(parents=True)
    (shipped / "card.json").write_text(json.dumps({"backbone": "pocket", "category": "horse"}))
    with pytest.raises(ValueError, match="came with this program"):
        delete(find_adapter("pocket", "horse", "motion"))


def test_a_packed_adapter_works_elsewhere(tmp_path: Path, moving_adapter, candidate) -> None:
    with zipfile.ZipFile(pack(candidate, tmp_path / "dpo-1.zip")) as archive:
        archive.extractall(tmp_path / "elsewhere")
    unpacked = read_adapter(tmp_path / "elsewhere" / "dpo-1")
    assert unpacked.motion_file().parent == unpacked.folder and unpacked.revision() == candidate.revision()
    assert load_file(unpacked.folder / PREFERENCE_FILE).keys() == load_file(candidate.folder / PREFERENCE_FILE).keys()


def test_a_pushed_card_says_how_the_votes_stood(moving_adapter, candidate, loopback_hub: HubServer) -> None:
    """9 of 12 votes, as they were at the promotion; the card on this disk stays as it is."""
    verdict = Verdict(9, 3, 2, 0.75, 0.47, 0.91, 0.98, votes_needed=0, prompts=12, passed=True, reason="It won.")
    push(candidate, "someone/adapters")
    files = loopback_hub.repositories["someone/adapters"].files
    assert "votes" not in files["pocket/horse/dpo-1/README.md"].decode()
    before = (candidate.folder / "README.md").read_bytes()
    promote(candidate, verdict)
    (row,) = read_promotions("pocket", "horse")
    assert row["revision"] == candidate.revision() and row["verdict"]["win_rate"] == 0.75
    push(candidate, "someone/adapters")
    said = loopback_hub.repositories["someone/adapters"].files["pocket/horse/dpo-1/README.md"].decode()
    assert "won 9 of 12 decided blind votes against `gallop` (75%, 95 % interval 47% to 91%), 2 more were ties" in said
    assert "its clips moved 98% as much" in said and "| parent | gallop |" in said
    assert (candidate.folder / "README.md").read_bytes() == before


def test_a_promotion_without_votes_says_nothing_of_votes(moving_adapter, candidate) -> None:
    """By a person's word: nobody had voted."""
    none = Verdict(0, 0, 0, -1.0, 0.0, 1.0, -1.0, votes_needed=23, prompts=0, passed=False, reason="Nobody voted.")
    promote(candidate, none)
    assert promotion_words(candidate) == ""


def test_names_of_older_promotions_still_count(own_home: Path, moving_adapter, candidate) -> None:
    promotions_file("pocket", "horse").write_text('["gallop"]')
    assert find_adapter("pocket", "horse", "").name == "gallop"
    promote(candidate)
    assert [row["name"] for row in read_promotions("pocket", "horse")] == ["gallop", "dpo-1"]
    assert rollback("pocket", "horse").name == "gallop"


def test_names(own_home: Path, moving_adapter) -> None:
    for name in ("../x", "", "A", "x" * 65, "gallop"):
        with pytest.raises(ValueError):
            candidate_folder("pocket", "horse", name)
