"""What the tab Fine-tune does on the server: readiness, slices, pause and resume, candidates, what it refuses."""

import json
import pickle
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from threading import Timer
from typing import Any

import gradio as gr
import numpy as np
import pytest
import torch

import app
from huvidpo.adapters import Adapter, find_adapter
from huvidpo.backbones import LoadedBackbone
from huvidpo.cli import main
from huvidpo.home import home
from huvidpo.preferences.store import RatingStore
from huvidpo.training.begun_runs import read_begun, write_begun
from huvidpo.training.examples import encode_clips
from huvidpo.training.run_folders import held, new_run
from huvidpo.training.strength import Measuring
from huvidpo.ui import finetune_needs as needs
from huvidpo.ui import finetune_runs as runs
from huvidpo.ui.finetune import FinetuneTab
from huvidpo.ui.finetune_layout import PLOTS, plot_of
from huvidpo.ui.jobs import Job, TrainSlice
from huvidpo.ui.turns import CountedRun
from huvidpo.ui.unfinished import STAYS, Turn
from huvidpo.video import write_mp4
from tests.rated import rated_pairs, write_clip
from tests.ui.conftest import out_of_quota
from tests.ui.sign_in import signed_in

pytestmark = pytest.mark.usefixtures("no_shipped_adapters")


@pytest.fixture
def store(own_home, tmp_path: Path) -> RatingStore:
    """Eight rated pairs."""
    store = RatingStore(home())
    rated_pairs(store, tmp_path, 8)
    return store


@pytest.fixture
def tab(pocket, own_home, monkeypatch: pytest.MonkeyPatch) -> FinetuneTab:
    """The tab; a slice is over after its first step."""
    monkeypatch.setattr(runs, "SLICE_SECONDS", 0)
    with gr.Blocks() as page, gr.Tabs():
        return FinetuneTab(page, pocket, RatingStore(own_home), CountedRun(app.gpu_runner(pocket)), {})


@pytest.fixture
def begin(tab: FinetuneTab, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Turn]:
    """Begins a run whose steps are of one pair, and whose clips are encoded; gives the page's turn with it."""
    whole = runs.preset_settings
    monkeypatch.setattr(runs, "preset_settings", lambda *names: replace(whole(*names), rank=2, pairs_per_step=1))

    def begun() -> Turn:
        turn = tab.on_begin("horse", "dpo", "", 60.0)[tab.ui.current]
        encode(tab, turn)
        return turn

    return begun


def encode(tab: FinetuneTab, turn: Turn) -> None:
    """What the first slices of a run do."""
    preset, plan = tab.backbone.preset, runs.plan_of(tab.backbone, tab.store, turn.run)
    size = (preset.num_frames, preset.width, preset.height)
    list(encode_clips(tab.backbone.video, plan.examples, plan.real, size, plan.work / "latents"))
    tab.unfinished.keep(turn)  # as after a slice


def test_the_page_says_what_is_missing(tab, begin, own_home, tmp_path: Path) -> None:
    empty = tab.on_readiness("horse", "dpo", 5)
    assert dict(empty[tab.ui.readiness]["facts"]) == {"Usable": "0 pairs; 8 more are needed"}
    assert "Rate more in the tab Rate" in empty[tab.ui.readiness]["text"] and empty[tab.ui.to_rate].visible
    assert empty[tab.ui.begin].interactive is False
    with pytest.raises(gr.Error, match="8 more are needed"):
        begin()
    assert not (home() / "runs").exists()
    rated_pairs(RatingStore(home()), tmp_path, 8)
    full = tab.on_readiness("horse", "dpo", 5)
    told = dict(full[tab.ui.readiness]["facts"])
    assert told["Usable"] == "8 pairs, rated by 1 person"
    assert told["Memory"].startswith("1.0 GB of ") and "GPU quota" not in told
    assert full[tab.ui.begin].interactive is True


