"""The commands `evaluate` (systems compared on the same prompts) and `winrate` (what votes say)."""

import dataclasses
import re
import sys
from argparse import Namespace
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from huvidpo.commands.common import answer, chosen_preset, load, names_in, warn_of
from huvidpo.evaluation.contestants import KNOWN, STILL, USUAL, Contestant
from huvidpo.home import home

if TYPE_CHECKING:
    from huvidpo.adapters import Adapter
    from huvidpo.backbones import LoadedBackbone
    from huvidpo.evaluation.judges import Vision
    from huvidpo.evaluation.prompts import Task
    from huvidpo.evaluation.results import Results
    from huvidpo.evaluation.suite import Evaluation
    from huvidpo.evaluation.verdict import WinRate
    from huvidpo.preferences.gate import Verdict

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # of a system: also the name of a folder


def evaluate(arguments: Namespace) -> None:
    """`evaluate`; under `accelerate launch` the processes share the work, and the first one speaks."""
    from huvidpo.evaluation.prompts import SHIPPED_PROMPTS, chosen_categories, read_tasks

    categories = chosen_categories(arguments.category)
    tasks = read_tasks(categories, arguments.prompts or SHIPPED_PROMPTS, arguments.seeds)
    chosen = contestants(arguments)
    check_adapters(chosen, chosen_preset(arguments).name, categories)
    out = arguments.out or home() / "evaluations" / arguments.category
    if out.exists() and not out.is_dir():
        raise ValueError(f"Could not write to {out}: it is not a folder.")
    out.mkdir(parents=True, exist_ok=True)
    from huvidpo.evaluation.report import write_report
    from huvidpo.evaluation.suite import Evaluation
    from huvidpo.training.processes import join_processes, process_number

    join_processes()
    backbone, quiet = load(arguments), process_number()[0] > 0
    if not quiet:
        warn_of_prompts(backbone, tasks)
        warn_of_replaced(out, chosen, categories)
    settings = {"category": arguments.category, "seeds": arguments.seeds}
    vision = judge(arguments, backbone, quiet)
    results = follow(Evaluation(backbone, vision, chosen, tasks, out, settings))
    if results is None:
        return  # not the first process
    if not results.clips:
        raise ValueError(" ".join(["There is no clip to measure.", *results.problems[:1]]))
    written = write_report(results, out)
    lines = [*results.problems, *map(str, written)]
    found = {"out": str(out), "clips": len(results.clips), "problems": results.problems}
    answer(arguments, found | {"systems": summary(results)}, lines)


def warn_of_prompts(backbone: "LoadedBackbone", tasks: "list[Task]") -> None:
    """Says on stderr which words of the prompts the model does not know, and of which it does not read the end."""
    from huvidpo.words import cut_notice, unknown_notice

    prompts = list(dict.fromkeys(task.prompt for task in tasks))
    cut = {prompt: cut_notice(backbone, prompt, "any") for prompt in prompts}
    unknown = unknown_notice(backbone, *prompts)
    warn_of(filter(None, [unknown, *(f"{prompt[:60]!r}: {cut[prompt]}" for prompt in prompts if cut[prompt])]))


def warn_of_replaced(out: Path, chosen: list[Contestant], categories: Sequence[str]) -> None:
    """Says on stderr whose figures the report in that folder will no longer have; the clips stay."""
    from huvidpo.evaluation.results import RESULTS_FILE, read_results

    if not (out / RESULTS_FILE).is_file():
        return
    try:
        before = read_results(out)
    except ValueError:
        return
    gone = [name for name in before.categories() if name not in categories]
    names = [contestant.name for contestant in chosen]
    gone += [system.name for system in before.systems if system.name not in names]
    if gone:
        warn_of([f"the report in {out} will no longer have {', '.join(gone)}; see --out."])


def contestants(arguments: Namespace) -> list[Contestant]:
    """What is compared: named systems, adapters, folders of clips; and always the repeated first frame.

    Without any of them, the usual ablations; with folders only, nothing else. ValueError for names that are unknown,
    twice there, or no name of a folder.
    """
    adapters, folders = names_in(arguments.adapters), arguments.clips or []
    named = names_in(arguments.systems) or ([] if adapters or folders else [*USUAL])
    if unknown := [name for name in named if name not in KNOWN]:
        raise ValueError(f"There is no system {unknown[0]!r}; choose from: {', '.join(KNOWN)}.")
    found = [KNOWN[name] for name in named]
    found += [Contestant(Path(name).name, f"Adapter {Path(name).name}", adapter=name) for name in adapters]
    for entry in folders:
        name, _, folder = entry.partition("=")
        if not folder or not Path(folder).is_dir():
            raise ValueError(f"--clips needs NAME=DIR with the folder of a system's clips, not {entry!r}.")
        found.append(Contestant(name, name, clips=folder))
    found.append(STILL)
    for contestant in found:
        if not NAME.fullmatch(contestant.name):
            raise ValueError(f"A system cannot be called {contestant.name!r}: take letters, digits, '.', '_' and '-'.")
    names = [contestant.name for contestant in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"Two systems are called {min(twice)!r}: each needs a name of its own.")
    return found


def check_adapters(chosen: list[Contestant], backbone: str, categories: Sequence[str]) -> None:
    """ValueError when no category has an adapter that is to be compared: told before the work, not after it."""
    from huvidpo.evaluation.systems import adapter_of

    for contestant in chosen:
        if contestant.clips or contestant.baseline or contestant.still:
            continue
        problems = []
        for category in categories:
            try:
                adapter_of(backbone, category, contestant)
            except ValueError as error:
                problems.append(error)
        if len(problems) == len(categories):
            raise problems[0]


