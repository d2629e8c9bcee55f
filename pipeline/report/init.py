"""Print the look at a competition: about a screen and a half, short where all is well."""

import sys
from typing import IO

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from pipeline.report.init_signals import copies, overlap
from pipeline.report.inspection_machine import machine
from pipeline.report.inspection_rows import files, target, texts
from pipeline.report.inspection_signals import alike, alone
from pipeline.report.page import page, writable
from pipeline.report.section import Section
from pipeline.setup.inspection.inspect import Inspection

WIDTH = 100
"""Columns where there is no terminal to ask."""


def show(inspection: Inspection, stream: IO[str] | None = None) -> None:
    """Print *inspection* to *stream* (default: standard output).

    Styled on a terminal, plain text elsewhere; what the stream's encoding cannot write is replaced.
    """
    stream = stream or sys.stdout
    console = page(stream, WIDTH)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    with console.capture() as captured:
        for section in sections(inspection):
            console.print(_piece(section, encoding))
            console.print()
    lines = captured.get().rstrip("\n").split("\n")
    stream.write("\n".join(line.rstrip() for line in lines) + "\n")


def sections(inspection: Inspection) -> list[Section]:
    """All sections in reading order."""
    rooms = (files, target, texts, copies, overlap, alone, alike, machine)
    return [room(inspection) for room in rooms]


def _piece(section: Section, encoding: str) -> RenderableType:
    """A section for the console: its title, its grid, its sentences."""
    parts: list[RenderableType] = [Text(writable(section.title, encoding), style="bold")]
    if section.rows:
        parts.append(Padding(_grid(section, encoding), (0, 0, 0, 2)))
    remarks = Grid.grid(padding=(0, 1, 0, 0))
    remarks.add_column(no_wrap=True)
    remarks.add_column()
    for mark, style, sentences in (("!", "bold red", section.warns), ("→", "cyan", section.says)):
        for sentence in sentences:
            remarks.add_row(
                Text(writable(mark, encoding), style=style), Text(writable(sentence, encoding))
            )
    if remarks.row_count:
        parts.append(Padding(remarks, (0, 0, 0, 2)))
    return Group(*parts)


def _grid(section: Section, encoding: str) -> Grid:
    grid = Grid(box=None, pad_edge=False, show_header=bool(section.header), header_style="dim")
    width = max(len(row) for row in [section.header, *section.rows])
    for place in range(width):
        title = section.header[place] if place < len(section.header) else ""
        grid.add_column(
            Text(writable(title, encoding)), justify="right" if place in section.right else "left"
        )
    for row in section.rows:
        grid.add_row(*(Text(writable(cell, encoding)) for cell in row))
    return grid
