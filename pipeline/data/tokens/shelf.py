"""Token numbers of many inputs in flat arrays, in memory or mapped from files.

Shapes: n inputs, N tokens altogether.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """The tokens of inputs 0 … n - 1."""

    tokens: np.ndarray
    """(N,) records of an "id" and, where the backbone reads them, a "type"."""
    starts: np.ndarray
    """(n + 1,) int64: where each input's tokens begin, and the end."""
    truncated: np.ndarray
    """(n,) bool: whether the input lost tokens to max_length."""

    def __len__(self) -> int:
        return len(self.truncated)

    def slice(self, row: int) -> np.ndarray:
        """The records (T,) of one input."""
        return self.tokens[self.starts[row] : self.starts[row + 1]]

    def lengths(self, rows: np.ndarray) -> np.ndarray:
        """Tokens of each of *rows* (any shape), int64."""
        return np.asarray(self.starts[rows + 1] - self.starts[rows])

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """The records of *rows* (r,), one input after the other; only they are read."""
        starts, lengths = self.starts[rows], self.lengths(rows)
        before = np.cumsum(lengths) - lengths
        return self.tokens[np.repeat(starts - before, lengths) + np.arange(lengths.sum())]


def joined(shelves: Iterable[Shelf]) -> Shelf:
    """One shelf in memory with the inputs of all of *shelves*, one after the other."""
    kept = list(shelves)
    lengths = [np.diff(shelf.starts) for shelf in kept]
    return Shelf(
        tokens=np.concatenate([shelf.tokens for shelf in kept]),
        starts=np.concatenate([[0], np.cumsum(np.concatenate(lengths))]),
        truncated=np.concatenate([shelf.truncated for shelf in kept]),
    )


def empty(record: np.dtype) -> Shelf:
    """A shelf without inputs, for records of that kind."""
    return Shelf(
        tokens=np.empty(0, record), starts=np.zeros(1, np.int64), truncated=np.empty(0, bool)
    )
