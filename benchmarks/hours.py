"""How long training at full size takes on a card, by counting what there is to compute: `python benchmarks/hours.py`.

A step of either stage runs on the real architecture with tensors that have sizes and no numbers (as in memory.py), and
torch counts the floating-point operations of its matrix products and convolutions, those of gradient checkpointing
included. How long they take depends on the share of the card's rate that is reached, so a table shows several: nothing
here was measured on a GPU. full_size.py prints the share where there is one.
"""

import argparse

from bounds import PEAKS
from jobs import COLUMNS, FRAMES, JOBS, LEVELS, ROWS, SD14
from memory import LiveBytes
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from huvidpo.presets import BACKBONES
from huvidpo.training.motion_settings import MotionSettings
from huvidpo.training.preference_settings import preset_settings, total_steps
from huvidpo.training.strength import CLIPS

PAIRS = 24  # rated ones, for stage 2
SHARES = (0.2, 0.3, 0.4, 0.5)  # of a card's rate


def operations(job: str, levels: int | None) -> float:
    """Floating-point operations of one step, in units of 1e12."""
    with FakeTensorMode(allow_non_fake_inputs=True), LiveBytes():  # which also answers where a step asks for a number
        step, lasting = JOBS[job](SD14, ROWS, COLUMNS, "cpu", levels)
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            step()
        del lasting
    return counter.get_total_flops() / 1e12


def print_row(title: str, each: float, times: int, card: str) -> None:
    hours = {share: times * each / (share * PEAKS[card]) / 3600 for share in SHARES}
    words = "  ".join(f"{share:.0%} {time:.2f} h" for share, time in hours.items())
    needed = times * each / PEAKS[card] / 3600 / 8
    print(f"{title}: {each:.1f}e12 operations, {times} times\n  at shares of that rate: {words}", end="", flush=True)
    print(f"; 8 hours need {needed:.1%}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--card", choices=list(PEAKS), default="RTX 4090")
    card = parser.parse_args().card
    preference, recipe = preset_settings("recommended", "dpo"), BACKBONES["sd14"].recipe("default")
    runs = {"stage 1, motion": MotionSettings().steps}
    runs["stage 2, pair at once"] = total_steps(preference, PAIRS) * preference.pairs_per_step
    print(f"512x320, {FRAMES} frames, a clip or a pair at a time; {card}: {PEAKS[card]:g}e12 operations a second")
    for job, steps in runs.items():
        for words, levels in LEVELS.items():
            print_row(f"{job}{', ' if words else ''}{words}", operations(job, levels), steps, card)
    # With the adapter and without it, the first time; each further strength that is tried takes half as many again.
    clips = 2 * CLIPS
    title = f"stage 2, {clips} clips that measure motion at the end"
    print_row(title, recipe.steps * operations("a clip's step", 0), clips, card)


if __name__ == "__main__":
    main()
