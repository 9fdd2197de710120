"""Does it learn a taste? Simulated raters with stated tastes, through the same store and trainer as people's ratings.

    python examples/close_the_loop.py                                 # one cell: category horse, taste warmer
    python examples/close_the_loop.py --categories horse rain birds --tastes warmer livelier steadier --seeds 0 1 2
    python examples/close_the_loop.py --pairs 8 16 24 48              # how many ratings it takes
    python examples/close_the_loop.py --flips 0 0.2                   # with wrong answers among them
    python examples/close_the_loop.py --objectives dpo dense kto      # at equal numbers of rated pairs
    python examples/close_the_loop.py --pairings varied independent shared-noise      # what tells two takes apart
    python examples/close_the_loop.py --objectives dense --votes segments whole       # segments marked or not
    python examples/close_the_loop.py --recipes beta=500 beta=500,pairs_per_step=1    # which recipe wins most

A cell is one combination of all of these. Its pairs are made from prompts and seeds of their own, rated by the taste,
trained on, and the adapter is then held against the one that it started from on other seeds and on prompts none of
which is word for word a rated one, with the same first frame and noise for both. Printed per cell: the win rate by the
same taste with Wilson's 95 % interval; motion and CLIPScore of the new clips as a share of the old ones'; minutes of
training. Then the same over all seeds, and over all categories. Of those the interval is over runs, and how many reach
the aim is said. Finished cells, and the clips that others need too, are kept in --out and not made again with the same
options, by the same weights. An adapter that was compared on other scenes is compared again without training again: of
its rows the last counts. What a simulated taste shows is that the machinery learns; people's tastes are richer.
"""

import argparse
import itertools
import json
import math
import os
import random
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from loop_table import HEAD, Cell, known_row, line, pooled, recipe_changes, settings_key
from PIL import Image
from tqdm import tqdm

from huvidpo.adapters import Adapter, find_adapter
from huvidpo.backbones import LoadedBackbone, load_backbone, unseen_prompts, varied_prompt
from huvidpo.evaluation.critics import TASTES, find_critic
from huvidpo.evaluation.metrics import motion_magnitude
from huvidpo.home import home as deployment
from huvidpo.pocket.judge import Judge, load_judge
from huvidpo.preferences.making import keep_pair
from huvidpo.preferences.pairing import pair_requests
from huvidpo.preferences.pairs import training_set
from huvidpo.preferences.records import SEGMENTS, Pair, Rating
from huvidpo.preferences.store import RatingStore
from huvidpo.requests import ClipRequest, FirstFrameRequest
from huvidpo.takes import FirstFrame, make_first_frame
from huvidpo.training.critic_ratings import critic_rating
from huvidpo.training.preference_settings import preset_settings
from huvidpo.training.rounds import take
from huvidpo.training.runs import RunPlan, train_plan

OPTIONS = ("unseen", "minutes", "steps")  # that a row depends on, beside --start
RATED_SEEDS, UNSEEN_SEEDS = 2_000_000, 3_000_000  # of scenes, for prompts; the weights were trained below 1,000,000
MAX_PAIRS = 100  # of a cell: nothing is compared on the prompts of so many, however many are rated


def make_frame(backbone: LoadedBackbone, prompt: str, seed: int) -> FirstFrame:
    *_, frame = make_first_frame(backbone, FirstFrameRequest(prompt, seed=seed))
    return frame


def request_for(category: str, prompt: str, seed: int, frame: FirstFrame, adapter: str = "") -> ClipRequest:
    model = frame.request.model
    return ClipRequest(
        prompt, category, adapter=adapter, seed=seed, first_frame_model=model, first_frame_seed=frame.request.seed
    )


def made_with(backbone: LoadedBackbone, category: str, options) -> dict[str, object]:
    """What a row depends on beside its cell: the options, and the weights behind pairs, training and comparisons."""
    chosen = {name: getattr(options, name) for name in OPTIONS}
    weights = {
        "image model": backbone.first_frame_revision(backbone.preset.first_frame_models[0]),
        "default": revision_of(backbone, category, ""),
        "start": revision_of(backbone, category, options.start),
    }
    return chosen | weights


def revision_of(backbone: LoadedBackbone, category: str, name: str) -> str:
    adapter = find_adapter(backbone.preset.name, category, name)
    return adapter.revision() if adapter else ""


def rated_scene(backbone: LoadedBackbone, cell: Cell, number: int) -> tuple[int, str]:
    """The seed and the prompt of one of a cell's pairs."""
    scene = RATED_SEEDS + 10_000 * cell.seed + number
    return scene, varied_prompt(backbone, cell.category, scene)


