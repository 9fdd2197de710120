"""The local store of pairs, ratings and their files: appended to, never rewritten. Knows no network.

One SQLite file holds the rows and two folders hold videos and first frames under the sha256 of their bytes. SQLite's
write-ahead log with `synchronous=FULL` is what the rules need: a row is on the disk before it is acknowledged, whole
or not at all, whatever is killed; several processes write at once; a full disk takes back the last step and no more.
Rows are never changed. What changes is which batch a row lies in: none, then one for good, which is then pushed.
"""

import json
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock

from huvidpo.preferences.files import FOLDERS, file_path, keep_file, writing
from huvidpo.preferences.records import Pair, Rating, Withdrawal, new_id, record_from_row

# One batch becomes one commit on the Hub, which wants at most about a hundred files in each.
BATCH_FILES = 80
SCHEMA = """
CREATE TABLE IF NOT EXISTS pairs (
    number INTEGER PRIMARY KEY, pair_id TEXT NOT NULL UNIQUE, category TEXT NOT NULL, row TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS records (
    number INTEGER PRIMARY KEY, record_id TEXT NOT NULL UNIQUE, pair_id TEXT NOT NULL REFERENCES pairs (pair_id),
    rater TEXT NOT NULL, preference TEXT NOT NULL, supersedes TEXT NOT NULL, batch TEXT NOT NULL, row TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS records_pair ON records (pair_id);
CREATE INDEX IF NOT EXISTS records_rater ON records (rater);
CREATE INDEX IF NOT EXISTS records_supersedes ON records (supersedes);
CREATE INDEX IF NOT EXISTS records_batch ON records (batch);
CREATE TABLE IF NOT EXISTS batches (name TEXT PRIMARY KEY, state TEXT NOT NULL);
"""
# A rating counts until a later row of the same rater takes its place or takes it back.
CURRENT = """
    preference != 'withdrawn' AND NOT EXISTS (
        SELECT 1 FROM records AS later WHERE later.supersedes = records.record_id AND later.rater = records.rater
    )
"""
OPEN, SEALED, PUSHED, PULLED = "", "sealed", "pushed", "pulled"


@dataclass(frozen=True)
class Counts:
    """How many there are."""

    pairs: int
    saved: int  # ratings that count
    waiting: int  # rows made here, withdrawals included, that are not on the Hub yet


