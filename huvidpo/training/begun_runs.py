"""What a preference run was begun with, beside its checkpoint, and which ratings it learns from. Knows no network."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from huvidpo.atomic import write_whole
from huvidpo.preferences.pairs import TrainingSet, training_set
from huvidpo.preferences.store import RatingStore
from huvidpo.presets import BACKBONES
from huvidpo.training.motion_settings import BEGUN_WITH
from huvidpo.training.preference_settings import FREE_TO_CHANGE, PreferenceSettings, preset_settings

ON_PAGE = "run.json"  # in the place of BEGUN_WITH, in the folders of runs that were begun on the page


@dataclass(frozen=True)
class BegunWith:
    """All that somebody asked for, so that a run goes on without being told again, on the page or by a command."""

    preset: str
    settings: PreferenceSettings
    start: str  # an adapter's name or its folder, or "none"
    data: str = ""  # a folder of own clips; "" is the ratings
    all_pairs: bool = False  # of scored clips
    real: str = ""  # a folder of real clips; one that lies in the run's own is named from there
    rating_ids: tuple[str, ...] = ()  # those that were there: later ones would make it another run


def is_of_page(work: Path) -> bool:
    """Whether the run in a folder was begun on the page, which lists such runs and no others."""
    return (work / ON_PAGE).is_file()


def begun_file(work: Path, on_page: bool = False) -> Path:
    """Where it lies in the folder of a run."""
    return work / (ON_PAGE if on_page or is_of_page(work) else BEGUN_WITH)


def write_begun(work: Path, begun: BegunWith, on_page: bool = False) -> None:
    """Writes it into the folder of the run."""
    work.mkdir(parents=True, exist_ok=True)
    write_whole(begun_file(work, on_page), json.dumps(asdict(begun)))


def read_begun(work: Path) -> BegunWith:
    """What the run in a folder was begun with. ValueError where nothing says it."""
    try:
        values = json.loads(begun_file(work).read_text(encoding="utf-8"))
        if "settings" not in values:
            return of_earlier_page(work, values)
        values |= {"settings": PreferenceSettings(**values["settings"]), "rating_ids": tuple(values["rating_ids"])}
        return BegunWith(**values | {"real": values["real"] and str(work / values["real"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{work} does not say what its run was begun with: begin another one.") from error


def of_earlier_page(work: Path, values: dict) -> BegunWith:
    """The same from a file of an earlier version's page, which held the choices and left settings to the program."""
    learning_rate = BACKBONES[work.parents[1].name].preference_learning_rate
    settings = preset_settings("recommended", values["objective"], learning_rate)
    settings = replace(settings, minutes=values["minutes"], seed=values["seed"])
    real = str(work / "real") if values["objective"] == "ipo" else ""
    return BegunWith("recommended", settings, values["start"], real=real, rating_ids=tuple(values["rating_ids"]))


def going_on(begun: BegunWith, given: dict[str, object]) -> BegunWith:
    """The same with those of the given options that may change. ValueError for one that contradicts it."""
    known = asdict(begun.settings) | vars(begun)
    for name, value in given.items():
        if name not in FREE_TO_CHANGE and value != known[name]:
            option, before = f"--{name.replace('_', '-')}", known[name]
            said = f"with {option} {before}" if before not in ("", None, False) else f"without {option}"
            raise ValueError(f"The run was begun {said}: leave {option} out, or --resume.")
    free = {name: value for name, value in given.items() if name in FREE_TO_CHANGE}
    return replace(begun, settings=replace(begun.settings, **free))


def usable_ids(store: RatingStore, category: str) -> tuple[str, ...]:
    """Names of the ratings that a run which begins now may learn from."""
    return tuple(rating.rating_id for rating in store.ratings(category) if rating.pair.split == "train")


def rated_examples(begun: BegunWith, category: str, backbone: str, store: RatingStore) -> TrainingSet:
    """What a run learns from those ratings that were there when it began. ValueError when some no longer are."""
    ratings, begun_with = store.ratings(category), {*begun.rating_ids}
    if not begun_with <= {rating.rating_id for rating in ratings}:
        raise ValueError("Ratings that this run began with were changed or taken back: begin another run.")
    there = [one for one in ratings if one.rating_id in begun_with or one.pair.split != "train"]
    return training_set(there, begun.settings.objective, backbone, store.video_path)
