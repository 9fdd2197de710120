"""Where preference runs lie: what the next one is called, which are unfinished. Knows folders, nothing of training.

A run's folder is `$HUVIDPO_HOME/runs/<backbone>/<category>/<name>`; its adapter will have that name.
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
REQUEST = "run.json"  # in the folders of runs that were begun on the page


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
    """The newest unfinished run of the command line that learned something; ValueError when there is none."""
    for folder in unfinished_runs(backbone, category):
        begun_here, learned = not (folder / REQUEST).exists(), (folder / CHECKPOINT).exists()
        if objective in (None, folder.name.rpartition("-")[0]) and begun_here and learned:
            return folder
    kind = f" with the objective {objective}" if objective else ""
    raise ValueError(f"There is no unfinished run of {category}{kind} to continue; one in a folder needs --out.")
