"""Putting the repository on a Space: what goes, what does not, and that the loopback Hub then holds it."""

import shutil
import subprocess
from pathlib import Path

import huggingface_hub.constants
import pytest
from huggingface_hub import HfApi

from huvidpo.deploy import NEEDED, NOT_NEEDED_THERE, OWN, ROOT, deploy, files_to_send, main
from tests.preferences.hub_server import TOKEN, HubServer

SPACE = "jane/space"
SENT = sorted([*NEEDED, ".gitignore", "docs/a.png"])


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What the Space needs, a picture, a test; git knows nothing of what lies beside, and ignores a log."""
    folder = tmp_path / "clone"
    contents = dict.fromkeys(NEEDED, b"text") | {"docs/a.png": b"a picture", "tests/test_a.py": b"pass"}
    write(folder, contents | {".gitignore": b"*.log\n", ".ci/run": b"make test"})
    git(folder, "init", "-q")
    git(folder, "add", ".")
    beside = (".env", "my_clips/a.mp4", "my_clips/b.mp4", "runs/horse/training.pt", "secret.log", "tests/new.py")
    write(folder, dict.fromkeys(beside, b"not for others"))
    return folder


def write(folder: Path, contents: dict[str, bytes]) -> None:
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def test_what_git_tracks_goes_and_tests_stay(clone: Path) -> None:
    assert [name.as_posix() for name in files_to_send(clone)] == SENT
    (clone / "app.py").unlink()
    with pytest.raises(ValueError, match=r"app\.py is missing"):
        files_to_send(clone)


def test_without_git_the_repositorys_own_files_go(clone: Path) -> None:
    """As from a downloaded ZIP; also when it was unpacked inside of another repository."""
    shutil.rmtree(clone / ".git")
    hidden = ("huvidpo/__pycache__/a.pyc", "docs/.DS_Store", ".venv/bin/python", ".huvidpo/ratings/x", ".gradio/y")
    write(clone, dict.fromkeys(hidden, b"not for others"))
    assert [name.as_posix() for name in files_to_send(clone)] == SENT
    git(clone.parent, "init", "-q")
    assert [name.as_posix() for name in files_to_send(clone)] == SENT


def test_a_zip_of_this_repository_lacks_nothing() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    if not listed:
        pytest.skip("This folder is no clone, so there is no list to compare with.")
    assert {name.split("/")[0] for name in listed.split()} <= {*OWN, *NOT_NEEDED_THERE}


def test_a_clone_that_git_cannot_read_sends_nothing(clone: Path) -> None:
    (clone / ".git" / "HEAD").write_text("damaged")
    with pytest.raises(ValueError, match="git cannot list the files of"):
        files_to_send(clone)


def test_a_space_is_made_then_changed(clone: Path, loopback_hub: HubServer) -> None:
    """Large files by the large-file store; what is gone here goes there; the same again is no new commit."""
    hub = loopback_hub
    api = HfApi(endpoint=hub.url, token=TOKEN)
    deploy(clone, SPACE, api)
    files = hub.repositories[SPACE].files
    assert files["docs/a.png"] == b"a picture" and files["app.py"] == b"text" and hub.requests["put"] == 1
    assert sorted(files.keys() - {".gitattributes"}) == SENT and hub.repositories[SPACE].private
    (clone / "docs/a.png").unlink()
    (clone / "app.py").write_text("new")
    deploy(clone, SPACE, api)
    files = hub.repositories[SPACE].files
    assert files["app.py"] == b"new" and "docs/a.png" not in files
    with pytest.raises(ValueError, match="token is not valid"):
        deploy(clone, SPACE, HfApi(endpoint=hub.url, token="hf_wrong"))


def test_a_picture_that_the_large_file_store_does_not_take(clone: Path, loopback_hub: HubServer, capsys) -> None:
    loopback_hub.fault = lambda kind, path: 403 if kind == "put" else None
    assert main([SPACE], clone) == 2
    assert f"{SPACE} on the Hub could not be reached" in capsys.readouterr().err


def test_without_a_token_nothing_is_asked(
    clone: Path, loopback_hub: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    assert main([SPACE], clone) == 2 and "There is no Hugging Face token" in capsys.readouterr().err


def test_weights_that_git_lfs_has_not_fetched_are_not_sent(clone: Path) -> None:
    (clone / "docs/a.png").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(ValueError, match=r"docs/a\.png is not here.*git lfs pull"):
        files_to_send(clone)


def test_another_program_is_replaced_only_when_told_to(
    clone: Path, loopback_hub: HubServer, capsys: pytest.CaptureFixture
) -> None:
    loopback_hub.plant(SPACE, "main", {"README.md": b"# Mine", "app.py": b"years of work", "model.py": b"more"})
    assert main([SPACE], clone) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"{SPACE} holds another program, whose 3 files would be removed or replaced" in said and "--replace" in said
    assert loopback_hub.repositories[SPACE].files["app.py"] == b"years of work"
    assert main([SPACE, "--replace"], clone) == 0
    assert loopback_hub.repositories[SPACE].files["app.py"] == b"text"
    assert "model.py" not in loopback_hub.repositories[SPACE].files
    loopback_hub.plant("jane/new", "main", {"README.md": b"# A new Space"})
    assert main(["jane/new"], clone) == 0, "what the Hub's own page has made is empty"


def test_dry_run_lists_what_goes_and_what_is_removed(
    clone: Path, loopback_hub: HubServer, capsys: pytest.CaptureFixture
) -> None:
    assert main([SPACE, "--dry-run"], clone) == 0
    assert "it would be made, private; nothing was sent." in capsys.readouterr().out
    loopback_hub.plant(SPACE, "main", {"app.py": b"", "huvidpo/backbones.py": b"", "huvidpo/old.py": b""})
    before = dict(loopback_hub.repositories[SPACE].files)
    assert main([SPACE, "--dry-run"], clone) == 0
    said = capsys.readouterr()
    assert " removed huvidpo/old.py\n" in said.out and "1 would be removed there; nothing was sent." in said.out
    assert " app.py\n" in said.out and "my_clips" not in said.out and loopback_hub.repositories[SPACE].files == before
    assert "git does not track 4 files, so not sent" in said.err
    assert ".env, my_clips/a.mp4, my_clips/b.mp4 ...\n" in said.err and "secret.log" not in said.err


def test_dry_run_of_this_repository(loopback_hub: HubServer, capsys: pytest.CaptureFixture) -> None:
    assert main([SPACE, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert " app.py\n" in out and "nothing was sent" in out and "tests/" not in out and ".ci/" not in out
    assert main(["nobody"]) == 2 and "owner/name" in capsys.readouterr().err
    loopback_hub.fault = lambda kind, path: 500
    assert main([SPACE, "--dry-run"]) == 0 and "what it holds is not known" in capsys.readouterr().out
