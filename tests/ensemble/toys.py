"""Members made of the truth plus noise, one kind per problem, for the tests of the results room."""

from collections.abc import Sequence

import numpy as np

from pipeline.base.config import TaskConfig
from pipeline.ensemble.evidence import Evidence
from pipeline.ensemble.predictor import RowFeatures
from pipeline.metrics.metric import get_metric

CLASSES = ["art", "business", "sport", "world"]
CASES = [
    ("regression", "pearson", 1),
    ("regression", "rmse", 2),
    ("regression", "mae", 1),
    ("binary", "auc", 1),
    ("multiclass", "macro-f1", 1),
    ("multiclass", "log-loss", 1),
    ("multilabel", "f1", 2),
]
"""Problem, metric, and how many target columns."""


def task_of(problem: str, metric: str, **more: object) -> TaskConfig:
    """The task section of a toy competition."""
    classes = {"binary": ["0", "1"], "multiclass": CLASSES}.get(problem, [])
    return TaskConfig(**{"problem": problem, "metric": metric, "classes": classes} | more)


def truth_of(problem: str, n: int, k: int, seed: int = 0) -> np.ndarray:
    """(n, k) targets; (n, 1) class numbers for multiclass."""
    random = np.random.default_rng([seed, 1])
    if problem == "regression":
        return random.uniform(0, 5, size=(n, k))
    if problem == "multiclass":
        return random.integers(len(CLASSES), size=(n, 1)).astype(float)
    return (random.random((n, k)) < 0.4).astype(float)


def member(problem: str, truth: np.ndarray, noise: float, seed: int) -> np.ndarray:
    """(n, k) predictions that know the truth up to *noise*."""
    random = np.random.default_rng([seed, 2])
    if problem == "regression":
        return truth + noise * random.normal(size=truth.shape)
    known = np.eye(len(CLASSES))[truth[:, 0].astype(int)] if problem == "multiclass" else truth
    leaning = (known - 0.5) + noise * random.normal(size=known.shape)
    if problem == "multiclass":
        exponents = np.exp(2 * leaning)
        return exponents / exponents.sum(axis=1, keepdims=True)
    return 1 / (1 + np.exp(-2 * leaning))


def evidence_of(
    problem: str,
    metric: str,
    noises: Sequence[float] = (0.6, 0.8, 1.0, 1.5),
    n: int = 240,
    k: int = 1,
    folds: int = 4,
    seed: int = 0,
) -> Evidence:
    """Evidence of one member per noise; rows in groups of two, no group in two folds."""
    truth = truth_of(problem, n, k, seed)
    oof = [member(problem, truth, noise, 100 * seed + i) for i, noise in enumerate(noises)]
    return gather(problem, metric, oof, truth, folds)


def gather(
    problem: str, metric: str, oof: list[np.ndarray], truth: np.ndarray, folds: int = 4
) -> Evidence:
    """Evidence of these members: rows in pairs, dealt out to the folds in turn."""
    group_of_row = np.arange(len(truth)) // 2
    return Evidence.gather(
        [f"m{i}" for i in range(len(oof))],
        oof,
        truth,
        group_of_row % folds,
        group_of_row,
        get_metric(metric, task_of(problem, metric)),
        problem,
        facts(len(truth)),
    )


def facts(n: int) -> RowFeatures:
    """Facts about n pairs of texts from two sources and a few rows of neither."""
    random = np.random.default_rng(3)
    texts = np.array([["ab " * int(size), "ab cd"] for size in random.integers(1, 9, n)], object)
    return RowFeatures(texts, random.choice([0, 0, 1, 1, -1], size=n), ["news", "talk"], "source")