class RatingStore:
    """Pairs, ratings and their files in `home`/ratings; as many of these as you like may be open at once.

    Every method may be called from any thread. ValueError, with one sentence, for what cannot be stored, a full disk
    included: then nothing of it is.
    """

    def __init__(self, home: Path):
        self.folder = home / "ratings"
        self._lock = RLock()
        with writing(), saying_why():
            for name in FOLDERS.values():
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(
                self.folder / "ratings.db", timeout=60, isolation_level=None, check_same_thread=False
            )
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.executescript(SCHEMA)

    def close(self) -> None:
        """Ends the use of this object; nothing is lost without it."""
        self._database.close()

    def keep_file(self, path: Path) -> str:
        """Copies an .mp4 or .png into the store; returns its sha256, the name it has there."""
        return keep_file(self.folder, Path(path))

    def video_path(self, sha256: str) -> Path:
        """Where a video lies, or would lie. ValueError when `sha256` is none."""
        return file_path(self.folder, sha256, ".mp4")

    def frame_path(self, sha256: str) -> Path:
        """Where a first frame lies, or would lie. ValueError when `sha256` is none."""
        return file_path(self.folder, sha256, ".png")

    # Pairs

    def add_pair(self, pair: Pair, files: Iterable[Path] = ()) -> Pair:
        """Keeps a pair and its files (two .mp4, perhaps the .png of the first frame), which may be there already.

        A pair that is there already stays as it is and is returned. ValueError when a file of the pair is missing.
        """
        for path in files:
            self.keep_file(path)
        needed = [self.video_path(take.sha256) for take in (pair.a, pair.b)]
        needed += [self.frame_path(pair.first_frame)] if pair.first_frame else []
        if missing := [path.name for path in needed if not path.is_file()]:
            raise ValueError(f"The pair {pair.pair_id} lacks the file {missing[0]}.")
        with self._transaction() as database:
            database.execute(
                "INSERT OR IGNORE INTO pairs (pair_id, category, row) VALUES (?, ?, ?)",
                (pair.pair_id, pair.category, json.dumps(pair.to_row())),
            )
        return self.pair(pair.pair_id)

    def pair(self, pair_id: str) -> Pair:
        """The pair of that name; ValueError when there is none."""
        found = self._rows("SELECT row FROM pairs WHERE pair_id = ?", pair_id)
        if not found:
            raise ValueError(f"There is no pair {pair_id[:80]!r}.")
        return Pair.from_row(json.loads(found[0][0]))

    def pairs(self, category: str | None = None) -> list[Pair]:
        """All pairs (of a category), the oldest first."""
        query = "SELECT row FROM pairs WHERE ? IN ('', category) ORDER BY number"
        return [Pair.from_row(json.loads(row)) for (row,) in self._rows(query, category or "")]

    # Ratings

    def append(self, rating: Rating) -> None:
        """Keeps a rating of a pair that is here; it is on the disk when this returns.

        The same rating a second time changes nothing. ValueError when the pair is not here, when its name is taken by
        another rating, or when it replaces a rating that is not this rater's, of another pair, or counts no more.
        """
        with self._transaction() as database:
            self._insert(database, rating, OPEN)

    def withdraw(self, rating_id: str, rater: str) -> None:
        """Takes a rating back by its rater's word; ValueError when the rater has no such rating that counts."""
        with self._transaction() as database:
            found = database.execute(
                f"SELECT pair_id FROM records WHERE record_id = ? AND rater = ? AND {CURRENT}", (rating_id, rater)
            ).fetchone()
            if not found:
                raise ValueError(f"You have no rating {rating_id[:80]!r} that could be taken back.")
            self._insert(database, Withdrawal(new_id(), rating_id, self.pair(found[0]), rater), OPEN)

    def rating(self, rating_id: str) -> Rating:
        """The rating of that name, whether it still counts or not; ValueError when there is none."""
        for record in self._records("record_id = ?", rating_id):
            if isinstance(record, Rating):
                return record
        raise ValueError(f"There is no rating {rating_id[:80]!r}.")

    def ratings(self, category: str | None = None, rater: str | None = None, last: int = -1) -> list[Rating]:
        """The ratings that count, the oldest first: of a category, of a rater, the `last` so many."""
        newest = self._records(
            f"? IN ('', category) AND ? IN ('', rater) AND {CURRENT} ORDER BY records.number DESC LIMIT ?",
            category or "",
            rater or "",
            last,
        )
        return newest[::-1]

    def times_rated(self, rater: str | None = None) -> dict[str, int]:
        """pair_id -> how many ratings of it count (from one rater), for the pairs that have any."""
        query = f"SELECT pair_id, COUNT(*) FROM records WHERE ? IN ('', rater) AND {CURRENT} GROUP BY pair_id"
        return dict(self._rows(query, rater or ""))

    def counts(self) -> Counts:
        """Pairs, ratings that count, and rows that wait for the Hub."""
        waiting = "batch = '' OR batch IN (SELECT name FROM batches WHERE state = 'sealed')"
        queries = (
            "SELECT COUNT(*) FROM pairs",
            f"SELECT COUNT(*) FROM records WHERE {CURRENT}",
            f"SELECT COUNT(*) FROM records WHERE {waiting}",
        )
        with self._lock:
            return Counts(*(self._rows(query)[0][0] for query in queries))

    # Batches

    def seal(self) -> str:
        """Puts the oldest open rows together into a batch of at most BATCH_FILES files; its name, "" without rows."""
        with self._transaction() as database:
            query = (
                "SELECT records.number, pair_id, pairs.row FROM records JOIN pairs USING (pair_id) WHERE batch = ''"
            )
            numbers, files = [], set()
            for number, _, row in database.execute(f"{query} ORDER BY records.number LIMIT {BATCH_FILES}"):
                pair = json.loads(row)
                files |= {pair["sha256_a"], pair["sha256_b"], pair["first_frame"]} - {""}
                if len(files) > BATCH_FILES:
                    break
                numbers.append(number)
            if not numbers:
                return ""
            name = f"{datetime.now(UTC):%Y-%m-%d/%H%M%S}-{uuid.uuid4().hex[:12]}"
            database.execute("INSERT INTO batches VALUES (?, ?)", (name, SEALED))
            database.execute("UPDATE records SET batch = ? WHERE batch = '' AND number <= ?", (name, numbers[-1]))
        return name

    def batches(self, *states: str) -> list[str]:
        """Names of the batches in one of these states (SEALED, PUSHED, PULLED), the oldest first."""
        marks = ", ".join("?" * len(states))
        return [
            name for (name,) in self._rows(f"SELECT name FROM batches WHERE state IN ({marks}) ORDER BY name", *states)
        ]

    def batch(self, name: str) -> list[Rating | Withdrawal]:
        """What a batch holds, in the order in which it was appended."""
        return self._records("batch = ? ORDER BY records.number", name)

    def mark_pushed(self, name: str) -> None:
        """The batch is on the Hub."""
        with self._transaction() as database:
            database.execute("UPDATE batches SET state = ? WHERE name = ?", (PUSHED, name))

    def add_pulled(self, name: str, records: Iterable[Rating | Withdrawal]) -> int:
        """Keeps a batch of others, whose pairs are here, all of it or nothing; returns how many rows were new."""
        with self._transaction() as database:
            database.execute("INSERT OR IGNORE INTO batches VALUES (?, ?)", (name, PULLED))
            return sum(self._insert(database, record, name) for record in records)

    # The database

    def _insert(self, database: sqlite3.Connection, record: Rating | Withdrawal, batch: str) -> bool:
        """Whether the record was new."""
        row = record.to_row()
        pair_columns = record.pair.to_row().keys()
        text = json.dumps({name: value for name, value in row.items() if name not in pair_columns})
        there = database.execute("SELECT row FROM records WHERE record_id = ?", (row["rating_id"],)).fetchone()
        if there:
            if batch == OPEN and there[0] != text:
                raise ValueError(f"There is another rating {row['rating_id']}.")
            return False
        if not database.execute("SELECT 1 FROM pairs WHERE pair_id = ?", (record.pair.pair_id,)).fetchone():
            raise ValueError(f"There is no pair {record.pair.pair_id!r}.")
        if batch == OPEN and row["supersedes"]:
            self._check_replaced(database, row)
        database.execute(
            "INSERT INTO records (record_id, pair_id, rater, preference, supersedes, batch, row)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (row["rating_id"], row["pair_id"], row["rater"], row["preference"], row["supersedes"], batch, text),
        )
        return True

    def _check_replaced(self, database: sqlite3.Connection, row: Mapping[str, object]) -> None:
        query = f"SELECT 1 FROM records WHERE record_id = ? AND pair_id = ? AND rater = ? AND {CURRENT}"
        if not database.execute(query, (row["supersedes"], row["pair_id"], row["rater"])).fetchone():
            raise ValueError("The rating to be changed is not yours, is of another pair, or no longer counts.")

    def _records(self, condition: str, *values: object) -> list[Rating | Withdrawal]:
        query = f"SELECT records.row, pairs.row, pair_id FROM records JOIN pairs USING (pair_id) WHERE {condition}"
        pairs: dict[str, dict] = {}
        records = []
        for row, pair_row, pair_id in self._rows(query, *values):
            pairs[pair_id] = pairs.get(pair_id) or json.loads(pair_row)
            records.append(record_from_row(pairs[pair_id] | json.loads(row)))
        return records

    def _rows(self, query: str, *values: object) -> list[tuple]:
        with self._lock:
            return self._database.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the block or nothing; on the disk when it ends."""
        with self._lock, saying_why():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # SQLite has rolled back on its own after some errors
                    self._database.execute("ROLLBACK")
                raise


@contextmanager
def saying_why() -> Iterator[None]:
    """What the disk says through SQLite, as one sentence."""
    try:
        yield
    except sqlite3.Error as error:
        raise ValueError(f"The store could not be written, so nothing was saved: {error}.") from error
