"""Actions of one's own on the command line: added, taught, used, removed."""

import json
from pathlib import Path

import pytest

from huvidpo.cli import main
from huvidpo.pocket.practice_clips import render_clip, sample_scene
from huvidpo.video import read_metadata, write_mp4

PROMPTS = ("--prompts", "a red horse in the snow", "a blue horse on mars", "a horse")
ADD = ("add-category", "horse-jump", *PROMPTS)


@pytest.fixture
def run(own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """Runs a command in a folder of its own; gives exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> tuple[int, str, str]:
        code = main([*arguments])
        return code, *capsys.readouterr()

    return command


def test_an_action_is_listed_from_when_it_is_added_until_it_is_removed(run) -> None:
    code, out, err = run(*ADD)
    assert (code, err) == (0, "") and out.splitlines()[0] == "🎬 Horse jump is an action now."
    assert "huvidpo train-motion --category horse-jump --clips FOLDER" in out
    rows = json.loads(run("categories", "--json")[1])["categories"]
    assert [row["name"] for row in rows if row["added"]] == ["horse-jump"] and len(rows) == 9
    assert rows[-1]["title"] == "Horse jump" and rows[-1]["motion_prompt"] == "horse jump"
    assert run("adapters", "--category", "horse-jump") == (0, "There are no adapters yet.\n", "")
    said = json.loads(run(*ADD, "--title", "It jumps", "--motion-prompt", "horse jumps", "--emoji", "🏇", "--json")[1])
    assert said["category"]["title"] == "It jumps" and said["category"]["motion_prompt"] == "horse jumps"
    code, out, _ = run("remove-category", "horse-jump")
    assert code == 0 and "its adapters, clips and ratings stay on the disk" in out
    assert run("adapters", "--category", "horse-jump")[0] == 2
    assert run("remove-category", "horse-jump")[2] == "'horse-jump' is no action that was added here.\n"


@pytest.mark.slow
def test_an_added_action_is_taught_from_clips_and_moves_like_them(run, tmp_path: Path) -> None:
    run(*ADD)
    Path("clips").mkdir()
    write_mp4(render_clip(sample_scene(0, action="horse"), 16), "clips/0.mp4", 8)
    code, out, err = run("train-motion", "--category", "horse-jump", "--clips", "clips", "--steps", "1")
    assert code == 0 and out.splitlines()[1] == "It is the default of horse-jump: clips move like it."
    video = ("video", "--prompt", "a red horse", "--category", "horse-jump", "--steps", "1", "--out", "x.mp4")
    assert run(*video)[0] == 0
    settings = read_metadata(tmp_path / "x.mp4")
    assert (settings["category"], settings["adapter"]) == ("horse-jump", "motion-1")
    code, out, err = run("pair", "--prompt", "a red horse", "--category", "horse-jump", "--json")
    assert code == 0, err
    rate = ("rate", "--pair", json.loads(out)["pair_id"], "--preference", "a")
    assert run(*rate)[0] == 0 and "ratings: 1," in run("ratings", "--category", "horse-jump")[1]
