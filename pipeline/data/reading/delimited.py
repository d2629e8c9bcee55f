"""Comma- or tab-separated text to rows, by RFC 4180 and strictly.

The csv module does the parsing. What it lets pass is checked here: rows with a field too many or
too few, quotes that are never closed, and rows swallowed between two stray quotes. Every problem
of the text is found in one go, each with the number of the line its row starts in.
"""

import csv
import io
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from pipeline.data.table import Findings

SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
SAID = re.compile(r"\ufeff?sep=(.)\s*", re.IGNORECASE)
"""The first line of a file for Excel, which names the separator."""
SNIFFED_ROWS = 50
MAX_RESTARTS = 50
"""After so many broken quotes the rest of a file is not looked at."""

UNBALANCED = (
    "unbalanced quotes (a field that starts with a quote must end with one, and quotes inside it "
    "must be doubled)"
)


@dataclass
class Rows:
    """The rows of one text."""

    header: list[str] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)
    """Fields of all rows that have as many as the header, row after row."""
    found: Findings = field(default_factory=Findings)
    notes: list[str] = field(default_factory=list)
    layout: "Layout" = field(default_factory=lambda: Layout())


@dataclass(frozen=True)
class Layout:
    """How fields stand in a line."""

    separator: str = ","
    quoted: bool = True
    """Whether quotes enclose fields; otherwise they are characters like any other."""


def parse_csv(text: str, names: Sequence[str] = (), skip: bool = False) -> Rows:
    """Rows of comma-separated text; a semicolon, a tab or a bar instead is noticed, and said in a
    note. So are lines before the header: comments (# …), and the separator as Excel wants it.

    Args:
        text: the whole file.
        names: of the columns, where the first line is a row already.
        skip: leave out what is no whole row, and say how much, in place of finding fault.
    """
    lines = _lines(text)
    before = 0 if names else _before_header(lines)
    said = SAID.fullmatch(lines[0]) if before else None
    separator = said[1] if said and said[1] in SEPARATORS else sniff(lines[before:])
    rows = _skipped(_parse(lines, separator, names=names, skip=skip, first=before), skip)
    if before:
        shown = ", ".join(repr(line.strip()[:40]) for line in lines[:before][:3])
        rows.notes.append(f"{before} lines before the header are left out: {shown}")
    if separator != ",":
        rows.notes.append(f"fields are separated by {SEPARATORS[separator]}, not by a comma")
    return rows


def parse_tsv(text: str, names: Sequence[str] = (), skip: bool = False) -> Rows:
    """Rows of tab-separated text, with quotes as in csv or, where that cannot be, without.

    Many tab-separated files know no quoting, so a text may begin with a lone quote. Quotes are
    taken as plain characters if that makes every line a whole row and quoting does not; where
    broken lines are skipped, if it leaves more rows. *names* and *skip* as for `parse_csv`.
    """
    lines = _lines(text)
    quoted = _parse(lines, "\t", names=names, skip=skip)
    if '"' not in text:
        return _skipped(quoted, skip)
    plain = _parse(lines, "\t", quoted=False, names=names, skip=skip)
    if skip and len(plain.cells) <= len(quoted.cells):
        return _skipped(quoted, skip)
    if not skip and (
        plain.found.sentences()
        or (not quoted.found.sentences() and len(quoted.cells) == len(plain.cells))
    ):
        return quoted
    plain = _skipped(plain, skip)
    plain.notes.append("quotes are plain characters in this file, they do not enclose fields")
    return _without_enclosing(plain)


def _without_enclosing(rows: Rows) -> Rows:
    """*rows* without the quotes around columns of which every cell has them, as R writes words;
    those inside stay as they are.

    >>> _without_enclosing(Rows(["id", "text"], ['"5_8"', '"a" b', '"6_1"', '"c"'])).cells
    ['5_8', '"a" b', '6_1', '"c"']
    """
    width, bare = len(rows.header), []
    for place, name in enumerate(rows.header):
        cells = rows.cells[place::width]
        if cells and all(len(cell) > 1 and cell[0] == cell[-1] == '"' for cell in cells):
            rows.cells[place::width] = [cell[1:-1] for cell in cells]
            rows.header[place] = name.strip('"')
            bare.append(repr(rows.header[place]))
    if bare:
        rows.notes.append(f"quotes around every cell of {', '.join(bare)} are left out")
    return rows


def _skipped(rows: Rows, skip: bool) -> Rows:
    """*rows* with what is wrong told as a note, where broken lines are to be skipped."""
    if not skip or not (lost := rows.found.sentences()):
        return rows
    rows.notes += [f"skipped (broken: skip): {sentence}" for sentence in lost]
    rows.found = Findings()
    return rows


