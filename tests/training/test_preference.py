"""The preference loop: it learns, goes on where it stopped, stops by itself, and spreads over processes."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from huvidpo.pipelines.image_to_video import ImageToVideoPipeline
from huvidpo.training import preference
from huvidpo.training.clips import EncodedClip
from huvidpo.training.examples import EncodedExamples, Example, draw_batch, draw_example, frame_labels
from huvidpo.training.preference import PreferenceRecord, balance, one_step, train_preference
from huvidpo.training.preference_settings import PreferenceSettings, check_settings, preset_settings, total_steps
from huvidpo.training.preference_state import RunState, run_outcome
from huvidpo.training.reference import add_policy, load_lora, lora_state
from tests.launched import launch_two

SETTINGS = PreferenceSettings(
    "dpo", beta=500, learning_rate=2e-3, steps=6, rank=2, pairs_per_step=2, guard=False, seed=1
)
FRAMES = 4


@pytest.fixture
def start_over(pipeline: ImageToVideoPipeline) -> Callable[[], None]:
    """Takes the LoRA off, so that another run can begin."""
    return lambda: pipeline.unet.unload_lora()


def train(pipeline, encoded, settings, work, **more) -> list[PreferenceRecord]:
    return list(train_preference(pipeline, encoded, settings, work, FRAMES, "these examples", **more))


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.slow
def test_it_learns_the_preference(pipeline, encoded, tmp_path: Path) -> None:
    """Right beats down: the margin rises, and the policy comes nearer to the winner than to the loser."""
    settings = replace(SETTINGS, steps=30, draws_per_pair=2, mirror=False)
    records = train(pipeline, replace(encoded, examples=encoded.examples[:1]), settings, tmp_path)
    assert records[0].margin == 0 and records[0].accuracy == 0.5
    late = records[-10:]
    assert sum(r.accuracy for r in late) / 10 > 0.9
    assert sum(r.winner_drift - r.loser_drift for r in late) < 0
    assert not any(p.requires_grad for p in pipeline.unet.parameters())


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"draws_per_pair": 2, "objective": "dense"},
        {"objective": "kto", "dropout": 0.2},
        {"objective": "ipo", "real_anchor": 0.1},
    ],
    ids=["dpo", "dense, kept errors", "kto, dropout", "ipo"],
)
def test_an_interrupted_run_ends_with_the_same_bits(
    pipeline, encoded, judged, start_over, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes
) -> None:
    """Stopped by closing after step 2, killed (no last checkpoint) after step 5, whose checkpoint is of step 4."""
    settings = replace(SETTINGS, **changes)
    examples = judged if settings.objective == "kto" else encoded
    monkeypatch.setattr(preference, "CHECKPOINT_EVERY", 4)
    whole = train(pipeline, examples, settings, tmp_path / "whole")
    expected = lora_state(pipeline.unet)

    def run() -> Iterator[PreferenceRecord]:
        start_over()
        return train_preference(pipeline, examples, settings, tmp_path / "parts", FRAMES, "these examples")

    first = run()
    records = [next(first) for _ in range(2)]
    first.close()
    killed = run()
    records += [next(killed) for _ in range(3)]
    monkeypatch.setattr(preference.Checkpoint, "save", lambda *_: None)
    killed.close()
    monkeypatch.undo()
    rest = list(run())
    assert [record.step for record in records] == [1, 2, 3, 4, 5] and [record.step for record in rest] == [5, 6]
    assert same(lora_state(pipeline.unet), expected)
    assert [r.loss for r in whole] == [r.loss for r in records[:4] + rest]
    assert [row["step"] for row in run_outcome(tmp_path / "parts").rows] == [1, 2, 3, 4, 5, 6]
    assert list(run()) == [] and same(lora_state(pipeline.unet), expected), "a run that is over stays as it is"


@pytest.mark.slow
def test_another_run_s_checkpoint_is_refused(pipeline, encoded, start_over, tmp_path: Path) -> None:
    next(run := train_preference(pipeline, encoded, SETTINGS, tmp_path, FRAMES, "these examples"))
    run.close()
    start_over()
    with pytest.raises(ValueError, match="begun with beta 500"):
        train(pipeline, encoded, replace(SETTINGS, beta=50), tmp_path)
    start_over()
    with pytest.raises(ValueError, match="begun with other examples and start"):
        next(train_preference(pipeline, encoded, SETTINGS, tmp_path, FRAMES, "more examples"))


def test_what_breaks_off_keeps_what_was_learned(pipeline, encoded, start_over, tmp_path: Path, monkeypatch) -> None:
    """Out of memory while clips are made to look at, and a process that is ended in the middle of a slice."""

    def full(step: int) -> float:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    settings = replace(SETTINGS, steps=4, validate_every=3)
    with pytest.raises(torch.OutOfMemoryError):
        train(pipeline, encoded, settings, tmp_path / "full", validate=full)
    assert len(run_outcome(tmp_path / "full").rows) == 2, "the step that was to be looked at is made again"
    start_over()
    monkeypatch.setattr(preference, "CHECKPOINT_SECONDS", 0.0)
    steps = train_preference(pipeline, encoded, settings, tmp_path / "ended", FRAMES, "these examples")
    next(steps)
    next(steps)
    assert len(run_outcome(tmp_path / "ended").rows) == 2
    steps.close()


@pytest.mark.slow
def test_kept_reference_errors_change_nothing(pipeline, encoded, start_over, tmp_path: Path, monkeypatch) -> None:
    """Three pairs with two draws each: from the third pass on the reference rests."""
    settings = replace(SETTINGS, draws_per_pair=2, steps=9, pairs_per_step=1)
    kept = [r.loss for r in train(pipeline, encoded, settings, tmp_path / "kept")]
    start_over()
    monkeypatch.setattr(preference, "recall", lambda *_: None)
    assert [r.loss for r in train(pipeline, encoded, settings, tmp_path / "anew")] == kept


@pytest.mark.slow
def test_the_guard_stops_and_the_best_weights_are_kept(
    pipeline, encoded, start_over, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Motion on validation clips falls to a half from step 4 on: stopped at step 5, with the weights of step 3."""
    monkeypatch.setattr(preference, "CHECKPOINT_EVERY", 3)
    settings = replace(SETTINGS, guard=True, validate_every=1, steps=20)
    motion = {1: 1.0, 2: 1.0, 3: 0.9, 4: 0.5, 5: 0.5}
    records = train(pipeline, encoded, settings, tmp_path / "run", validate=motion.get)
    assert [r.motion for r in records] == [1.0, 1.0, 0.9, 0.5, 0.5]
    assert "losing their motion: 50%" in records[-1].stopped and not records[-2].stopped
    best = lora_state(pipeline.unet)
    outcome = run_outcome(tmp_path / "run")
    assert (len(outcome.rows), outcome.step, outcome.stopped) == (5, 3, records[-1].stopped)
    start_over()
    run = train_preference(pipeline, encoded, settings, tmp_path / "again", FRAMES, "these examples")
    for _ in range(3):
        next(run)
    assert same(lora_state(pipeline.unet), best)