def made_pairs(backbone: LoadedBackbone, store: RatingStore, cell: Cell) -> list[Pair]:
    """The first pairs of a category, seed and pairing: the same for every taste, objective and share of flips."""
    own = revision_of(backbone, cell.category, "")
    made = [pair for pair in store.pairs(cell.category) if pair.a.adapter_revision == own]
    there = {(pair.prompt, pair.a.first_frame_seed, pair.pairing): pair for pair in made}
    found = []
    for i in tqdm(range(cell.pairs), desc="Pairs", disable=None, leave=False):
        scene, prompt = rated_scene(backbone, cell, i)
        pair = there.get((prompt, scene, cell.pairing))
        if pair is None:
            frame = make_frame(backbone, prompt, scene)
            request = request_for(cell.category, prompt, scene, frame)
            requests = pair_requests(backbone.preset, request, cell.pairing)
            a, b = (take(backbone, frame, request) for request in requests)
            pair = keep_pair(store, a, b, frame.image, prompt, cell.category, "queue", cell.pairing)
        found.append(pair)
    return found


def rate(store: RatingStore, pairs: list[Pair], cell: Cell) -> list[Rating]:
    """What the taste says of each pair, and of its segments; a share of the pairs gets the opposite."""
    chance, taste = random.Random(cell.name()), find_critic(f"taste:{cell.taste}", cell.category, "pocket")
    flipped = set(chance.sample(range(len(pairs)), round(cell.flips * len(pairs))))
    ratings = [critic_rating(store, pair, taste, chance, number in flipped) for number, pair in enumerate(pairs)]
    return [replace(one, segment_labels=("-",) * SEGMENTS) for one in ratings] if cell.votes == "whole" else ratings


def train(
    backbone: LoadedBackbone, pairs_store: RatingStore, cell: Cell, name: str, home: Path, options
) -> tuple[Adapter, float]:
    """Rates, trains, saves a candidate; gives it, and the minutes that took."""
    pairs = made_pairs(backbone, pairs_store, cell)
    # A pair's split belongs to people's votes. Here every rated pair trains; what measures is made anew afterwards.
    pairs = [replace(pair, split="train") for pair in pairs]
    store = RatingStore(home / "cells" / cell.category / name)
    for pair in pairs:
        files = [pairs_store.video_path(take.sha256) for take in (pair.a, pair.b)]
        store.add_pair(pair, [*files, pairs_store.frame_path(pair.first_frame)])
    for rating in rate(store, pairs, cell):
        store.append(rating)
    examples = training_set(store.ratings(cell.category), cell.objective, backbone.preset.name, store.video_path)
    settings = preset_settings("recommended", cell.objective, backbone.preset.preference_learning_rate)
    settings = replace(settings, minutes=options.minutes, steps=options.steps, seed=cell.seed)
    settings = replace(settings, **recipe_changes(cell.recipe))
    start = find_adapter(backbone.preset.name, cell.category, options.start)
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
    *_, adapter = tqdm(train_plan(backbone, plan), desc="Steps", disable=None, leave=False)
    return adapter, (time.perf_counter() - begin) / 60


@dataclass(frozen=True)
class Unseen:
    """A prompt and seed that nobody rated, and what the starting adapter makes of it."""

    prompt: str
    frame: FirstFrame
    seed: int
    old: np.ndarray  # uint8 (f h w 3)


def unseen_scenes(backbone: LoadedBackbone, cell: Cell, count: int) -> list[tuple[int, str]]:
    """The seeds and prompts of so many comparisons: two with each prompt that no cell of this seed can have rated."""
    rated = {rated_scene(backbone, cell, number)[1] for number in range(MAX_PAIRS)}
    scenes = unseen_prompts(backbone, cell.category, itertools.count(UNSEEN_SEEDS + 10_000 * cell.seed), rated)
    return [scene for scene in itertools.islice(scenes, math.ceil(count / 2)) for _ in range(2)][:count]


def unseen(backbone: LoadedBackbone, cell: Cell, home: Path, options) -> list[Unseen]:
    """The comparisons of a category and seed: the same for every taste, objective and recipe, so made once."""
    found, weights = [], settings_key(made_with(backbone, cell.category, options) | dict.fromkeys(OPTIONS))
    scenes = unseen_scenes(backbone, cell, options.unseen)
    for i, (scene, prompt) in enumerate(tqdm(scenes, desc="Unseen, before", disable=None, leave=False)):
        seed = 7 * scene + i
        path = home / "unseen" / f"{cell.category}-{weights}-{scene}-{i}.npy"
        if path.exists():
            old = np.load(path)
            request = FirstFrameRequest(prompt, seed=2 * scene + i % 2, model=backbone.preset.first_frame_models[0])
            frame = FirstFrame(Image.fromarray(np.load(path.with_suffix(".frame.npy"))), request)
        else:
            frame = make_frame(backbone, prompt, 2 * scene + i % 2)
            old = take(backbone, frame, request_for(cell.category, prompt, seed, frame, options.start)).frames
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path.with_suffix(".frame.npy"), np.asarray(frame.image))
            np.save(path, old)
        found.append(Unseen(prompt, frame, seed, old))
    return found


