"""The command `winrate`: what stands beside a win rate, in JSON and in words. Real adapters' folders, a real store."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from huvidpo.adapters import Adapter, read_adapter
from huvidpo.cli import main
from huvidpo.preferences.records import Rating, new_id, new_pair
from huvidpo.preferences.store import RatingStore
from tests.ui.planted import plant_candidate, plant_pair, plant_votes

ASKED = ("winrate", "--category", "horse")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RatingStore]:
    """The shipped adapters, a candidate, and 8 votes of 10 for it, each on a prompt of its own."""
    monkeypatch.setenv("HUVIDPO_HOME", str(tmp_path))
    monkeypatch.setenv("HUVIDPO_BACKBONE", "pocket")
    with closing(RatingStore(tmp_path)) as store:
        plant_votes(store, tmp_path / "clips", plant_candidate(tmp_path), 8, 2)
        yield store


@pytest.fixture
def said(capsys: pytest.CaptureFixture) -> Callable[..., str]:
    """Runs the command and gives its stdout."""

    def run(*options: str) -> str:
        assert main([*ASKED, *options]) == 0
        return capsys.readouterr().out

    return run


def test_what_stands_beside_a_win_rate(store: RatingStore, said) -> None:
    """8 of 10, then 2 ties of another person on pairs of the first: (8 + 1) / 12 = 75 % with ties halved.

    Alpha over the two pairs with two answers: a, tie and a, tie never agree; D_o = 1, D_e = 8 / 12: 1 - 12 / 8 = -0.5.
    """
    for rating in store.ratings("horse")[:2]:
        store.append(replace(rating, rating_id=new_id(), rater="e" * 16, preference="tie_good"))
    row = json.loads(said("--json"))
    assert (row["adapter"], row["against"], row["wins"], row["losses"], row["ties"]) == ("dpo-1", "motion", 8, 2, 2)
    assert row["halved"] == pytest.approx(0.75) and row["halved_interval"][0] < 0.75 < row["halved_interval"][1]
    assert row["clustered"][0] < 0.8 < row["clustered"][1] and row["prompts"] == 10
    assert row["alpha"] == pytest.approx(-0.5)
    assert row["passed"] is False and row["needed"] == "about 14 more votes" and row["votes_needed"] == 14
    assert row["ranking"] == [] and row["unranked"] == "", "two adapters need none"
    text = said()
    assert "With ties halved 75%; interval over prompts" in text and "(Krippendorff's alpha) -0.50" in text
    assert "8 won, 2 lost, 2 ties on 10 prompts; win rate 80% [49%, 94%]; motion 90%" in text


def another(candidate: Adapter) -> Adapter:
    """An adapter `dpo-2`, likewise."""
    folder = candidate.folder.with_name("dpo-2")
    shutil.copytree(candidate.folder, folder)
    (folder / "preference_lora.safetensors").write_bytes(b"of another run")
    return read_adapter(folder)


def test_three_adapters_are_ranked(store: RatingStore, tmp_path: Path, said) -> None:
    """dpo-2 wins four of five against dpo-1, which wins eight of ten against what both began as."""
    first = read_adapter(tmp_path / "adapters/pocket/horse/dpo-1")
    second = another(first)
    for i in range(5):
        pair = plant_pair(store, tmp_path / "clips", 900 + i, prompt=f"a horse to compare, number {i}")
        a, b = (
            replace(take, adapter=adapter.name, adapter_revision=adapter.revision(), motion=1.0)
            for take, adapter in ((pair.a, second), (pair.b, first))
        )
        voted = replace(new_pair(a, b, f"{pair.prompt}, again", "horse", "queue", "independent"), split="measure")
        store.add_pair(voted)
        store.append(Rating(new_id(), voted, "a" if i else "b", "a", "d" * 16))
    row = json.loads(said("--adapter", "dpo-2", "--json"))
    assert [one["system"] for one in row["ranking"]] == ["dpo-2", "dpo-1", "motion"]
    best = row["ranking"][0]
    assert best["low"] < best["strength"] < best["high"] and best["against_average"] > 0.5
    assert re.search(r"1\. dpo-2: preferred to an average one in \d+% \[\d+%, \d+%\]", said("--adapter", "dpo-2"))
    assert json.loads(said("--adapter", "dpo-2", "--against", "dpo-1", "--json"))["ranking"] == []


def test_nothing_is_known_without_votes(store: RatingStore, tmp_path: Path, said) -> None:
    another(read_adapter(tmp_path / "adapters/pocket/horse/dpo-1"))
    row = json.loads(said("--adapter", "dpo-2", "--json"))
    assert (row["wins"], row["halved"], row["alpha"], row["clustered"]) == (0, None, None, None)
    assert "0 won, 0 lost, 0 ties on 0 prompts; win rate -; motion not measured." in said("--adapter", "dpo-2")
