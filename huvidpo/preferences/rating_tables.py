"""A table of ratings as other programs write it, row by row. Knows files, not what their columns mean."""

import codecs
import csv
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path

from huvidpo.preferences.fields import MAX_TEXT

MAX_TABLE_BYTES = 20_000_000
MAX_ROWS = 20_000
SEPARATORS = ",;\t"  # of cells: Excel writes the second one where the first is the decimal comma


def table_in(path: Path) -> Path:
    """The file itself, or the one table of a folder: files of one name, as exports have, are the same table."""
    if not path.is_dir():
        return path
    tables = [file for file in sorted(path.iterdir()) if file.suffix.lower() in (".csv", ".json", ".jsonl")]
    if len({file.stem for file in tables}) != 1:
        raise ValueError(f"{path} must hold exactly one .csv, .json or .jsonl file, not {len(tables)}.")
    return tables[-1]  # of an export that with all kinds of values


def read_table(path: Path) -> list[Mapping]:
    """The rows of a CSV, JSON or JSONL file, column names in small letters. ValueError that says what is wrong."""
    if not path.is_file():
        raise ValueError(f"There is no file {path}.")
    if path.stat().st_size > MAX_TABLE_BYTES:
        raise ValueError(f"{path} has more than {MAX_TABLE_BYTES // 10**6} MB.")
    text = text_of(path)
    try:
        if path.suffix.lower() == ".csv":
            rows = rows_of_csv(text)
        elif path.suffix.lower() == ".jsonl":
            rows = rows_of_lines(text)
        else:
            rows = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not a readable table of ratings: line {error.lineno} is no JSON.") from error
    except (ValueError, csv.Error, RecursionError) as error:
        raise ValueError(f"{path} is not a readable table of ratings: {error}.") from error
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{path} must hold a list of ratings, each with names and values.")
    if len(rows) > MAX_ROWS:
        raise ValueError(f"{path} has more than {MAX_ROWS} rows.")
    return [{str(name).strip().lower(): clean(value) for name, value in row.items()} for row in rows]


def text_of(path: Path) -> str:
    """The text of a file, which begins with a mark where it is Excel's. ValueError when it is not in Unicode."""
    content = path.read_bytes()
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # Excel's "Unicode text"
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"Line {line} of {path} is not in UTF-8: save the table as CSV UTF-8.") from error


def rows_of_csv(text: str) -> list[dict]:
    """The rows below the first line, whose cells are separated by what separates its names."""
    names = text.partition("\n")[0]
    separator = max(SEPARATORS, key=names.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        rows = []
        for row in reader:
            if any(row.pop(None, [])):
                raise ValueError(f"line {reader.line_num} has more cells than the first one has names")
            rows.append(row)
        return rows
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num + 1} is no CSV ({error})") from error


def rows_of_lines(text: str) -> list[object]:
    """What each line says. ValueError that names the first one that is no JSON."""
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        try:
            rows += [json.loads(line)] if line.strip() else []
        except json.JSONDecodeError as error:
            raise ValueError(f"line {number} is no JSON") from error
    return rows


def clean(value: object) -> object:
    """A cell without outer spaces, not longer than a record may be, and without what `export` put before a formula."""
    if not isinstance(value, str):
        return value
    return re.sub(r"^'(?=[=+@\t\r-])", "", value.strip())[:MAX_TEXT]
