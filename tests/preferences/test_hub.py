"""Push against a real HTTP server that speaks the Hub's protocol, in fair weather and in a storm."""

import contextlib
import json
import random
import threading
from collections.abc import Callable
from pathlib import Path

import huggingface_hub.constants
import pytest
import yaml
from huggingface_hub import HfApi

from huvidpo.preferences import hub
from huvidpo.preferences import store as store_module
from huvidpo.preferences.dataset_card import features, new_card, renewed_card
from huvidpo.preferences.records import Pair
from huvidpo.preferences.statistics import summarise
from huvidpo.preferences.store import PUSHED, SEALED, RatingStore
from tests.preferences.conftest import no_pause, rating_of
from tests.preferences.hub_server import CUT, CUT_AFTER, SLOW, TOKEN, HubServer

REPO = "someone/ratings"


def rows_on_the_hub(server: HubServer) -> list[dict]:
    files = server.repositories[REPO].files
    texts = [content.decode() for path, content in sorted(files.items()) if path.endswith("metadata.jsonl")]
    return [json.loads(line) for text in texts for line in text.splitlines()]


def test_a_push_makes_the_dataset_and_says_what_is_in_it(
    server: HubServer, api: HfApi, store: RatingStore, add_pair: Callable[..., Pair]
) -> None:
    pair = add_pair()
    first, second = rating_of(pair, "b"), rating_of(pair, "tie_good", rater="b" * 16)
    store.append(first)
    store.append(second)
    assert store.counts().waiting == 2
    assert hub.push(store, REPO, api) == 2 and store.counts().waiting == 0
    (name,) = store.batches(PUSHED)
    files = server.repositories[REPO].files
    assert server.repositories[REPO].private
    videos = {f"data/train/{name}/videos/{take.sha256}.mp4": take.sha256 for take in (pair.a, pair.b)}
    assert files.keys() == {".gitattributes", "README.md", f"data/train/{name}/metadata.jsonl", *videos}
    for path, sha256 in videos.items():
        assert files[path] == store.video_path(sha256).read_bytes()
    rows = rows_on_the_hub(server)
    assert [row["rating_id"] for row in rows] == [first.rating_id, second.rating_id]
    assert [(row["label_a"], row["label_b"]) for row in rows] == [(0, 1), (0.5, 0.5)]
    assert rows[0]["video_a_file_name"] == f"videos/{pair.a.sha256}.mp4"
    head = yaml.safe_load(files["README.md"].decode().split("---\n")[1])
    assert head["license"] == "cc-by-4.0" and head["configs"][0]["data_files"][0]["path"] == "data/train/**"
    assert "| ratings that count | 2 (0 a, 1 b, 1 tie_good, 0 tie_bad) |" in files["README.md"].decode()


def test_the_card_pins_every_column(add_pair: Callable[..., Pair]) -> None:
    """`video_a_file_name` becomes the column video_a; the types are those of the values."""
    row = rating_of(add_pair()).to_row()
    kinds = {"string": str, "int64": int, "float64": float, "bool": bool}
    columns = {column["name"]: column for column in features()}
    assert columns.keys() - {"video_a", "video_b"} == row.keys()
    for name, value in row.items():
        if "struct" in columns[name]:
            assert {part["name"]: kinds[part["dtype"]] for part in columns[name]["struct"]} == {
                key: type(inner) for key, inner in value.items()
            }
        elif name == "segment_labels":
            assert columns[name]["list"] == "string"
        else:
            assert type(value) is kinds[columns[name]["dtype"]], name


def test_a_push_again_sends_nothing(
    server: HubServer, api: HfApi, store: RatingStore, add_pair: Callable[..., Pair]
) -> None:
    store.append(rating_of(add_pair()))
    hub.push(store, REPO, api)
    before = dict(server.requests)
    assert hub.push(store, REPO, api) == 0 and server.requests == before


def test_a_video_is_uploaded_once(
    server: HubServer, api: HfApi, store: RatingStore, add_pair: Callable[..., Pair]
) -> None:
    for rater in "abc":
        store.append(rating_of(add_pair(), rater=rater * 16))
        hub.push(store, REPO, api)
    assert server.requests["put"] == 2 and len(rows_on_the_hub(server)) == 3


