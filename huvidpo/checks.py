"""What is wrong with an argument, in one sentence."""

import math
from collections.abc import Collection, Mapping


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


def check_ranges(settings: object, ranges: Mapping[str, tuple[float, float]]) -> None:
    """ValueError for the first field that lies outside of its range; None lies in every one."""
    for name, (lowest, highest) in ranges.items():
        value = getattr(settings, name)
        if value is not None and not lowest <= value <= highest:
            raise ValueError(f"The {name.replace('_', ' ')} must be from {lowest:g} to {highest:g}, not {value:g}.")
