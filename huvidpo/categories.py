"""The actions, the styles, and what a prompt may be. Knows nothing of models: words only."""

import json
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from huvidpo.atomic import write_whole
from huvidpo.checks import check_choice, require
from huvidpo.home import home

MAX_PROMPT = 1000  # characters
WORD = re.compile(r"[^\W_]+|[^\w\s!-~‘’“”–—…]+")  # letters and digits, or signs that are not punctuation

# Style name -> the words that ask a first-frame model for it.
STYLES: dict[str, str] = {
    "any": "",
    "realistic": "realistic style",
    "cartoon": "cartoon style",
    "pixel art": "pixel art style",
    "claymation": "claymation style",
}


@dataclass(frozen=True)
class Category:
    """One action that a video model was taught from a few clips."""

    name: str  # folder name; of the eight as in the paper
    title: str  # shown to people
    motion_prompt: str  # what the motion weights were trained to call the action
    emoji: str
    example_prompts: tuple[str, ...]  # of the eight in words that every backbone knows, `pocket` too

    @property
    def label(self) -> str:
        """Its emoji and its title, in one line."""
        return f"{self.emoji} {self.title}"


_EIGHT = (
    Category(
        "waterfall",
        "Waterfall",
        "waterfall",
        "💦",
        (
            "a blue waterfall in the forest",
            "a pink waterfall flows on mars",
            "a white waterfall in the mountains",
            "an orange waterfall in the desert",
        ),
    ),
    Category(
        "smile",
        "Turn to smile",
        "turn to smile",
        "😊",
        (
            "a girl in a red shirt turns to smile in the city",
            "a panda in a blue shirt smiles in the forest",
            "a man in a green shirt turns to smile on the beach",
            "a robot in a yellow shirt turns to smile on mars",
        ),
    ),
    Category(
        "helicopter",
        "Helicopter",
        "helicopter",
        "🚁",
        (
            "a pink helicopter flies over the city",
            "a yellow helicopter flies over the mountains",
            "a red helicopter flies over the snow",
            "a green helicopter flies over the desert",
        ),
    ),
    Category(
        "rain",
        "Rain",
        "rain",
        "🌧️",
        (
            "rain falls on a red umbrella in the city",
            "rain falls on a yellow car at night",
            "rain falls on a blue house in the forest",
            "rain falls on a purple umbrella on the beach",
        ),
    ),
    Category(
        "firework",
        "Firework",
        "firework",
        "🎆",
        (
            "green fireworks over the mountains",
            "red fireworks explode over the city",
            "purple fireworks in the night sky",
            "orange fireworks over the snow",
        ),
    ),
    Category(
        "guitar",
        "Play the guitar",
        "play the guitar",
        "🎸",
        (
            "a panda plays a red guitar on the beach",
            "a robot plays a blue guitar in the city",
            "a girl plays a yellow guitar in the snow",
            "a man plays an orange guitar in the desert",
        ),
    ),
    Category(
        "horse",
        "Horse run",
        "horse run",
        "🐎",
        (
            "a red horse runs on the beach",
            "a white horse runs in the snow",
            "a blue horse runs in the desert",
            "a purple horse runs on mars",
        ),
    ),
    Category(
        "birds",
        "Birds fly",
        "birds fly",
        "🕊️",
        (
            "white birds fly over the beach",
            "pink birds fly over the forest",
            "yellow birds fly over the city",
            "red birds fly over the mountains",
        ),
    ),
)
CATEGORIES: dict[str, Category] = {category.name: category for category in _EIGHT}  # the paper's
ADDED = "categories.json"  # actions of one's own: in the home, and beside the adapters that ship
SHIPPED = Path(__file__).parents[1] / "lora_weights" / ADDED
MAX_BYTES = 2**20
MAX_EXAMPLES = 20
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LONGEST = {"name": 40, "title": 40, "motion_prompt": 100, "emoji": 8}  # characters


