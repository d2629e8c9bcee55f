"""Read a competition's file so that every cell is the text that stands in the file.

"NA" stays "NA", "007" stays "007", 1e5 stays "1e5". What cannot be read faithfully is refused, and
everything that is wrong with a file is told at once, with line numbers.
"""

import shlex
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.base import DataError, raise_if
from pipeline.base.inputs import FileConfig
from pipeline.data.reading.conll import CONLL_ENDINGS, is_conll, parse_conll
from pipeline.data.reading.delimited import Layout, Rows, parse_csv, parse_tsv
from pipeline.data.reading.encoding import IN_CONFIG, decode, encoding_shown
from pipeline.data.reading.json_lines import parse_json, parse_jsonl
from pipeline.data.reading.packed import (
    ENDINGS,
    columns_of_texts,
    holds_texts,
    inner_name,
    is_packed,
    read_texts,
    texts_in,
    unpacked,
)
from pipeline.data.reading.parquet import (
    arrow_columns,
    parquet_columns,
    parse_arrow,
    parse_parquet,
)
from pipeline.data.reading.parts import is_pattern, parts_of, sheet_of, sides_of, whole
from pipeline.data.reading.spreadsheet import parse_spreadsheet, spreadsheet_columns
from pipeline.data.table import Findings
from pipeline.problems.label_texts import NumberForm

Parsed = tuple[pd.DataFrame, Findings, list[str]]
"""The rows as str objects, what is wrong with them and where, and notes."""


@dataclass(frozen=True)
class TextFormat:
    """A format of text."""

    parse: Callable[[str], Parsed]
    """The whole text -> its rows."""
    lines: Callable[[str, Sequence[str], bool], Rows] | None = None
    """Where lines are rows: the text, names for its columns, whether to skip broken lines."""
    columns: Callable[[str], list[str]] | None = None
    """The first lines -> the names of the columns; None: those of the rows that `parse` finds."""
    by_lines: bool = True
    """Whether the first lines can be read without the others."""


@dataclass(frozen=True)
class BinaryFormat:
    """A format that is no text."""

    parse: Callable[[Path, str], Parsed]
    """The file and what messages call it -> its rows."""
    columns: Callable[[Path, str], list[str]]
    """The names of the columns, without reading the rows."""


def _parse_csv(text: str) -> Parsed:
    return _parsed(parse_csv(text))


def _parse_tsv(text: str) -> Parsed:
    return parse_conll(text) if is_conll(text) else _parsed(parse_tsv(text))


def _txt(text: str, names: Sequence[str] = (), skip: bool = False) -> Rows:
    parse = parse_tsv if "\t" in text.partition("\n")[0] else parse_csv
    return parse(text, names, skip)


def _parse_txt(text: str) -> Parsed:
    return parse_conll(text) if is_conll(text) else _parsed(_txt(text))


