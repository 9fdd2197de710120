"""Files of model repositories on the Hugging Face Hub, pinned and cached. Knows nothing of what the models are for."""

import errno
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread

from huggingface_hub import constants, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import get_session
from tqdm import tqdm

from huvidpo.hub_errors import INVALID_TOKEN, SILENCE, status_of

GIGABYTE = 1e9
FULL_DISK = r"os error (28|122)\b|No space left"  # ENOSPC and EDQUOT
WEIGHTS = (".safetensors", ".json", ".txt")  # nothing that could be code, nothing pickled


@dataclass(frozen=True)
class HubFiles:
    """Some files of a model repository at one revision, and the licence they come under."""

    repo: str  # owner/name
    revision: str  # a commit's hash
    files: tuple[str, ...]  # paths in the repository, without wildcards
    gigabytes: float  # all files together, roughly
    licence: str
    licence_url: str

    def __post_init__(self) -> None:
        assert all(file.endswith(WEIGHTS) for file in self.files), "safetensors and plain text only"

    def notice(self) -> str:
        """What a person should know before the download."""
        return f"{self.repo} ({self.gigabytes:.1f} GB) under {self.licence}, {self.licence_url}"


@dataclass(frozen=True)
class Downloaded:
    """How far the download of `wanted` is, in bytes; `total` grows while the sizes of files become known."""

    wanted: HubFiles
    done: int
    total: int


def cached(wanted: HubFiles) -> Path | None:
    """The folder with all the wanted files, where they were downloaded before; asks nobody."""
    if missing_files(wanted):
        return None
    first = Path(try_to_load_from_cache(wanted.repo, wanted.files[0], revision=wanted.revision))
    return first.parents[wanted.files[0].count("/")]


def missing_files(wanted: HubFiles) -> list[str]:
    """Those of the wanted files that are not in the cache."""
    found = {file: try_to_load_from_cache(wanted.repo, file, revision=wanted.revision) for file in wanted.files}
    return [file for file, path in found.items() if not isinstance(path, str)]


def fetch(wanted: HubFiles) -> Iterator[Downloaded]:
    """Downloads what is missing and yields progress; yields nothing when all is there. Then `cached` has the folder.

    Closing the generator ends the download; files that are complete by then stay. Raises ValueError with one sentence
    when the repository, a file, the network or the disk is not there.
    """
    if cached(wanted):
        return
    check_room(wanted)
    events: SimpleQueue[Downloaded | BaseException | None] = SimpleQueue()
    given_up = Event()
    bar = reporting_bar(wanted, events, given_up)

    def run() -> None:
        get_session().timeout = SILENCE
        try:
            snapshot_download(
                wanted.repo, revision=wanted.revision, allow_patterns=list(wanted.files), tqdm_class=bar, max_workers=2
            )
            events.put(None)
        except BaseException as error:
            events.put(error)

    worker = Thread(target=run, daemon=True)
    worker.start()
    try:
        while isinstance(event := events.get(), Downloaded):
            yield event
    finally:
        given_up.set()
        wait_for(worker)
    if event is not None:
        raise ValueError(sentence(wanted, event)) from event
    if missing := missing_files(wanted):
        raise ValueError(f"{wanted.repo} on the Hub has no file {missing[0]} at revision {wanted.revision}.")


def wait_for(worker: Thread) -> None:
    """Returns when the download's thread is over. Xet goes on whatever a bar raises: its transfers are aborted.

    That is of the whole process, so an upload of ratings under way breaks off as well; it is tried again.
    """
    worker.join(0.2)
    while worker.is_alive():
        with suppress(ImportError):  # without Xet a bar's exception has ended the download
            from huggingface_hub.utils._xet import abort_xet_session

            abort_xet_session()
        worker.join(0.5)


def fetch_all(*several: HubFiles) -> Iterator[Downloaded]:
    """`fetch` of each in turn, once the disk is known to have room for all. ValueError as `fetch`."""
    check_room(*several)
    for wanted in several:
        yield from fetch(wanted)


