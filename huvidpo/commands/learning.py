"""The commands that learn from preferences: `train-preference`, `rounds`."""

import math
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from huvidpo.categories import Category, find_category
from huvidpo.checks import require
from huvidpo.commands.common import answer, check_run_folder, chosen_preset, load, warn_of
from huvidpo.home import home
from huvidpo.interrupts import until_interrupted
from huvidpo.preferences.store import RatingStore
from huvidpo.presets import Backbone
from huvidpo.training.begun_runs import BegunWith, going_on, rated_examples, read_begun, usable_ids, write_begun
from huvidpo.training.preference_settings import (
    PAIRS_ALL,
    PreferenceSettings,
    check_settings,
    examples_per_step,
    preset_settings,
)

if TYPE_CHECKING:
    from huvidpo.adapters import Adapter
    from huvidpo.preferences.pairs import TrainingSet
    from huvidpo.training.preference import PreferenceRecord
    from huvidpo.training.rounds import Round
    from huvidpo.training.strength import Measuring

OBJECTIVE, PRESET = "dpo", "recommended"  # where no option says another
# Settings with an option.
CHANGEABLE = ("steps", "minutes", "beta", "learning_rate", "rank", "pairs_per_step", "members", "seed")


def train_preference(arguments: Namespace) -> None:
    """`train-preference`; under `accelerate launch` every process does this, and the first one speaks."""
    category = find_category(arguments.category)
    if arguments.out:
        check_run_folder(arguments.out, arguments.resume)
    from huvidpo.adapters import find_adapter, motion_notice
    from huvidpo.training.run_folders import run_to_resume

    preset, work = chosen_preset(arguments), arguments.out
    if arguments.resume:
        work = work or run_to_resume(preset.name, category.name, arguments.objective)
        begun = read_begun(work)
        begun = replace(begun, start=start_folder(preset.name, category.name, begun.start))
        begun = going_on(begun, given_options(arguments, preset.name))
    else:
        begun = newly_begun(arguments, preset)
    start = find_adapter(preset.name, category.name, begun.start)
    examples = find_examples(begun, category, preset.name)
    check_examples(examples, arguments.few or arguments.resume)
    real = real_clips(begun.settings.objective, begun.real, category)
    from huvidpo.candidates import candidate_folder
    from huvidpo.training.processes import join_processes, process_number
    from huvidpo.training.runs import RunPlan, fitted_to_start, train_plan

    join_processes()
    settings = fitted_to_start(begun.settings, start)
    settings = fitted_to_processes(settings, arguments.pairs_per_step is not None or arguments.resume)
    backbone, quiet = load(arguments), process_number()[0] > 0
    work = work or new_work_folder(preset.name, category.name, settings.objective)
    out = arguments.out or candidate_folder(preset.name, category.name, work.name)
    if not quiet:
        warn_of(filter(None, [motion_notice(preset.name, category.name, begun.start)]) if start else [])
        write_begun(work, replace(begun, settings=settings))
        print(f"Learning in {work}.", file=sys.stderr)
    plan = RunPlan(category.name, begun.preset, settings, examples, start, work, out, real)
    saved = follow(train_plan(backbone, plan), quiet)
    if saved is None:
        return
    stopped = str(saved.card["stopped_because"])
    result = {"out": str(out), "name": saved.name, "stopped": stopped, "card": saved.card}
    answer(arguments, result, [*filter(None, [stopped, weakened_line(saved)]), str(out)])


def newly_begun(arguments: Namespace, preset: Backbone) -> BegunWith:
    """What a new run begins with. ValueError for a setting out of range, and a start that there is not."""
    settings = chosen_settings(arguments, preset.preference_learning_rate)
    start = start_folder(preset.name, arguments.category, arguments.start)
    rating_ids = ()
    if not arguments.data:
        with closing(RatingStore(home())) as store:
            rating_ids = usable_ids(store, arguments.category)
    return BegunWith(
        preset=arguments.preset or PRESET,
        settings=settings,
        start=start,
        data=whole_path(arguments.data),
        all_pairs=arguments.all_pairs or (arguments.preset or PRESET) in PAIRS_ALL,
        real=whole_path(arguments.real),
        rating_ids=rating_ids,
    )


def given_options(arguments: Namespace, backbone: str) -> dict[str, object]:
    """The options that were given, by name, as `BegunWith` has them. ValueError for a start that there is not."""
    given = {name: getattr(arguments, name) for name in ("objective", "preset", *CHANGEABLE)}
    given |= {"data": whole_path(arguments.data), "real": whole_path(arguments.real), "all_pairs": arguments.all_pairs}
    given["start"] = arguments.start and start_folder(backbone, arguments.category, arguments.start)
    return {name: value for name, value in given.items() if value not in ("", None, False)}