def test_a_browser_s_nonsense_is_refused(tab, store) -> None:
    """In a sentence on the page: an event that waits in no queue has no toast."""
    for asked in (("swim", "dpo", 5), ("horse", "ppo", 5), *(("horse", "dpo", minutes) for minutes in (1e9, 0, None))):
        said = tab.on_readiness(*asked)
        assert said[tab.ui.begin].interactive is False and said[tab.ui.readiness]["facts"] == []
        assert len(said[tab.ui.readiness]["text"]) > 20
        with pytest.raises(gr.Error):
            tab.on_begin(*asked[:2], "", asked[2])
    assert said[tab.ui.readiness]["text"] == "Train for 1 to 60 minutes."


def test_a_run_that_is_not_there_is_refused(tab, store) -> None:
    for run in ("", None, "horse", "horse/../../x", "../horse/x", "swim/x", "horse/none"):
        with pytest.raises(gr.Error):
            tab.on_resume(run)
        with pytest.raises(gr.Error):
            tab.on_discard(run, f"Really discard {run}?")


def test_the_time_is_that_of_the_preset_s_passes_but_no_more_than_was_given(pocket, store) -> None:
    """8 pairs 6 times, 2 a step: 24 steps, each of 2 x 4 sampling steps of 0.7 s: 134 s. In a minute, 11 of them.

    Then 16 clips of 4 steps of 0.35 s, which have no guidance: 22 s.
    """
    said = [dict(needs.readiness(pocket, store, "horse", "dpo", minutes).facts)["Time"] for minutes in (5, 1)]
    steps = "{} on this CPU: about {} steps, then 22 s of measuring"
    assert said == [steps.format("3 min", 24), steps.format("82 s", 11)]


@pytest.mark.slow
def test_what_is_left_has_the_measuring_in_it(tab, begin, store) -> None:
    """A minute of training and 22 s of 16 clips; 4 of them are a quarter of that; what was learned may be weakened."""
    said = tab.drawn(begin().run, [a_row()])[tab.ui.meter]["text"]
    assert said == "horse/dpo-1: step 3, 50% right, about 82 s left with the measuring at the end"
    first, second = (needs.measuring_words(tab.backbone, Measuring(12, 16, strength)) for strength in (1.0, 0.5))
    assert first == "measuring whether its clips still move, clip 12 of 16, about 6 s left"
    assert second.startswith("measuring whether its clips still move again, at 50% of what was learned, clip 12")


def a_row() -> dict[str, float]:
    """What a third step of 24 left."""
    numbers = dict.fromkeys(("loss", "margin", "winner_drift", "loser_drift"), 0.5)
    return numbers | {"step": 3, "steps": 24, "accuracy": 0.5, "seconds_left": 60.0}


@pytest.mark.slow
def test_clips_before_and_now_stand_under_their_prompt(tab, begin, store) -> None:
    run = begin().run
    plan = runs.plan_of(tab.backbone, tab.store, run)
    (plan.work / "clips").mkdir()
    for name in ("before-0", "step-00003-0"):
        write_clip(plan.work / "clips" / f"{name}.mp4", 90)
    shown = tab.drawn(run, [a_row()], plan.examples.first_prompt)
    assert shown[tab.ui.clips].visible and shown[tab.ui.prompt].startswith("Prompt: horse ")


def test_what_is_missing_in_grammar() -> None:
    assert needs.wanting(0, True) == "" and needs.wanting(1, False) == "; 1 more is needed"
    assert needs.wanting(1, True) == "; 1 more clip is needed"
    assert needs.wanting(2, True) == "; 2 more clips are needed"


def test_zero_gpu_s_cost_is_shown(pocket, store, monkeypatch: pytest.MonkeyPatch) -> None:
    """156 s are four slices of 45 s; for the first 59 s are asked, which ZeroGPU's cards count 1.5 times: 88 s."""
    monkeypatch.setenv("SPACES_ZERO_GPU", "1")
    told = dict(needs.readiness(pocket, store, "horse", "dpo", 5).facts)
    assert "GPU quota" not in told, "pocket runs on its CPU"
    told = dict(needs.readiness(on_lent_gpu(pocket), store, "horse", "dpo", 5).facts)
    assert told["GPU quota"] == "up to 88 s for each of about 4 requests, the first of 59 s"
    assert told["Memory"] == "1.0 GB"


