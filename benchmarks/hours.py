"""How long training at full size takes on a card, by counting what there is to compute: `python benchmarks/hours.py`.

A step of either stage runs on the real architecture with tensors that have sizes and no numbers (as in memory.py), and
torch counts the floating-point operations of its matrix products and convolutions, those of gradient checkpointing
included. How long they take depends on the share of the card's rate that is reached, so a table shows several: nothing
here was measured on a GPU. full_size.py prints the share where there is one.
"""

import argparse

from bounds import PEAKS
from memory import COLUMNS, FRAMES, JOBS, ROWS, SD14, LiveBytes
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from huvidpo.training.motion import MotionSettings
from huvidpo.training.preference_settings import preset_settings, total_steps

PAIRS = 24  # rated ones, for stage 2
SHARES = (0.2, 0.3, 0.4, 0.5)  # of a card's rate


def operations(job: str, checkpointing: bool) -> float:
    """Floating-point operations of one step, in units of 1e12."""
    with FakeTensorMode(allow_non_fake_inputs=True), LiveBytes():  # which also answers where a step asks for a number
        step, lasting = JOBS[job](SD14, ROWS, COLUMNS, "cpu", checkpointing)
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            step()
        del lasting
    return counter.get_total_flops() / 1e12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--card", choices=list(PEAKS), default="RTX 4090")
    card = parser.parse_args().card
    preference = preset_settings("recommended", "dpo")
    runs = {"stage 1, motion": MotionSettings().steps}
    runs["stage 2, pair at once"] = total_steps(preference, PAIRS) * preference.pairs_per_step
    print(f"512x320, {FRAMES} frames, a clip or a pair at a time; {card}: {PEAKS[card]:g}e12 operations a second")
    for job, steps in runs.items():
        for checkpointing in (True, False):
            each = operations(job, checkpointing)
            hours = {share: steps * each / (share * PEAKS[card]) / 3600 for share in SHARES}
            needed = steps * each / PEAKS[card] / 3600 / 8
            title = f"{job}{', checkpointed' if checkpointing else ''}: {each:.1f}e12 operations, {steps} times"
            times = "  ".join(f"{share:.0%} {time:.2f} h" for share, time in hours.items())
            print(f"{title}\n  at shares of that rate: {times}; 8 hours need {needed:.1%}", flush=True)


if __name__ == "__main__":
    main()
