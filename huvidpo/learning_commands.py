"""The commands around preference training: train, promote, roll back. Knows nothing of argparse.

As in commands.py, heavy modules are imported after what can be checked without them.
"""

import math
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from huvidpo.categories import CATEGORIES, Category, find_category
from huvidpo.commands import answer, check_run_folder, chosen_preset, load, warn_of
from huvidpo.home import home
from huvidpo.interrupts import until_interrupted

if TYPE_CHECKING:
    from huvidpo.adapters import Adapter
    from huvidpo.preferences.gate import Verdict
    from huvidpo.preferences.pairs import TrainingSet
    from huvidpo.training.preference import PreferenceRecord
    from huvidpo.training.preference_settings import PreferenceSettings
    from huvidpo.training.rounds import Round
    from huvidpo.training.strength import Measuring

CHANGEABLE = ("steps", "minutes", "beta", "rank", "pairs_per_step", "members", "seed")  # settings with an option


def train_preference(arguments: Namespace) -> None:
    """`train-preference`; under `accelerate launch` every process does this, and the first one speaks."""
    category = find_category(arguments.category)
    if arguments.out:
        check_run_folder(arguments.out, arguments.resume)
    from huvidpo.adapters import find_adapter
    from huvidpo.candidates import candidate_folder
    from huvidpo.training.processes import join_processes, process_number
    from huvidpo.training.run_folders import run_to_resume
    from huvidpo.training.runs import RunPlan, fitted_to_start, train_plan

    preset = chosen_preset(arguments)
    start = find_adapter(preset.name, category.name, arguments.start)
    settings = fitted_to_start(chosen_settings(arguments, preset.preference_learning_rate), start)
    work = arguments.out
    if arguments.resume and work is None:
        work = run_to_resume(preset.name, category.name, settings.objective)
    examples = find_examples(arguments, category, preset.name)
    check_examples(examples, arguments.few)
    real = real_clips(arguments, category)
    join_processes()
    settings = fitted_to_processes(settings, arguments.pairs_per_step is not None)
    backbone, quiet = load(arguments), process_number()[0] > 0
    work = work or new_work_folder(preset.name, category.name, settings.objective)
    out = arguments.out or candidate_folder(preset.name, category.name, work.name)
    if not quiet:
        print(f"Learning in {work}.", file=sys.stderr)
    plan = RunPlan(category.name, arguments.preset, settings, examples, start, work, out, real)
    saved = follow(train_plan(backbone, plan), quiet)
    if saved is None:
        return
    stopped = str(saved.card["stopped_because"])
    result = {"out": str(out), "name": saved.name, "stopped": stopped, "card": saved.card}
    answer(arguments, result, [*filter(None, [stopped, weakened_line(saved)]), str(out)])


def fitted_to_processes(settings: "PreferenceSettings", given: bool) -> "PreferenceSettings":
    """The settings with an example for each process in every step, unless their number was given; says so."""
    from huvidpo.training.preference_settings import examples_per_step
    from huvidpo.training.processes import process_number

    (rank, processes), examples = process_number(), examples_per_step(settings)
    if examples >= processes:
        return settings
    if rank == 0:
        idle = f"{processes - examples} of {processes} processes have nothing to do" if given else ""
        warn_of([f"{idle or f'a step has {processes} pairs'}; --pairs-per-step changes that."])
    return settings if given else replace(settings, pairs_per_step=processes)


def new_work_folder(backbone: str, category: str, objective: str) -> Path:
    """The folder of a new run; in all processes that of the first one, which makes it."""
    from huvidpo.training.processes import copied_from_first, process_number
    from huvidpo.training.run_folders import new_run, run_folder

    name = new_run(backbone, category, objective).name if process_number()[0] == 0 else ""
    return run_folder(backbone, category, copied_from_first(name))


def weakened_line(adapter: "Adapter") -> str:
    """What is said of an adapter that could not keep all it learned."""
    strength, motion = adapter.card["strength"], adapter.card["motion"]
    kept = f"its clips keep {motion:.0%} of their motion that way"
    return f"Weakened to {strength:.0%} of what was learned: {kept}." if strength < 1 else ""


