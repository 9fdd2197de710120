"""Figures as tables of the tab Evaluate: which columns, how a number reads. Knows nothing of where they come from."""

from collections.abc import Sequence
from typing import Any

from huvidpo.evaluation.board import Entry, figures_of
from huvidpo.evaluation.estimates import Estimate
from huvidpo.evaluation.metrics import METRICS
from huvidpo.evaluation.paper import paper_study_words
from huvidpo.evaluation.results import Results
from huvidpo.evaluation.study import QUESTIONS
from huvidpo.evaluation.study_report import OVERALL, Mark, StudyReport
from huvidpo.evaluation.tables import frozen_words, number_and_interval, titled
from huvidpo.evaluation.verdict import WinRate
from huvidpo.preferences.gate import MOST_MOTION, needed_words
from huvidpo.ui.table import Bar, Cell, Column, table_value

ON_BOARD = ("clip_score", "ssim", "mse", "motion", "dynamic")
IN_HISTORY = ("clip_score", "motion", "dynamic")
IN_SYSTEMS = ("clip_score", "ssim", "mse", "motion", "dynamic", "still", "action_seen", "subject_consistency", "seam")
NONE = Cell("–")
LEARNED_FROM = {"motion": "from clips", "preference": "from ratings"}
INTERVALS = "In brackets{}: 95 % intervals."
STILLNESS = "SSIM and MSE reward clips that stand still, so read them with motion."


def leaderboard(entries: Sequence[Entry]) -> dict[str, Any]:
    """Adapters, best first."""
    ranked = any(entry.standing for entry in entries)
    columns = [
        Column("Adapter"),
        Column("Preferred", "to what it was trained from"),
        Column("Motion kept"),
        Column("Agreement", "of raters"),
    ]
    columns += [Column("Against an average one")] * ranked
    columns += [Column(titled(metric)) for metric in ON_BOARD]
    rows = [
        [
            Cell(entry.name, said_of(entry), strong=entry.status == "default"),
            *rate_cells(entry.rate, entry.needed),
            Cell(f"{entry.alpha:.2f}") if entry.alpha == entry.alpha else NONE,
            *[standing_cell(entry)] * ranked,
            *[metric_cell(entry.figures.get(metric), metric) for metric in ON_BOARD],
        ]
        for entry in entries
    ]
    empty = "This action has no adapter yet: teach it one with `huvidpo train-motion`, then rate its clips."
    notes = [how_to_read(rows, measured=any(entry.figures for entry in entries)), frozen_entries(entries)]
    return table_value(*with_something(columns, rows), empty, " ".join(filter(None, notes)))


def history(entries: Sequence[Entry]) -> dict[str, Any]:
    """Adapters, oldest first."""
    columns = [
        Column("Version"),
        Column("Learned from"),
        Column("Preferred", "to the version before"),
        Column("Motion kept"),
    ]
    columns += [Column(titled(metric)) for metric in IN_HISTORY]
    rows = [
        [
            Cell(entry.name, entry.created_at[:10], strong=entry.status == "default"),
            Cell(f"{entry.ratings} ratings") if entry.ratings else Cell("clips") if entry.kind == "motion" else NONE,
            *rate_cells(entry.rate, entry.needed),
            *[metric_cell(entry.figures.get(metric), metric) for metric in IN_HISTORY],
        ]
        for entry in sorted(entries, key=lambda entry: entry.created_at)
    ]
    return table_value(*with_something(columns, rows), "There is no version yet.", frozen_entries(entries))


def frozen_entries(entries: Sequence[Entry]) -> str:
    """Whose clips stand still, in sentences: a frozen clip has good figures and is no video."""
    shares = {entry.name: entry.figures["still"].value for entry in entries if "still" in entry.figures}
    return " ".join(frozen_words(name, share) for name, share in shares.items() if share)


def systems(results: Results | None, category: str | None, how: str) -> dict[str, Any]:
    """All systems of an evaluation, in its order, that have clips in the category; without any, `how` to make some."""
    if results is None:
        return table_value([], [], f"Nothing has been evaluated here yet. {how}")
    measured = [metric for metric in IN_SYSTEMS if metric in results.metrics()]
    columns = [Column("System"), *[Column(titled(metric)) for metric in measured]]
    rows = []
    for system in results.systems:
        figures = figures_of(results, system.name, category)
        if figures:
            prompts = max(figure.count for figure in figures.values())
            cells = [metric_cell(figures.get(metric), metric) for metric in measured]
            rows.append([Cell(system.title, f"{prompts} prompts"), *cells])
    nothing = f"This evaluation has no clips of this action. {how}"
    notes = [f"Made with {results.backbone}.", how_to_read(rows, measured=bool(rows)), *results.problems]
    return table_value(*with_something(columns, rows), nothing, " ".join(filter(None, notes)))


def columns_explained() -> str:
    """What each column of the tables means, as a list in Markdown."""
    votes = {
        "Preferred": "blind votes for it among those for a side; its bar is Wilson's interval, the line is one half.",
        "Motion kept": "how much its clips move in those pairs, as a share of the other's.",
        "Agreement": "of raters who saw the same pairs, Krippendorff's alpha: 1 is always, 0 as by chance.",
    }
    measured = {METRICS[name].title: METRICS[name].about for name in dict.fromkeys((*ON_BOARD, *IN_SYSTEMS))}
    return "\n".join(f"- **{title}**: {about}" for title, about in (votes | measured).items())