def on_lent_gpu(backbone: LoadedBackbone) -> LoadedBackbone:
    """The backbone as if it were on ZeroGPU's card, which were as fast as this CPU."""
    times = backbone.preset.seconds_per_step
    preset = replace(backbone.preset, seconds_per_step={**times, "cuda": times["cpu"]})
    return replace(backbone, preset=preset, device="cuda")


@pytest.mark.slow
def test_zero_gpu_is_asked_for_what_a_slice_takes(tab, begin, store, monkeypatch: pytest.MonkeyPatch) -> None:
    """45 s of training, 10 s around it, and two clips of 4 steps of 0.35 s with 40 % more: 59 s.

    No clips where none is due, and no more than is left: 8 s of training and 22 s of 16 clips.
    """
    durations = []
    monkeypatch.setattr(app.spaces, "GPU", lambda duration: lambda function: durations.append(duration))
    app.gpu_runner(tab.backbone)
    turn = begin()
    plan = runs.plan_of(tab.backbone, tab.store, turn.run)
    rare = replace(plan, settings=replace(plan.settings, validate_every=10_000))
    assert [durations[0](TrainSlice(one, 45)) for one in (plan, rare)] == [59, 55]
    list(tab.on_slice(turn))
    read = needs.run_outcome
    monkeypatch.setattr(needs, "run_outcome", lambda work: ended_in(read(work), 8.0))
    assert durations[0](TrainSlice(rare, 45)) == 10 + 8 + 22


def ended_in(outcome, seconds: float):
    """The outcome of a run that has so many seconds left."""
    return outcome._replace(rows=[row | {"seconds_left": seconds} for row in outcome.rows])


def test_memory_that_is_not_there(pocket, store, monkeypatch: pytest.MonkeyPatch) -> None:
    """pocket needs 1.0 GB with both members together, 1.5 with a real clip beside them, 0.5 one after the other."""
    fits = [needs.members_that_fit(pocket.preset, "dpo", free) for free in (1.1, 0.9, None)]
    assert fits == ["together", "apart", "together"]
    assert [needs.members_that_fit(pocket.preset, "ipo", free) for free in (1.6, 1.1)] == ["together", "apart"]
    assert [needs.memory_needed(pocket.preset, "ipo", free) for free in (1.6, 1.1)] == [1.5, 0.5]
    monkeypatch.setattr(needs, "free_gigabytes", lambda *_: 0.9)
    assert dict(needs.readiness(pocket, store, "horse", "dpo", 5).facts)["Memory"] == "0.5 GB of 0.9 GB that are free"
    monkeypatch.setattr(needs, "free_gigabytes", lambda *_: 0.3)
    ready = needs.readiness(pocket, store, "horse", "dpo", 5)
    assert not ready.ready and "does not fit" in ready.text


