"""Typed fields of frozen records: made from plain values, checked. Knows no record in particular."""

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from huvidpo.checks import require

MAX_TEXT = 2000  # characters of any text in a record
SHA256 = re.compile(r"[0-9a-f]{64}")
IDENTIFIER = re.compile(r"[0-9a-f]{16,64}")
MAX_INTEGER = 2**53  # what JSON carries exactly


@dataclass(frozen=True)
class Field:
    """What a record's field may hold."""

    name: str
    kind: type  # str, int, float, bool, a record, or tuple for one of strings
    required: bool


@cache
def fields_of(cls: type) -> tuple[Field, ...]:
    """The fields of a record, in their order."""
    return tuple(
        Field(
            name=entry.name,
            kind=entry.type if isinstance(entry.type, type) else tuple,
            required=entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING,
        )
        for entry in dataclasses.fields(cls)
    )


def from_fields(cls: type, values: Mapping[str, Any]) -> Any:
    """A record from plain values by field name; fields with a default may be missing, a list becomes a tuple.

    Raises ValueError with the name of the first field that is missing or of another type.
    """
    given: dict[str, Any] = {}
    for field in fields_of(cls):
        if field.name in values:
            value = values[field.name]
            if field.kind is float and type(value) is int:
                value = float(value)
            elif isinstance(value, str):
                value = str(value)  # torch's version, say, is of a class of its own
            given[field.name] = tuple(value) if isinstance(value, list) else value
        elif field.required:
            raise ValueError(f"The row has no column {field.name!r}.")
    return cls(**given)


def check_fields(record: object) -> None:
    """ValueError for the first field of another type than it says, too long a text, or a number that is no number."""
    for field in fields_of(type(record)):
        value = getattr(record, field.name)
        check = CHECKS.get(field.kind)
        if not (check(value) if check else isinstance(value, field.kind)):
            raise ValueError(f"The field {field.name!r} cannot be {str(value)[:80]!r}.")


CHECKS: dict[type, Callable[[Any], bool]] = {
    str: lambda value: isinstance(value, str) and len(value) <= MAX_TEXT,
    bool: lambda value: type(value) is bool,
    int: lambda value: type(value) is int and abs(value) <= MAX_INTEGER,
    float: lambda value: type(value) in (int, float) and math.isfinite(value),
    tuple: lambda value: type(value) is tuple and all(type(part) is str for part in value),
}


def mapping(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The struct in a column."""
    require(isinstance(row.get(name), Mapping), f"The row has no column {name!r}.")
    return row[name]


def check_identifier(name: str, value: str) -> None:
    """ValueError when `value` is not 16 to 64 hex digits."""
    require(IDENTIFIER.fullmatch(value), f"The {name} must be 16 to 64 hex digits, not {value[:80]!r}.")


def check_sha256(what: str, value: str) -> None:
    """ValueError when `value` is no sha256; a record or a file that names one may come from anyone."""
    require(SHA256.fullmatch(value), f"{what} is known by the sha256 of its file, not by {value[:80]!r}.")


class LaterRow(ValueError):
    """A row of a later program, which this one cannot read yet."""


def check_version(version: int, newest: int) -> None:
    """LaterRow for rows of a later program than the one whose rows are of the version `newest`."""
    if not 1 <= version <= newest:
        raise LaterRow(f"Rows of version {version} need a newer version of this program.")
