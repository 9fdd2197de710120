"""The tables of an evaluation in Markdown. Knows no model; titles and prompts of others are escaped."""

import re

from huvidpo.evaluation.estimates import Estimate
from huvidpo.evaluation.metrics import METRICS
from huvidpo.evaluation.paper import paper_lines
from huvidpo.evaluation.results import Results, System
from huvidpo.evaluation.summary import difference, figure, frozen_share

PAPER_FORM = ("clip_score", "ssim", "mse", "wrapped_mse", "motion", "dynamic")  # the paper's three, and what they hide
ARROWS = {"higher": " ↑", "lower": " ↓", "": ""}
STILL = "still"  # the name of the system that repeats the first frame
HOW_TO_READ = """
- A figure is a mean over prompts, with the 95 % interval that drawing other prompts would give; none below five
  prompts. It says nothing about other training runs or other people.
- Intervals are Hesterberg's expanded percentile bootstrap; of shares of clips (dynamic, frozen, action seen) Wilson's,
  and of their differences Bonett's and Price's for pairs, each prompt a trial.
- A star says that 0 is outside of one interval of 95 %. The table makes many comparisons and stars are not corrected
  for that: about one in twenty stands where there is nothing.
- SSIM, MSE, flicker and the consistencies are best for a clip that does not move. Read them beside motion and dynamic
  degree, and against the row *First frame repeated*, which nobody would call a video.
- The 8-bit MSE is not a distance: it overflows. It stands here because the paper's MSE is most likely that figure.
- Figures of other backbones, judges and sizes do not compare: the paper's are of 512x320 clips and other prompts."""


def tables(results: Results) -> str:
    """The whole report as Markdown."""
    parts = [f"# Evaluation of {escaped(results.backbone)}", settings_line(results), stillness(results)]
    parts += ["## The paper's form", *(by_category(results, metric) for metric in PAPER_FORM)]
    parts += ["## All measures, all categories", all_measures(results)]
    if len(results.systems) > 1:
        reference = results.systems[0]
        parts += [f"## Differences from *{escaped(reference.title)}*", differences(results, reference)]
    parts += ["## What the paper reports", "\n".join(paper_lines()), "## How to read this", HOW_TO_READ.strip()]
    parts += ["## What was measured", "\n".join(explained(results))]
    if results.problems:
        parts += ["## Missing or unlike the rest", "\n".join(f"- {escaped(problem)}" for problem in results.problems)]
    return "\n\n".join(parts) + "\n"


def settings_line(results: Results) -> str:
    """What was run, in one paragraph."""
    prompts = len({clip.prompt_id for clip in results.clips})
    settings = ", ".join(f"{escaped(name)} {escaped(str(value))}" for name, value in sorted(results.settings.items()))
    categories = f"in {len(results.categories())} categories" if len(results.categories()) > 1 else "in one category"
    count = f"{len(results.clips)} clips of {prompts} prompts {categories}"
    return f"{count}, {escaped(results.created_at)}. {settings}."


def stillness(results: Results) -> str:
    """What a frozen clip would win, and whose clips are frozen."""
    won = [METRICS[name].title for name in won_by_stillness(results)]
    lines = ["A still (the first frame repeated) would win: " + (", ".join(won) if won else "nothing") + "."]
    for system in results.systems:
        if system.name != STILL and (share := frozen_share(results, system.name)):
            lines.append(f"**{escaped(frozen_words(system.title, share))}**")
    return "\n".join(lines)


def frozen_words(title: str, share: float) -> str:
    """Whose clips are frozen, in a sentence."""
    return f"{title}: {share:.0f} % of its clips stand still."


def won_by_stillness(results: Results) -> list[str]:
    """The metrics by which the repeated first frame is at least as good as every other system."""
    return [
        name
        for name in results.metrics()
        if name in METRICS and METRICS[name].better and name != "still" and wins(results, STILL, name)
    ]


def wins(results: Results, winner: str, metric: str) -> bool:
    """Whether a system has the best mean of a metric; ties count."""
    means = {s.name: f.value for s in results.systems if (f := figure(results, s.name, metric))}
    if winner not in means or len(means) < 2:
        return False
    return means[winner] == (max if METRICS[metric].better == "higher" else min)(means.values())


def by_category(results: Results, metric: str) -> str:
    """One metric as the paper prints it: a row for each system, a column for each category and for all."""
    header = [titled(metric), *results.categories(), "all"]
    rows = []
    for system in results.systems:
        figures = [figure(results, system.name, metric, category) for category in (*results.categories(), None)]
        rows.append([escaped(system.title), *(cell(found, metric) for found in figures)])
    return markdown(header, rows)


def all_measures(results: Results) -> str:
    """A row for each metric, a column for each system."""
    names = [name for name in METRICS if name in results.metrics()]
    header = ["", *(escaped(system.title) for system in results.systems)]
    rows = [
        [titled(name), *(cell(figure(results, system.name, name), name) for system in results.systems)]
        for name in names
    ]
    return markdown(header, rows)


def differences(results: Results, reference: System) -> str:
    """How far each other system is from the reference, over the prompts that both have; * where 0 is outside."""
    others = [system for system in results.systems if system.name != reference.name]
    rows = []
    for name in (name for name in METRICS if name in results.metrics()):
        found = [difference(results, system.name, reference.name, name) for system in others]
        rows.append([titled(name), *(cell(value, name, sign=True) for value in found)])
    return markdown(["", *(escaped(system.title) for system in others)], rows)


def explained(results: Results) -> list[str]:
    """A line for each metric in the report."""
    return [f"- {METRICS[name].title}: {METRICS[name].about}" for name in METRICS if name in results.metrics()]


def titled(metric: str) -> str:
    """A metric's title with an arrow to its better side."""
    return METRICS[metric].title + ARROWS[METRICS[metric].better]


def cell(found: Estimate | None, metric: str, sign: bool = False) -> str:
    """A figure with its interval, `-` where there is none; a difference has its sign, and * when 0 is outside."""
    if found is None:
        return "-"
    text, interval = number_and_interval(found, metric, sign)
    certain = sign and found.low is not None and (found.low > 0 or found.high < 0)
    return " ".join([*filter(None, [text, interval]), *["*"] * certain])


def number_and_interval(found: Estimate, metric: str, sign: bool = False) -> tuple[str, str]:
    """A figure and its interval in the metric's digits; "" in the place of an interval that is not known."""
    digits, plus = METRICS[metric].digits, "+" if sign else ""
    text = f"{found.value:{plus}.{digits}f}"
    known = found.low is not None
    return text, f"[{found.low:{plus}.{digits}f}, {found.high:{plus}.{digits}f}]" if known else ""


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def escaped(text: str) -> str:
    """Text of anyone that stays text in Markdown, in one line."""
    return re.sub(r"([\\`*_<>\[\]|#&])", r"\\\1", " ".join(text.split()))
