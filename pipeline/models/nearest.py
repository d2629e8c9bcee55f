"""The learner `nearest`: the answers of the training inputs that are most like a row.

Inputs are compared by the cosine of their TF-IDF vectors, of word and character n-grams. What is
written for a row are the right answers of its nearest inputs, word for word: nothing is trained,
and whatever writes texts of its own should do better. Seconds per fold.

A candidate's probability is that of its input, the softmax of likeness over temperature, in equal
parts for the input's answers. Of these, the one most like the row itself comes first.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy import sparse

from pipeline.base import ArtifactError, Competition, UsageError, raise_if, read_json
from pipeline.base.files import commit_json, commit_text, sha256
from pipeline.base.paths import Workspace
from pipeline.data import Table
from pipeline.data.candidates import Candidates
from pipeline.models.learner import Engine, LearnerFactory, Watch
from pipeline.models.settings import TextTransform

VERSION = 1
"""Of how inputs are compared."""
CELLS = 2**22
"""Likenesses that are held at once: rows times answers."""


@dataclass(frozen=True, kw_only=True)
class NearestRecipe:
    """The answers of the nearest training inputs by TF-IDF."""

    name: str = "nearest"
    """The recipe's name; names the run."""
    learner: Literal["nearest"] = "nearest"
    """Which kind of learner reads this file."""
    word_ngrams: tuple[int, int] = (1, 2)
    """Shortest and longest word n-gram."""
    char_ngrams: tuple[int, int] = (2, 4)
    """Shortest and longest character n-gram, within words."""
    inputs: int = 3
    """How many of the nearest inputs give their answers."""
    candidates: int = 16
    """Answers that are kept for a row, at most."""
    temperature: float = 0.05
    """How fast likeness counts for less: small numbers trust the nearest input alone."""
    clean: list[TextTransform] = field(default_factory=list)
    """What is done to every text first, in this order: nfkc, collapse-spaces, lower."""
    template: list[str] = field(default_factory=list)
    """What the learner reads of a row: "{title} [SEP] {text}"; two for pairs. Empty: what the
    competition's config says (columns.template)."""
    source: str = ""
    """Where the settings come from."""

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {list(pair)}; expected the shortest, at least 1, and the longest"
            for name, pair in (("word_ngrams", self.word_ngrams), ("char_ngrams", self.char_ngrams))
            if not 1 <= pair[0] <= pair[1]
        ]
        for name, value in (("inputs", self.inputs), ("candidates", self.candidates)):
            if value < 1:
                problems.append(f"{name} is {value}; it must be at least 1")
        if not self.temperature > 0:
            problems.append(f"temperature is {self.temperature}; it must be above 0")
        raise_if(problems, UsageError, f"the settings of {self.name!r} do not hold")

    def in_words(self, precision: str) -> str:
        """What is compared and kept."""
        return (
            f"answers of the {self.inputs} nearest inputs by TF-IDF, up to {self.candidates} a row"
        )


class NearestFactory(LearnerFactory):
    """Its learners share nothing."""

    def __init__(self, recipe: NearestRecipe) -> None:
        self.recipe = recipe

    def facts(self) -> dict[str, Any]:
        """What all folds share."""
        return {"device": "cpu", "precision": "fp64", "version": VERSION}

    def make(self, seed: int) -> "NearestLearner":
        """A fresh learner; nothing in it is drawn."""
        return NearestLearner(self)

    def load(self, folder: Path) -> "NearestLearner":
        """The learner that `NearestLearner.save` wrote."""
        return NearestLearner.restore(self, folder)

    def seeds_matter(self, train: Table) -> bool:
        """Never."""
        return False


def make_factory(recipe: NearestRecipe, competition: Competition, engine: Engine) -> NearestFactory:
    """The factory of a run; it needs nothing of the competition or the *engine*."""
    return NearestFactory(recipe)