@pytest.mark.slow
def test_slices_pause_resume_and_the_adapter_in_the_end(tab, begin, store, monkeypatch: pytest.MonkeyPatch) -> None:
    turn = begin()
    run = turn.run
    assert run == "horse/dpo-1"
    (first,) = tab.on_slice(turn)
    assert "step 1" in first[tab.ui.meter]["text"] and tab.ui.timer not in first, "the next slice may come"
    paused = tab.on_pause(turn)
    assert paused[tab.ui.timer] is False and paused[tab.ui.begin].visible is True
    assert paused[tab.ui.meter]["text"] == f"{run} is paused. What it learned is kept."
    resumed = tab.on_resume(run)
    turn = resumed[tab.ui.current]
    assert resumed[tab.ui.timer] is True and "step 1" in resumed[tab.ui.meter]["text"]
    assert resumed[tab.ui.begin].visible is False, "one run at a time"
    (second,) = tab.on_slice(turn)
    assert "step 2" in second[tab.ui.meter]["text"]
    assert len(second[tab.ui.plots[0]].value["data"]) == 2 and second[tab.ui.plots[0]].x_lim == [0, 10]
    monkeypatch.setattr(runs, "read_begun", ended_now(runs.read_begun))
    texts = [[changes[tab.ui.meter]["text"] for changes in tab.on_slice(turn)] for _ in range(2)]
    assert [len(each) for each in texts] == [1, 1] and all("measuring" in each[0] for each in texts), "a clip a slice"
    monkeypatch.setattr(runs, "SLICE_SECONDS", 600)
    *measuring, last = tab.on_slice(turn)
    assert len(measuring) >= 14, "eight clips without what was learned, eight with it; two were there"
    assert last[tab.ui.timer] is False and "is finished" in last[tab.ui.meter]["text"]
    assert find_adapter("pocket", "horse", "dpo-1").card["ratings"] == 8
    assert last[tab.learned.ui.adapter].value == "dpo-1" and last[tab.unfinished.row].visible is False
    assert last[tab.ui.category] == "horse", "whatever action the visitor looked at meanwhile"
    tab.learned.on_delete("horse", "dpo-1", "Really delete dpo-1?")
    assert tab.on_open("horse", "dpo", 5, None, "dpo-1", "dpo-1")[tab.ui.start].value == "", "it is gone"
    assert runs.unfinished_runs(tab.backbone.preset) == [], "what was learned and deleted is not unfinished"


