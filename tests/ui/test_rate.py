"""The tab Rate on the server: what cannot be shown is passed over, who signs in rates nothing twice, scores."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

import app
from huvidpo import adapters
from huvidpo.preferences.pusher import NoPusher
from huvidpo.preferences.records import Rating, TakeRecord, new_id, new_pair
from huvidpo.preferences.store import RatingStore
from huvidpo.ui.pair_making import MAKE_ONE, Filler
from huvidpo.ui.rate import RateTab
from huvidpo.ui.rate_layout import visitor_state
from huvidpo.ui.rate_sources import PairSources
from huvidpo.ui.turns import CountedRun
from tests.ui.planted import FPS, FRAMES, SETTINGS, SIZE, plant_pair
from tests.ui.sign_in import signed_in
from tests.ui.test_owner import asked_from

BROWSER = "0" * 32


@pytest.fixture
def store(own_home) -> RatingStore:
    store = RatingStore(own_home)
    yield store
    store.close()


@pytest.fixture
def sources(store: RatingStore, pocket) -> PairSources:
    """The tab with all of its controls; no model runs."""
    run = CountedRun(app.gpu_runner(pocket))
    with gr.Blocks() as page:
        visitor = visitor_state()
        with gr.Tabs():
            tab = RateTab(page, visitor, store, NoPusher(""), Filler(run, store, pocket, ahead=0))
            return PairSources(tab, pocket, run, {})


@pytest.fixture
def tab(sources: PairSources) -> RateTab:
    return sources.tab


def asked() -> gr.Request:
    return asked_from("192.0.2.5")


def prompt_on(tab: RateTab, profile: gr.OAuthProfile | None = None) -> str | None:
    """The prompt of the pair that a visitor sees now; None where the stage is empty."""
    player = tab.on_stage(BROWSER, asked(), profile)[tab.ui.player]
    return player["showing"] and player["showing"]["prompt"]


@pytest.mark.slow
def test_pairs_that_cannot_be_shown_are_passed_over_and_cost_nothing(tab, store, tmp_path: Path) -> None:
    """Forty answers a minute is the limit: fifty broken pairs and one of unequal clips leave all of them."""
    for number in range(50):
        pair = plant_pair(store, tmp_path, number)
        store.video_path(pair.a.sha256).write_bytes(b"no clip any more")
    lengths = [plant_pair(store, tmp_path, 60), plant_pair(store, tmp_path, 61, frames=2 * FRAMES)]
    store.add_pair(new_pair(lengths[0].a, lengths[1].b, "unequal", "horse", "import", "independent"))
    for pair in lengths:
        store.append(Rating(new_id(), pair, "a", "a", tab.visitor(BROWSER, asked(), None).rater))
    whole = plant_pair(store, tmp_path, 70)
    assert prompt_on(tab) == whole.prompt
    visitor = tab.visitor(BROWSER, asked(), None)
    for _ in range(40):
        tab.booth.limit.check(visitor.rater)


def test_who_signs_in_gets_no_pair_a_second_time(tab, store, tmp_path: Path) -> None:
    first, second = (plant_pair(store, tmp_path, number) for number in range(2))
    store.append(Rating(new_id(), first, "a", "a", tab.visitor(BROWSER, asked(), None).rater))
    assert prompt_on(tab, signed_in("anna")) == second.prompt
    store.append(Rating(new_id(), second, "a", "a", tab.visitor(BROWSER, asked(), signed_in("anna")).rater))
    tab.booth.arrive(tab.visitor(BROWSER, asked(), signed_in("anna")))
    tab.booth._seats.clear()
    assert prompt_on(tab, signed_in("anna")) is None
    assert prompt_on(tab) is None, "nor does who signs out again"
    assert prompt_on(tab, signed_in("ben")) == second.prompt, "somebody else at the same browser"
    answer = store.ratings(rater=tab.visitor(BROWSER, asked(), None).rater)[0]
    store.withdraw(answer.rating_id, answer.rater)
    tab.booth._seats.clear()
    assert prompt_on(tab, signed_in("anna")) is None, "who took it back has seen the names"


def test_an_empty_stage_says_what_is_missing_and_what_to_do(tab, store, tmp_path: Path) -> None:
    """Pairs of another backbone are as good as none."""
    pair = plant_pair(store, tmp_path, 0)
    takes = [replace(take, backbone="sd14") for take in (pair.a, pair.b)]
    store.add_pair(new_pair(*takes, "elsewhere", "rain", "queue", "varied"))
    assert prompt_on(tab) == pair.prompt

    def said(category: str) -> str:
        return tab.on_only(BROWSER, category, asked(), None)[tab.ui.player]["note"]

    assert said("rain") == f"No pair of “Rain” is waiting for you. {MAKE_ONE}"
    store.append(Rating(new_id(), pair, "a", "a", tab.visitor(BROWSER, asked(), None).rater))
    assert said("") == f"No pair is waiting for you. {MAKE_ONE}"
    assert said("horse") == f"No pair of “Horse run” is waiting for you. {MAKE_ONE}"


def test_whoever_makes_a_pair_hears_that_nothing_moves_it(sources, monkeypatch, tmp_path: Path) -> None:
    words = ("horse", "a red horse runs on the beach")
    assert sources.on_words(*words) == ""
    monkeypatch.setattr(adapters, "SHIPPED", tmp_path)
    assert sources.on_words(*words).startswith("Nothing has taught pocket how horse moves")


def scores_of(sources: PairSources, shown: dict[str, Any], given: list[float], who: gr.OAuthProfile | None) -> Any:
    event = SimpleNamespace(_data={"set": shown["set"], "scores": given})
    return sources.on_scores(BROWSER, event, asked(), who)


def test_a_set_of_clips_is_scored_once_and_by_whom_it_was_shown(sources, store, tmp_path: Path) -> None:
    anna = signed_in("anna")
    takes = [take for number in range(2) for take in vars(plant_pair(store, tmp_path, number)).values()]
    takes = [take for take in takes if isinstance(take, TakeRecord)]
    assert {(take.num_frames, take.fps, take.width, take.steps) for take in takes} == {
        (FRAMES, FPS, SIZE, SETTINGS["steps"])
    }
    shown = sources.remember(sources.tab.visitor(BROWSER, asked(), anna), "horse", takes)
    with pytest.raises(gr.Error, match="scored already, or the page was restarted"):
        scores_of(sources, shown, [1, 2, 3, 4], signed_in("ben"))
    scores_of(sources, shown, [1, 2, 3, 4], anna)
    ratings = store.ratings("horse")
    assert {score for one in ratings for score in (one.score_a, one.score_b)} == {1, 2, 3, 4}
    assert all((one.preference == "a") == (one.score_a > one.score_b) for one in ratings)
    with pytest.raises(gr.Error, match="scored already"):
        scores_of(sources, shown, [1, 2, 3, 4], anna)


def test_how_far_ratings_can_be_trusted_is_said(tab, store, tmp_path: Path) -> None:
    pair = plant_pair(store, tmp_path, 0)
    for rater in ("a" * 16, "b" * 16):
        store.append(Rating(new_id(), pair, "a", "a", rater))
    said = tab.on_trust()
    assert "**2 ratings** of 1 pair by 2 people" in said and "Left side chosen" in said
