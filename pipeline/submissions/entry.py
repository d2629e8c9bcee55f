"""One submission in the ledger, and the line of the file that holds it.

    {"day": "2026-03-01", "file": "COMP-001-mean.csv", "sha256": "…", "by": "ann", …}

A submission is known by the SHA-256 of its bytes. After a merge in git one submission may stand on
two lines, an older and a newer; they are joined where they do not contradict each other.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import date
from typing import Any

DIGEST = re.compile(r"[0-9a-f]{64}")
LATER = ("by", "public", "private")
"""Fields that may be empty at first."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A submission that was sent."""

    day: str
    """When, as YYYY-MM-DD (UTC)."""
    file: str
    """Its name when it was sent."""
    sha256: str
    by: str | None = None
    """Who sent it."""
    public: float | None = None
    """Its score on the public leaderboard."""
    private: float | None = None

    @property
    def line(self) -> str:
        """The line of the ledger."""
        return json.dumps(asdict(self), ensure_ascii=False, allow_nan=False)

    @property
    def said(self) -> str:
        """For a sentence.

        >>> Entry(day="2026-03-01", file="a.csv", sha256="0" * 64, by="ann", public=0.9).said
        'a.csv, sent on 2026-03-01 by ann (public 0.9)'
        """
        by = f" by {self.by}" if self.by else ""
        known = {"public": self.public, "private": self.private}
        scores = ", ".join(f"{name} {score}" for name, score in known.items() if score is not None)
        return f"{self.file}, sent on {self.day}{by}" + (f" ({scores})" if scores else "")


def joined(one: Entry, other: Entry) -> Entry | None:
    """Both lines of one submission as one; None where they contradict each other.

    >>> first = Entry(day="2026-03-01", file="a.csv", sha256="0" * 64, by="ann")
    >>> joined(first, replace(first, public=0.9)).public
    0.9
    >>> joined(replace(first, public=0.8), replace(first, public=0.9))
    """
    if (one.day, one.file) != (other.day, other.file):
        return None
    values = {}
    for name in LATER:
        ours, theirs = getattr(one, name), getattr(other, name)
        if None not in (ours, theirs) and ours != theirs:
            return None
        values[name] = theirs if ours is None else ours
    return replace(one, **values)


def entry_of(line: str) -> Entry | str:
    """The entry on a *line*, or what is wrong with it."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return f"is no JSON: {line[:60]!r}"
    if not isinstance(found, dict):
        return f"is no JSON object: {line[:60]!r}"
    known = {field.name for field in fields(Entry)}
    if unknown := sorted(set(found) - known):
        return f"has the unknown field {unknown[0]!r}; known: {', '.join(sorted(known))}"
    return _wrong(found) or Entry(**found)


def _wrong(found: Mapping[str, Any]) -> str | None:
    for name in ("day", "file", "sha256"):
        if not isinstance(found.get(name), str):
            return f"has no text as {name!r}"
    if not _is_day(found["day"]):
        return f"has {found['day']!r:.40} as day, expected YYYY-MM-DD"
    if not DIGEST.fullmatch(found["sha256"]):
        return "has no SHA-256 of 64 hexadecimal digits"
    if not isinstance(found.get("by"), str | None):
        return "has no text as 'by'"
    for name in ("public", "private"):
        value = found.get(name)
        known = isinstance(value, int | float | None) and not isinstance(value, bool)
        if not known or (value is not None and not math.isfinite(value)):
            return f"has {value!r:.40} as {name!r}, expected a number"
    return None


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
