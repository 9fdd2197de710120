"""Rounds with a critic, on a small `pocket`: what counts, what comes next, and that nothing is done twice."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from huvidpo.adapters import find_adapter
from huvidpo.backbones import LoadedBackbone, varied_prompt
from huvidpo.evaluation.metrics import motion_magnitude
from huvidpo.preferences.pairs import TrainingSet
from huvidpo.preferences.records import TakeRecord, new_pair
from huvidpo.preferences.store import RatingStore
from huvidpo.requests import MAX_SEED, check_seed
from huvidpo.training.preference_settings import preset_settings
from huvidpo.training.rounds import (
    MAX_PAIRS,
    MAX_ROUNDS,
    ROWS,
    Round,
    RoundsPlan,
    Step,
    check_names,
    check_same_plan,
    compare,
    comparisons,
    make_pairs,
    rated_places,
    read_rounds,
    request_at,
    round_folder,
    run_plan,
    run_rounds,
    take,
    verdict,
)
from huvidpo.video import write_mp4


def compared(differences: list[float], motion: tuple[float, float] = (1.0, 1.0), prompts: int = 5) -> list[dict]:
    rows = [{"scores": [difference, 0.0], "motion": list(motion)} for difference in differences]
    return [row | {"prompt": f"prompt {i % prompts}"} for i, row in enumerate(rows)]


def test_a_round_counts_when_it_wins_and_still_moves() -> None:
    """15 of 20 decided: Wilson's interval is 0.531 to 0.888, so it won; 12 of 20 (0.387 to 0.781) did not."""
    won = verdict(compared([1.0] * 15 + [-1.0] * 5 + [0.0]))
    assert (won["wins"], won["losses"], won["ties"], won["accepted"]) == (15, 5, 1, True)
    assert won["low"] == pytest.approx(0.531, abs=1e-3)
    assert not verdict(compared([1.0] * 12 + [-1.0] * 8))["accepted"]
    frozen = verdict(compared([1.0] * 20, motion=(0.5, 1.0)))
    assert not frozen["accepted"] and "only 50% of the motion" in frozen["reason"]
    assert not verdict([])["accepted"]
    less = verdict(compared([1.0] * 20, motion=(0.92, 1.0)), before=0.95)
    assert not less["accepted"] and less["reason"] == "It won, but 87% of the motion at the start is left."
    narrow = verdict(compared([1.0] * 20, prompts=2))
    assert not narrow["accepted"] and "on 2 prompts only" in narrow["reason"]


@pytest.fixture
def plan(backbone: LoadedBackbone, moving_adapter, own_home: Path, tmp_path: Path) -> RoundsPlan:
    settings = replace(preset_settings("recommended", "dpo", 1e-3), steps=1, pairs_per_step=1, rank=2)
    return RoundsPlan(
        category="horse",
        critic="taste:warmer",
        held_out="taste:livelier",
        rounds=2,
        pairs=8,
        unseen=1,
        settings=settings,
        start=moving_adapter,
        work=tmp_path / "warm",
        adapters=own_home / "adapters" / "pocket" / "horse",
    )


def drawn_pairs(folder: Path) -> None:
    """Eight pairs in the store of a round, one clip of each redder towards its end, the other one moving.

    Making real ones takes its time.
    """
    store = RatingStore(folder)
    for i in range(8):
        takes, files = [], []
        for redder in (i % 2 == 0, i % 2 == 1):
            frames = np.full((16, 32, 32, 3), 20 + 20 * i, np.uint8)
            if redder:
                frames[8:, ..., 0] += 40
            for number, frame in enumerate(frames):
                start = 4 if redder else 4 + number
                frame[i : i + 8, start : start + 8] = 255 - 20 * i - 10 * redder
            files.append(write_mp4(frames, folder / f"{i}-{redder}.mp4", 8))
            takes.append(TakeRecord(hashlib.sha256(files[-1].read_bytes()).hexdigest(), backbone="pocket"))
        pair = new_pair(*takes, f"horse {i}", "horse", "queue", "shared-noise")
        store.add_pair(replace(pair, split="train"), files)
    store.close()


@pytest.mark.slow
def test_rounds_are_done_once_and_go_on_from_the_last_that_counted(backbone, plan: RoundsPlan) -> None:
    """One comparison never suffices. After a round that is accepted, the next one begins as its adapter."""
    drawn_pairs(plan.work / "round-1")
    events = [*run_rounds(backbone, replace(plan, rounds=1))]
    (first,) = [event for event in events if isinstance(event, Round)]
    what = {event.what for event in events if isinstance(event, Step)}
    assert what == {"pairs", "training", "measuring motion", "comparing"}
    assert (first.parent, first.adapter, first.examples, first.accepted) == ("gallop", "warm-1", 8, False)
    ratings = RatingStore(plan.work / "round-1").ratings("horse")
    assert {rating.rater_kind for rating in ratings} == {"simulated"}
    assert [rating.preference for rating in ratings] == ["a", "b"] * 4, "the redder one, not the livelier one"
    (row,) = map(json.loads, (plan.work / "round-1" / "compared.jsonl").read_text().splitlines())
    assert row["scores"] == row["motion"], "the livelier one, not the redder one"
    assert {rating.segment_labels[0] for rating in ratings} <= {"a", "b", "tie"}
    card = find_adapter("pocket", "horse", "warm-1").card
    assert card["ratings"] == 8 and card["parent"] == "gallop"

    row = json.loads((plan.work / ROWS).read_text())
    (plan.work / ROWS).write_text(json.dumps(row | {"accepted": True}) + "\n")
    drawn_pairs(plan.work / "round-2")
    second = [event for event in run_rounds(backbone, plan) if isinstance(event, Round)]
    assert [row.round for row in second] == [1, 2] and second[1].parent == "warm-1"
    assert list(run_rounds(backbone, plan)) == read_rounds(plan.work), "nothing is done again"
    with pytest.raises(ValueError, match="holds other rounds"):
        next(run_rounds(backbone, replace(plan, pairs=9)))


