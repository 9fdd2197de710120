"""Rounds of Iterative Preference Optimization (arXiv 2502.02088, section 3.3): clips, a critic, training, a check.

    for event in run_rounds(backbone, plan):
        ...  # Step: what is going on; Round: one row of the table

A round makes pairs with the adapter of the moment, lets a critic label them and trains. The paper then goes on in any
case; here a round counts only when its adapter wins on prompts and seeds that it was not trained on and still moves:
the next round begins from the last one that did. Everything lies in one folder, and what is there is not done again.
"""

import json
import math
import random
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from huvidpo.adapters import Adapter, list_adapters, read_adapter
from huvidpo.atomic import write_whole
from huvidpo.backbones import LoadedBackbone, unseen_prompts, varied_prompt
from huvidpo.evaluation.critics import Critic, find_critic
from huvidpo.evaluation.metrics import motion_magnitude
from huvidpo.preferences.gate import MIN_MOTION, motion_share, verdict_of
from huvidpo.preferences.making import keep_pair
from huvidpo.preferences.own_clips import real_sha256
from huvidpo.preferences.pairing import default_pairing, pair_requests
from huvidpo.preferences.pairs import TrainingSet, missing_examples, training_set
from huvidpo.preferences.store import RatingStore
from huvidpo.requests import MAX_SEED, ClipRequest, FirstFrameRequest, starting_from
from huvidpo.takes import Clip, FirstFrame, make_clip, make_first_frame
from huvidpo.training.critic_ratings import critic_rating
from huvidpo.training.preference import PreferenceRecord
from huvidpo.training.preference_settings import PreferenceSettings
from huvidpo.training.runs import RunPlan, fitted_to_start, train_plan
from huvidpo.training.strength import Measuring

# Numbers of prompts and seeds. Those of different rounds, and of training and comparing, are never the same in a run:
# a round has MAX_PAIRS of its own, a run of any seed MAX_ROUNDS of these, and as many numbers for comparing.
RATED, UNSEEN, MAX_PAIRS, MAX_ROUNDS = 2_000_000, 3_000_000, 1_000, 19
RUN = MAX_PAIRS * (MAX_ROUNDS + 1)
RUNS = 100_000  # that have numbers of their own, which seeds of clips have to hold; then they come again
ROWS = "rounds.jsonl"


@dataclass(frozen=True)
class RoundsPlan:
    """All that decides a run of rounds."""

    category: str
    critic: str  # labels the pairs; see evaluation.critics
    held_out: str  # decides whether a round counts: the same critic, or another one that training never met
    rounds: int
    pairs: int  # made and labelled in each round
    unseen: int  # comparisons on prompts and seeds of their own
    settings: PreferenceSettings
    start: Adapter | None
    work: Path
    adapters: Path  # folder in which each round's adapter is saved, as <name of work>-<round>
    real: tuple[tuple[Path, str], ...] = ()  # clips and prompts for the objective ipo


@dataclass(frozen=True)
class Step:
    """What is going on, for a progress bar."""

    round: int
    what: str  # "pairs", "training", "measuring motion" or "comparing"
    done: int
    total: int


@dataclass(frozen=True)
class Round:
    """One row of the table."""

    round: int
    adapter: str  # "" when there was too little to train on
    parent: str
    examples: int
    minutes: float  # of training
    stopped: str  # why training ended early
    wins: int  # by the held-out critic, on prompts and seeds of their own
    losses: int
    ties: int
    win_rate: float  # among the decided; -1 without any
    low: float  # Wilson's 95 % interval of it
    high: float
    motion: float  # of the new clips as a share of the parent's; -1 is not known
    accepted: bool
    reason: str  # one sentence


def run_rounds(backbone: LoadedBackbone, plan: RoundsPlan) -> Iterator[Step | Round]:
    """Yields what is going on, and the row of each round, those that were done before first.

    Raises ValueError for unknown critics, for a folder that holds other rounds, for an adapter of another origin under
    a round's name, for more pairs or comparisons than there are prompts for, and for what training refuses.
    """
    critic, held_out = (
        find_critic(name, plan.category, backbone.preset.name) for name in (plan.critic, plan.held_out)
    )
    check_same_plan(plan, backbone)
    check_names(plan, backbone.preset.name)
    comparisons(backbone, plan)  # which may not be as many as were asked for
    current = plan.start
    for number in range(1, plan.rounds + 1):
        row = next((row for row in read_rounds(plan.work) if row.round == number), None)
        if row is None:
            row = yield from one_round(backbone, plan, number, current, critic, held_out)
            with (plan.work / ROWS).open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(row)) + "\n")
        yield row
        if row.accepted:
            current = read_adapter(plan.adapters / row.adapter)


