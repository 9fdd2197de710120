"""What was pushed opens with `datasets.load_dataset`, both videos in each row."""

import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from huggingface_hub import HfApi

from huvidpo.preferences import hub
from huvidpo.preferences.records import Pair
from huvidpo.preferences.store import RatingStore
from tests.preferences.conftest import rating_of
from tests.preferences.hub_server import TOKEN, HubServer

pytest.importorskip("datasets")
REPO = "someone/ratings"
PROGRAM = """
import hashlib, json, sys
from datasets import Video, load_dataset

ratings = load_dataset(sys.argv[1], split="train")
assert type(ratings.features["video_a"]) is type(ratings.features["video_b"]) is Video, ratings.features
ratings = ratings.cast_column("video_a", Video(decode=False)).cast_column("video_b", Video(decode=False))

def sha256(video):
    content = video["bytes"] if video["bytes"] is not None else open(video["path"], "rb").read()
    return hashlib.sha256(content).hexdigest()

videos = [[sha256(row["video_a"]), sha256(row["video_b"])] for row in ratings]
rows = [{name: value for name, value in row.items() if name not in ("video_a", "video_b")} for row in ratings]
print(json.dumps({"videos": videos, "rows": rows}))
"""


@pytest.mark.slow
def test_load_dataset_shows_both_videos_of_each_row(
    server: HubServer, store: RatingStore, add_pair: Callable[..., Pair], tmp_path
) -> None:
    """Two batches, a withdrawal among the rows; every column comes back as it went out."""
    api = HfApi(endpoint=server.url, token=TOKEN)
    ratings = [rating_of(add_pair()), rating_of(add_pair(2, 3), "tie_good", segment_labels=("a", "-", "tie", "b"))]
    for rating in ratings:
        store.append(rating)
        hub.push(store, REPO, api)
    store.withdraw(ratings[0].rating_id, ratings[0].rater)
    hub.push(store, REPO, api)
    environment = os.environ | {
        "HF_ENDPOINT": server.url,
        "HF_TOKEN": TOKEN,
        "HF_HOME": str(tmp_path / "cache"),
        "HF_HUB_DISABLE_XET": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, REPO], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    loaded = json.loads(done.stdout.splitlines()[-1])
    records = [record for name in store.batches("pushed") for record in store.batch(name)]
    expected = {record.to_row()["rating_id"]: record for record in records}
    assert len(loaded["rows"]) == len(expected) == 3
    for row, videos in zip(loaded["rows"], loaded["videos"], strict=True):
        record = expected[row["rating_id"]]
        assert row == record.to_row() and videos == [record.pair.a.sha256, record.pair.b.sha256]
