"""Read a competition's file so that every cell is the text that stands in the file.

"NA" stays "NA", "007" stays "007", 1e5 stays "1e5". What cannot be read faithfully is refused, and
everything that is wrong with a file is told at once, with line numbers.
"""

from collections import Counter
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.base.errors import DataError, raise_if
from pipeline.data.reading.delimited import Rows, parse_csv, parse_tsv
from pipeline.data.reading.encoding import IN_CONFIG, decode
from pipeline.data.reading.json_lines import parse_jsonl
from pipeline.data.reading.parquet import parquet_columns, parse_parquet

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
HEAD_BYTES = 1_000_000
PACKED = (".zip", ".gz", ".bz2", ".xz", ".zst", ".7z")
BEGINNINGS = {
    **{b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip or xlsx", b"\xfd7zXZ": "xz", b"BZh": "bzip2"},
    **{b"\x28\xb5\x2f\xfd": "zstandard", b"PAR1": "parquet"},
}
"""How files begin that are no text, whatever their names say."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A file's content."""

    frame: pd.DataFrame
    """str objects, one row per row of the file."""
    notes: list[str] = field(default_factory=list)
    """What a person should know and need not mend: another separator, characters removed."""


def read_file(path: Path, encoding: str = "utf-8") -> pd.DataFrame:
    """The rows of a csv, tsv, jsonl, ndjson or parquet file as str objects.

    Raises DataError listing every problem of the file, the first places of each with its line.
    Missing values (null) are empty text. NUL characters and lone surrogates are removed.
    """
    return read(path, encoding).frame


def read(path: Path, encoding: str = "utf-8", name: str = "", option: str = IN_CONFIG) -> Reading:
    """As `read_file`, with notes; messages call the file *name* (default: its path), and *option*
    is how its encoding can be said."""
    name = name or str(path)
    suffix = _known_suffix(path, name)
    if suffix == ".parquet":
        frame, found, notes = parse_parquet(path, name)
        problems = found.sentences()
    else:
        text, notes = decode(_bytes(path, name), encoding, name, option)
        if not text.strip():
            raise DataError(f"{name} is empty")
        if suffix in (".csv", ".tsv"):
            rows = parse_csv(text) if suffix == ".csv" else parse_tsv(text)
            frame, problems = _frame(rows), rows.found.sentences()
            notes += rows.notes
        else:
            frame, found, more = parse_jsonl(text)
            problems, notes = found.sentences(), notes + more
    problems += _header_problems(frame)
    if not len(frame) and not problems:
        problems = ["there is a header (line 1) but no row below it"]
    raise_if(problems, DataError, f"{name} cannot be read")
    return Reading(frame=frame, notes=notes)


def column_names(path: Path, encoding: str = "utf-8") -> list[str]:
    """The columns of a file from its first lines only; DataError where they cannot be read."""
    suffix = _known_suffix(path, path.name)
    if suffix == ".parquet":
        return parquet_columns(path, path.name)
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    if len(head) == HEAD_BYTES:  # whole lines only
        head = head[: head.rfind(b"\n") + 1]
    text, _ = decode(head, encoding, path.name)
    if suffix in (".csv", ".tsv"):
        return (parse_csv(text) if suffix == ".csv" else parse_tsv(text)).header
    return [str(column) for column in parse_jsonl(text)[0].columns]


def _known_suffix(path: Path, name: str) -> str:
    if path.is_dir():
        raise DataError(f"{name} is a folder; expected a file")
    if not path.is_file():
        there = (
            sorted(other.name for other in path.parent.glob("*")) if path.parent.is_dir() else []
        )
        close = get_close_matches(path.name, there, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise DataError(f"{name} is not there{hint}")
    suffix = path.suffix.lower()
    if suffix in PACKED:
        raise DataError(f"{name} is packed; unpack it first")
    if suffix not in SUFFIXES:
        raise DataError(f"{name} ends in {suffix!r}; expected one of {', '.join(SUFFIXES)}")
    return suffix


def _bytes(path: Path, name: str) -> bytes:
    try:
        content = path.read_bytes()
    except PermissionError as error:
        raise DataError(f"{name} cannot be opened: you have no right to read it") from error
    for beginning, kind in BEGINNINGS.items():
        if content.startswith(beginning):
            raise DataError(
                f"{name} is no text: it begins as {kind} files do. Unpack or convert it, or give "
                "it the ending of what it is"
            )
    return content


def _frame(rows: Rows) -> pd.DataFrame:
    width = len(rows.header)
    cells = np.array(rows.cells, dtype=object).reshape(-1, width) if width else np.empty((0, 0))
    # an unnamed column is what DataFrame.to_csv writes for its index; pandas reads it so, too
    names = [name or f"Unnamed: {place}" for place, name in enumerate(rows.header)]
    return pd.DataFrame(cells, columns=pd.Index(names, dtype=object), dtype=object)


def _header_problems(frame: pd.DataFrame) -> list[str]:
    twice = [repr(name) for name, count in Counter(frame.columns).items() if count > 1]
    if not twice:
        return []
    return [f"column names that stand twice in the header (line 1): {', '.join(twice)}"]
