"""Finished clips of others in an evaluation: what is taken over, shown, measured, and what goes when it is gone."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from huvidpo.backbones import LoadedBackbone
from huvidpo.evaluation.contestants import STILL, Contestant
from huvidpo.evaluation.judges import Vision
from huvidpo.evaluation.prompts import Task
from huvidpo.evaluation.report import page
from huvidpo.evaluation.results import Results
from huvidpo.evaluation.study import create_study
from huvidpo.evaluation.suite import Evaluation
from huvidpo.evaluation.systems import image_digest
from huvidpo.images import read_image, write_png
from huvidpo.video import read_frames, write_gif, write_mp4
from tests.evaluation.test_suite import PLAIN, TASKS, run
from tests.ui.planted import drawn_clip

ONE = TASKS[:1]


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A folder with the clip of the first task."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    write_mp4(drawn_clip(1, 8), folder / "horse-01-0.mp4", 8)
    return folder


def compared(backbone: LoadedBackbone, theirs: Path, tasks: list[Task] = ONE, vision: Vision = PLAIN) -> Evaluation:
    """The folder and its own still; no model is asked."""
    contestants = [Contestant("theirs", "Theirs", clips=str(theirs)), STILL]
    return Evaluation(backbone, vision, contestants, tasks, theirs.parent / "out")


def named(results: Results, system: str) -> list[str]:
    return [clip.file for clip in results.clips if clip.system == system]


@pytest.mark.parametrize("broken", [True, False])
def test_a_clip_that_is_gone_leaves_no_figures(backbone, theirs: Path, broken: bool) -> None:
    evaluation = compared(backbone, theirs)
    assert named(run(evaluation)[0], "theirs") == ["clips/theirs/horse-01-0.mp4"]
    source = theirs / "horse-01-0.mp4"
    source.write_bytes(b"no video") if broken else source.unlink()
    results, _ = run(evaluation)
    assert results.clips == () and "Theirs: no figures for horse-01-0." in results.problems[0]
    assert not list((evaluation.folder / "clips").rglob("*.mp4"))


def test_a_clip_with_another_suffix_takes_the_place_of_the_old_one(backbone, theirs: Path) -> None:
    """An mp4 that stands still becomes a GIF that moves; the page and a study show an mp4 of it."""
    evaluation, frames = compared(backbone, theirs), drawn_clip(2, 8)
    write_mp4(np.repeat(frames[:1], 8, axis=0), theirs / "horse-01-0.mp4", 8)
    assert run(evaluation)[0].clips[0].metrics["still"] == 100
    (theirs / "horse-01-0.mp4").unlink()
    write_gif(frames, theirs / "horse-01-0.gif", 8)
    results, _ = run(evaluation)
    (clip,) = (clip for clip in results.clips if clip.system == "theirs")
    assert clip.metrics["still"] == 0 and clip.file == "clips/theirs/horse-01-0.shown.mp4"
    assert not (evaluation.folder / "clips/theirs/horse-01-0.mp4").exists()
    shown, fps = read_frames(evaluation.folder / clip.file)
    assert np.abs(shown[0].astype(int) - frames[0]).mean() < 6 and (len(shown), fps) == (8, 8)
    assert f'<video src="{clip.file}"' in page(results)
    before = (evaluation.folder / clip.file).stat().st_mtime_ns
    assert run(evaluation)[0].clips == results.clips
    assert (evaluation.folder / clip.file).stat().st_mtime_ns == before, "what is there is kept"
    files = {one.system: evaluation.folder / one.file for one in results.clips}
    study, problems = create_study(theirs.parent / "home", "first", {clip.prompt: files})
    assert study.systems == ["theirs", "still"] and problems == []


def test_folders_alone_are_held_against_their_own_first_frame(backbone, theirs: Path) -> None:
    """Nothing is drawn; the still row repeats frame 0 of the first folder's clip, as many frames as it has."""
    write_mp4(drawn_clip(1, 12), theirs / "horse-01-0.mp4", 8)
    evaluation = compared(backbone, theirs)
    results, _ = run(evaluation)
    assert not (evaluation.folder / "first_frames").exists()
    still, _ = read_frames(evaluation.folder / named(results, "still")[0])
    own, _ = read_frames(theirs / "horse-01-0.mp4")
    assert len(still) == 12 and np.abs(still[-1].astype(int) - own[0]).mean() < 4
    assert results.problems == ()


