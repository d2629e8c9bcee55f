"""Metrics as functions of sums over rows, so that a bootstrap draw is a product, not a pass.

For each metric a function of (problem, truth, predictions (n, k)) gives per-row terms (n, q) and a
`finish` that turns sums of them (B, q) into gains (B,), where more is better; NaN where undefined.
Equal to `metrics` where every row counts once; the tests hold the two together. Sums are exact for
all but rank metrics (see `ranks`).
"""

from collections.abc import Callable

import numpy as np

from pipeline.metrics.formulas import EPSILON, expand
from pipeline.metrics.moments import GAINS, Pair

# Rank metrics, written as sums over rows so that a bootstrap draw needs no sorting.
#
# Ranks depend on all rows at once, but how a score answers to a few rows more or fewer is nearly a
# sum over rows: its Hájek projection. For auc this is the classical analysis of DeLong, DeLong &
# Clarke-Pearson (1988). What is left out falls as 1 / n, a standard error as 1 / sqrt(n); with
# every row counted once the score is exact.
#
# Each function gives per-row terms (n, q) and a `finish` from sums (B, q) to scores (B,).


Finish = Callable[[np.ndarray], np.ndarray]


def auc_sums(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, Finish]:
    """Mean over columns of the area under the ROC curve; *truth* (n, k) is 0/1."""
    terms, areas = [], []
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


Sums = Callable[[str, np.ndarray, np.ndarray], tuple[np.ndarray, Finish]]

ROUNDING = 1e-12  # share of a sum of squares below which what is left of it is rounding


def sums_for(metric: str, problem: str, cut: bool = False) -> Sums | None:
    """The sums of *metric*, or None where it is no function of such sums.

    *cut*: the predictions of a regression are labels already.
    """
    if metric in GAINS:
        return _moment_sums(metric)
    if metric == "qwk" and problem == "regression":
        return _kappa_of_labels if cut else None  # else rounded within a range known elsewhere
    if problem == "multilabel" and metric == "macro-f1":
        return _f1
    return {
        "mae": _mae,
        "accuracy": _accuracy,
        "log-loss": _log_loss,
        "f1": _f1,
        "macro-f1": _macro_f1,
        "qwk": _kappa,
        "auc": _auc,
        "spearman": _spearman,
    }.get(metric)


def classes(problem: str, predicted: np.ndarray) -> np.ndarray:
    """The decided classes: (n, 1) class numbers for multiclass, else (n, k) of 0 and 1."""
    if problem == "multiclass":
        return predicted.argmax(axis=1)[:, None].astype(float)
    return (predicted >= 0.5).astype(float)


def _auc(problem: str, truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, Finish]:
    return auc_sums(expand(truth, problem, predicted.shape[1]), predicted)


def _spearman(problem: str, truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, Finish]:
    return spearman_sums(truth, predicted)


def _moment_sums(metric: str) -> Sums:
    def sums(problem: str, truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, Finish]:
        target = expand(truth, problem, predicted.shape[1])
        shift = predicted.mean(axis=0) - target.mean(axis=0)
        p, y = predicted - predicted.mean(axis=0), target - target.mean(axis=0)

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
            return GAINS[metric](rows)

        return np.hstack([p, y, p * p, p * y, y * y, np.ones((len(p), 1))]), finish

    return sums


def _mean(sign: float) -> Finish:
    return lambda total: sign * total[:, 0] / total[:, 1]


def _with_count(per_row: np.ndarray) -> np.ndarray:
    return np.stack([per_row, np.ones(len(per_row))], axis=1)


def _mae(problem: str, truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, Finish]:
    return _with_count(np.abs(truth - predicted).mean(axis=1)), _mean(-1.0)


def _accuracy(problem: str, truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, Finish]:
    right = (classes(problem, predicted) == truth).all(axis=1)
    return _with_count(right.astype(float)), _mean(1.0)


def _log_loss(problem: str, truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, Finish]:
    chance = np.clip(predicted, EPSILON, 1 - EPSILON)
    if problem == "multiclass":
        right = np.take_along_axis(chance, truth.astype(int), axis=1)[:, 0] / chance.sum(axis=1)
        return _with_count(np.log(right)), _mean(1.0)
    logs = np.where(truth == 1, np.log(chance), np.log1p(-chance))
    return _with_count(logs.mean(axis=1)), _mean(1.0)


def _f1(problem: str, truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, Finish]:
    """Per column: the F1 of the value 1."""
    found = classes(problem, predicted)
    return np.hstack([found * truth, found + truth]), _mean_f1(lambda f1: f1.mean(axis=1))


def _macro_f1(problem: str, truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, Finish]:
    """Per class: the F1, averaged over the classes that occur."""
    numbers = np.arange(max(2, predicted.shape[1]))
    found, wanted = classes(problem, predicted) == numbers, truth == numbers
    per_row = np.hstack([found & wanted, found.astype(int) + wanted]).astype(float)
    return per_row, _mean_f1(lambda f1: np.nanmean(f1, axis=1))


def _mean_f1(mean: Callable[[np.ndarray], np.ndarray]) -> Finish:
    def finish(total: np.ndarray) -> np.ndarray:
        hits, either = np.split(total, 2, axis=1)
        with np.errstate(invalid="ignore"):
            return mean(2 * hits / either)

    return finish


def _kappa(problem: str, truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, Finish]:
    return _kappa_of_labels(problem, truth, classes(problem, predicted))


def _kappa_of_labels(
    problem: str, truth: np.ndarray, found: np.ndarray
) -> tuple[np.ndarray, Finish]:
    def finish(total: np.ndarray) -> np.ndarray:
        apart, y, p, yy, pp = np.split(total[:, :-1], 5, axis=1)
        with np.errstate(invalid="ignore"):
            kappa = 1 - apart / (yy + pp - 2 * y * p / total[:, -1:])
        return np.asarray(kappa.mean(axis=1))

    columns = [(found - truth) ** 2, truth, found, truth**2, found**2, np.ones((len(truth), 1))]
    return np.hstack(columns), finish
