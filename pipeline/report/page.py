"""The page that commands print on: whatever the terminal is, printing never stops the work.

Where there is no terminal the page is wide; signs that the output's encoding lacks are replaced;
and when nobody reads any more ("… | head") the rest goes nowhere and the command goes on.
"""

import os
import sys
from typing import IO, Any, TextIO, cast

from rich.console import Console

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
    console = Page(file=stream, highlight=False, markup=False, emoji=False)
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
