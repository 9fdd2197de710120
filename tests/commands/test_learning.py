"""train-preference, winrate, promote and rollback as a user or a script meets them. A small real `pocket`."""

import json
import signal
from pathlib import Path

import pytest
from safetensors.torch import load_file

from huvidpo.adapters import PREFERENCE_FILE, Adapter, find_adapter, read_adapter, read_promotions
from huvidpo.categories import find_category
from huvidpo.cli import new_parser
from huvidpo.commands.common import chosen_preset
from huvidpo.commands.learning import find_examples, newly_begun
from huvidpo.home import home
from huvidpo.preferences.store import RatingStore
from huvidpo.training.preference_state import run_outcome
from tests.rated import rated_pairs, vote, write_clip

TRAIN = ("train-preference", "--category", "horse")
SHORT = ("--few", "--steps", "2", "--pairs-per-step", "1", "--rank", "2")


@pytest.fixture
def own_clips(run) -> Path:
    """Two pairs."""
    folder = Path("own").resolve()
    for i, name in enumerate(("x", "y")):
        for side in ("chosen", "rejected"):
            (folder / side).mkdir(parents=True, exist_ok=True)
            write_clip(folder / side / f"{name}.mp4", 40 * i + 20 * (side == "chosen"), i + 1)
    return folder


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (("train-preference",), "required: --category"),
        ((*TRAIN, "--category", "swim"), "Argument --category: invalid choice: 'swim'"),
        ((*TRAIN, "--objective", "ppo"), "invalid choice: 'ppo' (choose from"),
        ((*TRAIN, "--preset", "fast"), "invalid choice: 'fast'"),
        ((*TRAIN, "--preset", "huvidpo-release", "--objective", "kto"), "is for the objective dpo, not kto"),
        ((*TRAIN, "--start", "lost"), "There is no adapter 'lost' for horse"),
        ((*TRAIN, "--beta", "nan"), "The beta must be from"),
        ((*TRAIN, "--steps", "0"), "The steps must be from 1"),
        ((*TRAIN, "--members", "alone"), "invalid choice: 'alone'"),
        ((*TRAIN,), "There is nothing to learn from: rate pairs of this category first."),
        ((*TRAIN, "--data", "lost"), "There is no folder of clips at "),
        ((*TRAIN, "--data", "own"), "There are 2 usable examples, too few"),
        ((*TRAIN, "--data", "own", "--few", "--objective", "ipo"), "needs real clips"),
        ((*TRAIN, "--data", "own", "--few", "--objective", "kto"), "needs clips in good/ and in bad/"),
        ((*TRAIN, "--resume"), "There is no unfinished run of horse to continue"),
        ((*TRAIN, "--resume", "--out", "o"), "There is no run to continue in o"),
        (("rounds", "--category", "horse", "--critic", "me"), "invalid choice: 'me' (choose from"),
        (("rounds", "--category", "horse", "--pairs", "7"), "Fewer than 8 pairs would say nothing"),
        (("rounds", "--category", "horse", "--pairs", "1001"), "There can be 1000 pairs at most."),
        (("rounds", "--category", "horse", "--rounds", "20"), "There can be 19 rounds at most."),
        (("rounds", "--category", "horse", "--objective", "ipo"), "needs real clips"),
        (("promote", "lost"), "There is no adapter 'lost' of the backbone pocket"),
        (("promote", "lost", "--category", "swim"), "Argument --category: invalid choice: 'swim'"),
        (("rollback", "--category", "horse"), "There is no earlier default of horse"),
        (("winrate", "--category", "horse"), "There is no adapter of horse that learned from preferences"),
    ],
)
def test_bad_input_is_one_sentence_and_2(
    run, own_clips, monkeypatch, arguments: tuple[str, ...], sentence: str
) -> None:
    """All of it before any weights are loaded: there are none here."""
    monkeypatch.setenv("HUVIDPO_POCKET_WEIGHTS", "nowhere")
    code, out, err = run(*arguments, "--json")
    assert (code, out) == (2, "")
    assert sentence in err and err.count("\n") == 1 and "Traceback" not in err
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["own"]


