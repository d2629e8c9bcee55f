"""The contenders of blend.py, each run in a process of its own.

    python -m benchmarks.blending.contenders NAME FOLDER METRIC PICKS CAP

Prints one JSON object: seconds, memory, in-sample scores, an honest score where there is
one.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.blending.clock import as_far, timed
from benchmarks.blending.simulated import read, scores
from benchmarks.shared.memory import forget_peak, peak

Found = dict[str, Any]


def ours(folder: Path, metric: str, picks: int, cap: float) -> Found:
    """The pass over the rows; each method, in-sample and honest; every leave-one-out effect."""
    from pipeline.base.config import TaskConfig
    from pipeline.ensemble.evidence import Evidence
    from pipeline.ensemble.methods import weights as blend
    from pipeline.ensemble.methods.ridge import ridge
    from pipeline.metrics.metric import get_metric

    blend.ROUNDS = picks
    members, truth, folds = read(folder)
    measure = get_metric(metric, TaskConfig(problem="regression", metric=metric))
    names, groups = [str(place) for place in range(len(members))], np.arange(len(truth))
    columns, target = [each[:, None] for each in members], truth[:, None]
    forget_peak()
    before = peak()

    def gather() -> Evidence:
        return Evidence.gather(names, columns, target, folds, groups, measure, "regression")

    evidence, seconds = timed(gather)
    found: Found = {"pass": seconds, "memory": peak() - before}
    found["pass on one thread"] = on_one_thread(gather)
    methods = {"greedy": blend.greedy, "simplex": blend.simplex, "ridge": ridge}
    for name, fit in methods.items():

        def fit_and_score(fit: Any = fit) -> tuple[Any, float]:
            evidence._cache.clear()  # every repeat does all of it
            own = {fold: fit(evidence, evidence.folds - {fold}) for fold in evidence.folds}
            return fit(evidence, evidence.folds), evidence.gain(own)

        (fitted, honest), seconds = timed(fit_and_score)
        sign = 1 if measure.greater_is_better else -1
        found[name] = {"seconds": seconds, "honest": sign * honest}
        found[name] |= in_sample(evidence, fitted, columns)
    return found


def on_one_thread(call: Callable[[], Any]) -> list[float]:
    """Seconds of *call* where neither we nor BLAS may use more."""
    from threadpoolctl import threadpool_limits

    asked = os.environ["OMP_NUM_THREADS"]
    os.environ["OMP_NUM_THREADS"] = "1"
    with threadpool_limits(1):
        seconds = timed(call)[1]
    os.environ["OMP_NUM_THREADS"] = asked
    return seconds


def in_sample(evidence: Any, fitted: Any, columns: list[np.ndarray]) -> Found:
    """Scores of the fitted blend, from its rows."""
    flat = [each[:, 0] for each in columns]
    truth = evidence.truth[:, 0] - fitted.intercept[0]
    return scores(flat, truth, fitted.weights)


def hill_climb(folder: Path, metric: str, picks: int, cap: float) -> Found:
    """What one writes in ten lines: every candidate's mean is made and scored."""
    mapped, truth, _ = read(folder)
    forget_peak()
    before = peak()
    members = [np.array(each) for each in mapped]

    def gain(predicted: np.ndarray) -> float:
        if metric == "rmse":
            return -float(np.sqrt(np.mean((predicted - truth) ** 2)))
        return float(np.corrcoef(predicted, truth)[0, 1])

    def climb(size: int) -> np.ndarray:
        total, chosen, gains = np.zeros(len(truth)), [], []
        for count in range(1, size + 1):
            tried = [gain((total + member) / count) for member in members]
            chosen.append(int(np.argmax(tried)))
            gains.append(max(tried))
            total += members[chosen[-1]]
        kept = chosen[: 1 + int(np.argmax(gains))]
        return np.bincount(kept, minlength=len(members)) / len(kept)

    weights, seconds, size = as_far(climb, picks, cap)
    found = {"seconds": seconds, "picks": size, "memory": peak() - before}
    return found | scores(members, truth, weights)


def with_table(fit: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, float]]) -> Any:
    """A contender that wants the rows as one table (n, M)."""

    def contender(folder: Path, metric: str, picks: int, cap: float) -> Found:
        members, truth, _ = read(folder)
        forget_peak()
        before = peak()
        table = np.stack(members, axis=1).astype(float)
        (weights, intercept), seconds = timed(lambda: fit(table, truth))
        found = {"seconds": seconds, "memory": peak() - before}
        return found | scores(members, truth - intercept, weights)

    return contender


def ridge_cv(table: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, float]:
    """scikit-learn, the same number of strengths, its leave-one-row-out score."""
    from sklearn.linear_model import RidgeCV

    model = RidgeCV(alphas=len(truth) * np.logspace(-6, 3, 10)).fit(table, truth)
    return model.coef_, float(model.intercept_)


def slsqp(table: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, float]:
    """scipy's SLSQP over the rows, with gradients: convex weights of least squared error."""
    from scipy.optimize import minimize

    count = table.shape[1]

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        away = table @ weights - truth
        return float(away @ away) / len(truth), 2 * (away @ table) / len(truth)

    found = minimize(
        loss,
        np.full(count, 1 / count),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * count,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
        options={"maxiter": 200, "ftol": 1e-10},
    )
    return found.x, 0.0


def nonnegative(table: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, float]:
    """scipy's NNLS over the rows."""
    from scipy.optimize import nnls

    return nnls(table, truth)[0], 0.0


SIDES = {
    "ours": ours,
    "hill climb": hill_climb,
    "RidgeCV": with_table(ridge_cv),
    "SLSQP": with_table(slsqp),
    "NNLS": with_table(nonnegative),
}


if __name__ == "__main__":
    name, folder, metric, picks, cap = sys.argv[1:]
    print(json.dumps(SIDES[name](Path(folder), metric, int(picks), float(cap))))
