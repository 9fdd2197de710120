"""Model files over real HTTP from a loopback Hub: pinned, resumed, cached, offline; what is said when one fails."""

import contextlib
import shutil
import socket
from collections import namedtuple
from dataclasses import replace
from pathlib import Path
from threading import Thread

import hf_xet
import huggingface_hub.constants
import pytest

from huvidpo import hub_models
from huvidpo.hub_models import HubFiles, cached, fetch, fetch_now, missing_files
from tests.preferences.hub_server import CUT, TOKEN, HubServer

REVISION = "0123456789abcdef0123456789abcdef01234567"
WANTED = HubFiles(
    "someone/model", REVISION, ("unet/config.json", "unet/x.safetensors"), 0.001, "Some Licence", "https://x.example"
)
FILES = {
    "unet/config.json": b"{}",
    "unet/x.safetensors": bytes(range(256)) * 4000,
    "unet/x.bin": b"a pickle",
    "evil.py": b"import os",
}


@pytest.fixture
def hub(loopback_hub: HubServer) -> HubServer:
    loopback_hub.plant(WANTED.repo, REVISION, FILES)
    return loopback_hub


def below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_only_the_named_files_arrive_with_every_byte_counted(hub: HubServer) -> None:
    assert cached(WANTED) is None
    steps = list(fetch(WANTED))
    assert steps[-1].done == steps[-1].total == len(FILES["unet/config.json"]) + len(FILES["unet/x.safetensors"])
    folder = cached(WANTED)
    assert below(folder) == set(WANTED.files) and folder.name == REVISION
    assert all((folder / name).read_bytes() == FILES[name] for name in WANTED.files)