def test_a_lost_file_keeps_nothing_else_back(
    server: HubServer, api: HfApi, store: RatingStore, add_pair: Callable[..., Pair], monkeypatch
) -> None:
    monkeypatch.setattr(store_module, "BATCH_FILES", 3)  # a batch for every pair
    lost, kept = add_pair(), add_pair(2, 3)
    for pair in (lost, kept):
        store.append(rating_of(pair))
    store.video_path(lost.a.sha256).unlink()
    with pytest.raises(ValueError, match=r"cannot be uploaded: the file .* is gone"):
        hub.push(store, REPO, api)
    assert [row["pair_id"] for row in rows_on_the_hub(server)] == [kept.pair_id] and store.counts().waiting == 1


def test_words_of_the_owner_on_the_card_stay(
    server: HubServer, api: HfApi, store: RatingStore, add_pair: Callable[..., Pair]
) -> None:
    store.append(rating_of(add_pair()))
    hub.push(store, REPO, api)
    repository = server.repositories[REPO]
    edited = repository.files["README.md"].replace(b"Ratings of pairs", b"Our very own pairs") + b"\nWrite to us.\n"
    repository.commit({**repository.files, "README.md": edited})
    store.append(rating_of(add_pair(2, 3)))
    hub.push(store, REPO, api)
    card = repository.files["README.md"].decode()
    assert "Our very own pairs" in card and card.endswith("Write to us.\n")
    assert "| ratings that count | 2 (2 a, 0 b, 0 tie_good, 0 tie_bad) |" in card
    assert renewed_card("no place for figures", summarise([])) == "no place for figures"
    assert new_card(REPO, summarise([])).count("no data yet") == 4


@pytest.mark.slow
def test_two_hundred_ratings_come_through_a_storm_once(
    server: HubServer, api: HfApi, store: RatingStore, add_pair: Callable[..., Pair]
) -> None:
    """Every fifth request fails, and commits fail in every way that there is: refused, cut off before and after the

    work, and with a parent that another deployment has overtaken. The Hub then holds each rating once, as given.
    """
    pairs = [add_pair(a, b) for a in range(6) for b in range(a)]
    ratings = [rating_of(pairs[i % len(pairs)], "ab"[i % 2], rater=f"{i:016x}") for i in range(200)]
    chance = random.Random(7)
    of_commits = iter([429, CUT_AFTER, "overtaken", None, 503, CUT, SLOW, "overtaken", CUT_AFTER, 500, 500, 500, 500])

    def storm(kind: str, path: str) -> int | str | None:
        if kind != "commit":
            return chance.choice((429, 500, 503, SLOW, CUT, CUT_AFTER)) if chance.random() < 0.2 else None
        fault = next(of_commits, None)
        if fault == "overtaken":
            repository = server.repositories[REPO]
            repository.commit({**repository.files, "elsewhere.txt": str(len(repository.commits)).encode()})
            return None
        return fault

    server.fault = storm
    for i, rating in enumerate(ratings, 1):
        store.append(rating)
        if i % 25 == 0:
            with contextlib.suppress(ValueError):  # what fails waits for the next round
                hub.push(store, REPO, api, attempts=4, pause=no_pause)
    server.fault = lambda kind, path: None
    hub.push(store, REPO, api)
    rows = rows_on_the_hub(server)
    assert sorted(row["rating_id"] for row in rows) == sorted(rating.rating_id for rating in ratings)
    sent = {rating.rating_id: rating.to_row() for rating in ratings}
    assert all(sent[row["rating_id"]].items() <= row.items() for row in rows)
    assert next(of_commits, "all used") == "all used"
    assert store.counts().waiting == 0 and not store.batches(SEALED)


