"""Does it learn a taste? Simulated raters with stated tastes, through the same store and trainer as people's ratings.

    python examples/close_the_loop.py                                 # one cell: category horse, taste warmer
    python examples/close_the_loop.py --categories horse rain birds --tastes warmer livelier steadier --seeds 0 1 2
    python examples/close_the_loop.py --pairs 8 16 24 48              # how many ratings it takes
    python examples/close_the_loop.py --flips 0 0.2                   # with wrong answers among them
    python examples/close_the_loop.py --objectives dpo dense kto      # at equal numbers of rated pairs

A cell is one combination of all of these. Its pairs are made from prompts and seeds of their own, rated by the taste,
trained on, and the adapter is then held against the one that it started from on prompts and seeds that were never
rated, with the same first frame and noise for both. Printed per cell: the win rate by the same taste with Wilson's
95 % interval and one bootstrapped over prompts, the motion of the new clips as a share of the old ones', minutes of
training. Finished cells are kept in --out and not done again. What a simulated taste shows is that the machinery
learns; people's tastes are richer.
"""

import argparse
import itertools
import json
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.stats import bootstrap
from tqdm import tqdm

from huvidpo.adapters import find_adapter
from huvidpo.backbones import LoadedBackbone, load_backbone
from huvidpo.evaluation.metrics import motion_magnitude
from huvidpo.pocket.practice_clips import caption, sample_scene
from huvidpo.preferences.making import keep_pair, pair_requests
from huvidpo.preferences.pairs import training_set
from huvidpo.preferences.records import SEGMENTS, Pair, Rating
from huvidpo.preferences.statistics import wilson_interval
from huvidpo.preferences.store import RatingStore
from huvidpo.takes import Clip, ClipRequest, FirstFrame, FirstFrameRequest, make_clip, make_first_frame
from huvidpo.training.preference_settings import preset_settings
from huvidpo.training.runs import RunPlan, train_plan
from huvidpo.video import read_frames

RATED_SEEDS, UNSEEN_SEEDS = 2_000_000, 3_000_000  # of scenes, for prompts; the weights were trained below 1,000,000
RATER = "51" * 8


# Tastes: uint8 (f h w 3) -> a number, higher is better. All of them look past the first frame, which both clips share.


def warmth(frames: np.ndarray) -> float:
    """How much redder and less blue the clip becomes, in grey levels."""
    red_less_blue = frames[..., 0].astype(float) - frames[..., 2]
    return float(red_less_blue[1:].mean() - red_less_blue[0].mean())


