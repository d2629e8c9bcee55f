"""The learner `crf`: a linear-chain conditional random field over the units of a document.

Lafferty, McCallum & Pereira, "Conditional Random Fields", ICML 2001, as the library CRFsuite fits
them (Okazaki, https://www.chokkan.org/software/crfsuite, through python-crfsuite). It sees the
units around each unit alone and in n-grams, the word that it stands in (of characters) or its
beginnings and endings (of words), and their shapes: digits, letters, capitals. No download, no
GPU; what it says of a unit is the probability of each tag given the whole document.
"""

import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from pipeline.base import ArtifactError, Competition, UsageError, raise_if, read_json
from pipeline.base.files import commit_bytes, commit_json, sha256
from pipeline.base.paths import Workspace
from pipeline.data import Table
from pipeline.models.learner import Engine, LearnerFactory, Watch
from pipeline.models.settings import RowStep, TextTransform, row_problems

if TYPE_CHECKING:
    from pycrfsuite import BaseTrainer

VERSION = 1
"""Of the inputs: a model reads no others."""
EDGE = "\x02"
"""In place of a unit before the first and behind the last."""


@dataclass(frozen=True, kw_only=True)
class CrfRecipe:
    """A conditional random field on units, their n-grams, words and shapes."""

    name: str = "crf"
    """The recipe's name; names the run."""
    learner: Literal["crf"] = "crf"
    """Which kind of learner reads this file."""
    window: int = 2
    """Units on either side that are looked at."""
    ngrams: int = 3
    """Longest n-gram of units within the window."""
    affixes: int = 4
    """Of units that are words: longest beginning and ending, in characters."""
    least: int = 1
    """How often an input occurs with a tag, at least, to be weighed."""
    l1: float = 0.0
    """Penalty on the weights' absolute values."""
    l2: float = 0.1
    """Penalty on their squares."""
    iterations: int = 60
    """Steps of L-BFGS at most."""
    clean: list[TextTransform] = field(default_factory=list)
    """Not for tags: it would move the places of units."""
    template: list[str] = field(default_factory=list)
    """Not for tags."""
    rows: list[RowStep] = field(default_factory=list)
    """What is made of the training documents in a fold, such as [entity-swap]; docs/craft.md."""
    source: str = ""
    """Where the settings come from."""

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {value}; it must be at least {lowest}"
            for name, value, lowest in (
                ("window", self.window, 1),
                ("ngrams", self.ngrams, 1),
                ("affixes", self.affixes, 1),
                ("least", self.least, 1),
                ("l1", self.l1, 0),
                ("l2", self.l2, 0),
                ("iterations", self.iterations, 1),
            )
            if not value >= lowest
        ]
        for name in ("clean", "template"):
            if getattr(self, name):
                problems.append(f"{name} is set, but tags belong to the units as they are")
        problems += row_problems(self.rows)
        raise_if(problems, UsageError, f"the settings of {self.name!r} do not hold")

    def in_words(self, precision: str) -> str:
        """Its inputs and steps."""
        return (
            f"conditional random field, {self.window} units on either side, n-grams up to "
            f"{self.ngrams}, at most {self.iterations} steps over all documents"
        )


def inputs_of(units: Sequence[str], recipe: CrfRecipe) -> list[list[str]]:
    """What the field sees of each unit of a document.

    >>> recipe = CrfRecipe(window=1, ngrams=1)
    >>> inputs_of(["7", "월"], recipe)[0]
    ['0', '-1:\\x02', '0:7', '1:월', 's:.9x', 'w:7월', 'w0:7월', 'p:7', 'q:7월']
    """
    reach, edges = recipe.window, [EDGE] * recipe.window
    padded = [*edges, *units, *edges]
    shapes = [shape_of(unit) for unit in padded]
    found: list[list[str]] = []
    for place in range(len(units)):
        here = place + reach
        seen = ["0"]
        for size in range(1, recipe.ngrams + 1):
            for start in range(here - reach, here + reach + 2 - size):
                gram = "\x03".join(padded[start : start + size])
                seen.append(f"{start - here}{'+' * (size - 1)}:{gram}")
        seen.append(f"s:{''.join(shapes[here - reach : here + reach + 1])}")
        found.append(seen)
    if all(len(unit) == 1 for unit in units):
        _add_words(units, found)
    else:
        _add_affixes(units, recipe.affixes, found)
    return found