def reporting_bar(wanted: HubFiles, events: SimpleQueue, given_up: Event) -> type[tqdm]:
    """What the Hub's client reports its bytes to.

    It makes several bars, of which some count bytes: those received, and those on the disk, which come in large
    blocks. The one that is further says how far the download is.
    """
    furthest = Downloaded(wanted, 0, 0)

    class Bar(tqdm):
        def __init__(self, *args, **settings):
            settings.pop("name", None)
            self.counts_bytes = settings.get("unit") == "B"
            super().__init__(*args, **settings | {"disable": True})
            self.done = 0  # a disabled bar does not count

        def update(self, n: float | None = 1) -> None:
            nonlocal furthest
            if given_up.is_set():
                raise InterruptedError("The download was ended.")
            if self.counts_bytes:
                self.done += int(n or 0)
                total = max(furthest.total, int(self.total or 0))
                furthest = Downloaded(wanted, min(max(furthest.done, self.done), total), total)
                events.put(furthest)

    return Bar


def fetch_now(*several: HubFiles) -> list[Path]:
    """The folders with all the files, downloaded with a bar on stderr where needed. ValueError as `fetch`."""
    check_room(*several)
    for wanted in several:
        if cached(wanted):
            continue
        print(f"Downloading {wanted.notice()}", file=sys.stderr)
        with tqdm(unit="B", unit_scale=True, disable=None) as bar:
            for progress in fetch(wanted):
                bar.total = progress.total
                bar.update(progress.done - bar.n)
    return [cached(wanted) for wanted in several]


def check_room(*several: HubFiles) -> None:
    """ValueError when the disk of the cache has no room for what is missing; asked before hours of download."""
    cache = Path(constants.HF_HUB_CACHE).absolute()
    folder = next((one for one in (cache, *cache.parents) if one.is_dir()), None)
    if folder is None:  # a drive that is not there, on Windows
        raise ValueError(f"There is no disk for {cache}, where HF_HOME wants the models: change it, or unset it.")
    free = shutil.disk_usage(folder).free / GIGABYTE
    if free < sum(map(missing_gigabytes, several)):
        raise ValueError(no_room(several, f"only {free:.1f} GB are free"))


def missing_gigabytes(wanted: HubFiles) -> float:
    """What is still to be downloaded, roughly. The Hub's client begins files that broke off anew."""
    found = [try_to_load_from_cache(wanted.repo, file, revision=wanted.revision) for file in wanted.files]
    there = [Path(path).stat().st_size for path in found if isinstance(path, str)]
    return max(0.0, wanted.gigabytes - sum(there) / GIGABYTE) if len(there) < len(found) else 0.0


def no_room(several: Sequence[HubFiles], found: str) -> str:
    repos = " and ".join(dict.fromkeys(wanted.repo for wanted in several))
    return (
        f"The download of {repos} needs {sum(map(missing_gigabytes, several)):.1f} GB on the disk of "
        f"{constants.HF_HUB_CACHE}, where {found}: make room there, or set HF_HOME to a folder on a larger disk."
    )


def is_hub_error(error: BaseException) -> bool:
    """Whether the Hub's client raised this itself, or the network library below it."""
    theirs = ("huggingface_hub", HTTPError.__module__.split(".")[0])
    return type(error).__module__.split(".")[0] in theirs


def sentence(wanted: HubFiles, error: BaseException) -> str:
    """What went wrong, for a person; an exception's own text can hold a whole page, or a token."""
    status = status_of(error)
    if isinstance(error, RevisionNotFoundError):
        return f"{wanted.repo} on the Hub no longer has the revision {wanted.revision} that this program was made for."
    if status == 401 and not isinstance(error, RepositoryNotFoundError):  # as it answers where it sees no repository
        return f"{INVALID_TOKEN}; models that are open to all need none."
    if isinstance(error, GatedRepoError) or status == 403:
        return f"{wanted.repo} is not open to you: accept its terms at hf.co/{wanted.repo}, then set HF_TOKEN."
    if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
        return f"{wanted.repo} on the Hub lacks a file that is needed from it."
    if isinstance(error, RepositoryNotFoundError) or status == 404:
        return f"There is no model {wanted.repo} on the Hub, or no token is set that may see it."
    # Xet raises a RuntimeError with Rust's words for everything.
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or (isinstance(error, RuntimeError) and re.search(FULL_DISK, str(error))):
        return no_room([wanted], "no room is left")
    if isinstance(error, HTTPError | LocalEntryNotFoundError | OSError | RuntimeError):
        return (
            f"{wanted.repo} is not complete in the cache {constants.HF_HUB_CACHE}, and the Hub could not be reached "
            f"({type(error).__name__}): check the network and HF_HUB_OFFLINE, then try again; complete files are kept."
        )
    raise error
