"""Ratings to a dataset on the Hugging Face Hub and back. Knows the store; the page and the commands know this.

Every sealed batch becomes one commit of new files under a name of its own, so a commit may be tried again at any time:
what is there already is not sent twice. HUVIDPO_DATASET names the dataset; the token is the one that the Hub's own
tools use (HF_TOKEN, or `hf auth login`). Without either, nothing is lost: batches wait in the store.
"""

import contextlib
import errno
import json
import os
import random
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import EntryNotFoundError, HTTPError, RemoteEntryNotFoundError
from huggingface_hub.utils import disable_progress_bars, get_session

from huvidpo.hub_errors import SILENCE, check_token, status_of, why_not_sent
from huvidpo.preferences.dataset_card import new_card, renewed_card
from huvidpo.preferences.fields import LaterRow
from huvidpo.preferences.files import MAX_FILE_BYTES, DiskProblem
from huvidpo.preferences.records import Rating, Withdrawal, record_from_row
from huvidpo.preferences.statistics import summarise
from huvidpo.preferences.store import PULLED, PUSHED, SEALED, RatingStore
from huvidpo.video import read_frames

Answer = TypeVar("Answer")
ROOT = "data/train"
METADATA = re.compile(rf"{ROOT}/((?:[\w-][\w.-]*/)+)metadata\.jsonl")
MAX_METADATA_BYTES = 20_000_000
ATTEMPTS = 6
LONGEST_PAUSE = 60.0  # seconds between attempts
OF_THE_MACHINE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EAGAIN)  # no fault of a row
HOPELESS = (400, 401, 402, 403, 404)  # another attempt would be answered alike


@dataclass(frozen=True)
class Pulled:
    """What `pull` brought."""

    batches: int
    records: int  # new ratings and withdrawals
    refused: list[str]  # one sentence for each row that could not be taken


def dataset_repo() -> str:
    """HUVIDPO_DATASET, "" when it is not set."""
    return os.environ.get("HUVIDPO_DATASET", "").strip()


def new_api() -> HfApi:
    """The Hub's client with the user's own token. ValueError when there is none."""
    check_token()
    disable_progress_bars()
    return HfApi(library_name="huvidpo")


def push(
    store: RatingStore,
    repo: str,
    api: HfApi,
    attempts: int = ATTEMPTS,
    pause: Callable[[float], object] = time.sleep,
) -> int:
    """Seals what is open and sends every sealed batch, one commit each; returns how many rows are now on the Hub.

    The dataset is made when it is missing, private: who owns it publishes it in its settings. Each step is tried
    `attempts` times, with a growing `pause` (of seconds; a true answer from it ends the trying). One process pushes at
    a time, others wait for it. Raises ValueError with one sentence when it goes no further; what was sent counts as
    sent, the rest waits.
    """
    with waiting_turn(store):
        while store.seal():
            pass
        names = store.batches(SEALED)
        if not names:
            return 0
        persist(repo, attempts, pause, lambda: api.create_repo(repo, repo_type="dataset", private=True, exist_ok=True))
        sent, problems = 0, []
        for name in names:
            try:
                files = batch_files(store, name)
            except ValueError as error:  # the others go all the same
                problems.append(str(error))
                continue
            persist(repo, attempts, pause, lambda name=name, files=files: commit(store, repo, api, name, files))
            store.mark_pushed(name)
            sent += len(store.batch(name))
        if problems:
            raise ValueError(problems[0])
        return sent


def commit(store: RatingStore, repo: str, api: HfApi, name: str, files: dict[str, bytes | Path]) -> None:
    """One commit with a batch's files and the card of that moment; fails when somebody else commits meanwhile."""
    head = api.repo_info(repo, repo_type="dataset").sha
    files = {**files, "README.md": card(store, repo, api, head).encode()}
    operations = [CommitOperationAdd(path, content) for path, content in files.items()]
    api.create_commit(repo, operations, commit_message=f"Ratings {name}", repo_type="dataset", parent_commit=head)


def batch_files(store: RatingStore, name: str) -> dict[str, bytes | Path]:
    """Path in the dataset -> content, of a sealed batch: always the same for the same batch."""
    rows, files = [], {}
    for record in store.batch(name):
        takes = {"a": record.pair.a, "b": record.pair.b}
        videos = {f"video_{side}_file_name": f"videos/{take.sha256}.mp4" for side, take in takes.items()}
        rows.append(json.dumps(record.to_row() | videos, sort_keys=True))
        files |= {f"{ROOT}/{name}/videos/{take.sha256}.mp4": store.video_path(take.sha256) for take in takes.values()}
        if frame := record.pair.first_frame:
            files[f"{ROOT}/{name}/frames/{frame}.png"] = store.frame_path(frame)
    if missing := [path for path in files.values() if not path.is_file()]:
        raise ValueError(f"The ratings of {name} cannot be uploaded: the file {missing[0]} is gone.")
    return {f"{ROOT}/{name}/metadata.jsonl": "".join(f"{row}\n" for row in rows).encode(), **files}


def card(store: RatingStore, repo: str, api: HfApi, revision: str) -> str:
    """The dataset's card with today's figures; a new one where there is none."""
    summary = summarise(store.ratings())
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = api.hf_hub_download(repo, "README.md", repo_type="dataset", revision=revision, local_dir=folder)
        except RemoteEntryNotFoundError:  # and not because the network was away
            return new_card(repo, summary)
        return renewed_card(Path(path).read_text(encoding="utf-8"), summary)


