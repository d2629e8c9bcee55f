"""From probabilities to classes: a threshold for each label, an offset for each class.

Threshold: from which probability on a row counts as positive. The best threshold lies between two
neighbouring predictions. One sort and running sums give the score of every one of them, so the
optimum is exact and costs n log n; a metric that is no function of sums is called at some of them.
For calibrated probabilities the best threshold for F1 is half the F1 it reaches (Lipton, Elkan &
Narayanaswamy, "Thresholding Classifiers to Maximize F1 Score", arXiv 1402.1892, 2014), so 0.5 is
right for none but a perfect classifier. A rare label has few positives, and some wild threshold
looks best by luck: a label leaves 0.5 only for a gain beyond its noise (`beyond_noise`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.ensemble.decisions.decision import (
    Labelled,
    Rule,
    beyond_noise,
    gains_on_the_way,
    listed,
)
from pipeline.metrics import Metric
from pipeline.problems.form import THRESHOLD

ROUNDS_OF_LABELS = 5  # of going round the labels, where they depend on each other


@dataclass(frozen=True)
class Thresholds:
    """One threshold per column."""

    levels: np.ndarray
    """(k,) positive from here on."""
    least: bool = False
    """Whether a row has a label at least: where none passes, the one that is nearest to it."""

    def apply(self, predicted: np.ndarray) -> np.ndarray:
        """(m, k) of 0 and 1."""
        found = predicted >= self.levels
        if self.least and len(found):
            nearest = (predicted - self.levels).argmax(axis=1)
            found[np.arange(len(found)), nearest] = True  # where one passes, the nearest does
        return found.astype(float)

    def says(self, names: list[str]) -> str:
        """The thresholds."""
        usual = self.least and bool((self.levels == THRESHOLD).all())
        told = f"{THRESHOLD}" if usual else listed(names, self.levels, ".3f")
        more = "; a label at least in each row, as in train" if self.least else ""
        return f"positive from {told} on{more}"

    def as_dict(self) -> dict[str, Any]:
        """The thresholds."""
        return {"levels": self.levels.tolist()} | ({"least": True} if self.least else {})


def at_least_one(k: int) -> Thresholds:
    """The usual threshold of *k* labels, of which each row has one at least."""
    return Thresholds(np.full(k, THRESHOLD), least=True)


def thresholds_for(metric: Metric, least: bool = False) -> Rule:
    """The rule that fits thresholds to *metric*; with *least* a row has one label at least.

    Where each label is scored alone, one look at each is enough. Otherwise labels are gone round,
    each set to its best threshold with the others as they are, until none moves: a local optimum.
    """

    def fit(rows: Labelled) -> Thresholds:
        levels = np.full(rows.predicted.shape[1], THRESHOLD)
        for _ in range(
            1 if metric.formula.columns == "mean" or len(levels) == 1 else ROUNDS_OF_LABELS
        ):
            before = levels.copy()
            for column in range(len(levels)):
                levels[column] = _level(metric, rows, levels, column)
            if (levels == before).all():
                break
        return Thresholds(levels, least)

    return fit


def _level(metric: Metric, rows: Labelled, levels: np.ndarray, column: int) -> float:
    """The best threshold of a column, or the one it has where it gains no more than noise.

    Where a row counts only if all its labels are right, the column's threshold matters in those
    rows alone in which all others are.
    """
    truth, found = rows.truth, (rows.predicted >= levels).astype(float)
    values, groups, current = rows.predicted[:, column], rows.group_of_row, float(levels[column])
    if metric.formula.columns == "all":
        open_ = (np.delete(found == truth, column, axis=1)).all(axis=1)
        if not open_.any():
            return current
        truth, found, values, groups = truth[open_], found[open_], values[open_], groups[open_]
    if metric.formula.columns != "together":  # the other columns do not matter
        truth, found, column = truth[:, [column]], found[:, [column]], 0
    best = best_level(metric, truth, found, values, column)
    before, after = found, found.copy()
    after[:, column] = values >= best
    return best if beyond_noise(metric, truth, before, after, groups, classes=2) else current


def best_level(
    metric: Metric, truth: np.ndarray, found: np.ndarray, values: np.ndarray, column: int
) -> float:
    """The threshold of *values* (n,) that gains most for a column; of equals nearest 0.5.

    *truth* and *found* are (n, k) of 0 and 1; the other columns stay as they were found.
    """
    order = np.argsort(-values, kind="stable")
    ranked, none, all_ = values[order], found[order], found[order]
    none[:, column], all_[:, column] = 0.0, 1.0
    # cuts between different values, before the first and behind the last
    cuts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1], [True]]))
    edges = np.concatenate([[np.nextafter(ranked[0], np.inf)], ranked, [ranked[-1]]])
    levels = (edges[cuts] + edges[cuts + 1]) / 2
    levels[0], levels[-1] = edges[0], ranked[-1]
    levels = np.where(levels > edges[cuts + 1], levels, edges[cuts])  # where no float lies between
    levels[-1] = ranked[-1]
    gains = gains_on_the_way(metric, truth[order], none, all_, cuts, classes=2)
    top = np.flatnonzero(gains >= gains.max() - 1e-12)
    return float(levels[top[np.abs(levels[top] - THRESHOLD).argmin()]])


# Offsets: what is added to the log-probability of each class before the largest wins.
#
# Macro-F1 counts a rare class as much as a common one, so its rows must be claimed sooner than at
# the largest probability. Coordinate search: with all other offsets fixed, raising that of one
# class makes rows change over to it one by one, in an order that one sort gives. Running sums give
# the score after each change, so the best offset of a class is exact and costs n log n; classes are
# gone round until none moves, a local optimum. A metric that is no function of sums over rows is
# called at some of the changes instead. (For a mean of ratios such as macro-F1 no better search is
# known; the optimum is of this form by Koyejo, Natarajan, Ravikumar & Dhillon, "Consistent
# multilabel classification", NeurIPS 2015, and Narasimhan et al., "Consistent multiclass algorithms
# for complex performance measures", ICML 2015.) A class moves only for a gain beyond its noise
# (`beyond_noise`).


ROUNDS_OF_CLASSES = 10
FLOOR = 1e-12  # lowest probability, for its logarithm


@dataclass(frozen=True)
class Offsets:
    """An offset per class."""

    offsets: np.ndarray
    """(c,) in units of log-probability; 0 leaves a class as it is."""
    blocks: Sequence[slice] = (slice(None),)
    """The classes of each target; all are of one, unless it is said."""

    def apply(self, predicted: np.ndarray) -> np.ndarray:
        """(m, c), a single 1 in each row, or for each target of it."""
        moved = _logs(predicted) + self.offsets
        return np.hstack([_winners(moved[:, own]) for own in self.blocks])

    def says(self, names: list[str]) -> str:
        """The offsets that are not 0."""
        moved = np.flatnonzero(self.offsets)
        if not len(moved):
            return "no class gains beyond its noise"
        rest = "" if len(moved) == len(self.offsets) else "; the others 0"
        pieces = [f"{names[place]} {self.offsets[place]:+.2f}" for place in moved]
        return ", ".join(pieces) + rest

    def as_dict(self) -> dict[str, Any]:
        """The offsets."""
        return {"offsets": self.offsets.tolist()}


def _winners(moved: np.ndarray) -> np.ndarray:
    """(m, c) a 1 at the largest of each row."""
    return np.eye(moved.shape[1])[moved.argmax(axis=1)]


def offsets_for(metric: Metric) -> Rule:
    """The rule that fits offsets to *metric*."""

    def fit(rows: Labelled) -> Offsets:
        logs, truth, groups = _logs(rows.predicted), rows.truth, rows.group_of_row
        classes = logs.shape[1]
        offsets, still = np.zeros(classes), 0  # classes looked at in a row of which none moved
        found = logs.argmax(axis=1)[:, None].astype(float)
        for j in [*range(classes)] * ROUNDS_OF_CLASSES:
            if still == classes:
                break
            best, after = best_offset(metric, logs, offsets, truth, j)
            still += 1
            if beyond_noise(metric, truth, found, after, groups, classes):
                offsets[j], found, still = best, after, 1  # it is now where it is best
        return Offsets(offsets)

    return fit


MOST_JOINED = 500
"""Joined classes up to which offsets are fitted where they are what is scored: each costs time."""
Coded = Callable[[np.ndarray], np.ndarray]
"""Classes (n, 1) of one of several targets -> the numbers (n, 1) that are scored."""


Scored = tuple[np.ndarray, Coded, int]
"""Targets (n, 1) in these numbers, what makes them of classes, and how many there are."""


def class_numbers(flags: np.ndarray, blocks: Sequence[slice]) -> np.ndarray:
    """(n, H) the class of each target, from columns (n, k) of which the largest in a block wins."""
    return np.stack([flags[:, own].argmax(axis=1) for own in blocks], axis=1).astype(float)


def joined_classes(truth: np.ndarray, blocks: Sequence[slice]) -> int:
    """How many combinations of classes occur in targets (n, k)."""
    return len(np.unique(class_numbers(truth, blocks), axis=0))


def offsets_of_each(metric: Metric, blocks: Sequence[slice]) -> Rule:
    """The rule that fits offsets of the classes of several targets, whose columns are *blocks*.

    Where the score is the mean over targets, each is looked at alone. Of the joined class targets
    are gone round with the others as they were found: a row whose class of one target changes goes
    to another joined class.
    """
    alone = metric.formula.columns == "mean"

    def fit(rows: Labelled) -> Offsets:
        logs, truth = _logs(rows.predicted), class_numbers(rows.truth, blocks)
        offsets, found = np.zeros(logs.shape[1]), class_numbers(logs, blocks)
        for _ in range(ROUNDS_OF_CLASSES):
            before = offsets.copy()
            for head, own in enumerate(blocks):
                size = own.stop - own.start
                scored: Scored = (truth[:, [head]], _as_it_is, size)
                wanted, coded, classes = scored if alone else _joined(truth, found, head, size)
                for j in range(size):
                    best, after = best_offset(
                        metric, logs[:, own], offsets[own], wanted, j, coded, classes
                    )
                    labels = coded(found[:, [head]]), coded(after)
                    if beyond_noise(metric, wanted, *labels, rows.group_of_row, classes):
                        offsets[own.start + j], found[:, [head]] = best, after
            if (offsets == before).all():
                break
        return Offsets(offsets, blocks)

    return fit


def _as_it_is(classes: np.ndarray) -> np.ndarray:
    return classes


def _joined(truth: np.ndarray, found: np.ndarray, head: int, size: int) -> Scored:
    """The joined classes (n, 1) of *truth* (n, H), what those are of a row as *found* that has one
    of the *size* classes of a target (its *head*), and how many there may be."""
    sizes = np.maximum(truth, found).max(axis=0).astype(np.int64) + 1
    sizes[head] = size
    strides = np.concatenate([np.cumprod(sizes[1:][::-1])[::-1], [1]]).astype(np.int64)
    wanted = truth.astype(np.int64) @ strides
    others = found.astype(np.int64) @ strides - found[:, head].astype(np.int64) * strides[head]
    known = np.unique(np.concatenate([wanted, *(others + j * strides[head] for j in range(size))]))

    def coded(classes: np.ndarray) -> np.ndarray:
        codes = others + classes[:, 0].astype(np.int64) * strides[head]
        return np.searchsorted(known, codes)[:, None].astype(float)

    return np.searchsorted(known, wanted)[:, None].astype(float), coded, len(known)


def best_offset(
    metric: Metric,
    logs: np.ndarray,
    offsets: np.ndarray,
    truth: np.ndarray,
    j: int,
    coded: Coded = _as_it_is,
    numbers: int | None = None,
) -> tuple[float, np.ndarray]:
    """The best offset of class *j*, all others fixed, and the classes (n, 1) that it gives.

    Args:
        logs: (n, c) log-probabilities.
        offsets: (c,) of all classes; that of j is not used.
        truth: (n, 1) the numbers that are scored: of classes, unless *coded* makes others of them.
        numbers: how many of these there are, where they are not the c classes.
    """
    others = logs + offsets
    others[:, j] = -np.inf
    rival = others.argmax(axis=1)
    needed = others[np.arange(len(logs)), rival] - logs[:, j]  # offset from which the row is j's
    order = np.argsort(needed, kind="stable")
    ladder, rivals = needed[order], rival[:, None].astype(float)
    cuts = np.flatnonzero(np.concatenate([[True], ladder[1:] != ladder[:-1], [True]]))
    edges = np.concatenate([[ladder[0] - 1], ladder, [ladder[-1] + 1]])
    levels = (edges[cuts] + edges[cuts + 1]) / 2
    taken = np.full_like(rivals, j)
    before, after = coded(rivals)[order], coded(taken)[order]
    gains = gains_on_the_way(metric, truth[order], before, after, cuts, numbers or logs.shape[1])
    top = np.flatnonzero(gains >= gains.max() - 1e-12)
    place = top[np.abs(levels[top]).argmin()]
    return float(levels[place]), np.where(needed < levels[place], j, rival)[:, None].astype(float)


def _logs(predicted: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(predicted, FLOOR))
