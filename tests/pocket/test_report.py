"""The report: its measures by hand, its pictures as the page makes them, its sections on a small `pocket`."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from huvidpo import adapters
from huvidpo.adapters import find_adapter
from huvidpo.backbones import LoadedBackbone
from huvidpo.candidates import promote
from huvidpo.evaluation.estimates import Estimate, mean, ratio, share, written
from huvidpo.pocket.judge import Judge, load_judge
from huvidpo.pocket.practice_clips import ACTIONS, combination, held_out_combinations, render_clip, sample_scene
from huvidpo.pocket.practice_data import TRAINING_SEEDS
from huvidpo.pocket.report import few_shot
from huvidpo.pocket.report.__main__ import COUNTS, main
from huvidpo.pocket.report.ablations import changed, guidance_section
from huvidpo.pocket.report.measures import amount_of_motion, colour_drift, grid_strength, sharpness
from huvidpo.pocket.report.of_clips import Continued, clip_columns
from huvidpo.pocket.report.sections import SECTIONS, settings
from huvidpo.pocket.report.sheet import grid
from huvidpo.pocket.report.studio import SHIPPED, Studio, Variant, shipped_adapter
from huvidpo.pocket.report.tables import Table, by_action, held_out_scenes, scenes_of
from huvidpo.requests import ClipRequest, FirstFrameRequest
from huvidpo.takes import make_clip, make_first_frame
from huvidpo.training.motion_settings import MotionSettings
from huvidpo.video import read_frames


@pytest.fixture(scope="module")
def judge() -> Judge:
    return load_judge()


@pytest.fixture
def studio(backbone: LoadedBackbone, tmp_path: Path) -> Studio:
    return Studio(backbone, tmp_path / "work")


def grey_clip(*levels: int) -> np.ndarray:
    """Frames of one grey each, uint8 (f 16 16 3)."""
    return np.stack([np.full((16, 16, 3), level, np.uint8) for level in levels])


def test_a_share_comes_with_wilsons_interval():
    """8 of 10, z = 1.96: (0.8 + z^2/20 -+ z * sqrt(0.8 * 0.2 / 10 + z^2/400)) / (1 + z^2/10) = 0.4902, 0.9433."""
    eight = share([True] * 8 + [False] * 2)
    assert (eight.value, eight.count) == (80, 10)
    assert (eight.low, eight.high) == (pytest.approx(49.02, abs=0.01), pytest.approx(94.33, abs=0.01))
    assert share([True] * 20).high == 100 and share([True] * 20).low == pytest.approx(83.89, abs=0.01)


def test_a_mean_and_a_ratio_of_means_with_their_intervals():
    """(2 + 4) / (1 + 3) = 1.5; the bootstrap of 0..99 lies within 1.96 * 28.9 / 10 = 5.7 of 49.5."""
    assert ratio([2, 4], [1, 3]).value == 1.5
    many = mean(range(100))
    assert many.value == 49.5 and (many.low, many.high) == (pytest.approx(43.8, abs=1), pytest.approx(55.2, abs=1))
    assert mean([3, 3, 3]) == Estimate(3, 3, 3, 3) and mean([7]) == Estimate(7, None, None, 1)
    for empty in (mean, share):
        with pytest.raises(ValueError, match="at least one"):
            empty([])


def test_measures_by_hand():
    """Grey 0, 51, 0 changes by 51 twice."""
    assert amount_of_motion(grey_clip(0, 51, 0)) == pytest.approx(51)
    assert colour_drift(grey_clip(80, 200, 80)) == 0
    assert colour_drift(grey_clip(0, 255)) == pytest.approx(100, abs=0.1)  # from L = 0 to L = 100
    assert sharpness(grey_clip(100)[0]) == 0
    dot = np.zeros((16, 16, 3), np.uint8)
    dot[8, 8] = 255  # 4 in the middle, 1 at each of four neighbours: 8 over 256 pixels
    assert sharpness(dot) == pytest.approx(255 * 8 / 256)


def test_a_grid_of_patches_is_seen():
    """Errors that are constant in a patch change at its borders only; those of noise change everywhere alike."""
    rng, true = np.random.default_rng(0), np.full((64, 64, 3), 128, np.uint8)
    patches = np.repeat(np.repeat(rng.integers(-20, 20, (8, 8)), 8, 0), 8, 1)
    noise = rng.integers(-20, 20, (64, 64))
    assert grid_strength((true + patches[..., None]).astype(np.uint8), true) > 100
    assert grid_strength((true + noise[..., None]).astype(np.uint8), true) == pytest.approx(1, abs=0.1)


def test_scenes_are_of_unseen_seeds_and_of_the_combinations_they_should_be():
    known, held_out = scenes_of(TRAINING_SEEDS, 64), held_out_scenes(TRAINING_SEEDS, 60)
    assert [scene.action for scene in known[:8]] == list(ACTIONS)
    assert min(scene.seed for scene in known + held_out) >= TRAINING_SEEDS
    assert not {combination(scene) for scene in known} & held_out_combinations()
    assert {combination(scene) for scene in held_out} == held_out_combinations()


def test_rows_by_action_hold_each_scene_twice():
    rows = by_action(scenes_of(TRAINING_SEEDS, 20), lambda chosen: {"n": mean(chosen)})
    assert rows["all"]["n"].count == 20 and [rows[action]["n"].count for action in ACTIONS] == [3] * 4 + [2] * 4


def test_a_table_as_text():
    rows = {"all": {"a, %": Estimate(97.25, 95.5, 98.4, 512)}, "one": {"b": Estimate(0.5, None, None, 1)}}
    text = Table("Title", "How.", rows, "95 %").to_text()
    assert text.splitlines()[:3] == ["Title", "  How.", "  aim: 95 %"]
    assert "97.2 [95.5, 98.4]" in text and "0.50 [?, ?]" in text and text.splitlines()[4].endswith("512")
    assert written(Estimate(-3, -4, -2, 9)) == "-3.00 [-4.00, -2.00]"


@pytest.mark.slow
def test_pictures_are_those_of_the_page_and_made_once(studio, moving_adapter):
    """The same first frame and clip as from `takes`; the second time they are read, the model is not asked."""
    prompt = "a red horse runs on the beach"
    *_, frame = make_first_frame(studio.backbone, FirstFrameRequest(prompt, seed=3))
    first = studio.first_frame(prompt, seed=3)
    assert np.array_equal(first, np.asarray(frame.image))
    request = ClipRequest(prompt, "horse", adapter="gallop", seed=3, attention="first")
    *_, clip = make_clip(studio.backbone, frame.image, request)
    variant = Variant(attention="first", adapter=str(moving_adapter.folder))
    made = studio.clip(first, prompt, "horse", 3, variant)
    assert np.array_equal(made, clip.frames)
    assert not np.array_equal(made, studio.clip(first, prompt, "horse", 3))  # without the adapter
    unable = Studio(LoadedBackbone(studio.backbone.preset, "cpu", studio.backbone.video, {}, {}), studio.folder)
    assert np.array_equal(unable.first_frame(prompt, seed=3), first)
    assert np.array_equal(unable.clip(first, prompt, "horse", 3, variant), made)


@pytest.mark.slow
def test_new_weights_make_new_pictures(studio):
    first = studio.first_frame("a red horse", seed=1)
    studio.weights = "others"
    studio.first_frame("a red horse", seed=1)
    assert len(list(studio.folder.glob("*.npz"))) == 2
    assert np.array_equal(studio.first_frame("a red horse", seed=1), first)


@pytest.mark.slow
def test_a_frozen_clip_does_not_pass(studio, judge):
    """Against the true clip: no motion, no action, though sharp, true in colour and to its first frame."""
    scenes = [sample_scene(TRAINING_SEEDS + i, action=action) for i, action in enumerate(ACTIONS)]
    clips = [render_clip(scene) for scene in scenes]
    frozen = [
        Continued(scene, "a horse", clip[0], np.repeat(clip[:1], 16, axis=0), clip)
        for scene, clip in zip(scenes, clips, strict=True)
    ]
    columns = clip_columns(studio, judge, frozen)([*range(len(ACTIONS))])
    assert columns["action from motion, %"].value == columns["motion, x"].value == 0
    assert columns["sharpness last/first, x"].value == 1 and columns["colour drift, Delta E"].value == 0
    assert columns["same colour at end, %"].value == columns["frame 0 PSNR, dB"].value == 100


@pytest.mark.slow
def test_the_default_is_a_row_of_every_ablation(studio, judge, monkeypatch):
    monkeypatch.setattr("huvidpo.pocket.report.ablations.GUIDANCES", (2.5, SHIPPED.recipe.guidance))
    (table,) = guidance_section(studio, judge, 1)
    assert [row.endswith(" (default)") for row in table.rows] == [False, True]
    assert changed() == Variant() and changed(steps=3).recipe.steps == 3


@pytest.mark.slow
def test_the_few_shot_curve_trains_each_run_once(studio, judge, monkeypatch):
    monkeypatch.setattr(few_shot, "CLIPS", (1,))
    monkeypatch.setattr(few_shot, "STEPS", (1, 2))
    monkeypatch.setattr(few_shot, "START", MotionSettings(clips_per_step=1))
    (table,) = few_shot.few_shot_section(studio, judge, 1)
    assert list(table.rows) == ["1 clips, 1 steps", "1 clips, 2 steps"]
    cards = sorted(studio.folder.glob("few-shot/*/*/card.json"))
    written_at = [card.stat().st_mtime_ns for card in cards]
    assert [json.loads(card.read_text())["steps"] for card in cards] == [1, 2]
    few_shot.few_shot_section(studio, judge, 1)
    assert [card.stat().st_mtime_ns for card in cards] == written_at


@pytest.mark.slow
def test_sections_print_tables_and_gather_in_a_file(own_home, tmp_path, capsys):
    file, work = tmp_path / "report.json", ["--work", str(tmp_path / "work")]
    assert main(["autoencoder", "held-out", "--count", "2", "--json", str(file), *work]) == 0
    out = capsys.readouterr().out
    assert out.startswith("settings: {") and "held-out combinations" in out and "aim: all four right in 85 %" in out
    assert main(["autoencoder", "dpo", "--count", "3", "--json", str(file), *work]) == 0
    report = json.loads(file.read_text())
    assert list(report) == ["autoencoder", "held-out", "dpo"]
    figure = report["autoencoder"]["tables"][0]["rows"]["practice frames"]["PSNR, dB"]
    assert figure["count"] == 3 and figure["low"] <= figure["value"] <= figure["high"]
    right = report["dpo"]["tables"][1]["rows"]["dpo"]["more all four right, %"]
    assert right["low"] < right["value"] < right["high"], "three pairs make nothing certain, alike as they may be"
    assert report["dpo"]["settings"]["clips"]["steps"] == SHIPPED.recipe.steps


@pytest.mark.slow
def test_figures_are_of_what_ships_and_not_of_what_was_promoted_here(studio, moving_adapter, own_home):
    """Nothing ships beside the small `pocket`; then the adapter does, which is named in the settings."""
    promote(moving_adapter)
    assert find_adapter("pocket", "horse", "").name == "gallop"
    assert shipped_adapter("pocket", "horse") is None and settings(studio)["adapters"]["horse"] == "none"
    image = render_clip(sample_scene(3, action="horse"))[0]
    still = studio.clip(image, "a red horse", "horse", 3)
    shutil.copytree(moving_adapter.folder, adapters.SHIPPED / "pocket" / "horse" / "motion")
    card = adapters.SHIPPED / "pocket" / "horse" / "motion" / "card.json"
    card.write_text(card.read_text().replace("candidate", "default"))
    assert settings(studio)["adapters"] == dict.fromkeys(ACTIONS, "none") | {"horse": moving_adapter.revision()}
    assert not np.array_equal(studio.clip(image, "a red horse", "horse", 3), still)


@pytest.mark.slow
def test_what_goes_wrong_is_not_left_out(own_home, tmp_path, capsys, monkeypatch):
    """Of all sections two, here: one that the weights cannot give is passed over, broken pictures end the report."""
    monkeypatch.setattr("huvidpo.pocket.report.__main__.COUNTS", {"dpo": 1, "held-out": 1})
    shutil.copytree(os.environ["HUVIDPO_POCKET_WEIGHTS"], tmp_path / "weights")
    shutil.rmtree(tmp_path / "weights" / "dpo")
    monkeypatch.setenv("HUVIDPO_POCKET_WEIGHTS", str(tmp_path / "weights"))
    work = ["--work", str(tmp_path / "work")]
    assert main(work) == 0 and "dpo is left out. These weights have no dpo first frames" in capsys.readouterr().out
    (kept,) = (tmp_path / "work").glob("*.npz")
    kept.write_bytes(b"cut off")
    assert main(work) == 2
    shutil.rmtree(tmp_path / "work")
    (tmp_path / "work").write_text("a file where the folder should be")
    assert main(work) == 2 and capsys.readouterr().err.count("\n") >= 1


@pytest.mark.slow
def test_the_contact_sheet_has_a_row_for_each_action(own_home, tmp_path, capsys):
    assert main(["contact-sheet", "--count", "1", "--work", str(tmp_path / "work"), "--out", str(tmp_path)]) == 0
    assert Image.open(tmp_path / "first_frames.png").size == (130, 8 * 130)
    assert read_frames(tmp_path / "clips.gif")[0].shape == (16, 8 * 130, 130, 3)
    assert np.array_equal(grid([grey_clip(1), grey_clip(2)], rows=1)[0, :16, :, 0].max(axis=0)[[0, 18]], [1, 2])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["quality"], "There is no section 'quality'; choose from: judge, autoencoder, "),
        (["judge", "--count", "0"], "The count must be at least 1, not 0."),
        (["judge", "--json", "nowhere/report.json"], "Could not write nowhere/report.json: there is no folder"),
        (["judge", "--json", __file__], "holds no report: choose another file."),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(own_home, capsys, arguments, sentence):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and sentence in err


def test_every_section_has_a_count():
    assert {*SECTIONS, "contact-sheet"} == set(COUNTS)
