"""Metrics of decided classes: counts of what was decided where what was true.

Accuracy, F1, macro-F1 and kappa are functions of such a table. Rows are sorted by their true class,
so a row of the table is a count over neighbours. Where all members decide alike, by a margin beyond
rounding, no pick can change the decision, and the rows are counted once; where the sum of the picks
leads by more than any one member can turn, they are counted once per step.
"""

import math
from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np

from pipeline.metrics.greedy_prepared import Gain, Prepared, within
from pipeline.metrics.metric import Metric

# Quadratic weighted kappa of a regression: sums over the nearest labels.


LARGEST = 1e300  # sums of picks stay finite


def rounded(metric: Metric, truth: np.ndarray, members: Sequence[np.ndarray]) -> Prepared | None:
    """Members (n, k) ready for the kappa of *metric*; None where it would raise an error."""
    if metric.name != "qwk" or (truth != np.rint(truth)).any():
        return None
    if not within(members, -LARGEST, LARGEST):
        return None
    low, high = metric.label_range or (truth.min(), truth.max())
    wanted = np.ascontiguousarray(truth.T)
    own, squares = wanted.sum(axis=1), (wanted**2).sum(axis=1)
    single = (wanted == wanted[:, :1]).all(axis=1)

    def gain(summed: np.ndarray, size: float) -> float:
        summed /= size
        summed += 0.5
        nearest = np.floor(summed, out=summed)
        np.clip(nearest, math.ceil(low), math.floor(high), out=nearest)
        theirs = nearest.sum(axis=1)
        squared = np.array([column @ column for column in nearest])
        shared = np.array([column @ other for column, other in zip(nearest, wanted, strict=True)])
        apart = squares + squared - 2 * shared
        if (single & (apart == 0)).any():  # one and the same label throughout
            return -math.inf
        expected = squares + squared - 2 * own * theirs / wanted.shape[1]
        return float((1 - apart / expected).mean())

    return Prepared([np.ascontiguousarray(member.T) for member in members], gain)


MARGIN = 1e-6  # of a probability; sums of picks are exact to far less
ROUNDING = 1e-12  # of a pick; leads of less are looked at
FEW = 0.5  # share of the rows up to which they are picked out

Tables = np.ndarray
"""(labels, c, c) counts: true class, decided class."""

Scored = Callable[[Tables], float]


def decided(
    metric: Metric, problem: str, truth: np.ndarray, members: Sequence[np.ndarray]
) -> Prepared | None:
    """Members (n, k) ready for *metric*; None where it is no function of the tables."""
    if problem == "regression":
        return rounded(metric, truth, members)
    if not within(members, 0.0, 1.0) or (problem == "multilabel" and metric.name == "accuracy"):
        return None
    score = _f1 if problem == "multilabel" else SCORES[metric.name]
    if problem == "multiclass":
        return _classes(score, truth, members)
    return _labels(score, truth, members)


def _labels(score: Scored, truth: np.ndarray, members: Sequence[np.ndarray]) -> Prepared:
    """0/1 labels, positive from 0.5 on: a table for each of k labels."""
    k = truth.shape[1]
    kind = (2 * np.arange(k) + (truth == 1)).ravel()
    flat = [member.ravel() for member in members]
    low, high = reduce(np.minimum, flat), reduce(np.maximum, flat)
    alike = (low >= 0.5) | (high < 0.5 - MARGIN)
    fixed = _pairs(kind[alike], low[alike] >= 0.5, 2 * k, 2)
    rows, ends = _sorted_by(kind, ~alike, 2 * k)
    kind, low, high = kind[rows], low[rows], high[rows]

    def gain_of(fixed: np.ndarray, ends: np.ndarray) -> Gain:
        def gain(summed: np.ndarray, size: float) -> float:
            ones = _counts(summed >= 0.5 * size, ends)
            zeros = np.diff(ends, prepend=0) - ones
            return score((fixed + np.stack([zeros, ones], axis=1)).reshape(k, 2, 2))

        return gain

    def narrow(total: np.ndarray, size: float) -> tuple[np.ndarray, Gain] | None:
        sure = total + low >= 0.5 * size
        open_ = ~sure & (total + high >= 0.5 * size)
        if open_.sum() > FEW * len(open_):
            return None
        settled = fixed + _pairs(kind[~open_], sure[~open_], 2 * k, 2)
        return np.flatnonzero(open_), gain_of(settled, _ends(kind[open_], 2 * k))

    return Prepared([member[rows] for member in flat], gain_of(fixed, ends), narrow)