def compare(backbone: LoadedBackbone, judge: Judge, cell: Cell, name: str, home: Path, options) -> dict[str, object]:
    """The candidate against what it was trained from, on prompts and seeds that nobody rated."""
    taste, differences, motions, scores = TASTES[cell.taste], [], [], []
    for case in tqdm(unseen(backbone, cell, home, options), desc="Unseen, after", disable=None, leave=False):
        request = request_for(cell.category, case.prompt, case.seed, case.frame, name)
        new = take(backbone, case.frame, request).frames
        differences.append(taste(new) - taste(case.old))
        motions.append((motion_magnitude(new), motion_magnitude(case.old)))
        scores.append(tuple(judge.clip_score(clip, case.prompt) for clip in (new, case.old)))
    motion, followed = (np.array(both).sum(axis=0) for both in (motions, scores))
    return {
        "wins": sum(d > 0 for d in differences),
        "decided": sum(d != 0 for d in differences),
        "motion": float(motion[0] / motion[1]) if motion[1] > 0 else -1.0,
        "clip_score": float(followed[0] / followed[1]) if followed[1] > 0 else -1.0,
        "mean_difference": float(np.mean(differences)),
    }


def trained_cell(
    backbone: LoadedBackbone, pairs_store: RatingStore, cell: Cell, name: str, home: Path, options
) -> dict[str, object]:
    """A cell's row without its comparisons."""
    adapter, minutes = train(backbone, pairs_store, cell, name, home, options)
    card = {"strength": adapter.card["strength"], "stopped": adapter.card["stopped_because"]}
    return vars(cell) | card | {"minutes": minutes, "adapter": adapter.name}


def new_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--categories", nargs="+", default=["horse"])
    parser.add_argument("--tastes", nargs="+", default=["warmer"], choices=list(TASTES))
    parser.add_argument("--objectives", nargs="+", default=["dpo"])
    parser.add_argument("--pairs", nargs="+", type=int, default=[24], help="rated pairs")
    parser.add_argument("--flips", nargs="+", type=float, default=[0.0], help="share of wrong answers")
    pairings = ("varied", "independent", "shared-noise")
    parser.add_argument("--pairings", nargs="+", default=["varied"], choices=pairings, help="of the two takes")
    parser.add_argument("--votes", nargs="+", default=["segments"], choices=("segments", "whole"), help="on what")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--unseen", type=int, default=40, help="comparisons on prompts and seeds that are not rated")
    parser.add_argument("--start", default="", help="adapter that is trained from (default: the category's own)")
    parser.add_argument("--steps", type=int, help="at most; the preset's passes through the pairs when not given")
    parser.add_argument("--minutes", type=float, default=5.0, help="of training per cell, at most")
    parser.add_argument("--recipes", nargs="+", default=[""], help="changes to the preset: beta=100,pairs_per_step=1")
    parser.add_argument("--out", type=Path, default=deployment() / "close_the_loop", help="all that it makes")
    return parser


def main(argv: list[str] | None = None) -> None:
    parser = new_parser()
    options = parser.parse_args(argv)
    if max(options.pairs) > MAX_PAIRS:
        parser.error(f"At most {MAX_PAIRS} pairs can be asked for.")
    home = options.out.resolve()
    os.environ["HUVIDPO_HOME"] = str(home)
    home.mkdir(parents=True, exist_ok=True)
    results = home / "results.jsonl"
    rows = [json.loads(text) for text in results.read_text(encoding="utf-8").splitlines()] if results.exists() else []
    backbone, judge = load_backbone("pocket"), load_judge()
    image_model = backbone.first_frame_revision(backbone.preset.first_frame_models[0])
    pairs_store = RatingStore(home / f"pairs-{image_model}")
    grid = (options.categories, options.tastes, options.objectives, options.pairs, options.flips)
    grid += (options.pairings, options.votes, options.recipes)
    print(HEAD)
    asked = []
    for cell in itertools.starmap(Cell, itertools.product(*grid, options.seeds)):
        key = settings_key(made_with(backbone, cell.category, options))
        row, name = known_row(rows, cell, key)
        scenes = sorted({scene for scene, _ in unseen_scenes(backbone, cell, options.unseen)})
        if row is None or row.get("scenes") != scenes:
            row = row or trained_cell(backbone, pairs_store, cell, name, home, options) | {"key": key}
            row = row | compare(backbone, judge, cell, name, home, options) | {"scenes": scenes}
            rows.append(row)
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        asked.append(row)
        print(line(row), flush=True)
    for over in (("seed",), ("seed", "category"), ("seed", "category", "taste")):
        for row in pooled(asked, over):
            print(line(row))
    pairs_store.close()


if __name__ == "__main__":
    sys.exit(main())