@pytest.mark.slow
def test_own_clips_become_an_adapter_with_its_card(run, own_clips, moving_adapter: Adapter) -> None:
    code, out, err = run(*TRAIN, "--data", "own", *SHORT, "--start", "gallop", "--out", "learned", "--json")
    assert code == 0, err
    card = json.loads(out)["card"]
    assert card["kind"] == "preference" and card["status"] == "candidate" and card["parent"] == "gallop"
    assert card["parent_revision"] == moving_adapter.revision() and card["examples"] == 2 and card["steps"] == 2
    assert (card["objective"], card["beta"], card["rank"], card["alpha"]) == ("dpo", 500, 2, 2)
    assert len(card["sources_sha256"]) == 64 and card["final_loss"] > 0 and "to_q" in card["target_modules"]
    assert "Learning in learned." in err
    saved = read_adapter(Path("learned"))
    assert any(
        value.abs().max() > 0 for name, value in load_file("learned/" + PREFERENCE_FILE).items() if "_B" in name
    )
    assert saved.motion_file() == moving_adapter.motion_file()
    assert "gallop" in Path("learned/README.md").read_text()
    code, _, err = run(*TRAIN, "--data", "own", *SHORT, "--start", "gallop", "--out", "learned")
    assert code == 2 and "holds a run already" in err
    code, _, err = run(
        *TRAIN, "--data", "own", *SHORT, "--start", "gallop", "--beta", "50", "--out", "learned", "--resume"
    )
    assert code == 2 and "begun with --beta 500" in err


