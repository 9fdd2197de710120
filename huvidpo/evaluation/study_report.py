"""What the answers of a study say: marks, win rates, a ranking, agreement, each with its interval; and a CSV file."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from statistics import fmean
from typing import Any

from huvidpo.evaluation.estimates import clustered_interval
from huvidpo.evaluation.ranking import Standing, ranking_of
from huvidpo.evaluation.study import QUESTIONS, Study, StudyAnswer
from huvidpo.evaluation.verdict import Comparison, WinRate, win_rates
from huvidpo.preferences.export import harmless
from huvidpo.preferences.gate import needed_words
from huvidpo.preferences.records import Answers
from huvidpo.preferences.statistics import krippendorff_alpha

OVERALL = "overall"  # the mean of the three questions


@dataclass(frozen=True)
class Mark:
    """A system's mean answer to a question, 1 to 5."""

    system: str
    question: str  # one of QUESTIONS, or OVERALL
    mean: float
    interval: tuple[float, float] | None  # 95 %, had other prompts been drawn; see `clustered_interval`
    answers: int

    @property
    def percent(self) -> float:
        """The mean as percent of the scale, where 1 is 0 and 5 is 100; the paper gives percent without saying how."""
        return 100 * (self.mean - 1) / 4


@dataclass(frozen=True)
class StudyReport:
    """Everything that is shown about a study's answers."""

    name: str
    prompts: int
    systems: tuple[str, ...]
    participants: int
    finished: int  # of them, who answered about every clip
    answers: int
    marks: tuple[Mark, ...]
    alpha: dict[str, float]  # question -> Krippendorff's alpha, interval; nan where nothing can be said
    win_rates: tuple[WinRate, ...]  # by the overall marks that one person gave two clips of one prompt
    ranking: tuple[Standing, ...]  # Davidson's; empty for two systems, and where there is none
    unranked: str  # why there is none, in a sentence; "" else
    motion: dict[str, float]  # system -> mean motion of its clips
    still: dict[str, float]  # system -> how many percent of its clips stand still
    titles: dict[str, str]  # system -> what it is, for people

    def to_row(self) -> dict[str, Any]:
        """Plain values for JSON; None where nothing is known."""
        row = asdict(self)
        row["alpha"] = {question: known(alpha) for question, alpha in self.alpha.items()}
        for rate, plain in zip(self.win_rates, row["win_rates"], strict=True):
            plain |= {"win_rate": known(rate.decided.value), "interval": rate.decided.interval}
            needed = rate.votes_needed
            plain |= {"halved": known(rate.halved), "votes_needed": needed, "needed": needed_words(needed)}
        for mark, plain in zip(self.marks, row["marks"], strict=True):
            plain |= {"mean": known(mark.mean), "percent": known(mark.percent)}
        return row | {"ranking": [standing.to_row() for standing in self.ranking]}


def known(value: float) -> float | None:
    """None in the place of nan and of infinity, which JSON lacks."""
    return value if abs(value) < float("inf") else None


def study_report(study: Study, answers: Sequence[StudyAnswer]) -> StudyReport:
    """The figures of a study."""
    said: dict[str, int] = {}
    for answer in answers:
        said[answer.participant] = said.get(answer.participant, 0) + 1
    comparisons = comparisons_of(study, answers)
    ranking, unranked = ranking_of(comparisons)
    clips = {name: [clip for clip in study.clips if clip.system == name] for name in study.systems}
    return StudyReport(
        name=study.name,
        prompts=len(study.prompts),
        systems=tuple(study.systems),
        participants=len(said),
        finished=sum(count == len(study.clips) for count in said.values()),
        answers=len(answers),
        marks=tuple(
            mark(study, answers, name, question) for name in study.systems for question in (*QUESTIONS, OVERALL)
        ),
        alpha={question: agreement(answers, question) for question in QUESTIONS},
        win_rates=tuple(win_rates(comparisons)),
        ranking=tuple(ranking),
        unranked=unranked,
        motion={name: fmean(clip.motion for clip in own) for name, own in clips.items()},
        still={name: 100 * fmean(clip.still for clip in own) for name, own in clips.items()},
        titles={name: study.title(name) for name in study.systems},
    )


def mark(study: Study, answers: Iterable[StudyAnswer], system: str, question: str) -> Mark:
    """A system's mean answer to a question; nan without answers."""
    by_prompt: dict[str, list[float]] = {}
    for answer in answers:
        clip = study.clips[answer.place]
        if clip.system == system:
            by_prompt.setdefault(clip.prompt, []).append(value(answer.answers, question))
    values = [one for given in by_prompt.values() for one in given]
    sums, counts = [sum(given) for given in by_prompt.values()], [len(given) for given in by_prompt.values()]
    mean = fmean(values) if values else float("nan")
    return Mark(system, question, mean, clustered_interval(sums, counts), len(values))


def value(answers: Answers, question: str) -> float:
    """What was answered to a question, or the mean of all three."""
    if question == OVERALL:
        return fmean(getattr(answers, name) for name in QUESTIONS)
    return getattr(answers, question)


def agreement(answers: Iterable[StudyAnswer], question: str) -> float:
    """Krippendorff's alpha of the participants' answers to a question, with the differences of numbers."""
    units: dict[int, list[float]] = {}
    for answer in answers:
        units.setdefault(answer.place, []).append(value(answer.answers, question))
    return krippendorff_alpha(list(units.values()), interval=True)


def comparisons_of(study: Study, answers: Iterable[StudyAnswer]) -> list[Comparison]:
    """Each person's marks of two systems for one prompt as a choice between them; equal marks are a tie."""
    marked: dict[tuple[str, str], dict[str, tuple[float, float]]] = {}
    for answer in answers:
        clip = study.clips[answer.place]
        systems = marked.setdefault((answer.participant, clip.prompt), {})
        systems[clip.system] = value(answer.answers, OVERALL), clip.motion
    found = []
    for (participant, prompt), systems in marked.items():
        for first, second in combinations(sorted(systems), 2):
            (mark_1, motion_1), (mark_2, motion_2) = systems[first], systems[second]
            outcome = "tie" if mark_1 == mark_2 else "first" if mark_1 > mark_2 else "second"
            found.append(Comparison(prompt, first, second, outcome, participant, motion_1, motion_2))
    return found


def to_csv(study: Study, answers: Iterable[StudyAnswer]) -> str:
    """One line for each answer that counts, with a head."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["study", "participant", "prompt", "system", *QUESTIONS, "motion", "answered_at"])
    for answer in answers:
        clip = study.clips[answer.place]
        marks = [getattr(answer.answers, question) for question in QUESTIONS]
        writer.writerow(
            [study.name, answer.participant, harmless(clip.prompt), harmless(clip.system), *marks, clip.motion,
             answer.answered_at]
        )  # fmt: skip
    return text.getvalue()
