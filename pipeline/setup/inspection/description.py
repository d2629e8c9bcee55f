"""How the target is spread: a histogram, shares of classes, positives per label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from pipeline.base.config import Competition
from pipeline.data.table import Table

BINS = 10
FEW = 12
"""Up to so many distinct numbers are shown one by one."""


@dataclass(frozen=True, kw_only=True)
class NumberFacts:
    """One numeric target over the training rows."""

    name: str
    minimum: float
    mean: float
    maximum: float
    deviation: float
    distinct: int


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Rows per bin, class or label, in each labelled file."""

    names: list[str]
    """Bins of a number ("0.5 to 1"), classes, or labels; empty for several numbers."""
    counts: dict[str, list[int]]
    """File -> rows per name; the training file comes first."""
    totals: dict[str, int]
    """File -> its rows."""
    numbers: list[NumberFacts] = field(default_factory=list)
    """One per numeric target."""
    correlations: list[list[float]] = field(default_factory=list)
    """(k, k) Pearson correlations of several numeric targets or labels."""
    label_sets: int = 0
    """Distinct sets of labels, for multilabel."""
    unlabelled: int = 0
    """Training rows without any label, for multilabel."""

    def moved(self, source: str) -> float:
        """Share of *source*'s rows that would have to change bin to be spread as in training."""
        train, other = (np.array(self.counts[name]) for name in (next(iter(self.counts)), source))
        if not train.sum() or not other.sum():
            return 0.0
        return float(np.abs(train / train.sum() - other / other.sum()).sum() / 2)


def spread(competition: Competition, labelled: Mapping[str, Table]) -> Spread:
    """The spread of the target over *labelled* files, by name, the training file first."""
    targets = {name: table.targets for name, table in labelled.items() if table.targets is not None}
    names = competition.columns.targets
    match competition.task.problem:
        case "regression":
            return _numbers(names, targets, competition.task.label_range)
        case "multilabel":
            return _labels(names, targets)
        case _:
            return _classes(competition.task.classes, targets)


def _numbers(
    names: Sequence[str],
    targets: Mapping[str, np.ndarray],
    label_range: tuple[float, float] | None,
) -> Spread:
    """One numeric target as a histogram, several by their facts and correlations."""
    train = next(iter(targets.values()))
    facts = [number_facts(name, train[:, j]) for j, name in enumerate(names)]
    if len(names) > 1:
        return Spread(
            names=[],
            counts={},
            totals=_totals(targets),
            numbers=facts,
            correlations=correlations(train),
        )
    edges, labels = bins(train[:, 0], label_range)
    return Spread(
        names=labels,
        counts={name: histogram(values[:, 0], edges) for name, values in targets.items()},
        totals=_totals(targets),
        numbers=facts,
    )


def _labels(names: Sequence[str], targets: Mapping[str, np.ndarray]) -> Spread:
    """Positives of each of several labels."""
    train = next(iter(targets.values()))
    return Spread(
        names=list(names),
        counts={name: (values > 0).sum(axis=0).tolist() for name, values in targets.items()},
        totals=_totals(targets),
        correlations=correlations(train),
        label_sets=len(np.unique(train, axis=0)),
        unlabelled=int((train == 0).all(axis=1).sum()),
    )


def _classes(names: Sequence[str], targets: Mapping[str, np.ndarray]) -> Spread:
    """Rows of each class."""
    counts = {
        name: np.bincount(values[:, 0].astype(int), minlength=len(names)).tolist()
        for name, values in targets.items()
    }
    return Spread(names=list(names), counts=counts, totals=_totals(targets))


def _totals(targets: Mapping[str, np.ndarray]) -> dict[str, int]:
    return {name: len(values) for name, values in targets.items()}


def bins(
    values: np.ndarray, label_range: tuple[float, float] | None
) -> tuple[np.ndarray, list[str]]:
    """Lower edges (b,) and names (b,) of the bins for a numeric target (n,).

    A target of few values gets a bin for each; others get BINS bins of equal width over the
    label range (widened where values lie outside it).
    """
    distinct = np.unique(values)
    if len(distinct) <= FEW:
        return distinct, [f"{value:g}" for value in distinct]
    low, high = label_range or (distinct[0], distinct[-1])
    edges = np.linspace(min(low, distinct[0]), max(high, distinct[-1]), BINS + 1)
    # linspace leaves 0.30000000000000004, which would put a label of 0.3 below its own edge
    edges = np.array([float(f"{edge:.10g}") for edge in edges])
    names = [f"{a:.4g} to {b:.4g}" for a, b in pairwise(edges)]
    return edges[:-1], names


def histogram(values: np.ndarray, lower_edges: np.ndarray) -> list[int]:
    """Rows per bin; values outside fall into the first or the last."""
    place = np.searchsorted(lower_edges, values, side="right") - 1
    counts = np.bincount(np.maximum(place, 0), minlength=len(lower_edges))
    return [int(count) for count in counts]


def number_facts(name: str, values: np.ndarray) -> NumberFacts:
    """Least, mean, largest and spread of one numeric target (n,)."""
    return NumberFacts(
        name=name,
        minimum=float(values.min()),
        mean=float(values.mean()),
        maximum=float(values.max()),
        deviation=float(values.std()),
        distinct=len(np.unique(values)),
    )


def correlations(targets: np.ndarray) -> list[list[float]]:
    """(k, k) Pearson correlations of targets (n, k); 0 where a column is constant."""
    centred = targets - targets.mean(axis=0)
    scale = np.sqrt((centred**2).sum(axis=0))
    unit = centred / np.where(scale > 0, scale, 1)
    return [[float(value) for value in row] for row in unit.T @ unit]
