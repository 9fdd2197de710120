"""The command `evaluate`: systems compared on the same prompts, in one folder. Knows nothing of argparse.

As in commands.py, heavy modules are imported after what can be checked without them.
"""

import dataclasses
import re
from argparse import Namespace
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from huvidpo.commands import answer, load

if TYPE_CHECKING:
    from huvidpo.evaluation.judges import Vision
    from huvidpo.evaluation.results import Results
    from huvidpo.evaluation.suite import Evaluation
    from huvidpo.evaluation.systems import Contestant

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # of a system: also the name of a folder


def evaluate(arguments: Namespace) -> None:
    """`evaluate`; under `accelerate launch` the processes share the work, and the first one speaks."""
    from huvidpo.evaluation.prompts import SHIPPED_PROMPTS, chosen_categories, read_tasks

    categories = chosen_categories(arguments.category)
    tasks = read_tasks(categories, arguments.prompts or SHIPPED_PROMPTS, arguments.seeds)
    chosen = contestants(arguments)
    if arguments.out.exists() and not arguments.out.is_dir():
        raise ValueError(f"Could not write to {arguments.out}: it is not a folder.")
    arguments.out.mkdir(parents=True, exist_ok=True)
    from huvidpo.evaluation.report import write_report
    from huvidpo.evaluation.suite import Evaluation
    from huvidpo.training.processes import join_processes

    join_processes()
    backbone = load(arguments)
    settings = {"category": arguments.category, "seeds": arguments.seeds}
    results = follow(Evaluation(backbone, judge(arguments, backbone), chosen, tasks, arguments.out, settings))
    if results is None:
        return  # not the first process
    written = write_report(results, arguments.out)
    lines = [*results.problems, *map(str, written)]
    found = {"out": str(arguments.out), "clips": len(results.clips), "problems": results.problems}
    answer(arguments, found | {"systems": summary(results)}, lines)


def contestants(arguments: Namespace) -> "list[Contestant]":
    """What is compared: named systems, adapters, folders of clips; and always the repeated first frame.

    Without any of them, the usual ablations; with folders only, nothing else. ValueError for names that are unknown,
    twice there, or no name of a folder.
    """
    from huvidpo.evaluation.systems import KNOWN, STILL, USUAL, Contestant

    adapters, folders = split(arguments.adapters), arguments.clips or []
    named = split(arguments.systems) or ([] if adapters or folders else [*USUAL])
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


def split(text: str) -> list[str]:
    """The parts of a list with commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def judge(arguments: Namespace, backbone) -> "Vision":
    """The models that look at the clips: pocket's own for its practice world, else those of the Hub."""
    from huvidpo.evaluation.judges import hub_vision, pocket_vision

    kind = arguments.judge or ("pocket" if backbone.preset.name == "pocket" else "hub")
    return pocket_vision() if kind == "pocket" else hub_vision(backbone.device)


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
