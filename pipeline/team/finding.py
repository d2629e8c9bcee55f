"""What one check found, and what it means for the file."""

from dataclasses import dataclass
from typing import Literal

Grade = Literal["ok", "warning", "out"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One sentence of the audit."""

    check: str
    """What was looked at: rows, values, folds …"""
    grade: Grade
    says: str
    """What was found, with its figures and, where it is not in order, what to do."""
    final: bool = False
    """Out, and not even --force can store it: rows are missing or hold no number."""


def ok(check: str, says: str) -> Finding:
    """Nothing to complain of."""
    return Finding(check=check, grade="ok", says=says)


def warning(check: str, says: str) -> Finding:
    """Something that a person should look at."""
    return Finding(check=check, grade="warning", says=says)


def out(check: str, says: str, final: bool = False) -> Finding:
    """A reason to leave the file out."""
    return Finding(check=check, grade="out", says=says, final=final)
