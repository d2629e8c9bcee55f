"""The methods of blending, from simple to flexible, and which of them suit a problem.

Of methods within noise of each other the first is chosen, so the order is part of the contract.
Best, mean and rank-mean fit no weights. Simplex has one optimum that moves little when rows change;
greedy takes steps, so it may jump; ridge may go negative; slices and layers fit weights per kind of
row.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.results.blend import best_single, greedy, mean, simplex
from pipeline.results.blended import Predictor
from pipeline.results.evidence import Evidence, FoldSet
from pipeline.results.stack import ridge

Fit = Callable[[Evidence, FoldSet], Predictor]
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


METHODS: dict[str, Method] = {
    "best": Method(best_single),
    "mean": Method(mean),
    "simplex": Method(simplex),
    "greedy": Method(greedy),
    "ridge": Method(ridge),
}


def methods_for(evidence: Evidence) -> list[str]:
    """Names of the methods that suit *evidence*, from simple to flexible."""
    return [name for name, method in METHODS.items() if method.suits(evidence)]