@pytest.mark.slow
def test_fidelity_is_to_a_first_frame_that_the_clip_says_it_continues(backbone, theirs: Path) -> None:
    """One clip names our picture of its task, the other does not: only the first has figures of fidelity."""
    evaluation = compared(backbone, theirs, TASKS)
    frames = drawn_clip(3, 8)
    for task in TASKS:
        path = evaluation.first_frame_path(backbone.preset.first_frame_models[0], task)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(Image.fromarray(frames[0]), path, {})
    claim = {"first_frame_sha256": image_digest(read_image(path).convert("RGB"))}
    write_mp4(frames, theirs / "horse-01-0.mp4", 8, claim)
    write_mp4(frames, theirs / "horse-02-0.mp4", 8)
    results, _ = run(evaluation)
    says, says_not = (clip.metrics for clip in results.clips if clip.system == "theirs")
    assert says["first_frame_psnr"] > 30 and "image_fidelity" in says
    assert not {"first_frame_psnr", "image_fidelity"} & set(says_not)
    evaluation.first_frame_path(backbone.preset.first_frame_models[0], TASKS[0]).unlink()
    assert "first_frame_psnr" not in run(evaluation)[0].clips[0].metrics, "measured anew without it"


def test_another_frame_rate_is_said(backbone, theirs: Path) -> None:
    """A GIF of 8 frames a second counts in hundredths and is none."""
    write_mp4(drawn_clip(1, 8), theirs / "horse-01-0.mp4", 24)
    write_gif(drawn_clip(1, 5), theirs / "horse-02-0.gif", 8)
    results, _ = run(compared(backbone, theirs, TASKS))
    (said,) = (problem for problem in results.problems if "a second" in problem)
    assert "Theirs: 1 clips have 24 frames a second and not 8" in said


@pytest.mark.parametrize("change", ["judge", "category"])
def test_figures_of_other_weights_or_another_action_are_measured_anew(backbone, theirs: Path, change: str) -> None:
    """A judge that sees horses everywhere; then one of other weights that sees rain, or a clip that should be rain."""
    vision = dataclasses.replace(PLAIN, action=lambda frames: "horse", weights="a")
    assert run(compared(backbone, theirs, vision=vision))[0].clips[0].metrics["action_seen"] == 100
    tasks = [dataclasses.replace(ONE[0], category="rain")] if change == "category" else ONE
    if change == "judge":
        vision = dataclasses.replace(vision, action=lambda frames: "rain", weights="b")
    assert run(compared(backbone, theirs, tasks, vision))[0].clips[0].metrics["action_seen"] == 0


@pytest.mark.slow
def test_a_judge_that_breaks_costs_one_clip_its_figures(backbone, theirs: Path) -> None:
    """Frames of 64 pixels end with a library's error, those of 32 without memory; the third is measured."""
    write_mp4(drawn_clip(4, 8)[:, :32, :32], theirs / "horse-02-0.mp4", 8)
    write_mp4(drawn_clip(4, 8)[:, :48, :48], theirs / "horse-03-0.mp4", 8)

    def fragile(frames: np.ndarray) -> np.ndarray:
        if frames.shape[1] == 64:
            raise RuntimeError("CUDA error: an illegal address\nand a long trace")
        if frames.shape[1] == 32:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return PLAIN.subject(frames)

    tasks = [*TASKS, dataclasses.replace(TASKS[0], prompt_id="horse-03")]
    results, _ = run(compared(backbone, theirs, tasks, dataclasses.replace(PLAIN, subject=fragile)))
    assert [clip.prompt_id for clip in results.clips] == ["horse-03", "horse-03"]
    said = "\n".join(results.problems)
    assert "Theirs: no figures for horse-01-0. It ended with RuntimeError: CUDA error: an illegal address" in said
    assert "Theirs: no figures for horse-02-0. The GPU ran out of memory" in said and "long trace" not in said
    assert len(run(compared(backbone, theirs, tasks))[0].clips) == 6, "and measured when it can be"
