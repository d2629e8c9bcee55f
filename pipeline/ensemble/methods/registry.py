"""The methods of blending, from simple to flexible, and which of them suit a problem.

Of methods within noise of each other the first is chosen, so the order is part of the contract.
Best, mean and rank-mean fit no weights. Simplex has one optimum that moves little when rows change;
greedy takes steps, so it may jump; ridge may go negative; slices and layers fit weights per kind of
row.

An entry says where its function stands (`pipeline.base.doors`), so that `--help` knows the names
without loading anything.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.base.doors import load

if TYPE_CHECKING:
    from pipeline.ensemble.evidence import Evidence, FoldSet
    from pipeline.ensemble.predictor import Predictor

MOST_CELLS = 20_000_000
"""Rows x columns x members up to which "auto" tries methods that are scored row by row."""
MOST_UNIT_CELLS = 500_000
"""The same of units, for logistic: a text has many of them, and it would take minutes."""
CROWD = 15
"""Members from which greedy is tried in bags. In simulated worlds of 200 rows (12 each) bags took
0.010 to 0.013 off the true rmse with 20 members and 0.015 to 0.048 with 60; with six they did not
always."""


def _always(evidence: "Evidence") -> bool:
    return True


def _never(evidence: "Evidence") -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class Method:
    """One way to blend."""

    function: "str | Callable[[Evidence, FoldSet], Predictor]"
    """Fits on the rows of a set of folds, and sees no others; or where it stands."""
    suits: "Callable[[Evidence], bool]" = _always
    """Whether "auto" may choose it for such a problem."""
    refuses: "Callable[[Evidence], str | None]" = _never
    """Why it cannot be fitted on such members at all; None where it can."""
    one_scale: bool = True
    """Whether members that are on another scale are brought to the target's first."""
    fitted: bool = True
    """Whether labels decide anything; where they do not, one fold is enough."""

    @property
    def fit(self) -> "Callable[[Evidence, FoldSet], Predictor]":
        """The function that fits it."""
        found = load(self.function) if isinstance(self.function, str) else self.function
        if self.one_scale:
            from pipeline.ensemble.methods.scaling import on_one_scale

            return on_one_scale(found)
        return found


def _ordered(evidence: "Evidence") -> bool:
    """Whether the metric sees only the order of predictions."""
    return evidence.metric.record.sees == "order"


def _crowded(evidence: "Evidence") -> bool:
    """Whether there are so many members that greedy, left alone, picks by luck."""
    few_rows = evidence.uses_moments or evidence.cells <= MOST_CELLS
    return len(evidence.names) >= CROWD and few_rows


def _probable(evidence: "Evidence") -> bool:
    """Whether predictions are probabilities."""
    most = MOST_UNIT_CELLS if evidence.kind.units else MOST_CELLS
    return evidence.kind.scored_by_log_odds and evidence.cells <= most


def _sliced(evidence: "Evidence") -> bool:
    """Whether a column slices the rows."""
    few = evidence.cells <= MOST_CELLS
    return few and evidence.facts is not None and bool(evidence.facts.levels)


def _described(evidence: "Evidence") -> bool:
    """Whether there are facts about the rows."""
    whole = not evidence.kind.units  # of a unit alone there is nothing to say
    return whole and evidence.facts is not None and evidence.cells <= MOST_CELLS


def _without_texts(evidence: "Evidence") -> str | None:
    if evidence.kind.units:
        return "layers looks at whole texts; of one unit of them there is nothing to see"
    return "layers needs the rows' texts" if evidence.facts is None else None


def _without_slices(evidence: "Evidence") -> str | None:
    if evidence.facts and evidence.facts.levels:
        return None
    return (
        "slices needs a column of train and test with 2 to 20 values, each in 50 rows or more: "
        "name it in columns.features, or with --slice-by"
    )


_HERE = "pipeline.ensemble.methods"
METHODS: dict[str, Method] = {
    "best": Method(function=f"{_HERE}.weights:best_single", fitted=False),
    "mean": Method(function=f"{_HERE}.weights:mean", fitted=False),
    "rank-mean": Method(
        function=f"{_HERE}.rank_mean:rank_mean", suits=_ordered, one_scale=False, fitted=False
    ),
    "simplex": Method(function=f"{_HERE}.weights:simplex"),
    "greedy": Method(function=f"{_HERE}.weights:greedy"),
    "greedy-bag": Method(function=f"{_HERE}.weights:greedy_bag", suits=_crowded),
    "nonnegative-ridge": Method(function=f"{_HERE}.ridge:nonnegative_ridge"),
    "ridge": Method(function=f"{_HERE}.ridge:ridge"),
    "logistic": Method(function=f"{_HERE}.logistic:logistic", suits=_probable, one_scale=False),
    "slices": Method(function=f"{_HERE}.slices:slices", suits=_sliced, refuses=_without_slices),
    "layers": Method(function=f"{_HERE}.layers:layers", suits=_described, refuses=_without_texts),
}


OF_TEXTS = ("length",)
"""Methods that blend texts alone (`pipeline.ensemble.texts.nest`)."""


def refusal(name: str, evidence: "Evidence") -> str | None:
    """Why the method cannot be fitted on *evidence* at all, or None; "auto" always finds one."""
    if name in evidence.kind.refused_methods:
        return evidence.kind.refused_methods[name]
    if name in OF_TEXTS:
        return "it counts the characters of texts; these predictions are numbers"
    return METHODS[name].refuses(evidence) if name in METHODS else None


def methods_for(evidence: "Evidence") -> list[str]:
    """Names of the methods that suit *evidence*, from simple to flexible."""
    return [name for name, method in METHODS.items() if method.suits(evidence)]
