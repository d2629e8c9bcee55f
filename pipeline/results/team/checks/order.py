"""Are the classes in our order?

The file's column of a class should be likeliest where that class is right. The assignment of
columns to classes that fits the labels best (Hungarian method on mean probabilities) should
therefore be the identity; where it is another one and gains clearly, columns were swapped, as
happens when another tool numbers the classes in another order.
"""

from collections.abc import Iterator

import numpy as np
from scipy.optimize import linear_sum_assignment

from pipeline.results.team.finding import Finding, out
from pipeline.results.team.subject import Subject

CLEARLY = 0.05  # mean probability of the right class that the other order gains


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
    present = np.bincount(truth, minlength=len(classes))
    fits = np.stack(
        [
            predicted[truth == c].sum(axis=0) if n else np.zeros(len(classes))
            for c, n in enumerate(present)
        ]
    )
    columns = linear_sum_assignment(-fits)[1]
    gained = float(fits[np.arange(len(classes)), columns].sum() - np.trace(fits)) / len(truth)
    swapped = [c for c in np.flatnonzero(columns != np.arange(len(classes))) if present[c]]
    if gained <= CLEARLY or not swapped:
        return
    told = ", ".join(f"{classes[columns[c]]} predicts {classes[c]}" for c in swapped[:5])
    yield out(
        "order",
        f"the columns are in another order than the classes: {told}. Rename the columns after the "
        "classes they predict",
    )
