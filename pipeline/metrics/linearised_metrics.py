"""Metrics as functions of sums over rows, so that a bootstrap draw is a product, not a pass.

For each metric a function of (problem, truth, predictions (n, k)) gives per-row terms (n, q) and a
`finish` that turns sums of them (B, q) into gains (B,), where more is better; NaN where undefined.
Equal to `metrics` where every row counts once; the tests hold the two together. Sums are exact for
all but rank metrics (see `ranks`).
"""

from collections.abc import Callable

import numpy as np

from pipeline.ensemble.predictor import expand
from pipeline.metrics.formulas import EPSILON
from pipeline.metrics.pairs import GAINS, Pair
from pipeline.metrics.ranks import Finish, auc_sums, spearman_sums

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
