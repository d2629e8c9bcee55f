"""Metrics as functions of sums over rows, so that a bootstrap draw is a product, not a pass.

For each metric a function of (truth, predictions (n, k)) gives per-row terms (n, q) and a `finish`
that turns sums of them (B, q) into gains (B,), where more is better; NaN where undefined. Metrics
of decided labels are `LabelSums`, whose terms take labels in place of predictions. All equal the
formula where every row counts once; the tests hold the two together. Sums are exact for all but
rank metrics (see below).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.metrics.formulas import (
    BINS,
    EPSILON,
    Average,
    Rows,
    calibration,
    columns_of,
    indicators,
)
from pipeline.metrics.moments import FromMoments, Pair

# Rank metrics, written as sums over rows so that a bootstrap draw needs no sorting.
#
# Ranks depend on all rows at once, but how a score answers to a few rows more or fewer is nearly a
# sum over rows: its Hájek projection. For auc this is the classical analysis of DeLong, DeLong &
# Clarke-Pearson (1988). What is left out falls as 1 / n, a standard error as 1 / sqrt(n); with
# every row counted once the score is exact.
#
# Each function gives per-row terms (n, q) and a `finish` from sums (B, q) to scores (B,).


Finish = Callable[[np.ndarray], np.ndarray]
"""Sums over rows (..., q) -> gains (...)."""

Sums = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, Finish]]
"""(truth, predictions (n, k)) -> terms of the rows (n, q), and what makes gains of their sums."""


def auc_sums(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, Finish]:
    """Mean over columns of the area under the ROC curve; *truth* is 0/1 or class numbers."""
    terms, areas = [], []
    truth = indicators(truth, predicted.shape[1])
    for wanted, values in zip(truth.T > 0.5, predicted.T, strict=True):
        above = share_below(values, values[~wanted]) * wanted  # negatives that a positive beats
        under = (1 - share_below(values, values[wanted])) * ~wanted
        terms += [above, wanted, under, ~wanted]
        areas.append(above.sum() / wanted.sum())

    def finish(total: np.ndarray) -> np.ndarray:
        above, positive, under, negative = np.moveaxis(total.reshape(len(total), -1, 4), 2, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            found = above / positive + under / negative - np.array(areas)
        return np.asarray(found.mean(axis=1))

    return np.stack(terms, axis=1).astype(float), finish


def spearman_sums(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, Finish]:
    """Mean over columns of the correlation of ranks; ties share their mean rank."""
    n = len(truth)
    terms, offsets = [], []
    for wanted, values in zip(truth.T, predicted.T, strict=True):
        f, g = share_below(wanted, wanted), share_below(values, values)
        for first, second, one, other in (
            (wanted, values, f, g),
            (wanted, wanted, f, f),
            (values, values, g, g),
        ):
            # the mean of one x other moves with the row itself and with the ranks it moves
            moved = _mean_at_or_above(first, other) + _mean_at_or_above(second, one)
            terms.append(one * other + moved)
            offsets.append(2 * float((one * other).mean()) + 0.25)

    def finish(total: np.ndarray) -> np.ndarray:
        means = total[:, :-1] / total[:, -1:] - np.array(offsets)
        together, one, other = np.moveaxis(means.reshape(len(total), -1, 3), 2, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((together / np.sqrt(one * other)).mean(axis=1))

    return np.stack([*terms, np.ones(n)], axis=1), finish


def share_below(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(n,) the share of *others* below each value, equals counting half."""
    ranked = np.sort(others)
    low, high = (np.searchsorted(ranked, values, side=side) for side in ("left", "right"))
    return np.asarray((low + high) / (2 * max(len(others), 1)))


