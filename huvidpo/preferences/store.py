"""The local store of pairs, ratings and their files: appended to, never rewritten. Knows no network.

Rows lie in one SQLite file; videos and first frames in two folders, under the sha256 of their bytes. A row is never
changed. What changes is the batch that it lies in: none at first, then one for good, and that one's way to the Hub.
"""

import json
import sqlite3
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from huvidpo.preferences.database import Database, both
from huvidpo.preferences.files import FOLDERS, file_path, keep_file, writing
from huvidpo.preferences.outlines import Counts, PairOutline
from huvidpo.preferences.ratings_schema import CURRENT, FIRST, KEEP_HERE, SCHEMA, TAKEN_BACK
from huvidpo.preferences.records import Pair, Rating, Withdrawal, new_id, record_from_row

# One batch becomes one commit on the Hub, which wants at most about a hundred files in each.
BATCH_FILES = 80
OPEN, SEALED, PUSHED, PULLED = "", "sealed", "pushed", "pulled"


class RatingStore:
    """Pairs, ratings and their files in `home`/ratings; as many of these as you like may be open at once.

    Every method may be called from any thread. ValueError, with one sentence, for what cannot be stored, a full disk
    included: then nothing of it is.
    """

    def __init__(self, home: Path):
        self.folder = home / "ratings"
        with writing():
            for name in FOLDERS.values():
                (self.folder / name).mkdir(parents=True, exist_ok=True)
        self._database = Database(self.folder / "ratings.db", SCHEMA)

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

    def add_pair(self, pair: Pair, files: Iterable[Path] = (), difference: float = -1.0) -> Pair:
        """Keeps a pair and its files (two .mp4, perhaps the .png of the first frame), which may be there already.

        `difference` is that of its outline; it stays in this store. A pair that is there already stays as it is and is
        returned. ValueError when a file of the pair is missing.
        """
        for path in files:
            self.keep_file(path)
        needed = [self.video_path(take.sha256) for take in (pair.a, pair.b)]
        needed += [self.frame_path(pair.first_frame)] if pair.first_frame else []
        if missing := [path.name for path in needed if not path.is_file()]:
            raise ValueError(f"The pair {pair.pair_id} lacks the file {missing[0]}.")
        with self._database.transaction() as database:
            row = pair.to_row()
            names = ("pair_id", "category", "origin", "split", "prompt", "adapter_a", "adapter_b")
            database.execute(
                f"INSERT OR IGNORE INTO pairs ({', '.join(names)}, row) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*(row[name] for name in names), json.dumps(row)),
            )
            if difference >= 0:
                database.execute("INSERT OR IGNORE INTO differences VALUES (?, ?)", (pair.pair_id, difference))
        return self.pair(pair.pair_id)

    def pair(self, pair_id: str) -> Pair:
        """The pair of that name; ValueError when there is none."""
        found = self._database.rows("SELECT row FROM pairs WHERE pair_id = ?", pair_id)
        if not found:
            raise ValueError(f"There is no pair {pair_id[:80]!r}.")
        return Pair.from_row(json.loads(found[0][0]))

    def pairs(self, category: str | None = None) -> list[Pair]:
        """All pairs (of a category), the oldest first."""
        where, values = both(("category = ?", category))
        rows = self._database.rows(f"SELECT row FROM pairs WHERE {where} ORDER BY number", *values)
        return [Pair.from_row(json.loads(row)) for (row,) in rows]

    def outlines(self, category: str | None = None, backbone: str | None = None) -> list[PairOutline]:
        """What is needed to choose among all pairs (of a category) without reading each of them, the oldest first.

        With `backbone` without those that another one made; those of unknown making are among them.
        """
        made = [(f"json_extract(pairs.row, '$.take_{side}.backbone') IN ('', ?)", backbone) for side in "ab"]
        where, values = both(("category = ?", category), *made)
        query = f"""
            SELECT pairs.pair_id, origin, split, category, prompt, adapter_a, adapter_b,
                TOTAL(preference = 'a'), TOTAL(preference = 'b'), TOTAL(preference LIKE 'tie%'),
                COALESCE(difference, -1)
            FROM pairs LEFT JOIN (SELECT pair_id, preference FROM records WHERE {CURRENT}) AS votes USING (pair_id)
            LEFT JOIN differences USING (pair_id)
            WHERE {where} GROUP BY pairs.number ORDER BY pairs.number
        """
        return [PairOutline(*row) for row in self._database.rows(query, *values)]

    # Ratings

    def append(self, rating: Rating) -> None:
        """Keeps a rating of a pair that is here; it is on the disk when this returns.

        The same rating a second time changes nothing. ValueError when the pair is not here, when its name is taken by
        another rating, or when it replaces a rating that is not this rater's, of another pair, or replaced already;
        one that was taken back may be.
        """
        with self._database.transaction() as database:
            self._insert(database, rating, OPEN)

    def withdraw(self, rating_id: str, rater: str) -> None:
        """Takes a rating back by its rater's word; ValueError when the rater has no such rating that counts."""
        with self._database.transaction() as database:
            found = database.execute(
                f"SELECT pair_id FROM records WHERE record_id = ? AND rater = ? AND {CURRENT}", (rating_id, rater)
            ).fetchone()
            if not found:
                raise ValueError(f"You have no rating {rating_id[:80]!r} that could be taken back.")
            self._insert(database, Withdrawal(new_id(), rating_id, self.pair(found[0]), rater), OPEN)

    def taken_back(self, pair_id: str, rater: str) -> str:
        """The id of the rater's newest rating of a pair, when that one was taken back; else ""."""
        query = f"""
            SELECT record_id, {CURRENT} FROM records WHERE pair_id = ? AND rater = ? AND preference != 'withdrawn'
            ORDER BY number DESC LIMIT 1
        """
        newest = self._database.rows(query, pair_id, rater)
        return newest[0][0] if newest and not newest[0][1] else ""

    def rating(self, rating_id: str) -> Rating:
        """The rating of that name, whether it still counts or not; ValueError when there is none."""
        for record in self._records("record_id = ?", rating_id):
            if isinstance(record, Rating):
                return record
        raise ValueError(f"There is no rating {rating_id[:80]!r}.")

    def known(self, rating_ids: Iterable[str]) -> set[str]:
        """Those of the ids that a rating here has, whether it counts or not."""
        listed = json.dumps([*rating_ids])
        query = "SELECT record_id FROM records WHERE record_id IN (SELECT value FROM json_each(?))"
        return {name for (name,) in self._database.rows(query, listed)}

    def ratings(self, category: str | None = None, rater: str | None = None, last: int = -1) -> list[Rating]:
        """The ratings that count, the oldest first: of a category, of a rater, the `last` so many."""
        where, values = both(("category = ?", category), ("rater = ?", rater))
        newest = self._records(f"{where} AND {CURRENT} ORDER BY records.number DESC LIMIT ?", *values, last)
        return newest[::-1]

    def blind_answers(self, category: str | None = None) -> list[Rating]:
        """First answers on pairs (of a category), also if changed later, unless they were taken back; oldest first."""
        where, values = both(("category = ?", category))
        return self._records(f"{where} AND {FIRST} AND NOT {TAKEN_BACK} ORDER BY records.number", *values)

    def taken_back_answers(self, category: str | None = None) -> list[Rating]:
        """First answers on pairs (of a category) that were taken back, once the names had been seen."""
        where, values = both(("category = ?", category))
        return self._records(f"{where} AND {FIRST} AND {TAKEN_BACK} ORDER BY records.number", *values)

    def rated_pairs(self, rater: str) -> dict[str, list[tuple[str, bool]]]:
        """pair_id -> (left_is, is_repeat) of each rating by this rater that counts, the oldest first."""
        query = f"""
            SELECT pair_id, json_extract(row, '$.left_is'), json_extract(row, '$.is_repeat')
            FROM records WHERE rater = ? AND {CURRENT} ORDER BY number
        """
        rated: dict[str, list[tuple[str, bool]]] = {}
        for pair_id, left_is, is_repeat in self._database.rows(query, rater):
            rated.setdefault(pair_id, []).append((left_is, bool(is_repeat)))
        return rated

    def answered_pairs(self, rater: str) -> set[str]:
        """pair_id of all pairs that this rater ever answered, also of answers taken back."""
        return {pair_id for (pair_id,) in self._database.rows("SELECT pair_id FROM records WHERE rater = ?", rater)}

    def counts(self) -> Counts:
        """Pairs, ratings that count, and rows that wait for the Hub."""
        waiting = "batch = '' OR batch IN (SELECT name FROM batches WHERE state = 'sealed')"
        queries = (
            "SELECT COUNT(*) FROM pairs",
            f"SELECT COUNT(*) FROM records WHERE {CURRENT}",
            f"SELECT COUNT(*) FROM records WHERE {waiting}",
        )
        return Counts(*(self._database.rows(query)[0][0] for query in queries))

    # Batches

    def seal(self) -> str:
        """Puts the oldest open rows together into a batch of at most BATCH_FILES files; its name, "" without rows."""
        with self._database.transaction() as database:
            database.execute(KEEP_HERE)
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
            name
            for (name,) in self._database.rows(
                f"SELECT name FROM batches WHERE state IN ({marks}) ORDER BY name", *states
            )
        ]

    def batch(self, name: str) -> list[Rating | Withdrawal]:
        """What a batch holds, in the order in which it was appended."""
        return self._records("batch = ? ORDER BY records.number", name)

    def mark_pushed(self, name: str) -> None:
        """The batch is on the Hub."""
        with self._database.transaction() as database:
            database.execute("UPDATE batches SET state = ? WHERE name = ?", (PUSHED, name))

    def add_pulled(self, name: str, records: Iterable[Rating | Withdrawal], whole: bool = True) -> int:
        """Keeps a batch of others, whose pairs are here, all of it or nothing; returns how many rows were new.

        One that is not `whole` has more rows, which a later program will read.
        """
        with self._database.transaction() as database:
            if whole:
                database.execute("INSERT OR IGNORE INTO batches VALUES (?, ?)", (name, PULLED))
            return sum(self._insert(database, record, name) for record in records)

    # The database

    def _insert(self, database: sqlite3.Connection, record: Rating | Withdrawal, batch: str) -> bool:
        """Whether the record was new."""
        found = database.execute("SELECT row FROM pairs WHERE pair_id = ?", (record.pair.pair_id,)).fetchone()
        if not found:
            raise ValueError(f"There is no pair {record.pair.pair_id!r}.")
        if isinstance(record, Rating):  # its pair is known by its clips and its prompt, in whatever order they came
            record = record.of(Pair.from_row(json.loads(found[0])))
        row = record.to_row()
        pair_row = record.pair.to_row()  # lies in its own table
        text = json.dumps({name: value for name, value in row.items() if name not in pair_row})
        there = database.execute("SELECT row FROM records WHERE record_id = ?", (row["rating_id"],)).fetchone()
        if there:
            if batch == OPEN and there[0] != text:
                raise ValueError(f"There is another rating {row['rating_id']}.")
            return False
        if batch == OPEN and row["supersedes"]:
            self._check_replaced(database, row)
        database.execute(
            "INSERT INTO records (record_id, pair_id, rater, preference, supersedes, batch, row)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (row["rating_id"], row["pair_id"], row["rater"], row["preference"], row["supersedes"], batch, text),
        )
        return True

    def _check_replaced(self, database: sqlite3.Connection, row: Mapping[str, object]) -> None:
        query = """
            SELECT 1 FROM records WHERE record_id = ? AND pair_id = ? AND rater = ? AND preference != 'withdrawn'
            AND NOT EXISTS (
                SELECT 1 FROM records AS later WHERE later.supersedes = records.record_id
                AND later.rater = records.rater AND later.preference != 'withdrawn'
            )
        """
        if not database.execute(query, (row["supersedes"], row["pair_id"], row["rater"])).fetchone():
            raise ValueError("The rating to be changed is not yours, is of another pair, or was changed already.")

    def _records(self, condition: str, *values: object) -> list[Rating | Withdrawal]:
        query = f"SELECT records.row, pair_id FROM records JOIN pairs USING (pair_id) WHERE {condition}"
        found = self._database.rows(query, *values)
        pairs = {pair_id: self.pair(pair_id) for pair_id in {pair_id for _, pair_id in found}}
        return [record_from_row(json.loads(row), pairs[pair_id]) for row, pair_id in found]
