"""Studies: what is kept, what is refused, what the answers say; and the command. Real files, real SQLite."""

import csv
import json
import shutil
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest

from huvidpo.cli import main
from huvidpo.commands.studies import clips_of_one_seed
from huvidpo.evaluation.results import ClipResult, Results, System, write_results
from huvidpo.evaluation.study import (
    QUESTIONS,
    Study,
    StudyAnswers,
    StudyClip,
    answers_of,
    create_study,
    list_studies,
    read_study,
    spread,
)
from huvidpo.evaluation.study_report import study_report, to_csv
from huvidpo.preferences.fields import from_fields
from huvidpo.preferences.records import Answers
from huvidpo.ui.evaluate_tables import marks, rates
from huvidpo.ui.study import StudyPage
from huvidpo.video import write_mp4

ANN, BEN = "a" * 16, "b" * 16
SYSTEMS = ("lamp", "ours", "still")


def write_clip(path: Path, number: int, step: int) -> Path:
    """4 frames of 32x32: a square that moves by `step` pixels a frame."""
    frames = np.full((4, 32, 32, 3), 40 + number, np.uint8)
    for i, frame in enumerate(frames):
        frame[12:20, 4 + step * i : 12 + step * i] = 220
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_mp4(frames, path, 8)


def made_clips(folder: Path, prompts: int = 6) -> dict[str, dict[str, Path]]:
    """prompt -> system -> file; `still` does not move."""
    return {
        f"prompt {i}": {
            system: write_clip(folder / "clips" / system / f"{i}.mp4", 10 * i + place, 0 if system == "still" else 3)
            for place, system in enumerate(SYSTEMS)
        }
        for i in range(prompts)
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A home with the study `first`, and the clips that it was made of."""
    folder = tmp_path_factory.mktemp("made")
    create_study(folder, "first", made_clips(folder))
    return folder


@pytest.fixture
def study(made: Path, tmp_path: Path) -> Study:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return read_study(tmp_path, "first")


def place_of(study: Study, prompt: int, system: str) -> int:
    found = [i for i, clip in enumerate(study.clips) if (clip.prompt, clip.system) == (f"prompt {prompt}", system)]
    return found[0]


def test_a_study_is_kept_whole(study: Study, tmp_path: Path) -> None:
    assert read_study(tmp_path, "first") == study and list_studies(tmp_path) == ["first"]
    assert study.systems == list(SYSTEMS) and len(study.prompts) == 6 and len(study.clips) == 18
    by_name = {clip.system: clip.motion for clip in study.clips}
    assert by_name["still"] < 0.1 < by_name["ours"]
    answers = StudyAnswers(tmp_path, study)
    assert all(answers.clip_path(place).is_file() for place in range(18))
    with pytest.raises(ValueError, match="already"):
        create_study(tmp_path, "first", {"prompt 0": {name: tmp_path / "clips" / name / "0.mp4" for name in SYSTEMS}})


def test_what_is_broken_or_missing_is_left_out_with_a_sentence(tmp_path: Path) -> None:
    clips = made_clips(tmp_path, 3)
    clips["prompt 0"]["lamp"].write_bytes(b"no clip")
    del clips["prompt 1"]["still"]
    study, problems = create_study(tmp_path, "rest", clips)
    assert study.prompts == ["prompt 2"]
    assert "'prompt 0' was left out" in problems[0] and "still has no clip of it" in problems[1]
    del clips["prompt 2"]
    with pytest.raises(ValueError, match="Nothing is left to show"):
        create_study(tmp_path, "nothing", clips)
    assert [folder.name for folder in (tmp_path / "studies").iterdir()] == ["rest"], "nothing half-made stays"


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", "x" * 65, "-a", None, 5])
def test_names_from_anyone(name, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="A study's name"):
        read_study(tmp_path, name)


def test_unfit_study_files_are_a_sentence(study: Study, tmp_path: Path) -> None:
    file = tmp_path / "studies" / "first" / "study.json"
    row = json.loads(file.read_text())
    row["clips"][0]["sha256"] = "../../secret"
    for text in (json.dumps(row), "[" * 100_000, "{}", "null"):
        file.write_text(text)
        with pytest.raises(ValueError, match="cannot be read"):
            read_study(tmp_path, "first")
    with pytest.raises(ValueError, match="There is no study"):
        read_study(tmp_path, "second")


def test_answers_are_appended_and_the_last_one_counts(study: Study, tmp_path: Path) -> None:
    answers = StudyAnswers(tmp_path, study)
    answers.append(ANN, 2, Answers(1, 2, 3))
    answers.append(BEN, 2, Answers(5, 5, 5))
    answers.append(ANN, 2, Answers(4, 4, 4))
    answers.append(ANN, 7, Answers(1, 1, 1))
    again = StudyAnswers(tmp_path, read_study(tmp_path, "first"))
    assert again.answered(ANN) == {2: Answers(4, 4, 4), 7: Answers(1, 1, 1)} and list(again.answered(BEN)) == [2]
    assert [(one.participant, one.place) for one in again.answers()] == [(BEN, 2), (ANN, 2), (ANN, 7)]
    rows = sqlite3.connect(tmp_path / "studies/first/answers.db").execute("SELECT COUNT(*) FROM answers").fetchone()
    assert rows == (4,), "what was said before is still there"


@pytest.mark.parametrize(
    "participant, place, given",
    [("ann", 0, (1, 1, 1)), (ANN, 18, (1, 1, 1)), (ANN, -1, (1, 1, 1)), (ANN, "0", (1, 1, 1)), (ANN, 0, (1, 0, 1))],
)
def test_unfit_answers_are_refused(study: Study, tmp_path: Path, participant, place, given) -> None:
    answers = StudyAnswers(tmp_path, study)
    with pytest.raises(ValueError):
        answers.append(participant, place, Answers(*given))
    assert answers.answers() == []


def test_everyone_sees_each_clip_once_in_an_order_of_their_own(study: Study, tmp_path: Path) -> None:
    answers = StudyAnswers(tmp_path, study)
    order = answers.order(ANN)
    assert sorted(order) == list(range(18)) and order == answers.order(ANN) != answers.order(BEN)
    seen = [study.clips[place].prompt for place in order]
    assert all(len(set(seen[i : i + 3])) == 1 for i in range(0, 18, 3)), "the clips of a prompt follow each other"
    firsts = [answers.order(f"{i:016x}")[0] % 3 for i in range(300)]
    assert min(firsts.count(system) for system in range(3)) > 60, "no system is the first one more often"


def test_the_report_by_hand(study: Study, tmp_path: Path) -> None:
    """Ann on prompt 0: lamp 3 3 3, ours 5 4 3 (mean 4), still 3 4 2 (mean 3). Ben on prompt 1: ours 2 2 2, lamp 1 1 1.

    lamp: overall (3 + 1) / 2 = 2; ours (4 + 2) / 2 = 3. ours against lamp: 2 of 2. lamp against still: a tie.
    """
    answers = StudyAnswers(tmp_path, study)
    for who, prompt, system, given in (
        (ANN, 0, "lamp", (3, 3, 3)), (ANN, 0, "ours", (5, 4, 3)), (ANN, 0, "still", (3, 4, 2)),
        (BEN, 1, "ours", (2, 2, 2)), (BEN, 1, "lamp", (1, 1, 1)),
    ):  # fmt: skip
        answers.append(who, place_of(study, prompt, system), Answers(*given))
    report = study_report(*answers_of(tmp_path, "first"))
    assert (report.participants, report.finished, report.answers) == (2, 0, 5)
    marks = {(mark.system, mark.question): mark for mark in report.marks}
    assert marks["lamp", "overall"].mean == 2 and marks["ours", "overall"].mean == pytest.approx(3)
    assert marks["ours", "alignment"].mean == 3.5 and marks["ours", "alignment"].interval is None
    rates = {(rate.system, rate.against): rate for rate in report.win_rates}
    assert (rates["lamp", "ours"].wins, rates["lamp", "ours"].losses) == (0, 2)
    assert (rates["lamp", "still"].ties, rates["ours", "still"].wins) == (1, 1)
    assert rates["lamp", "ours"].motion == pytest.approx(1, rel=0.1), "both move three pixels a frame"
    assert report.ranking[0].system == "ours" and report.motion["still"] < 0.1
    json.dumps(report.to_row(), allow_nan=False)
    empty = study_report(study, [])
    json.dumps(empty.to_row(), allow_nan=False)
    assert empty.ranking == () and empty.participants == 0


def test_marks_are_percent_of_the_scale_and_frozen_clips_are_known(study: Study, tmp_path: Path) -> None:
    """A mean of 4 on a scale from 1 to 5 is (4 - 1) / 4 = 75 %. The clips of `still` do not move at all."""
    answers = StudyAnswers(tmp_path, study)
    answers.append(ANN, place_of(study, 0, "ours"), Answers(5, 4, 3))
    report = study_report(*answers_of(tmp_path, "first"))
    row = next(row for row in report.to_row()["marks"] if (row["system"], row["question"]) == ("ours", "overall"))
    assert (row["mean"], row["percent"]) == (4, 75)
    assert report.still == {"lamp": 0, "ours": 0, "still": 100}
    shown = marks(report)
    assert "still: 100 % of its clips stand still." in shown["note"] and "HuViDPO quality 83.9" in shown["note"]
    assert "75 %" in str(shown["rows"])
    old = {name: value for name, value in vars(study.clips[0]).items() if name != "still"}
    assert from_fields(StudyClip, old).still is False, "older studies do not say"


def test_systems_that_never_met_are_not_ranked(tmp_path: Path) -> None:
    """Ann marks two systems on one prompt, Ben two others: nobody knows who of them is the best."""
    files = next(iter(made_clips(tmp_path, 1).values()))
    study, _ = create_study(tmp_path, "four", {"prompt 0": {**files, "more": files["ours"]}})
    answers = StudyAnswers(tmp_path, study)
    for who, pair in ((ANN, ("lamp", "ours")), (BEN, ("still", "more"))):
        for mark, system in enumerate(pair, start=2):
            answers.append(who, place_of(study, 0, system), Answers(mark, mark, mark))
    report = study_report(*answers_of(tmp_path, "four"))
    assert report.ranking == () and "never compared" in report.unranked
    row = report.to_row()
    assert row["unranked"] == report.unranked and "more vote" in row["win_rates"][0]["needed"]
    assert report.unranked in rates(report)["note"]


def test_csv_has_a_line_for_each_answer_and_no_formulas(tmp_path: Path) -> None:
    clips = {"=cmd|' /C calc'!A0": next(iter(made_clips(tmp_path, 1).values()))}
    study, _ = create_study(tmp_path, "hostile", clips)
    answers = StudyAnswers(tmp_path, study)
    answers.append(ANN, 1, Answers(1, 2, 5))
    (row,) = csv.DictReader(to_csv(study, answers.answers()).splitlines())
    assert (row["system"], row["alignment"], row["quality"], row["consistency"]) == ("ours", "1", "2", "5")
    assert row["participant"] == ANN and row["prompt"].startswith("'=")


def test_prompts_come_from_the_categories_in_turn() -> None:
    prompts = [("horse", "h1"), ("horse", "h2"), ("rain", "r1"), ("horse", "h3")]
    assert spread(prompts, 3) == ["h1", "r1", "h2"] and spread(prompts, 9) == ["h1", "r1", "h2", "h3"]


@pytest.fixture
def evaluation(made: Path, tmp_path: Path) -> Path:
    """An evaluation folder of three systems, six prompts, one seed."""
    folder = tmp_path / "evaluation"
    shutil.copytree(made / "clips", folder / "clips")
    clips = tuple(
        ClipResult(system, "horse", f"horse-{i:02}", f"prompt {i}", 0, f"clips/{system}/{i}.mp4", {})
        for i in range(6)
        for system in SYSTEMS
    )
    systems = tuple(System(name, name.title(), {}) for name in SYSTEMS)
    write_results(Results("pocket", "2026-01-01T00:00:00+00:00", {}, systems, clips), folder)
    return folder


@pytest.mark.slow
def test_the_command(evaluation: Path, own_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    create = ["study", "create", "round-1", "--evaluation", str(evaluation), "--systems", "lamp,ours"]
    assert main([*create, "--prompts", "5", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["link"] == "/?study=round-1" and made["systems"] == ["lamp", "ours"] and len(made["prompts"]) == 5
    answers = StudyAnswers(own_home, read_study(own_home, "round-1"))
    for place in range(10):
        answers.append(ANN, place, Answers(4, 4, 4 + place % 2))
    assert main(["study", "results", "round-1", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    (rate,) = said["win_rates"]
    assert said["finished"] == 1 and rate["losses"] == 5 and rate["win_rate"] == 0
    assert main(["study", "results", "round-1"]) == 0
    lines = capsys.readouterr().out
    assert "1 people, 1 to the end" in lines and "(75 %)" in lines and "LAMP quality 72.5" in lines
    assert "needed for a decision: about " in lines and " more votes" in lines
    assert "Lamp against Ours" in lines and said["titles"] == {"lamp": "Lamp", "ours": "Ours"}
    report = study_report(*answers_of(own_home, "round-1"))
    assert marks(report)["rows"][0]["cells"][0]["text"] == rates(report)["rows"][0]["cells"][0]["text"] == "Lamp"
    (own_home / "studies" / "broken").mkdir()
    (own_home / "studies" / "broken" / "study.json").write_text("{")
    assert main(["study", "list"]) == 0
    listed = capsys.readouterr().out
    assert "round-1: 10 answers by 1" in listed and "The study 'broken' cannot be read" in listed
    assert main(["study", "export", "round-1", "--out", str(tmp_path / "round-1.csv")]) == 0
    assert len((tmp_path / "round-1.csv").read_text().splitlines()) == 11


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["create", "x", "--evaluation", "nowhere"], "nowhere holds no results.json"),
        (["results", "x"], "There is no study 'x'."),
        (["results", "../x"], "A study's name"),
        (["export", "x", "--out", "x.txt"], "--out must end in .csv"),
        ([], "required"),
    ],
)
def test_the_command_s_bad_input(own_home, capsys, tmp_path, monkeypatch, arguments, sentence) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["study", *arguments]) == 2 and sentence in capsys.readouterr().err


def test_prompts_that_every_system_has_come_first(evaluation: Path, own_home: Path, capsys) -> None:
    """Of six prompts the first two lack a clip: four whole ones are asked for and come, five bring a sentence."""
    for i, system in ((0, "ours"), (1, "lamp")):
        (evaluation / "clips" / system / f"{i}.mp4").unlink()
    create = ["--json", "study", "create", "--evaluation", str(evaluation)]
    assert main([*create, "four", "--prompts", "4"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["prompts"] == [f"prompt {i}" for i in (2, 3, 4, 5)] and made["problems"] == []
    assert main([*create, "five", "--prompts", "5"]) == 0
    assert "'prompt 0' was left out" in json.loads(capsys.readouterr().out)["problems"][0]
    assert main([*create, "none", "--prompts", "-1"]) == 2 and "--prompts must be 1 or more" in capsys.readouterr().err


def test_an_unknown_system_is_named(evaluation: Path, own_home: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["study", "create", "x", "--evaluation", str(evaluation), "--systems", "lamp,sora"]) == 2
    assert "There is no system 'sora'" in capsys.readouterr().err


def test_a_prompt_s_clips_are_of_one_seed(tmp_path: Path) -> None:
    """Seed 1, which both systems have, and not each system's own first one; of their own where none is common."""
    both, alone = ("both", [("ours", 0), ("ours", 1), ("lamp", 1)]), ("alone", [("ours", 0), ("lamp", 1)])
    clips = [
        ClipResult(system, "horse", f"horse-{prompt}", prompt, seed, f"{system}/{prompt}-{seed}.mp4", {})
        for prompt, made in (both, alone)
        for system, seed in made
    ]
    results = Results("pocket", "2026-01-01", {}, (), tuple(clips))
    found = clips_of_one_seed(results, "horse-both", ["ours", "lamp"], tmp_path)
    assert found == {system: tmp_path / f"{system}/both-1.mp4" for system in ("ours", "lamp")}
    assert clips_of_one_seed(results, "horse-alone", ["ours", "lamp"], tmp_path) == {
        "ours": tmp_path / "ours/alone-0.mp4"
    }


def marked(page: StudyPage, name: str, known: object, position: int) -> None:
    event = SimpleNamespace(_data={"position": position, "answers": dict.fromkeys(QUESTIONS, 3)})
    page.on_mark(name, known, event)


@pytest.mark.slow
def test_nobody_stuffs_a_study_and_one_made_anew_is_another(own_home: Path, tmp_path: Path, monkeypatch) -> None:
    with gr.Blocks() as blocks:
        page = StudyPage(blocks)
    create_study(own_home, "first", made_clips(tmp_path))
    with pytest.raises(gr.Error, match="no longer open here"):
        marked(page, "first", "", 0)  # else each mark would be somebody new
    for position in range(18):
        marked(page, "first", "0" * 32, position)
    page.crowd.most = 20
    marked(page, "first", "1" * 32, 0)
    marked(page, "first", "2" * 32, 0)
    with pytest.raises(gr.Error, match="please go on in"):
        marked(page, "first", "3" * 32, 0)
    assert len(answers_of(own_home, "first")[1]) == 20
    shutil.rmtree(own_home / "studies" / "first")
    create_study(own_home, "first", made_clips(tmp_path / "anew"))
    page.crowd.most = 600
    marked(page, "first", "0" * 32, 0)
    assert len(answers_of(own_home, "first")[1]) == 1, "kept in the new one, not in what was removed"
