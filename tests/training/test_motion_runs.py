"""A category's motion from clips to an adapter, as a program learns it. A small real `pocket`."""

from pathlib import Path

import pytest

from huvidpo.adapters import Adapter, find_adapter
from huvidpo.backbones import LoadedBackbone
from huvidpo.home import home
from huvidpo.pocket.practice_clips import render_clip, sample_scene
from huvidpo.training.clips import TrainingClip
from huvidpo.training.loop import StepRecord
from huvidpo.training.motion_runs import new_folder, train_category
from huvidpo.training.motion_settings import MotionSettings


@pytest.mark.slow
def test_steps_and_at_last_the_adapter_which_is_the_default(backbone: LoadedBackbone) -> None:
    clips = [TrainingClip("0.mp4", render_clip(sample_scene(0, action="horse"), 16), "a red horse runs", 8)]
    out = new_folder("pocket", "horse")
    assert out == home() / "adapters/pocket/horse/motion-1"
    *steps, saved = train_category(backbone, "horse", clips, MotionSettings(steps=2), out)
    assert all(isinstance(step, StepRecord) for step in steps) and len(steps) == 2 and isinstance(saved, Adapter)
    assert find_adapter("pocket", "horse", "").folder == out
    assert (saved.card["start"], saved.card["steps"], saved.card["clips"]) == ("none", 2, ["0.mp4"])
    (again,) = train_category(backbone, "horse", clips, MotionSettings(steps=2), out)
    assert again.card["final_loss"] is None, "the run was over: there was nothing to learn"
    assert new_folder("pocket", "horse") == Path(out.with_name("motion-2"))
