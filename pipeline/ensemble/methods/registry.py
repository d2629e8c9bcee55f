"""The methods of blending, from simple to flexible, and which of them suit a problem.

Of methods within noise of each other the first is chosen, so the order is part of the contract.
Best, mean and rank-mean fit no weights. Simplex has one optimum that moves little when rows change;
greedy takes steps, so it may jump; ridge may go negative; slices and layers fit weights per kind of
row.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.ensemble.evidence import Evidence, FoldSet
from pipeline.ensemble.methods.layers import layers
from pipeline.ensemble.methods.logistic import logistic
from pipeline.ensemble.methods.rank_mean import ORDER_ONLY, rank_mean
from pipeline.ensemble.methods.ridge import nonnegative_ridge, ridge
from pipeline.ensemble.methods.scaling import on_one_scale
from pipeline.ensemble.methods.slices import slices
from pipeline.ensemble.methods.weights import best_single, greedy, greedy_bag, mean, simplex
from pipeline.ensemble.predictor import Predictor

Fit = Callable[[Evidence, FoldSet], Predictor]
MOST_CELLS = 20_000_000
"""Rows x columns x members up to which "auto" tries methods that are scored row by row."""
CROWD = 15
"""Members from which greedy is tried in bags. In simulated worlds of 200 rows (12 each) bags took
0.010 to 0.013 off the true rmse with 20 members and 0.015 to 0.048 with 60; with six they did not
always."""
UNFITTED = ("best", "mean", "rank-mean")
"""Methods that one fold is enough for."""


def _always(evidence: Evidence) -> bool:
    return True


@dataclass(frozen=True)
class Method:
    """One way to blend."""

    fit: Fit
    """Fits on the rows of a set of folds, and sees no others."""
    suits: Callable[[Evidence], bool] = _always
    """Whether "auto" may choose it for such a problem."""


def _ordered(evidence: Evidence) -> bool:
    """Whether the metric sees only the order of predictions."""
    return evidence.metric.name in ORDER_ONLY


def _crowded(evidence: Evidence) -> bool:
    """Whether there are so many members that greedy, left alone, picks by luck."""
    few_rows = evidence.uses_moments or evidence.cells <= MOST_CELLS
    return len(evidence.names) >= CROWD and few_rows


def _probable(evidence: Evidence) -> bool:
    """Whether predictions are probabilities."""
    return evidence.kind.scored_by_log_odds and evidence.cells <= MOST_CELLS


def _sliced(evidence: Evidence) -> bool:
    """Whether a column slices the rows."""
    return _described(evidence) and evidence.facts is not None and bool(evidence.facts.levels)


def _described(evidence: Evidence) -> bool:
    """Whether there are facts about the rows."""
    return evidence.facts is not None and evidence.cells <= MOST_CELLS


METHODS: dict[str, Method] = {
    "best": Method(on_one_scale(best_single)),
    "mean": Method(on_one_scale(mean)),
    "rank-mean": Method(rank_mean, _ordered),
    "simplex": Method(on_one_scale(simplex)),
    "greedy": Method(on_one_scale(greedy)),
    "greedy-bag": Method(on_one_scale(greedy_bag), _crowded),
    "nonnegative-ridge": Method(on_one_scale(nonnegative_ridge)),
    "ridge": Method(on_one_scale(ridge)),
    "logistic": Method(logistic, _probable),
    "slices": Method(on_one_scale(slices), _sliced),
    "layers": Method(on_one_scale(layers), _described),
}


def refusal(name: str, evidence: Evidence) -> str | None:
    """Why the method cannot be fitted on *evidence* at all, or None."""
    if name in evidence.kind.refused_methods:
        return evidence.kind.refused_methods[name]
    if name == "layers" and evidence.facts is None:
        return "layers needs the rows' texts"
    if name == "slices" and not (evidence.facts and evidence.facts.levels):
        return (
            "slices needs a column of train and test with 2 to 20 values, each in 50 rows or more: "
            "name it in columns.features, or with --slice-by"
        )
    return None


def methods_for(evidence: Evidence) -> list[str]:
    """Names of the methods that suit *evidence*, from simple to flexible."""
    return [name for name, method in METHODS.items() if method.suits(evidence)]
