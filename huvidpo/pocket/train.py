"""Builds the `pocket` weights from nothing: `python -m huvidpo.pocket.train STAGE`. Every stage resumes.

`python -m huvidpo.pocket.train all --minutes 60` goes on from the shipped weights through every stage of the
generators and writes new ones in their place. On a GPU the same stages take larger batches.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from huvidpo.adapters import SHIPPED
from huvidpo.backbones import POCKET_WEIGHTS, default_device, load_pocket
from huvidpo.pocket import train_first_frames as first_frames
from huvidpo.pocket import train_motion as motion
from huvidpo.pocket.judge import JUDGE_WEIGHTS, load_judge, save_judge
from huvidpo.pocket.practice_clips import ACTIONS
from huvidpo.pocket.train_autoencoder import (
    adopt_autoencoder,
    load_autoencoder,
    reconstruction_psnr,
    train_autoencoder,
)
from huvidpo.pocket.train_decoder import train_decoder
from huvidpo.pocket.train_first_frames import adopt_first_frames, load_first_frames, train_first_frames
from huvidpo.pocket.train_judge import adopt_judge, train_dual_encoder, train_motion_classifier, trained_judge
from huvidpo.pocket.train_motion import adopt_motion, train_category, train_motion_start
from huvidpo.pocket.train_preference import train_first_frame_preference
from huvidpo.training.loop import StepRecord

PREFERENCE_STEPS = 150  # of `all`, at most: with more, prompts are followed less
# Stage -> its share of the time of `all`.
SHARES = {"first-frames": 0.5, "decoder": 0.1, "motion-start": 0.2, "motion": 0.15, "preference": 0.05}


@dataclass(frozen=True)
class Run:
    """What the command line says of a stage."""

    work: Path  # checkpoints and caches
    steps: int  # of the image models
    minutes: float | None
    actions: Sequence[str]  # of the stage `motion`
    device: str = "cpu"
    batch: int | None = None  # frames or clips of a step; None is the stage's own
    compiled: bool = False  # whether torch.compile prepares the image UNet

    def size(self, on_cpu: int, on_gpu: int) -> int:
        """How many frames or clips a step takes: a GPU that is fed few waits more than it computes."""
        return self.batch or (on_gpu if self.device == "cuda" else on_cpu)


def follow(records: Iterator[StepRecord], log: Path, every: int = 25) -> None:
    """Runs a training loop; prints and logs the mean loss of every `every` steps."""
    losses: list[float] = []
    with log.open("a", encoding="utf-8") as lines:
        for record in records:
            losses.append(record.loss)
            if record.step % every == 0 or record.step == record.steps:
                row = record.to_row() | {"loss": round(sum(losses) / len(losses), 5)}
                losses.clear()
                lines.write(json.dumps(row) + "\n")
                lines.flush()
                left = f"{record.seconds_left / 60:.1f} min left"
                print(f"step {record.step}/{record.steps}  loss {row['loss']:.4f}  {left}", flush=True)


def run_autoencoder(run: Run) -> None:
    follow(train_autoencoder(run.work, run.steps, run.minutes, run.device), run.work / "autoencoder.jsonl")
    print(f"PSNR {reconstruction_psnr(load_autoencoder(run.work), run.work):.2f} dB")


def run_decoder(run: Run) -> None:
    image = load_first_frames(run.work).to(run.device)
    follow(train_decoder(image, run.work, run.steps, run.minutes), run.work / "decoder.jsonl")
    print(f"PSNR {reconstruction_psnr(load_autoencoder(run.work), run.work):.2f} dB")


def run_first_frames(run: Run) -> None:
    batch = run.size(first_frames.BATCH, first_frames.GPU_BATCH)
    records = train_first_frames(run.work, run.steps, run.minutes, run.device, batch, run.compiled)
    follow(records, run.work / "first-frames.jsonl")


def run_motion_start(run: Run) -> None:
    image, clips = load_first_frames(run.work).to(run.device), run.size(motion.CLIPS_AT_ONCE, motion.GPU_CLIPS_AT_ONCE)
    follow(train_motion_start(image, run.work, run.minutes, clips), run.work / "motion-start.jsonl")


def run_motion(run: Run) -> None:
    image, clips = load_first_frames(run.work).to(run.device), run.size(motion.CLIPS_AT_ONCE, motion.GPU_CLIPS_AT_ONCE)
    for action in run.actions:
        print(action)
        each = run.minutes / len(run.actions) if run.minutes else None
        follow(train_category(image, action, run.work, SHIPPED, each, clips), run.work / f"motion-{action}.jsonl")


def run_preference(run: Run) -> None:
    image = load_first_frames(run.work).to(run.device)
    image.set_progress_bar_config(disable=True)  # of the pictures that become pairs
    records = train_first_frame_preference(image, load_judge(), run.work, POCKET_WEIGHTS, run.steps, run.minutes)
    follow(records, run.work / "preference.jsonl")


def run_judge(run: Run) -> None:
    """Half of the steps, and a quarter of the time, for what moves; the rest for what is to be seen."""
    work, minutes, device = run.work, run.minutes, run.device
    moving = train_motion_classifier(work, run.steps // 2, minutes and minutes / 4, device)
    follow(moving, work / "judge-motion.jsonl")
    seen = train_dual_encoder(work, run.steps, minutes and minutes * 3 / 4, device)
    follow(seen, work / "judge-clip.jsonl")
    save_judge(trained_judge(run.work), JUDGE_WEIGHTS)


def run_export(run: Run) -> None:
    """Writes the image model in half precision, in files of under 10 MB."""
    load_first_frames(run.work).to(dtype=torch.float16).save_pretrained(POCKET_WEIGHTS, max_shard_size="9MB")


def run_adopt(run: Run) -> None:
    """Makes the shipped weights the checkpoints of the work folder, so that training goes on from them."""
    pipeline = load_pocket("cpu")
    pipeline.tokenizer.save_pretrained(run.work / "tokenizer")
    adopt_autoencoder(pipeline.vae, run.work)
    adopt_first_frames(pipeline, run.work)
    adopt_motion(pipeline, SHIPPED, run.work)
    judge = load_judge()
    judge.tokenizer.save_pretrained(run.work / "judge-tokenizer")
    adopt_judge(judge, run.work)


def run_all(run: Run) -> None:
    """Goes on from the shipped weights, stage by stage, each for its share of the time at most; writes new ones."""
    if not (run.work / "first-frames.pt").exists():
        run_adopt(run)
    for stage, share in SHARES.items():
        print(f"stage {stage}", flush=True)
        steps = min(run.steps, PREFERENCE_STEPS) if stage == "preference" else run.steps
        STAGES[stage](replace(run, steps=steps, minutes=run.minutes and run.minutes * share))
    run_export(run)


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=list(STAGES))
    parser.add_argument("--work", type=Path, default=Path(".huvidpo/pocket"), help="checkpoints and caches")
    parser.add_argument("--steps", type=int, default=4000, help="optimizer steps (of the image models)")
    parser.add_argument("--minutes", type=float, help="end after this much training, with the learning rate decayed")
    parser.add_argument("--actions", nargs="+", choices=ACTIONS, default=ACTIONS, help="whose motion to train")
    parser.add_argument("--device", choices=("cpu", "cuda"), default=default_device())
    parser.add_argument("--batch", type=int, help="frames or clips of a step (default: the stage's own)")
    parser.add_argument(
        "--compile", action="store_true", help="torch.compile first: first frames train faster after a minute or two"
    )
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    if options.device == "cuda":
        torch.set_float32_matmul_precision("high")  # what autocast leaves in single precision, on tensor cores
    asked = options.steps, options.minutes, options.actions, options.device, options.batch, options.compile
    STAGES[options.stage](Run(options.work, *asked))


if __name__ == "__main__":
    main()
