"""A parquet file to rows of text that say what the file says.

Whole numbers keep all their digits, floats get their shortest faithful form, null is empty text,
lists become JSON, and a structure becomes a column for each of its fields (`labels.real-label`).

Files are read by path: pyarrow that reads through a file which Python has opened aborts the process
at its end in about one of ten runs.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow
from pyarrow import parquet

from pipeline.base import DataError
from pipeline.data.reading.encoding import clean
from pipeline.data.table import Findings

ANEW = "Take it anew from where it came, or give it the ending of what it is"


def parse_parquet(path: Path, name: str) -> tuple[pd.DataFrame, Findings, list[str]]:
    """The rows as str objects, the problems with their row numbers, and notes."""
    return _parsed(_opened(path, name, lambda file: _flat(file.read())))


def parse_arrow(path: Path, name: str) -> tuple[pd.DataFrame, Findings, list[str]]:
    """As `parse_parquet`, of what a data set that was saved to a folder consists of."""
    return _parsed(_streamed(path, name, lambda reader: _flat(reader.read_all())))


def _parsed(table: Any) -> tuple[pd.DataFrame, Findings, list[str]]:
    found, notes = Findings(), Findings()
    columns = [_texts(column, found) for column in table.columns]
    said = []
    for place, names in _names_of_tags(table).items():
        columns[place] = [_named(cell, names) for cell in columns[place]]
        shown = ", ".join([f"{number} is {name}" for number, name in enumerate(names)][:3])
        told = f"{table.column_names[place]!r}: numbers have the names that the file says"
        said.append(f"{told} ({shown}{', …' if len(names) > 3 else ''})")
    for column, values in zip(table.column_names, columns, strict=True):
        _clean(values, column, notes)
    frame = pd.DataFrame(dict(enumerate(columns)), dtype=object)
    frame.columns = pd.Index(table.column_names, dtype=object)
    return frame, found, [*said, *notes.sentences()]


def _names_of_tags(table: Any) -> dict[int, list[str]]:
    """Place of each column of lists of class numbers -> the names of the classes, as the library
    `datasets` leaves them in a file (`ClassLabel`, in the schema's metadata)."""
    given = (table.schema.metadata or {}).get(b"huggingface")
    try:
        features = json.loads(given)["info"]["features"] if given else {}
    except (ValueError, KeyError, TypeError):  # another program's remark
        return {}
    found = {}
    for place, name in enumerate(table.column_names):
        feature = features
        for part in name.split("."):
            feature = feature.get(part) if isinstance(feature, dict) else None
        inner = feature.get("feature") if isinstance(feature, dict) else feature
        inner = inner[0] if isinstance(inner, list) and inner else inner
        names = inner.get("names") if isinstance(inner, dict) else None
        if isinstance(names, list) and feature is not inner:
            found[place] = list(map(str, names))
    return found


def _named(cell: str, names: list[str]) -> str:
    """The list of numbers in a *cell* as one of *names*; any other cell as it is."""
    listed = json.loads(cell) if cell.startswith("[") else None
    if not isinstance(listed, list):
        return cell
    named = [
        names[each] if type(each) is int and 0 <= each < len(names) else each for each in listed
    ]
    return json.dumps(named, ensure_ascii=False)


def parquet_columns(path: Path, name: str) -> list[str]:
    """The names of a file's columns."""
    empty = _opened(path, name, lambda file: _flat(file.schema_arrow.empty_table()))
    return [str(column) for column in empty.column_names]


def arrow_columns(path: Path, name: str) -> list[str]:
    """The names of a file's columns."""
    empty = _streamed(path, name, lambda reader: _flat(reader.schema.empty_table()))
    return [str(column) for column in empty.column_names]


def _streamed(path: Path, name: str, read: Callable[[Any], Any]) -> Any:
    try:
        with pyarrow.OSFile(str(path)) as file:
            try:
                return read(pyarrow.ipc.open_stream(file))
            except pyarrow.ArrowInvalid:  # the other of the two forms
                file.seek(0)
                return read(pyarrow.ipc.open_file(file))
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{name} is not an arrow file, or is damaged: {error}. {ANEW}") from error


def _flat(table: Any) -> Any:
    """*table* with its structures split, where that gives no name twice."""
    while any(pyarrow.types.is_struct(field.type) for field in table.schema):
        split = table.flatten()
        if len(set(split.column_names)) < split.num_columns:
            break
        table = split
    return table


def _opened(path: Path, name: str, read: Callable[[Any], Any]) -> Any:
    try:
        with parquet.ParquetFile(str(path)) as file:
            return read(file)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{name} is not a parquet file, or is damaged: {error}. {ANEW}") from error


def _texts(column: Any, found: Findings) -> list[str]:
    """The cells of one arrow column as text."""
    kind = column.type
    if pyarrow.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pyarrow.types.is_floating(kind):
        # str of a numpy float32 is the shortest text that is that float32
        return ["" if value is None else str(_float(value, kind)) for value in column.to_pylist()]
    return [_text(value, row, found) for row, value in enumerate(column.to_pylist(), start=1)]


def _float(value: float, kind: Any) -> Any:
    return value if kind.bit_width == 64 else kind.to_pandas_dtype()(value)


def _text(value: Any, row: int, found: Findings) -> str:
    match value:
        case str():
            return value
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case bytes():
            try:
                return value.decode("utf-8")
            except UnicodeDecodeError:
                found.add("bytes that are not UTF-8", f"row {row}")
                return ""
        case list() | dict():
            return json.dumps(value, ensure_ascii=False, default=str)
        case _:
            return str(value)


def _clean(values: list[str], column: str, notes: Findings) -> None:
    for row, value in enumerate(values):
        if "\0" in value:
            values[row], _ = clean(value)
            notes.add(f"NUL characters removed from {column!r}", f"row {row + 1}")
