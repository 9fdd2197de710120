"""Pairs made now and pairs made ahead, with the small untrained model."""

import threading
import time
from dataclasses import replace

import gradio as gr
import pytest

import app
from huvidpo import adapters
from huvidpo.preferences.store import RatingStore
from huvidpo.presets import BACKBONES
from huvidpo.requests import FirstFrameRequest
from huvidpo.ui.jobs import MakeTakes
from huvidpo.ui.pair_making import Filler, make_pair
from huvidpo.ui.turns import CountedRun
from huvidpo.video import read_frames
from tests.waiting import until

PROMPT = "a red horse runs on the beach"


@pytest.fixture(scope="module")
def visitors(pocket):
    return CountedRun(app.gpu_runner(pocket))


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(adapters, "SHIPPED", tmp_path / "shipped")  # the shipped ones fit the full size only
    store = RatingStore(tmp_path / "home")
    yield store
    store.close()


@pytest.mark.slow
def test_a_pair_has_one_first_frame_two_seeds_and_no_preview_that_takes_sides(visitors, store):
    *views, pair = make_pair(visitors, BACKBONES["pocket"], store, f" {PROMPT} ", "horse", "live")
    assert all(view.busy and view.preview is None and view.take is None for view in views)
    assert {view.text.split(":")[0] for view in views if view.total} == {"First frame", "Clip 1 of 2", "Clip 2 of 2"}
    assert store.pairs() == [pair] and (pair.prompt, pair.origin, pair.pairing) == (PROMPT, "live", "varied")
    assert pair.a.seed != pair.b.seed and {pair.a.guidance, pair.b.guidance} == {1.0, 2.5}
    assert pair.a.first_frame_sha256 == pair.b.first_frame_sha256 != ""
    for take in (pair.a, pair.b):
        assert len(read_frames(store.video_path(take.sha256))[0]) == take.num_frames == 16
    assert visitors.active == 0


@pytest.mark.parametrize("prompt, category", [("", "horse"), (PROMPT, "dragon")])
def test_a_pair_that_makes_no_sense_is_refused_before_anything_is_drawn(visitors, store, prompt, category):
    with pytest.raises((ValueError, gr.Error)):
        list(make_pair(visitors, BACKBONES["pocket"], store, prompt, category, "live"))
    assert store.pairs() == []


@pytest.mark.slow
def test_the_filler_makes_as_many_pairs_as_are_missing_and_no_more(visitors, store, pocket):
    runs = []

    def counted(job):
        runs.append(job)
        yield from visitors.run(job)

    filler = Filler(CountedRun(counted), store, pocket, ahead=1)
    time.sleep(0.3)
    assert runs == [], "nobody is rating yet"
    assert filler.wake()
    until(store.pairs)
    assert not filler.wake(), "none is missing"
    until(lambda: not filler._needed.is_set())
    time.sleep(0.3)  # one too many would have begun
    (pair,) = store.pairs()
    assert pair.origin == "queue" and [len(job.clips) for job in runs] == [2]


def test_the_filler_gives_way_to_a_visitor(visitors, store, pocket):
    filler = Filler(visitors, store, pocket, ahead=1)
    run = visitors(MakeTakes(FirstFrameRequest(PROMPT, steps=2)))
    next(run)
    assert visitors.active == 1 and pocket.lock.locked()
    assert not filler._make_one(), "it does not even wait for the model"
    run.close()
    until(lambda: not visitors.active)  # it ends on a thread of its own
    assert store.pairs() == [] and not pocket.lock.locked()


def test_the_filler_downloads_nothing(visitors, store, pocket, monkeypatch):
    """The 12 GB of a first-frame model come when a visitor, who has read of them, asks for a first frame."""
    filler = Filler(visitors, store, pocket, ahead=1)
    assert filler._missing()
    monkeypatch.setattr(pocket, "preset", replace(BACKBONES["sd14"], name="sd14"))
    monkeypatch.setattr("huvidpo.hub_models.constants.HF_HUB_CACHE", "/nowhere")
    assert pocket.missing_files("dpo") and not filler._missing() and not filler.wake()


def test_the_filler_outlives_what_nobody_thought_of(store, pocket, caplog):
    def broken(job):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
        yield

    assert not Filler(CountedRun(broken), store, pocket, ahead=1)._make_one()
    assert "illegal memory access" in caplog.text


def test_giving_up_does_not_wait_for_the_model(store):
    """Gradio closes a cancelled run where it answers everybody; the model ends its step meanwhile."""
    step = threading.Event()

    def slow(job):
        try:
            yield "a step"
        finally:
            step.wait(30)

    visitors = CountedRun(slow)
    run = visitors(MakeTakes(FirstFrameRequest(PROMPT)))
    next(run)
    run.close()
    assert visitors.active == 1, "closed, and still at work"
    step.set()
    until(lambda: not visitors.active)
