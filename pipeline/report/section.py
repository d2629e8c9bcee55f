"""A piece of a printed page: a title, a small grid of text, and what it means."""

from collections.abc import Sequence
from dataclasses import dataclass, field

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