@pytest.mark.slow
def test_a_run_that_breaks_at_once_leaves_what_it_began_with(pipeline, encoded, tmp_path: Path) -> None:
    settings = replace(SETTINGS, guard=True, validate_every=1, steps=20)
    records = train(pipeline, encoded, settings, tmp_path, validate=lambda step: 0.1)
    assert [bool(record.stopped) for record in records] == [False, True]
    assert not any(value.any() for name, value in lora_state(pipeline.unet).items() if "lora_B" in name)


@pytest.mark.slow
def test_weights_that_were_seen_to_have_lost_motion_are_not_kept(
    pipeline, encoded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Step 2 is the first that could be kept, and half of the motion is gone there: what it began with is left."""
    monkeypatch.setattr(preference, "CHECKPOINT_EVERY", 2)
    settings = replace(SETTINGS, guard=True, validate_every=1, steps=20)
    train(pipeline, encoded, settings, tmp_path, validate={1: 1.0, 2: 0.5, 3: 0.5}.get)
    assert run_outcome(tmp_path).step == 0
    assert not any(value.any() for name, value in lora_state(pipeline.unet).items() if "lora_B" in name)


@pytest.mark.slow
@pytest.mark.parametrize("guarded", [False, True])
def test_numbers_that_are_none_end_a_run_with_finite_weights(
    pipeline, encoded, start_over, tmp_path: Path, guarded: bool
) -> None:
    """One pair of the three is broken. Without the guard the weights are those of the step before it was drawn."""
    broken = replace(encoded.examples[1].clips[0], latents=encoded.examples[1].clips[0].latents * float("inf"))
    examples = (encoded.examples[0], Example((broken, broken), (1,)), encoded.examples[2])
    settings = replace(SETTINGS, guard=guarded, pairs_per_step=1, mirror=False, seed=2)
    records = train(pipeline, replace(encoded, examples=examples), settings, tmp_path / "run")
    assert 1 < len(records) < settings.steps and "no longer numbers" in records[-1].stopped
    ended, last = lora_state(pipeline.unet), len(records) - 1
    assert all(value.isfinite().all() for value in ended.values())
    json.dumps([record.to_row() for record in records], allow_nan=False)
    if guarded:
        return
    assert run_outcome(tmp_path / "run").step == last
    start_over()
    assert train(pipeline, replace(encoded, examples=examples), settings, tmp_path / "run") == [], "it stays stopped"
    assert same(lora_state(pipeline.unet), ended)
    start_over()
    run = train_preference(
        pipeline, replace(encoded, examples=examples), settings, tmp_path / "again", FRAMES, "these examples"
    )
    for _ in range(last):
        next(run)
    assert same(lora_state(pipeline.unet), ended)


@pytest.mark.slow
def test_a_step_without_good_clips_says_nothing_of_winners(pipeline, judged, tmp_path: Path) -> None:
    """Two of the three clips are bad, a step has two: some steps have both bad ones, and all have one at least."""
    settings = replace(SETTINGS, objective="kto", pairs_per_step=1, steps=9)
    records = train(pipeline, judged, settings, tmp_path)
    rows = [record.to_row() for record in records]
    winners = [row["winner_error"] for row in rows]
    assert None in winners and any(winners) and 0 not in winners
    for row in rows:
        assert (row["winner_error"] is None) == (row["winner_drift"] is None) and row["loser_error"] > 0
    json.dumps(rows, allow_nan=False)
    assert run_outcome(tmp_path).rows == rows


def test_members_of_a_pair_share_everything_random(pipeline, encoded) -> None:
    batch = draw_batch(encoded, pipeline.scheduler, replace(SETTINGS, caption_dropout=0.5), FRAMES, range(24))
    for tensor in (batch.noise, batch.timesteps, batch.text):
        winners, losers = tensor.chunk(2)
        assert torch.equal(winners, losers)
    winners, losers = batch.latents.chunk(2)
    assert not torch.equal(winners, losers)
    empty = [torch.equal(text, encoded.empty_text) for text in batch.text[:24]]
    assert 4 < sum(empty) < 20
    assert len({float(noise.sum()) for noise in batch.noise[:24]}) == 24


def test_an_epoch_shows_every_pair_once_in_an_order_of_its_own(pipeline, encoded) -> None:
    drawn = [draw_example(encoded, pipeline.scheduler, SETTINGS, FRAMES, i).index for i in range(30)]
    epochs = [drawn[i : i + 3] for i in range(0, 30, 3)]
    assert all(sorted(epoch) == [0, 1, 2] for epoch in epochs) and len({*map(tuple, epochs)}) > 1


def test_one_step_of_kto_by_hand(pipeline, judged) -> None:
    """One good clip and two bad ones weigh 3 / (2 * 1) = 1.5 and 3 / (2 * 2) = 0.75. A step of one of each.

    Rewards are far below z0 = 1: the good clip's loss is its weight, the bad one's 0, their mean 1.5 / 2 = 0.75. Then
    z0 is 0.99 * 1 + 0.01 * r with the mean reward r, which is how much nearer to the clips the policy has come.
    """
    settings = replace(SETTINGS, objective="kto", pairs_per_step=1, autocast=False)
    generator, run = torch.Generator().manual_seed(3), RunState(reference_point=1.0)
    add_policy(pipeline.unet, 2, 4, 0.0, seed=0)
    learned = {name: torch.randn(v.shape, generator=generator) / 10 for name, v in lora_state(pipeline.unet).items()}
    load_lora(pipeline.unet, learned)
    assert balance(judged) == (1.5, 0.75)
    policy = torch.optim.SGD([value for value in pipeline.unet.parameters() if value.requires_grad])
    found, _ = one_step(pipeline, judged, settings, FRAMES, run, policy, learning_rate=1e-3)
    reward = -(found["winner_drift"] + found["loser_drift"]) / 2
    assert found["loss"] == pytest.approx(0.75) and abs(reward) > 1e-3
    assert run.reference_point == pytest.approx(0.99 + 0.01 * reward, abs=1e-8)


def numbered_clip(frames: int, text: float) -> EncodedClip:
    """A clip whose latents hold the number of the frame, from 1 on, negative where mirrored."""
    numbers = torch.arange(1.0, frames + 1).view(-1, 1, 1, 1).expand(-1, 4, 4, 4)
    return EncodedClip(numbers, -numbers, torch.full((2, 8), text))


def test_members_of_a_pair_share_window_and_mirroring_and_labels_are_of_that_window(pipeline) -> None:
    """16 frames, four to a segment: a window of four that begins with frame 7 has the labels of frames 8, 9, 10."""
    segments = (1, 0, -1, 1)
    pair = Example((numbered_clip(16, 1.0), numbered_clip(16, 1.0)), segments)
    encoded = EncodedExamples((pair,), (), torch.zeros(2, 8))
    batch = draw_batch(encoded, pipeline.scheduler, replace(SETTINGS, objective="dense"), FRAMES, range(40))
    winners, losers = batch.latents[:, 0, :, 0, 0].chunk(2)
    assert torch.equal(winners, losers)
    assert len({*winners.abs()[:, 0].tolist()}) > 5 and {*winners[:, 0].sign().tolist()} == {1, -1}
    for numbers, labels in zip(winners.abs()[:, 1:].int().tolist(), batch.labels.tolist(), strict=True):
        assert labels == [segments[(number - 1) // 4] for number in numbers]


def of_kto(goods: int, bads: int, lengths: tuple[int, ...] = (6,)) -> EncodedExamples:
    """Clips that are good or bad, each with a caption of its own."""
    clips = [numbered_clip(lengths[i % len(lengths)], i + 1.0) for i in range(goods + bads)]
    examples = tuple(Example((clip,), (1 if i < goods else -1,)) for i, clip in enumerate(clips))
    return EncodedExamples(examples, (), torch.zeros(2, 8))


def test_an_epoch_of_kto_has_good_and_bad_clips_in_turn(pipeline) -> None:
    """Every two clips are one of each where there are as many; 8 good and 4 bad are good, bad, good four times."""

    def drawn(encoded: EncodedExamples, position: int) -> tuple[int, int]:
        found = draw_example(encoded, pipeline.scheduler, replace(SETTINGS, objective="kto"), FRAMES, position)
        return found.index, int(found.labels)

    even, uneven = of_kto(6, 6), of_kto(8, 4)
    epochs = [[drawn(even, 12 * epoch + place) for place in range(12)] for epoch in range(4)]
    for epoch in epochs:
        assert sorted(index for index, _ in epoch) == [*range(12)]
        assert all({epoch[i][1], epoch[i + 1][1]} == {1, -1} for i in range(0, 12, 2))
    assert len({tuple(index for index, _ in epoch) for epoch in epochs}) == 4
    assert {epoch[0][1] for epoch in epochs} == {1, -1}, "neither side is always the first"
    assert [drawn(uneven, place)[1] for place in range(12)] == [1, -1, 1] * 4


def test_two_clips_of_kto_share_everything_random_but_their_windows(pipeline) -> None:
    """Clips of 6 and of 9 frames, each with a caption of its own; also when one process draws one, one the other."""
    settings = replace(SETTINGS, objective="kto", caption_dropout=0.5)
    encoded = of_kto(8, 8, lengths=(6, 9))
    batch = draw_batch(encoded, pipeline.scheduler, settings, FRAMES, range(32))
    mirrored, dropped = (batch.latents[:, 0, 0, 0, 0] < 0), (batch.text == 0).flatten(1).all(dim=1)
    for drawn in (batch.noise, batch.timesteps, mirrored, dropped):
        assert torch.equal(drawn[::2], drawn[1::2]) and len({float(x.float().sum()) for x in drawn[::2]}) > 1
    assert len({float(noise.sum()) for noise in batch.noise}) == 16
    shares = [draw_batch(encoded, pipeline.scheduler, settings, FRAMES, range(rank, 32, 2)) for rank in (0, 1)]
    for rank, share in enumerate(shares):
        assert torch.equal(share.noise, batch.noise[rank::2]) and torch.equal(share.latents, batch.latents[rank::2])


def test_fixed_draws_come_back_and_spread_over_the_timesteps(pipeline, encoded) -> None:
    settings = replace(SETTINGS, draws_per_pair=4)
    drawn = [draw_example(encoded, pipeline.scheduler, settings, FRAMES, i) for i in range(24)]
    by_pair = Counter((d.index, d.number, int(d.timestep), float(d.noise.sum())) for d in drawn)
    assert len(by_pair) == 12 and set(by_pair.values()) == {2}
    for index in range(3):
        assert sorted(int(d.timestep) // 250 for d in drawn[:12] if d.index == index) == [0, 1, 2, 3]


def test_a_frame_has_the_label_of_its_part_of_the_whole_clip() -> None:
    """16 frames, 4 parts: frames 1-3, 4-7, 8-11, 12-15. A window from 8 of 32 sees parts 2 and 3."""
    assert frame_labels((1, 0, -1, 1), 0, 16, 16).tolist() == [1] * 3 + [0] * 4 + [-1] * 4 + [1] * 4
    assert frame_labels((1, 0, -1, 1), 8, 16, 32).tolist() == [0] * 7 + [-1] * 8


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"beta": 0}, "beta must be from"),
        ({"beta": float("nan")}, "beta must be from"),
        ({"learning_rate": 2}, "learning rate must be from"),
        ({"steps": 0}, "steps must be from 1"),
        ({"dropout": 1.5}, "dropout must be from 0 to 1"),
        ({"minutes": -1.0}, "minutes must be from"),
        ({"members": "alone"}, "'together' or 'apart'"),
        ({"seed": -1}, "seed must be from 0"),
        ({"adam_epsilon": 0.0}, "adam epsilon must be from"),
        ({"weight_decay": -0.1}, "weight decay must be from 0"),
        ({"safe_loser": 1.5}, "safe loser must be from 0 to 1"),
    ],
)
def test_settings_out_of_range_are_named(changes: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        check_settings(replace(SETTINGS, **changes))


def test_presets() -> None:
    """The published one: 12 passes over all C(8, 2) = 28 pairs one by one are 336 steps. The recommended one: 6 passes
    over 16 pairs by twos are 48; over their 32 clips, of which kto takes two for each pair of the others, as many.
    """
    release = preset_settings("huvidpo-release", "dpo", learning_rate=1e-3)
    assert (release.beta, release.learning_rate, release.adam_epsilon) == (50, 1e-4, 1e-3)
    assert (release.rank, release.alpha, release.dropout, total_steps(release, 28)) == (16, 32, 0.1, 336)
    assert preset_settings("recommended", "kto", 1e-3).learning_rate == 1e-3
    recommended = [preset_settings("recommended", objective) for objective in ("dense", "kto")]
    assert [total_steps(*asked) for asked in zip(recommended, (16, 32), strict=True)] == [48, 48]
    for arguments in (("quick", "dpo"), ("recommended", "ppo"), ("huvidpo-release", "kto")):
        with pytest.raises(ValueError):
            preset_settings(*arguments)


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["dense", "kto"])
def test_two_processes_learn_what_one_does(
    pipeline, encoded, judged, start_over, tmp_path: Path, objective: str
) -> None:
    """Started by `accelerate launch`, each with half of the pairs of every step.

    Where a gradient is nearly 0, Adam makes a whole step of a rounding error, so single weights may differ a little;
    what was learned as a whole may not, and a process that saw other pairs would have learned something else. In
    single precision, for clips of kto go through the network together with others then.
    """
    settings = replace(SETTINGS, steps=3, pairs_per_step=4, objective=objective, validate_every=1, autocast=False)
    encoded = judged if objective == "kto" else encoded
    state = {"encoded": encoded, "settings": settings, "unet": pipeline.unet.state_dict()}
    torch.save(state | {"config": dict(pipeline.unet.config)}, tmp_path / "start.pt")
    records = train(pipeline, encoded, settings, tmp_path / "one")
    expected = lora_state(pipeline.unet)
    launch_two("tests.training.one_of_several", str(tmp_path))
    # Each found another motion; the first one's counts.
    found = [json.loads((tmp_path / f"rows-{rank}.json").read_text()) for rank in (0, 1)]
    assert [row["loss"] for row in found[0]] == [row["loss"] for row in found[1]]
    assert [[row["motion"] for row in each] for each in found] == [[0.5] * 3] * 2
    assert [row["loss"] for row in found[0]] == pytest.approx([record.loss for record in records], rel=1e-4)
    for rank in (0, 1):
        own = torch.load(tmp_path / f"lora-{rank}.pt", weights_only=True)
        assert own.keys() == expected.keys()
        difference = sum((own[name] - expected[name]).norm() ** 2 for name in expected) ** 0.5
        learned = sum(expected[name].norm() ** 2 for name in expected if "lora_B" in name) ** 0.5
        assert learned > 0 and difference < 0.01 * learned
