"""The command `evaluate` on a small `pocket`: made, measured, continued, shared out, and what it says of bad input."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from huvidpo.adapters import MOTION_FILE, Adapter
from huvidpo.backbones import LoadedBackbone
from huvidpo.cli import main
from huvidpo.evaluation.contestants import KNOWN, STILL, Contestant
from huvidpo.evaluation.judges import Vision
from huvidpo.evaluation.prompts import Task, chosen_categories, read_tasks
from huvidpo.evaluation.results import Results, read_results
from huvidpo.evaluation.suite import Evaluation, Step
from huvidpo.evaluation.summary import figure
from huvidpo.evaluation.tables import won_by_stillness
from huvidpo.images import read_image
from huvidpo.requests import ClipRequest, FirstFrameRequest
from huvidpo.takes import make_clip, make_first_frame
from huvidpo.video import read_frames, read_metadata, write_gif, write_mp4
from tests.launched import launch_two

GALLOP = Contestant("gallop", "Adapter gallop", adapter="gallop")
BARE = KNOWN["no-adapter"]
TASKS = [
    Task("horse", "horse-01", "a red horse runs on the beach", 0),
    Task("horse", "horse-02", "a white horse runs in the snow", 0),
]


def shape_vectors(frames: np.ndarray) -> np.ndarray:
    """Unit vectors of frames (f h w 3): their mean colours."""
    vectors = frames.reshape(len(frames), -1, 3).mean(axis=1) + 1.0
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


PLAIN = Vision({"clip_score": "mean colour"}, lambda text: np.full(3, 3**-0.5), *[shape_vectors] * 3)


def run(evaluation: Evaluation) -> tuple[Results, list[Step]]:
    *steps, results = evaluation.run()
    return results, steps


@pytest.fixture(autouse=True)
def short_work(backbone: LoadedBackbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight frames in two steps: what is asked here does not depend on it."""
    quick = {name: dataclasses.replace(made, steps=2) for name, made in backbone.preset.first_frames.items()}
    short = dataclasses.replace(backbone.preset, num_frames=8, first_frames=quick, clip_steps=2)
    monkeypatch.setattr(backbone, "preset", short)


@pytest.fixture
def evaluation(backbone: LoadedBackbone, moving_adapter: Adapter, tmp_path: Path) -> Evaluation:
    return Evaluation(backbone, PLAIN, [GALLOP, BARE, STILL], TASKS, tmp_path / "out", {"seeds": 1})


@pytest.mark.slow
def test_every_system_has_every_clip_from_the_same_first_frame(evaluation: Evaluation) -> None:
    results, _ = run(evaluation)
    assert read_results(evaluation.folder) == results and results.problems == ()
    assert [clip.file for clip in results.clips if clip.system == "gallop"] == [
        "clips/gallop/horse-01-0.mp4",
        "clips/gallop/horse-02-0.mp4",
    ]
    for task in TASKS:
        files = [evaluation.folder / clip.file for clip in results.clips if clip.prompt_id == task.prompt_id]
        assert len(files) == len(results.systems)
        assert len({read_metadata(file)["first_frame_sha256"] for file in files}) == 1
    assert figure(results, "still", "still").value == 100 and figure(results, "still", "motion").value < 0.01
    assert {"ssim", "mse"} <= set(won_by_stillness(results))
    settings = next(system.settings for system in results.systems if system.name == "gallop")
    assert settings["adapter/horse"] == "gallop" and settings["recipe.steps"] == 2


@pytest.mark.slow
def test_a_clip_is_the_one_that_the_page_would_make(evaluation: Evaluation) -> None:
    """In a batch of two, beside `video` alone; a codec lies between."""
    run(evaluation)
    task, backbone = TASKS[1], evaluation.backbone
    *_, frame = make_first_frame(backbone, FirstFrameRequest(task.prompt, seed=0))
    *_, clip = make_clip(backbone, frame.image, ClipRequest(task.prompt, category="horse", adapter="gallop", seed=0))
    kept, _ = read_frames(evaluation.folder / "clips" / "gallop" / "horse-02-0.mp4")
    assert np.abs(kept.astype(int) - clip.frames).mean() < 4


@pytest.mark.slow
def test_what_is_there_is_kept_and_what_has_changed_is_made_again(evaluation: Evaluation) -> None:
    first, _ = run(evaluation)
    clips = sorted(evaluation.folder.rglob("*.mp4"))
    times = {path: path.stat().st_mtime_ns for path in clips}
    (evaluation.folder / "clips" / "gallop" / "horse-01-0.mp4").unlink()
    again, _ = run(evaluation)
    for new, old in zip(again.clips, first.clips, strict=True):
        assert dataclasses.replace(new, metrics={}) == dataclasses.replace(old, metrics={})
        assert new.metrics == pytest.approx(old.metrics, rel=1e-2)  # in a batch of another size, the last bits differ
    changed = [path.name for path in clips if path.stat().st_mtime_ns != times[path]]
    assert changed == ["horse-01-0.mp4"]
    other = dataclasses.replace(evaluation, contestants=[dataclasses.replace(GALLOP, attention="first")])
    before = (evaluation.folder / "clips" / "gallop" / "horse-02-0.mp4").read_bytes()
    run(other)
    assert (evaluation.folder / "clips" / "gallop" / "horse-02-0.mp4").read_bytes() != before