FORMATS: dict[str, TextFormat | BinaryFormat] = {
    ".csv": TextFormat(_parse_csv, parse_csv, lambda text: parse_csv(text).header),
    ".tsv": TextFormat(_parse_tsv, parse_tsv),
    ".txt": TextFormat(_parse_txt, _txt),
    **{ending: TextFormat(parse_conll) for ending in CONLL_ENDINGS},
    ".jsonl": TextFormat(parse_jsonl),
    ".ndjson": TextFormat(parse_jsonl),
    ".json": TextFormat(parse_json, by_lines=False),
    ".xlsx": BinaryFormat(parse_spreadsheet, spreadsheet_columns),
    ".parquet": BinaryFormat(parse_parquet, parquet_columns),
    ".arrow": BinaryFormat(parse_arrow, arrow_columns),
}
"""How a file's name ends -> how it is read."""
HEAD_BYTES = 1_000_000
FILLED = (
    "Put the rows there, or take the file away where it is not needed: a sample submission may be "
    "left out"
)
IN_PLACE = ". Mend the file in these places, or take it anew from where it came"
AS_USUAL = FileConfig(file="")
SKIPPED = (
    ". To leave such lines out, and have them counted: pipeline.init --skip-broken {0}, or "
    "broken: skip for this file in data.files"
)
"""How a person asks for it, of a competition's file."""
WRITTEN = "names as they are written"
"""In a frame's attrs, where a column without a name was given one."""
LAYOUT = "how fields stand in a line"
"""In a frame's attrs, of files whose lines are rows."""
CLOSED = (".zst", ".7z", ".rar")
"""Endings of packed files that are not opened here."""
BEGINNINGS = {
    **{b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip or xlsx", b"\xfd7zXZ": "xz", b"BZh": "bzip2"},
    **{b"\x28\xb5\x2f\xfd": "zstandard", b"PAR1": "parquet"},
}
"""How files begin that are no text, whatever their names say."""


@dataclass(frozen=True)
class Reading:
    """A file's content."""

    frame: pd.DataFrame
    """str objects, one row per row of the file."""
    notes: list[str] = field(default_factory=list)
    """What a person should know and need not mend: another separator, characters removed."""
    header: list[str] = field(default_factory=list)
    """The names of the columns as they are written; those of `frame` are composed (NFC)."""
    layout: Layout = field(default_factory=Layout)
    """How fields stand in a line, where lines are rows; else as in csv."""


def read_file(path: Path, encoding: str = "utf-8") -> pd.DataFrame:
    """The rows of a file in one of the `FORMATS` as str objects, or of all its parts.

    Raises DataError listing every problem of the file, the first places of each with its line.
    Missing values (null) are empty text. NUL characters and lone surrogates are removed.
    """
    return read(path, encoding).frame


def read(
    path: Path,
    encoding: str = "utf-8",
    name: str = "",
    option: str = IN_CONFIG,
    how: FileConfig = AS_USUAL,
    way: str = "",
) -> Reading:
    """As `read_file`, with notes; messages call the file *name* (default: its path), and *option*
    is how its encoding can be said.

    *how* the file is read, its encoding aside: of lines that are rows, names of the columns where
    there is no header, and whether those that are no whole rows are left out (a note counts them);
    how numbers are written (they are read with a point). *way* is how to ask for leaving lines out,
    told with the lines of the file {0} that are none.
    """
    name, names, skip = name or str(path), how.names, how.broken == "skip"
    if is_pattern(path):
        parts = whole(path, name)
        return _together(
            name,
            {
                part.name: read(
                    part, encoding, str(Path(name).with_name(part.name)), option, how, way
                )
                for part in parts
            },
        )
    if beside := sides_of(path):
        return _side_by_side(beside, encoding, name, option)
    if holds_texts(path):
        frame, notes = read_texts(path, encoding, name, option)
        return Reading(frame=frame, notes=notes, header=list(frame.columns))
    format_ = _format(path, name)
    if isinstance(format_, BinaryFormat):
        frame, found, notes = format_.parse(path, name)
    else:
        text, notes = decode(_bytes(path, name), encoding, name, option)
        if not text.strip():
            raise DataError(f"{name} is empty. {FILLED}")
        lined = format_.lines
        if lined is None and (names or skip):
            raise DataError(
                f"{name}: names of columns, and skipping broken lines, are for files whose lines "
                "are rows (csv, tsv, txt); take the file out of data.files"
            )
        if lined is not None and (names or skip):
            frame, found, more = _parsed(lined(text, names, skip))
        else:
            frame, found, more = format_.parse(text)
        notes = notes + more
    problems = found.sentences() + _header_problems(frame)
    if told := found.sentences():
        lines = isinstance(format_, TextFormat) and format_.lines is not None
        problems[len(told) - 1] += (
            way.format(shlex.quote(Path(name).name)) if way and lines else IN_PLACE
        )
    if not len(frame) and not problems:
        problems = [f"there is a header (line 1) but no row below it. {FILLED}"]
    raise_if(problems, DataError, f"{name} cannot be read")
    called = [str(name) for name in frame.columns]
    written = frame.attrs.pop(WRITTEN, called)
    if (composed := _composed(called)) != called:
        frame.columns = pd.Index(composed, dtype=object)
        notes = [*notes, "names of columns are in decomposed Unicode (NFD), read as composed (NFC)"]
    layout = frame.attrs.pop(LAYOUT, Layout())
    return Reading(with_points(frame, how.number_forms), notes, written, layout)


def with_points(frame: pd.DataFrame, numbers: Mapping[str, NumberForm]) -> pd.DataFrame:
    """*frame* with the *numbers* of its columns written with a point and nothing else."""
    for column, form in numbers.items():
        if column in frame.columns:
            frame[column] = frame[column].map(form.plain)
    return frame


def _side_by_side(files: Mapping[str, Path], encoding: str, name: str, option: str) -> Reading:
    """A column of the lines of each of the *files*; DataError where they have not as many."""
    lines, notes = {}, []
    for column, path in files.items():
        _format(path, str(Path(name).with_name(path.name)))
        text, told = decode(_bytes(path, path.name), encoding, path.name, option)
        lines[column] = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
        notes += told
    counts = {column: len(each) for column, each in lines.items()}
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"{files[column].name} {count:,}" for column, count in counts.items())
        raise DataError(
            f"{name} is read line by line, and its files have not as many lines: {shown}. Take "
            "them anew from where they came, or write the rows side by side into a csv"
        )
    return Reading(pd.DataFrame(lines, dtype=object), notes, list(lines))


