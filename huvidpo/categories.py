"""The eight actions, the styles, and what a prompt may be. Knows nothing of models: words only."""

import re
from dataclasses import dataclass

from huvidpo.checks import check_choice

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

    name: str  # folder name, as in the paper
    title: str  # shown to people
    motion_prompt: str  # what the motion weights were trained to call the action
    emoji: str
    example_prompts: tuple[str, ...]  # in words that every backbone knows, `pocket` too

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
CATEGORIES: dict[str, Category] = {category.name: category for category in _EIGHT}


def find_category(name: str) -> Category:
    """The category called `name`; ValueError with the known names when there is none."""
    check_choice("category", name, CATEGORIES)
    return CATEGORIES[name]


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
