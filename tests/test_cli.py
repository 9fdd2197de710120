"""The commands as a user or a script meets them: stdout, stderr, exit code, files. A small real `pocket`."""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from huvidpo.adapters import find_adapter
from huvidpo.categories import CATEGORIES
from huvidpo.cli import new_parser
from huvidpo.home import home
from huvidpo.interrupts import until_interrupted
from huvidpo.pocket.practice_clips import render_clip, sample_scene
from huvidpo.video import read_frames, read_metadata, write_gif, write_mp4

PROMPT = ("--prompt", "a red horse runs on the beach")
FRAME = ("first-frame", *PROMPT, "--steps", "2")
VIDEO = ("video", *PROMPT, "--category", "horse", "--steps", "2")


@pytest.fixture
def picture(tmp_path: Path) -> str:
    frame = render_clip(sample_scene(3, action="horse"), num_frames=1)[0]
    Image.fromarray(frame).resize((300, 200)).save(tmp_path / "picture.png")
    return str(tmp_path / "picture.png")


def files_here() -> list[str]:
    return sorted(path.name for path in Path.cwd().iterdir())


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ((), "required: COMMAND"),
        (("dance",), "invalid choice: 'dance'"),
        (("video", *PROMPT), "required: --category, --out"),
        ((*FRAME, "--out", "x.png", "--seeed", "1"), "Unrecognized arguments: --seeed"),
        ((*FRAME, "--out", "x.png", "--seed", "many"), "invalid int value: 'many'"),
        ((*FRAME, "--out", "x.png", "--seed", "-1"), "The seed must be a whole number from 0 to"),
        ((*FRAME, "--out", "x.png", "--steps", "0"), "The number of steps must be from 1 to 200, not 0."),
        ((*FRAME, "--out", "x.png", "--guidance", "nan"), "The guidance must be from 0 to 50"),
        ((*FRAME, "--out", "x.png", "--prompt", " "), "The prompt is empty"),
        ((*FRAME, "--out", "x.png", "--prompt", "!!!"), "The prompt has no words"),
        ((*FRAME, "--out", "x.png", "--prompt", "x" * 10_000), "The prompt has 10000 characters"),
        ((*FRAME, "--out", "x.png", "--style", "oil"), "invalid choice: 'oil'"),
        ((*FRAME, "--out", "x.png", "--category", "swim"), "Argument --category: invalid choice: 'swim'"),
        ((*FRAME, "--out", "x.png", "--backbone", "huge"), "invalid choice: 'huge' (choose from"),
        ((*FRAME, "--out", "x.jpg"), "--out must end in .png, not 'x.jpg'"),
        ((*FRAME, "--out", "no/x.png"), "there is no folder no"),
        ((*FRAME, "--out", "../picture.png/x.png"), "there is no folder"),
        ((*VIDEO, "--out", "x.avi"), "--out must end in .mp4 or .gif, not 'x.avi'"),
        ((*VIDEO, "--out", "x.mp4", "--category", "swim"), "Argument --category: invalid choice: 'swim'"),
        ((*VIDEO, "--out", "x.mp4", "--adapter", "lost"), "There is no adapter 'lost' for horse"),
        ((*VIDEO, "--out", "x.mp4", "--adapter", "./lost"), "There is no adapter './lost' for horse"),
        ((*VIDEO, "--out", "x.mp4", "--recipe", "fast"), "invalid choice: 'fast'"),
        ((*VIDEO, "--out", "x.mp4", "--attention", "all"), "invalid choice: 'all'"),
        ((*VIDEO, "--out", "x.mp4", "--first-frame", "lost.png"), "There is no picture at lost.png"),
        (
            (*VIDEO, "--out", "x.mp4", "--first-frame", "../picture.png", "--first-frame-seed", "4"),
            "leave --model and --first-frame-seed out",
        ),
        ((*VIDEO, "--out", "x.mp4", "--first-frame", __file__), "is not a readable picture"),
        ((*VIDEO, "--out", "x.mp4", "--first-frame-seed", "-3"), "The seed must be a whole number"),
        (("adapters", "--category", "../.."), "Argument --category: invalid choice: '../..'"),
        (
            ("evaluate", "--category", "horse", "--out", "o", "--adapters", "gallopp"),
            "no adapter 'gallopp'",
        ),
        (
            ("evaluate", "--category", "horse", "--out", "o", "--systems", "default"),
            "horse has no default adapter",
        ),
        (("train-motion", "--category", "horse", "--clips", "lost", "--out", "o"), "no folder of clips at lost"),
        (("train-motion", "--category", "horse", "--clips", ".", "--out", "o"), "holds no clips"),
        (
            ("train-motion", "--category", "horse", "--clips", ".", "--out", "o", "--steps", "0"),
            "steps must be from 1",
        ),
        (("train-motion", "--category", "horse", "--clips", ".", "--out", "o", "--resume"), "no run to continue in o"),
        (("train-motion", "--category", "horse", "--clips", ".", "--out", "../picture.png"), "it is not a folder"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_bad_input_is_one_sentence_and_2(
    run, picture: str, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], sentence: str, as_json: bool
) -> None:
    """All of it before any weights are loaded: there are none here."""
    monkeypatch.setenv("HUVIDPO_POCKET_WEIGHTS", "nowhere")
    code, out, err = run(*arguments, *["--json"] * as_json)
    assert (code, out) == (2, "")
    assert sentence in err and err.count("\n") == 1 and "Traceback" not in err
    assert files_here() == []


