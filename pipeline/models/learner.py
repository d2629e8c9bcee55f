"""The contract between the fold engine and whatever learns: one fold in, predictions out.

A learner without torch lies on the disk as NAME.npz, and NAME.json, which vouches for it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from pipeline.base import ArtifactError, read_json
from pipeline.base.files import read_arrays
from pipeline.base.paths import Workspace
from pipeline.data import Table


class Watch(Protocol):
    """Told about progress; never influences it."""

    def phase(self, name: str, total: int, done: int = 0, per_epoch: int = 0) -> None:
        """A phase ("train", "predict") of *total* steps begins, *done* of them taken before.

        *per_epoch*: steps of an epoch, where the phase has epochs.
        """

    def advance(self, steps: int = 1, rows: int = 0, tokens: int = 0) -> None:
        """That many steps of the phase are done; they held so many rows and real tokens."""

    def event(self, what: str, message: str, **facts: Any) -> None:
        """Something a person should know happened: *what* in a word or two ("resumed", "batch
        halved"), a *message* to print, and JSON-ready *facts* for the manifest."""


class Silent:
    """A Watch that tells nobody."""

    def phase(self, name: str, total: int, done: int = 0, per_epoch: int = 0) -> None:
        """Do nothing."""

    def advance(self, steps: int = 1, rows: int = 0, tokens: int = 0) -> None:
        """Do nothing."""

    def event(self, what: str, message: str, **facts: Any) -> None:
        """Do nothing."""


class Learner(Protocol):
    """An object fitted on the training part of one fold. A fresh one is made for every fold."""

    @property
    def facts(self) -> dict[str, Any]:
        """JSON-ready facts for the fold's manifest: what was chosen, counted, used."""

    def fit(
        self, train: Table, workspace: Workspace, watch: Watch, rate_scale: float = 1.0
    ) -> None:
        """Learn from *train*, whose targets are there; write only below *workspace*.

        Where answers are texts, the right ones are `train.references`. Where the workspace holds a
        checkpoint of this very training, go on from it. *rate_scale* is a factor on the learning
        rate, where there is one. Raises DivergedError for NaN or infinity; `facts` then hold the
        "rate_scale" it was trained with.
        """

    def predict(self, table: Table, watch: Watch) -> Any:
        """(len(table), k) float32, row by row in the table's order; where answers are texts,
        `pipeline.data.candidates.Candidates` of as many rows.

        Regression in the label's unit, otherwise probabilities (multiclass: one column per class,
        rows sum to one; heads: the block of each target does). Never rounded, never clipped.
        """

    def save(self, folder: Path) -> None:
        """Write what `LearnerFactory.load` needs to predict the same again; never a pickle."""


@runtime_checkable
class Resuming(Protocol):
    """A learner whose predictions take long: where one was killed, the next goes on."""

    def keep_below(self, folder: Path) -> None:
        """Keep what `predict` has found so far below *folder*, and take up what is there.

        The folder belongs to one fold and is deleted when its predictions are committed."""


class LearnerFactory(Protocol):
    """Makes the learners of one run; holds what all its folds share and none may change.

    A factory that inherits from it needs to write `facts`, `make` and `load` only, where its
    learners share nothing and are small.
    """

    def facts(self) -> dict[str, Any]:
        """JSON-ready facts of the whole run: device, precision, tokens, weight digests."""

    def prepare(self, tables: Sequence[Table], watch: Watch) -> str:
        """Do once what all folds share (tokenise, count n-grams) for the rows of *tables*.

        Nothing may be fitted here: held-out rows are among them. Returns a line for people about
        what was counted, such as tokens and truncated rows.
        """
        characters = sum(len(text) for table in tables for text in table.texts.ravel().tolist())
        rows = sum(map(len, tables))
        return f"{characters:,} characters, {characters / max(rows, 1):.0f} per row on average"

    def make(self, seed: int) -> Learner:
        """A fresh learner in a state that depends on *seed* and on nothing else."""

    def load(self, folder: Path) -> Learner:
        """The learner that `Learner.save` wrote."""

    def separator(self) -> str:
        """What stands for [SEP] of a template between two texts."""
        return " [SEP] "

    def mask(self) -> str:
        """What hides a word in a text; empty where nothing does."""
        return "[MASK]"

    def seeds_matter(self, train: Table) -> bool:
        """Whether learners of two seeds, fitted on rows of *train*, ever answer differently."""
        return True

    def disk_bytes(self) -> int:
        """Bytes that the saved weights of one fold take; 0 for a few kilobytes."""
        return 0

    def checkpoint_bytes(self) -> int:
        """Bytes of one checkpoint of a training; 0 where there are none."""
        return 0

    def close(self) -> None:
        """Give back the memory that it holds; it is not used again."""
        return

    def settle(self) -> None:
        """Give back what only further learners would need: the last one goes on predicting."""
        return

    def forget(self) -> None:
        """Drop what is kept of texts that were predicted: they will not come again."""
        return

    def remember(self, facts: Mapping[str, Any]) -> None:
        """Start the learners to come at what an earlier fold has learnt about this machine: rows
        that fit into memory, a precision that does not overflow. *facts*: its `Learner.facts`."""
        return


class WrappedFactory(LearnerFactory):
    """A factory around another: all that it does not write itself is that of *inner*."""

    def __init__(self, inner: LearnerFactory) -> None:
        self.inner = inner

    def facts(self) -> dict[str, Any]:
        """Those of the factory within."""
        return self.inner.facts()

    def prepare(self, tables: Sequence[Table], watch: Watch) -> str:
        """Prepare the factory within."""
        return self.inner.prepare(tables, watch)

    def separator(self) -> str:
        """That of the factory within."""
        return self.inner.separator()

    def mask(self) -> str:
        """That of the factory within."""
        return self.inner.mask()

    def seeds_matter(self, train: Table) -> bool:
        """Whether they matter to the factory within."""
        return self.inner.seeds_matter(train)

    def disk_bytes(self) -> int:
        """Those of the factory within."""
        return self.inner.disk_bytes()

    def checkpoint_bytes(self) -> int:
        """Those of the factory within."""
        return self.inner.checkpoint_bytes()

    def close(self) -> None:
        """Close the factory within."""
        self.inner.close()

    def settle(self) -> None:
        """Settle the factory within."""
        self.inner.settle()

    def forget(self) -> None:
        """That of the factory within."""
        self.inner.forget()

    def remember(self, facts: Mapping[str, Any]) -> None:
        """Hand on what was learnt about the machine."""
        self.inner.remember(facts)


@dataclass(frozen=True, kw_only=True)
class Engine:
    """What a run lends the factory of its learners."""

    tokens: Path | None = None
    """The folder of the token stores; None: they stay in memory."""
    deterministic: bool = False
    """On a GPU, only algorithms that give the same bits every time."""
    fitter: Callable[[Any], Any]
    """(hardware) -> what runs a torch module over its data there, with checkpoints."""


def read_saved(
    folder: Path, name: str, field: str, wanted: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The content of NAME.json and the arrays of NAME.npz.

    Raises ArtifactError where one of them is damaged, or the *field* that says what the numbers
    belong to is not as *wanted*.
    """
    content = read_json(folder / f"{name}.json")
    if (found := content.get(field)) != wanted:
        raise ArtifactError(f"{folder} was saved with {found}, but the recipe asks for {wanted}")
    arrays = read_arrays(folder / f"{name}.npz", expected_sha256=str(content.get("sha256")))
    return content, arrays