@pytest.mark.slow
def test_a_command_goes_on_with_a_run_of_the_page(
    tab, begin, store, moving_adapter, pocket_weights: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It needs no option, and refuses one that contradicts; the page does not list a run that a command began."""
    monkeypatch.setenv("HUVIDPO_POCKET_WEIGHTS", str(pocket_weights))
    resume = ("train-preference", "--category", "horse", "--resume", "--json")
    turn = tab.on_begin("horse", "dpo", "gallop", 60.0)[tab.ui.current]
    encode(tab, turn)
    list(tab.on_slice(turn))
    tab.on_pause(turn)
    assert main([*resume, "--start", "none"]) == 2 and "begun with --start " in capsys.readouterr().err
    assert main([*resume, "--start", "gallop", "--minutes", "0.001"]) == 0
    result = json.loads(capsys.readouterr().out)
    card = result["card"]
    assert (result["name"], card["parent"], card["ratings"], card["rank"]) == ("dpo-1", "gallop", 8, 2)
    assert find_adapter("pocket", "horse", "dpo-1") and runs.unfinished_runs(tab.backbone.preset) == []
    write_begun(new_run("pocket", "horse", "dpo"), read_begun(runs.folder_of(tab.backbone.preset, turn.run)))
    assert runs.unfinished_runs(tab.backbone.preset) == []


def test_a_run_of_an_earlier_version_goes_on(tab, store, moving_adapter) -> None:
    """Whose page wrote down the choices alone; with real clips for ipo beside them."""
    used = [rating.rating_id for rating in store.ratings("horse")]
    for objective in ("kto", "ipo"):
        folder = new_run("pocket", "horse", objective)
        write_clip(folder / "clip.mp4", 90)
        (folder / "real").mkdir()
        (folder / "clip.mp4").rename(folder / "real" / "00.mp4")
        choices = {"category": "horse", "objective": objective, "start": "gallop", "minutes": 5.0, "name": folder.name}
        (folder / "run.json").write_text(json.dumps(choices | {"seed": 7, "rating_ids": used}))
        plan = runs.plan_of(tab.backbone, store, f"horse/{objective}-1")
        assert (plan.start.name, plan.settings.objective, plan.out.name) == ("gallop", objective, f"{objective}-1")
        settings = plan.settings
        assert (settings.minutes, settings.seed, settings.learning_rate, plan.examples.ratings) == (5, 7, 5e-4, 8)
        assert len(plan.real) == (objective == "ipo")


def test_what_follows_by_itself_names_nothing_from_a_list(pocket, own_home) -> None:
    """Gradio refuses a name that its list has lost since the browser sent it: a run discarded just after a pause."""
    with gr.Blocks() as page, gr.Tabs():
        tab = FinetuneTab(page, pocket, RatingStore(own_home), CountedRun(app.gpu_runner(pocket)), {})
    lists = {tab.unfinished.runs, tab.ui.start, tab.learned.ui.adapter}
    following = [fn for fn in page.fns.values() if {trigger for _, trigger in fn.targets} & {"tick", "then"}]
    assert len(following) == 3 and not any(lists & {*fn.inputs} for fn in following)


def ended_now(read):
    """A run whose time is over with its next step."""

    def over(work: Path):
        begun = read(work)
        return replace(begun, settings=replace(begun.settings, minutes=1e-3))

    return over


def test_a_failure_pauses_and_keeps_everything(tab, begin, store) -> None:
    turn = begin()
    tab.run = out_of_quota
    (paused,) = tab.on_slice(turn)
    assert paused[tab.ui.timer] is False and "Try again in 3:12:05" in paused[tab.ui.meter]["text"]
    assert paused[tab.unfinished.runs].value == turn.run


@pytest.mark.slow
def test_an_error_of_ours_pauses_too(tab, begin, store, capsys: pytest.CaptureFixture) -> None:
    """Else the timer would come back with the same slice again and again."""
    turn = begin()

    def broken(job: Job) -> Iterator[Any]:
        raise RuntimeError("CUDA error: device-side assert triggered")
        yield

    tab.run = broken
    (paused,) = tab.on_slice(turn)
    assert paused[tab.ui.timer] is False and paused[tab.ui.current] is None
    assert paused[tab.ui.meter]["text"].startswith("Paused by an error of this program (RuntimeError)")
    assert paused[tab.unfinished.runs].value == turn.run and "device-side assert" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_has_a_name_of_its_own(tab, begin, store) -> None:
    """Neither that of a run which lies here, nor that of an adapter which does."""
    assert begin().run == "horse/dpo-1"
    folder = home() / "adapters" / "pocket" / "horse" / "dpo-2"
    folder.mkdir(parents=True)
    (folder / "card.json").write_text('{"backbone": "pocket", "category": "horse"}')
    assert begin().run == "horse/dpo-3"


@pytest.mark.slow
def test_on_a_space_its_owner_discards_a_run_and_nobody_else(tab, begin, store, monkeypatch) -> None:
    turn = begin()
    run, asked = turn.run, ("horse", "dpo", 5, None, "", None)
    tab.on_pause(turn)
    assert tab.on_open(*asked)[tab.unfinished.discard].visible is True
    monkeypatch.setenv("SPACE_ID", "someone/space")
    for visitor in (None, signed_in("anna")):
        assert tab.on_open(*asked, gr.Request(), visitor)[tab.unfinished.discard].visible is False
        with pytest.raises(gr.Error, match="Nothing is discarded here"):
            tab.on_discard(run, f"Really discard {run}?", request=gr.Request(), profile=visitor)
    assert runs.unfinished_runs(tab.backbone.preset) == [run]
    once = tab.on_discard(run, "Discard", gr.Request(), signed_in("someone"))
    assert once[tab.unfinished.discard].value == f"Really discard {run}?"
    assert runs.unfinished_runs(tab.backbone.preset) == [run]
    assert tab.on_open(*asked, gr.Request(), signed_in("someone"))[tab.unfinished.discard].visible is True
    tab.on_discard(run, f"Really discard {run}?", request=gr.Request(), profile=signed_in("someone"))
    assert runs.unfinished_runs(tab.backbone.preset) == []


def test_a_slice_that_was_asked_for_before_a_pause_does_not_begin_after_it(tab, begin, store) -> None:
    """The page's clock may tick between the press of the button and the answer."""
    turn = begin()
    tab.on_pause(turn)
    for late in (turn, None):  # what the page's state may be by then
        assert [*tab.on_slice(late)] == [nothing(tab)] and tab.on_pause(late) == nothing(tab)
    assert runs.log_of(tab.backbone.preset, turn.run) == [], "nothing was trained"


def nothing(tab: FinetuneTab) -> dict[Any, Any]:
    """An answer that changes nothing: Gradio takes an empty one for one that is missing."""
    return {tab.ui.meter: gr.skip()}


@pytest.mark.slow
def test_a_step_that_outlasts_its_pause_leaves_the_next_turn_alone(tab, begin, store, monkeypatch) -> None:
    """Pause, then Go on while the step still runs: what the old slice has to say comes after both."""
    monkeypatch.setattr(runs, "SLICE_SECONDS", 600)
    first = begin()
    slice_ = tab.on_slice(first)
    assert "step 1" in next(slice_)[tab.ui.meter]["text"]
    tab.on_pause(first)
    second = tab.on_resume(first.run)[tab.ui.current]
    assert [*slice_] == [nothing(tab)], "its step is done, and nothing is said of it"
    assert tab.unfinished.is_trained(first.run)
    slice_ = tab.on_slice(second)
    assert "step 3" in next(slice_)[tab.ui.meter]["text"]
    slice_.close()
    assert not second.over, "a page that only lost the server comes back with its next slice"


@pytest.mark.slow
def test_what_is_said_last_has_the_highest_number(tab, begin, store) -> None:
    """So the page can tell a step's words that arrive after those of the pause."""
    turn = begin()
    (step,) = tab.on_slice(turn)
    paused = tab.on_pause(turn)
    gone = tab.on_discard(turn.run, f"Really discard {turn.run}?")
    numbers = [said[tab.ui.meter]["at"] for said in (step, paused, gone)]
    assert numbers == sorted({*numbers})
    assert tab.ui.current not in gone and tab.ui.timer not in gone, "another run may have been begun meanwhile"


@pytest.mark.slow
def test_a_run_that_ends_in_the_step_of_its_pause_is_finished(tab, begin, store) -> None:
    turn, folder = begin(), home() / "adapters" / "pocket" / "horse" / "dpo-1"

    def ends(job: Job) -> Iterator[Adapter]:
        tab.on_pause(turn)
        folder.mkdir(parents=True)
        (folder / "card.json").write_text('{"backbone": "pocket", "category": "horse", "stopped_because": ""}')
        yield find_adapter("pocket", "horse", "dpo-1")

    tab.run = ends
    (last,) = tab.on_slice(turn)
    assert "is finished" in last[tab.ui.meter]["text"] and not last[tab.unfinished.row].visible
    assert tab.ui.current not in last and tab.ui.timer not in last, "another run may have been begun meanwhile"


@pytest.mark.slow
def test_a_page_trains_one_run_at_a_time(tab, begin, store) -> None:
    first = begin()
    begun = tab.on_begin("horse", "dpo", "", 60.0, None, first)
    assert [*tab.on_slice(first)] == [nothing(tab)] and begun[tab.ui.current].run == "horse/dpo-2"


@pytest.mark.slow
def test_a_page_that_gave_no_sign_for_long_is_told_who_has_its_run(tab, begin, store) -> None:
    """As after a sleep of its machine. While it waits for the model, its signs are those of the list."""
    asleep = begin()
    tab.unfinished.on_watch(asleep, "")
    assert asleep.until > time.monotonic() + STAYS - 5 and tab.unfinished.is_trained(asleep.run)
    asleep.until = 0.0
    (first,) = tab.on_slice(asleep)
    assert "step 1" in first[tab.ui.meter]["text"], "nobody has it"
    asleep.until = 0.0
    taken = tab.on_resume(asleep.run)[tab.ui.current]
    (told,) = tab.on_slice(asleep)
    assert told[tab.ui.meter]["text"] == "Another page has gone on with this run." and told[tab.ui.timer] is False
    assert "is being trained now" in told[tab.unfinished.note] and told[tab.ui.current] is None
    tab.unfinished.on_watch(asleep, "")
    (second,) = tab.on_slice(taken)
    assert "step 2" in second[tab.ui.meter]["text"]


def test_what_is_chosen_while_the_tab_opens_stays(tab, store) -> None:
    """Its answer says what can be chosen, and only where that is gone what is."""
    tab_says = tab.on_open("horse", "dpo", 5, None, "", None)[tab.ui.start].constructor_args
    assert "value" not in tab_says and tab_says["choices"][0][1] == ""
    assert tab.on_open("horse", "dpo", 5, None, "gone", None)[tab.ui.start].value == ""


@pytest.mark.slow
def test_a_discard_waits_for_the_step_that_was_under_way(tab, begin, store, monkeypatch) -> None:
    """On a busy machine that is longer than whoever wants to go on with a run has to wait."""
    monkeypatch.setattr("huvidpo.training.run_folders.WAIT", 0.1)
    turn, step = begin(), ExitStack()
    work = runs.plan_of(tab.backbone, tab.store, turn.run).work
    step.enter_context(held(work))
    tab.on_pause(turn)
    Timer(1.0, step.close).start()
    tab.on_discard(turn.run, f"Really discard {turn.run}?")
    assert not work.exists()


@pytest.mark.slow
def test_two_cannot_go_on_with_one_run(tab, begin, store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As two workers on ZeroGPU could, each of which would overwrite the other's checkpoint."""
    monkeypatch.setattr("huvidpo.training.run_folders.WAIT", 0.1)
    monkeypatch.setattr(runs, "LAST_STEP", 0.1)
    turn = begin()
    run = turn.run
    with held(runs.plan_of(tab.backbone, tab.store, run).work):
        (refused,) = tab.on_slice(turn)
        assert "Somebody is going on with this run already" in refused[tab.ui.meter]["text"]
        with pytest.raises(gr.Error, match="Somebody is going on"):
            tab.on_discard(run, f"Really discard {run}?")
    turn = tab.on_resume(run)[tab.ui.current]
    (first,) = tab.on_slice(turn)
    assert "step 1" in first[tab.ui.meter]["text"]


@pytest.mark.slow
def test_a_run_that_another_page_trains_is_named_and_left_to_it(tab, begin, store) -> None:
    """From its start, through its slices and between them, until it pauses or its page is closed."""
    turn, asked = begin(), ("horse", "dpo", 5, None, "", None)
    run = turn.run

    def others_are_told_so() -> None:
        shown = [tab.on_open(*asked), tab.on_resume(run), tab.on_discard(run, f"Really discard {run}?")]
        for each in shown:
            assert each[tab.unfinished.note] == f"{run} is being trained now, by another visitor or in another tab."
            assert each[tab.unfinished.watch] is True and not each[tab.unfinished.row].visible
            assert tab.ui.current not in each

    others_are_told_so()
    slice_ = tab.on_slice(turn)
    next(slice_)
    others_are_told_so()
    assert [*slice_] == []
    others_are_told_so()  # the next slice may come
    slice_ = tab.on_slice(turn)
    next(slice_)
    slice_.close()  # as Gradio does when a page is gone
    paused = tab.on_open(*asked)
    assert paused[tab.unfinished.note] == f"{run} is paused. What it learned is kept, and it can go on."
    assert paused[tab.unfinished.row].visible and paused[tab.unfinished.runs].value == turn.run
    turn = tab.on_resume(run)[tab.ui.current]
    others_are_told_so()
    tab.on_pause(turn)
    assert tab.on_open(*asked)[tab.unfinished.row].visible


def test_looking_again_changes_nothing_while_nothing_has_changed(tab, begin, store) -> None:
    """What was chosen meanwhile would be lost."""
    turn = begin()
    said = tab.on_open("horse", "dpo", 5, None, "", None)[tab.unfinished.note]
    assert tab.unfinished.on_watch(None, said) == {tab.unfinished.note: gr.skip()}
    tab.on_pause(turn)
    again = tab.unfinished.on_watch(None, said)
    assert again[tab.unfinished.runs].value == turn.run and again[tab.unfinished.watch] is False
    assert tab.unfinished.on_watch(turn, said)[tab.unfinished.row].visible is False, "this page has begun it itself"


@pytest.mark.slow
def test_withdrawn_ratings_end_a_run(tab, begin, store) -> None:
    turn = begin()
    first = store.ratings("horse")[0]
    store.withdraw(first.rating_id, first.rater)
    (paused,) = tab.on_slice(turn)
    assert "changed or taken back" in paused[tab.ui.meter]["text"]
    tab.on_discard(turn.run, f"Really discard {turn.run}?")
    assert runs.unfinished_runs(tab.backbone.preset) == []


def worker(tab: FinetuneTab, job: bytes, answers) -> None:
    torch.set_num_threads(1)
    for record in tab.run(pickle.loads(job)):
        answers.put(pickle.dumps(record))
    answers.put(None)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ZeroGPU forks, on Linux")
def test_a_slice_crosses_into_a_forked_worker_and_back(tab, begin, store) -> None:
    """As on ZeroGPU: arguments and records are pickled, what the worker's memory holds afterwards is lost."""
    plan = runs.plan_of(tab.backbone, tab.store, begin().run)
    context = get_context("fork")
    for step in (1, 2):
        answers = context.SimpleQueue()
        process = context.Process(target=worker, args=(tab, pickle.dumps(TrainSlice(plan, 0)), answers), daemon=True)
        process.start()
        record = pickle.loads(answers.get())
        assert record.step == step and answers.get() is None
        process.join()


def test_plots_are_short_and_smooth() -> None:
    rows = [{"step": float(i), "winner_drift": i % 2, "loser_drift": 1.0} for i in range(1, 1001)]
    table = plot_of(rows, [*PLOTS.values()][-1])
    assert set(table["line"]) == {"winners", "losers"} and len(table) <= 500
    assert table[table["line"] == "winners"]["value"].iloc[-1] == pytest.approx(0.5)
    assert plot_of([], {"loss": "loss"}).empty


def test_what_was_not_measured_is_a_gap() -> None:
    rows = [{"step": float(i), "winner_drift": 0.25 if i == 2 else None} for i in (1, 2, 3)]
    table = plot_of(rows, {"winner_drift": "winners"})
    assert table["value"].isna().tolist() == [True, False, True] and table["value"][1] == 0.25
    assert plot_of(rows[:1], {"winner_drift": "winners"})["value"].isna().all()


@pytest.mark.slow
def test_real_clips_go_along_with_ipo(tab, store, begin, tmp_path: Path) -> None:
    """They are copied beside the run, so that a later slice finds them; a clip that is too short is named."""
    clip, short = write_clip(tmp_path / "real.mp4", 90), tmp_path / "short.mp4"
    write_mp4(np.zeros((9, 32, 32, 3), np.uint8), short, 8)
    for files, sentence in (([], "upload 1 to 32"), ([str(clip), str(short)], "short.mp4 has 9 frames")):
        with pytest.raises(gr.Error, match=sentence):
            tab.on_begin("horse", "ipo", "", 60.0, files)
    assert runs.unfinished_runs(tab.backbone.preset) == []
    turn = tab.on_begin("horse", "ipo", "", 60.0, [str(clip)])[tab.ui.current]
    clip.unlink()
    plan = runs.plan_of(tab.backbone, tab.store, turn.run)
    assert [prompt for _, prompt in plan.real] == ["horse run"] and plan.settings.real_anchor > 0
    encode(tab, turn)
    (first,) = tab.on_slice(turn)
    assert "step 1" in first[tab.ui.meter]["text"]
