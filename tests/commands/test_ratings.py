"""The commands about ratings as a script meets them. A small real `pocket`."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from huvidpo.backbones import LoadedBackbone
from huvidpo.pocket.practice_clips import render_clip, sample_scene
from huvidpo.preferences.records import Pair
from huvidpo.preferences.store import RatingStore
from huvidpo.video import read_frames, write_mp4
from tests.preferences.conftest import add_pair, clips, rating_of  # noqa: F401 - fixtures
from tests.preferences.hub_server import TOKEN, HubServer

PAIR = ("pair", "--prompt", "a red horse runs on the beach", "--category", "horse", "--steps", "1")


@pytest.fixture
def store(own_home: Path) -> RatingStore:
    return RatingStore(own_home)


def as_json(done: tuple[int, str, str]) -> dict:
    code, out, err = done
    assert code == 0, err
    return json.loads(out)


@pytest.mark.slow
def test_pair_rate_change_withdraw(run, moving_adapter, store: RatingStore) -> None:
    adapters = ("--adapter", "gallop", "--against", "none")
    made = as_json(run(*PAIR, *adapters, "--seed", "3", "--negative-prompt", "xylophone", "--json"))
    pair = store.pair(made["pair_id"])
    assert (pair.a.adapter, pair.b.adapter, pair.a.seed, pair.b.seed) == ("gallop", "none", 3, 3)
    assert read_frames(made["a"])[0].shape == read_frames(made["b"])[0].shape == (16, 128, 128, 3)
    assert (pair.pairing, pair.origin, pair.a.first_frame_seed) == ("shared-noise", "queue", 3)
    assert "xylophone" in made["warnings"][0]
    assert made["motion"] == {"a": pair.a.motion, "b": pair.b.motion} and made["split"] == pair.split
    rate = ("rate", "--pair", made["pair_id"], "--preference")
    first = as_json(run(*rate, "a", "--segments", "a,b,tie,-", "--json"))
    assert (first["saved"], first["waiting"]) == (1, 1)
    second = as_json(run(*rate, "tie_bad", "--json"))  # a second answer takes the first one's place
    assert second["supersedes"] == first["rating_id"]
    listed = as_json(run("ratings", "--category", "horse", "--json"))
    assert [row["rating_id"] for row in listed["ratings"]] == [second["rating_id"]]
    assert listed["preferences"] == {"a": 0, "b": 0, "tie_good": 0, "tie_bad": 1} and listed["alpha"] is None
    code, out, err = run("ratings")
    assert (code, err) == (0, "") and "ratings: 1, raters: 1, pairs: 1" in out and "no data yet" in out
    assert run("withdraw", "--rating", second["rating_id"])[0] == 0
    assert as_json(run("ratings", "--json"))["ratings"] == [] and store.counts().waiting == 3


@pytest.mark.slow
def test_many_pairs_go_on_where_they_stopped(run, moving_adapter, store: RatingStore, monkeypatch) -> None:
    """A second run with a larger number keeps what is there; another adapter, or other weights, is another order."""
    bulk = (*PAIR, "--adapter", "gallop", "--json", "--count")
    first = as_json(run(*bulk, "1"))["pairs"]
    made_at = [pair.paired_at for pair in store.pairs()]
    more = as_json(run(*bulk, "2"))
    assert more["pairs"][:1] == first and more["seeds"] == [0, 1] and len(set(more["pairs"])) == 2
    assert len(store.pairs()) == 2 and made_at[0] in [pair.paired_at for pair in store.pairs()]
    assert {pair.a.seed for pair in store.pairs()} == {0, 1}
    against = as_json(run(*bulk, "1", "--against", "none"))["pairs"]
    assert against not in ([more["pairs"][0]], first) and len(store.pairs()) == 3
    monkeypatch.setattr(LoadedBackbone, "revision", lambda self: "trained anew")
    assert as_json(run(*bulk, "1"))["pairs"] != first and len(store.pairs()) == 4


@pytest.mark.slow
def test_aligned_pair(run, store: RatingStore, moving_adapter) -> None:
    write_mp4(render_clip(sample_scene(3, action="horse")), "source.mp4", 8)
    made = as_json(run(*PAIR, "--pairing", "aligned", "--source", "source.mp4", "--json"))
    pair = store.pair(made["pair_id"])
    assert pair.pairing == "aligned" and pair.a.source_sha256 == pair.b.source_sha256 != ""
    assert pair.a.seed != pair.b.seed and pair.a.source_strength == 0.75


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (("pair", "--prompt", " ", "--category", "horse"), "The prompt is empty"),
        ((*PAIR, "--pairing", "aligned"), "--source names the clip"),
        ((*PAIR, "--source", "x.mp4"), "--source names the clip"),
        ((*PAIR, "--pairing", "aligned", "--source", "x.mp4"), "x.mp4"),
        ((*PAIR, "--pairing", "varied", "--guidance", "2"), "choose the pairing independent instead"),
        ((*PAIR, "--pairing", "varied", "--against", "none", "--count", "2"), "choose the pairing independent"),
        ((*PAIR, "--count", "2", "--source", "x.mp4"), "leave --first-frame, --first-frame-seed and --source out"),
        ((*PAIR, "--count", "2", "--first-frame-seed", "5"), "leave --first-frame, --first-frame-seed and"),
        ((*PAIR, "--against", "lost"), "There is no adapter 'lost' for horse"),
        ((*PAIR, "--first-frame-seed", "-1"), "The seed must be a whole number from 0"),
        ((*PAIR, "--negative-prompt", "x" * 1001), "The negative prompt is too long"),
        (("rate", "--pair", "f" * 16, "--preference", "a"), "There is no pair"),
        (("rate", "--pair", "f" * 16, "--preference", "left"), "invalid choice: 'left'"),
        (("withdraw", "--rating", "f" * 32), "You have no rating"),
        (("ratings", "--category", "swim"), "Argument --category: invalid choice: 'swim'"),
        (("import-ratings", "no.csv", "--category", "horse"), "There is no file no.csv"),
        (("import-ratings", "no.csv", "--category", "swim"), "Argument --category: invalid choice: 'swim'"),
        (("export-ratings", "out"), "There are no ratings to export yet."),
        (("push",), "Name the dataset as owner/name"),
        (("pull", "--dataset", "nobody"), "Name the dataset as owner/name"),
    ],
)
def test_bad_input_is_one_sentence_and_2(
    run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], sentence: str
) -> None:
    monkeypatch.setenv("HUVIDPO_POCKET_WEIGHTS", "nowhere")
    code, out, err = run(*arguments, "--json")
    assert (code, out) == (2, "") and sentence in err and err.count("\n") == 1
    assert list(Path.cwd().iterdir()) == []


def test_without_a_token_only_push_speaks_of_what_waits(run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    why = "There is no Hugging Face token: set HF_TOKEN or run `hf auth login`."
    assert run("pull", "--dataset", "you/ratings") == (2, "", f"{why}\n")
    assert run("push", "--dataset", "you/ratings") == (2, "", f"{why} What is not uploaded waits here.\n")


def test_segments_are_checked(run, store: RatingStore, add_pair: Callable[..., Pair]) -> None:  # noqa: F811
    rate = ("rate", "--pair", add_pair().pair_id, "--preference", "a", "--segments")
    assert "A clip has 4 segments" in run(*rate, "a,b")[2] and "no segment label 'c'" in run(*rate, "a,b,c,-")[2]


def test_an_export_of_several_actions_says_so(run, store, add_pair: Callable[..., Pair]) -> None:  # noqa: F811
    """An adapter that learned from all of it would learn rain as horses."""
    for number, category in enumerate(("horse", "rain")):
        store.append(rating_of(add_pair(2 * number, 2 * number + 1, category=category)))
    export = ("export-ratings", "--layout", "chosen-rejected")
    said = run(*export, "all")[2]
    assert said == "Warning: its pairs are of horse, rain; an adapter learns one action: --category chooses it.\n"
    assert run(*export, "rain", "--category", "rain")[2] == run("export-ratings", "flat")[2] == ""


@pytest.mark.slow
def test_import_export_push_and_pull(
    run,
    store: RatingStore,
    clips: list[Path],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    rows = [{"video": path.name, "score": i} for i, path in enumerate(clips[:2])]
    (clips[0].parent / "scores.json").write_text(json.dumps(rows))
    done = as_json(run("import-ratings", str(clips[0].parent), "--category", "horse", "--json"))
    assert (done["ratings"], done["waiting"]) == (1, 1)
    assert as_json(run("export-ratings", "out", "--layout", "chosen-rejected", "--json"))["rows"] == 1
    assert sorted(path.name for path in Path("out").iterdir()) == ["chosen", "pairs.csv", "pairs.jsonl", "rejected"]
    with HubServer() as server:
        hub = {"HF_ENDPOINT": server.url, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1"}

        def of_its_own(command: str) -> dict:  # the Hub's client reads where the Hub is when it is imported
            program = [sys.executable, "-m", "huvidpo", command, "--dataset", "someone/ratings", "--json"]
            environment = os.environ | hub | {"PYTHONPATH": str(Path(__file__).parents[2])}
            done = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
            return as_json((done.returncode, done.stdout, done.stderr))

        assert of_its_own("push")["pushed"] == 1
        monkeypatch.setenv("HUVIDPO_HOME", str(tmp_path / "other"))
        pulled = of_its_own("pull")
    assert (pulled["records"], pulled["refused"], pulled["saved"], pulled["waiting"]) == (1, [], 1, 0)
