"""Rows with equal texts and unlike labels: does the file tell them apart?

Such rows differ by the noise of their labels and by nothing that a learner reads, so predictions
that differ between them may follow the labels by chance only. Within each set of twins both are
centred, and the sets in which they agree (the sum of their products is above 0) are counted against
those in which they do not: a sign test (bound 4 standard errors; out from 8). Where twins lie in
different folds, an honest prediction even leans to the other twin's label, which is on the safe
side. It finds labels that were mixed into predictions; a learner that was trained on all rows gives
equal texts equal predictions and passes.

The same twins tell the noise of the labels, and with it a ceiling: a squared error of less than
half of it, three standard errors aside, leaves out-of-fold rows no room for noise.
"""

from collections.abc import Iterator

import numpy as np

from pipeline.setup import code
from pipeline.team.candidate_view import CandidateView, Finding, ok, out, unproven

BOUND, OUT = 4.0, 8.0
FEWEST = 10  # sets of twins with unlike labels
ERRORS = 3.0
EQUAL = 1e-9  # products of what printing and summing leave of equal predictions


def check(subject: CandidateView) -> Iterator[Finding]:
    """Twins that are told apart, and an error below the noise of the labels."""
    if not subject.known.all():
        return
    if subject.contest.kind.units:
        yield ok("twins", "not checked: equal units are told apart by what stands around them")
        return
    set_of_row = twins(subject)
    rows = np.flatnonzero(set_of_row >= 0)
    sets = len(np.unique(set_of_row[rows]))
    if sets < FEWEST:
        yield ok("twins", f"not checked: {sets} sets of rows with equal texts and unlike labels")
        return
    number = np.unique(set_of_row[rows], return_inverse=True)[1]
    guess = _within(subject.oof[rows], number)
    truth = _within(subject.target[rows], number)
    products = np.bincount(number, weights=(guess * truth).sum(axis=1))
    signs = np.sign(np.where(np.abs(products) > EQUAL, products, 0.0))
    follows = float(signs.sum() / np.sqrt(max((signs != 0).sum(), 1)))
    told = f"{sets} sets of rows with equal texts and unlike labels"
    if follows > BOUND:
        grade = f"{told}: its predictions follow the labels within them ({follows:.1f} errors)"
        yield (
            out("twins", f"{grade}: no learner can tell such rows apart")
            if follows > OUT
            else unproven("twins", f"{grade}: were labels mixed in?", "labels")
        )
        return
    yield ok("twins", f"{told}: not told apart ({follows:+.1f} errors, bound {BOUND:g})")
    yield from _ceiling(subject, truth, number)


def _ceiling(subject: CandidateView, truth: np.ndarray, number: np.ndarray) -> Iterator[Finding]:
    """Squared errors that are smaller than the noise of the labels."""
    sizes = np.bincount(number)
    of_set = np.bincount(number, weights=(truth**2).sum(axis=1))
    noise = float(of_set.sum() / (sizes - 1).sum())
    doubt = float(np.sqrt(((of_set - noise * (sizes - 1)) ** 2).sum()) / (sizes - 1).sum())
    squared = float(((subject.oof - subject.target) ** 2).sum(axis=1).mean())
    if squared < (noise - ERRORS * doubt) / 2:
        yield unproven(
            "twins",
            f"its squared error is {squared:.3g}, but labels of rows with equal texts differ with "
            f"a variance of {noise:.3g} (± {doubt:.2g}): it fits their noise",
            "labels",
        )


def _within(values: np.ndarray, number: np.ndarray) -> np.ndarray:
    """(r, k) *values* minus the mean of their set."""
    sizes = np.bincount(number)[:, None]
    means = np.stack([np.bincount(number, weights=column) for column in values.T], axis=1) / sizes
    return np.asarray(values - means[number])


def twins(subject: CandidateView) -> np.ndarray:
    """(n,) the number of each row's set of twins, -1 for rows that have none.

    Twins have equal texts on the same sides, equal columns.features and are not all of one label.
    """
    train = subject.contest.tables.train.in_order(subject.contest.folds.ids)
    codes = code([train.texts])[0]
    features = [
        np.unique(column.astype(str), return_inverse=True)[1] for column in train.features.values()
    ]
    keys = np.stack([codes.ordered, *features], axis=1)
    number = np.unique(keys, axis=0, return_inverse=True)[1].ravel()
    spread = np.zeros(number.max() + 1)
    for column in subject.target.T:
        low, high = np.full(len(spread), np.inf), np.full(len(spread), -np.inf)
        np.minimum.at(low, number, column)
        np.maximum.at(high, number, column)
        spread = np.maximum(spread, high - low)
    return np.where((spread[number] > 0) & codes.filled, number, -1)
