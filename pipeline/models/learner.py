"""The contract between the fold engine and whatever learns: one fold in, predictions out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pipeline.data.table import Table


class Watch(Protocol):
    """Told about progress; never influences it."""

    def phase(self, name: str, total: int) -> None:
        """A phase ("train", "predict") of *total* steps begins."""

    def advance(self, steps: int = 1, rows: int = 0, tokens: int = 0) -> None:
        """That many steps of the phase are done; they held so many rows and real tokens."""

    def say(self, message: str) -> None:
        """Something a person should know happened (texts truncated, precision changed)."""


class Silent:
    """A Watch that tells nobody."""

    def phase(self, name: str, total: int) -> None:
        """Do nothing."""

    def advance(self, steps: int = 1, rows: int = 0, tokens: int = 0) -> None:
        """Do nothing."""

    def say(self, message: str) -> None:
        """Do nothing."""


class Learner(Protocol):
    """An object fitted on the training part of one fold. A fresh one is made for every fold."""

    @property
    def facts(self) -> dict[str, Any]:
        """JSON-ready facts for the fold's manifest: what was chosen, counted, used."""

    def fit(self, train: Table, logs: Path, watch: Watch) -> None:
        """Learn from *train*, whose targets are there; write logs only under the folder *logs*."""

    def predict(self, table: Table, watch: Watch) -> np.ndarray:
        """(len(table), k) float32, row by row in the table's order.

        Regression in the label's unit, otherwise probabilities (multiclass: one column per class,
        rows sum to one). Never rounded, never clipped.
        """

    def save(self, folder: Path) -> None:
        """Write what `LearnerFactory.load` needs to predict the same again; never a pickle."""


class LearnerFactory(Protocol):
    """Makes the learners of one run; holds what all its folds share and none may change."""

    def facts(self) -> dict[str, Any]:
        """JSON-ready facts of the whole run: device, precision, tokens, weight digests."""

    def prepare(self, tables: Sequence[Table], watch: Watch) -> str:
        """Do once what all folds share (tokenise, count n-grams) for the rows of *tables*.

        Nothing may be fitted here: held-out rows are among them. Returns a line for people about
        what was counted, such as tokens and truncated rows.
        """

    def make(self, seed: int) -> Learner:
        """A fresh learner in a state that depends on *seed* and on nothing else."""

    def load(self, folder: Path) -> Learner:
        """The learner that `Learner.save` wrote."""

    def disk_bytes(self) -> int:
        """Bytes that the saved weights of one fold take."""
