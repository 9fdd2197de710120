"""What is wrong with an argument, in one sentence."""

import math
from collections.abc import Collection


def check_choice(what: str, value: str, choices: Collection[str]) -> None:
    """ValueError that lists the choices when `value` is none of them."""
    require(value in choices, f"There is no {what} {str(value)[:80]!r}; choose one of: {', '.join(choices)}.")


def is_plain(value: object) -> bool:
    """Whether it is a text, a number that is one, or a truth value: what files and rows of others may hold."""
    return isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value))


def require(condition: object, sentence: str) -> None:
    """ValueError with the sentence unless the condition holds."""
    if not condition:
        raise ValueError(sentence)