def chosen_settings(arguments: Namespace, learning_rate: float) -> "PreferenceSettings":
    """The preset with those settings that were given; ValueError when one is out of range."""
    from huvidpo.training.preference_settings import check_settings, preset_settings

    settings = preset_settings(arguments.preset, arguments.objective, learning_rate)
    given = {name: value for name in CHANGEABLE if (value := getattr(arguments, name)) is not None}
    if arguments.learning_rate is not None:
        given["learning_rate"] = arguments.learning_rate
    if arguments.rank is not None:
        given["alpha"] = settings.alpha * arguments.rank / settings.rank  # the strength of the LoRA stays
    settings = replace(settings, **given)
    check_settings(settings)
    return settings


def find_examples(arguments: Namespace, category: Category, backbone: str) -> "TrainingSet":
    """What to learn from: a folder of own clips, or the ratings of the category."""
    if arguments.data:
        from huvidpo.preferences.own_clips import read_own_clips
        from huvidpo.training.preference_settings import PAIRS_ALL

        prompt, seed = category.motion_prompt, arguments.seed or 0
        every_pair = arguments.every_pair or arguments.preset in PAIRS_ALL
        return read_own_clips(arguments.data, arguments.objective, prompt, every_pair, seed)
    from huvidpo.preferences.pairs import training_set
    from huvidpo.preferences.store import RatingStore

    with closing(RatingStore(home())) as store:
        return training_set(store.ratings(category.name), arguments.objective, backbone, store.video_path)


def check_examples(examples: "TrainingSet", few: bool) -> None:
    """ValueError when there is nothing to learn from, or too little to be worth it."""
    from huvidpo.preferences.pairs import MIN_EXAMPLES, missing_examples

    reasons = ", ".join(f"{count} {why}" for why, count in examples.left_out.items())
    left_out = f" Left out: {reasons}." if reasons else ""
    if not len(examples):
        raise ValueError(f"There is nothing to learn from: rate pairs of this category first.{left_out}")
    if missing_examples(examples) and not few:
        what = "scored clips" if examples.scored else "examples"
        raise ValueError(
            f"{examples.judged} usable {what} are too few to learn a taste and not the clips: "
            f"{MIN_EXAMPLES} are the least that makes sense (--few trains all the same).{left_out}"
        )


def real_clips(arguments: Namespace, category: Category) -> tuple[tuple[Path, str], ...]:
    """The clips of the real-clip term; ValueError when the objective needs some and there are none."""
    if arguments.objective != "ipo":
        return ()
    if not arguments.real:
        raise ValueError("The objective ipo needs real clips of the category: give their folder with --real.")
    from huvidpo.preferences.own_clips import real_clips as read

    return read(arguments.real, category.motion_prompt)


def follow(records: "Iterator[PreferenceRecord | Measuring | Adapter]", quiet: bool) -> "Adapter | None":
    """The adapter at the end of a run, with a bar on stderr; None in all processes but the first."""
    from huvidpo.training.preference import PreferenceRecord
    from huvidpo.training.strength import Measuring

    record = None
    with tqdm(desc="Training", unit="step", disable=True if quiet else None) as bar:
        for record in until_interrupted(records):
            if isinstance(record, Measuring):
                bar.set_description_str("Measuring motion", refresh=False)
                bar.set_postfix_str("", refresh=False)
                bar.total, bar.n = record.total, record.done
                bar.refresh()
            if not isinstance(record, PreferenceRecord):
                continue
            bar.total = record.steps
            bar.set_postfix_str(step_line(record), refresh=False)
            bar.update(record.step - bar.n)
    return None if quiet else record


def step_line(record: "PreferenceRecord") -> str:
    """A step in a few words, without those numbers that it had nothing to measure on."""
    numbers = {"{:.0%} right": record.accuracy, "winners {:+.5f}": record.winner_drift}
    measured = [words.format(number) for words, number in numbers.items() if not math.isnan(number)]
    return ", ".join([f"loss {record.loss:.4f}", *measured, f"{record.seconds_left / 60:.0f} min left"])


