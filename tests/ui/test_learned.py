"""What becomes of an adapter on the page: pairs to vote on, promotion, deletion, what is refused."""

import os
from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest

import app
from huvidpo import shared_adapters
from huvidpo.adapter_weights import apply_adapter, save_preference_adapter
from huvidpo.adapters import Adapter, find_adapter
from huvidpo.candidates import promote
from huvidpo.home import home
from huvidpo.preferences.records import Rating, new_id
from huvidpo.preferences.selection import next_showing
from huvidpo.preferences.store import RatingStore
from huvidpo.training.reference import add_policy
from huvidpo.ui import learned as module
from huvidpo.ui.jobs import MakeTakes
from huvidpo.ui.learned import Learned
from huvidpo.ui.learned_layout import Contest
from huvidpo.ui.turns import CountedRun
from tests.preferences.hub_server import HubServer
from tests.rated import vote
from tests.ui.conftest import out_of_quota
from tests.ui.sign_in import signed_in

pytestmark = pytest.mark.usefixtures("no_shipped_adapters")


@pytest.fixture
def learned(pocket, own_home) -> Learned:
    """The section; first frames and clips are made in two steps each."""
    run = app.gpu_runner(pocket)

    def short(job: MakeTakes):
        clips = tuple(replace(request, steps=2) for request in job.clips)
        return run(replace(job, first=replace(job.first, steps=2), clips=clips))

    with gr.Blocks(), gr.Tabs(), gr.Tab("Fine-tune"):
        actions = gr.Dropdown(["horse", "rain"], value="horse")
        return Learned(actions, pocket, RatingStore(own_home), CountedRun(short), {})


@pytest.fixture
def candidate(pocket, moving_adapter: Adapter, own_home: Path) -> Adapter:
    """On top of `gallop`, with a random LoRA."""
    unet = pocket.video.unet
    apply_adapter(unet, moving_adapter, pocket.still_motion)
    for parameter in add_policy(unet, 2, 2.0, 0.0, seed=0).values():
        parameter.data.normal_(std=0.2)
    card = {"backbone": "pocket", "category": "horse", "parent": "gallop", "examples": 8, "raters": 1}
    saved = save_preference_adapter(unet, own_home / "adapters/pocket/horse/dpo-1", card | {"objective": "dpo"})
    apply_adapter(unet, None, pocket.still_motion)
    return saved


def test_nothing_learned_is_said_and_not_shown(learned: Learned) -> None:
    shown = learned.show("rain")
    assert shown[learned.ui.section].visible is False
    assert "Nothing has been learned for “Rain”" in shown[learned.ui.empty]
    with pytest.raises(gr.Error, match="Choose an adapter"):
        learned.on_promote("rain", "../horse/gallop")


