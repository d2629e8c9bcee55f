"""The built-in members `linear` and `naive-bayes` against plain scikit-learn pipelines: quality
beside seconds.

Part of `python -m benchmarks.training.linear`.

Each set is cut at random, a quarter held out, once per seed; every contender gets the same rows.
The pipelines: TF-IDF of words (1-2) and characters (1-5), sublinear, under
LogisticRegression(C=10), LinearSVC or ComplementNB(alpha=0.3) for classes; for pairs Ridge on the
products and differences of the two texts' TF-IDF, and their cosine. Sets of many or uneven classes
are made from what is there: the commonest meanings of the restaurants (a sentence -> which of 77
lists of facts), the source of a sentence, and whether it is from one source that has a twentieth of
the rows. Decided classes are the likeliest ones; *f1* is told twice: of the likelier class, and
(*f1, threshold*) beyond the threshold that is best on three inner folds of the training part, as
`ensemble` decides a binary F1, for every contender.
One thread; seconds of fit and predict, of the process's own time.
"""

import csv
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.naive_bayes import ComplementNB
from sklearn.pipeline import make_union
from sklearn.svm import LinearSVC

from benchmarks.shared.machine import PROJECT
from pipeline.base.config import TaskConfig
from pipeline.base.paths import Workspace
from pipeline.data.table import Table
from pipeline.models.learner import Silent
from pipeline.models.linear.learner import LinearFactory
from pipeline.models.recipes import find
from pipeline.models.settings import LinearRecipe

OURS = "linear"
COUNTS = "naive-bayes"


class Set(NamedTuple):
    """Rows of one question."""

    name: str
    metric: str
    """macro-f1, f1, auc or pearson."""
    texts: np.ndarray
    """(n, 1) or (n, 2)."""
    targets: np.ndarray
    """(n,) numbers of classes, or labels."""