def test_a_commit_that_was_done_before_the_line_was_cut_is_not_done_twice(
    server: HubServer, api: HfApi, store: RatingStore, add_pair: Callable[..., Pair]
) -> None:
    store.append(rating_of(add_pair()))
    cuts = iter([CUT_AFTER])
    server.fault = lambda kind, path: next(cuts, None) if kind == "commit" else None
    assert hub.push(store, REPO, api, pause=no_pause) == 1
    assert len(server.repositories[REPO].commits) == 2 and len(rows_on_the_hub(server)) == 1


def test_an_outage_loses_nothing_and_the_next_program_goes_on(
    server: HubServer, api: HfApi, store: RatingStore, add_pair: Callable[..., Pair]
) -> None:
    store.append(rating_of(add_pair()))
    server.fault = lambda kind, path: 503
    with pytest.raises(ValueError, match="answered with error 503: try again later"):
        hub.push(store, REPO, api, attempts=2, pause=no_pause)
    again = RatingStore(store.folder.parent)
    assert again.counts().waiting == 1
    server.fault = lambda kind, path: None
    assert hub.push(again, REPO, api) == 1 and len(rows_on_the_hub(server)) == 1


def test_what_xet_cannot_upload_waits(
    server: HubServer,
    api: HfApi,
    store: RatingStore,
    add_pair: Callable[..., Pair],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The Hub's client uploads videos by Xet where it can; this server has no such part, as behind a firewall."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", False)
    store.append(rating_of(add_pair()))
    with pytest.raises(ValueError, match=r"could not be reached .*: try again later"):
        hub.push(store, REPO, api, attempts=2, pause=no_pause)
    assert store.counts().waiting == 1
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    assert hub.push(store, REPO, api) == 1 and len(rows_on_the_hub(server)) == 1


@pytest.mark.parametrize(
    "status, sentence", [(401, "token is not valid"), (403, "may not write to"), (404, "There is no dataset")]
)
def test_what_cannot_work_is_not_tried_again(
    server: HubServer, api: HfApi, store: RatingStore, add_pair: Callable[..., Pair], status: int, sentence: str
) -> None:
    store.append(rating_of(add_pair()))
    asked = []
    server.fault = lambda kind, path: asked.append(kind) or status
    with pytest.raises(ValueError, match=sentence):
        hub.push(store, REPO, api, pause=lambda seconds: pytest.fail("there was another attempt"))
    assert store.counts().waiting == 1


def test_without_a_network_everything_waits(store: RatingStore, add_pair: Callable[..., Pair]) -> None:
    store.append(rating_of(add_pair()))
    nobody = HfApi(endpoint="http://127.0.0.1:9", token=TOKEN)
    with pytest.raises(ValueError, match="could not be reached"):
        hub.push(store, REPO, nobody, attempts=2, pause=no_pause)
    assert store.counts().waiting == 1


def test_without_a_token_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(ValueError, match="set HF_TOKEN or run `hf auth login`"):
        hub.new_api()


def test_two_pushers_at_once_send_each_rating_once(
    server: HubServer, api: HfApi, store: RatingStore, add_pair: Callable[..., Pair]
) -> None:
    for i in range(10):
        store.append(rating_of(add_pair(), rater=f"{i:016x}"))
    stores = [RatingStore(store.folder.parent) for _ in range(3)]
    threads = [threading.Thread(target=hub.push, args=(one, REPO, api)) for one in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rows_on_the_hub(server)) == 10 and store.counts().waiting == 0


def test_an_answer_taken_back_at_once_never_leaves_the_machine(
    server: HubServer, api: HfApi, store: RatingStore, add_pair: Callable[..., Pair]
) -> None:
    """Neither its row nor its clips; one that is taken back after it was pushed is followed by its withdrawal."""
    kept, hasty = rating_of(add_pair(0, 1)), rating_of(add_pair(2, 3))
    for rating in (kept, hasty):
        store.append(rating)
    store.withdraw(hasty.rating_id, hasty.rater)
    assert hub.push(store, REPO, api) == 1 and store.counts().waiting == 0
    files = server.repositories[REPO].files
    assert not any(hasty.pair.a.sha256 in path or hasty.rating_id.encode() in files[path] for path in files)
    store.withdraw(kept.rating_id, kept.rater)
    assert hub.push(store, REPO, api) == 1 and store.ratings() == []
