"""The page that commands print on: the terminal's own width, or a wide one where there is none."""

import os
import sys
from typing import IO

from rich.console import Console

WIDE = 160
"""Columns where there is no terminal to ask: enough for every table."""


def page(stream: IO[str] | None = None, width: int = WIDE) -> Console:
    """A console on *stream* (default: standard output) that takes text as it is.

    Without a terminal it is *width* columns wide; COLUMNS and NO_COLOR are honoured.
    """
    stream = stream or sys.stdout
    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = width
    return console
