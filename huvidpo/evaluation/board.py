"""What is known of a category's adapters, from votes and from evaluations. Makes no clip, knows no page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from pathlib import Path

from huvidpo.adapters import MOTION_FILE, PREFERENCE_FILE, Adapter
from huvidpo.evaluation.contestants import Contestant
from huvidpo.evaluation.estimates import Estimate
from huvidpo.evaluation.ranking import Standing, ranking_of
from huvidpo.evaluation.results import RESULTS_FILE, Results, System, read_results
from huvidpo.evaluation.summary import figure
from huvidpo.evaluation.verdict import WinRate, comparisons_of_ratings, win_rate
from huvidpo.preferences.gate import answers_between, judge
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
    rate: WinRate | None = None  # against what it was trained from; None when nobody compared the two
    needed: int = 0  # more votes until it may become the default, see `Verdict.votes_needed`
    alpha: float = nan  # agreement of raters in blind answers on pairs of these two; nan where nothing can be said
    standing: Standing | None = None  # among all that were compared, when they are three or more
    system: str = ""  # its name in the evaluation; "" when it was not evaluated
    figures: Mapping[str, Estimate] = field(default_factory=dict)  # metric -> mean over the category's prompts


def find_evaluations(home: Path) -> dict[str, Path]:
    """Name -> folder of the evaluations there are: this deployment's, the newest first, then the shipped one."""
    found = [file.parent for file in (home / "evaluations").glob(f"*/{RESULTS_FILE}")]
    newest = sorted(found, key=lambda folder: (folder / RESULTS_FILE).stat().st_mtime, reverse=True)
    folders = {folder.name: folder for folder in newest}
    if (SHIPPED / RESULTS_FILE).is_file():
        folders.setdefault("shipped", SHIPPED)
    return folders


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
    """A category's adapters, best first: by ranking, then win rate, one half for what was never compared.

    `ratings` are the category's that count. Votes on `measure` pairs only, see `comparisons_of_ratings`.
    """
    names = names_by_revision(adapters)
    comparisons = comparisons_of_ratings(ratings, names)
    standings = {standing.system: standing for standing in ranking_of(comparisons)[0]}
    found = []
    for adapter in one_of_each_name(adapters):
        if not is_here(adapter):
            found.append(Entry(adapter.name, adapter.status, *of_card(adapter)))
            continue
        parent = adapter.parent()
        against, older = (parent.name, parent.revision()) if parent else (NO_ADAPTER, "")
        rate = win_rate(comparisons, adapter.name, against)
        shared = answers_between(ratings, adapter.revision(), older)
        system = evaluated_as(results, category, adapter)
        found.append(
            Entry(
                adapter.name,
                adapter.status,
                *of_card(adapter),
                rate=rate if rate.prompts else None,
                needed=judge(ratings, adapter.revision(), older).votes_needed,
                alpha=rater_agreement(shared) if shared else nan,
                standing=standings.get(adapter.name),
                system=system,
                figures=figures_of(results, system, category),
            )
        )
    return sorted(found, key=place)


def is_here(adapter: Adapter) -> bool:
    """Whether its own weights are on this machine; those of a shared one come when it is first used."""
    return any((adapter.folder / name).is_file() for name in (MOTION_FILE, PREFERENCE_FILE))


def one_of_each_name(adapters: Sequence[Adapter]) -> list[Adapter]:
    """Of adapters with one name, such as one and its copy on the Hub, the first one whose weights are here."""
    found: dict[str, Adapter] = {}
    for adapter in sorted(adapters, key=lambda adapter: not is_here(adapter)):
        found.setdefault(adapter.name, adapter)
    return [*found.values()]


def of_card(adapter: Adapter) -> tuple[str, str, int]:
    """Kind, time and number of ratings, as its card says."""
    card = adapter.card
    return str(card.get("kind", "")), str(card.get("created_at", "")), number(card.get("ratings"))


def names_by_revision(adapters: Sequence[Adapter]) -> dict[str, str]:
    """What votes know an adapter by -> its name; "" is none. Of two with the same weights the first one is named.

    An adapter whose weights have not come from the Hub yet would pass for none, or for its parent.
    """
    names = {"": NO_ADAPTER}
    for adapter in adapters:
        if is_here(adapter):
            names.setdefault(adapter.revision(), adapter.name)
    return names


def place(entry: Entry) -> tuple[bool, float, float, bool]:
    """Where an entry stands on the board, the smaller the higher; what lost stands below what nobody compared."""
    strength = entry.standing.strength if entry.standing else 0.0
    return entry.standing is None, -strength, -(entry.rate.halved if entry.rate else 0.5), entry.rate is None


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
