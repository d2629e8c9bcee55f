"""Are the classes, or the targets, in our order?

The file's column of a class should be larger where that class is right, and that of a target where
the target is. The assignment of columns to classes that fits the labels best (Hungarian method on
their correlations, so that it does not matter how sure the model is) should therefore be the
identity; where it is another one and gains clearly, columns were swapped, as happens when another
tool numbers the classes in another order.
"""

from collections.abc import Iterator

import numpy as np
from scipy.optimize import linear_sum_assignment

from pipeline.team.candidate_view import CandidateView, Finding, out

CLEARLY = 0.1  # correlation that every swapped class gains by the other order, on average
CHANCE = 4.0  # … in standard errors of a correlation


def check(subject: CandidateView) -> Iterator[Finding]:
    """Columns in another order than the classes or targets; a binary file turned round."""
    rows, kind = subject.known, subject.contest.kind
    if rows.sum() < 2:
        return
    predicted, names = subject.oof[rows], subject.contest.competition.outputs
    if kind.named_classes:
        names = subject.contest.competition.task.classes
        right = (subject.contest.truth[rows, :1] == np.arange(len(names))).astype(float)
        predicted = kind.by_class(predicted)
    else:
        right = subject.target[rows]
    fits = _correlations(predicted, right)
    columns = linear_sum_assignment(-fits)[1]
    present = np.ptp(right, axis=0) > 0
    swapped = [c for c in np.flatnonzero(columns != np.arange(len(names))) if present[c]]
    gained = [fits[c, columns[c]] - fits[c, c] for c in swapped]
    if not swapped or np.mean(gained) <= max(CLEARLY, CHANCE / np.sqrt(len(right))):
        return
    told = ", ".join(f"{names[columns[c]]} predicts {names[c]}" for c in swapped[:5])
    what = kind.column_word
    yield out(
        "order",
        f"the columns are in another order than the {what}: {told}. Rename the columns after the "
        f"{what} they predict",
    )


def _correlations(predicted: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(c, c) of class or target i with the prediction for j; 0 where either never changes."""
    a, b = right - right.mean(axis=0), predicted - predicted.mean(axis=0)
    scale = np.outer(np.sqrt((a**2).sum(axis=0)), np.sqrt((b**2).sum(axis=0)))
    return np.divide(a.T @ b, scale, out=np.zeros_like(scale), where=scale > 0)
