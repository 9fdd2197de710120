"""Speed of the ratings store: `python benchmarks/ratings.py`. Linux and macOS.

How many ratings a second 50 visitors get acknowledged, each on the disk (fsync) before the next; and the seconds and
the memory that a fresh process needs to open a store of 100,000 ratings, count them and choose the next pair.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from huvidpo.preferences.records import Pair, Rating, TakeRecord, new_id, new_pair
from huvidpo.preferences.selection import next_showing
from huvidpo.preferences.store import RatingStore

SETTINGS = {
    "backbone": "pocket",
    "recipe": "default",
    "steps": 8,
    "guidance": 4.0,
    "adapter": "motion",
    "huvidpo": "0",
}


def make_pair(store: RatingStore, number: int) -> Pair:
    """A pair whose files are empty: rows are measured here."""
    prompt = f"prompt {number % 500}"
    takes = [
        TakeRecord.from_settings(
            {**SETTINGS, "prompt": prompt, "seed": number}, f"{number:063x}{side}", 16, 128, 128, 8
        )
        for side in "ab"
    ]
    for take in takes:
        store.video_path(take.sha256).touch()
    return new_pair(*takes, prompt, ("horse", "rain", "birds", "smile")[number % 4], "queue", "shared-noise")


def measure_visitors(folder: Path, visitors: int, each: int) -> dict[str, float]:
    """Ratings a second that visitors, all at once, get acknowledged, and how long one waits."""
    store = RatingStore(folder)
    pairs = [store.add_pair(make_pair(store, i)) for i in range(20)]
    waits: list[float] = []

    def visit(visitor: int) -> None:
        for i in range(each):
            rating = Rating(new_id(), pairs[i % len(pairs)], "a", "b", f"{visitor:016x}")
            begin = time.perf_counter()
            store.append(rating)
            waits.append(time.perf_counter() - begin)

    threads = [threading.Thread(target=visit, args=(visitor,)) for visitor in range(visitors)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begin
    assert store.counts().saved == visitors * each
    return {
        f"ratings a second, {visitors} visitors": visitors * each / seconds,
        "median wait, ms": 1000 * statistics.median(waits),
        "longest wait, ms": 1000 * max(waits),
    }


def fill(folder: Path, count: int) -> None:
    """A store of `count` ratings, twenty on each pair."""
    store = RatingStore(folder)
    pairs = [store.add_pair(make_pair(store, i)) for i in range(max(1, count // 20))]
    with store._database.transaction() as database:  # one for all: the time of filling is not measured
        for i in range(count):
            store._insert(database, Rating(new_id(), pairs[i % len(pairs)], "a", "b", f"{i % 997:016x}"), "")


def measure_opening(folder: Path) -> dict[str, float]:
    """Runs in a fresh process."""
    begin = time.perf_counter()
    store = RatingStore(folder)
    counts = store.counts()
    opened = time.perf_counter()
    next_showing(store, "f" * 16, "horse")
    chosen = time.perf_counter()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**10 if sys.platform == "linux" else 2**20)
    found = store.ratings("horse")
    return {
        "ratings in the store": counts.saved,
        "open and count, s": opened - begin,
        "choose the next pair, s": chosen - opened,
        "peak memory until then, MB": memory,
        f"read {len(found)} whole ratings, s": time.perf_counter() - chosen,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visitors", type=int, default=50)
    parser.add_argument("--each", type=int, default=20, help="ratings of one visitor")
    parser.add_argument("--ratings", type=int, default=100_000, help="in the store that is opened")
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.open:
        print(json.dumps(measure_opening(arguments.open)))
        return
    with tempfile.TemporaryDirectory() as folder:
        figures = measure_visitors(Path(folder) / "visitors", arguments.visitors, arguments.each)
        fill(Path(folder) / "large", arguments.ratings)
        command = [sys.executable, __file__, "--open", str(Path(folder) / "large")]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        done = subprocess.run(command, env=environment, capture_output=True, check=True)
        figures |= json.loads(done.stdout)
    for name, value in figures.items():
        print(f"{name:36} {value:10.2f}")


if __name__ == "__main__":
    main()
