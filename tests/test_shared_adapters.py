"""Adapters from and to a model repository: listed by their cards, fetched when used, kept without the Hub."""

import json
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch

from huvidpo import adapters, shared_adapters
from huvidpo.adapter_weights import apply_adapter
from huvidpo.adapters import MOTION_FILE, Adapter, find_adapter, list_adapters
from huvidpo.backbones import LoadedBackbone
from huvidpo.candidates import push
from huvidpo.cli import main
from huvidpo.models.motion import motion_state_dict
from tests.preferences.hub_server import TOKEN, HubServer

REPO = "someone/adapters"


@pytest.fixture
def hub(loopback_hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> HubServer:
    monkeypatch.setenv("HUVIDPO_ADAPTERS", REPO)
    shared_adapters._found.clear()
    return loopback_hub


@pytest.fixture
def shared(hub: HubServer, moving_adapter: Adapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HubServer:
    """`gallop` is on the Hub, and this deployment has no adapter of its own."""
    push(moving_adapter, REPO)
    monkeypatch.setenv("HUVIDPO_HOME", str(tmp_path / "other-home"))
    return hub


def test_a_pushed_adapter_is_listed_before_its_weights_are_here(shared: HubServer) -> None:
    (found,) = list_adapters("pocket")
    assert (found.name, found.category) == ("gallop", "horse")
    assert not (found.folder / MOTION_FILE).exists() and found.revision() == ""
    assert list_adapters("pocket", "birds") == [] and find_adapter("pocket", "horse", "gallop") == found


def test_its_weights_arrive_when_it_is_put_on(
    shared: HubServer, backbone: LoadedBackbone, moving_adapter: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply_adapter(backbone.video.unet, moving_adapter, backbone.still_motion)
    wanted = {name: value.clone() for name, value in motion_state_dict(backbone.video.unet).items()}
    apply_adapter(backbone.video.unet, None, backbone.still_motion)
    (found,) = [adapter for adapter in list_adapters("pocket") if adapter.folder != moving_adapter.folder]
    assert [step.wanted.repo for step in found.download()][-1:] == [REPO]
    apply_adapter(backbone.video.unet, found, backbone.still_motion)
    assert all(torch.equal(value, wanted[name]) for name, value in motion_state_dict(backbone.video.unet).items())
    assert found.revision() == moving_adapter.revision()
    before = shared.requests.copy()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    shared_adapters._found.clear()  # as in another process, without a network
    assert found in list_adapters("pocket")
    apply_adapter(backbone.video.unet, found, backbone.still_motion)
    assert shared.requests == before


def test_a_hub_that_was_out_of_reach_is_asked_again(
    shared: HubServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Not at every listing: each would wait for it."""
    healthy, shared.fault = shared.fault, lambda kind, path: 500
    assert list_adapters("pocket") == list_adapters("pocket") == []
    assert capsys.readouterr().err.count("the shared adapters are not there") == 1
    shared.fault = healthy
    assert list_adapters("pocket") == []
    monkeypatch.setattr(shared_adapters, "AGAIN", 0.0)
    assert [adapter.name for adapter in list_adapters("pocket")] == ["gallop"]


def test_an_inherited_motion_goes_along(hub: HubServer, own_home: Path, moving_adapter: Adapter) -> None:
    child = moving_adapter.folder.parent / "liked"
    child.mkdir()
    (child / "card.json").write_text(json.dumps(moving_adapter.card | {"parent": "gallop"}))
    push(adapters.read_adapter(child), REPO)
    files = hub.repositories[REPO].files
    assert files[f"pocket/horse/liked/{MOTION_FILE}"] == (moving_adapter.folder / MOTION_FILE).read_bytes()


def test_without_the_hub_the_own_adapters_stay(
    hub: HubServer, moving_adapter: Adapter, capsys: pytest.CaptureFixture
) -> None:
    hub.fault = lambda kind, path: 500
    assert [adapter.name for adapter in list_adapters("pocket")] == ["gallop"]
    assert "Warning: the shared adapters are not there" in capsys.readouterr().err


def test_what_is_too_large_is_refused(shared: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_adapters, "MAX_BYTES", 100)
    (found,) = list_adapters("pocket")
    with pytest.raises(ValueError, match="'gallop' in someone/adapters is too large"):
        list(found.download())


def test_nothing_but_cards_and_weights_is_fetched(shared: HubServer) -> None:
    held = shared.repositories[REPO].files
    odd = {"pocket/horse/gallop/evil.py": b"x", "evil.bin": b"x", "pocket/horse/gallop/unet.bin": b"x"}
    shared.plant(REPO, "main", held | odd)
    (found,) = list_adapters("pocket")
    list(found.download())
    assert {path.name for path in shared_adapters.shared_root().rglob("*") if path.is_file()} == {
        "card.json", "README.md", MOTION_FILE
    }  # fmt: skip


def test_the_command(hub: HubServer, moving_adapter: Adapter, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["push-adapter", "gallop", "--category", "horse"]
    assert main([*arguments, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["repo"] == REPO and said["commit"] == hub.repositories[REPO].head and hub.repositories[REPO].private
    hub.fault = lambda kind, path: 500 if kind == "put" else None
    hub.blobs.clear()
    assert main(arguments) == 2 and "someone/adapters on the Hub could not be reached" in capsys.readouterr().err
    hub.fault = lambda kind, path: None
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    assert main(arguments) == 2 and "token is not valid" in capsys.readouterr().err
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert main([*arguments, "--repo", "no repo"]) == 2 and "as owner/name" in capsys.readouterr().err
    monkeypatch.setenv("HUVIDPO_ADAPTERS", "../x")
    assert main(["adapters"]) == 2 and "HUVIDPO_ADAPTERS must name" in capsys.readouterr().err
