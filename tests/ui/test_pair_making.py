"""Pairs made now and pairs made ahead, with the small untrained model."""

import json
import threading
import time
from dataclasses import replace

import gradio as gr
import pytest

import app
from huvidpo import adapters
from huvidpo.candidates import promote
from huvidpo.home import home
from huvidpo.preferences.records import Rating, new_id, new_pair
from huvidpo.preferences.store import RatingStore
from huvidpo.presets import BACKBONES
from huvidpo.requests import FirstFrameRequest
from huvidpo.ui.jobs import MakeTakes
from huvidpo.ui.pair_making import MAKE_ONE, ON_THE_WAY, Filler, make_pair
from huvidpo.ui.turns import CountedRun
from huvidpo.video import read_frames
from tests.ui.planted import plant_pair
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


@pytest.fixture
def idle(store, pocket, monkeypatch):
    """A filler whose thread does not begin, and whose model refuses everybody."""
    monkeypatch.setattr(threading.Thread, "start", lambda thread: None)

    def refuse(job):
        raise ValueError("no more memory")
        yield

    return Filler(CountedRun(refuse), store, pocket, ahead=3)


def teach(*actions: str, backbone: str = "pocket") -> None:
    """A default adapter for each action, known by its card."""
    for action in actions:
        card = {"backbone": backbone, "category": action, "kind": "motion", "status": "default"}
        folder = home() / "adapters" / backbone / action / "motion"
        folder.mkdir(parents=True)
        (folder / "card.json").write_text(json.dumps(card))


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
def test_the_filler_makes_as_many_pairs_as_are_missing_and_no_more(visitors, store, pocket, moving_adapter):
    """Of the one action that something has taught."""
    promote(moving_adapter)
    runs = []

    def counted(job):
        runs.append(job)
        yield from visitors.run(job)

    filler = Filler(CountedRun(counted), store, pocket, ahead=1)
    time.sleep(0.3)
    assert runs == [], "nobody is rating yet"
    assert filler.hope() == ON_THE_WAY
    until(store.pairs)
    assert filler.hope() == MAKE_ONE, "none is missing"
    until(lambda: not filler._needed.is_set())
    time.sleep(0.3)  # one too many would have begun
    (pair,) = store.pairs()
    assert (pair.origin, pair.category, pair.a.adapter) == ("queue", "horse", "gallop")
    assert [len(job.clips) for job in runs] == [2]


def test_the_filler_gives_way_to_a_visitor(visitors, store, pocket):
    filler = Filler(visitors, store, pocket, ahead=1)
    run = visitors(MakeTakes(FirstFrameRequest(PROMPT, steps=2)))
    next(run)
    assert visitors.active == 1 and pocket.lock.locked()
    assert not filler._make_one("horse"), "it does not even wait for the model"
    run.close()
    until(lambda: not visitors.active)  # it ends on a thread of its own
    assert store.pairs() == [] and not pocket.lock.locked()


def test_the_filler_downloads_nothing(idle, pocket, monkeypatch):
    """The 12 GB of a first-frame model come when a visitor, who has read of them, asks for a first frame."""
    teach("horse")
    teach("horse", backbone="sd14")
    assert idle.hope("horse") == ON_THE_WAY
    monkeypatch.setattr(pocket, "preset", BACKBONES["sd14"])
    monkeypatch.setattr("huvidpo.hub_models.constants.HF_HUB_CACHE", "/nowhere")
    assert pocket.missing_files("dpo") and not idle._lacking()
    assert "from a prompt below: that downloads 12.4 GB, and then more come by themselves" in idle.hope("horse")
    idle.ahead = 0
    assert idle.hope("horse") == MAKE_ONE, "none come by themselves"


def test_of_what_nothing_has_taught_no_pair_is_made_and_the_rater_is_told(idle):
    assert "Nothing has taught pocket an action yet" in idle.hope() == idle.hope("horse") and not idle._lacking()
    teach("rain")
    assert "how horse moves" in idle.hope("horse") and "choose another action" in idle.hope("horse")
    assert idle.hope() == idle.hope("rain") == ON_THE_WAY and idle._lacking() == ["rain", ""]


def test_pairs_of_another_action_or_backbone_are_no_pairs_of_the_one_that_is_asked_for(idle, store, tmp_path):
    teach("horse", "rain")
    rain = [plant_pair(store, tmp_path, number, category="rain") for number in range(3)]
    assert idle.hope() == idle.hope("rain") == MAKE_ONE and idle.hope("horse") == ON_THE_WAY
    for pair in rain:
        takes = [replace(take, backbone="sd14") for take in (pair.a, pair.b)]
        store.add_pair(new_pair(*takes, "elsewhere", "horse", "queue", "varied"))
    assert idle.hope("horse") == ON_THE_WAY
    store.append(Rating(new_id(), rain[0], "a", "a", "a" * 16))
    assert idle.hope("rain") == ON_THE_WAY


def test_of_several_raters_the_one_who_has_nothing_is_served_first(idle, store, tmp_path):
    """Of equals the last one who asked; an action whose pairs cannot be made keeps nobody waiting."""
    teach("horse", "rain", "birds")
    plant_pair(store, tmp_path, 0, category="rain")
    for action in ("horse", "birds", "rain", ""):
        idle.wake(action)
    assert idle._lacking() == ["birds", "horse", "", "rain"]
    plant_pair(store, tmp_path, 1, category="birds")
    assert idle._lacking() == ["horse", "rain", "birds", ""]
    assert not idle._make_one("horse") and idle._lacking() == ["rain", "birds", ""]
    idle.wake("horse")
    assert idle._lacking()[0] == "horse", "who waits asks again"
    idle.PATIENCE = 0
    assert idle._lacking() == []


def test_the_filler_outlives_what_nobody_thought_of(store, pocket, caplog):
    def broken(job):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
        yield

    assert not Filler(CountedRun(broken), store, pocket, ahead=1)._make_one("horse")
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
