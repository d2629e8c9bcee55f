"""The page that commands print on: whatever the terminal is, printing never stops the work.

Where there is no terminal the page is wide; signs that the output's encoding lacks are replaced;
and when nobody reads any more ("… | head") the rest goes nowhere and the command goes on.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO, Any, TextIO, cast

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Grid

from pipeline.ensemble import Gain

WIDE = 160
"""Columns where there is no terminal to ask: enough for every table."""
PLAIN = {"█": "#", "→": "->", "…": "~", "–": "-", "×": "x", "±": "+-"}
"""What stands for our own signs where the output's encoding lacks them."""


class Page(Console):
    """A console that takes text as it is and outlives its reader."""

    def on_broken_pipe(self) -> None:
        """Print nothing more; rich itself would end the command, in the middle of a training."""
        self.quiet = True
        # the interpreter flushes the stream once more at exit; let that go nowhere as well
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())

    def _check_buffer(self) -> None:
        """Everything is written from here: a terminal that went away says EIO, not EPIPE."""
        try:
            super()._check_buffer()
        except OSError:
            self.on_broken_pipe()


class Writable:
    """A stream to which any text can be written, whatever its encoding; see `writable`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write *text*, what the encoding lacks replaced."""
        return self._stream.write(writable(text, self._stream.encoding))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def page(stream: IO[str] | None = None, width: int = WIDE) -> Console:
    """A page on *stream* (default: standard output).

    Without a terminal it is *width* columns wide; COLUMNS and NO_COLOR are honoured.
    """
    stream = stream or sys.stdout
    if not (getattr(stream, "encoding", None) or "utf-8").lower().startswith("utf"):
        stream = cast(TextIO, Writable(cast(TextIO, stream)))
    # in a notebook rich would show each line as a page of its own, and Jupyter sets FORCE_COLOR,
    # by which rich takes every stream for a terminal whose lines can be replaced
    console = Page(
        file=stream,
        highlight=False,
        markup=False,
        emoji=False,
        force_jupyter=False,
        force_terminal=False if "ipykernel" in sys.modules else None,
    )
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = width
    return console


def writable(text: str, encoding: str) -> str:
    """*text* as a stream in *encoding* can write it.

    >>> writable("→ 안녕 █", "ascii"), writable("→ 안녕", "cp949")
    ('-> ?? #', '→ 안녕')
    """
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        for sign, plain in PLAIN.items():
            text = text.replace(sign, plain)
    return text.encode(encoding, "replace").decode(encoding)


# A piece of a printed page: a title, a small grid of text, and what it means.


CELLS = 32
"""Longest name of a user's that is shown whole."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """One piece. Everything is plain text; nothing in it is markup."""

    title: str
    rows: list[list[str]] = field(default_factory=list)
    header: list[str] = field(default_factory=list)
    right: Sequence[int] = ()
    """Columns that are numbers, flush right."""
    says: list[str] = field(default_factory=list)
    """What it means, a sentence each."""
    warns: list[str] = field(default_factory=list)
    """What is suspicious or will go wrong, a sentence each."""


def share(part: float, whole: float) -> str:
    """*part* of *whole* in percent, with a decimal where it is small.

    >>> share(245, 5749), share(1, 3), share(0, 10), share(1, 100_000)
    ('4.3 %', '33 %', '0 %', 'under 0.1 %')
    """
    percent = 100 * part / whole if whole else 0.0
    if 0 < percent < 0.1:
        return "under 0.1 %"
    return f"{percent:.1f} %" if 0 < percent < 9.95 else f"{percent:.0f} %"


def number(value: float) -> str:
    """A number with thousands separated and no more digits than it needs.

    >>> number(5749), number(2.7), number(0.12345), number(1234.5)
    ('5,749', '2.7', '0.123', '1,234')
    """
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def figure(value: float) -> str:
    """A measured number with three digits that count.

    >>> figure(2.7), figure(3), figure(0.8361), figure(1234.5), figure(0)
    ('2.70', '3.00', '0.836', '1,234', '0')
    """
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:#.3g}" if value else "0"


def plural(count: int, noun: str) -> str:
    """A count and its noun.

    >>> plural(1, "row"), plural(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def name(text: str, longest: int = CELLS) -> str:
    r"""A user's name on one line: control characters replaced, cut where it is long.

    >>> name("a\x1b[31mb\n"), len(name("x" * 99))
    ('a?[31mb?', 32)
    """
    visible = "".join(letter if letter.isprintable() else "?" for letter in text)
    return visible if len(visible) <= longest else f"{visible[: longest - 1]}…"


def names(texts: Sequence[str], limit: int = 6) -> str:
    """Several names, the first few of many.

    >>> names(["a", "b", "c"], limit=2)
    'a, b and 1 more'
    """
    more = f" and {len(texts) - limit:,} more" if len(texts) > limit else ""
    return ", ".join(name(text) for text in texts[:limit]) + more


# The tables of a page, and how numbers stand in them.


def empty_grid(title: str, first: str, *columns: str) -> Grid:
    """An empty table: the *first* column holds names, the others numbers."""
    found = Grid(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    found.add_column(first, overflow="fold")
    for column in columns:
        found.add_column(column, justify="right")
    return found


def score_text(value: float | None) -> str:
    """A score.

    >>> score_text(0.98765), score_text(None)
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