def judge(arguments: Namespace, backbone: "LoadedBackbone", quiet: bool) -> "Vision":
    """The models that look at the clips: those that were asked for, else the backbone's."""
    from huvidpo.evaluation.judges import HUB_NOTICE, hub_vision, pocket_vision

    if (arguments.judge or backbone.preset.judge) == "pocket":
        return pocket_vision()
    if not quiet:
        print(HUB_NOTICE, file=sys.stderr)
    return hub_vision(backbone.device)


def follow(evaluation: "Evaluation") -> "Results | None":
    """The results, with a bar on stderr for each part of the work; None in all processes but the first."""
    from huvidpo.evaluation.suite import Step

    with closing(evaluation.run()) as events, tqdm(unit="", disable=None) as bar:
        for event in events:
            if not isinstance(event, Step):
                return event
            if event.done == 1:
                bar.reset(event.total)
                bar.set_description(event.what)
            bar.update()
    return None


def summary(results: "Results") -> dict[str, dict[str, dict[str, float | None]]]:
    """System -> metric -> figure over all categories."""
    from huvidpo.evaluation.summary import figure

    return {
        system.name: {
            metric: dataclasses.asdict(found)
            for metric in results.metrics()
            if (found := figure(results, system.name, metric))
        }
        for system in results.systems
    }


def winrate(arguments: Namespace) -> None:
    """`winrate`: the gate's verdict on an adapter, and everything that should stand beside a win rate."""
    backbone = chosen_preset(arguments).name
    adapter, against = the_two(arguments, backbone)
    from huvidpo.adapters import list_adapters
    from huvidpo.evaluation.board import names_by_revision
    from huvidpo.evaluation.ranking import ranking_of
    from huvidpo.evaluation.study_report import known
    from huvidpo.evaluation.verdict import comparisons_of_ratings, win_rate
    from huvidpo.preferences.gate import answers_between, judge, needed_words
    from huvidpo.preferences.statistics import rater_agreement
    from huvidpo.preferences.store import RatingStore

    own, other = adapter.revision(), against.revision() if against else ""
    with closing(RatingStore(home())) as store:
        ratings, taken_back = (find(adapter.category) for find in (store.blind_answers, store.taken_back_answers))
    verdict = judge(ratings, own, other, taken_back)
    rate = win_rate(comparisons_of_ratings(ratings, {own: own, other: other}), own, other)
    row = verdict.to_row() | {"adapter": adapter.name, "against": against.name if against else "none"}
    row |= {"needed": needed_words(verdict.votes_needed), "clustered": rate.clustered}
    row |= {"halved": known(rate.halved), "halved_interval": rate.halved_interval}
    row |= {"alpha": known(rater_agreement(answers_between(ratings, own, other))), "ranking": [], "unranked": ""}
    if not arguments.against:
        names = names_by_revision(list_adapters(backbone, adapter.category))
        ranking, row["unranked"] = ranking_of(comparisons_of_ratings(ratings, names))
        row["ranking"] = [one.to_row() for one in ranking]
    answer(arguments, row, winrate_lines(row, verdict, rate))


def the_two(arguments: Namespace, backbone: str) -> "tuple[Adapter, Adapter | None]":
    """The adapter that is asked about, by default the newest candidate, and the one it is held against."""
    from huvidpo.adapters import find_adapter, list_adapters

    adapter = find_adapter(backbone, arguments.category, arguments.adapter) if arguments.adapter else None
    if adapter is None:
        found = [a for a in list_adapters(backbone, arguments.category) if a.learned_taste]
        if not found:
            raise ValueError(f"There is no adapter of {arguments.category} that learned from preferences yet.")
        adapter = max(found, key=lambda a: str(a.card.get("created_at", "")))
    given = arguments.against
    return adapter, find_adapter(backbone, arguments.category, given) if given else adapter.parent()


def winrate_lines(row: dict[str, object], verdict: "Verdict", rate: "WinRate") -> list[str]:
    """What `winrate` says of its row."""
    votes = f"{verdict.wins} won, {verdict.losses} lost, {verdict.ties} ties on {rate.prompts} prompts"
    wins = f"{verdict.win_rate:.0%} [{verdict.low:.0%}, {verdict.high:.0%}]" if verdict.wins + verdict.losses else "-"
    motion = f"motion {verdict.motion:.0%}" if verdict.motion >= 0 else "motion not measured"
    lines = [f"{row['adapter']} against {row['against']}: {votes}; win rate {wins}; {motion}."]
    if rate.prompts:
        over_prompts = "not known" if rate.clustered is None else "{:.0%} to {:.0%}".format(*rate.clustered)
        alpha = "not known" if row["alpha"] is None else f"{row['alpha']:.2f}"
        lines.append(
            f"With ties halved {rate.halved:.0%}; interval over prompts {over_prompts}; agreement of raters "
            f"(Krippendorff's alpha) {alpha}."
        )
    lines.append(verdict.reason)
    lines += [
        "{}. {}: preferred to an average one in {:.0%} [{:.0%}, {:.0%}]".format(
            place, one["system"], one["against_average"], *one["against_average_interval"]
        )
        for place, one in enumerate(row["ranking"], 1)
    ]
    return [*lines, *filter(None, [row["unranked"]])]