def pull(
    store: RatingStore,
    repo: str,
    api: HfApi,
    attempts: int = ATTEMPTS,
    pause: Callable[[float], object] = time.sleep,
) -> Pulled:
    """Takes over the batches of others with their files; a row or a file that does not hold what it says is refused.

    Raises ValueError with one sentence when the Hub cannot be read; batches taken over so far stay.
    """
    head = persist(repo, attempts, pause, lambda: api.repo_info(repo, repo_type="dataset").sha)
    sizes = persist(repo, attempts, pause, lambda: tree(api, repo, head))
    known = set(store.batches(SEALED, PUSHED, PULLED))
    batches, records, refused = 0, 0, []
    for path in sorted(sizes):
        found = METADATA.fullmatch(path)
        name = found[1].rstrip("/") if found else ""
        if not name or name in known:
            continue
        with tempfile.TemporaryDirectory(dir=store.folder) as folder:
            batch = Incoming(store, repo, api, head, name, sizes, Path(folder))
            good = persist(repo, attempts, pause, batch.records)
        refused += batch.refused
        batches, records = batches + 1, records + store.add_pulled(name, good, whole=not batch.is_later)
    return Pulled(batches, records, refused)


def repo_exists(repo: str, api: HfApi, pause: Callable[[float], object] = time.sleep) -> bool:
    """Whether the dataset is there and the token may see it."""
    return persist(repo, ATTEMPTS, pause, lambda: api.repo_exists(repo, repo_type="dataset"))


def tree(api: HfApi, repo: str, revision: str) -> dict[str, int]:
    """Path -> bytes of every file of the dataset; empty while it has no data."""
    try:
        entries = api.list_repo_tree(repo, ROOT, recursive=True, repo_type="dataset", revision=revision)
        return {entry.path: entry.size for entry in entries if hasattr(entry, "size")}
    except EntryNotFoundError:
        return {}


class Incoming:
    """One batch from the Hub on its way into the store. It may come from anyone with access to the dataset."""

    def __init__(
        self, store: RatingStore, repo: str, api: HfApi, head: str, name: str, sizes: dict[str, int], folder: Path
    ):
        self.store, self.repo, self.api, self.head, self.name = store, repo, api, head, name
        self.sizes, self.folder = sizes, folder
        self.refused: list[str] = []
        self.is_later = False  # whether it has rows of a later program

    def records(self) -> list[Rating | Withdrawal]:
        """The rows that are what they say, their pairs and files in the store. DiskProblem when that is full."""
        self.refused.clear()
        path = f"{ROOT}/{self.name}/metadata.jsonl"
        if self.sizes[path] > MAX_METADATA_BYTES:
            self.refused.append(f"{path} is too large.")
            return []
        good = []
        text = self.download(path).read_text(encoding="utf-8", errors="replace")
        for number, line in enumerate(text.rstrip("\n").split("\n"), 1):  # JSON may hold what splitlines splits at
            try:
                record = record_from_row(json.loads(line))
                self.keep_pair(record)
            except DiskProblem:
                raise
            except (ValueError, TypeError, AttributeError, RecursionError) as error:
                if isinstance(error.__cause__, OSError) and error.__cause__.errno in OF_THE_MACHINE:
                    raise DiskProblem(f"{path} could not be taken over now: {error.__cause__.strerror}.") from error
                self.is_later |= isinstance(error, LaterRow)
                self.refused.append(f"{path}, row {number}: {error}")
            else:
                good.append(record)
        return good

    def keep_pair(self, record: Rating | Withdrawal) -> None:
        pair = record.pair
        wanted = {f"videos/{take.sha256}.mp4": self.store.video_path(take.sha256) for take in (pair.a, pair.b)}
        if pair.first_frame:
            wanted[f"frames/{pair.first_frame}.png"] = self.store.frame_path(pair.first_frame)
        for name, kept in wanted.items():
            if not kept.is_file():
                self.keep_file(f"{ROOT}/{self.name}/{name}", kept.stem)
        self.store.add_pair(pair)

    def keep_file(self, path: str, sha256: str) -> None:
        """A file into the store. ValueError when it is missing, too large, not what it says, or not readable."""
        if path not in self.sizes:
            raise ValueError(f"the file {path} is missing")
        if self.sizes[path] > MAX_FILE_BYTES:
            raise ValueError(f"the file {path} is too large")
        local = self.download(path)
        if path.endswith(".mp4"):
            read_frames(local, max_frames=1)
        kept = self.store.keep_file(local)
        if kept != sha256:
            raise ValueError(f"the file {path} is another one than the row says")

    def download(self, path: str) -> Path:
        return Path(
            self.api.hf_hub_download(self.repo, path, repo_type="dataset", revision=self.head, local_dir=self.folder)
        )


def persist(repo: str, attempts: int, pause: Callable[[float], object], step: Callable[[], Answer]) -> Answer:
    """The step's answer, after as many attempts as it takes. ValueError with one sentence when it goes no further."""
    for attempt in range(1, attempts + 1):
        get_session().timeout = SILENCE  # of the Hub's client, which may be a new one after an error
        try:
            return step()
        except (HTTPError, OSError, RuntimeError, json.JSONDecodeError) as error:  # of the Hub or of the way there
            if status_of(error) in HOPELESS or attempt == attempts:
                raise ValueError(why_not_sent("dataset", repo, error)) from error
        if pause(min(LONGEST_PAUSE, 2.0**attempt) * random.uniform(0.5, 1)):
            raise ValueError(f"{repo} on the Hub has not answered yet.")


@contextlib.contextmanager
def waiting_turn(store: RatingStore) -> Iterator[None]:
    """Only one process of this machine pushes at a time."""
    try:
        with FileLock(store.folder / "push.lock", timeout=600):
            yield
    except Timeout as error:
        raise ValueError("Another process has been uploading for ten minutes; try again later.") from error
    except OSError as error:
        raise ValueError(f"Nothing could be uploaded now: {error.strerror or error}; it is tried again.") from error
