"""What a preference run of the command line was begun with, beside its checkpoint. Knows no network, no ratings."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from huvidpo.atomic import write_whole
from huvidpo.training.motion_settings import BEGUN_WITH
from huvidpo.training.preference_settings import PreferenceSettings

FREE_TO_CHANGE = ("minutes", "members")  # when a run goes on


@dataclass(frozen=True)
class BegunWith:
    """All that the options said, so that a run goes on without them."""

    preset: str
    settings: PreferenceSettings
    start: str  # the folder of an adapter, or "none"
    data: str = ""  # a folder of own clips; "" is the ratings
    all_pairs: bool = False  # of scored clips
    real: str = ""  # a folder of real clips
    rating_ids: tuple[str, ...] = ()  # those that were there: later ones would make it another run


def write_begun(work: Path, begun: BegunWith) -> None:
    """Writes it into the folder of the run."""
    work.mkdir(parents=True, exist_ok=True)
    write_whole(work / BEGUN_WITH, json.dumps(asdict(begun)))


def read_begun(work: Path) -> BegunWith:
    """What the run in a folder was begun with. ValueError where nothing says it."""
    try:
        values = json.loads((work / BEGUN_WITH).read_text(encoding="utf-8"))
        values |= {"settings": PreferenceSettings(**values["settings"]), "rating_ids": tuple(values["rating_ids"])}
        return BegunWith(**values)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{work} does not say what its run was begun with: begin another one.") from error


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
