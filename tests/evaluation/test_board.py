"""What the tab Evaluate knows of adapters: votes, agreement, figures. Real adapters' folders, a real store."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from huvidpo.adapters import list_adapters
from huvidpo.evaluation.board import (
    SHIPPED,
    entries,
    evaluated_as,
    find_evaluations,
    names_by_revision,
    read_evaluations,
)
from huvidpo.evaluation.report import page
from huvidpo.evaluation.results import RESULTS_FILE, Results, System, read_results
from huvidpo.evaluation.tables import tables
from huvidpo.preferences.records import new_id
from huvidpo.preferences.store import RatingStore
from huvidpo.ui.evaluate import first_with
from huvidpo.ui.evaluate_tables import history, leaderboard
from tests.ui.planted import plant_candidate, plant_evaluation, plant_votes


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RatingStore:
    """The shipped adapters, a candidate, and 8 votes of 10 for it."""
    monkeypatch.setenv("HUVIDPO_HOME", str(tmp_path))
    store = RatingStore(tmp_path)
    plant_votes(store, tmp_path / "clips", plant_candidate(tmp_path), 8, 2)
    return store


def test_an_adapter_s_votes_motion_and_figures_stand_together(store: RatingStore, tmp_path: Path) -> None:
    """Wilson for 8 of 10 is 0.49 to 0.94: more votes are needed. Motion 0.9 / 1.0; CLIPScore 61 + (0 + 1/4) / 2."""
    plant_evaluation(tmp_path, "first", prompts=2)
    results, problems = read_evaluations(tmp_path)
    adapters = list_adapters("pocket", "horse")
    best, other = entries("horse", adapters, store.ratings("horse"), results["first"])
    assert (best.name, best.kind, best.status, best.ratings, problems) == ("dpo-1", "preference", "candidate", 40, [])
    assert (best.rate.wins, best.rate.losses, best.rate.against) == (8, 2, "motion")
    assert best.rate.motion == pytest.approx(0.9) and best.rate.votes_needed > 0 and best.standing is None
    assert best.system == "dpo-1" and best.figures["clip_score"].value == pytest.approx(61.125)
    assert best.figures["clip_score"].low is None, "two prompts are too few for an interval"
    assert other.rate is None and other.system == "motion" and other.figures["motion"].value > 1


def test_agreement_is_of_answers_given_before_names_were_seen(store: RatingStore, tmp_path: Path) -> None:
    """A second rater, of the other opinion on all ten pairs: 0 of 10 agree. Answers given anew do not count."""
    adapters = list_adapters("pocket", "horse")
    given = store.ratings("horse")
    others = [
        replace(one, rating_id=new_id(), rater="e" * 16, preference="b" if one.preference == "a" else "a")
        for one in given
    ]
    (best, _) = entries("horse", adapters, [*given, *others], None)
    assert best.alpha < 0
    (best, _) = entries("horse", adapters, [*given, *(replace(one, supersedes="f" * 16) for one in others)], None)
    assert best.alpha != best.alpha, "one blind rater agrees with nobody"


def test_frozen_clips_are_said_beside_an_adapter(store: RatingStore, tmp_path: Path) -> None:
    """Every second clip of dpo-1 stands still; motion and dynamic degree stand among its figures."""
    plant_evaluation(tmp_path, "first", prompts=2)
    results = read_evaluations(tmp_path)[0]["first"]
    half = [
        replace(clip, metrics={**clip.metrics, "still": 100.0}) if clip.prompt_id == "horse-00" else clip
        for clip in results.clips
    ]
    results = replace(results, clips=tuple(half))
    found = entries("horse", list_adapters("pocket", "horse"), store.ratings("horse"), results)
    sentence = "dpo-1: 50 % of its clips stand still."
    for table in (leaderboard(found), history(found)):
        assert sentence in table["note"]
        assert [column["title"] for column in table["columns"]][-2:] == ["Motion", "Dynamic degree"]
    assert "stars are not corrected" in " ".join(tables(results).split())
    assert sentence.removeprefix("dpo-1") in tables(results) and "Dynamic degree" in " ".join(page(results).split())


def share(adapter_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its card alone in a folder of shared adapters, as before a download; and that of motion nobody has."""
    shared = tmp_path / "hub" / "pocket" / "horse"
    shutil.copytree(adapter_folder, shared / "dpo-1", ignore=shutil.ignore_patterns("*.safetensors"))
    card = {"backbone": "pocket", "category": "horse", "kind": "motion", "created_at": "2031"}
    (shared / "gallop").mkdir()
    (shared / "gallop" / "card.json").write_text(json.dumps(card))
    monkeypatch.setattr("huvidpo.adapters.shared_root", lambda: tmp_path / "hub")


