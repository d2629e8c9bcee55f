"""One JSON object per line to rows of text.

Numbers and booleans keep the characters they are written with: 1 stays "1", 1e5 stays "1e5",
true stays "true". null and an absent key are empty text. Lists and objects stay JSON.
"""

import json
from typing import Any

import pandas as pd

from pipeline.data.reading.encoding import clean
from pipeline.data.table import Findings


class Literal(str):
    """A number as it is written."""


class Object(list[tuple[str, Any]]):
    """Key-value pairs in file order, so that a repeated key can be seen."""


DECODER = json.JSONDecoder(
    parse_int=Literal, parse_float=Literal, parse_constant=Literal, object_pairs_hook=Object
)


def parse_jsonl(text: str) -> tuple[pd.DataFrame, Findings, list[str]]:
    """The rows as str objects, the problems with their line numbers, and notes."""
    found, notes = Findings(), Findings()
    rows: list[dict[str, str]] = []
    numbers: list[int] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip() and (pairs := _pairs(line, number, found)) is not None:
            rows.append({key: as_text(value) for key, value in pairs.items()})
            numbers.append(number)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    for number, row in zip(numbers, rows, strict=True):
        for column in columns if len(row) < len(columns) else ():
            if column not in row:
                notes.add(f"key {column!r} is absent and read as empty text", f"line {number}")
    if "\\u" in text:  # the only way that NUL or half a character gets into JSON
        rows = [_cleaned(row, number, notes) for number, row in zip(numbers, rows, strict=True)]
    table = {column: [row.get(column, "") for row in rows] for column in columns}
    return pd.DataFrame(table, dtype=object), found, notes.sentences()


def as_text(value: Any) -> str:
    """A value that DECODER read, as the text of a cell.

    >>> [as_text(DECODER.decode(line)) for line in ("1e5", "true", "null", '"a"', '["a", 1.0]')]
    ['1e5', 'true', '', 'a', '["a", 1.0]']
    """
    if isinstance(value, str):
        return str(value)
    return "" if value is None else _json(value)


def _json(value: Any) -> str:
    """JSON with numbers as they were written."""
    if isinstance(value, Literal):
        return str(value)
    if isinstance(value, Object):
        inner = (f"{_json(str(key))}: {_json(inner)}" for key, inner in value)
        return "{" + ", ".join(inner) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_json(inner) for inner in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _pairs(line: str, number: int, found: Findings) -> dict[str, Any] | None:
    try:
        value = DECODER.decode(line.strip())
    except json.JSONDecodeError as error:
        found.add("not JSON", f"line {number} ({error.msg} at character {error.colno})")
        return None
    except RecursionError:
        found.add("not JSON", f"line {number} (nested too deeply)")
        return None
    if not isinstance(value, Object):
        found.add("not a JSON object, such as {...}", f"line {number}")
        return None
    pairs = dict(value)
    if len(pairs) < len(value):
        found.add("a key that stands twice", f"line {number}")
    return pairs


def _cleaned(row: dict[str, str], number: int, notes: Findings) -> dict[str, str]:
    cells = {}
    for column, cell in row.items():
        cells[column], removed = clean(cell)
        if removed:
            notes.add("NUL or half characters (surrogates) removed", f"line {number}")
    return cells