class NearestLearner:
    """A `pipeline.models.learner.Learner`."""

    def __init__(self, factory: NearestFactory) -> None:
        self.factory = factory
        self.facts: dict[str, Any] = {}
        self.inputs: list[str] = []
        self.answers: list[list[str]] = []

    def fit(
        self, train: Table, workspace: Workspace, watch: Watch, rate_scale: float = 1.0
    ) -> None:
        """Remember *train* and its answers."""
        assert train.references is not None, "the training part has its answers"
        watch.phase("train", 1)
        self._remember(_inputs(train), [list(each) for each in train.references])
        self.facts = {"inputs": len(self.inputs), "answers": sum(map(len, self.answers))}
        watch.advance(rows=len(train))

    def _remember(self, inputs: list[str], answers: list[list[str]]) -> None:
        """Take these, and make the vectors of inputs and answers."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        recipe = self.factory.recipe
        self.inputs, self.answers = inputs, answers
        self.families = [
            TfidfVectorizer(analyzer="word", token_pattern=r"\S+", ngram_range=recipe.word_ngrams),
            TfidfVectorizer(analyzer="char_wb", ngram_range=recipe.char_ngrams, sublinear_tf=True),
        ]
        for family in self.families:
            family.fit(inputs)
        self.known = self._vectors(inputs)
        self.said = self._vectors([text for each in answers for text in each])
        self.first = np.cumsum([0, *map(len, answers)])

    def _vectors(self, texts: Sequence[str]) -> sparse.csr_array:
        """(n, f) of length 1, or 0 where nothing is known of a text."""
        return sparse.csr_array(
            sparse.hstack([family.transform(texts) for family in self.families])
        ) / np.sqrt(len(self.families))

    def predict(self, table: Table, watch: Watch) -> Candidates:
        """The answers of the nearest inputs, the likeliest first."""
        assert self.inputs, "fit before predict"
        watch.phase("predict", len(table))
        texts: list[list[str]] = []
        logs: list[list[float]] = []
        asked, size = _inputs(table), max(CELLS // self.said.shape[0], 1)
        for start in range(0, len(asked), size):
            rows = self._vectors(asked[start : start + size])
            pairs = zip(
                *((rows @ each.T).toarray() for each in (self.known, self.said)), strict=True
            )
            for inputs, answers in pairs:
                found = self._candidates(inputs, answers)
                texts.append([text for text, _ in found])
                logs.append([log for _, log in found])
            watch.advance(rows.shape[0], rows=rows.shape[0])
        return Candidates(texts, logs)

    def _candidates(self, alike: np.ndarray, likes: np.ndarray) -> list[tuple[str, float]]:
        """Answers and their log-probabilities for one row, given how much it is *alike* each
        training input (n,), and *likes* each of their answers."""
        recipe = self.factory.recipe
        nearest = np.argsort(-alike, kind="stable")[: recipe.inputs]
        scores = alike[nearest] / recipe.temperature
        weights = np.exp(scores - scores.max())
        found: dict[str, float] = {}
        for place, weight in zip(nearest.tolist(), weights / weights.sum(), strict=True):
            own = self.answers[place]
            order = np.argsort(-likes[self.first[place] : self.first[place + 1]], kind="stable")
            for which in order.tolist():
                found[own[which]] = found.get(own[which], 0.0) + weight / len(own)
        chosen = sorted(found.items(), key=lambda each: -each[1])[: recipe.candidates]
        return [(text, float(np.log(max(weight, TINY)))) for text, weight in chosen]

    def save(self, folder: Path) -> None:
        """Write nearest.jsonl, a line per training row, then nearest.json."""
        assert self.inputs, "fit before save"
        lines = [
            json.dumps({"input": text, "answers": answers}, ensure_ascii=False) + "\n"
            for text, answers in zip(self.inputs, self.answers, strict=True)
        ]
        digest = commit_text(folder / "nearest.jsonl", "".join(lines))
        commit_json(
            folder / "nearest.json", {"version": VERSION, "sha256": digest, "facts": self.facts}
        )

    @classmethod
    def restore(cls, factory: NearestFactory, folder: Path) -> "NearestLearner":
        """The learner saved in *folder*; ArtifactError where it is damaged or not of VERSION."""
        content, path = read_json(folder / "nearest.json"), folder / "nearest.jsonl"
        if (found := content.get("version")) != VERSION:
            raise ArtifactError(f"{folder} was saved by version {found}, this one is {VERSION}")
        if not path.exists() or sha256(path) != content.get("sha256"):
            raise ArtifactError(f"{path} is missing, or not the file that was saved")
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        learner = cls(factory)
        learner._remember([row["input"] for row in rows], [row["answers"] for row in rows])
        learner.facts = content["facts"]
        return learner


TINY = 1e-30


def _inputs(table: Table) -> list[str]:
    """The texts of each row as one."""
    return ["\n".join(row) for row in table.texts.tolist()]