def _together(name: str, parts: Mapping[str, Reading]) -> Reading:
    """The rows of all *parts* (file -> rows), which must have the same columns, as one table."""
    first, *others = parts
    header, columns = parts[first].header, set(parts[first].frame.columns)
    raise_if(
        [
            f"{each} has the columns {', '.join(map(str, parts[each].frame.columns))}; "
            f"{first} has {', '.join(map(str, parts[first].frame.columns))}"
            for each in others
            if set(parts[each].frame.columns) != columns
        ],
        DataError,
        f"{name} stands for parts of one table, and their columns differ. Call the columns alike; "
        "or read one of them, and the others as data.extra_train",
    )
    frame = pd.concat([each.frame[list(parts[first].frame.columns)] for each in parts.values()])
    told = [f"{len(parts)} files read as one table: {_some(list(parts))}"]
    more = [f"{file}: {note}" for file, part in parts.items() for note in part.notes]
    return Reading(frame=frame.reset_index(drop=True), notes=told + more, header=header)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names if len(names) <= 4 else [*names[:2], "…", names[-1]])


def found_encoding(path: Path) -> str | None:
    """The encoding that the bytes of a file of text show, where it is not UTF-8 and one fits; of
    parts, or of a folder of text files, that of the first which is not UTF-8."""
    for part in parts_of(path):
        try:
            if holds_texts(part):
                contents = texts_in(part)
            elif is_table(part) and isinstance(_format(part, part.name), TextFormat):
                contents = [_bytes(part, part.name)]
            else:
                contents = []
        except DataError:  # whoever reads it will say so
            contents = []
        if shown := next(filter(None, map(encoding_shown, contents)), None):
            return shown
    return None


def column_names(path: Path, encoding: str = "utf-8") -> list[str]:
    """The columns of a file, where it can be from its first lines only; DataError where they
    cannot be read."""
    if beside := sides_of(path):
        return list(beside)
    path = whole(path, path.name)[0]
    if holds_texts(path):
        return columns_of_texts(path)
    format_ = _format(path, path.name)
    if isinstance(format_, BinaryFormat):
        return _composed(format_.columns(path, path.name))
    content = _bytes(path, path.name, HEAD_BYTES if format_.by_lines else None)
    if format_.by_lines and len(content) >= HEAD_BYTES:  # whole lines only
        content = content[: content[:HEAD_BYTES].rfind(b"\n") + 1]
    text, _ = decode(content, encoding, path.name)
    if format_.columns is not None:
        return _composed(format_.columns(text))
    return _composed([str(column) for column in format_.parse(text)[0].columns])