def read(folder: Path, name: str) -> list[dict[str, str]]:
    """The rows of a competition's train.csv."""
    with (folder / name / "train.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def classes(name: str, metric: str, texts: list[str], labels: list[str]) -> Set:
    """A set of single texts, its classes numbered in alphabetical order."""
    numbers = {label: number for number, label in enumerate(sorted(set(labels)))}
    rows = np.array(texts, dtype=object)[:, None]
    return Set(name, metric, rows, np.array([numbers[label] for label in labels]))


def pairs(name: str, rows: list[dict[str, str]], first: str, second: str, label: str) -> Set:
    """A set of pairs with a number."""
    texts = np.array([[row[first], row[second]] for row in rows], dtype=object)
    return Set(name, "pearson", texts, np.array([float(row[label]) for row in rows]))


def cut(asked: Set, rows: int) -> Set:
    """At most so many rows, drawn at random."""
    kept = np.random.default_rng(0).permutation(len(asked.targets))[:rows]
    return asked._replace(texts=asked.texts[kept], targets=asked.targets[kept])


def sets(folder: Path) -> list[Set]:
    """All of them."""
    topics, reviews, meals = (read(folder, name) for name in ("ynat", "nsmc", "e2e"))
    english, korean = read(folder, "stsb-en"), read(folder, "klue-sts")
    counted = Counter(row["meaning"] for row in meals).most_common(77)
    common = [row for row in meals if row["meaning"] in dict(counted)]
    sources = [row["source"] for row in english]
    rare = ["1" if source == "deft-news" else "0" for source in sources]
    sentences = [row["sentence1"] for row in english]
    return [
        classes(
            "77 meanings, uneven",
            "macro-f1",
            [row["text"] for row in common],
            [row["meaning"] for row in common],
        ),
        classes("6 sources, uneven", "macro-f1", sentences, sources),
        classes(
            "7 topics, even",
            "macro-f1",
            [row["title"] for row in topics],
            [row["topic"] for row in topics],
        ),
        classes("1 source of 6, rare", "f1", sentences, rare),
        classes(
            "sentiment",
            "auc",
            [row["document"] for row in reviews],
            [row["label"] for row in reviews],
        ),
        pairs("pairs, English", english, "sentence1", "sentence2", "score"),
        pairs("pairs, Korean", korean, "sentence_1", "sentence_2", "label"),
    ]


Contender = Callable[[Set, np.ndarray, np.ndarray], np.ndarray]
"""(set, rows to fit on, rows to predict) -> (h, k) scores of classes, or (h,) numbers."""


def ours(
    asked: Set, fit: np.ndarray, held_out: np.ndarray, recipe: LinearRecipe | None = None
) -> np.ndarray:
    """The built-in member with its default settings, or those of another *recipe*."""
    k = int(asked.targets.max()) + 1
    problem = "binary" if k == 2 else "multiclass"
    if asked.metric == "pearson":
        task, outputs = TaskConfig(problem="regression", metric="pearson"), 1
    else:
        names = [str(number) for number in range(k)]
        task = TaskConfig(problem=problem, metric="accuracy", classes=names)
        outputs = 1 if k == 2 else k
    learner = LinearFactory(recipe or LinearRecipe(), task, outputs).make(0)
    targets = asked.targets[fit, None].astype(float)
    with tempfile.TemporaryDirectory() as folder:
        learner.fit(table(asked.texts[fit], targets), Workspace(Path(folder)), Silent())
    found = learner.predict(table(asked.texts[held_out]), Silent())
    if asked.metric == "pearson":
        return found[:, 0]
    return np.hstack([1 - found, found]) if k == 2 else found


def naive_bayes(asked: Set, fit: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """The recipe of that name."""
    recipe = find(COUNTS, PROJECT)
    assert isinstance(recipe, LinearRecipe)
    return ours(asked, fit, held_out, recipe)


def table(texts: np.ndarray, targets: np.ndarray | None = None) -> Table:
    """Rows as learners take them."""
    return Table(ids=np.arange(len(texts)).astype(str), texts=texts, targets=targets)


def tfidf() -> Any:
    """Words and characters."""
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    return make_union(
        words, TfidfVectorizer(analyzer="char", ngram_range=(1, 5), sublinear_tf=True)
    )


def classifier(model: Any) -> Contender:
    """A pipeline for single texts."""

    def run(asked: Set, fit: np.ndarray, held_out: np.ndarray) -> np.ndarray:
        inputs = tfidf()
        seen = inputs.fit_transform(asked.texts[fit, 0])
        fitted = model().fit(seen, asked.targets[fit])
        rows = inputs.transform(asked.texts[held_out, 0])
        counts = isinstance(fitted, ComplementNB)
        scores = fitted.predict_log_proba(rows) if counts else fitted.decision_function(rows)
        if scores.ndim == 1:
            return np.stack([-scores, scores], axis=1)
        every = np.full((len(held_out), int(asked.targets.max()) + 1), -np.inf)
        every[:, fitted.classes_] = scores
        return every

    return run


def ridge(asked: Set, fit: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """A pipeline for pairs."""
    inputs = tfidf().fit(asked.texts[fit].ravel())

    def features(rows: np.ndarray) -> Any:
        first, second = (inputs.transform(column) for column in asked.texts[rows].T)
        shared = first.multiply(second)
        cosine = sparse.csr_matrix(shared.sum(axis=1))
        return sparse.hstack([shared, abs(first - second), cosine], format="csr")

    fitted = Ridge(alpha=1.0, solver="sparse_cg").fit(features(fit), asked.targets[fit])
    return np.asarray(fitted.predict(features(held_out)))


def contenders(asked: Set) -> dict[str, Contender]:
    """Those that answer the set's question."""
    if asked.metric == "pearson":
        return {OURS: ours, "Ridge": ridge}
    logistic = classifier(lambda: LogisticRegression(C=10, max_iter=300))
    return {
        OURS: ours,
        COUNTS: naive_bayes,
        "LogisticRegression": logistic,
        "LinearSVC": classifier(LinearSVC),
        "ComplementNB": classifier(lambda: ComplementNB(alpha=0.3)),
    }


def score(asked: Set, rows: np.ndarray, found: np.ndarray) -> float:
    """By the set's metric."""
    truth = asked.targets[rows]
    if asked.metric == "pearson":
        return float(np.corrcoef(truth, found)[0, 1])
    if asked.metric == "auc":
        return float(roc_auc_score(truth, found[:, 1]))
    average = "macro" if asked.metric == "macro-f1" else "binary"
    return float(f1_score(truth, found.argmax(axis=1), average=average))


THRESHOLD = "f1, threshold"
INNER = 3


def measured(asked: Set, seed: int, name: str) -> dict[str, Any]:
    """The scores by metric of one contender on one cut, and its seconds."""
    drawn = np.random.default_rng(seed).permutation(len(asked.targets))
    held_out, fit = np.split(drawn, [len(drawn) // 4])
    contender = contenders(asked)[name]
    started = time.process_time()
    found = contender(asked, fit, held_out)
    seconds = time.process_time() - started
    scores = {asked.metric: score(asked, held_out, found)}
    if asked.metric == "f1":
        yes = found[:, 1] - found[:, 0] > threshold(asked, fit, contender)
        scores[THRESHOLD] = float(f1_score(asked.targets[held_out], yes))
    return {"scores": scores, "seconds": seconds}


def threshold(asked: Set, fit: np.ndarray, contender: Contender) -> float:
    """Of the difference of both scores: where F1 is best out of the inner folds of *fit*."""
    said = np.empty(len(fit))
    for inner in range(INNER):
        held_out = np.arange(len(fit)) % INNER == inner
        found = contender(asked, fit[~held_out], fit[held_out])
        said[held_out] = found[:, 1] - found[:, 0]
    order = np.argsort(-said, kind="stable")
    truth, steps = asked.targets[fit][order], -np.sort(-said)
    f1 = 2 * np.cumsum(truth) / (np.arange(1, len(truth) + 1) + truth.sum())
    best = int(f1[:-1].argmax())
    return float(steps[best] + steps[best + 1]) / 2


def lines_of(asked: Set, found: Mapping[str, Iterable[Mapping[str, Any]]]) -> list[str]:
    """The table's lines for one set, from what `measured` said of each contender, by seed."""
    by_name = {name: list(each) for name, each in found.items()}
    lines = []
    for metric in by_name[OURS][0]["scores"]:
        own = [each["scores"][metric] for each in by_name[OURS]]
        for name, each in by_name.items():
            values = [one["scores"][metric] for one in each]
            gains = [mine - other for mine, other in zip(own, values, strict=True)]
            ahead = f"{statistics.fmean(gains):+.4f} (lowest {min(gains):+.4f})"
            spread = f"{min(values):.4f} to {max(values):.4f}"
            lines.append(
                f"| {asked.name} | {len(asked.targets):,} | {metric} | {name} | "
                f"{statistics.fmean(values):.4f} ({spread}) | {ahead * (name != OURS)} | "
                f"{statistics.median(one['seconds'] for one in each):.1f} |"
            )
    return lines
