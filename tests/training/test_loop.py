"""The parts that every training loop shares."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from huvidpo.training import loop
from huvidpo.training.loop import (
    Clock,
    learning_rate_factor,
    load_state,
    new_ema,
    optimizer_step,
    run_steps,
    save_atomically,
    warm_share,
)


def test_learning_rate_rises_stays_and_falls() -> None:
    """2 % warm-up and 40 % decay: 0.5 at half the warm-up, 1 on the plateau, 0.02 + 0.98 / 2 at half the decay."""
    assert learning_rate_factor(0.01) == pytest.approx(0.5)
    assert learning_rate_factor(0.3) == 1
    assert learning_rate_factor(0.8) == pytest.approx(0.51)
    assert learning_rate_factor(1.0) == pytest.approx(0.02)


def test_clock_goes_by_whichever_is_further() -> None:
    assert Clock(steps=100, minutes=1, spent=30).progress(10) == pytest.approx(0.5, abs=1e-2)
    assert Clock(steps=100, minutes=1, spent=30).progress(80) == pytest.approx(0.8)
    assert Clock(steps=100).progress(250) == 1


def test_gradient_is_clipped_and_the_norm_reported_as_it_was() -> None:
    """loss = 3a + 4b has the gradient (3, 4) of norm 5; clipped to norm 1, SGD at rate 0.5 moves by (0.3, 0.4)."""
    parameter = nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([parameter], lr=9)
    parameter.data = torch.tensor([1.0, 1.0])
    loss, norm = optimizer_step(optimizer, (parameter * torch.tensor([3.0, 4.0])).sum(), learning_rate=0.5)
    assert (loss, norm) == pytest.approx((7, 5))
    torch.testing.assert_close(parameter.detach(), torch.tensor([0.7, 0.6]), atol=1e-5, rtol=1e-5)
    assert parameter.grad is None, "the next forward pass has its memory"


def test_a_step_that_is_no_number_leaves_the_weights() -> None:
    """The square root's derivative at 0 is infinite."""
    parameter = nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.AdamW([parameter])
    for loss in (parameter.sqrt().sum(), parameter.sum() * float("nan")):
        optimizer_step(optimizer, loss, learning_rate=0.5)
        assert torch.equal(parameter.detach(), torch.zeros(2))
    optimizer_step(optimizer, parameter.sum(), learning_rate=0.5)
    assert (parameter < 0).all(), "it goes on"


def test_the_average_s_horizon_grows() -> None:
    """First update: decay (1 + 1) / (10 + 1), so 0 moves to 1 - 2 / 11 = 9 / 11 of the new value 1.

    The second one's is 3 / 12: 9 / 11 * 3 / 12 + 9 / 12 = 126 / 132.
    """
    parameter = nn.Parameter(torch.zeros(1))
    average = new_ema([parameter])
    parameter.data.fill_(1)
    for expected in (9 / 11, 126 / 132):
        average.step([parameter])
        assert average.shadow_params[0].item() == pytest.approx(expected)
    assert parameter.item() == 1
    average.copy_to([parameter])
    assert parameter.item() == pytest.approx(126 / 132)


def test_a_failed_write_leaves_the_old_state(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    assert load_state(path) is None
    save_atomically({"step": 1}, path)
    with pytest.raises(Exception, match="pickle"):
        save_atomically({"step": lambda: 2}, path)
    assert load_state(path) == {"step": 1}


@pytest.mark.slow
def test_a_full_disk_is_one_sentence_and_the_old_state_stays(tmp_path: Path) -> None:
    """Files may not grow beyond 200 kB: the system refuses to write more, as a full disk does."""
    program = """
import resource, sys, torch
from pathlib import Path
from huvidpo.adapter_weights import save_motion_weights
from huvidpo.training.loop import load_state, save_atomically
state, folder = Path(sys.argv[1]) / "state.pt", Path(sys.argv[1])
save_atomically({"step": 1}, state)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
big = {"weights": torch.zeros(1_000_000)}
for write in (lambda: save_atomically(big, state), lambda: save_motion_weights(big, folder)):
    try:
        write()
    except ValueError as error:
        print(error)
print(load_state(state))
"""
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        f"Could not write {tmp_path / 'state.pt'}: File too large.",
        f"Could not write {tmp_path / 'motion.safetensors'}: File too large.",
        "{'step': 1}",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]


def test_steps_are_saved_every_hundred_and_at_the_end_before_their_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 230 steps from 90 on: saved after 100, 200 and 230; the caller sees a step's record when it is safe."""
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    parameter, saved, seen = nn.Parameter(torch.ones(1)), [], []
    optimizer = torch.optim.SGD([parameter], lr=1)
    records = run_steps(
        lambda step: step * parameter.square().sum(), optimizer, 1e-6, Clock(230), first=90, save=saved.append
    )
    for record in records:
        seen.append((record.step, list(saved)))
    assert saved == [100, 200, 230]
    assert seen[0] == (91, []) and seen[9] == (100, [100]) and seen[-1] == (230, [100, 200, 230])
    assert len(seen) == 140


def test_quick_steps_are_not_saved_every_hundred() -> None:
    parameter, saved = nn.Parameter(torch.ones(1)), []
    list(
        run_steps(
            lambda step: parameter.sum(), torch.optim.SGD([parameter], lr=1), 1e-6, Clock(250), save=saved.append
        )
    )
    assert saved == [250]


def test_a_loop_that_is_closed_saves_the_step_it_has_shown() -> None:
    parameter, saved = nn.Parameter(torch.ones(1)), []
    records = run_steps(
        lambda step: parameter.sum(), torch.optim.SGD([parameter], lr=1), 1e-6, Clock(230), save=saved.append
    )
    assert [next(records).step, next(records).step] == [1, 2]
    records.close()
    assert saved == [2]


def test_a_loop_ends_when_its_time_is_over() -> None:
    """The minute is over in the third step. One that was over before has none, and nothing changes."""
    parameter, clock = nn.Parameter(torch.ones(1)), Clock(1000, minutes=1)

    def loss_of(step: int) -> torch.Tensor:
        clock.spent += 20
        return parameter.sum()

    records = run_steps(loss_of, torch.optim.SGD([parameter], lr=1), 1e-3, clock)
    assert [record.step for record in records] == [1, 2, 3]
    after = parameter.item()
    assert list(run_steps(loss_of, torch.optim.SGD([parameter], lr=1), 1e-3, clock, first=3)) == []
    assert parameter.item() == after


def test_a_slow_first_step_does_not_end_the_warm_up() -> None:
    """Of half an hour, two minutes for the first step are 6.7 %, far beyond the 2 % of the warm-up by the clock.

    By steps it takes 50 of 4000: the second step has 2 / 50 of the rate, the fiftieth all of it.
    """
    parameter, clock = nn.Parameter(torch.ones(1)), Clock(4000, minutes=30)

    def loss_of(step: int) -> torch.Tensor:
        clock.spent += 120 if step == 0 else 0
        return parameter.sum()

    records = run_steps(loss_of, torch.optim.SGD([parameter], lr=1), 1.0, clock)
    rates = [next(records).learning_rate for _ in range(60)]
    assert rates[:2] == pytest.approx([0.02, 0.04]) and rates[49:] == pytest.approx([1.0] * 11)


def test_a_run_by_steps_is_warmed_up_by_its_progress_alone() -> None:
    for steps in (6, 100, 800, 25_000):
        shares = [(learning_rate_factor(step / steps), warm_share(step, steps)) for step in range(steps // 2)]
        assert all(by_progress <= by_steps for by_progress, by_steps in shares), steps