def _add_words(units: Sequence[str], found: list[list[str]]) -> None:
    """Of characters: the word that each stands in, and what of it lies before and behind."""
    start = 0
    for end in range(len(units) + 1):
        if end < len(units) and not units[end].isspace():
            continue
        word = "".join(units[start:end])
        for place in range(start, end):
            at = place - start
            found[place] += [
                f"w:{word}",
                f"w{min(at, 9)}:{word}",
                f"p:{word[: at + 1]}",
                f"q:{word[at:]}",
            ]
        start = end + 1


def _add_affixes(units: Sequence[str], longest: int, found: list[list[str]]) -> None:
    """Of words: each in small letters, its beginnings, endings and whole shape."""
    for unit, seen in zip(units, found, strict=True):
        seen.append(f"l:{unit.lower()}")
        seen.append(f"S:{''.join(map(shape_of, unit))}")
        for size in range(1, min(longest, len(unit)) + 1):
            seen += [f"p:{unit[:size]}", f"q:{unit[-size:]}"]


def shape_of(unit: str) -> str:
    """One sign for what kind of text a unit is: of its first character, doubled by its length.

    >>> [shape_of(unit) for unit in ("7", "a", "B", "월", " ", ";", EDGE)]
    ['9', 'a', 'A', 'x', ' ', ';', '.']
    """
    first = unit[:1]
    if first == EDGE:
        return "."
    if first.isdigit():
        return "9"
    if first.isspace():
        return " "
    if not first.isalpha():
        return first
    return "A" if first.isupper() else "a" if first.islower() else "x"


class CrfFactory(LearnerFactory):
    """Its learners share nothing."""

    def __init__(self, recipe: CrfRecipe, outputs: Sequence[str]) -> None:
        """*outputs* (k,) are the names of the tags."""
        self.recipe, self.outputs = recipe, list(outputs)

    def facts(self) -> dict[str, Any]:
        """What all folds share."""
        return {"device": "cpu", "precision": "fp64", "inputs": self.inputs}

    @property
    def inputs(self) -> dict[str, Any]:
        """The settings of what the field sees, for the saved model."""
        recipe = self.recipe
        seen = {name: getattr(recipe, name) for name in ("window", "ngrams", "affixes")}
        return {"version": VERSION, **seen, "outputs": self.outputs}

    def prepare(self, tables: Sequence[Table], watch: Watch) -> str:
        """A line about documents and units."""
        rows = sum(map(len, tables))
        count = sum(len(table.units.documents) for table in tables if table.units)
        return f"{count:,} documents, {rows:,} units, {rows / max(count, 1):.0f} per document"

    def make(self, seed: int) -> "CrfLearner":
        """A fresh learner; nothing in it is drawn."""
        return CrfLearner(self)

    def load(self, folder: Path) -> "CrfLearner":
        """The learner that `CrfLearner.save` wrote."""
        return CrfLearner.restore(self, folder)

    def seeds_matter(self, train: Table) -> bool:
        """Never: L-BFGS starts at zero."""
        return False

    def disk_bytes(self) -> int:
        """A generous estimate."""
        return 60_000_000


def make_factory(recipe: CrfRecipe, competition: Competition, engine: Engine) -> CrfFactory:
    """The factory of a run; it needs nothing of the *engine*."""
    return CrfFactory(recipe, competition.outputs)