def marks(report: StudyReport) -> dict[str, Any]:
    """What people answered in a study, a row for each system."""
    columns = [Column("System"), *(Column(question.title()) for question in (*QUESTIONS, OVERALL)), Column("Motion")]
    rows = []
    for system in report.systems:
        given = [mark for mark in report.marks if mark.system == system]
        cells = [mark_cell(mark) if mark.answers else NONE for mark in given]
        rows.append([Cell(report.titles[system]), *cells, Cell(f"{report.motion[system]:.2f}")])
    scale = "Mean answers from 1 to 5, as percent of that scale (1 is 0, 5 is 100), with 95 % intervals over prompts."
    frozen = [frozen_words(report.titles[name], share) for name, share in report.still.items() if share]
    return table_value(columns, rows, note=" ".join([scale, *frozen, paper_study_words()]))


def rates(report: StudyReport) -> dict[str, Any]:
    """Win rates of every two systems of a study."""
    columns = [Column("Who", "against whom"), Column("Preferred"), Column("Motion kept")]
    rows = [
        [
            Cell(report.titles[rate.system], f"against {report.titles[rate.against]}"),
            *rate_cells(rate, rate.votes_needed),
        ]
        for rate in report.win_rates
    ]
    order = ", ".join(
        f"{report.titles[one.system]} {one.against_average:.0%} {percents(one.against_average_interval)}"
        for one in report.ranking
    )
    ranking = f"Ranking by Davidson's model, with how often each beats an average system: {order}." if order else ""
    return table_value(columns, rows, note=ranking or report.unranked)


def study_words(report: StudyReport) -> str:
    """A study in two sentences."""
    alphas = ", ".join(f"{question} {alpha:.2f}" for question, alpha in report.alpha.items() if alpha == alpha)
    people = f"{report.answers} answers by {report.participants} people, of whom {report.finished} saw every clip."
    return f"{people} Agreement (Krippendorff's alpha): {alphas or 'not known yet'}."


def with_something(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> tuple[list[Column], list[list[Cell]]]:
    """The table without the columns in which nothing stands."""
    kept = [i for i in range(len(columns)) if any(row[i] != NONE for row in rows)]
    return [columns[i] for i in kept], [[row[i] for i in kept] for row in rows]


def how_to_read(rows: Sequence[Sequence[Cell]], measured: bool) -> str:
    """What must be known of the figures that are there."""
    cells = [cell for row in rows for cell in row[1:]]
    bars, intervals = any(cell.bar for cell in cells), any(cell.more.startswith("[") for cell in cells)
    brackets = INTERVALS.format(" and as bars" * bars) if intervals else ""
    return " ".join(filter(None, [brackets, STILLNESS * measured]))


def said_of(entry: Entry) -> str:
    """What an adapter is, in a few words."""
    return ", ".join(filter(None, [entry.status, LEARNED_FROM.get(entry.kind, "")]))


def rate_cells(rate: WinRate | None, votes_needed: int) -> list[Cell]:
    """A win rate with everything that must stand beside it, and the motion that was kept."""
    if rate is None:
        return [Cell("not voted yet"), NONE]
    motion = Cell(f"{rate.motion:.0%}") if 0 <= rate.motion <= MOST_MOTION else NONE
    votes = f"{rate.wins} won, {rate.losses} lost, {rate.ties} ties"
    if not rate.decided.total:
        return [Cell("undecided", votes), motion]
    low, high = rate.decided.interval
    by_prompt = f"{rate.clustered[0]:.0%} to {rate.clustered[1]:.0%} over prompts" if rate.clustered else ""
    needed = f"{needed_words(votes_needed)} decide" if votes_needed > 0 else ""
    tied = f"{rate.halved:.0%} with ties halved" if rate.ties else ""
    more = "; ".join(filter(None, [f"{percents((low, high))} {votes}", tied, by_prompt, needed]))
    return [Cell(f"{rate.decided.value:.0%}", more, Bar(low, rate.decided.value, high, 0.5)), motion]


def standing_cell(entry: Entry) -> Cell:
    """How often an adapter is expected to beat an average one."""
    standing = entry.standing
    return Cell(f"{standing.against_average:.0%}", percents(standing.against_average_interval)) if standing else NONE


def percents(interval: tuple[float, float]) -> str:
    """An interval of shares, such as "[52%, 87%]"."""
    return "[{:.0%}, {:.0%}]".format(*interval)


def metric_cell(figure: Estimate | None, metric: str) -> Cell:
    """A mean with its interval."""
    if figure is None:
        return NONE
    return Cell(*number_and_interval(figure, metric))


def mark_cell(mark: Mark) -> Cell:
    """A mean answer, its scale from 1 to 5."""
    percent = f"{mark.percent:.0f} %"
    if mark.interval is None:
        return Cell(f"{mark.mean:.2f}", percent)
    low, high = mark.interval
    bar = Bar(*((value - 1) / 4 for value in (low, mark.mean, high)))
    return Cell(f"{mark.mean:.2f}", f"[{low:.2f}, {high:.2f}], {percent}", bar)
