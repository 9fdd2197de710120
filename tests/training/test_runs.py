"""What names a run and what its card says: real clips, layers, weights, and numbers that were not measured."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from huvidpo.backbones import LoadedBackbone
from huvidpo.preferences.pairs import TrainingPair, TrainingSet
from huvidpo.training.examples import Encoded
from huvidpo.training.preference_settings import preset_settings
from huvidpo.training.reference import TARGETS
from huvidpo.training.runs import RunPlan, last_numbers, run_card, train_plan
from huvidpo.training.strength import Strength
from tests.training.test_examples import write_moving


@pytest.fixture
def plan(tmp_path: Path) -> RunPlan:
    """IPO with one real clip, whose bytes nobody decodes here."""
    (tmp_path / "real.mp4").write_bytes(b"one")
    examples = TrainingSet((TrainingPair(tmp_path / "a.mp4", tmp_path / "b.mp4", ""),), sources_sha256="s")
    real = ((tmp_path / "real.mp4", "a horse"),)
    return RunPlan(
        "horse", "recommended", preset_settings("recommended", "ipo"), examples, None, tmp_path, tmp_path / "out", real
    )


def test_real_clips_name_a_run(plan: RunPlan, tmp_path: Path) -> None:
    """Bytes and prompts, not places; without any the name is as it was before they counted."""
    (clip, prompt), first = plan.real[0], plan.identity()
    (tmp_path / "moved.mp4").write_bytes(clip.read_bytes())
    assert replace(plan, real=((tmp_path / "moved.mp4", prompt),)).identity() == first
    assert replace(plan, real=((clip, "a red horse"),)).identity() != first
    clip.write_bytes(b"two")
    assert plan.identity() != first
    assert replace(plan, real=()).identity() == "s 0 none"


def test_the_card_says_what_was_taught_to_which_layers_of_which_weights(
    backbone: LoadedBackbone, plan: RunPlan
) -> None:
    card = run_card(backbone, plan, Strength(1.0, -1.0))
    assert card["real_clips"] == 1 and len(card["real_sha256"]) == 64
    assert card["target_modules"] == list(TARGETS)
    assert card["backbone_revision"] == backbone.revision() and len(backbone.revision()) == 16
    full = replace(backbone, preset=replace(backbone.preset, name="sd14"))
    assert len(full.revision()) == 40, "a commit"
    json.dumps(card, allow_nan=False)


def test_last_numbers_are_means_of_what_was_measured() -> None:
    """The last tenth of 20 rows are two, of which one had winners, and none had losers."""
    row = {"loss": 1.0, "margin": 0.0, "accuracy": 0.5, "winner_drift": None, "loser_drift": None}
    found = last_numbers([row] * 19 + [row | {"loss": 2.0, "winner_drift": 0.25}])
    assert (found["final_loss"], found["final_winner_drift"], found["final_loser_drift"]) == (1.5, 0.25, None)


def test_a_slice_ends_between_clips_that_are_encoded(backbone: LoadedBackbone, tmp_path: Path) -> None:
    """Without any time: a clip in each of the first two, which are not read again, and then a step."""
    a, b = (write_moving(tmp_path / f"{name}.mp4", 16, seed) for seed, name in enumerate("ab"))
    examples = TrainingSet((TrainingPair(a, b, "a red horse"),), sources_sha256="s")
    settings = preset_settings("recommended", "dpo")
    plan = RunPlan("horse", "recommended", settings, examples, None, tmp_path / "work", tmp_path / "out")
    slices = [list(train_plan(backbone, plan, 0.0)) for _ in range(3)]
    assert slices[:2] == [[Encoded(1, 2)], [Encoded(2, 2)]]
    assert [record.step for record in slices[2]] == [1]


def test_pairs_without_room_say_how_to_learn_in_half_of_the_memory(backbone: LoadedBackbone, tmp_path: Path) -> None:
    """Raised where a GPU raises it, in the network. One by one there is no such way out: a lower memory mode is."""
    a, b = (write_moving(tmp_path / f"{name}.mp4", 16, seed) for seed, name in enumerate("ab"))
    examples = TrainingSet((TrainingPair(a, b, "a red horse"),), sources_sha256="s")
    settings = preset_settings("recommended", "dpo")
    plan = RunPlan("horse", "recommended", settings, examples, None, tmp_path / "work", tmp_path / "out")

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    hook = backbone.video.unet.register_forward_pre_hook(full)
    try:
        with pytest.raises(ValueError, match="--members apart"):
            list(train_plan(backbone, plan))
        with pytest.raises(ValueError, match="in the memory mode 'all'"):
            list(train_plan(backbone, replace(plan, settings=replace(settings, members="apart"))))
    finally:
        hook.remove()
