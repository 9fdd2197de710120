"""Uploads ratings in the background, for as long as the page runs. Knows when; `hub` knows how."""

import logging
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

from huvidpo.preferences.hub import dataset_repo, new_api, pull, push, repo_exists
from huvidpo.preferences.store import RatingStore

EVERY = 300.0  # seconds
AT_ROWS = 20  # that many waiting rows are uploaded at once
LAST_SECONDS = 20.0  # for the last upload when the program is told to end


class Pusher:
    """One background thread that pushes what waits: at the start, every five minutes, at 20 rows, and at the end.

    Another one pulls at the start: a Space whose disk was emptied has its ratings back, and those of others. What
    fails is tried again after the next push.
    `problem` is a sentence for the page while uploading does not work, "" while it does. Ratings never wait for it.
    """

    def __init__(self, store: RatingStore, repo: str, api: Any, every: float = EVERY, at_rows: int = AT_ROWS):
        self._push_problem = self._pull_problem = ""
        self._store, self._repo, self._api = store, repo, api
        self._every, self._at_rows = every, at_rows
        self._wanted = threading.Event()  # a push is wanted before its time
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ratings to the Hub", daemon=True)

    @property
    def problem(self) -> str:
        """What the owner should know, in words; "" while all is well."""
        return " ".join(filter(None, [self._push_problem, self._pull_problem]))

    def start(self) -> None:
        """Begins with what an earlier run left."""
        self._thread.start()
        threading.Thread(target=self._pull, daemon=True, name="ratings from the Hub").start()

    def notify(self) -> None:
        """Call this after a rating was kept."""
        if self._store.counts().waiting >= self._at_rows:
            self._wanted.set()

    def stop(self, seconds: float = LAST_SECONDS) -> None:
        """Pushes once more and ends; after `seconds` it is left alone, and the next start goes on."""
        self._ending.set()
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self) -> None:
        while not self._ending.is_set():
            self._push()
            if self._pull_problem:
                self._pull()
            self._wanted.wait(self._every)
            self._wanted.clear()
        self._push()

    def _pull(self) -> None:
        try:
            if repo_exists(self._repo, self._api, pause=self._ending.wait):  # else the first push makes it
                pull(self._store, self._repo, self._api, pause=self._ending.wait)
            self._pull_problem = ""
        except Exception as error:  # whatever it is: the next push tries again
            self._pull_problem = f"Not all ratings of the dataset are here: {in_words(error)}"
            print(self._pull_problem, file=sys.stderr)

    def _push(self) -> None:
        try:
            # A pause between attempts ends early when the program does, and that ends the attempts.
            push(self._store, self._repo, self._api, pause=self._ending.wait)
            self._push_problem = ""
        except Exception as error:  # the thread must outlive what nobody thought of: ratings wait for it
            self._push_problem = f"{in_words(error)} What is not uploaded waits here."


def in_words(error: Exception) -> str:
    """What the owner should know of it; with its traceback in the log, unless it was thought of."""
    if isinstance(error, (ValueError, OSError)):
        return str(error)
    logging.getLogger(__name__).error("The dataset on the Hub", exc_info=error)
    return f"An error of this program ({type(error).__name__}); see its log."


class NoPusher:
    """In the place of a `Pusher` where there is nothing to push to; `problem` says why."""

    def __init__(self, problem: str):
        self.problem = problem

    def notify(self) -> None:
        """Ratings stay here."""

    def stop(self, seconds: float = LAST_SECONDS) -> None:
        """There is nothing to end."""


def start_pusher(store: RatingStore) -> Pusher | NoPusher:
    """Pushing to HUVIDPO_DATASET, where that is set and there is a token."""
    repo = dataset_repo()
    if not repo:
        lost = "Ratings stay on this Space's disk, which may not last: set HUVIDPO_DATASET to keep them in a dataset."
        return NoPusher(lost if os.environ.get("SPACE_ID") else "")  # on one's own machine they are kept
    try:
        api = new_api()
    except ValueError as error:
        return NoPusher(f"{error} Ratings wait till then.")
    pusher = Pusher(store, repo, api)
    pusher.start()
    return pusher


def push_on_sigterm(pusher: Pusher | NoPusher) -> None:
    """A Space is ended by SIGTERM, at which Python runs no exit handlers. From the main thread only.

    The last push happens in the handler: later, while the interpreter ends, no upload thread could start any more.
    """

    def end(number: int, frame: FrameType | None) -> None:
        pusher.stop()
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)
