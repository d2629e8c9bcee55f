"""Before a file is written: was it sent before, or one that is as good as the same?"""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from pipeline.base import DataError
from pipeline.base.files import sha256
from pipeline.data.reading.delimited import sniff
from pipeline.data.reading.reader import with_points
from pipeline.problems.label_texts import NumberForm, form_of
from pipeline.submissions.ledger import Entry, read_ledger

# How alike two submissions are, for a file that would cost a submission and tell nothing new.


SAME_VALUES = 0.9999
"""Correlation above which numbers count as the same: they differ by about 1.4 % of their spread."""
SNIFFED = 200
"""Lines that show what separates fields."""
SAME_LABELS = 0.999
"""Share of equal rows above which labels do: an accuracy can then differ by 0.001 at most."""


@dataclass(frozen=True)
class Likeness:
    """How alike."""

    kind: Literal["values", "labels"]
    figure: float
    """Values: the correlation of the column that is least alike. Labels: the share of equal
    rows."""

    @property
    def same(self) -> bool:
        """Whether sending both would tell next to nothing."""
        return self.figure > (SAME_VALUES if self.kind == "values" else SAME_LABELS)

    @property
    def said(self) -> str:
        """For a sentence.

        >>> Likeness("values", 0.99995).said, Likeness("labels", 0.9995).said
        ('correlates 0.99995', 'agrees in 99.95 % of the rows')
        """
        if self.kind == "values":
            return f"correlates {self.figure:.5f}"
        return f"agrees in {100 * self.figure:.2f} % of the rows"


def likeness(one: bytes, other: bytes) -> Likeness | None:
    """How alike two files are, joined on their first column; None where they cannot be compared.

    Columns of whole numbers or words are labels, others are values.
    """
    left, right = _read(one), _read(other)
    if left is None or right is None or set(left.columns) != set(right.columns):
        return None
    if len(left) != len(right) or not left.index.isin(right.index).all():
        return None
    right = right.loc[left.index, left.columns]
    numbers = [_numbers(left), _numbers(right)]
    if any(each is None or (each == np.rint(each)).all() for each in numbers):
        return Likeness("labels", float((left == right).all(axis=1).mean()))
    ours, theirs = (each for each in numbers if each is not None)
    columns = range(ours.shape[1])
    return Likeness("values", min(_correlation(ours[:, k], theirs[:, k]) for k in columns))


def _read(content: bytes) -> pd.DataFrame | None:
    """The file, texts by id; None where it is no such table."""
    try:
        text = content.decode("utf-8")
        separator = sniff(text.splitlines(keepends=True)[:SNIFFED])
        frame = pd.read_csv(
            io.StringIO(text), sep=separator, dtype=str, keep_default_na=False, index_col=0
        )
    except (ValueError, UnicodeDecodeError):  # pandas' own errors are ValueErrors
        return None
    forms = {name: form_of(pd.unique(frame[name])) for name in frame.columns}
    with_points(frame, {name: each for name, each in forms.items() if isinstance(each, NumberForm)})
    return frame if len(frame) and len(frame.columns) and frame.index.is_unique else None


def _numbers(frame: pd.DataFrame) -> np.ndarray | None:
    try:
        values = frame.to_numpy(dtype=object).astype(float)
    except ValueError:
        return None
    return values if np.isfinite(values).all() else None


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson; of constant columns, 1 where they are equal."""
    one, other = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((one @ one) * (other @ other)))
    if scale == 0:
        return float(np.array_equal(one, other))
    return float(np.clip(one @ other / scale, -1, 1))


@dataclass(frozen=True)
class Alike:
    """A sent file that the new one hardly differs from."""

    entry: Entry
    likeness: Likeness

    @property
    def warning(self) -> str:
        """For the page."""
        return (
            f"this file {self.likeness.said} with {self.entry.said}: "
            "sending it will tell next to nothing new"
        )


def sent_before(folder: Path, competition: str, content: bytes) -> Entry | None:
    """The ledger's entry of these very bytes."""
    digest = hashlib.sha256(content).hexdigest()
    entries = read_ledger(folder, competition)
    return next((entry for entry in entries if entry.sha256 == digest), None)


def refuse_sent(folder: Path, competition: str, content: bytes) -> None:
    """Raise DataError where these very bytes were sent."""
    if entry := sent_before(folder, competition, content):
        raise DataError(
            f"nothing was written: these are the bytes of {entry.said}. Sending them again would "
            "cost a submission and give the same score. To see the page only: --dry-run"
        )


def alike(folder: Path, competition: str, content: bytes) -> list[Alike]:
    """The sent files that *content* hardly differs from, the most alike first.

    Files that are no longer there, or have changed, cannot be compared and are passed over.
    """
    digest = hashlib.sha256(content).hexdigest()
    entries = [entry for entry in read_ledger(folder, competition) if entry.sha256 != digest]
    found = []
    for entry, path in zip(entries, sent_files(folder, entries), strict=True):
        same = None if path is None else likeness(content, path.read_bytes())
        if same is not None and same.same:
            found.append(Alike(entry, same))
    return sorted(found, key=lambda each: -each.likeness.figure)


def sent_files(folder: Path, entries: Sequence[Entry]) -> list[Path | None]:
    """Where the bytes of each entry lie in *folder*; None where they do not."""
    paths = [folder / Path(entry.file).name for entry in entries]
    return [
        path if path.is_file() and sha256(path) == entry.sha256 else None
        for path, entry in zip(paths, entries, strict=True)
    ]
