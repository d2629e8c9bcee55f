"""The page that commands print on: the terminal's own width, or a wide one where there is none."""

import os

from rich.console import Console

WIDTH_WITHOUT_TERMINAL = 140


def page(stderr: bool = False) -> Console:
    """A console without markup or highlighting; COLUMNS and NO_COLOR are honoured."""
    console = Console(stderr=stderr, highlight=False, markup=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDTH_WITHOUT_TERMINAL
    return console