def _classes(score: Scored, truth: np.ndarray, members: Sequence[np.ndarray]) -> Prepared:
    """Class numbers: the likeliest of c classes, of equals the first."""
    c, kind = members[0].shape[1], truth[:, 0].astype(np.int64)
    first = members[0].argmax(axis=1)
    alike = np.ones(len(kind), dtype=bool)
    for member in members:
        top = np.take_along_axis(member, first[:, None], axis=1) - MARGIN
        alike &= (member >= top).sum(axis=1) == 1
    fixed = _pairs(kind[alike], first[alike], c, c)
    rows, ends = _sorted_by(kind, ~alike, c)
    kind, parts = kind[rows], [np.ascontiguousarray(member[rows].T) for member in members]
    low, high = reduce(np.minimum, parts), reduce(np.maximum, parts)
    scratch, flags = np.empty(low.shape), np.empty(low.shape, dtype=bool)
    numbers = np.arange(c)

    def gain_of(fixed: np.ndarray, ends: np.ndarray) -> Gain:
        def gain(summed: np.ndarray, size: float) -> float:
            summed /= size
            best, free = summed.max(axis=0), np.ones(summed.shape[1], dtype=bool)
            columns = []
            for values in summed:
                found = values == best
                found &= free
                free ^= found
                columns.append(_counts(found, ends))
            return score((fixed + np.stack(columns, axis=1))[None])

        return gain

    def narrow(total: np.ndarray, size: float) -> tuple[np.ndarray, Gain] | None:
        leads = np.equal(total, total.max(axis=0), out=flags)
        least = np.add(total, low, out=scratch)
        least[~leads] = np.inf
        least = least.min(axis=0)
        most = np.add(total, high, out=scratch)
        most[leads] = -np.inf
        open_ = least <= most.max(axis=0) + size * ROUNDING
        open_ |= leads.sum(axis=0) > 1
        if open_.sum() > FEW * len(open_):
            return None
        settled = fixed + _pairs(kind[~open_], numbers @ leads[:, ~open_], c, c)
        return np.flatnonzero(open_), gain_of(settled, _ends(kind[open_], c))

    return Prepared(parts, gain_of(fixed, ends), narrow)


def _pairs(kind: np.ndarray, found: np.ndarray, kinds: int, decisions: int) -> np.ndarray:
    """(kinds, decisions) counts."""
    pairs = np.bincount(decisions * kind + found, minlength=kinds * decisions)
    return pairs.reshape(kinds, decisions)


def _ends(kind: np.ndarray, kinds: int) -> np.ndarray:
    """Where each kind ends among entries that are sorted by it."""
    return np.cumsum(np.bincount(kind, minlength=kinds))


def _sorted_by(kind: np.ndarray, wanted: np.ndarray, kinds: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the *wanted* entries sorted by *kind*, and where each kind ends."""
    open_ = np.flatnonzero(wanted)
    open_ = open_[np.argsort(kind[open_], kind="stable")]
    return open_, _ends(kind[open_], kinds)


def _counts(found: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """How many are set between each end and the one before."""
    starts = [0, *ends[:-1].tolist()]
    pairs = zip(starts, ends.tolist(), strict=True)
    return np.array([np.count_nonzero(found[start:end]) for start, end in pairs])


def _accuracy(tables: Tables) -> float:
    return float(np.trace(tables[0]) / tables[0].sum())


def _f1(tables: Tables) -> float:
    total = tables[:, 1, :].sum(axis=1) + tables[:, :, 1].sum(axis=1)
    return float((2 * tables[:, 1, 1] / total).mean()) if total.all() else -math.inf


def _macro_f1(tables: Tables) -> float:
    hits, total = np.diagonal(tables[0]), tables[0].sum(axis=0) + tables[0].sum(axis=1)
    return float((2 * hits[total > 0] / total[total > 0]).mean())


def _kappa(tables: Tables) -> float:
    numbers, rows = np.arange(len(tables[0])), tables[0].sum()
    true, found = tables[0].sum(axis=1), tables[0].sum(axis=0)
    apart = (tables[0] * (numbers[:, None] - numbers) ** 2).sum()
    crossed = (numbers @ true) * (numbers @ found) / rows
    expected = numbers**2 @ true + numbers**2 @ found - 2 * crossed
    return float(1 - apart / expected) if (tables[0] > 0).sum() > 1 or apart else -math.inf


SCORES: dict[str, Scored] = {
    "accuracy": _accuracy,
    "f1": _f1,
    "macro-f1": _macro_f1,
    "qwk": _kappa,
}
