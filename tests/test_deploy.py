"""Putting the repository on a Space: what goes, what does not, and that the loopback Hub then holds it."""

import subprocess
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from huvidpo.deploy import NEEDED, deploy, files_to_send, main
from tests.preferences.hub_server import TOKEN, HubServer

SPACE = "jane/space"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A small clone: what the Space needs, a picture, a test, and something that git ignores."""
    contents = dict.fromkeys(NEEDED, b"text") | {"docs/a.png": b"a picture", "tests/test_a.py": b"pass"}
    contents |= {".gitignore": b"*.log\n", "secret.log": b"not for others"}
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def test_what_git_knows_goes_and_tests_stay(clone: Path) -> None:
    names = [name.as_posix() for name in files_to_send(clone)]
    assert names == sorted([*NEEDED, ".gitignore", "docs/a.png"])
    (clone / "app.py").unlink()
    with pytest.raises(ValueError, match=r"app\.py is missing"):
        files_to_send(clone)


def test_a_space_is_made_then_changed(clone: Path, loopback_hub: HubServer) -> None:
    """Large files by the large-file store; what is gone here goes there; the same again is no new commit."""
    hub = loopback_hub
    api = HfApi(endpoint=hub.url, token=TOKEN)
    deploy(clone, SPACE, api)
    files = hub.repositories[SPACE].files
    assert files["docs/a.png"] == b"a picture" and files["app.py"] == b"text" and hub.requests["put"] == 1
    assert "secret.log" not in files and "tests/test_a.py" not in files
    (clone / "docs/a.png").unlink()
    (clone / "app.py").write_text("new")
    deploy(clone, SPACE, api)
    files = hub.repositories[SPACE].files
    assert files["app.py"] == b"new" and "docs/a.png" not in files
    with pytest.raises(ValueError, match="did not take it"):
        deploy(clone, SPACE, HfApi(endpoint=hub.url, token="hf_wrong"))


def test_dry_run_lists_this_repository(capsys: pytest.CaptureFixture) -> None:
    assert main([SPACE, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert " app.py\n" in out and "nothing was sent" in out and "tests/" not in out
    assert main(["nobody"]) == 2 and "owner/name" in capsys.readouterr().err