def check_same_plan(plan: RoundsPlan, backbone: LoadedBackbone) -> None:
    """ValueError when the folder of `plan` holds rounds of another one; more rounds may be asked for."""
    start, real = plan.start.revision() if plan.start else "none", real_sha256(plan.real) or 0
    named = (backbone.preset.name, backbone.revision(), plan.category, plan.critic, plan.held_out, plan.pairs)
    named += (plan.unseen, start, real)
    text = json.dumps([named, asdict(plan.settings)], sort_keys=True)
    path = plan.work / "plan.json"
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        raise ValueError(f"{plan.work} holds other rounds: choose another folder, or go on as they were begun.")
    plan.work.mkdir(parents=True, exist_ok=True)
    write_whole(path, text)


def check_names(plan: RoundsPlan, backbone: str) -> None:
    """ValueError when a round that was not begun yet would have the name of an adapter that is there."""
    taken = {adapter.name for adapter in list_adapters(backbone, plan.category)}
    for number in range(1, plan.rounds + 1):
        if round_name(plan, number) in taken and not round_folder(plan, number).exists():
            raise ValueError(
                f"There is an adapter {round_name(plan, number)} of {plan.category} already: "
                f"delete it, or choose a folder of another name than {plan.work.name}."
            )


def round_name(plan: RoundsPlan, number: int) -> str:
    """What a round's adapter is called."""
    return f"{plan.work.name}-{number}"


def round_folder(plan: RoundsPlan, number: int) -> Path:
    """Where a round's pairs and training lie."""
    return plan.work / f"round-{number}"