@pytest.mark.slow
def test_two_processes_share_the_work(evaluation: Evaluation, tmp_path: Path) -> None:
    """Together they make everything once, and the first one alone speaks."""
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("\n".join(task.prompt for task in TASKS))
    options = ["--json", "evaluate", "--category", "horse", "--adapters", "gallop", "--prompts", str(prompts)]
    said = launch_two("huvidpo", *options, "--out", str(tmp_path / "two"))
    assert json.loads(said)["clips"] == 4
    results = read_results(tmp_path / "two")
    made = {(clip.system, clip.prompt_id) for clip in results.clips}
    assert made == {(name, task.prompt_id) for name in ("gallop", "still") for task in TASKS}
    assert results.problems == ()


@pytest.mark.slow
def test_one_failure_is_said_and_the_rest_is_kept(evaluation: Evaluation, tmp_path: Path) -> None:
    """A broken file, one that is missing, one of another size; a system that cannot be."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    small = np.random.default_rng(0).integers(0, 255, (12, 64, 64, 3), dtype=np.uint8)
    write_gif(small, theirs / "horse-02-0.gif", 8)
    (theirs / "horse-01-0.mp4").write_bytes(b"not a video")
    lazy = tmp_path / "lazy"
    lazy.mkdir()
    write_gif(small, lazy / "horse-02-0.gif", 8)
    evaluation.contestants = [
        GALLOP,
        Contestant("theirs", "Theirs", clips=str(theirs)),
        Contestant("lazy", "Lazy", clips=str(lazy)),
        KNOWN["no-dpo"],
        KNOWN["default"],
        dataclasses.replace(STILL, name="odd", first_frame_model="huge"),
    ]
    results, _ = run(evaluation)
    said = "\n".join(results.problems)
    assert "horse-01-0.mp4 is not a readable clip" in said
    assert f"Lazy: no figures for horse-01-0. Put the clip into {lazy} as horse-01-0.mp4" in said
    assert [clip.prompt_id for clip in results.clips if clip.system == "lazy"] == ["horse-02"]
    assert "Theirs: 1 clips have 12 frames of 64x64 pixels, most others 8 of 128x128" in said
    assert "horse has no default adapter" in said and "no first-frame model 'huge'" in said
    assert [clip.prompt_id for clip in results.clips if clip.system == "theirs"] == ["horse-02"]
    assert len([clip for clip in results.clips if clip.system == "gallop"]) == 2
    write_mp4(np.tile(small, (1, 2, 2, 1)), theirs / "horse-01-0.mp4", 8)  # mended, and run again
    assert "Theirs: no figures" not in "\n".join(run(evaluation)[0].problems)


@pytest.mark.slow
def test_the_command_writes_the_whole_report(
    moving_adapter: Adapter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts, out = tmp_path / "prompts.txt", tmp_path / "out"
    prompts.write_text("a red horse runs on the beach\n\na <script>alert(1)</script> | *horse*\n")
    command = ["--json", "evaluate", "--category", "horse", "--prompts", str(prompts), "--out", str(out)]
    assert main([*command, "--adapters", "gallop"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["clips"] == 4 and set(answer["systems"]) == {"gallop", "still"}
    assert answer["systems"]["gallop"]["motion"]["count"] == 2
    page, table = (out / "index.html").read_text(), (out / "table.md").read_text()
    assert "<script>alert" not in page + table and "&lt;script&gt;alert" in page
    assert page.count("<video") == 4 and 'src="clips/gallop/horse-02-0.mp4"' in page
    assert "First frame repeated" in table and "A still (the first frame repeated) would win" in table
    assert (out / "plots" / "motion.png").stat().st_size > 5000
    (tmp_path / "empty").mkdir()
    assert main([*command, "--clips", f"theirs={tmp_path / 'empty'}"]) == 2
    said = capsys.readouterr().err
    assert "There is no clip to measure. theirs: no figures" in said and "will no longer have gallop" in said
    assert len(read_results(out).clips) == 4 and (out / "table.md").read_text() == table, "the report before stays"


@pytest.mark.parametrize(
    "options, sentence",
    [
        (["--systems", "best"], "There is no system 'best'"),
        (["--clips", "theirs"], "--clips needs NAME=DIR"),
        (["--systems", "default,default"], "Two systems are called 'default'"),
        (["--adapters", "still"], "Two systems are called 'still'"),
        (["--prompts", "nowhere.txt"], "There are no prompts at nowhere.txt"),
        (["--prompts", "twice.txt"], "twice.txt has the prompt 'a red horse' twice"),
        (["--systems", "no-dpo"], "horse has no default adapter"),
        (["--seeds", "0"], "--seeds must be 1 or more"),
        (["--category", "cats"], "Argument --category: invalid choice: 'cats'"),
    ],
)
def test_bad_input_ends_with_a_sentence(
    options: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "twice.txt").write_text("a red horse\na blue horse\na red horse\n")
    assert main(["evaluate", "--category", "horse", "--out", str(tmp_path / "out"), *options]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1
    assert not (tmp_path / "out" / "results.json").exists()


def test_a_mark_that_some_editors_write_first_is_no_part_of_a_prompt(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("a red horse\n", encoding="utf-8-sig")
    assert [task.prompt for task in read_tasks(["horse"], tmp_path / "prompts.txt", 1)] == ["a red horse"]


def test_ten_prompts_of_each_category_are_shipped() -> None:
    from huvidpo.evaluation.prompts import SHIPPED_PROMPTS
    from huvidpo.pocket.practice_clips import vocabulary

    tasks = read_tasks(chosen_categories("all"), SHIPPED_PROMPTS, seeds=2)
    assert len(tasks) == 8 * 10 * 2 and len({(task.prompt_id, task.seed) for task in tasks}) == 160
    words = set(" ".join(task.prompt for task in tasks).replace(",", "").split())
    assert words <= set(vocabulary()), "pocket knows them all"


def test_as_many_clips_at_once_as_the_backbone_says(evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three systems with two tasks each: three batches of two, or six of one."""
    assert len(evaluation.batches()) == 3
    single = dataclasses.replace(evaluation.backbone.preset, clips_at_once=1)
    monkeypatch.setattr(evaluation.backbone, "preset", single)
    assert len(evaluation.batches()) == 6


