"""What is wrong with an argument, in one sentence."""

from collections.abc import Collection


def check_choice(what: str, value: str, choices: Collection[str]) -> None:
    """ValueError that lists the choices when `value` is none of them."""
    require(value in choices, f"There is no {what} {str(value)[:80]!r}; choose one of: {', '.join(choices)}.")


def require(condition: object, sentence: str) -> None:
    """ValueError with the sentence unless the condition holds."""
    if not condition:
        raise ValueError(sentence)