def read_rounds(work: Path) -> list[Round]:
    """The rows of the rounds that are over."""
    path = work / ROWS
    return (
        [Round(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
    )


def one_round(
    backbone: LoadedBackbone, plan: RoundsPlan, number: int, parent: Adapter | None, critic: Critic, held_out: Critic
) -> Iterator[Step]:
    """Pairs, labels, training, comparisons; gives the row."""
    folder = round_folder(plan, number)
    with closing(RatingStore(folder)) as store:
        yield from make_pairs(backbone, store, plan, number, parent)
        for pair in store.pairs(plan.category):
            store.append(critic_rating(store, pair, critic, random.Random(pair.pair_id)))
        ratings = store.ratings(plan.category)
        examples = training_set(ratings, plan.settings.objective, backbone.preset.name, store.video_path)
    seen = {"round": number, "parent": parent.name if parent else "none", "examples": len(examples)}
    if missing := missing_examples(examples):
        reason = f"Too little to train on: {missing} more examples that the critic decides are needed."
        return Round(**seen, adapter="", minutes=0.0, stopped="", **verdict([]) | {"reason": reason})
    started = time.perf_counter()
    run = run_plan(plan, number, parent, examples, folder)
    with closing(train_plan(backbone, run)) as records:
        for record in records:
            if isinstance(record, PreferenceRecord):
                yield Step(number, "training", record.step, record.steps)
            elif isinstance(record, Measuring):
                yield Step(number, "measuring motion", record.done, record.total)
    minutes, new = (time.perf_counter() - started) / 60, read_adapter(run.out)
    compared = yield from compare(backbone, plan, number, parent, new, held_out)
    stopped = str(new.card["stopped_because"])
    before = math.prod(row.motion for row in read_rounds(plan.work) if row.accepted)
    return Round(**seen, adapter=new.name, minutes=minutes, stopped=stopped, **verdict(compared, before))


def run_plan(plan: RoundsPlan, number: int, parent: Adapter | None, examples: TrainingSet, folder: Path) -> RunPlan:
    """A round's training."""
    return RunPlan(
        category=plan.category,
        preset="recommended",
        settings=replace(fitted_to_start(plan.settings, parent), seed=(plan.settings.seed + number) % (MAX_SEED + 1)),
        examples=examples,
        start=parent,
        work=folder / "training",
        out=plan.adapters / round_name(plan, number),
        real=plan.real,
        validation_clips=0,  # the comparisons that follow measure motion on many more
    )


def make_pairs(
    backbone: LoadedBackbone, store: RatingStore, plan: RoundsPlan, number: int, adapter: Adapter | None
) -> Iterator[Step]:
    """Fills the store with the pairs of a round; those that are there are not made again."""
    there = len(store.pairs(plan.category))
    for i, (place, prompt) in enumerate(rated_places(backbone, plan, number)):
        yield Step(number, "pairs", i, plan.pairs)
        if i < there:
            continue
        frame, request = request_at(backbone, plan.category, place, prompt, adapter)
        pairing = default_pairing(request)
        a, b = (take(backbone, frame, one) for one in pair_requests(backbone.preset, request, pairing))
        keep_pair(store, a, b, frame.image, prompt, plan.category, "queue", pairing, split="train")


def rated_places(backbone: LoadedBackbone, plan: RoundsPlan, number: int) -> list[tuple[int, str]]:
    """The places and prompts of a round's pairs."""
    first = RATED + RUN * (plan.settings.seed % RUNS) + MAX_PAIRS * number
    places = range(first, first + plan.pairs)
    return [(place, varied_prompt(backbone, plan.category, place, unseen=False)) for place in places]


def comparisons(backbone: LoadedBackbone, plan: RoundsPlan) -> list[tuple[int, str]]:
    """The places and prompts of a run's comparisons, the same in every round: no round trains on one of the prompts.

    That holds for all rounds that may still be asked for. ValueError when it leaves too few.
    """
    rated = {prompt for i in range(1, MAX_ROUNDS + 1) for _, prompt in rated_places(backbone, plan, i)}
    first = UNSEEN + RUN * (plan.settings.seed % RUNS)
    chosen = list(islice(unseen_prompts(backbone, plan.category, range(first, first + RUN), rated), plan.unseen))
    if len(chosen) < plan.unseen:
        raise ValueError(f"There is room for {len(chosen)} comparisons only: ask for fewer of them or fewer pairs.")
    return chosen


def request_at(
    backbone: LoadedBackbone, category: str, place: int, prompt: str, adapter: Adapter | None
) -> tuple[FirstFrame, ClipRequest]:
    """A first frame and the request of the clip from it; the same for the same place, whatever the adapter."""
    *_, frame = make_first_frame(backbone, FirstFrameRequest(prompt, seed=place))
    request = ClipRequest(prompt, category, adapter=str(adapter.folder) if adapter else "none", seed=place)
    return frame, starting_from(request, frame.request)


def take(backbone: LoadedBackbone, frame: FirstFrame, request: ClipRequest) -> Clip:
    """The clip that is asked for."""
    *_, clip = make_clip(backbone, frame.image, request, previews=False)
    return clip


def compare(
    backbone: LoadedBackbone, plan: RoundsPlan, number: int, parent: Adapter | None, new: Adapter, critic: Critic
) -> Iterator[Step]:
    """The new adapter against its parent, with the same first frames and noise; gives a row for each comparison."""
    path = round_folder(plan, number) / "compared.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
    for i, (place, prompt) in enumerate(comparisons(backbone, plan)):
        if i < len(rows):
            continue
        yield Step(number, "comparing", i, plan.unseen)
        frame, request = request_at(backbone, plan.category, place, prompt, new)
        own = take(backbone, frame, request).frames
        other = replace(request, adapter=str(parent.folder) if parent else "none")
        old = take(backbone, frame, other).frames
        scores = [critic(clip, request.prompt) for clip in (own, old)]
        motion = [motion_magnitude(clip) for clip in (own, old)]
        rows.append({"prompt": request.prompt, "scores": scores, "motion": motion})
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(rows[-1]) + "\n")
    return rows


def verdict(compared: list[dict[str, Any]], before: float = 1.0) -> dict[str, object]:
    """What comparisons of [new, parent] say, by the gate's rules; `before` is the parent's share of all motion."""
    differences = [row["scores"][0] - row["scores"][1] for row in compared]
    by_prompt: dict[str, list[int]] = {}
    for row, difference in zip(compared, differences, strict=True):
        if difference:
            by_prompt.setdefault(row["prompt"], [0, 0])[difference < 0] += 1
    motion = motion_share(tuple(row["motion"]) for row in compared)
    found = verdict_of([*by_prompt.values()], differences.count(0), motion, 0.95).to_row()
    if found["passed"] and before * motion < MIN_MOTION:
        found |= {"passed": False, "reason": f"It won, but {before * motion:.0%} of the motion at the start is left."}
    same = ("wins", "losses", "ties", "win_rate", "low", "high", "motion", "reason")
    return {name: found[name] for name in same} | {"accepted": found["passed"]}