@pytest.mark.slow
def test_what_cannot_be_made_any_more_leaves_no_figures(evaluation: Evaluation, moving_adapter: Adapter) -> None:
    """An adapter whose weights have become another network's: its old clips would pass for the new ones."""
    evaluation.contestants = [GALLOP, STILL]
    assert len(run(evaluation)[0].clips) == 4
    save_file({"mid_block.strange": torch.zeros(2)}, moving_adapter.folder / MOTION_FILE)
    results, _ = run(evaluation)
    assert {clip.system for clip in results.clips} == {"still"}
    assert "Adapter gallop: no figures for horse-01-0, horse-02-0." in results.problems[0]
    assert not list((evaluation.folder / "clips" / "gallop").glob("*.mp4"))


@pytest.mark.slow
def test_a_lack_of_memory_is_one_system_s_problem(evaluation: Evaluation) -> None:
    """Raised where a GPU raises it, in the network; stills need no network."""
    evaluation.contestants = [BARE, STILL]

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    hook = evaluation.backbone.video.unet.register_forward_pre_hook(full)
    try:
        results, _ = run(evaluation)
    finally:
        hook.remove()
    assert [clip.system for clip in results.clips] == ["still", "still"]
    assert len(results.problems) == 1 and "The GPU ran out of memory in the memory mode 'all'" in results.problems[0]


@pytest.mark.slow
def test_first_frames_that_cannot_be_read_or_drawn(evaluation: Evaluation) -> None:
    """A picture that was cut off is drawn again; one that cannot be drawn is said, and the rest goes on."""
    evaluation.contestants = [STILL]
    run(evaluation)
    cut, whole = (evaluation.first_frame_path("dpo", task) for task in TASKS)
    pixels = read_image(cut).tobytes()
    cut.write_bytes(cut.read_bytes()[:300])
    assert len(run(evaluation)[0].clips) == 2 and read_image(cut).tobytes() == pixels
    cut.unlink()

    def broken(*_: object) -> None:
        raise RuntimeError("cuDNN error")

    hook = evaluation.backbone.first_frames["base"].unet.register_forward_pre_hook(broken)
    try:
        results, _ = run(evaluation)
    finally:
        hook.remove()
    assert [clip.prompt_id for clip in results.clips] == ["horse-02"] and whole.is_file()
    (said,) = results.problems
    assert said == "First frame repeated: no figures for horse-01-0. It ended with RuntimeError: cuDNN error"
    settings = results.settings
    assert {"transformers", "scikit-image", "torch", "judge.weights"} <= set(settings)
    assert (settings["device"], settings["dtype"]) == ("cpu", "float32")