def _mean_at_or_above(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(n,) the sum of weights of rows above each row, equals counting half, divided by n."""
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    below = np.concatenate([[0.0], np.cumsum(weights[order])])
    low, high = (np.searchsorted(ranked, values, side=side) for side in ("left", "right"))
    return np.asarray((below[-1] - (below[low] + below[high]) / 2) / len(values))


ROUNDING = 1e-12  # share of a sum of squares below which what is left of it is rounding


def moment_sums(gain: FromMoments) -> Sums:
    """The sums of a metric of second moments."""

    def sums(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, Finish]:
        shift = predicted.mean(axis=0) - truth.mean(axis=0)
        p, y = predicted - predicted.mean(axis=0), truth - truth.mean(axis=0)

        def finish(total: np.ndarray) -> np.ndarray:
            count = total[:, -1]
            n = count[:, None]
            sp, sy, spp, spy, syy = np.split(total[:, :-1], 5, axis=1)
            pp, yy = spp - sp**2 / n, syy - sy**2 / n
            rows = Pair(
                count=count,
                bias=(sp - sy) / n + shift,
                pp=pp,
                py=spy - sp * sy / n,
                yy=np.where(yy > ROUNDING * syy, yy, 0.0),
                varied=(pp > ROUNDING * spp) & (yy > ROUNDING * syy),
            )
            return gain(rows)

        return np.hstack([p, y, p * p, p * y, y * y, np.ones((len(p), 1))]), finish

    return sums


def _mean(sign: float) -> Finish:
    return lambda total: np.asarray(sign * total[..., 0] / total[..., 1])


def _with_count(per_row: np.ndarray) -> np.ndarray:
    return np.stack([per_row, np.ones(len(per_row))], axis=1)


def row_means(rows: Rows, sign: float) -> Sums:
    """The sums of a metric that is the mean of what *rows* score; *sign* -1: smaller is better."""
    return lambda truth, predicted: (_with_count(rows(truth, predicted)), _mean(sign))


def mean_of_sums(parts: Sequence[Sums], weights: Sequence[float]) -> Sums:
    """The sums of a weighted mean of several metrics."""
    return lambda truth, predicted: side_by_side(
        [each(truth, predicted) for each in parts], weights
    )


def side_by_side(
    parts: Sequence[tuple[np.ndarray, Finish]], weights: Sequence[float] | None = None
) -> tuple[np.ndarray, Finish]:
    """The sums of the mean of *parts*, each of which has its terms and what it makes of them."""
    ends = np.cumsum([terms.shape[1] for terms, _ in parts])[:-1]

    def finish(total: np.ndarray) -> np.ndarray:
        pieces = zip(parts, np.split(total, ends, axis=-1), strict=True)
        scores = [done(piece) for (_, done), piece in pieces]
        return np.asarray(np.average(scores, axis=0, weights=weights))

    return np.hstack([terms for terms, _ in parts]), finish


def share_rmse_sums(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, Finish]:
    """Minus the mean over columns of the root mean squared error."""

    def finish(total: np.ndarray) -> np.ndarray:
        return np.asarray(-np.sqrt(total[..., :-1] / total[..., -1:]).mean(axis=-1))

    return np.hstack([(truth - predicted) ** 2, np.ones((len(truth), 1))]), finish


def calibration_sums(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, Finish]:
    """Minus the expected calibration error: the gap of each bin, and the number of rows."""
    bins, gaps = calibration(truth, predicted)
    terms = (bins[:, None] == np.arange(BINS)) * gaps[:, None]

    def finish(total: np.ndarray) -> np.ndarray:
        return np.asarray(-np.abs(total[..., :-1]).sum(axis=-1) / total[..., -1])

    return np.hstack([terms, np.ones((len(terms), 1))]), finish


def mae_sums(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, Finish]:
    """Minus the mean absolute error."""
    return _with_count(np.abs(truth - predicted).mean(axis=1)), _mean(-1.0)


def log_loss_sums(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, Finish]:
    """Mean over rows and columns of the log likelihood; *truth* is 0/1."""
    chance = np.clip(predicted, EPSILON, 1 - EPSILON)
    logs = np.where(truth == 1, np.log(chance), np.log1p(-chance))
    return _with_count(logs.mean(axis=1)), _mean(1.0)


def class_log_loss_sums(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, Finish]:
    """The same for class numbers *truth* (n, 1) and probabilities of all classes."""
    chance = np.clip(predicted, EPSILON, 1 - EPSILON)
    right = np.take_along_axis(chance, truth.astype(int), axis=1)[:, 0] / chance.sum(axis=1)
    return _with_count(np.log(right)), _mean(1.0)


# Metrics of decided labels. Terms are counts, so none is negative, and all gains are the same where
# every row counts double.


def brier_sums(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, Finish]:
    """Mean squared error of probabilities; of classes the sum over them."""
    squares = (indicators(truth, predicted.shape[1]) - predicted) ** 2
    several = truth.shape[1] != predicted.shape[1]
    each = squares.sum(axis=1) if several else squares.mean(axis=1)
    return _with_count(each), _mean(-1.0)


@dataclass(frozen=True)
class LabelSums:
    """A metric of decided labels as a function of sums over rows."""

    terms: Callable[[np.ndarray, np.ndarray, int], np.ndarray]
    """(truth (n, k), labels (n, k), number of classes) -> (n, q)."""
    finish: Finish
    each_class: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    """Where it is the mean, over the classes that occur, of one function of two counts (how often a
    class is in both truth and labels, how often in either): that function. The terms are then these
    counts, class by class, and a row that changes its label touches two classes alone."""


def _hits(truth: np.ndarray, found: np.ndarray, classes: int) -> np.ndarray:
    return _with_count((found == truth).all(axis=1).astype(float))


def _ones(truth: np.ndarray, found: np.ndarray, classes: int) -> np.ndarray:
    """Per column: 1 in both, and how often in either."""
    return np.hstack([found * truth, found + truth])


def _each_class(truth: np.ndarray, found: np.ndarray, classes: int) -> np.ndarray:
    """Per class: in both, and how often in either; *truth* and *found* are (n, 1)."""
    numbers = np.arange(classes)
    chosen, wanted = found == numbers, truth == numbers
    return np.hstack([chosen & wanted, chosen.astype(int) + wanted]).astype(float)


def _f1(hits: np.ndarray, either: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(2 * hits / either)


def _f1_of(mean: Callable[..., np.ndarray]) -> Finish:
    return lambda total: np.asarray(mean(_f1(*np.split(total, 2, axis=-1)), axis=-1))


def _recalls(truth: np.ndarray, found: np.ndarray, classes: int) -> np.ndarray:
    """Per column: ones that were found, ones, zeros that were found, zeros."""
    return np.hstack([truth * found, truth, (1 - truth) * (1 - found), 1 - truth])


def _mean_recall(total: np.ndarray) -> np.ndarray:
    found, ones, spared, zeros = np.split(total, 4, axis=-1)
    with np.errstate(invalid="ignore"):
        return np.asarray(((found / ones + spared / zeros) / 2).mean(axis=-1))


def _three_counts(truth: np.ndarray, found: np.ndarray, classes: int) -> np.ndarray:
    """Per class: in both, in the truth, in the labels; *truth* and *found* are (n, 1)."""
    numbers = np.arange(classes)
    chosen, wanted = found == numbers, truth == numbers
    return np.hstack([chosen & wanted, wanted, chosen]).astype(float)


def _mcc(total: np.ndarray) -> np.ndarray:
    hits, true, found = np.split(total, 3, axis=-1)
    n = true.sum(axis=-1)
    spread = (n * n - (found**2).sum(axis=-1)) * (n * n - (true**2).sum(axis=-1))
    agreed = hits.sum(axis=-1) * n - (true * found).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(spread > 0, agreed / np.sqrt(spread), 0.0)


def _class_recall(total: np.ndarray) -> np.ndarray:
    hits, true, _ = np.split(total, 3, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.nanmean(hits / true, axis=-1))


def _weighted_f1(total: np.ndarray) -> np.ndarray:
    hits, true, found = np.split(total, 3, axis=-1)
    each = 2 * hits / np.maximum(true + found, 1e-12)
    return np.asarray((each * true).sum(axis=-1) / true.sum(axis=-1))


def _micro_f1(total: np.ndarray) -> np.ndarray:
    hits, either = (each.sum(axis=-1) for each in np.split(total, 2, axis=-1))
    return _f1(hits, either)


def _distances(truth: np.ndarray, found: np.ndarray, classes: int) -> np.ndarray:
    columns = [(found - truth) ** 2, truth, found, truth**2, found**2, np.ones((len(truth), 1))]
    return np.hstack(columns)


def _kappa(total: np.ndarray) -> np.ndarray:
    apart, y, p, yy, pp = np.split(total[..., :-1], 5, axis=-1)
    with np.errstate(invalid="ignore"):
        kappa = 1 - apart / (yy + pp - 2 * y * p / total[..., -1:])
    return np.asarray(kappa.mean(axis=-1))


def f_beta_sums(beta: float) -> LabelSums:
    """F of the value 1, recall counting *beta* times as much as precision; mean over columns."""

    def terms(truth: np.ndarray, found: np.ndarray, classes: int) -> np.ndarray:
        return np.hstack([(1 + beta**2) * truth * found, beta**2 * truth + found])

    def finish(total: np.ndarray) -> np.ndarray:
        hits, either = np.split(total, 2, axis=-1)
        return np.asarray(_f1(hits / 2, either).mean(axis=-1))

    return LabelSums(terms, finish)


def f1_sums(left_out: frozenset[int], average: Average) -> LabelSums:
    """`formulas.f1_without`."""

    def terms(truth: np.ndarray, found: np.ndarray, classes: int) -> np.ndarray:
        kept = np.array([number for number in range(classes) if number not in left_out], dtype=int)
        chosen, wanted = found == kept, truth == kept
        if average == "weighted":
            return np.hstack([chosen & wanted, wanted, chosen]).astype(float)
        return np.hstack([chosen & wanted, chosen.astype(int) + wanted]).astype(float)

    ends = {"micro": _micro_f1, "macro": _f1_of(np.nanmean), "weighted": _weighted_f1}
    return LabelSums(terms, ends[average])


def mean_of_counts(parts: Sequence[LabelSums], weights: Sequence[float]) -> LabelSums:
    """The sums of a weighted mean of several metrics of decided labels."""
    ends: dict[int, np.ndarray] = {}  # by the width of all terms, which grows with the classes

    def terms(truth: np.ndarray, found: np.ndarray, classes: int) -> np.ndarray:
        each = [part.terms(truth, found, classes) for part in parts]
        whole = np.hstack(each)
        ends[whole.shape[1]] = np.cumsum([one.shape[1] for one in each])[:-1]
        return whole

    def finish(total: np.ndarray) -> np.ndarray:
        pieces = zip(parts, np.split(total, ends[total.shape[-1]], axis=-1), strict=True)
        scores = [part.finish(piece) for part, piece in pieces]
        return np.asarray(np.average(scores, axis=0, weights=weights))

    return LabelSums(terms, finish)


def sums_of_columns(sums: Sums, weights: Sequence[float]) -> Sums:
    """The sums of the weighted mean of a metric of each column alone."""
    kept = [column for column, weight in enumerate(weights) if weight]

    def of_each(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, Finish]:
        wanted, found = (columns_of(each, len(weights)) for each in (truth, predicted))
        parts = [sums(wanted[column], found[column]) for column in kept]
        return side_by_side(parts, [weights[column] for column in kept])

    return of_each


def counts_of_columns(sums: LabelSums, weights: Sequence[float]) -> LabelSums:
    """The same of decided labels: 0 or 1 in each column, or class numbers."""
    kept = [column for column, weight in enumerate(weights) if weight]

    def terms(truth: np.ndarray, found: np.ndarray, classes: int) -> np.ndarray:
        wanted, given = (columns_of(each, len(weights)) for each in (truth, found))
        return np.hstack([sums.terms(wanted[column], given[column], 2) for column in kept])

    def finish(total: np.ndarray) -> np.ndarray:
        scores = [sums.finish(each) for each in np.split(total, len(kept), axis=-1)]
        return np.asarray(np.average(scores, axis=0, weights=[weights[each] for each in kept]))

    return LabelSums(terms, finish)


ACCURACY = LabelSums(_hits, _mean(1.0))
F1 = LabelSums(_ones, _f1_of(np.mean))
MACRO_F1 = LabelSums(_each_class, _f1_of(np.nanmean), _f1)
MEAN_RECALL = LabelSums(_recalls, _mean_recall)
"""The area under the ROC curve of 0/1 labels."""
KAPPA = LabelSums(_distances, _kappa)
MCC = LabelSums(_three_counts, _mcc)
CLASS_RECALL = LabelSums(_three_counts, _class_recall)
WEIGHTED_F1 = LabelSums(_three_counts, _weighted_f1)
MICRO_F1 = LabelSums(_ones, _micro_f1)