@pytest.mark.slow
def test_pairs_to_vote_on_measure_the_adapter_against_its_parent(
    learned: Learned, candidate: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same first frame and noise for both; the tab Rate serves them; votes on them are what the gate counts."""
    monkeypatch.setattr(module, "WAITING_PAIRS", 2)
    begun = learned.on_vote("horse", "dpo-1")
    contest = begun[learned.ui.contest]
    assert begun[learned.ui.timer] is True and (contest.category, contest.adapter) == ("horse", "dpo-1")
    steps = [*learned.on_pair(contest)]
    assert any("Pair 1 of 2: first frame: step 1" in step[learned.ui.meter]["text"] for step in steps)
    assert not any(learned.ui.timer in step for step in steps), "the next pair may come"
    *_, last = learned.on_pair(contest)
    assert last[learned.ui.timer] is False and "2 pairs wait" in last[learned.ui.meter]["text"]
    assert last[learned.category] == "horse", "whatever action the visitor looked at meanwhile"
    with pytest.raises(gr.Error, match="Enough pairs wait"):
        learned.on_vote("horse", "dpo-1")

    store = RatingStore(home())
    pairs = store.pairs("horse")
    assert len({pair.prompt for pair in pairs}) == 2 and {pair.split for pair in pairs} == {"measure"}
    for pair in pairs:
        assert (pair.a.adapter, pair.b.adapter) == ("gallop", "dpo-1") and pair.a.seed == pair.b.seed
        assert pair.a.first_frame_sha256 == pair.b.first_frame_sha256
    served = next_showing(store, "e" * 16)
    assert served.pair in pairs and not served.is_repeat
    store.append(Rating(new_id(), served.pair, "b", "a", "e" * 16))
    told = dict(learned.on_adapter("horse", "dpo-1")[learned.ui.about]["facts"])
    assert told["Votes"] == "1 for it, 0 against, 0 the same" and told["In the tab Rate"].startswith("1 pair ")
    assert told["Learned from"] == "8 examples by 1 person (dpo)" and told["Began as"] == "gallop"


def test_out_of_quota_pauses_and_says_when_to_come_back(learned: Learned, candidate: Adapter) -> None:
    learned.run = out_of_quota
    *_, paused = learned.on_pair(Contest("horse", "dpo-1"))
    assert paused[learned.ui.timer] is False and "Try again in 3:12:05" in paused[learned.ui.meter]["text"]
    assert paused[learned.ui.vote].visible is True


def test_an_error_of_ours_stops_it_too(learned: Learned, candidate: Adapter, capsys: pytest.CaptureFixture) -> None:
    """Else the ticker would come back with the same pair again and again."""

    def broken(job: MakeTakes):
        raise RuntimeError("CUDA error: device-side assert triggered")
        yield

    learned.run = broken
    *_, stopped = learned.on_pair(Contest("horse", "dpo-1"))
    assert stopped[learned.ui.timer] is False and "(RuntimeError)" in stopped[learned.ui.meter]["text"]
    assert "device-side assert" in capsys.readouterr().err


def test_stop_answers_once_and_what_is_made_then_says_nothing(learned: Learned, candidate: Adapter) -> None:
    """Else a pair that ends later would turn the form back to its action, over what came since."""
    contest = learned.on_vote("horse", "dpo-1")[learned.ui.contest]
    making = learned.on_pair(contest)
    step = next(making)
    assert [*step] == [learned.ui.meter], "a step that arrives after Stop brings no button back"
    stopped = learned.on_stop(contest)
    assert stopped[learned.ui.contest] is None and stopped[learned.ui.timer] is False
    assert stopped[learned.ui.meter]["at"] > step[learned.ui.meter]["at"]
    nothing = {learned.ui.meter: gr.skip()}  # Gradio takes an empty answer for one that is missing
    assert [*making] == [*learned.on_pair(contest)] == [*learned.on_pair(None)] == [nothing]
    assert learned.on_stop(contest) == learned.on_stop(None) == nothing
    assert RatingStore(home()).pairs("horse") == [], "nor is another one made"
    again = learned.on_vote("horse", "dpo-1")[learned.ui.contest]
    learned.on_vote("horse", "gallop", again)
    assert [*learned.on_pair(again)] == [nothing], "one adapter's pairs at a time"


def test_a_zip_is_packed_beside_those_of_others(learned: Learned, candidate: Adapter, tmp_path, monkeypatch) -> None:
    """Of another account, which cannot be removed; of a visitor whose file is being copied; of yesterday."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    foreign = tmp_path / "huvidpo-adapters"
    foreign.touch()
    first = Path(learned.on_download("horse", "dpo-1"))
    second = Path(learned.on_download("horse", "dpo-1"))
    assert first.is_file() and second.is_file() and first.name == second.name == "dpo-1.zip"
    os.utime(first.parent, (0, 0))
    assert Path(learned.on_download("horse", "dpo-1")).is_file()
    assert not first.exists() and second.is_file() and foreign.exists()


def test_promoted_by_votes_rolled_back_deleted(learned: Learned, candidate: Adapter, moving_adapter: Adapter) -> None:
    shown = learned.on_adapter("horse", "dpo-1")
    assert shown[learned.ui.download].visible and Path(learned.on_download("horse", "dpo-1")).name == "dpo-1.zip"
    assert shown[learned.ui.promote].interactive is False
    assert "About 50 more decided votes" in shown[learned.ui.about]["text"]
    with pytest.raises(gr.Error, match="Not yet: About"):
        learned.on_promote("horse", "dpo-1")
    vote(RatingStore(home()), candidate.revision(), moving_adapter.revision(), 12)
    assert learned.on_adapter("horse", "dpo-1")[learned.ui.promote].interactive is True
    learned.on_promote("horse", "gallop")  # stage 1 needs no votes: everything began as it
    promoted = learned.on_promote("horse", "dpo-1")
    assert find_adapter("pocket", "horse", "").name == "dpo-1" and promoted[learned.ui.rollback].visible is True
    with pytest.raises(gr.Error, match="is the default"):
        learned.on_delete("horse", "dpo-1", "Really delete dpo-1?")
    learned.on_rollback("horse")
    assert find_adapter("pocket", "horse", "").name == "gallop"
    assert learned.on_delete("horse", "dpo-1", "Delete")[learned.ui.delete].value == "Really delete dpo-1?"
    assert candidate.folder.exists(), "one click alone deletes nothing"
    assert learned.on_delete("horse", "dpo-1", "Really delete dpo-1?")[learned.ui.about]["facts"] == []
    assert not candidate.folder.exists()


def test_nothing_is_deleted_on_a_space(pocket, candidate: Adapter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "SPACE_ID", "someone/space")
    with gr.Blocks(), gr.Tabs(), gr.Tab("Fine-tune"):
        learned = Learned(
            gr.Dropdown(["horse"], value="horse"), pocket, RatingStore(home()), CountedRun(app.gpu_runner(pocket)), {}
        )
    assert learned.on_adapter("horse", "dpo-1")[learned.ui.delete].visible is False
    with pytest.raises(gr.Error, match="Nothing is deleted"):
        learned.on_delete("horse", "dpo-1", "Really delete dpo-1?")


def test_on_a_space_only_votes_make_a_default(
    pocket, candidate: Adapter, moving_adapter: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "SPACE_ID", "someone/space")
    with gr.Blocks(), gr.Tabs(), gr.Tab("Fine-tune"):
        learned = Learned(
            gr.Dropdown(["horse"], value="horse"), pocket, RatingStore(home()), CountedRun(app.gpu_runner(pocket)), {}
        )
    assert learned.on_adapter("horse", "gallop")[learned.ui.promote].visible is False
    with pytest.raises(gr.Error, match="Only what won by votes"):
        learned.on_promote("horse", "gallop")
    promote(moving_adapter)
    revisions, anyone = (candidate.revision(), moving_adapter.revision()), RatingStore(home())
    vote(anyone, *revisions, 30)
    with pytest.raises(gr.Error, match="Not yet: About"):  # a browser can be a new visitor with every vote
        learned.on_promote("horse", "dpo-1")
    vote(anyone, *revisions, 30, ["1" * 16, "2" * 16], rater_kind="huggingface")
    with pytest.raises(gr.Error, match="3 people or more must have voted, signed in"):
        learned.on_promote("horse", "dpo-1")
    vote(anyone, *revisions, 3, ["3" * 16], rater_kind="huggingface")
    for stranger in [answer for answer in anyone.ratings() if answer.rater_kind == "anonymous"][:8]:
        anyone.withdraw(stranger.rating_id, stranger.rater)  # nor do these close the gate
    promoted = learned.on_promote("horse", "dpo-1")
    assert find_adapter("pocket", "horse", "").name == "dpo-1" and promoted[learned.ui.rollback].visible is False
    with pytest.raises(gr.Error, match="No default is brought back here"):
        learned.on_rollback("horse")
    assert find_adapter("pocket", "horse", "").name == "dpo-1"


def test_pushed_to_the_hub_where_there_is_a_repository_and_a_token(
    learned: Learned, candidate: Adapter, loopback_hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert learned.on_adapter("horse", "dpo-1")[learned.ui.push].visible is False, "no repository is named"
    monkeypatch.setenv("HUVIDPO_ADAPTERS", "someone/adapters")
    shared_adapters._found.clear()
    assert learned.on_adapter("horse", "dpo-1")[learned.ui.push].visible is True
    told = learned.on_push("horse", "dpo-1")
    assert told[learned.ui.meter]["text"] == "dpo-1 is in someone/adapters on the Hub now."
    files = loopback_hub.repositories["someone/adapters"].files
    assert {"pocket/horse/dpo-1/card.json", "pocket/horse/dpo-1/preference_lora.safetensors"} <= set(files)
    monkeypatch.setenv("SPACE_ID", "team/space")  # whoever comes would push with its owner's token
    monkeypatch.setenv("HUVIDPO_OWNERS", "bea, anna")  # an organisation cannot sign in
    assert learned.on_adapter("horse", "dpo-1")[learned.ui.push].visible is False
    for visitor in (None, signed_in("carl")):
        with pytest.raises(gr.Error, match="Nothing is pushed from here"):
            learned.on_push("horse", "dpo-1", gr.Request(), visitor)
    owner = (gr.Request(), signed_in("anna"))
    assert learned.on_adapter("horse", "dpo-1", *owner)[learned.ui.push].visible is True
    assert "dpo-1 is in" in learned.on_push("horse", "dpo-1", *owner)[learned.ui.meter]["text"]
