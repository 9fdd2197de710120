"""Who waits for the model is told for what, and about how long."""

import pytest

from huvidpo.requests import FirstFrameRequest
from huvidpo.ui.jobs import Job, MakeTakes, TrainSlice
from huvidpo.ui.making import WAITING
from huvidpo.ui.turns import CountedRun

CLIP = MakeTakes(FirstFrameRequest("a red horse"))


def steps(job: Job):
    yield from range(3)


def test_who_waits_behind_a_training_is_told_how_long():
    run = CountedRun(steps)
    assert run.waiting() == WAITING and run.waiting("Getting ready …") == "Getting ready …"
    slice_ = run(TrainSlice(None, 45))
    next(slice_)
    assert "adapter is being trained. That makes way within about 45 s, or once it is paused" in run.waiting()
    assert run.waiting("Getting ready …") == run.waiting()
    queued = run(CLIP)
    next(queued)
    assert "adapter is being trained" in run.waiting(), "the third one waits for the same"
    assert list(slice_) == [1, 2] and run.waiting() == WAITING, "between two slices it is anybody's turn"
    clip = run(CLIP)
    next(clip)
    assert run.waiting() == WAITING


@pytest.mark.parametrize("seconds", [0, -20])
def test_a_slice_that_is_over_its_time_ends_its_step(seconds):
    run = CountedRun(steps)
    slice_ = run(TrainSlice(None, seconds))
    next(slice_)
    assert "within about 5 s" in run.waiting()


def test_nobody_waits_where_everybody_gets_a_worker():
    run = CountedRun(steps, one_at_a_time=False)
    slice_ = run(TrainSlice(None, 45))
    next(slice_)
    assert run.waiting() == WAITING