def start_folder(backbone: str, category: str, name: str) -> str:
    """The folder of the adapter of that name, or "none". ValueError when there is no such adapter."""
    from huvidpo.adapters import find_adapter

    adapter = find_adapter(backbone, category, name)
    return str(adapter.folder) if adapter else "none"


def whole_path(path: Path | None) -> str:
    """The path as it is from any other folder too; "" for none."""
    return str(path.resolve()) if path else ""


def fitted_to_processes(settings: PreferenceSettings, given: bool) -> PreferenceSettings:
    """The settings with an example for each process in every step, unless their number was given; says so."""
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


def chosen_settings(arguments: Namespace, learning_rate: float) -> PreferenceSettings:
    """The preset with those settings that were given; ValueError when one is out of range."""
    settings = preset_settings(arguments.preset or PRESET, arguments.objective or OBJECTIVE, learning_rate)
    given = {name: value for name in CHANGEABLE if (value := getattr(arguments, name)) is not None}
    if arguments.rank is not None:
        given["alpha"] = settings.alpha * arguments.rank / settings.rank  # the strength of the LoRA stays
    settings = replace(settings, **given)
    check_settings(settings)
    return settings


def find_examples(begun: BegunWith, category: Category, backbone: str) -> "TrainingSet":
    """What to learn from: a folder of own clips, or those ratings of the category that were there at the beginning.

    ValueError when some of these are no longer there.
    """
    settings = begun.settings
    if begun.data:
        from huvidpo.preferences.own_clips import read_own_clips

        prompt = category.motion_prompt
        return read_own_clips(Path(begun.data), settings.objective, prompt, begun.all_pairs, settings.seed)
    with closing(RatingStore(home())) as store:
        return rated_examples(begun, category.name, backbone, store)


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
            f"There are {examples.judged} usable {what}, too few to learn a taste and not the clips: "
            f"{MIN_EXAMPLES} are the least that makes sense (--few trains all the same).{left_out}"
        )


def real_clips(objective: str, folder: str, category: Category) -> tuple[tuple[Path, str], ...]:
    """The clips of the real-clip term; ValueError when the objective needs some and there are none."""
    if objective != "ipo":
        return ()
    if not folder:
        raise ValueError("The objective ipo needs real clips of the category: give their folder with --real.")
    from huvidpo.preferences.own_clips import real_clips as read

    return read(Path(folder), category.motion_prompt)


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
    from huvidpo.training.rounds import MAX_PAIRS, MAX_ROUNDS, Round, RoundsPlan, run_rounds

    preset = chosen_preset(arguments)
    for name, lowest in (("rounds", 1), ("pairs", 8), ("unseen", 10)):
        if getattr(arguments, name) < lowest:
            raise ValueError(f"Fewer than {lowest} {name} would say nothing.")
    for name, highest in (("rounds", MAX_ROUNDS), ("pairs", MAX_PAIRS)):
        require(getattr(arguments, name) <= highest, f"There can be {highest} {name} at most.")
    held_out = arguments.held_out or arguments.critic
    settings = chosen_settings(arguments, preset.preference_learning_rate)
    start = find_adapter(preset.name, category.name, arguments.start)
    real = real_clips(settings.objective, whole_path(arguments.real), category)
    from huvidpo.evaluation.critics import find_critic

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
                bar.write(round_line(event), file=sys.stderr if arguments.json else sys.stdout)
            else:
                bar.set_description_str(f"Round {event.round}: {event.what}", refresh=False)
                bar.total = event.total
                bar.update(event.done - bar.n)
    answer(arguments, {"rounds": [asdict(row) for row in found], "out": str(work)}, [str(work)])


def round_line(row: "Round") -> str:
    """A round in one line."""
    rate = f"{row.win_rate:.0%} [{row.low:.0%}, {row.high:.0%}]" if row.wins + row.losses else "-"
    motion = f"{row.motion:.0%}" if row.motion >= 0 else "not measured"
    return (
        f"round {row.round}: {row.adapter or 'no adapter'} from {row.parent}, {row.examples} examples, "
        f"{row.minutes:.1f} min; win rate {rate}, motion {motion}; {'accepted' if row.accepted else 'rejected'}: "
        f"{row.reason}"
    )
