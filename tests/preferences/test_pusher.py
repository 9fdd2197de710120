"""The background upload: at the start, by itself, and when the program is told to end."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import huggingface_hub.constants
import pytest
from huggingface_hub import HfApi

from huvidpo.preferences import pusher as pusher_module
from huvidpo.preferences.hub import push
from huvidpo.preferences.pusher import NoPusher, Pusher, start_pusher
from huvidpo.preferences.records import Pair
from huvidpo.preferences.store import RatingStore
from tests.preferences.conftest import rating_of
from tests.preferences.hub_server import TOKEN, HubServer
from tests.preferences.test_hub import REPO, rows_on_the_hub
from tests.waiting import until

PATIENCE = 120  # seconds that a slow machine may take


@pytest.mark.slow
def test_it_goes_on_with_what_is_left_and_sends_more_when_enough_waits(
    server: HubServer, store: RatingStore, add_pair: Callable[..., Pair]
) -> None:
    store.append(rating_of(add_pair()))
    pusher = Pusher(store, REPO, HfApi(endpoint=server.url, token=TOKEN), every=3600, at_rows=2)
    pusher.start()
    until(lambda: store.counts().waiting == 0)
    for rater in "bc":
        store.append(rating_of(add_pair(), rater=rater * 16))
        pusher.notify()
    until(lambda: store.counts().waiting == 0)
    store.append(rating_of(add_pair(), rater="d" * 16))
    pusher.notify()
    pusher.stop(PATIENCE)
    assert store.counts().waiting == 0 and len(rows_on_the_hub(server)) == 4 and pusher.problem == ""


def test_a_start_brings_back_what_the_hub_has(
    server: HubServer, store: RatingStore, add_pair: Callable[..., Pair], tmp_path: Path
) -> None:
    """A Space that was restarted with an empty disk; and before, one whose dataset is not there yet."""
    api = HfApi(endpoint=server.url, token=TOKEN)
    store.append(rating_of(add_pair()))
    first = Pusher(store, REPO, api, every=3600)
    first.start()
    until(lambda: store.counts().waiting == 0)
    first.stop(PATIENCE)
    emptied = RatingStore(tmp_path / "emptied")
    second = Pusher(emptied, REPO, api, every=3600)
    second.start()
    until(lambda: emptied.counts().saved == 1)
    second.stop(PATIENCE)
    assert emptied.ratings() == store.ratings() and emptied.counts().waiting == 0 and second.problem == ""


def test_a_problem_is_told_and_goes_away(server: HubServer, store: RatingStore, add_pair: Callable[..., Pair]) -> None:
    server.fault = lambda kind, path: 403
    store.append(rating_of(add_pair()))
    pusher = Pusher(store, REPO, HfApi(endpoint=server.url, token=TOKEN), every=3600, at_rows=1)
    pusher.start()
    until(lambda: "may not write" in pusher.problem)
    server.fault = lambda kind, path: None
    pusher.notify()
    until(lambda: pusher.problem == "")
    pusher.stop(PATIENCE)
    assert len(rows_on_the_hub(server)) == 1


def test_the_thread_outlives_what_nobody_thought_of(
    server: HubServer, store: RatingStore, add_pair: Callable[..., Pair], monkeypatch, caplog
) -> None:
    """No file handles for a moment, or an error of ours: on a disk that is emptied, ratings would be gone with it."""
    store.append(rating_of(add_pair()))
    failures = iter([OSError(24, "Too many open files"), KeyError("x")])

    def failing(*arguments, **more):
        if failure := next(failures, None):
            raise failure
        return push(*arguments, **more)

    monkeypatch.setattr(pusher_module, "push", failing)
    pusher = Pusher(store, REPO, HfApi(endpoint=server.url, token=TOKEN), every=0.2)
    pusher.start()
    until(lambda: "Too many open files" in pusher.problem)
    until(lambda: "An error of this program (KeyError)" in pusher.problem)
    until(lambda: store.counts().waiting == 0 and pusher.problem == "")
    assert "KeyError" in caplog.text
    pusher.stop(PATIENCE)


def test_nothing_to_push_to_is_told(monkeypatch: pytest.MonkeyPatch, store: RatingStore, tmp_path: Path) -> None:
    monkeypatch.delenv("HUVIDPO_DATASET", raising=False)
    pusher = start_pusher(store)
    pusher.notify()
    pusher.stop()
    assert isinstance(pusher, NoPusher) and pusher.problem == "", "one's own disk lasts"
    monkeypatch.setenv("SPACE_ID", "someone/space")
    assert "HUVIDPO_DATASET" in start_pusher(store).problem
    monkeypatch.setenv("HUVIDPO_DATASET", REPO)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    assert start_pusher(store).problem.endswith("`hf auth login`. Ratings wait till then.")


PROGRAM = """
import sys, time
from pathlib import Path
from huvidpo.preferences.pusher import push_on_sigterm, start_pusher
from huvidpo.preferences.records import Rating, new_id
from huvidpo.preferences.store import RatingStore

store = RatingStore(Path(sys.argv[1]))
pusher = start_pusher(store)
push_on_sigterm(pusher)
store.append(Rating(new_id(), store.pairs()[0], "a", "b", "a" * 16))
print("kept", flush=True)
while True:
    time.sleep(0.1)
"""


@pytest.mark.slow
def test_sigterm_uploads_what_waits(server: HubServer, store: RatingStore, add_pair: Callable[..., Pair]) -> None:
    """A program that has kept one rating and waits five minutes for its next push is told to end."""
    add_pair()
    environment = os.environ | {
        "HF_ENDPOINT": server.url,
        "HF_TOKEN": TOKEN,
        "HF_HUB_DISABLE_XET": "1",
        "HUVIDPO_DATASET": REPO,
    }
    command = [sys.executable, "-c", PROGRAM, str(store.folder.parent)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout.readline() == "kept\n"
        program.send_signal(signal.SIGTERM)
        assert program.wait(PATIENCE) == 128 + signal.SIGTERM
    assert len(rows_on_the_hub(server)) == 1 and store.counts().waiting == 0
