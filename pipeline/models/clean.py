"""Clean-up of texts: named transforms that a recipe lists under `clean`, whatever its learner.

    clean: [nfkc, collapse-spaces]

A transform maps one text to one text and is fitted on nothing, so train, test and holdout rows are
treated alike. Ids, folds and everything that is said about rows keep the texts as they were read.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.lookup import load
from pipeline.base.paths import Workspace
from pipeline.data import Table
from pipeline.models.learner import Learner, LearnerFactory, Watch
from pipeline.models.registry import TEXT_TRANSFORMS

Transform = Callable[[str], str]


def nfkc(text: str) -> str:
    """Compatibility forms of characters become the usual ones (Unicode's NFKC).

    >>> nfkc("ＡＢＣ ① ﬁt")
    'ABC 1 fit'
    """
    return unicodedata.normalize("NFKC", text)


def collapse_spaces(text: str) -> str:
    r"""One space for each run of white space, line breaks included; none at the ends.

    >>> collapse_spaces("  one\n\n two\tthree ")
    'one two three'
    """
    return re.sub(r"\s+", " ", text).strip()


def lower(text: str) -> str:
    """Lower case.

    >>> lower("ABC")
    'abc'
    """
    return text.lower()


def cleaned(table: Table, names: Sequence[str]) -> Table:
    """*table* with the transforms *names* of the registry done to every text, in that order."""
    texts = table.texts.copy()
    for transform in map(_transform, names):
        texts = np.array([[transform(text) for text in row] for row in texts], dtype=object)
    return replace(table, texts=texts.reshape(table.texts.shape))


def _transform(name: str) -> Transform:
    found: Transform = load(TEXT_TRANSFORMS[name])
    return found


class CleaningFactory:
    """A `LearnerFactory` whose learners see cleaned texts; all else is that of *inner*."""

    def __init__(self, inner: LearnerFactory, names: Sequence[str]) -> None:
        self.inner, self.names = inner, tuple(names)

    def facts(self) -> dict[str, Any]:
        """Those of the factory within."""
        return self.inner.facts()

    def prepare(self, tables: Sequence[Table], watch: Watch) -> str:
        """Prepare the cleaned texts."""
        return self.inner.prepare([cleaned(table, self.names) for table in tables], watch)

    def make(self, seed: int) -> "CleaningLearner":
        """A fresh learner."""
        return CleaningLearner(self.inner.make(seed), self.names)

    def load(self, folder: Path) -> "CleaningLearner":
        """The learner that `save` wrote."""
        return CleaningLearner(self.inner.load(folder), self.names)

    def seeds_matter(self, train: Table) -> bool:
        """Whether they matter to the factory within."""
        return self.inner.seeds_matter(cleaned(train, self.names))

    def disk_bytes(self) -> int:
        """Those of the factory within."""
        return self.inner.disk_bytes()

    def checkpoint_bytes(self) -> int:
        """Those of the factory within."""
        return self.inner.checkpoint_bytes()

    def close(self) -> None:
        """Close the factory within."""
        self.inner.close()

    def remember(self, facts: Mapping[str, Any]) -> None:
        """Hand on what was learnt about the machine."""
        self.inner.remember(facts)


class CleaningLearner:
    """A `Learner` that is fitted on cleaned texts, and predicts them."""

    def __init__(self, inner: Learner, names: Sequence[str]) -> None:
        self.inner, self.names = inner, tuple(names)

    @property
    def facts(self) -> dict[str, Any]:
        """Those of the learner within."""
        return self.inner.facts

    def fit(
        self, train: Table, workspace: Workspace, watch: Watch, rate_scale: float = 1.0
    ) -> None:
        """Learn from the cleaned texts of *train*."""
        self.inner.fit(cleaned(train, self.names), workspace, watch, rate_scale)

    def predict(self, table: Table, watch: Watch) -> np.ndarray:
        """(len(table), k) float32."""
        return self.inner.predict(cleaned(table, self.names), watch)

    def save(self, folder: Path) -> None:
        """Save the learner within; what was cleaned stands in the recipe."""
        self.inner.save(folder)
