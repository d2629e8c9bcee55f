"""A sheet of an Excel file (.xlsx) to rows of text, read by openpyxl.

It is the one that the path names (`all.xlsx#train`), else the first that is a table, with two
columns or more and a row below their names. What comes before it (a page of explanations, an empty
sheet) and what follows is left out, and said.

A cell is what Excel stores, not how it is shown: 7 shown as 007 is read as 7, which no reader can
know better. Whole numbers have no ".0", dates are ISO 8601.
"""

import warnings
import zipfile
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.base import DataError
from pipeline.data.reading.encoding import clean
from pipeline.data.reading.parts import sheet_of
from pipeline.data.table import Findings


def parse_spreadsheet(path: Path, name: str) -> tuple[pd.DataFrame, Findings, list[str]]:
    """The rows as str objects, the problems with their row numbers, and notes."""
    sheets, read, rows = _sheet(path, name)
    found, notes = Findings(), Findings()
    header = [cell or f"Unnamed: {place}" for place, cell in enumerate(rows[0])] if rows else []
    cells = [row + [""] * (len(header) - len(row)) for row in rows[1:] if any(row)]
    for number, row in enumerate(cells, start=2):
        if len(row) > len(header):
            found.add("more cells than the header has names", f"row {number}")
        for place, cell in enumerate(row):
            if "\0" in cell or not cell.isascii():
                row[place], removed = clean(cell)
                if removed:
                    notes.add("NUL or half characters (surrogates) removed", f"row {number}")
    left = [] if sheet_of(path)[1] else [sheet for sheet in sheets if sheet != read]
    others = ", ".join(map(repr, left))
    said = [f"only its sheet {read!r} is read, not {others}"] if others else []
    table = {
        place: [row[place] if place < len(row) else "" for row in cells]
        for place in range(len(header))
    }
    frame = pd.DataFrame(table, dtype=object)
    frame.columns = pd.Index(header, dtype=object)
    return frame, found, [*said, *notes.sentences()]


def spreadsheet_columns(path: Path, name: str) -> list[str]:
    """The names of the columns."""
    return [str(column) for column in parse_spreadsheet(path, name)[0].columns]


def sheets_of(path: Path) -> list[str]:
    """The names of all sheets; none of a file that cannot be read."""
    try:
        return _sheet(path, path.name)[0]
    except DataError:  # whoever reads it will say so
        return []


def _sheet(path: Path, name: str) -> tuple[list[str], str, list[list[str]]]:
    """Names of all sheets, of the one that is the table, and its cells."""
    path, named = sheet_of(path)
    try:
        from openpyxl import load_workbook
        from openpyxl.utils.exceptions import InvalidFileException
    except ImportError as error:
        raise DataError(
            f"{name} is an Excel file; install openpyxl (pip install openpyxl) or save it as csv"
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and validations that nobody reads here
            book = load_workbook(path, read_only=True, data_only=True)
            sheets = book.worksheets
            tables = [sheet for sheet in sheets if sheet.title == named or not named]
            if not tables:
                there = ", ".join(sheet.title for sheet in sheets)
                raise DataError(f"{name}: {path.name} has no sheet {named!r}; it has {there}")
            table = next((sheet for sheet in tables if _is_table(sheet.values)), tables[0])
            rows = [[_text(cell) for cell in row] for row in table.values]
    except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        anew = "Take it anew from where it came, or save it as csv"
        raise DataError(f"{name} is not an Excel file, or is damaged: {error}. {anew}") from error
    return list(book.sheetnames), table.title, rows


def _is_table(values: Iterable[Sequence[Any]]) -> bool:
    """Whether the first row names two columns or more, and there is another row."""
    rows = iter(values)
    return sum(bool(_text(cell)) for cell in next(rows, ())) > 1 and next(rows, None) is not None


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer() and abs(value) < 2**53:
            return str(int(value))
        case datetime() | date() | time():
            return value.isoformat()
        case _:
            return str(value)
