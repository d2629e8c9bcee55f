"""Quadratic weighted kappa of numbers that are still to be cut: what blends are judged by.

Plain rounding judges numbers by their spread. A careful model stays near the mean, so that few of
its predictions round to the outer labels; cut points, which come after the blend, mend that. Judged
by rounding the wrong member, or method, would win. So members and methods are compared with cuts
that give as many predictions of each label as there are rows that have it: the order of the
predictions decides, as it will. These cuts know the shares of labels among the rows that are
scored, nothing else of them; the score of the file itself is that of cut points fitted without them
(`decisions`).
"""

from dataclasses import replace

import numpy as np

from pipeline.metrics.metric import Metric, MetricError
from pipeline.problems.registry import problem_of


def judging(metric: Metric) -> Metric:
    """The metric that blends are fitted, compared and chosen by where *metric* scores the file."""
    if not problem_of(metric.problem).numeric or metric.needs != "label":
        return metric
    return replace(metric, cuts=cut)


def cut(truth: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """(n, k) labels for predictions *guess* (n, k), of each as many as in *truth*; ties together.

    >>> cut(np.array([[0.0], [0.0], [1.0], [2.0]]), np.array([[0.4], [0.1], [0.5], [0.6]])).ravel()
    array([0., 0., 1., 2.])
    """
    if (truth != np.rint(truth)).any():
        raise MetricError("the targets are not whole numbers, so there are no labels to cut at")
    if (np.ptp(guess, axis=0) == 0).any():
        raise MetricError("all predictions are the same")
    return np.stack(list(map(_cut_column, truth.T, guess.T)), axis=1)


def _cut_column(truth: np.ndarray, guess: np.ndarray) -> np.ndarray:
    labels, counts = np.unique(truth, return_counts=True)
    first = np.sort(guess)[np.cumsum(counts)[:-1]]  # of each label but the lowest
    return np.asarray(labels[np.searchsorted(first, guess, side="right")])