@pytest.mark.slow
def test_an_interrupted_run_is_named_left_alone_and_resumed(run, own_clips, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in its first step, which is kept. Another call begins another run; --resume goes on, once."""
    train = (*TRAIN, "--data", "own", "--few", "--pairs-per-step", "1", "--rank", "2", "--start", "none")
    with monkeypatch.context() as patch:
        patch.setattr("huvidpo.commands.learning.tqdm.update", lambda bar, steps: signal.raise_signal(signal.SIGINT))
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # beside others a test process ignores it
        try:
            code, out, err = run(*train, "--steps", "2")
        finally:
            signal.signal(signal.SIGINT, before)
    folder = home() / "runs" / "pocket" / "horse" / "dpo-1"
    assert (code, out) == (130, "") and f"Learning in {folder}.\n" in err and len(run_outcome(folder).rows) == 1
    assert "Ending after this step" in err
    code, out, err = run(*train, "--steps", "1", "--json")
    assert code == 0 and json.loads(out)["name"] == "dpo-2", err
    for contradicting, said in (
        (("--steps", "3"), "begun with --steps 2: leave --steps out, or --resume"),
        (("--preset", "huvidpo-release"), "begun with --preset recommended"),
        (("--data", "."), f"begun with --data {own_clips}"),
        (("--real", "own"), "begun without --real"),
        (("--all-pairs",), "begun without --all-pairs"),
        (("--start", "lost"), "There is no adapter 'lost'"),
    ):
        code, _, err = run(*TRAIN, *contradicting, "--resume")
        assert code == 2 and said in err
    assert run(*TRAIN, "--resume", "--objective", "kto")[2].startswith("There is no unfinished run of horse with the")
    monkeypatch.chdir(home())
    code, out, err = run(*TRAIN, "--resume", "--json")
    card = json.loads(out)["card"]
    assert code == 0 and json.loads(out)["name"] == "dpo-1" and (card["steps"], card["rank"]) == (2, 2), err
    code, _, err = run(*TRAIN, "--resume")
    assert code == 2 and "There is no unfinished run" in err


def test_a_run_goes_on_with_the_ratings_that_were_there(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ninth pair that was rated since stays out of it; one that was taken back ends it."""
    store = RatingStore(home())
    ratings = rated_pairs(store, tmp_path, 8)
    monkeypatch.setenv("HUVIDPO_POCKET_WEIGHTS", "nowhere")
    arguments = new_parser().parse_args([*TRAIN, "--backbone", "pocket", "--start", "none"])
    begun = newly_begun(arguments, chosen_preset(arguments))
    more = rated_pairs(store, tmp_path, 9)[8]
    found = find_examples(begun, find_category("horse"), "pocket")
    assert found.ratings == 8 and more.rating_id not in begun.rating_ids
    store.withdraw(ratings[0].rating_id, ratings[0].rater)
    with pytest.raises(ValueError, match="were changed or taken back: begin another run"):
        find_examples(begun, find_category("horse"), "pocket")


def test_a_run_of_the_page_keeps_its_name(run, own_clips) -> None:
    """A clip cannot be read, so that nothing is trained; the folder was made by then."""
    page = home() / "runs" / "pocket" / "horse" / "dpo-1"
    page.mkdir(parents=True)
    (page / "run.json").write_text("{}")
    (own_clips / "chosen" / "x.mp4").write_bytes(b"no clip")
    code, _, err = run(*TRAIN, "--data", "own", *SHORT, "--start", "none")
    assert code == 2 and f"Learning in {page.with_name('dpo-2')}." in err


@pytest.fixture
def scored_clips(run) -> Path:
    """Eight clips with scores of their own."""
    folder = Path("scored").resolve()
    folder.mkdir()
    for i in range(8):
        write_clip(folder / f"{i}.mp4", 20 + 20 * i, 1 + i % 3)
    rows = [{"video": f"{i}.mp4", "score": i} for i in range(8)]
    (folder / "scores.json").write_text(json.dumps(rows))
    return folder


def test_eight_scored_clips_are_enough(run, scored_clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The paper's smallest set: four pairs. What is missing then are the weights; with seven clips, a clip."""
    monkeypatch.setenv("HUVIDPO_POCKET_WEIGHTS", "nowhere")
    assert "weights are missing" in run(*TRAIN, "--data", "scored")[2]
    rows = json.loads((scored_clips / "scores.json").read_text())
    (scored_clips / "scores.json").write_text(json.dumps(rows[:7]))
    assert "There are 6 usable scored clips, too few" in run(*TRAIN, "--data", "scored")[2]


@pytest.mark.slow
def test_the_published_preset_pairs_all_with_all(run, scored_clips: Path) -> None:
    """C(8, 2) = 28 pairs, without a flag."""
    release = ("--preset", "huvidpo-release", "--steps", "1", "--rank", "2", "--start", "none", "--json")
    code, out, err = run(*TRAIN, "--data", "scored", *release)
    assert code == 0 and json.loads(out)["card"]["examples"] == 28, err


@pytest.mark.slow
def test_ratings_become_a_candidate_and_votes_decide(run, backbone, moving_adapter: Adapter, tmp_path: Path) -> None:
    store = RatingStore(home())
    rated_pairs(store, tmp_path, 8)
    code, out, err = run(*TRAIN, *SHORT[1:], "--start", "gallop", "--json")
    assert code == 0, err
    result = json.loads(out)
    assert result["name"] == "dpo-1" and result["card"]["ratings"] == 8 and result["card"]["raters"] == 1
    candidate = find_adapter("pocket", "horse", "dpo-1")

    assert "more decided votes are needed" in run("winrate", "--category", "horse")[1]
    code, _, err = run("promote", "dpo-1")
    assert code == 2 and "dpo-1 is not promoted. About" in err

    vote(store, candidate.revision(), moving_adapter.revision(), 14)
    code, out, _ = run("winrate", "--category", "horse", "--json")
    row = json.loads(out)
    assert (row["adapter"], row["against"], row["wins"], row["losses"], row["passed"]) == (
        "dpo-1",
        "gallop",
        14,
        0,
        True,
    )
    assert run("promote", "dpo-1")[0] == 0 and find_adapter("pocket", "horse", "").name == "dpo-1"
    (promoted,) = (row for row in read_promotions("pocket", "horse") if row["name"] == "dpo-1")
    assert promoted["verdict"]["wins"] == 14 and promoted["verdict"].items() <= row.items()
    assert run("promote", "gallop", "--force")[0] == 0
    assert json.loads(run("rollback", "--category", "horse", "--json")[1])["default"] == "dpo-1"


@pytest.mark.slow
def test_a_round_is_said_once(run, moving_adapter: Adapter) -> None:
    """As soon as it is over: on stdout in words, on stderr beside JSON."""
    rounds = ("rounds", "--category", "horse", "--critic", "taste:warmer", "--start", "gallop", "--rounds", "1")
    rounds += ("--pairs", "8", "--unseen", "10", "--steps", "1", "--rank", "2", "--out", "rounds")
    code, out, err = run(*rounds)
    assert code == 0 and out.startswith("round 1: ") and out.endswith("\nrounds\n") and "round 1: " not in err
    code, out, err = run(*rounds, "--json")
    assert code == 0 and len(json.loads(out)["rounds"]) == 1 and err.count("round 1: ") == 1