def _before_header(lines: Sequence[str]) -> int:
    """How many lines stand before the header: one that names the separator, or comments, not all of
    which have as many fields as the lines that follow.

    >>> _before_header(["# v1, 2024\\n", "id,text,label\\n", "1,a,b\\n"])
    1
    >>> _before_header(["#1,#2\\n", "1,2\\n"])
    0
    """
    if lines and SAID.fullmatch(lines[0]):
        return 1
    count = next((at for at, line in enumerate(lines) if not line.startswith("#")), 0)
    rest = lines[count:]
    if not count or len(rest) < 2:
        return 0
    separator = sniff(rest)
    fields = {len(next(csv.reader([line], delimiter=separator), [])) for line in lines[:count]}
    return 0 if fields == {len(next(csv.reader(rest[:1], delimiter=separator), []))} else count


def sniff(lines: Sequence[str]) -> str:
    """The separator whose first rows all have as many fields as the header, two at least.

    A comma wins over others. Where none fits, the one that cuts the header into most fields.

    >>> sniff(["id;text\\n", "1;a, b\\n"])
    ';'
    """
    counts = {}
    for separator in SEPARATORS:
        with _long_fields():
            reader = csv.reader(lines[: 4 * SNIFFED_ROWS], delimiter=separator)
            first = [row for row in reader if row][:SNIFFED_ROWS]
        counts[separator] = [len(row) for row in first] or [0]
    even = [
        separator
        for separator, found in counts.items()
        if found[0] > 1 and set(found) == {found[0]}
    ]
    return even[0] if even else max(SEPARATORS, key=lambda separator: counts[separator][0])


def _lines(text: str) -> list[str]:
    # not str.splitlines: that also cuts at form feeds and at U+2028
    return list(io.StringIO(text, newline=""))


@contextmanager
def _long_fields() -> Iterator[None]:
    previous = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(previous)


def _parse(
    lines: list[str],
    separator: str,
    quoted: bool = True,
    names: Sequence[str] = (),
    skip: bool = False,
    first: int = 0,
) -> Rows:
    result = Rows(header=list(names), layout=Layout(separator, quoted))
    blank = 0
    with _long_fields():
        most = len(lines) + 1 if skip else MAX_RESTARTS
        records = _records(lines, separator, quoted, result.found, most, first)
        for begin, end, record in records:
            if not record:
                blank += 1
            elif not result.header:
                result.header = record
            elif len(record) == len(result.header):
                inner = lines[begin + 1 : end - 1]
                whole = not inner or _whole(inner, begin, record, separator, result)
                if whole or not skip:
                    result.cells += record
            else:
                _add_count(len(record), begin, result)
    if blank:
        result.notes.append(f"{blank:,} blank line{'s' if blank > 1 else ''} skipped")
    return result


def _records(
    lines: list[str], separator: str, quoted: bool, found: Findings, most: int, start: int = 0
) -> Iterator[tuple[int, int, list[str]]]:
    """(first line, line after the last, fields) of each record, lines counted from 0.

    After a broken quote it goes on with the next line, so that later problems are found too.
    """
    quoting: Final = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    for _ in range(most):
        rest = (lines[position] for position in range(start, len(lines)))
        reader = csv.reader(rest, delimiter=separator, quoting=quoting, strict=True)
        begin = start
        try:
            for record in reader:
                end = start + reader.line_num
                yield begin, end, record
                begin = end
            return
        except csv.Error:
            found.add(UNBALANCED, f"line {begin + 1}")
            start = begin + 1
    found.add("too many broken quotes, the rest was not read", f"from line {start + 1}")


def _add_count(count: int, begin: int, result: Rows) -> None:
    expected = len(result.header)
    kind = "surplus" if count > expected else "missing"
    result.found.add(
        f"rows with {kind} fields (the header has {expected})", f"line {begin + 1} has {count}"
    )


def _whole(inner: list[str], begin: int, record: list[str], separator: str, result: Rows) -> bool:
    """Whether there are no rows inside a quoted field: two stray quotes far apart can hide what
    lies between them."""
    shape = _shape(record[0])
    if "9" not in shape:
        return True
    for line in inner:
        fields = next(csv.reader([line], delimiter=separator), [])
        if len(fields) != len(record) or _shape(fields[0]) != shape:
            return True
    if len(inner) > 2:
        result.found.add(UNBALANCED, f"line {begin + 1} (it swallows {len(inner)} rows)")
        return False
    result.notes.append(
        f"line {begin + 1}: a quoted field holds what looks like a row; is a quote missing?"
    )
    return True


def _shape(text: str) -> str:
    """A text with digits and letters made alike: ids of one file tend to have one shape."""
    return re.sub(r"[^\W\d_]", "a", re.sub(r"\d", "9", text))
