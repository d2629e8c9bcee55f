"""Cut points: ordered classes by cutting a number, for quadratic weighted kappa.

Kappa is one minus a ratio: squared disagreement over what chance would give. Both are sums over
rows as soon as the labels' total is known, and it enters the second linearly. So for a guess r of
the best ratio, disagreement - r x chance is a sum of one cost per row and class, and its least
value over all cuts of the sorted rows is found exactly by dynamic programming, class by class, in
n x c steps. The ratio of that optimum is the next guess; a handful of rounds reaches the global
optimum (Dinkelbach, "On nonlinear fractional programming", Management Science 13, 1967, p. 492).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.ensemble.decisions.decision import Labelled, Rule

PLACES = 20_000  # where cuts may lie; of more different predictions every so-manieth is taken
ROUNDS = 30  # Dinkelbach's method converges faster than linearly: a few are enough


@dataclass(frozen=True)
class Cuts:
    """Cuts of each column; a number becomes the label of the piece it lies in."""

    labels: np.ndarray
    """(c,) ascending whole numbers."""
    cuts: np.ndarray
    """(k, c - 1) ascending; a number at a cut belongs to the piece above."""
    classes: bool
    """Whether predictions are probabilities of c classes, their mean class the number to cut."""

    def apply(self, predicted: np.ndarray) -> np.ndarray:
        """(m, k) labels; for classes a single 1 in each row."""
        numbers = mean_class(predicted) if self.classes else predicted
        places = [
            np.searchsorted(cuts, column, side="right")
            for cuts, column in zip(self.cuts, numbers.T, strict=True)
        ]
        if self.classes:
            return np.eye(predicted.shape[1])[places[0]]
        return self.labels[np.stack(places, axis=1)].astype(float)

    def says(self, names: list[str]) -> str:
        """The cuts."""
        what = "the mean class is cut at" if self.classes else "cut at"
        rows = [" ".join(f"{cut:.3g}" for cut in column) for column in self.cuts]
        if len(rows) == 1:
            return f"{what} {rows[0]}"
        return "; ".join(f"{name} {what} {row}" for name, row in zip(names, rows, strict=True))

    def as_dict(self) -> dict[str, Any]:
        """Labels and cuts."""
        return {"labels": self.labels.tolist(), "cuts": self.cuts.tolist()}


def cuts_within(limits: tuple[float, float] | None) -> Rule:
    """The rule that cuts numbers into the whole numbers within *limits* (those of the labels)."""

    def fit(rows: Labelled) -> Cuts:
        low, high = limits or (rows.truth.min(), rows.truth.max())
        labels = np.arange(np.ceil(low), np.floor(high) + 1)
        columns = zip(rows.truth.T, rows.predicted.T, strict=True)
        cuts = [best_cuts(truth, numbers, labels) for truth, numbers in columns]
        return Cuts(labels, np.array(cuts), classes=False)

    return fit


def fit_class_cuts(rows: Labelled) -> Cuts:
    """Cuts of the mean class of probabilities (n, c)."""
    labels = np.arange(rows.predicted.shape[1], dtype=float)
    cuts = best_cuts(rows.truth[:, 0], mean_class(rows.predicted)[:, 0], labels)
    return Cuts(labels, cuts[None], classes=True)


def mean_class(predicted: np.ndarray) -> np.ndarray:
    """(m, 1) the class number that probabilities (m, c) expect."""
    return np.asarray(predicted @ np.arange(predicted.shape[1]))[:, None]


def best_cuts(truth: np.ndarray, numbers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(c - 1,) cuts of *numbers* (n,) with the largest kappa for *truth* (n,).

    The global optimum up to PLACES different numbers.

    >>> best_cuts(np.array([0, 0, 1, 2]), np.array([0.1, 0.2, 0.3, 0.6]), np.array([0, 1, 2]))
    array([0.25, 0.45])
    """
    order = np.argsort(numbers, kind="stable")
    ranked, known = numbers[order], truth[order].astype(float)
    ends = np.concatenate([[0], np.flatnonzero(np.diff(ranked)) + 1, [len(ranked)]])
    if len(ends) > PLACES:
        ends = ends[np.linspace(0, len(ends) - 1, PLACES).round().astype(int)]
    total = np.concatenate([[0.0], np.cumsum(known)])[ends]
    mean, square = known.mean(), float(known @ known)
    places = np.searchsorted(ends, np.searchsorted(ranked, (labels[1:] + labels[:-1]) / 2))
    ratio = _ratio(places, ends, total, square, mean, labels)
    for _ in range(ROUNDS):
        found = _cheapest(ends, total, mean, labels, ratio)
        new = _ratio(found, ends, total, square, mean, labels)
        if not new < ratio - 1e-12:
            break
        places, ratio = found, new
    return _between(ranked, ends[places])


def _between(ranked: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Cuts halfway between the rows on both sides; outside all rows, at the outermost."""
    padded = np.concatenate([[ranked[0]], ranked, [np.nextafter(ranked[-1], np.inf)]])
    cuts = (padded[ends] + padded[ends + 1]) / 2
    return np.where(ends == len(ranked), padded[-1], cuts)


def _parts(
    places: np.ndarray, ends: np.ndarray, total: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows (c,) and sum of the truth (c,) of each piece."""
    edges = np.concatenate([[0], places, [len(ends) - 1]])
    return np.diff(ends[edges]), np.diff(total[edges])


def _ratio(
    places: np.ndarray,
    ends: np.ndarray,
    total: np.ndarray,
    square: float,
    mean: float,
    labels: np.ndarray,
) -> float:
    """Disagreement over what chance would give; 1 where nothing varies."""
    rows, sums = _parts(np.minimum(places, len(ends) - 1), ends, total)
    own = square + float(rows @ labels**2)
    chance = own - 2 * mean * float(rows @ labels)
    return (own - 2 * float(sums @ labels)) / chance if chance > 0 else 1.0


def _cheapest(
    ends: np.ndarray, total: np.ndarray, mean: float, labels: np.ndarray, ratio: float
) -> np.ndarray:
    """(c - 1,) places of the cuts with the least disagreement - ratio x chance."""
    # what the first rows cost in each class, up to every place; the truth's own squares are fixed
    cost = [
        (1 - ratio) * label**2 * ends - 2 * label * (total - ratio * mean * ends)
        for label in labels
    ]
    least, entries = cost[0], []
    for each in cost[1:]:
        entry = least - each  # the cost of entering this class behind a place
        lowest = np.minimum.accumulate(entry)
        entries.append((entry, lowest))
        least = lowest + each
    place, found = len(ends) - 1, []
    for entry, lowest in reversed(entries):
        place = int(np.argmax(entry[: place + 1] == lowest[place]))
        found.append(place)
    return np.array(found[::-1])
