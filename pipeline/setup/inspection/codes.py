"""Every text as a number, so that "the same text" becomes integer arithmetic.

Two texts have the same number when they are equal after `pipeline.folds.text.normalise`; empty
texts have the number -1, in every file alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.folds.text import normalise_all

EMPTY = -1


@dataclass(frozen=True, kw_only=True)
class Codes:
    """The texts of one file as numbers that are shared by all files."""

    texts: np.ndarray
    """(n, s) number of each text, EMPTY where it is empty."""
    ordered: np.ndarray
    """(n,) equal for rows with the same texts on the same sides."""
    row: np.ndarray
    """(n,) equal for rows with the same texts on either side."""

    @property
    def filled(self) -> np.ndarray:
        """(n,) whether any of a row's texts is not empty."""
        return np.asarray((self.texts != EMPTY).any(axis=1))

    @property
    def names(self) -> np.ndarray:
        """(n, s) short str objects that are equal where the texts are: "" for an empty one."""
        names = ["" if code == EMPTY else str(code) for code in self.texts.ravel().tolist()]
        return np.array(names, dtype=object).reshape(self.texts.shape)

    def rows(self, which: np.ndarray) -> "Codes":
        """The rows selected by a mask (n,) or by positions."""
        return Codes(texts=self.texts[which], ordered=self.ordered[which], row=self.row[which])


def code(files: Sequence[np.ndarray]) -> list[Codes]:
    """Number the texts of several files, each (n, s), together."""
    distinct, number = normalise_all(np.concatenate([texts.ravel() for texts in files]))
    number = np.where(distinct[number] == "", EMPTY, number) if len(number) else number
    parts = np.split(number, np.cumsum([texts.size for texts in files])[:-1])
    return [
        _codes(part.reshape(texts.shape), len(distinct) + 1)
        for part, texts in zip(parts, files, strict=True)
    ]


def _codes(texts: np.ndarray, base: int) -> Codes:
    return Codes(texts=texts, ordered=_key(texts, base), row=_key(np.sort(texts, axis=1), base))


def _key(texts: np.ndarray, base: int) -> np.ndarray:
    key = np.zeros(len(texts), dtype=np.int64)
    for column in texts.T:
        key = key * base + (column + 1)
    return key
