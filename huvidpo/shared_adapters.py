"""Adapters that several deployments share in a model repository on the Hub. Knows their files, nothing of networks.

HUVIDPO_ADAPTERS names the repository, laid out as <backbone>/<category>/<name>/. Its cards are fetched when adapters
are first listed, weights when they are first used; both stay in the Hub's cache, so that all works on without the Hub.
"""

import math
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, get_token, snapshot_download
from huggingface_hub.errors import HTTPError, LocalEntryNotFoundError

from huvidpo.hub_errors import check_repo, check_token, why_not_sent
from huvidpo.hub_models import Downloaded, HubFiles, fetch, sentence

CARDS = ["*/*/*/card.json", "*/*/*/README.md"]
WEIGHTS = ("motion.safetensors", "preference_lora.safetensors")
AGAIN = 60.0
_found: dict[str, tuple[Path | None, float]] = {}  # repository -> folder of its cards, when that was asked for
MAX_BYTES = 4e9  # of one adapter; the motion weights of sd14 are 0.5e9


def adapters_repo() -> str:
    """HUVIDPO_ADAPTERS, "" when it is not set. ValueError when it is not owner/name."""
    repo = os.environ.get("HUVIDPO_ADAPTERS", "").strip()
    if repo:
        check_repo(repo, "HUVIDPO_ADAPTERS must name a model repository on the Hub as owner/name.")
    return repo


def can_push() -> bool:
    """Whether there is a repository, and a token to push with; ValueError as from `adapters_repo`."""
    return bool(adapters_repo() and get_token())


def shared_root() -> Path | None:
    """The folder with the shared adapters' cards; None without HUVIDPO_ADAPTERS, or while the Hub is out of reach."""
    repo = adapters_repo()
    return cards_of(repo) if repo else None


def cards_of(repo: str) -> Path | None:
    """The folder with the newest cards, else with those of last time; says on stderr when the Hub did not answer.

    A process asks the Hub once, and after a failure again when somebody lists adapters after AGAIN seconds.
    """
    folder, asked = _found.get(repo, (None, -math.inf))
    if folder is None and time.monotonic() - asked > AGAIN:
        try:
            folder = Path(snapshot_download(repo, allow_patterns=CARDS))
        except (HTTPError, LocalEntryNotFoundError, OSError, RuntimeError, ValueError) as error:
            print(f"Warning: the shared adapters are not there: {reason(repo, error)}", file=sys.stderr)
        _found[repo] = (folder, time.monotonic())
    return folder


def reason(repo: str, error: Exception) -> str:
    return sentence(HubFiles(repo, "main", (), 0.0, "", ""), error)


def fetch_weights(folder: Path) -> Iterator[Downloaded]:
    """Downloads the weights of an adapter's folder below `shared_root` and yields progress; nothing for other folders.

    They are of the same commit as the card. Raises ValueError with one sentence.
    """
    root = shared_root()
    if root is None or not folder.is_relative_to(root):
        return
    place, repo, revision = folder.relative_to(root).as_posix(), adapters_repo(), root.name
    patterns = [f"{place}/{name}" for name in WEIGHTS]
    try:  # the list of the commit's files came with the cards: it tells whether all are here
        snapshot_download(repo, revision=revision, allow_patterns=patterns, local_files_only=True)
        return
    except LocalEntryNotFoundError:
        pass
    try:
        files = snapshot_download(repo, revision=revision, allow_patterns=patterns, dry_run=True)
    except (HTTPError, OSError) as error:
        raise ValueError(reason(repo, error)) from error
    size = sum(file.file_size for file in files)
    if size > MAX_BYTES:
        raise ValueError(f"The adapter {folder.name!r} in {repo} is too large: {size / 1e9:.1f} GB.")
    names = tuple(file.filename for file in files if file.filename in patterns)
    licence = ("the licence on its card", f"https://hf.co/{repo}")
    yield from fetch(HubFiles(repo, revision, names, size / 1e9, *licence))


def push_folder(repo: str, place: str, files: dict[str, Path]) -> str:
    """Uploads an adapter's files (by name) to <backbone>/<category>/<name> in one commit; gives the commit's hash.

    The repository is made when it is missing, private: who owns it publishes it in its settings. ValueError with one
    sentence when the Hub does not take it.
    """
    check_repo(repo, "Name the repository as owner/name: set HUVIDPO_ADAPTERS, or give --repo.")
    check_token()
    api = HfApi(library_name="huvidpo")
    operations = [CommitOperationAdd(f"{place}/{name}", path) for name, path in files.items()]
    try:
        api.create_repo(repo, repo_type="model", private=True, exist_ok=True)
        made = api.create_commit(repo, operations, commit_message=f"Adapter {place}")
    except (HTTPError, OSError, RuntimeError) as error:  # the last one of the large-file store
        raise ValueError(why_not_sent("model", repo, error)) from error
    _found.pop(repo, None)
    return made.oid