def steadiness(frames: np.ndarray) -> float:
    """How little the brightness of 16x16 parts of the picture jumps to and fro: minus the mean second difference."""
    grey = frames.astype(float).mean(axis=3)
    count, height, width = grey.shape
    parts = grey.reshape(count, 16, height // 16, 16, width // 16).mean(axis=(2, 4))
    return -float(np.abs(np.diff(parts, n=2, axis=0)).mean())


TASTES: dict[str, Callable[[np.ndarray], float]] = {
    "warmer": warmth,
    "livelier": motion_magnitude,
    "steadier": steadiness,
}


@dataclass(frozen=True)
class Cell:
    """One experiment."""

    category: str
    taste: str
    objective: str
    pairs: int  # that were rated
    flips: float  # share of wrong answers
    seed: int

    def name(self) -> str:
        """For files, and for the adapter."""
        flips = round(100 * self.flips)
        return f"{self.taste}-{self.objective}-{self.pairs}p-{flips}f-{self.seed}"


def make_frame(backbone: LoadedBackbone, prompt: str, seed: int) -> FirstFrame:
    *_, frame = make_first_frame(backbone, FirstFrameRequest(prompt, seed=seed))
    return frame


def make_take(backbone: LoadedBackbone, frame: FirstFrame, request: ClipRequest) -> Clip:
    *_, clip = make_clip(backbone, frame.image, request)
    return clip


def request_for(category: str, prompt: str, seed: int, frame: FirstFrame, adapter: str = "") -> ClipRequest:
    model = frame.request.model
    return ClipRequest(
        prompt, category, adapter=adapter, seed=seed, first_frame_model=model, first_frame_seed=frame.request.seed
    )


def prompt_of(category: str, scene: int) -> str:
    return caption(sample_scene(scene, action=category), variant=scene)


def made_pairs(backbone: LoadedBackbone, store: RatingStore, cell: Cell) -> list[Pair]:
    """The first pairs of a category and seed: the same ones for every taste, objective and share of flips."""
    there = {pair.prompt + str(pair.a.first_frame_seed): pair for pair in store.pairs(cell.category)}
    found = []
    for i in tqdm(range(cell.pairs), desc="Pairs", disable=None, leave=False):
        scene = RATED_SEEDS + 10_000 * cell.seed + i
        prompt = prompt_of(cell.category, scene)
        pair = there.get(prompt + str(scene))
        if pair is None:
            frame = make_frame(backbone, prompt, scene)
            requests = pair_requests(request_for(cell.category, prompt, scene, frame), "shared-noise")
            a, b = (make_take(backbone, frame, request) for request in requests)
            pair = keep_pair(store, a, b, frame.image, prompt, cell.category, "queue", "shared-noise")
        found.append(pair)
    return found


def rate(store: RatingStore, pairs: list[Pair], cell: Cell) -> list[Rating]:
    """What the taste says of each pair, as a whole and per segment; a share of the pairs gets the opposite."""
    chance, taste, ratings = random.Random(cell.name()), TASTES[cell.taste], []
    flipped = set(chance.sample(range(len(pairs)), round(cell.flips * len(pairs))))
    for number, pair in enumerate(pairs):
        a, b = (read_frames(store.video_path(take.sha256))[0] for take in (pair.a, pair.b))
        names = "ba" if number in flipped else "ab"
        parts = zip(np.array_split(a, SEGMENTS), np.array_split(b, SEGMENTS), strict=True)
        labels = tuple(names[0] if taste(x) > taste(y) else names[1] for x, y in parts)
        chosen = names[0] if taste(a) > taste(b) else names[1]
        ratings.append(
            Rating(
                rating_id=f"{chance.getrandbits(128):032x}",
                pair=pair,
                preference=chosen,
                left_is=chance.choice("ab"),
                rater=RATER,
                rater_kind="simulated",
                segment_labels=labels,
                created_at=pair.paired_at,  # the same row when an interrupted cell is done again
            )
        )
    return ratings


def train(
    backbone: LoadedBackbone, pairs_store: RatingStore, cell: Cell, home: Path, options
) -> tuple[str, float, str]:
    """Rates, trains, saves a candidate; gives its name, the minutes it took, and why it stopped early."""
    pairs = made_pairs(backbone, pairs_store, cell)
    # A pair's split belongs to people's votes. Here every rated pair trains; what measures is made anew afterwards.
    pairs = [replace(pair, split="train") for pair in pairs]
    store = RatingStore(home / "cells" / cell.category / cell.name())
    for pair in pairs:
        files = [pairs_store.video_path(take.sha256) for take in (pair.a, pair.b)]
        store.add_pair(pair, [*files, pairs_store.frame_path(pair.first_frame)])
    for rating in rate(store, pairs, cell):
        store.append(rating)
    examples = training_set(store.ratings(cell.category), cell.objective, backbone.preset.name, store.video_path)
    settings = preset_settings("recommended", cell.objective, backbone.preset.preference_learning_rate)
    given = {"steps": options.steps, "minutes": options.minutes, "learning_rate": options.learning_rate}
    given |= {"draws_per_pair": options.draws_per_pair, "beta": options.beta, "pairs_per_step": options.pairs_per_step}
    settings = replace(settings, **{name: value for name, value in given.items() if value is not None})
    settings = replace(settings, seed=cell.seed)
    start = find_adapter(backbone.preset.name, cell.category, options.start)
    name = cell.name()
    plan = RunPlan(
        category=cell.category,
        preset="recommended",
        settings=settings,
        examples=examples,
        start=start,
        work=home / "runs" / cell.category / name,
        out=home / "adapters" / backbone.preset.name / cell.category / name,
        validation_clips=0,
    )
    begin = time.perf_counter()
    records = [*tqdm(train_plan(backbone, plan), desc="Steps", disable=None, leave=False)]
    return name, (time.perf_counter() - begin) / 60, records[-1].stopped if records else ""


def compare(backbone: LoadedBackbone, cell: Cell, name: str, options) -> dict[str, object]:
    """The candidate against what it was trained from, on prompts and seeds that nobody rated."""
    taste, differences, motions = TASTES[cell.taste], [], []
    for i in tqdm(range(options.unseen), desc="Unseen", disable=None, leave=False):
        scene = UNSEEN_SEEDS + 10_000 * cell.seed + i // 2  # two seeds for each prompt
        prompt = prompt_of(cell.category, scene)
        frame = make_frame(backbone, prompt, 2 * scene + i % 2)
        old, new = (
            make_take(backbone, frame, request_for(cell.category, prompt, 7 * scene + i, frame, adapter)).frames
            for adapter in (options.start, name)
        )
        differences.append(taste(new) - taste(old))
        motions.append((motion_magnitude(new), motion_magnitude(old)))
    wins, decided = sum(d > 0 for d in differences), sum(d != 0 for d in differences)
    low, high = wilson_interval(wins, decided)
    new, old = np.array(motions).sum(axis=0)
    return {
        "wins": wins,
        "decided": decided,
        "win_rate": wins / max(1, decided),
        "low": low,
        "high": high,
        "by_prompt": interval_by_prompt(differences),
        "motion": new / old if old > 0 else -1.0,
        "mean_difference": float(np.mean(differences)),
    }


def interval_by_prompt(differences: list[float]) -> list[float]:
    """95 % bootstrap interval of the win rate, prompts drawn whole: clips of one prompt are not independent."""
    won = np.array([float(d > 0) + 0.5 * float(d == 0) for d in differences])
    by_prompt = np.array([won[i : i + 2].mean() for i in range(0, len(won), 2)])
    if len(by_prompt) < 2 or np.ptp(by_prompt) == 0:
        return [0.0, 1.0]
    found = bootstrap((by_prompt,), np.mean, method="percentile", rng=np.random.default_rng(0)).confidence_interval
    return [float(found.low), float(found.high)]


def run_cell(backbone: LoadedBackbone, pairs_store: RatingStore, cell: Cell, home: Path, options) -> dict[str, object]:
    name, minutes, stopped = train(backbone, pairs_store, cell, home, options)
    found = compare(backbone, cell, name, options)
    return vars(cell) | found | {"minutes": minutes, "stopped": stopped, "adapter": name}


def line(row: dict[str, object]) -> str:
    """One row of the table; what misses the aim says so."""
    missed = [] if row["win_rate"] >= 0.75 and row["low"] > 0.65 else ["win rate"]
    missed += [] if row["motion"] >= 0.95 else ["motion"]
    return (
        f"{row['category']:10} {row['taste']:9} {row['objective']:9} {row['pairs']:5} {row['flips']:5.0%} "
        f"{row['seed']:4} {row['win_rate']:5.0%} [{row['low']:4.0%}, {row['high']:4.0%}] {row['motion']:6.0%} "
        f"{row['minutes']:7.1f}  {'missed: ' + ', '.join(missed) if missed else 'reached'}"
        f"{'; ' + row['stopped'] if row['stopped'] else ''}"
    )


def new_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--categories", nargs="+", default=["horse"])
    parser.add_argument("--tastes", nargs="+", default=["warmer"], choices=list(TASTES))
    parser.add_argument("--objectives", nargs="+", default=["dpo"])
    parser.add_argument("--pairs", nargs="+", type=int, default=[24], help="rated pairs")
    parser.add_argument("--flips", nargs="+", type=float, default=[0.0], help="share of wrong answers")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--unseen", type=int, default=40, help="comparisons on prompts and seeds never rated")
    parser.add_argument("--start", default="", help="adapter that is trained from (default: the category's own)")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--minutes", type=float, default=5.0, help="of training per cell, at most")
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--beta", type=float)
    parser.add_argument("--pairs-per-step", type=int)
    parser.add_argument("--draws-per-pair", type=int)
    parser.add_argument("--out", type=Path, default=Path(".huvidpo/close_the_loop"), help="all that it makes")
    return parser


def main(argv: list[str] | None = None) -> None:
    options = new_parser().parse_args(argv)
    home = options.out.resolve()
    os.environ["HUVIDPO_HOME"] = str(home)
    home.mkdir(parents=True, exist_ok=True)
    results = home / "results.jsonl"
    rows = [json.loads(text) for text in results.read_text().splitlines()] if results.exists() else []
    done = {(row["category"], row["adapter"]): row for row in rows}
    backbone, pairs_store = load_backbone("pocket"), RatingStore(home / "pairs")
    grid = (options.categories, options.tastes, options.objectives, options.pairs, options.flips, options.seeds)
    print("category   taste     objective pairs flips seed  wins  95 % interval motion minutes")
    for cell in itertools.starmap(Cell, itertools.product(*grid)):
        row = done.get((cell.category, cell.name()))
        if row is None:
            row = run_cell(backbone, pairs_store, cell, home, options)
            with results.open("a") as file:
                file.write(json.dumps(row) + "\n")
        print(line(row), flush=True)
    pairs_store.close()


if __name__ == "__main__":
    sys.exit(main())