def test_what_is_here_is_not_asked_for_again(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch_now(WANTED)
    before = hub.requests.copy()
    assert list(fetch(WANTED)) == [] and fetch_now(WANTED) == [cached(WANTED)]
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert fetch_now(WANTED) == [cached(WANTED)] and hub.requests == before


def test_the_licence_is_shown_before_the_download_only(hub: HubServer, capsys: pytest.CaptureFixture) -> None:
    fetch_now(WANTED)
    said = capsys.readouterr().err
    assert "Downloading someone/model (0.0 GB) under Some Licence, https://x.example" in said
    fetch_now(WANTED)
    assert capsys.readouterr().err == ""


def test_a_download_that_was_given_up_goes_on_later(hub: HubServer) -> None:
    with contextlib.closing(fetch(WANTED)) as steps:
        next(steps)
    fetch_now(WANTED)
    assert (cached(WANTED) / "unet/x.safetensors").read_bytes() == FILES["unet/x.safetensors"]


@pytest.fixture
def by_xet(hub: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> HubServer:
    """The weights lie in a store of chunks, as all large files of the real Hub do."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", False)
    (tmp_path / "weights").write_bytes(FILES["unet/x.safetensors"])
    hub.xet_store = f"local://{tmp_path / 'store'}"
    (tmp_path / "store").mkdir()
    with hf_xet.XetSession().new_upload_commit(endpoint=hub.xet_store) as commit:
        uploaded = commit.start_upload_file(str(tmp_path / "weights"), sha256=hf_xet.SKIP_SHA256)
    hub.xet_hashes[FILES["unet/x.safetensors"]] = uploaded.result().xet_info.hash
    return hub


def test_xet_brings_the_same_bytes_and_counts_them(by_xet: HubServer) -> None:
    steps = list(fetch(WANTED))
    assert steps[-1].done == steps[-1].total == len(FILES["unet/config.json"]) + len(FILES["unet/x.safetensors"])
    assert (cached(WANTED) / "unet/x.safetensors").read_bytes() == FILES["unet/x.safetensors"]
    assert by_xet.requests["xet"] and not by_xet.requests["blob"], "it came by Xet"


def test_a_download_by_xet_that_stalls_can_be_given_up(by_xet: HubServer) -> None:
    """Xet swallows what a progress bar raises: without its own abort, closing would wait for all of the file."""
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes connections and never answers
        by_xet.xet_store = f"http://127.0.0.1:{silent.getsockname()[1]}"
        steps = fetch(WANTED)
        next(steps)  # of the small file
        given_up = Thread(target=steps.close, daemon=True)
        given_up.start()
        given_up.join(30)
        assert not given_up.is_alive()
    assert cached(WANTED) is None


def test_what_xet_says_becomes_a_sentence(by_xet: HubServer) -> None:
    by_xet.xet_store = by_xet.url  # which is no store
    said = refused(WANTED)
    assert "someone/model is not complete in the cache" in said and "check the network" in said
    full = RuntimeError("Task error: I/O error: IO Error: No space left on device (os error 28)")
    assert "no room is left" in hub_models.sentence(WANTED, full)


def test_a_second_part_of_a_repository_joins_the_first(hub: HubServer) -> None:
    part = HubFiles(WANTED.repo, REVISION, WANTED.files[:1], 0.001, "", "")
    fetch_now(part)
    assert cached(part) and cached(WANTED) is None
    fetch_now(WANTED)
    assert cached(part) == cached(WANTED)


def refused(wanted: HubFiles) -> str:
    with pytest.raises(ValueError) as caught:
        fetch_now(wanted)
    assert "\n" not in str(caught.value) and TOKEN not in str(caught.value)
    return str(caught.value)


def test_each_trouble_has_its_own_sentence(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    other = {"gigabytes": 0.001, "licence": "", "licence_url": ""}
    assert "There is no model someone/absent on the Hub" in refused(
        HubFiles("someone/absent", REVISION, WANTED.files, **other)
    )
    assert "no longer has the revision ffff" in refused(HubFiles(WANTED.repo, "f" * 40, WANTED.files, **other))
    lacking = HubFiles(WANTED.repo, REVISION, (*WANTED.files, "vae/y.safetensors"), **other)
    assert "someone/model on the Hub has no file vae/y.safetensors at revision 0123" in refused(lacking)
    closed = HubFiles("someone/closed", REVISION, WANTED.files, **other)
    hub.plant("someone/closed", REVISION, FILES)
    hub.fault = lambda kind, path: 403 if kind == "file" else None
    assert "someone/closed is not open to you: accept its terms" in refused(closed)
    hub.fault = lambda kind, path: None
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    said = refused(closed)
    assert "token is not valid" in said and "hf auth login" in said and "terms" not in said


@pytest.mark.parametrize("trouble", ["offline", "cut", "server"])
def test_without_a_way_to_the_hub(hub: HubServer, monkeypatch: pytest.MonkeyPatch, trouble: str) -> None:
    if trouble == "offline":
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    else:
        hub.fault = lambda kind, path: CUT if trouble == "cut" else 500
    said = refused(WANTED)
    assert "someone/model is not complete in the cache" in said and "check the network and HF_HUB_OFFLINE" in said


def test_a_disk_that_is_too_small_or_fills_up(hub: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with monkeypatch.context() as small:
        free(small, 1000)
        said = refused(WANTED)
    assert "download of someone/model needs 0.0 GB on the disk of" in said and "only 0.0 GB are free" in said
    full = OSError(28, "No space left on device")
    assert "no room is left" in hub_models.sentence(WANTED, full) and "HF_HOME" in hub_models.sentence(WANTED, full)


def free(monkeypatch: pytest.MonkeyPatch, size: float) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(1, 1, size))


def test_what_is_here_needs_no_room(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """1 MB of files, all but 2 bytes of them in the cache: 1000 free bytes are enough."""
    weights = replace(WANTED, files=WANTED.files[1:], gigabytes=len(FILES["unet/x.safetensors"]) / 1e9)
    fetch_now(weights)
    free(monkeypatch, 1000)
    whole = replace(WANTED, gigabytes=weights.gigabytes + 2e-9)
    assert fetch_now(weights, whole) == [cached(whole)] * 2


def test_there_must_be_room_for_all_parts_before_the_first(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of two models has room alone; nothing is downloaded of either when both have not."""
    other = replace(WANTED, repo="someone/other")
    hub.plant(other.repo, REVISION, FILES)
    free(monkeypatch, 1.5e6)
    with pytest.raises(ValueError, match=r"download of someone/model and someone/other needs 0\.0 GB .* are free"):
        fetch_now(WANTED, other)
    assert missing_files(WANTED) == list(WANTED.files)
    fetch_now(WANTED)


def test_a_pickle_cannot_be_asked_for() -> None:
    with pytest.raises(AssertionError, match="safetensors and plain text only"):
        HubFiles("a/b", REVISION, ("unet/x.bin",), 1, "", "")
