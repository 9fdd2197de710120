"""What is known of a category's adapters, from votes and from evaluations. Makes no clip, knows no page."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path

from huvidpo.adapters import Adapter
from huvidpo.evaluation.estimates import Estimate
from huvidpo.evaluation.ranking import Standing, ranking_of
from huvidpo.evaluation.results import RESULTS_FILE, Results, System, read_results
from huvidpo.evaluation.summary import figure
from huvidpo.evaluation.systems import Contestant
from huvidpo.evaluation.verdict import WinRate, comparisons_of_ratings, win_rate
from huvidpo.preferences.gate import answers_between
from huvidpo.preferences.records import Rating
from huvidpo.preferences.statistics import rater_agreement

SHIPPED = Path(__file__).parents[2] / "docs" / "evaluation"
NO_ADAPTER = "none"
ABLATED = ("attention", "shared_noise", "first_frame_model", "recipe")  # fields of a `Contestant`


@dataclass(frozen=True)
class Entry:
    """One adapter, or "none" for clips without any."""

    name: str
    status: str  # "default", "candidate", or "" for none
    kind: str  # "motion", "preference", or ""
    created_at: str  # ISO 8601; "" is not known
    ratings: int  # that it learned from
    rate: WinRate | None  # against what it was trained from; None when nobody compared the two
    alpha: float  # agreement of raters in blind answers on pairs of these two; nan where nothing can be said
    standing: Standing | None  # among all that were compared, when they are three or more
    system: str  # its name in the evaluation; "" when it was not evaluated
    figures: dict[str, Estimate]  # metric -> mean over the category's prompts


def find_evaluations(home: Path) -> dict[str, Path]:
    """Name -> folder of the evaluations there are: this deployment's, the newest first, then the shipped one."""
    found = [file.parent for file in (home / "evaluations").glob(f"*/{RESULTS_FILE}")]
    newest = sorted(found, key=lambda folder: (folder / RESULTS_FILE).stat().st_mtime, reverse=True)
    shipped = {"shipped": SHIPPED} if (SHIPPED / RESULTS_FILE).is_file() else {}
    return {folder.name: folder for folder in newest} | shipped


def read_evaluations(home: Path) -> tuple[dict[str, Results], list[str]]:
    """Those that can be read, in that order, and a sentence for each that cannot."""
    results, problems = {}, []
    for name, folder in find_evaluations(home).items():
        try:
            results[name] = read_results(folder)
        except ValueError as error:
            problems.append(str(error))
    return results, problems


def entries(
    category: str, adapters: Sequence[Adapter], ratings: Sequence[Rating], results: Results | None
) -> list[Entry]:
    """A category's adapters, best first: by ranking, then win rate; what was never compared in the order given.

    `ratings` are the category's that count. Votes on `measure` pairs only, see `comparisons_of_ratings`.
    """
    names = {"": NO_ADAPTER} | {adapter.revision(): adapter.name for adapter in adapters}
    comparisons = comparisons_of_ratings(ratings, names)
    standings = {standing.system: standing for standing in ranking_of(comparisons)[0]}
    found = []
    for adapter in adapters:
        parent = adapter.parent()
        against, older = (parent.name, parent.revision()) if parent else (NO_ADAPTER, "")
        rate = win_rate(comparisons, adapter.name, against)
        shared = answers_between(ratings, adapter.revision(), older)
        system = evaluated_as(results, category, adapter)
        found.append(
            Entry(
                name=adapter.name,
                status=adapter.status,
                kind=str(adapter.card.get("kind", "")),
                created_at=str(adapter.card.get("created_at", "")),
                ratings=number(adapter.card.get("ratings")),
                rate=rate if rate.prompts else None,
                alpha=rater_agreement(shared) if shared else nan,
                standing=standings.get(adapter.name),
                system=system,
                figures=figures_of(results, system, category),
            )
        )
    return sorted(found, key=place)


def place(entry: Entry) -> tuple[bool, float, bool, float]:
    """Where an entry stands on the board, the smaller the higher."""
    strength = entry.standing.strength if entry.standing else 0.0
    value = entry.rate.halved if entry.rate else 0.0
    return entry.standing is None, -strength, entry.rate is None, -value


def evaluated_as(results: Results | None, category: str, adapter: Adapter) -> str:
    """The first system of an evaluation that had exactly this adapter and is no ablation of it; "" when none was."""
    systems = results.systems if results and results.backbone == adapter.backbone else ()
    key, revision = f"adapter_revision/{category}", adapter.revision()
    same = (system for system in systems if system.settings.get(key) == revision)
    fitting = (system.name for system in same if is_plain(system, adapter))
    return next(fitting, "")


def is_plain(system: System, adapter: Adapter) -> bool:
    """Whether a system makes clips as the page does, with nothing of it changed to see what that does."""
    usual = vars(Contestant(system.name, system.title))
    allowed = {name: {usual[name]} for name in ABLATED}
    allowed["attention"].add(adapter.attention())
    return all(system.settings.get(f"system.{name}", usual[name]) in allowed[name] for name in ABLATED)


def figures_of(results: Results | None, system: str, category: str | None) -> dict[str, Estimate]:
    """Metric -> a system's mean over the prompts of a category, or of all."""
    if results is None or not system:
        return {}
    named = {metric: figure(results, system, metric, category) for metric in results.metrics()}
    return {metric: found for metric, found in named.items() if found}


def number(value: object) -> int:
    """A count in a card, which may come from anyone."""
    return value if type(value) is int and value >= 0 else 0