class CrfLearner:
    """A `pipeline.models.learner.Learner`."""

    def __init__(self, factory: CrfFactory) -> None:
        self.factory = factory
        self.facts: dict[str, Any] = {}
        self.model = b""

    def fit(
        self, train: Table, workspace: Workspace, watch: Watch, rate_scale: float = 1.0
    ) -> None:
        """Learn from *train*, a table of units with their tags."""
        assert train.targets is not None, "the training part is labelled"
        assert train.units is not None, "a table of units"
        recipe, documents = self.factory.recipe, train.units.documents
        tags = train.targets[:, 0].astype(int).astype(str)
        facts = {"documents": len(documents), "units": len(train)}
        self._fit(
            (
                (inputs_of(train.texts[rows, 0].tolist(), recipe), tags[rows].tolist())
                for rows in documents
            ),
            facts,
            watch,
        )

    def _fit(
        self,
        documents: Iterable[tuple[list[list[str]], list[str]]],
        facts: dict[str, Any],
        watch: Watch,
    ) -> None:
        """Learn from the inputs and tags of *documents*."""
        started, recipe = time.monotonic(), self.factory.recipe
        watch.phase("train", recipe.iterations)
        trainer = _trainer(watch)
        trainer.select("lbfgs")
        settings = {
            "c1": recipe.l1,
            "c2": recipe.l2,
            "max_iterations": recipe.iterations,
            "feature.minfreq": recipe.least,
        }
        for name, value in settings.items():
            trainer.set(name, value)
        for inputs, tags in documents:
            trainer.append(inputs, tags)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model"
            trainer.train(str(path))
            self.model = path.read_bytes()
        self.facts = {
            **facts,
            "model_bytes": len(self.model),
            "seconds_fit": round(time.monotonic() - started, 3),
        }

    def predict(self, table: Table, watch: Watch) -> np.ndarray:
        """(len(table), k) the probability of each tag given its whole document."""
        from pycrfsuite import Tagger

        assert self.model, "fit before predict"
        assert table.units is not None, "a table of units"
        tagger = Tagger()
        tagger.open_inmemory(self.model)
        names = tagger.labels()
        columns = [int(name) for name in names]
        found = np.zeros((len(table), len(self.factory.outputs)))
        documents = table.units.documents
        watch.phase("predict", len(documents))
        for document in documents:
            units = table.texts[document, 0].tolist()
            tagger.set(inputs_of(units, self.factory.recipe))
            found[document, columns] = [
                [tagger.marginal(name, place) for name in names] for place in range(len(units))
            ]
            watch.advance(rows=len(units))
        tagger.close()
        return np.asarray(found / found.sum(axis=1, keepdims=True), dtype=np.float32)

    def save(self, folder: Path) -> None:
        """Write crf.model, CRFsuite's own format, then crf.json."""
        assert self.model, "fit before save"
        digest = commit_bytes(folder / "crf.model", self.model)
        content = {"inputs": self.factory.inputs, "sha256": digest, "facts": self.facts}
        commit_json(folder / "crf.json", content)

    @classmethod
    def restore(cls, factory: CrfFactory, folder: Path) -> Self:
        """The learner saved in *folder*; ArtifactError where it is damaged or of another recipe."""
        content, path = read_json(folder / "crf.json"), folder / "crf.model"
        if (found := content.get("inputs")) != factory.inputs:
            raise ArtifactError(
                f"{folder} was saved with {found}, but the recipe asks for {factory.inputs}"
            )
        if not path.exists() or sha256(path) != content.get("sha256"):
            raise ArtifactError(f"{path} is missing, or not the file that was saved")
        learner = cls(factory)
        learner.facts, learner.model = content["facts"], path.read_bytes()
        return learner


def _trainer(watch: Watch) -> "BaseTrainer":
    """A trainer of CRFsuite that tells of each step."""
    from pycrfsuite import BaseTrainer

    class Trainer(BaseTrainer):
        def message(self, message: str) -> None:
            """CRFsuite's log, a piece at a time."""
            if message.startswith("***** Iteration"):
                watch.advance()

    return Trainer()