def known_categories() -> dict[str, Category]:
    """The eight actions, then those that were added: to this copy of the program, and to the home.

    Raises ValueError with one sentence when a file of added ones cannot be read.
    """
    return CATEGORIES | _read_added(SHIPPED) | _read_added(home() / ADDED)


def find_category(name: str) -> Category:
    """The category called `name`; ValueError with the known names when there is none."""
    known = known_categories()
    check_choice("category", name, known)
    return known[name]


def label_of(name: str) -> str:
    """A category's label, for what was made by anyone: where the category is not known here, its name."""
    category = known_categories().get(name)
    return category.label if category else name


def add_category(category: Category) -> None:
    """Keeps an action of one's own in the home, in the place of one that was added there under the same name.

    Raises ValueError with one sentence for a category that cannot be, or when the file cannot be written.
    """
    _check_added(category)
    _write_added(_read_added(home() / ADDED) | {category.name: category})


def remove_category(name: str) -> None:
    """Forgets an action that was added to the home; its adapters, clips and ratings stay. ValueError for another."""
    added = _read_added(home() / ADDED)
    require(name in added, f"{name[:80]!r} is no action that was added here.")
    _write_added({other: category for other, category in added.items() if other != name})


def _read_added(file: Path) -> dict[str, Category]:
    """The categories of a file; none where there is no file. ValueError, naming it, when it holds something else."""
    try:
        if not file.is_file():
            return {}
        require(file.stat().st_size <= MAX_BYTES, "it is too large")
        found = [
            Category(**row | {"example_prompts": tuple(row["example_prompts"])})
            for row in json.loads(file.read_text(encoding="utf-8"))
        ]
        for category in found:
            _check_added(category)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{file} does not hold actions as `add-category` writes them ({error}): mend it.") from error
    return {category.name: category for category in found}


def _write_added(categories: dict[str, Category]) -> None:
    file = home() / ADDED
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [asdict(category) for category in categories.values()]
    write_whole(file, json.dumps(rows, indent=1, ensure_ascii=False) + "\n")


def _check_added(category: Category) -> None:
    """ValueError, with one sentence, when a category cannot be added."""
    values = [getattr(category, field.name) for field in fields(Category)]
    require(all(isinstance(value, str) for value in (*values[:-1], *values[-1])), "An action is made of texts.")
    name, prompts = category.name, category.example_prompts
    require(_NAME.fullmatch(name), f"An action is named with small letters, digits and hyphens, not {name[:80]!r}.")
    require(name not in (*CATEGORIES, "all", "none"), f"{name!r} is taken: choose another name.")
    for field, longest in _LONGEST.items():
        value, words = getattr(category, field), field.replace("_", " ")
        require(value.strip() and len(value.splitlines()) == 1, f"The {words} of an action must be a line of text.")
        require(len(value) <= longest, f"The {words} of an action may have {longest} characters, not {len(value)}.")
    require(
        2 <= len(set(prompts)) == len(prompts) <= MAX_EXAMPLES,
        f"An action needs 2 to {MAX_EXAMPLES} different example prompts; the last one is kept for comparisons.",
    )
    for prompt in prompts:
        check_prompt(prompt)


def check_prompt(prompt: str) -> str:
    """The prompt without outer spaces; ValueError when it has no words or is longer than 1000 characters."""
    prompt = prompt.strip()
    if not prompt:
        raise ValueError("The prompt is empty: describe the picture in a few words.")
    if len(prompt) > MAX_PROMPT:
        raise ValueError(f"The prompt has {len(prompt)} characters: write at most {MAX_PROMPT}.")
    if not WORD.search(prompt):
        raise ValueError("The prompt has no words: describe the picture in a few.")
    return prompt


def styled_prompt(prompt: str, style: str) -> str:
    """`prompt` with the words of `style` behind it, unless it names the style already.

    Raises ValueError with the known styles for another one.
    """
    check_choice("style", style, STYLES)
    already_said = re.search(rf"\b{re.escape(style)}\b", prompt, re.IGNORECASE)
    if not STYLES[style] or already_said:
        return prompt
    return f"{prompt.rstrip(' .,;')}, {STYLES[style]}"
