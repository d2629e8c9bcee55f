"""Are the classes in our order?

The file's column of a class should be larger where that class is right. The assignment of columns
to classes that fits the labels best (Hungarian method on their correlations, so that it does not
matter how sure the model is) should therefore be the identity; where it is another one and gains
clearly, columns were swapped, as happens when another tool numbers the classes in another order.
"""

from collections.abc import Iterator

import numpy as np
from scipy.optimize import linear_sum_assignment

from pipeline.results.team.finding import Finding, out
from pipeline.results.team.subject import Subject

CLEARLY = 0.1  # correlation that every swapped class gains by the other order, on average
CHANCE = 4.0  # … in standard errors of a correlation


def check(subject: Subject) -> Iterator[Finding]:
    """Classes of a multiclass problem in another order; a binary one turned round."""
    rows, problem = subject.known, subject.contest.problem
    if problem not in ("multiclass", "binary") or rows.sum() < 2:
        return
    predicted = subject.oof[rows]
    truth = subject.contest.truth[rows, 0].astype(int)
    if problem == "binary":
        predicted = np.hstack([1 - predicted, predicted])
    classes = subject.contest.competition.task.classes
    fits = _correlations(predicted, truth)
    columns = linear_sum_assignment(-fits)[1]
    present = np.bincount(truth, minlength=len(classes))
    swapped = [c for c in np.flatnonzero(columns != np.arange(len(classes))) if present[c]]
    gained = [fits[c, columns[c]] - fits[c, c] for c in swapped]
    if not swapped or np.mean(gained) <= max(CLEARLY, CHANCE / np.sqrt(len(truth))):
        return
    told = ", ".join(f"{classes[columns[c]]} predicts {classes[c]}" for c in swapped[:5])
    yield out(
        "order",
        f"the columns are in another order than the classes: {told}. Rename the columns after the "
        "classes they predict",
    )


def _correlations(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(c, c) of being class i with the prediction for class j; 0 where either never changes."""
    right = truth[:, None] == np.arange(predicted.shape[1])
    a, b = right - right.mean(axis=0), predicted - predicted.mean(axis=0)
    scale = np.outer(np.sqrt((a**2).sum(axis=0)), np.sqrt((b**2).sum(axis=0)))
    return np.divide(a.T @ b, scale, out=np.zeros_like(scale), where=scale > 0)