def test_adapters_that_have_not_been_fetched_take_nobody_s_place(
    store: RatingStore, tmp_path: Path, monkeypatch
) -> None:
    """dpo-1 is here and in the Hub's repository: one row, with its votes. What is only there has no figures yet."""
    plant_evaluation(tmp_path, "first", prompts=1)
    share(tmp_path / "adapters/pocket/horse/dpo-1", monkeypatch, tmp_path)
    results = read_evaluations(tmp_path)[0]["first"]
    without = System("no-adapter", "Without motion weights", {"adapter_revision/horse": ""})
    results = replace(results, systems=(*results.systems, without))
    adapters = list_adapters("pocket", "horse")
    assert sorted(one.name for one in adapters) == ["dpo-1", "dpo-1", "gallop", "motion"]
    found = {entry.name: entry for entry in entries("horse", adapters, store.ratings("horse"), results)}
    assert [*found] == ["dpo-1", "motion", "gallop"] and found["dpo-1"].rate.wins == 8
    assert found["dpo-1"].system == "dpo-1" and found["motion"].system == "motion"
    assert (found["gallop"].system, found["gallop"].figures, found["gallop"].created_at) == ("", {}, "2031")
    assert set(names_by_revision(adapters).values()) == {"none", "motion", "dpo-1"}


def test_what_lost_stands_below_what_it_lost_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUVIDPO_HOME", str(tmp_path))
    store = RatingStore(tmp_path)
    plant_votes(store, tmp_path / "clips", plant_candidate(tmp_path), 3, 6)
    found = entries("horse", list_adapters("pocket", "horse"), store.ratings("horse"), None)
    assert [entry.name for entry in found] == ["motion", "dpo-1"]


def test_another_revision_is_another_adapter(store: RatingStore, tmp_path: Path) -> None:
    plant_evaluation(tmp_path, "first", prompts=1)
    results, _ = read_evaluations(tmp_path)
    (tmp_path / "adapters/pocket/horse/dpo-1/preference_lora.safetensors").write_bytes(b"trained again")
    adapters = list_adapters("pocket", "horse")
    found = {entry.name: entry for entry in entries("horse", adapters, store.ratings("horse"), results["first"])}
    assert found["dpo-1"].rate is None and found["dpo-1"].system == "" and found["dpo-1"].figures == {}


def test_the_figures_of_an_adapter_are_not_those_of_an_ablation(store: RatingStore, tmp_path: Path) -> None:
    """An ablation with the same weights stands first in the file; where it stands alone, nothing is known."""
    plant_evaluation(tmp_path, "first", prompts=1)
    results = read_evaluations(tmp_path)[0]["first"]
    (adapter,) = (one for one in list_adapters("pocket", "horse") if one.name == "dpo-1")
    (plain,) = (system for system in results.systems if system.name == "dpo-1")
    changed = {"system.shared_noise": 0.0, "system.attention": "first", "system.recipe": "huvidpo"}
    for name, value in changed.items():
        ablation = System("ablation", "Ablation", {**plain.settings, name: value})
        assert evaluated_as(replace(results, systems=(ablation, plain)), "horse", adapter) == "dpo-1"
        assert evaluated_as(replace(results, systems=(ablation,)), "horse", adapter) == ""
    named = System("named", "Its own attention, by name", {**plain.settings, "system.attention": adapter.attention()})
    assert evaluated_as(replace(results, systems=(named,)), "horse", adapter) == "named"


def test_the_newest_evaluation_comes_first_and_a_broken_one_is_a_sentence(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        folder = tmp_path / "evaluations" / name
        folder.mkdir(parents=True)
        row = {"schema_version": 1, "backbone": "pocket", "created_at": "2030", "settings": {}}
        text = json.dumps(row | {"systems": [], "clips": [], "problems": []})
        (folder / RESULTS_FILE).write_text("{" if name == "two" else text)
    results, problems = read_evaluations(tmp_path)
    assert [name for name in results if name != "shipped"] == ["three", "one"]
    assert len(problems) == 1 and "two" in problems[0]
    assert next(iter(find_evaluations(tmp_path))) == "three"
    own = tmp_path / "evaluations" / "shipped"
    (tmp_path / "evaluations" / "one").rename(own)
    assert find_evaluations(tmp_path)["shipped"] == own, "one's own of that name"


def test_an_evaluation_of_the_page_s_own_backbone_comes_first(tmp_path: Path, results: Results) -> None:
    other = replace(results, backbone="sd14")
    assert first_with({"a": results, "b": other}, "sd14", "horse") == "b"
    assert first_with({"a": results, "b": other}, "pocket", "horse") == "a"
    assert first_with({"a": results}, "sd14", "horse") == "a" == first_with({"a": results}, "sd14", "rain")
    assert first_with({}, "sd14", "horse") is None


@pytest.fixture
def results(store: RatingStore, tmp_path: Path) -> Results:
    return read_results(plant_evaluation(tmp_path, "first", prompts=1))


@pytest.mark.slow
def test_the_documented_tables_are_those_of_the_shipped_figures() -> None:
    """docs/evaluation.md ends in what the command printed, and the files beside it still give exactly that."""
    text = (SHIPPED.parent / "evaluation.md").read_text(encoding="utf-8")
    assert tables(read_results(SHIPPED)).partition("\n\n")[2].strip() in text
