"""Builds the `pocket` weights from nothing: `python -m huvidpo.pocket.train STAGE`.

`python -m huvidpo.pocket.train all --minutes 60` goes on from the shipped weights through the stages of the generators
(but that of the autoencoder) and writes new ones in their place, all of them at the end. On a GPU the same stages run
there, and those of first frames and motion take larger batches. A stage that was broken off goes on from its last
checkpoint in the work folder; `decoder` and `preference`, which are short, begin anew.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

import torch
from safetensors import SafetensorError

from huvidpo import adapters
from huvidpo.home import home
from huvidpo.interrupts import until_interrupted
from huvidpo.machine import default_device
from huvidpo.pocket import train_autoencoder as autoencoder
from huvidpo.pocket import train_decoder as decoder
from huvidpo.pocket import train_first_frames as first_frames
from huvidpo.pocket import train_motion as motion
from huvidpo.pocket.judge import JUDGE_WEIGHTS, load_judge, save_judge
from huvidpo.pocket.practice_clips import ACTIONS
from huvidpo.pocket.shipped import load_pocket, pocket_weights
from huvidpo.pocket.train_autoencoder import adopt_autoencoder, load_autoencoder, reconstruction_psnr
from huvidpo.pocket.train_first_frames import adopt_first_frames, load_first_frames
from huvidpo.pocket.train_judge import adopt_judge, train_dual_encoder, train_motion_classifier, trained_judge
from huvidpo.pocket.train_motion import adopt_motion, train_category, train_motion_start
from huvidpo.pocket.train_preference import train_first_frame_preference
from huvidpo.training.loop import StepRecord

STEPS = 4000  # of a stage, unless something else is said
PREFERENCE_STEPS = 150  # of the stage `preference`, in `all` at most: with more, prompts are followed less
# Stage -> its share of the time of `all`.
SHARES = {"first-frames": 0.5, "decoder": 0.1, "motion-start": 0.2, "motion": 0.15, "preference": 0.05}
NEW = "new"  # folder in the work folder: weights and adapters that wait for `export`
# In the work folder, of the generators' stages; caches are named by what made them and stay.
RUN_FILES = ("first-frames.pt", "autoencoder.pt", "motion-*", NEW)


@dataclass(frozen=True)
class Run:
    """What the command line says of a stage."""

    work: Path  # checkpoints and caches
    steps: int | None  # None is the stage's own
    minutes: float | None
    actions: Sequence[str]  # of the stage `motion`
    device: str = "cpu"
    batch: int | None = None  # frames or clips of a step; None is the stage's own
    compiled: bool = False  # whether torch.compile prepares the image UNet

    def size(self, on_cpu: int, on_gpu: int) -> int:
        """How many frames or clips a step takes: a GPU that is fed few waits more than it computes."""
        return self.batch or (on_gpu if self.device == "cuda" else on_cpu)


def follow(records: Iterator[StepRecord], log: Path, every: int = 25) -> None:
    """Runs a training loop; prints and logs the mean loss of every `every` steps, and of those that are left over.

    Ctrl-C ends it after the step under way, with a checkpoint.
    """
    losses: list[float] = []
    record = None
    with log.open("a", encoding="utf-8") as lines:
        try:
            for record in until_interrupted(records):
                losses.append(record.loss)
                if record.step % every == 0:
                    tell(record, losses, lines)
        finally:
            if losses:
                tell(record, losses, lines)
    if record is None:
        print("It is over already; more --steps or --minutes than it had go on with it.", flush=True)


def tell(record: StepRecord, losses: list[float], lines: TextIO) -> None:
    """Prints and logs the mean of `losses`, which are those up to `record`, and empties them."""
    row = record.to_row() | {"loss": round(sum(losses) / len(losses), 5)}
    losses.clear()
    lines.write(json.dumps(row) + "\n")
    lines.flush()
    left = f"{record.seconds_left / 60:.1f} min left"
    print(f"step {record.step}/{record.steps}  loss {row['loss']:.4f}  {left}", flush=True)


def run_autoencoder(run: Run) -> None:
    batch = run.batch or autoencoder.BATCH
    records = autoencoder.train_autoencoder(run.work, run.steps or STEPS, run.minutes, run.device, batch)
    follow(records, run.work / "autoencoder.jsonl")
    print(f"PSNR {reconstruction_psnr(load_autoencoder(run.work), run.work):.2f} dB")


def run_decoder(run: Run) -> None:
    image = load_first_frames(run.work).to(run.device)
    before = reconstruction_psnr(image.vae, run.work)
    batch = run.batch or decoder.BATCH
    follow(decoder.train_decoder(image, run.work, run.steps or STEPS, run.minutes, batch), run.work / "decoder.jsonl")
    after = reconstruction_psnr(image.vae, run.work)
    kept = "" if after >= before else ", so the decoder stays the last that was no worse than the old one"
    print(f"PSNR {after:.2f} dB, {before:.2f} dB before{kept}")


def run_first_frames(run: Run) -> None:
    batch = run.size(first_frames.BATCH, first_frames.GPU_BATCH)
    records = first_frames.train_first_frames(
        run.work, run.steps or STEPS, run.minutes, run.device, batch, run.compiled
    )
    follow(records, run.work / "first-frames.jsonl")


def run_motion_start(run: Run) -> None:
    image, clips = load_first_frames(run.work).to(run.device), run.size(motion.CLIPS_AT_ONCE, motion.GPU_CLIPS_AT_ONCE)
    follow(train_motion_start(image, run.work, run.minutes, clips, run.steps), run.work / "motion-start.jsonl")


def run_motion(run: Run) -> None:
    """Writes one adapter per action, which `export` puts into place."""
    image, clips = load_first_frames(run.work).to(run.device), run.size(motion.CLIPS_AT_ONCE, motion.GPU_CLIPS_AT_ONCE)
    each, made = run.minutes and run.minutes / len(run.actions), run.work / NEW / "adapters"
    for action in run.actions:
        print(action)
        records = train_category(image, action, run.work, made, each, clips, run.steps)
        follow(records, run.work / f"motion-{action}.jsonl")


def run_preference(run: Run) -> None:
    """Writes the LoRA of `dpo` first frames, which `export` puts into place."""
    image = load_first_frames(run.work).to(run.device)
    image.set_progress_bar_config(disable=True)  # of the pictures that become pairs
    steps, made = run.steps or PREFERENCE_STEPS, run.work / NEW / "weights"
    records = train_first_frame_preference(image, load_judge(), run.work, made, steps, run.minutes)
    follow(records, run.work / "preference.jsonl")


def run_judge(run: Run) -> None:
    """Half as many steps, and a quarter of the time, for what moves as for what is to be seen with it."""
    work, steps, minutes, device = run.work, run.steps or STEPS, run.minutes, run.device
    moving = train_motion_classifier(work, max(1, steps // 2), minutes and minutes / 4, device)
    follow(moving, work / "judge-motion.jsonl")
    seen = train_dual_encoder(work, steps, minutes and minutes * 3 / 4, device)
    follow(seen, work / "judge-clip.jsonl")
    save_judge(trained_judge(run.work), JUDGE_WEIGHTS)


def run_export(run: Run) -> None:
    """Puts the image model, in half precision and files of under 10 MB, and what else is new into place.

    It is all written below the work folder first, so that an image model and what was trained on it change together.
    An export that was broken off is finished by the next.
    """
    made = run.work / NEW
    load_first_frames(run.work).to(dtype=torch.float16).save_pretrained(made / "weights", max_shard_size="9MB")
    moves = {part: pocket_weights() / part.name for part in (made / "weights").iterdir()}
    for folder in (made / "adapters").glob("pocket/*/motion"):
        moves[folder] = adapters.SHIPPED / folder.relative_to(made / "adapters")
    for new, old in moves.items():
        if old.is_dir():
            shutil.rmtree(old)
        old.unlink(missing_ok=True)
        old.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(new, old)


def run_adopt(run: Run) -> None:
    """Makes the shipped weights the checkpoints of the work folder, in the place of those that are there."""
    judge = load_judge()
    judge.tokenizer.save_pretrained(run.work / "judge-tokenizer")
    adopt_judge(judge, run.work)
    adopt_generators(run)


def adopt_generators(run: Run) -> None:
    """The same of all but the judge."""
    pipeline = load_pocket("cpu")
    for path in [path for pattern in RUN_FILES for path in run.work.glob(pattern)]:
        if path.suffix != ".jsonl":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    pipeline.tokenizer.save_pretrained(run.work / "tokenizer")
    adopt_autoencoder(pipeline.vae, run.work)
    adopt_motion(pipeline, adapters.SHIPPED, run.work)
    adopt_first_frames(pipeline, run.work)  # the last: it says that all of it was adopted


def run_all(run: Run) -> None:
    """Goes on from the shipped weights, stage by stage, each for its share of the time at most; writes new ones.

    One that was broken off goes on with the stage it was in. In the end the work folder has adopted the new weights.
    """
    if not (run.work / "first-frames.pt").exists():
        run_adopt(run)
    for stage, share in SHARES.items():
        done = run.work / NEW / f"{stage}.done"
        print(f"stage {stage}{' is over already' if done.exists() else ''}", flush=True)
        if not done.exists():
            steps = min(run.steps or STEPS, PREFERENCE_STEPS) if stage == "preference" else run.steps
            STAGES[stage](replace(run, steps=steps, minutes=run.minutes and run.minutes * share))
            done.parent.mkdir(parents=True, exist_ok=True)
            done.touch()
    run_export(run)
    adopt_generators(run)


STAGES = {
    "all": run_all,
    "adopt": run_adopt,
    "autoencoder": run_autoencoder,
    "first-frames": run_first_frames,
    "motion-start": run_motion_start,
    "motion": run_motion,
    "decoder": run_decoder,
    "preference": run_preference,
    "judge": run_judge,
    "export": run_export,
}
TRAINING = set(STAGES) - {"adopt", "export"}
# Option -> the stages that it says something of.
TAKEN = {
    "steps": TRAINING,
    "minutes": TRAINING,
    "batch": TRAINING - {"preference", "judge"},
    "compile": {"first-frames", "all"},
    "actions": {"motion"},
}


def new_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m huvidpo.pocket.train", description=__doc__)
    parser.add_argument("stage", choices=list(STAGES))
    parser.add_argument("--work", type=Path, default=home() / "pocket", help="checkpoints and caches")
    parser.add_argument(
        "--steps",
        type=int,
        help=f"optimizer steps (default: {STEPS}; motion {motion.CATEGORY.steps} for each action,"
        f" preference {PREFERENCE_STEPS})",
    )
    parser.add_argument("--minutes", type=float, help="end after this much training, with the learning rate decayed")
    parser.add_argument("--actions", nargs="+", choices=ACTIONS, help="whose motion to train (default: all)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default=default_device())
    parser.add_argument("--batch", type=int, help="frames or clips of a step (default: the stage's own)")
    parser.add_argument(
        "--compile", action="store_true", help="torch.compile first: first frames train faster after a minute or two"
    )
    return parser


def checked(options: argparse.Namespace) -> Run:
    """The run that the options ask for. ValueError for one that is out of range, or that its stage would not heed."""
    for name, stages in TAKEN.items():
        if getattr(options, name) not in (None, False) and options.stage not in stages:
            raise ValueError(f"The stage {options.stage} has no use for --{name}: leave it out.")
    for name, value in (("steps", options.steps), ("batch", options.batch)):
        if value is not None and value < 1:
            raise ValueError(f"The --{name} must be at least 1, not {value}.")
    if options.minutes is not None and not options.minutes > 0:
        raise ValueError(f"The minutes must be above 0, not {options.minutes:g}.")
    if options.device == "cuda" and default_device() != "cuda":
        raise ValueError("There is no GPU that PyTorch can use here: leave out --device cuda.")
    actions = options.actions or ACTIONS
    return Run(options.work, options.steps, options.minutes, actions, options.device, options.batch, options.compile)


def main(argv: list[str] | None = None) -> int:
    """Runs a stage; gives the exit code: 2 with one sentence on stderr for bad input, 130 when interrupted."""
    options = new_parser().parse_args(argv)
    try:
        run = checked(options)
        run.work.mkdir(parents=True, exist_ok=True)
        if run.device == "cuda":
            torch.set_float32_matmul_precision("high")  # what autocast leaves in single precision, on tensor cores
        STAGES[options.stage](run)
    except KeyboardInterrupt:
        return 130
    except (ValueError, OSError, SafetensorError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
