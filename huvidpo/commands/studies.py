"""The command `study`: a study made from an evaluation, its results, its answers as CSV."""

import math
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from huvidpo.atomic import write_whole
from huvidpo.commands.common import answer, check_out, names_in
from huvidpo.home import home

if TYPE_CHECKING:
    from huvidpo.evaluation.results import Results


def create(arguments: Namespace) -> None:
    """`study create`: of each prompt one seed, of the named systems, prompts from all categories in turn."""
    from huvidpo.evaluation.results import read_results
    from huvidpo.evaluation.study import create_study

    results = read_results(arguments.evaluation)
    known = [system.name for system in results.systems]
    systems = names_in(arguments.systems) or known
    if unknown := [name for name in systems if name not in known]:
        raise ValueError(f"There is no system {unknown[0]!r} in {arguments.evaluation}; it has: {', '.join(known)}.")
    if arguments.prompts < 1:
        raise ValueError(f"--prompts must be 1 or more, not {arguments.prompts}.")
    clips = clips_to_show(results, systems, arguments.evaluation, arguments.prompts)
    titles = {system.name: system.title for system in results.systems if system.name in systems}
    study, problems = create_study(home(), arguments.name, clips, titles)
    shown = f"{len(study.clips)} clips: {len(study.prompts)} prompts, {len(study.systems)} systems"
    link = f"/?study={study.name}"
    result = {"study": study.name, "prompts": study.prompts, "systems": study.systems, "problems": problems}
    answer(
        arguments, result | {"link": link}, [*problems, f"{study.name}: {shown}. Share the page's address + {link}"]
    )


def clips_to_show(results: "Results", systems: list[str], folder: Path, count: int) -> dict[str, dict[str, Path]]:
    """Prompt -> system -> clip of `count` prompts, of those that every system has first. A file may be missing."""
    from huvidpo.evaluation.study import spread

    first = {}  # prompt -> its first clip: the same words in two categories are one prompt to a person
    for clip in results.clips:
        first.setdefault(clip.prompt, clip)
    files = {prompt: clips_of_one_seed(results, clip.prompt_id, systems, folder) for prompt, clip in first.items()}
    whole = [prompt for prompt, own in files.items() if {name for name in own if own[name].is_file()} >= {*systems}]
    rest = [prompt for prompt in files if prompt not in whole]
    chosen = spread(((first[prompt].category, prompt) for prompt in whole), count)
    chosen += spread(((first[prompt].category, prompt) for prompt in rest), count - len(chosen))
    return {prompt: files[prompt] for prompt in chosen}


def clips_of_one_seed(results: "Results", prompt_id: str, systems: list[str], folder: Path) -> dict[str, Path]:
    """System -> its clip of a prompt, all of the seed that most systems have, else the first of those.

    Clips of two seeds have other first frames too: their marks would compare pictures.
    """
    by_seed: dict[int, dict[str, Path]] = {}
    for clip in results.clips:
        if clip.prompt_id == prompt_id and clip.system in systems:
            by_seed.setdefault(clip.seed, {}).setdefault(clip.system, folder / clip.file)
    return by_seed[min(by_seed, key=lambda seed: (-len(by_seed[seed]), seed))] if by_seed else {}


def listed(arguments: Namespace) -> None:
    """`study list`"""
    from huvidpo.evaluation.study import answers_of, list_studies

    rows, problems = [], []
    for name in list_studies(home()):
        try:
            study, answers = answers_of(home(), name)
        except ValueError as error:  # the others are listed all the same
            problems.append(str(error))
            continue
        people = len({one.participant for one in answers})
        rows.append({"study": name, "clips": len(study.clips), "participants": people, "answers": len(answers)})
    lines = [f"{row['study']}: {row['answers']} answers by {row['participants']} people" for row in rows]
    answer(arguments, {"studies": rows, "problems": problems}, [*lines, *problems] or ["There is no study yet."])


def results(arguments: Namespace) -> None:
    """`study results`"""
    from huvidpo.evaluation.paper import paper_study_words
    from huvidpo.evaluation.study import QUESTIONS, answers_of
    from huvidpo.evaluation.study_report import OVERALL, study_report
    from huvidpo.preferences.gate import motion_words, needed_words

    report = study_report(*answers_of(home(), arguments.name))
    lines = [f"{report.name}: {report.participants} people, {report.finished} to the end, {report.answers} answers."]
    if not report.answers:
        answer(arguments, report.to_row(), [*lines, "Nobody has answered yet."])
        return
    for system in report.systems:
        marks = [mark for mark in report.marks if mark.system == system and mark.answers]
        said = ", ".join(
            f"{mark.question} {mark.mean:.2f} ({mark.percent:.0f} %){between(mark.interval)}" for mark in marks
        )
        said = said or "no answers yet"
        frozen = f"; {report.still[system]:.0f} % of its clips stand still" if report.still[system] else ""
        lines.append(f"{report.titles[system]}: {said}; motion {report.motion[system]:.2f}{frozen}")
    for rate in report.win_rates:
        lines.append(
            f"{report.titles[rate.system]} against {report.titles[rate.against]}: {rate.decided}, "
            f"by prompt{between(rate.clustered)}; {rate.ties} ties; {motion_words(rate.motion)}; "
            f"needed for a decision: {needed_words(rate.votes_needed)}"
        )
    lines += [
        f"{place}. {report.titles[one.system]}: {one.strength:+.2f}{between((one.low, one.high))}"
        for place, one in enumerate(report.ranking, 1)
    ]
    lines += filter(None, [report.unranked])
    alphas = {name: report.alpha[name] for name in QUESTIONS if not math.isnan(report.alpha[name])}
    agreement = ", ".join(f"{name} {alpha:.2f}" for name, alpha in alphas.items())
    lines.append(f"Krippendorff's alpha: {agreement or 'not known yet'}")
    lines.append(f"{OVERALL} is the mean of the three questions; win rates are by it. [] are 95 % intervals.")
    lines.append(f"Percent are of the scale, where 1 is 0 and 5 is 100. {paper_study_words()}")
    answer(arguments, report.to_row(), lines)


def between(interval: tuple[float, float] | None) -> str:
    """ " [0.41, 0.72]", or that nothing is known."""
    known = interval is not None and all(map(math.isfinite, interval))
    return f" [{interval[0]:.2f}, {interval[1]:.2f}]" if known else " [no interval from these prompts]"


def export(arguments: Namespace) -> None:
    """`study export`"""
    check_out(arguments.out, (".csv",))
    from huvidpo.evaluation.study import answers_of
    from huvidpo.evaluation.study_report import to_csv

    study, answers = answers_of(home(), arguments.name)
    write_whole(arguments.out, to_csv(study, answers))
    answer(
        arguments, {"out": str(arguments.out), "answers": len(answers)}, [f"{len(answers)} answers: {arguments.out}"]
    )
