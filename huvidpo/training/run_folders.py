"""Where runs lie: what the next one is called, which are unfinished. Knows folders, nothing of training.

A preference run's folder is `$HUVIDPO_HOME/runs/<backbone>/<category>/<name>`; its adapter will have that name. A run
of motion lies in the folder of its adapter.
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from huvidpo.adapters import is_plain_name, list_adapters
from huvidpo.categories import find_category
from huvidpo.home import CHECKPOINT, home

FINISHED = "finished"  # a file that says that the run became an adapter, also when that is deleted later
WAIT = 10.0  # seconds for a slice that was paused to end


def run_folder(backbone: str, category: str, name: str) -> Path:
    """Where a run lies. ValueError for names that lead elsewhere."""
    if not is_plain_name(name):
        raise ValueError(f"There is no run {name[:80]!r}.")
    return home() / "runs" / backbone / find_category(category).name / name


def new_run(backbone: str, category: str, objective: str) -> Path:
    """Makes the folder of a new run: the first of dpo-1, dpo-2 ... that is neither an adapter's name nor a run's."""
    taken = {adapter.name for adapter in list_adapters(backbone, category)}
    folders = (run_folder(backbone, category, f"{objective}-{number}") for number in itertools.count(1))
    return next(folder for folder in folders if folder.name not in taken and made(folder))


def made(folder: Path) -> bool:
    """Makes a folder; False where there is one already, so that two runs which begin at once have two names."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return False
    return True


@contextmanager
def held(folder: Path, wait: float | None = None) -> Iterator[None]:
    """Nobody else goes on with the run in that folder meanwhile, also in another process. ValueError when one does.

    `wait` is how many seconds whoever does has to end; None for WAIT.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock", thread_local=False)  # a generator may be closed on another thread
    try:
        lock.acquire(timeout=WAIT if wait is None else wait)
    except Timeout as error:
        raise ValueError("Somebody is going on with this run already: wait until it pauses.") from error
    try:
        yield
    finally:
        lock.release()


def mark_finished(folder: Path) -> None:
    """The run in that folder has become an adapter: it is not gone on with."""
    (folder / FINISHED).touch()


def unfinished_runs(backbone: str, category: str = "*") -> list[Path]:
    """Folders of the runs that have not become an adapter yet, the newest first."""
    done = {(adapter.category, adapter.name) for adapter in list_adapters(backbone)}
    folders = [path for path in (home() / "runs" / backbone).glob(f"{category}/*") if path.is_dir()]
    open_ones = [
        path for path in folders if (path.parent.name, path.name) not in done and not (path / FINISHED).exists()
    ]
    return sorted(open_ones, key=last_change, reverse=True)


def last_change(folder: Path) -> float:
    """Seconds since 1970; 0 for a folder that was discarded meanwhile."""
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def run_to_resume(backbone: str, category: str, objective: str | None = None) -> Path:
    """The newest unfinished run that learned something, of the page or a command; ValueError when there is none."""
    for folder in unfinished_runs(backbone, category):
        if objective in (None, folder.name.rpartition("-")[0]) and (folder / CHECKPOINT).exists():
            return folder
    kind = f" with the objective {objective}" if objective else ""
    raise ValueError(f"There is no unfinished run of {category}{kind} to continue; one in a folder needs --out.")


def motions(backbone: str, category: str) -> Path:
    """Where a category's motion is learned when no other folder is named."""
    return home() / "adapters" / backbone / category


def new_motion(backbone: str, category: str) -> Path:
    """Makes the folder of a new run of motion: the first of motion-1, motion-2 ... that is not there."""
    folders = (motions(backbone, category) / f"motion-{number}" for number in itertools.count(1))
    return next(folder for folder in folders if made(folder))


def motion_to_resume(backbone: str, category: str) -> Path:
    """The folder of the newest run of motion that is not over; ValueError when there is none."""
    begun = motions(backbone, category).glob(f"motion-*/{CHECKPOINT}")
    unfinished = [path for path in begun if not path.with_name("card.json").exists()]
    if not unfinished:
        raise ValueError(f"There is no unfinished run of {category}; one in a folder of your own needs --out.")
    return max(unfinished, key=lambda path: path.stat().st_mtime).parent
