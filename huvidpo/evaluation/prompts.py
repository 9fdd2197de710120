"""The prompts of an evaluation, from text files: one prompt a line. Knows no model."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from huvidpo.categories import CATEGORIES, check_prompt, find_category

SHIPPED_PROMPTS = Path(__file__).parents[2] / "examples" / "prompts"
MAX_PROMPTS = 1000  # of one category
MAX_BYTES = 2**20


@dataclass(frozen=True)
class Task:
    """One prompt and one seed: every system makes one clip of it."""

    category: str
    prompt_id: str  # the category and the number of the line, such as horse-03
    prompt: str
    seed: int


def read_tasks(categories: list[str], source: Path, seeds: int) -> list[Task]:
    """The tasks of some categories, with seeds 0 .. seeds-1 for each prompt.

    `source` is a folder with `<category>.txt`, or one such file for a single category. An action of one's own has no
    file among the shipped ones: its example prompts are taken. Raises ValueError with one sentence when a file is
    missing, too large, not text, empty, or has a prompt twice.
    """
    if seeds < 1:
        raise ValueError(f"--seeds must be 1 or more, not {seeds}.")
    if not source.exists():
        raise ValueError(f"There are no prompts at {source}: name a file with one a line, or a folder of them.")
    if source.is_file() and len(categories) > 1:
        raise ValueError(f"{source} is one file: give a folder with a file for each category, or one --category.")
    tasks = []
    for category in categories:
        if source == SHIPPED_PROMPTS and category not in CATEGORIES:
            lines = list(find_category(category).example_prompts)
        else:
            lines = read_prompts(source if source.is_file() else source / f"{category}.txt")
        for number, prompt in enumerate(lines, start=1):
            tasks += [Task(category, f"{category}-{number:02d}", prompt, seed) for seed in range(seeds)]
    return tasks


def read_prompts(path: Path) -> list[str]:
    """The lines of a text file that are not empty, each a prompt."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"{path} is too large to be a list of prompts.")
        lines = path.read_text(encoding="utf-8-sig").splitlines()  # some editors begin with a mark
    except OSError as error:
        raise ValueError(f"There are no prompts at {path}: write one a line into it.") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not plain text in UTF-8.") from error
    prompts = [check_prompt(line) for line in lines if line.strip()]
    if twice := [prompt for prompt, count in Counter(prompts).items() if count > 1]:
        raise ValueError(f"{path} has the prompt {twice[0]!r} twice; clips of one prompt are no proof for others.")
    if not prompts or len(prompts) > MAX_PROMPTS:
        raise ValueError(f"{path} must have from 1 to {MAX_PROMPTS} prompts, one a line; it has {len(prompts)}.")
    return prompts


def chosen_categories(name: str) -> list[str]:
    """The category of that name, or the eight for "all"."""
    return [*CATEGORIES] if name == "all" else [find_category(name).name]
