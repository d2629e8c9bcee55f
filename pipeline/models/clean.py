"""What a learner sees of a row's texts: cleaned, and put together by a template.

    clean: [nfkc, collapse-spaces]
    template: ["{title} [SEP] {text}"]

A transform maps one text to one text and is fitted on nothing, so train, test and holdout rows are
treated alike. Ids, folds and everything that is said about rows keep the texts as they were read.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.doors import load
from pipeline.base.paths import Workspace
from pipeline.data import Table
from pipeline.data.template import View
from pipeline.models import korean
from pipeline.models.learner import Learner, LearnerFactory, Resuming, Watch, WrappedFactory
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


def shorten_repeats(text: str) -> str:
    """A character that stands more than twice in a row stands twice: ㅋㅋㅋㅋ, soooo, !!!!.

    Digits are left alone.

    >>> shorten_repeats("sooooo good!!!! ㅋㅋㅋㅋ 10000")
    'soo good!! ㅋㅋ 10000'
    """
    return re.sub(r"(\D)\1{2,}", r"\1\1", text)


def without_stop_words(text: str) -> str:
    """English words that carry little meaning (scikit-learn's list) left out, unless that is all.

    >>> without_stop_words("The cat is on the mat")
    'cat mat'
    """
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    words = text.split()
    return " ".join([word for word in words if word.lower() not in ENGLISH_STOP_WORDS] or words)


def libraries_of(names: Sequence[str]) -> dict[str, str]:
    """The libraries that the transforms *names* need, with their releases; UsageError where one is
    not installed."""
    kiwis = [name for name in names if TEXT_TRANSFORMS[name].startswith(korean.__name__)]
    if not kiwis:
        return {}
    korean.check_kiwi(f"clean: {kiwis[0]}")
    return {korean.KIWI: korean.kiwi_release()}


def cleaned(table: Table, names: Sequence[str]) -> Table:
    """*table* with the transforms *names* of the registry done to every text, in that order."""
    texts = table.texts.copy()
    for transform in map(_transform, names):
        known = {text: transform(text) for text in dict.fromkeys(texts.ravel().tolist())}
        texts = np.array([[known[text] for text in row] for row in texts], dtype=object)
    return replace(table, texts=texts.reshape(table.texts.shape))


def _transform(name: str) -> Transform:
    found: Transform = load(TEXT_TRANSFORMS[name])
    return found


def seen_tables(
    names: Sequence[str], view: View | None, separator: str
) -> Callable[[Table], Table]:
    """Tables as a learner sees them: through the template of *view*, every text cleaned."""
    if view is None:
        return lambda table: cleaned(table, names)
    shown, transforms = view, [_transform(name) for name in names]

    def change(text: str) -> str:
        for transform in transforms:
            text = transform(text)
        return text

    return lambda table: shown(table, separator, change if transforms else None)


class SeenFactory(WrappedFactory):
    """A `LearnerFactory` whose learners see cleaned texts, or a template of them; all else is that
    of *inner*."""

    def __init__(
        self, inner: LearnerFactory, names: Sequence[str] = (), view: View | None = None
    ) -> None:
        super().__init__(inner)
        self.seen = seen_tables(names, view, inner.separator() if view is not None else "")

    def prepare(self, tables: Sequence[Table], watch: Watch) -> str:
        """Prepare the texts as they are seen."""
        return self.inner.prepare([self.seen(table) for table in tables], watch)

    def make(self, seed: int) -> "SeeingLearner":
        """A fresh learner."""
        return SeeingLearner(self.inner.make(seed), self.seen)

    def load(self, folder: Path) -> "SeeingLearner":
        """The learner that `save` wrote."""
        return SeeingLearner(self.inner.load(folder), self.seen)

    def changed(self, **settings: Any) -> "SeenFactory":
        """The same with other *settings* of the recipe, for factories that can be changed."""
        other = copy(self)
        other.inner = self.inner.changed(**settings)  # type: ignore[attr-defined]
        return other

    def seeds_matter(self, train: Table) -> bool:
        """Whether they matter to the factory within."""
        return self.inner.seeds_matter(self.seen(train))


class SeeingLearner:
    """A `Learner` that is fitted on tables as they are *seen*, and predicts them."""

    def __init__(self, inner: Learner, seen: Callable[[Table], Table]) -> None:
        self.inner, self.seen = inner, seen

    @property
    def facts(self) -> dict[str, Any]:
        """Those of the learner within."""
        return self.inner.facts

    def start_from(self, folder: Path) -> None:
        """Start from the weights that another learner saved there."""
        self.inner.start_from(folder)  # type: ignore[attr-defined]

    def fit(
        self, train: Table, workspace: Workspace, watch: Watch, rate_scale: float = 1.0
    ) -> None:
        """Learn from *train* as it is seen."""
        self.inner.fit(self.seen(train), workspace, watch, rate_scale)

    def predict(self, table: Table, watch: Watch) -> np.ndarray:
        """(len(table), k) float32."""
        return self.inner.predict(self.seen(table), watch)

    def keep_below(self, folder: Path) -> None:
        """Hand on where to keep predictions that are not finished."""
        if isinstance(self.inner, Resuming):
            self.inner.keep_below(folder)

    def save(self, folder: Path) -> None:
        """Save the learner within; how tables are seen stands in recipe and config."""
        self.inner.save(folder)
