"""Results of an evaluation: into a file and back, files of others refused, figures by hand."""

import dataclasses
import json
from pathlib import Path

import pytest

from huvidpo.evaluation.results import ClipResult, Results, System, read_results, write_results
from huvidpo.evaluation.summary import by_prompt, difference, figure, measured


def clip(system: str, prompt_id: str, seed: int, **metrics: float) -> ClipResult:
    file = f"clips/{system}/{prompt_id}-{seed}.mp4"
    return ClipResult(system, prompt_id.split("-")[0], prompt_id, f"prompt {prompt_id}", seed, file, metrics)


@pytest.fixture
def results() -> Results:
    """Two systems; `ours` has two seeds of its first prompt, `theirs` lacks the last prompt."""
    return Results(
        backbone="pocket",
        created_at="2026-01-01T00:00:00+00:00",
        settings={"seeds": 2, "huvidpo": "0.1.0"},
        systems=(System("ours", "Ours", {"guidance": 2.5}), System("theirs", "Theirs <b>", {})),
        clips=(
            clip("ours", "horse-01", 0, ssim=80.0),
            clip("ours", "horse-01", 1, ssim=90.0),
            clip("ours", "horse-02", 0, ssim=70.0),
            clip("ours", "rain-01", 0, ssim=10.0),
            clip("theirs", "horse-01", 0, ssim=75.0, motion=1.0),
            clip("theirs", "horse-02", 0, ssim=71.0),
        ),
        problems=("Theirs has no clip for rain-01.",),
    )


def test_what_was_written_is_read(results: Results, tmp_path: Path) -> None:
    write_results(results, tmp_path)
    assert read_results(tmp_path) == results
    assert results.categories() == ["horse", "rain"] and results.metrics() == ["ssim", "motion"]


def test_a_prompt_counts_once(results: Results) -> None:
    """horse-01 has (80 + 90) / 2 = 85, horse-02 70: the mean is 77.5, not (80 + 90 + 70) / 3 = 80."""
    assert by_prompt(measured(results, "ours", "ssim", "horse")) == [85.0, 70.0]
    found = figure(results, "ours", "ssim", "horse")
    assert (found.value, found.low, found.high, found.count) == (77.5, None, None, 2), "two prompts give no interval"
    assert figure(results, "ours", "ssim").value == pytest.approx(165 / 3)
    assert figure(results, "ours", "motion") is None


def test_the_interval_is_over_prompts_and_not_over_clips(results: Results) -> None:
    """Fifty seeds of each of five prompts that differ widely and whose seeds agree: as wide as with one seed."""
    levels = (10.0, 30.0, 50.0, 70.0, 90.0)
    few, many = (
        tuple(clip("ours", f"horse-{i}", seed, ssim=level) for i, level in enumerate(levels) for seed in range(seeds))
        for seeds in (1, 50)
    )
    once, often = (figure(dataclasses.replace(results, clips=clips), "ours", "ssim") for clips in (few, many))
    assert once == often and once.value == 50 and once.high - once.low > 30


def test_a_difference_is_over_shared_prompts_and_seeds(results: Results) -> None:
    """horse-01, of which both have seed 0: 80 - 75 = 5; horse-02: 70 - 71 = -1; rain-01 only one has: 2."""
    found = difference(results, "ours", "theirs", "ssim")
    assert (found.value, found.count) == (2.0, 2)
    assert difference(results, "ours", "theirs", "motion") is None


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"schema_version": 2}, "schema_version is 2"),
        ({"file": "../../secret.mp4"}, "lies outside"),
        ({"file": "/etc/passwd"}, "lies outside"),
        ({"file": "C:\\clip.mp4"}, "lies outside"),
        ({"metrics": {"ssim": "high"}}, "ssim is not a number"),
        ({"metrics": {"ssim": 10**400}}, "ssim is not a number"),
        ({"metrics": {"motion": 1e308}}, "motion is not a number, or no measure"),
        ({"metrics": {"still": 500}}, "still is 500, which is no share"),
        ({"metrics": {"ssim": float("nan")}}, "not a plain one"),
        ({"seed": "0"}, "seed"),
        ({"system": "another"}, "not in the list"),
    ],
)
def test_files_of_others_are_checked(results: Results, tmp_path: Path, change: dict, sentence: str) -> None:
    row = {"schema_version": 1, **dataclasses.asdict(results)}
    (row if "schema_version" in change else row["clips"][0]).update(change)
    (tmp_path / "results.json").write_text(json.dumps(row))
    with pytest.raises(ValueError, match=sentence):
        read_results(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", "[" * 100_000, '{"schema_version": 1, "systems": 3}'])
def test_broken_files_end_with_a_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(ValueError, match=r"results\.json"):
        read_results(tmp_path)


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="huvidpo evaluate"):
        read_results(tmp_path)
