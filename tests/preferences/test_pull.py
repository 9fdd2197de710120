"""Pull from a real HTTP server that speaks the Hub's protocol: what others gave comes, what is false stays out."""

import errno
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from huvidpo.preferences import database, hub
from huvidpo.preferences.records import Pair, Withdrawal, new_id
from huvidpo.preferences.store import RatingStore
from tests.preferences.conftest import no_pause, rating_of
from tests.preferences.hub_server import CUT, SLOW, HubServer

REPO = "someone/ratings"


@pytest.mark.slow
def test_pull_brings_ratings_withdrawals_and_files_of_others(
    server: HubServer, api: HfApi, store: RatingStore, add_pair: Callable[..., Pair], tmp_path: Path
) -> None:
    pair, other = add_pair(), add_pair(2, 3)
    kept, gone = rating_of(pair), rating_of(other)
    for rating in (kept, gone):
        store.append(rating)
    hub.push(store, REPO, api)
    store.withdraw(gone.rating_id, gone.rater)
    hub.push(store, REPO, api)
    mine = RatingStore(tmp_path / "mine")
    pulled = hub.pull(mine, REPO, api)
    assert (pulled.batches, pulled.records, pulled.refused) == (2, 3, [])
    assert mine.ratings() == [kept]
    assert mine.video_path(pair.a.sha256).read_bytes() == store.video_path(pair.a.sha256).read_bytes()
    assert mine.counts().waiting == 0
    assert hub.pull(mine, REPO, api) == hub.Pulled(0, 0, [])
    assert hub.pull(store, REPO, api).records == 0, "its own come back to nobody"


@pytest.mark.slow
def test_pull_survives_faults(
    server: HubServer, api: HfApi, store: RatingStore, add_pair: Callable[..., Pair], tmp_path: Path
) -> None:
    for i in range(3):
        store.append(rating_of(add_pair(i, i + 1)))
    hub.push(store, REPO, api)
    faults = iter([503, CUT, 429, SLOW, 500] * 2)
    server.fault = lambda kind, path: next(faults, None)
    mine = RatingStore(tmp_path / "mine")
    assert hub.pull(mine, REPO, api, attempts=12, pause=no_pause).records == 3 and len(mine.ratings()) == 3


def test_pull_refuses_what_is_not_what_it_says(
    server: HubServer, api: HfApi, store: RatingStore, add_pair: Callable[..., Pair], tmp_path: Path
) -> None:
    """A forged video, a rating of somebody else's pair name, broken JSON and wrong types; the good row is taken."""
    good, forged = rating_of(add_pair()), rating_of(add_pair(2, 3))
    store.append(good)
    store.append(forged)
    hub.push(store, REPO, api)
    repository = server.repositories[REPO]
    (path,) = (path for path in repository.files if path.endswith("metadata.jsonl"))
    rows = [json.loads(line) for line in repository.files[path].splitlines()]
    video = path.replace("metadata.jsonl", f"videos/{forged.pair.b.sha256}.mp4")
    evil = [
        rows[0] | {"rating_id": new_id(), "pair_id": "f" * 16},
        rows[0] | {"rating_id": new_id(), "preference": "c"},
        rows[0] | {"rating_id": new_id(), "prompt": ["<script>"]},
        rows[0] | {"rating_id": new_id(), "schema_version": 99},
        rows[0] | {"rating_id": new_id(), "rater": "../../etc"},
        [1, 2],
    ]
    text = "\n".join([*map(json.dumps, [*rows, *evil]), "{broken", "[" * 100_000])
    other = store.video_path(good.pair.a.sha256).read_bytes()
    server.blobs[forged.pair.b.sha256] = other
    repository.commit({**repository.files, path: text.encode(), video: other})
    mine = RatingStore(tmp_path / "mine")
    pulled = hub.pull(mine, REPO, api)
    assert mine.ratings() == [good] and pulled.records == 1
    assert len(pulled.refused) == 9 and not any("Traceback" in sentence for sentence in pulled.refused)


def test_what_the_machine_cannot_do_now_is_done_later(
    server: HubServer, api: HfApi, store: RatingStore, add_pair: Callable[..., Pair], tmp_path: Path, monkeypatch
) -> None:
    """A database that is locked, and too many open files: neither is a fault of the rows, which would be lost."""
    store.append(rating_of(add_pair()))
    hub.push(store, REPO, api)

    def no_handle(*_, **__) -> None:
        raise ValueError("x.mp4 is not a readable clip") from OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(database, "PATIENCE", 0.1)
    mine = RatingStore(tmp_path / "mine")
    with monkeypatch.context() as at_once:
        at_once.setattr(hub, "read_frames", no_handle)
        with pytest.raises(ValueError, match="could not be taken over now: Too many open files"):
            hub.pull(mine, REPO, api)
    with closing(sqlite3.connect(mine.folder / "ratings.db", isolation_level=None)) as another:
        another.execute("BEGIN IMMEDIATE")
        with pytest.raises(ValueError, match="database is locked"):
            hub.pull(mine, REPO, api)
    assert hub.pull(mine, REPO, api).records == 1


@pytest.mark.parametrize("change", [{"preference": "a_bit"}, {"origin": "dream"}, {"segment_labels": ["a"] * 8}])
def test_rows_of_a_later_program_wait_for_it(
    server: HubServer, api: HfApi, store: RatingStore, add_pair: Callable[..., Pair], tmp_path: Path, change
) -> None:
    """Whatever is new in them; once the program is newer, the batch is read again."""
    rating = rating_of(add_pair())
    store.append(rating)
    hub.push(store, REPO, api)
    repository = server.repositories[REPO]
    (path,) = (path for path in repository.files if path.endswith("metadata.jsonl"))
    row = json.loads(repository.files[path])
    later = row | change | {"schema_version": row["schema_version"] + 1}
    repository.commit({**repository.files, path: json.dumps(later).encode()})
    mine = RatingStore(tmp_path / "mine")
    assert hub.pull(mine, REPO, api).records == 0
    repository.commit({**repository.files, path: json.dumps(row).encode()})
    assert hub.pull(mine, REPO, api).records == 1


def test_nobody_takes_back_the_rating_of_another(
    server: HubServer, api: HfApi, store: RatingStore, add_pair: Callable[..., Pair], tmp_path: Path
) -> None:
    mine = RatingStore(tmp_path / "mine")
    rating = rating_of(add_pair())
    store.append(rating)
    hub.push(store, REPO, api)
    repository = server.repositories[REPO]
    theirs = Withdrawal(new_id(), rating.rating_id, rating.pair, "f" * 16)
    (path,) = (path for path in repository.files if path.endswith("metadata.jsonl"))
    repository.commit({**repository.files, path: repository.files[path] + json.dumps(theirs.to_row()).encode()})
    assert hub.pull(mine, REPO, api).records == 2 and mine.ratings() == [rating]