def _composed(names: list[str]) -> list[str]:
    """*names* in NFC, as they stand where two of them would become one."""
    composed = [unicodedata.normalize("NFC", name) for name in names]
    return composed if len(set(composed)) == len(set(names)) else names


def is_table(path: Path) -> bool:
    """Whether *path* ends like a table that can be read, packed or not, or names parts of one."""
    if sheet_of(path)[0].suffix.lower() in FORMATS:
        return True
    if not is_packed(path):
        return False
    try:
        return isinstance(_format(path, path.name), TextFormat)
    except DataError:
        return False


def _format(path: Path, name: str) -> TextFormat | BinaryFormat:
    """The format that the ending of *path* says; DataError for none that can be read."""
    path, _ = sheet_of(path)
    if path.is_dir():
        raise DataError(f"{name} is a folder without .txt files; expected a file: name one in it")
    if not path.is_file():
        there = (
            sorted(other.name for other in path.parent.glob("*")) if path.parent.is_dir() else []
        )
        close = get_close_matches(path.name, there, n=1)
        hint = f"; did you mean {close[0]}?" if close else ". Put it there, or name the right one"
        raise DataError(f"{name} is not there{hint}")
    suffix = path.suffix.lower()
    if suffix in CLOSED:
        raise DataError(f"{name} is packed; unpack it first")
    if is_packed(path):
        inside = inner_name(path, name)
        suffix = Path(inside).suffix.lower()
        if isinstance(FORMATS.get(suffix), BinaryFormat):
            raise DataError(f"{name} holds {inside}, which is read unpacked only; unpack it first")
    if suffix not in FORMATS:
        known = ", ".join([*FORMATS, *ENDINGS])
        raise DataError(f"{name} ends in {suffix!r}; expected one of {known}: save it as csv")
    return FORMATS[suffix]


def _bytes(path: Path, name: str, most: int | None = None) -> bytes:
    """The content of a file of text, unpacked; of one that is not packed the first *most* bytes."""
    try:
        if is_packed(path):
            content = unpacked(path, name)
        else:
            with path.open("rb") as stream:
                content = stream.read(-1 if most is None else most)
    except PermissionError as error:
        why = "you have no right to read it. Give it to yourself (chmod u+r), or copy it"
        raise DataError(f"{name} cannot be opened: {why}") from error
    for beginning, kind in BEGINNINGS.items():
        if content.startswith(beginning):
            raise DataError(
                f"{name} is no text: it begins as {kind} files do. Unpack or convert it, or give "
                "it the ending of what it is"
            )
    return content


def _parsed(rows: Rows) -> Parsed:
    """Separated fields as a table."""
    width = len(rows.header)
    cells = np.array(rows.cells, dtype=object).reshape(-1, width) if width else np.empty((0, 0))
    # an unnamed column is what DataFrame.to_csv writes for its index; pandas reads it so, too
    names = [name or f"Unnamed: {place}" for place, name in enumerate(rows.header)]
    frame = pd.DataFrame(cells, columns=pd.Index(names, dtype=object), dtype=object)
    frame.attrs |= {WRITTEN: rows.header, LAYOUT: rows.layout}
    return frame, rows.found, rows.notes


def _header_problems(frame: pd.DataFrame) -> list[str]:
    twice = [repr(name) for name, count in Counter(frame.columns).items() if count > 1]
    if not twice:
        return []
    told = f"column names that stand twice in the header (line 1): {', '.join(twice)}"
    return [f"{told}. Give each column a name of its own"]
