"""Typed fields of frozen records: made from plain values, checked. Knows no record in particular."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

MAX_TEXT = 2000  # characters of any text in a record
MAX_INTEGER = 2**53  # what JSON carries exactly


def field_names(cls: type) -> list[str]:
    """Names of a record's fields, in their order."""
    return [entry.name for entry in dataclasses.fields(cls)]


def from_fields(cls: type, values: Mapping[str, Any]) -> Any:
    """A record from plain values by field name; fields with a default may be missing, a list becomes a tuple.

    Raises ValueError with the name of the first field that is missing or of another type.
    """
    given: dict[str, Any] = {}
    for entry in dataclasses.fields(cls):
        if entry.name in values:
            value = values[entry.name]
            if entry.type is float and isinstance(value, int) and not isinstance(value, bool):
                value = float(value)
            given[entry.name] = tuple(value) if isinstance(value, list) else value
        elif entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING:
            raise ValueError(f"The row has no column {entry.name!r}.")
    return cls(**given)


def check_fields(record: object) -> None:
    """ValueError for the first field of another type than it says, too long a text, or a number that is no number."""
    for entry in dataclasses.fields(record):
        value = getattr(record, entry.name)
        if entry.type is str:
            fits = isinstance(value, str) and len(value) <= MAX_TEXT
        elif entry.type is bool:
            fits = isinstance(value, bool)
        elif entry.type is int:
            fits = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_INTEGER
        elif entry.type is float:
            fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        elif isinstance(entry.type, type):
            fits = isinstance(value, entry.type)
        else:
            fits = isinstance(value, tuple) and all(isinstance(part, str) for part in value)
        require(fits, f"The field {entry.name!r} cannot be {str(value)[:80]!r}.")


def mapping(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The struct in a column."""
    require(isinstance(row.get(name), Mapping), f"The row has no column {name!r}.")
    return row[name]


def check_choice(what: str, value: str, choices: tuple[str, ...]) -> None:
    """ValueError that lists the choices when `value` is none of them."""
    require(value in choices, f"There is no {what} {value[:80]!r}; choose one of: {', '.join(choices)}.")


def require(condition: object, sentence: str) -> None:
    """ValueError with the sentence unless the condition holds."""
    if not condition:
        raise ValueError(sentence)
