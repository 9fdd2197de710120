"""The report of an evaluation: tables, plots, and a page with all clips side by side. Knows no model."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from huvidpo.atomic import replacing, write_whole
from huvidpo.evaluation.metrics import METRICS
from huvidpo.evaluation.results import Results, clip_name
from huvidpo.evaluation.summary import figure
from huvidpo.evaluation.tables import stillness, tables, titled

PLOTTED = ("clip_score", "ssim", "mse", "motion", "dynamic", "subject_consistency")
SHOWN = ("clip_score", "ssim", "motion", "dynamic")  # under each clip of the page


def write_report(results: Results, folder: Path) -> list[Path]:
    """Writes table.md, index.html and plots/*.png into an evaluation folder; gives their paths."""
    texts = {folder / "table.md": tables(results), folder / "index.html": page(results)}
    for path, text in texts.items():
        write_whole(path, text)
    (folder / "plots").mkdir(exist_ok=True)
    for metric in set(PLOTTED) - set(results.metrics()):  # of what was measured here before
        (folder / "plots" / f"{metric}.png").unlink(missing_ok=True)
    written = [*texts]
    for metric in (name for name in PLOTTED if name in results.metrics()):
        path = folder / "plots" / f"{metric}.png"
        with replacing(path) as temporary:
            plot(results, metric).savefig(temporary, dpi=150)
        written.append(path)
    return written


def plot(results: Results, metric: str) -> Figure:
    """The means of one metric with their intervals: a group for each category and for all, a point for each system."""
    groups = [*results.categories(), None]
    drawing = Figure(figsize=(9, 4), layout="constrained")
    axes = drawing.add_subplot()
    for i, system in enumerate(results.systems):
        offset = (i - (len(results.systems) - 1) / 2) * 0.8 / len(results.systems)
        found = [(x + offset, figure(results, system.name, metric, group)) for x, group in enumerate(groups)]
        found = [(x, estimate) for x, estimate in found if estimate]
        values = [estimate.value for _, estimate in found]
        ends = [(e.value if e.low is None else e.low, e.value if e.high is None else e.high) for _, e in found]
        errors = [[v - low for v, (low, _) in zip(values, ends, strict=True)]]
        errors.append([high - v for v, (_, high) in zip(values, ends, strict=True)])
        label = system.title.replace("$", r"\$")  # matplotlib would set a formula
        axes.errorbar([x for x, _ in found], values, yerr=errors, fmt="o", ms=4, capsize=2, lw=1, label=label)
    axes.set_xticks(range(len(groups)), [group or "all" for group in groups])
    axes.set_title(f"{titled(metric)}, mean over prompts with 95 % interval", loc="left", fontsize=10)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    return drawing


def page(results: Results) -> str:
    """A page that plays all clips side by side, a row for each prompt and seed. The template escapes all text."""
    by_place = {(clip.system, clip.prompt_id, clip.seed): clip for clip in results.clips}
    places = dict.fromkeys((clip.category, clip.prompt_id, clip.seed, clip.prompt) for clip in results.clips)
    sections: dict[str, list[dict[str, object]]] = {category: [] for category in results.categories()}
    for category, prompt_id, seed, prompt in places:
        cells = [by_place.get((system.name, prompt_id, seed)) for system in results.systems]
        shown = [cell and {"file": quote(cell.file), "figures": short_figures(cell.metrics)} for cell in cells]
        sections[category].append({"name": clip_name(prompt_id, seed), "prompt": prompt, "cells": shown})
    environment = Environment(
        loader=PackageLoader("huvidpo.evaluation", "."), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("page.html").render(
        backbone=results.backbone,
        created=results.created_at[:16].replace("T", " ") + " UTC",
        titles=[system.title for system in results.systems],
        sections=sections,
        notes=[stillness(results).replace("\\", "").replace("**", ""), *results.problems],
    )


def short_figures(metrics: Mapping[str, float]) -> str:
    """What stands under a clip."""
    shown = [f"{METRICS[name].title} {metrics[name]:.{METRICS[name].digits}f}" for name in SHOWN if name in metrics]
    shown += ["stands still"] * (metrics.get("still", 0) > 0)
    unbroken = [figure.replace(" ", "\N{NO-BREAK SPACE}") for figure in shown]
    return "\N{NO-BREAK SPACE}· ".join(unbroken)