def test_an_adapter_of_another_origin_is_not_overwritten(backbone, plan: RoundsPlan, moving_adapter) -> None:
    shutil.copytree(moving_adapter.folder, plan.adapters / "warm-2")
    with pytest.raises(ValueError, match="There is an adapter warm-2 of horse already: delete it, or choose a folder"):
        next(run_rounds(backbone, plan))
    check_names(replace(plan, rounds=1), "pocket")
    (plan.work / "round-2").mkdir()  # begun here, so it is this round's own
    check_names(plan, "pocket")


@pytest.mark.slow
def test_pairs_of_a_round_are_made_with_its_adapter_and_only_once(backbone, plan: RoundsPlan, moving_adapter) -> None:
    store, plan = RatingStore(plan.work), replace(plan, pairs=1)
    assert [step.done for step in make_pairs(backbone, store, plan, 1, moving_adapter)] == [0]
    (pair,) = store.pairs("horse")
    assert {pair.a.adapter_revision, pair.b.adapter_revision} == {moving_adapter.revision()} and pair.split == "train"
    assert pair.pairing == "varied" and pair.a.seed != pair.b.seed and pair.a.guidance != pair.b.guidance
    assert [*make_pairs(backbone, store, plan, 1, moving_adapter)] and store.pairs("horse") == [pair]


@pytest.mark.slow
def test_a_comparison_is_of_the_new_adapter_against_its_parent(backbone, plan: RoundsPlan, moving_adapter) -> None:
    """By a critic who knows what the new one makes of that place: it wins once, and its motion is the first."""
    ((place, prompt),) = comparisons(backbone, plan)
    frame, request = request_at(backbone, "horse", place, prompt, moving_adapter)
    new = take(backbone, frame, request).frames
    round_folder(plan, 1).mkdir(parents=True)
    list(compare(backbone, plan, 1, None, moving_adapter, lambda clip, _: float(np.array_equal(clip, new))))
    (row,) = map(json.loads, (round_folder(plan, 1) / "compared.jsonl").read_text().splitlines())
    assert row["scores"] == [1, 0] and row["motion"][0] == motion_magnitude(new) != row["motion"][1]
    assert (verdict([row])["wins"], verdict([row])["losses"]) == (1, 0)


def test_rounds_go_on_with_the_same_real_clips_only(plan: RoundsPlan, backbone, tmp_path: Path) -> None:
    (tmp_path / "real.mp4").write_bytes(b"one")
    plan = replace(plan, real=((tmp_path / "real.mp4", "a horse"),))
    check_same_plan(plan, backbone)
    check_same_plan(replace(plan, rounds=5), backbone)
    (tmp_path / "real.mp4").write_bytes(b"two")
    with pytest.raises(ValueError, match="holds other rounds"):
        check_same_plan(plan, backbone)


@pytest.mark.parametrize("name", ["pocket", "sd14"])
@pytest.mark.parametrize("seed", [33, 50, 2026, 107_275, 2**31 - 1])
def test_no_round_trains_on_what_is_compared(backbone, plan: RoundsPlan, name: str, seed: int) -> None:
    """Word for word, nor a seed: whatever the run's seed, and however many rounds it will have."""
    backbone = replace(backbone, preset=replace(backbone.preset, name=name))
    plan = replace(plan, category="birds", pairs=24, unseen=40, settings=replace(plan.settings, seed=seed))
    rated = dict(place for number in range(1, MAX_ROUNDS + 1) for place in rated_places(backbone, plan, number))
    compared = dict(comparisons(backbone, plan))
    assert (len(rated), len(compared)) == (24 * MAX_ROUNDS, 40)
    assert not rated.keys() & compared.keys() and not {*rated.values()} & {*compared.values()}
    assert all(check_seed(place) == place for place in (*rated, *compared))
    if name == "sd14":
        assert max(compared) - min(compared) == 39, "one prompt is kept for comparing: no number is passed over"
    assert run_plan(plan, MAX_ROUNDS, None, TrainingSet(), plan.work).settings.seed <= MAX_SEED


def test_rounds_that_leave_too_little_to_compare_on_are_not_begun(backbone, plan: RoundsPlan) -> None:
    """All rounds together could train on nearly every prompt of birds, of which there are 2496."""
    plan = replace(plan, category="birds", pairs=MAX_PAIRS, unseen=1000)
    with pytest.raises(ValueError, match=r"There is room for \d+ comparisons only: ask for fewer of them"):
        next(run_rounds(backbone, plan))
    assert not (plan.work / "round-1").exists()


def test_prompts_are_in_words_that_the_model_knows(backbone) -> None:
    prompts = {varied_prompt(backbone, "rain", number) for number in range(20)}
    assert len(prompts) > 10 and all("rain" in prompt for prompt in prompts)
    full = replace(backbone, preset=replace(backbone.preset, name="sd14"))
    assert varied_prompt(full, "rain", 5) == "rain falls on a yellow car at night, realistic style"