def test_a_folder_in_the_way_is_refused(run) -> None:
    Path("x.png").mkdir()
    code, out, err = run(*FRAME, "--out", "x.png")
    assert (code, out, err) == (2, "", "Could not write x.png: it is a folder.\n")


def test_missing_weights_are_one_sentence(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUVIDPO_POCKET_WEIGHTS", "nowhere")
    code, out, err = run(*FRAME, "--out", "x.png")
    assert (code, out, err.count("\n")) == (2, "", 1) and "weights are missing from nowhere" in err


def test_help_and_bad_arguments_do_not_wait_for_torch(tmp_path: Path) -> None:
    program = """
import contextlib, sys
from huvidpo.cli import main
with contextlib.suppress(SystemExit):
    main(["video", "--help"])
assert main(["first-frame", "--prompt", "", "--out", "x.png"]) == 2
assert main(["video", "--prompt", "rain", "--category", "rain", "--out", "no/x.mp4"]) == 2
for wrong in (
    ["first-frame", "--prompt", "rain", "--out", "x.png", "--seed", "-1"],
    ["first-frame", "--prompt", "rain", "--out", "x.png", "--memory", "half"],
    ["video", "--prompt", "rain", "--category", "rain", "--out", "x.mp4", "--steps", "0"],
    ["video", "--prompt", "rain", "--category", "rain", "--out", "x.mp4", "--adapter", "lost"],
    ["train-motion", "--category", "rain", "--clips", "lost"],
    ["train-motion", "--category", "rain", "--clips", ".", "--steps", "0"],
    ["train-preference", "--category", "rain", "--beta", "-1"],
    ["train-preference", "--category", "rain", "--resume"],
    ["rounds", "--category", "rain", "--rounds", "0"],
    ["evaluate", "--category", "rain", "--systems", "lost"],
    ["pair", "--prompt", "rain", "--category", "rain", "--pairing", "varied", "--guidance", "2"],
    ["import-checkpoint", "README.md", "--category", "rain"],
    ["promote", "lost"],
    ["winrate", "--category", "rain", "--adapter", "lost"],
    ["push-adapter", "lost", "--category", "rain"],
):
    assert main([*wrong, "--backbone", "pocket"]) == 2, wrong
    assert not {"torch", "diffusers", "gradio"} & sys.modules.keys(), wrong
"""
    home = {"HUVIDPO_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | home, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: huvidpo video") and done.stderr.count("\n") == 17


def test_a_home_that_cannot_be_is_told_as_that(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    for wrong in ("file", "file/below"):
        monkeypatch.setenv("HUVIDPO_HOME", str(tmp_path / wrong))
        code, out, err = run("ratings")
        assert (code, out, err.count("\n")) == (2, "", 1) and err.startswith(f"HUVIDPO_HOME is '{tmp_path / wrong}'")
        assert f"{tmp_path / 'file'} is a file. Set it to another folder." in err
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # who runs tests as root may write everywhere
    monkeypatch.setenv("HUVIDPO_HOME", str(tmp_path / "new"))
    assert f"{tmp_path} may not be written to." in run("ratings")[2] and not (tmp_path / "new").exists()


def test_what_the_terminal_cannot_write_is_written_otherwise(own_home: Path) -> None:
    """Windows gives pipes the letters of one country."""
    command = [sys.executable, "-m", "huvidpo", "rate", "--pair", "馬", "--preference", "a"]
    environment = os.environ | {"PYTHONIOENCODING": "cp1252"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "There is no pair '\\u99ac'.\n")


@pytest.mark.slow
def test_a_process_of_its_own_prints_its_answer_and_nothing_else(own_home: Path, tmp_path: Path) -> None:
    """Nothing is imported or configured by the tests here: what a user sees."""
    command = [sys.executable, "-m", "huvidpo", *FRAME, "--seed", "7", "--json", "--out", str(tmp_path / "x.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "") and json.loads(done.stdout)["seed"] == 7
    done = subprocess.run([*command, "--steps", "0"], capture_output=True, text=True, check=False)
    expected = "The number of steps must be from 1 to 200, not 0.\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", expected)


def test_lists_in_words_and_as_json(run, moving_adapter) -> None:
    code, out, err = run("categories", "--json")
    assert (code, err) == (0, "") and [row["name"] for row in json.loads(out)["categories"]] == list(CATEGORIES)
    code, out, _ = run("--json", "backbones")
    rows = {row["name"]: row for row in json.loads(out)["backbones"]}
    assert code == 0 and rows["pocket"]["default"] and not rows["sd14"]["default"] and rows["sd14"]["width"] == 512
    code, out, _ = run("adapters", "--json", "--category", "horse")
    (row,) = json.loads(out)["adapters"]
    assert row == {
        "name": "gallop",
        "category": "horse",
        "status": "candidate",
        "revision": moving_adapter.revision(),
    }
    assert json.loads(run("adapters", "--category", "rain", "--json")[1])["adapters"] == []
    assert json.loads(run("adapters", "--backbone", "sd14", "--json")[1]) == {"backbone": "sd14", "adapters": []}
    for command, word in (
        ("categories", "horse run"),
        ("backbones", "pocket (default)"),
        ("adapters", "horse/gallop"),
    ):
        code, out, err = run(command)
        assert (code, err) == (0, "") and word in out


def test_first_frame_with_its_settings_inside(run) -> None:
    code, out, err = run(*FRAME, "--out", "x.png", "--seed", "7", "--category", "horse", "--json")
    assert (code, err) == (0, "")
    result = json.loads(out)
    with Image.open("x.png") as image:
        assert image.size == (128, 128) and json.loads(image.text["Comment"]) == result["settings"]
        assert result["settings"].items() >= {"seed": 7, "steps": 2, "guidance": 2.5, "backbone": "pocket"}.items()
        pixels = np.asarray(image)
    assert (result["out"], result["seed"], result["warnings"]) == ("x.png", 7, [])
    assert run(*FRAME, "--out", "y.png", "--seed", "7")[:2] == (0, "y.png (seed 7)\n")
    assert np.array_equal(Image.open("y.png"), pixels) and files_here() == ["x.png", "y.png"]


@pytest.mark.slow
def test_a_random_seed_is_told_and_makes_the_clip_again(run, picture: str) -> None:
    code, out, err = run(*VIDEO, "--first-frame", picture, "--out", "x.gif", "--json")
    assert code == 0 and err.startswith("Warning: Nothing has taught pocket how horse moves") and err.count("\n") == 1
    result = json.loads(out)
    assert [f"Warning: {warning}\n" for warning in result["warnings"]] == [err]
    assert result["settings"] == read_metadata("x.gif") and result["settings"]["first_frame_model"] == "upload"
    frames, fps = read_frames("x.gif")
    assert frames.shape == (16, 128, 128, 3) and fps == pytest.approx(8)
    assert run(*VIDEO, "--first-frame", picture, "--out", "y.gif", "--seed", str(result["seed"]))[0] == 0
    assert Path("x.gif").read_bytes() == Path("y.gif").read_bytes()


@pytest.mark.slow
def test_a_first_frame_is_made_when_none_is_given(run, moving_adapter) -> None:
    own = ("--seed", "5", "--first-frame-seed", "9", "--model", "base", "--adapter")
    code, out, _ = run(*VIDEO, *own, "gallop", "--out", "x.mp4", "--json")
    settings = json.loads(out)["settings"]
    assert code == 0 and settings == read_metadata("x.mp4")
    expected = {"seed": 5, "first_frame_seed": 9, "first_frame_model": "base", "adapter": "gallop"}
    assert settings.items() >= expected.items()
    code, out, _ = run(*VIDEO, *own, str(moving_adapter.folder), "--out", "y.mp4", "--json")
    assert code == 0 and json.loads(out)["settings"] == settings
    other = ("--category", "rain", "--adapter", str(moving_adapter.folder), "--json", "--out", "z.mp4")
    code, out, err = run(*VIDEO, *other)
    warning = "The adapter 'gallop' is of horse, not of rain: clips will move like that."
    assert code == 0 and warning in err and warning in " ".join(json.loads(out)["warnings"])


def test_unknown_words_are_named(run) -> None:
    prompt = ("first-frame", "--prompt", "a red zebra on the Moon", "--steps", "1", "--out")
    code, out, err = run(*prompt, "x.png", "--json")
    (warning,) = json.loads(out)["warnings"]
    assert code == 0 and err == f"Warning: {warning}\n"
    assert "does not know these words: zebra, moon. It knows: a, " in warning and " horse" in warning
    negative = ("--negative-prompt", "red, blurry 🎆!")
    _, out, _ = run("first-frame", "--prompt", "a red horse", *negative, "--steps", "1", "--out", "y.png", "--json")
    assert "these words: blurry, 🎆. It" in json.loads(out)["warnings"][0]


def test_what_is_not_read_of_a_prompt_is_said(run) -> None:
    long = ("first-frame", "--prompt", "a red horse runs on the beach " * 4, "--style", "cartoon", "--steps", "1")
    code, out, err = run(*long, "--out", "x.png", "--json")
    assert code == 0 and json.loads(out)["warnings"] == [err.removeprefix("Warning: ").strip()]
    assert err == "Warning: Beyond the first 22 words the prompt is not read, nor is the style: write fewer words.\n"


def test_ctrl_c_is_130_and_leaves_nothing(run, picture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The signal comes with the first finished step: one by the clock now and then hit a place that swallows it.
    monkeypatch.setattr("huvidpo.commands.common.tqdm.update", lambda bar, steps: signal.raise_signal(signal.SIGINT))
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a test process that runs beside others ignores it
    try:
        code, out, err = run(*VIDEO, "--first-frame", picture, "--steps", "200", "--out", "x.mp4")
    finally:
        signal.signal(signal.SIGINT, before)
    assert (code, out) == (130, "") and "Traceback" not in err
    assert files_here() == []


def test_a_broken_adapter_is_one_sentence(run, moving_adapter, picture: str) -> None:
    (moving_adapter.folder / "motion.safetensors").write_bytes(b"broken")
    code, out, err = run(*VIDEO, "--first-frame", picture, "--adapter", "gallop", "--out", "x.mp4")
    assert (code, out, err.count("\n")) == (2, "", 1) and "'gallop' could not be loaded" in err
    assert files_here() == []


def test_ctrl_c_while_learning_ends_after_the_step_under_way(capsys: pytest.CaptureFixture) -> None:
    """The signal comes inside of the second of five steps, a second one inside of another run's first."""
    done: list[str] = []

    def steps(signals: int) -> Iterator[int]:
        try:
            for step in range(1, 6):
                if step == 3 - signals:
                    for _ in range(signals):
                        signal.raise_signal(signal.SIGINT)
                done.append(f"step {step}")
                yield step
        except GeneratorExit:
            done.append("saved")

    before = signal.getsignal(signal.SIGINT)
    for signals in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            list(until_interrupted(steps(signals)))
    assert done == ["step 1", "step 2", "saved"] and "Ctrl-C again ends at once" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) == before
    assert list(until_interrupted(steps(0))) == [1, 2, 3, 4, 5]


@pytest.mark.slow
def test_motion_learned_from_clips_becomes_an_adapter(run, picture: str) -> None:
    Path("clips").mkdir()
    for seed in range(2):
        write_mp4(render_clip(sample_scene(seed, action="horse"), 16), f"clips/{seed}.mp4", 8)
    Path("clips/0.txt").write_text("a blue horse runs")
    train = ("train-motion", "--category", "horse", "--clips", "clips", "--learning-rate", "0.001", "--out", "learned")
    code, out, err = run(*train, "--steps", "2", "--seed", "3", "--json")
    assert (code, err) == (0, "Warning: a motion is learned from 8 to 16 clips; here are 2.\n")
    card = json.loads(Path("learned/card.json").read_text())
    assert card == json.loads(out)["card"]
    expected = {"backbone": "pocket", "category": "horse", "steps": 2, "seed": 3, "clips": ["0.mp4", "1.mp4"]}
    assert card.items() >= expected.items() and card["start"] == "none"
    video = (*VIDEO, "--first-frame", picture, "--seed", "1", "--json", "--out")
    moved = json.loads(run(*video, "x.gif", "--adapter", "./learned")[1])["settings"]
    assert run(*video, "y.gif", "--adapter", "none")[0] == 0
    assert moved["adapter"] == "learned" and Path("x.gif").read_bytes() != Path("y.gif").read_bytes()

    code, out, err = run(*train, "--steps", "2")
    assert (code, out) == (2, "") and "learned holds a run already: add --resume" in err
    code, out, err = run(*train, "--resume", "--seed", "4")
    assert (code, out) == (2, "") and "learned holds a run with other seed: give the same" in err
    code, out, _ = run(*train[:-4], *train[-2:], "--steps", "3", "--resume", "--json")  # the rate is the run's own
    card = json.loads(out)["card"]
    assert code == 0 and (card["steps"], card["seed"], card["learning_rate"]) == (3, 3, 0.001)
    (Path("clips") / "1.mp4").unlink()
    code, out, err = run(*train, "--resume")
    assert (code, out) == (2, "") and "with other clips" in err


@pytest.mark.slow
def test_motion_without_a_folder_of_its_own_becomes_what_clips_use(run, picture: str) -> None:
    """The first of an action is its default at once; the next one waits to be chosen, which needs no votes."""
    Path("clips").mkdir()
    write_mp4(render_clip(sample_scene(0, action="horse"), 16), "clips/0.mp4", 8)
    train = ("train-motion", "--category", "horse", "--clips", "clips", "--steps", "1")
    said = [run(*train, "--seed", str(seed))[1].splitlines() for seed in (1, 2)]
    assert said[0][1] == "It is the default of horse: clips move like it."
    assert said[1][1].endswith(
        "with --adapter motion-2; huvidpo promote motion-2 --category horse makes it the default."
    )
    first, second = (Path(lines[0]) for lines in said)
    assert second == first.with_name("motion-2") == home() / "adapters/pocket/horse/motion-2"
    code, out, err = run(*VIDEO, "--first-frame", picture, "--out", "x.gif", "--json")
    assert (code, err) == (0, "") and json.loads(out)["settings"]["adapter"] == "motion-1"
    assert run("promote", "motion-2", "--category", "horse")[0] == 0
    assert find_adapter("pocket", "horse", "").name == "motion-2"
    assert "no unfinished run of horse" in run(*train, "--resume")[2]
    (second / "card.json").unlink()  # as if it had been interrupted
    resume = ("train-motion", "--category", "horse", "--resume", "--steps")
    assert run(*resume, "2")[1].splitlines()[0] == str(second), "with the clips that it was begun with"
    assert "clips_folder" not in json.loads((second / "card.json").read_text())
    (second / "card.json").unlink()
    shutil.move("clips", "elsewhere")
    assert "no folder of clips at" in run(*resume, "3")[2]
    assert run(*resume, "3", "--clips", "elsewhere")[0] == 0


@pytest.mark.slow
def test_what_a_clip_will_not_teach_is_said(run) -> None:
    """Words that the model has never seen, or does not get to read, and a pace that it cannot show."""
    Path("clips").mkdir()
    clip = render_clip(sample_scene(0, action="horse"), 16)
    for name, fps in (("calm", 12), ("fast", 60)):
        write_mp4(clip, f"clips/{name}.mp4", fps)
    Path("clips/calm.txt").write_text("a zebra walks " * 12)
    train = ("train-motion", "--category", "horse", "--clips", "clips", "--steps", "1", "--json", "--out")
    code, out, err = run(*train, "learned")
    few, cut, unknown, fast = (line.removeprefix("Warning: ") for line in err.splitlines())
    assert code == 0 and cut.startswith("Beyond the first 7 words the caption of calm.mp4 is not read")
    assert "does not know these words: zebra, walks. It knows" in unknown
    assert fast.startswith("fast.mp4: 60 frames a second.") and "16 of them are 0.27 s of motion" in fast
    assert json.loads(out)["warnings"] == [few, cut, unknown, fast]
    for file in ("calm.txt", "fast.mp4"):
        (Path("clips") / file).unlink()
    for category in CATEGORIES:
        code, out, err = run(*train[:2], category, *train[3:], f"of-{category}")
        assert code == 0 and err.count("\n") == 1 and "here are 1." in err, "a category's own words are known"


@pytest.mark.slow
def test_a_run_of_motion_goes_on_from_what_it_began_as(run) -> None:
    """Whatever the category's default is meanwhile: here one that has another attention."""
    Path("clips").mkdir()
    write_mp4(render_clip(sample_scene(0, action="horse"), 16), "clips/0.mp4", 8)
    train = ("train-motion", "--category", "horse", "--clips", "clips", "--steps")
    assert run(*train, "1", "--start", "none", "--minutes", "7", "--out", "learned")[0] == 0
    begun = json.loads(Path("learned/card.json").read_text())
    assert run(*train, "1")[0] == 0
    default = home() / "adapters/pocket/horse/motion-1/card.json"
    default.write_text(default.read_text().replace("first-previous", "first"))
    resume = (*train, "2", "--resume", "--out", "learned")
    assert run(*resume)[0] == 0
    card = json.loads(Path("learned/card.json").read_text())
    kept = ("start", "start_revision", "attention", "minutes", "backbone_revision")
    assert [card[name] for name in kept] == [begun[name] for name in kept] and card["steps"] == 2
    assert (card["start"], card["attention"], card["minutes"]) == ("none", "first-previous", 7)
    code, out, err = run(*resume, "--start", "motion-1")
    assert (code, out) == (2, "") and "The run began with the adapter none, and goes on" in err
    code, _, err = run(*resume, "--start", "none", "--minutes", "9")
    assert code == 0 and "the run was over already, so nothing was learned" in err
    card = json.loads(Path("learned/card.json").read_text())
    assert (card["steps"], card["minutes"]) == (2, 9)  # there was nothing left to do


@pytest.mark.slow
def test_a_run_does_not_go_on_with_another_image_model(run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("clips").mkdir()
    write_mp4(render_clip(sample_scene(0, action="horse"), 16), "clips/0.mp4", 8)
    train = ("train-motion", "--category", "horse", "--clips", "clips", "--out", "learned", "--steps")
    assert run(*train, "1")[0] == 0
    shutil.copytree(os.environ["HUVIDPO_POCKET_WEIGHTS"], "others")
    weights = Path("others/text_encoder/model.safetensors")
    save_file({name: value + 0.01 for name, value in load_file(weights).items()}, weights)
    monkeypatch.setenv("HUVIDPO_POCKET_WEIGHTS", "others")
    code, out, err = run(*train, "2", "--resume")
    assert (code, out) == (2, "") and "holds a run with other backbone revision" in err


def parsers_of(parser: argparse.ArgumentParser) -> list[tuple[str, list[argparse.Action]]]:
    """Each command, those below it too, with its options."""
    below = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    found = [parsers_of(one) for action in below for one in action.choices.values()]
    own = [one for one in parser._actions if one not in below]
    return [(parser.prog, own), *(pair for pairs in found for pair in pairs)]


def test_every_option_says_what_it_is() -> None:
    """In words: a help that only names the default does not say what the option does."""
    found = parsers_of(new_parser())
    mute = [f"{prog} {one.dest}" for prog, own in found for one in own if not one.help]
    mute += [f"{prog} {one.dest}" for prog, own in found for one in own if (one.help or "").startswith("default")]
    assert len(found) > 20 and mute == []


def test_a_clip_that_cannot_teach_is_named(run) -> None:
    Path("clips").mkdir()
    write_gif(render_clip(sample_scene(0), 5), "clips/short.gif", 8)
    code, out, err = run("train-motion", "--category", "horse", "--clips", "clips", "--out", "learned")
    assert (code, out) == (2, "")
    assert err == "The clip short.gif has 5 frames; training needs 16 or more.\n" and files_here() == ["clips"]


@pytest.mark.slow
def test_the_page_passes_its_exit_code_on(own_home: Path) -> None:
    command = [sys.executable, "-m", "huvidpo", "serve", "--port", "99999", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "The port must be from 1 to 65535, not 99999." in done.stderr and "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_page_tells_its_address_and_ends_with_the_command(own_home: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "huvidpo", "serve", "--port", str(port), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as serving:
        assert json.loads(serving.stdout.readline()) == {"url": f"http://127.0.0.1:{port}"}
        socket.create_connection(("127.0.0.1", port)).close()
        serving.terminate()
        assert serving.stdout.read() == ""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
