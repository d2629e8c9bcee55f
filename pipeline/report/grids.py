"""The tables of a page, and how numbers stand in them."""

from rich.box import SIMPLE_HEAD
from rich.table import Table as Grid

from pipeline.ensemble.honest.gains import Gain


def empty_grid(title: str, first: str, *columns: str) -> Grid:
    """An empty table: the *first* column holds names, the others numbers."""
    found = Grid(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    found.add_column(first, overflow="fold")
    for column in columns:
        found.add_column(column, justify="right")
    return found


def number(value: float | None) -> str:
    """A score.

    >>> number(0.98765), number(None)
    ('0.9877', '–')
    """
    return "–" if value is None else f"{value:.4f}"


def signed(value: float | None) -> str:
    """A difference: one digit more than a score, since it is what the eye compares.

    >>> signed(0.00123), signed(None)
    ('+0.00123', '–')
    """
    return "–" if value is None else f"{value:+.5f}"


def reach(gain: Gain | None) -> str:
    """From the middle of a gain's 95 % interval to its ends, empty where there is none."""
    return "" if gain is None else f"{(gain.high - gain.low) / 2:.5f}"
