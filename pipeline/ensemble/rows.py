"""What a blend may see of rows it predicts: the members' predictions and facts about the rows.

Never a target: a blend is fitted on the rows of some folds and then applied to rows like these,
whether they are held out, of the test file, or of a holdout file.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.ensemble.facts import Facts


@dataclass(frozen=True, eq=False)
class Rows:
    """n rows."""

    members: Sequence[np.ndarray]
    """M arrays (n, k)."""
    facts: Facts | None = None
    """None where nothing but predictions is known."""

    def __len__(self) -> int:
        return len(self.members[0])

    @property
    def columns(self) -> int:
        """Prediction columns, k."""
        return int(self.members[0].shape[1])

    def take(self, positions: np.ndarray) -> "Rows":
        """The rows at *positions* (or where a mask is set), everything cut alike."""
        facts = None if self.facts is None else self.facts.take(positions)
        return Rows([member[positions] for member in self.members], facts)

    def keep(self, members: Sequence[int]) -> "Rows":
        """The same rows, predicted by the *members* at these positions only."""
        return Rows([self.members[place] for place in members], self.facts)
