"""A SQLite file: durable transactions, and what it says when it cannot. Knows no tables.

SQLite's write-ahead log with `synchronous = FULL` is what ratings need: a row is on the disk before it is
acknowledged, whole or not at all, whatever is killed; several processes write at once; a full disk takes back the last
step only.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import RLock

from huvidpo.preferences.files import DiskProblem

PATIENCE = 60.0  # seconds to wait while another process writes
NEEDED = (
    " It needs free space and working file locks: set HUVIDPO_HOME to a folder on a disk of this machine, not on the "
    "network, in a bucket, or on a Windows drive in WSL."
)


class Database:
    """One SQLite file, open for all threads of this process. ValueError, one sentence, for what it cannot do.

    `schema` is SQL that makes what is missing of its tables.
    """

    def __init__(self, path: Path, schema: str):
        self._lock = RLock()
        with saying_why(f"The store in {path.parent} cannot be opened", NEEDED):
            self._connection = sqlite3.connect(path, PATIENCE, isolation_level=None, check_same_thread=False)
            patiently(self._connection.execute, "PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            patiently(self._connection.executescript, schema)

    def rows(self, query: str, *values: object) -> list[tuple]:
        """The answer to a query."""
        with self._lock, saying_why():
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the block or nothing; on the disk when it ends."""
        with self._lock, saying_why():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # SQLite has rolled back on its own after some errors
                    self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        self._connection.close()


def patiently(execute: Callable[[str], object], statement: str) -> None:
    """Runs a statement that several processes may run on a new file at once, for which SQLite itself does not wait."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            execute(statement)
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@contextmanager
def saying_why(what: str = "The store could not do this, so nothing was changed", hint: str = "") -> Iterator[None]:
    """SQLite's errors as one sentence, and what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise DiskProblem(f"{what}: {error}.{hint}") from error


def both(*conditions: tuple[str, str | None]) -> tuple[str, list[str]]:
    """The SQL of those conditions that have a value, and the values."""
    given = [(condition, value) for condition, value in conditions if value is not None]
    return " AND ".join(["TRUE", *(condition for condition, _ in given)]), [value for _, value in given]