def rounds(arguments: Namespace) -> None:
    """`rounds`: a line for each, as soon as it is over."""
    category = find_category(arguments.category)
    from huvidpo.adapters import find_adapter
    from huvidpo.evaluation.critics import find_critic
    from huvidpo.training.rounds import Round, RoundsPlan, run_rounds

    preset = chosen_preset(arguments)
    for name, lowest in (("rounds", 1), ("pairs", 8), ("unseen", 10)):
        if getattr(arguments, name) < lowest:
            raise ValueError(f"Fewer than {lowest} {name} would say nothing.")
    held_out = arguments.held_out or arguments.critic
    settings = chosen_settings(arguments, preset.preference_learning_rate)
    start = find_adapter(preset.name, category.name, arguments.start)
    real = real_clips(arguments, category)
    for name in (arguments.critic, held_out):
        find_critic(name, category.name, preset.name)
    work = arguments.out or home() / "rounds" / preset.name / category.name / arguments.critic.replace(":", "-")
    adapters = home() / "adapters" / preset.name / category.name
    plan = RoundsPlan(
        category.name, arguments.critic, held_out, arguments.rounds, arguments.pairs, arguments.unseen, settings,
        start, work, adapters, real,
    )  # fmt: skip
    found, backbone = [], load(arguments)
    with closing(run_rounds(backbone, plan)) as events, tqdm(disable=None, unit="") as bar:
        for event in events:
            if isinstance(event, Round):
                found.append(event)
                bar.write(round_line(event), file=sys.stderr)
            else:
                bar.set_description_str(f"Round {event.round}: {event.what}", refresh=False)
                bar.total = event.total
                bar.update(event.done - bar.n)
    answer(arguments, {"rounds": [asdict(row) for row in found], "out": str(work)}, [*map(round_line, found)])


def round_line(row: "Round") -> str:
    """A round in one line."""
    rate = f"{row.win_rate:.0%} [{row.low:.0%}, {row.high:.0%}]" if row.wins + row.losses else "-"
    motion = f"{row.motion:.0%}" if row.motion >= 0 else "not measured"
    return (
        f"round {row.round}: {row.adapter or 'no adapter'} from {row.parent}, {row.examples} examples, "
        f"{row.minutes:.1f} min; win rate {rate}, motion {motion}; {'accepted' if row.accepted else 'rejected'}: "
        f"{row.reason}"
    )


def promote(arguments: Namespace) -> None:
    """`promote`"""
    adapter = named_adapter(arguments)
    from huvidpo import candidates

    # Motion from a few clips has nothing that votes could compare it with.
    verdict = verdict_on(adapter, adapter.parent()) if adapter.learned_taste else None
    if verdict and not verdict.passed and not arguments.force:
        raise ValueError(f"{adapter.name} is not promoted. {verdict.reason} --force promotes it all the same.")
    candidates.promote(adapter, verdict)
    result = {"promoted": adapter.name, "category": adapter.category, "verdict": verdict and verdict.to_row()}
    answer(arguments, result, [f"{adapter.name} is now the default of {adapter.category}."])


def rollback(arguments: Namespace) -> None:
    """`rollback`"""
    find_category(arguments.category)
    from huvidpo import candidates

    backbone = chosen_preset(arguments).name
    adapter = candidates.rollback(backbone, arguments.category)
    result = {"default": adapter.name, "category": adapter.category}
    answer(arguments, result, [f"{adapter.name} is the default of {adapter.category} again."])


def named_adapter(arguments: Namespace) -> "Adapter":
    """The adapter of that name; ValueError when no category has one, or several have."""
    if arguments.category is not None:
        find_category(arguments.category)
    from huvidpo.adapters import list_adapters

    backbone = chosen_preset(arguments).name
    categories = [arguments.category] if arguments.category else list(CATEGORIES)
    found = [a for name in categories for a in list_adapters(backbone, name) if a.name == arguments.name]
    if len(found) > 1:
        where = ", ".join(adapter.category for adapter in found)
        raise ValueError(
            f"Several categories have an adapter {arguments.name!r}: say which with --category ({where})."
        )
    if not found:
        raise ValueError(f"There is no adapter {arguments.name!r} of the backbone {backbone}.")
    return found[0]


def verdict_on(adapter: "Adapter", against: "Adapter | None") -> "Verdict":
    """What the votes in this deployment say."""
    from huvidpo.preferences.gate import judge
    from huvidpo.preferences.store import RatingStore

    with closing(RatingStore(home())) as store:
        answers, taken_back = (find(adapter.category) for find in (store.blind_answers, store.taken_back_answers))
        return judge(answers, adapter.revision(), against.revision() if against else "", taken_back)
