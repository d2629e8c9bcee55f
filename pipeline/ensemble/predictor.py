"""What a blend is, and how it predicts.

`Blend`, the weighted sum, is what most methods fit, and the only kind that can be scored from
moments. Other kinds (`logistic`, `slices`, `layers`) answer the same two questions row by row.

A blend is a predictor of rows, not a vector of weights: rank means, log pools, weights per slice
and a second layer answer the same two questions (`weights`, `predict`). Only plain weighted sums
are scored from moments.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pipeline.base import UsageError
from pipeline.data import Table
from pipeline.problems.registry import problem_of

if TYPE_CHECKING:
    from pipeline.ensemble.decisions.decision import Decision
    from pipeline.problems.form import Form

# Facts about rows besides their predictions: which slice of the data they are from, and a few
# numbers about their texts. Labels are never among them.
#
# They feed the weights per slice and the second layer of the stack, so they are few: what a person
# would look at when asking on which rows one model is better than another.


FEWEST, MOST = 2, 20  # levels of a column that slices the rows
SMALLEST = 50  # training rows of a slice; smaller ones are one slice together
REST = -1  # the slice of all levels too small for weights of their own, and of unseen ones


@dataclass(frozen=True, eq=False)
class RowFeatures:
    """Facts about n rows."""

    texts: np.ndarray
    """(n, s) str objects."""
    slices: np.ndarray
    """(n,) number of the row's slice, or REST."""
    levels: list[str] = field(default_factory=list)
    """What the slices are called; none where the rows are not sliced."""
    column: str = ""
    """The column the slices come from."""
    apart: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Member -> (n,) how far its predictions of a row's wordings are apart (`tta`)."""

    def take(self, positions: np.ndarray) -> "RowFeatures":
        """The facts of the rows at *positions*."""
        part = RowFeatures(
            self.texts[positions],
            self.slices[positions],
            self.levels,
            self.column,
            {name: values[positions] for name, values in self.apart.items()},
        )
        if "values" in self.__dict__:  # cut what is already computed
            part.__dict__["values"] = self.values[positions]
        return part

    @cached_property
    def values(self) -> np.ndarray:
        """(n, q) float64: log length; of pairs also the difference and the words in common; how far
        wordings are apart, of each member that was asked about several; then 1 in the column of
        the row's slice."""
        counts = np.array([[len(text) for text in row] for row in self.texts], dtype=float)
        logs = np.log1p(counts)
        columns = [logs.mean(axis=1)]
        if self.texts.shape[1] == 2:
            columns += [np.abs(logs[:, 0] - logs[:, 1]), _words_in_common(self.texts)]
        columns += [np.asarray(values, dtype=float) for values in self.apart.values()]
        columns += [(self.slices == place).astype(float) for place in range(len(self.levels))]
        return np.stack(columns, axis=1)

    @property
    def names(self) -> list[str]:
        """(q,) what the columns of `values` are."""
        pair = ["length difference", "words in common"] if self.texts.shape[1] == 2 else []
        apart = [f"wordings apart, {name}" for name in self.apart]
        return ["length", *pair, *apart, *(f"{self.column} {level}" for level in self.levels)]


def facts_of(tables: Sequence[Table], column: str | None = None) -> list[RowFeatures]:
    """Facts about the rows of each of *tables*; the first is train and decides the slices.

    *column* names the column to slice by; None takes the first that all tables have and that has
    2 to 20 levels in train, if there is one, and "" none. Raises UsageError where not all tables
    have the column that is named.
    """
    train = tables[0]
    shared = [name for name in train.features if all(name in each.features for each in tables)]
    if column and column not in shared:
        listed = f"there are {', '.join(shared)}" if shared else "there are none"
        raise UsageError(
            f"--slice-by {column}: no such column among columns.features that train and test "
            f"share; {listed}"
        )
    wanted = shared if column is None else [name for name in shared if name == column]
    for name in wanted:
        names, counts = np.unique(train.features[name].astype(str), return_counts=True)
        levels = [str(level) for level in names[counts >= SMALLEST]]
        if len(names) <= MOST and len(levels) >= FEWEST:
            return [_sliced(table, name, levels) for table in tables]
    return [about_rows(table) for table in tables]


def facts_by_file(
    train: Table,
    test: Table | None,
    holdout: Table | None,
    slice_by: str | None,
    apart: Mapping[str, Mapping[str, np.ndarray]],
) -> dict[str, RowFeatures]:
    """File -> facts about its rows; *apart* as `pipeline.oof.members.Members` has it."""
    if test is None:
        return {}
    tables = {"train": train, "test": test} | ({} if holdout is None else {"holdout": holdout})
    names = ["oof", "test", "holdout"][: len(tables)]
    found = facts_of(list(tables.values()), slice_by)
    return {
        file: replace(facts, apart=apart.get(name, {}))
        for file, name, facts in zip(tables, names, found, strict=True)
    }


def about_rows(table: Table, column: str = "", levels: Sequence[str] = ()) -> RowFeatures:
    """Facts about the rows of *table*, sliced by the *levels* of a *column*; by none without."""
    if not column:
        return RowFeatures(table.texts, np.full(len(table), REST))
    return _sliced(table, column, list(levels))


def _sliced(table: Table, column: str, levels: list[str]) -> RowFeatures:
    number = {level: place for place, level in enumerate(levels)}
    found = [number.get(str(value), REST) for value in table.features[column]]
    return RowFeatures(table.texts, np.array(found, dtype=int), levels, column)


def _words_in_common(texts: np.ndarray) -> np.ndarray:
    """(n,) Jaccard index of the two texts' words."""
    shares = np.zeros(len(texts))
    for row, (first, second) in enumerate(texts):
        one, other = set(first.split()), set(second.split())
        shares[row] = len(one & other) / max(len(one | other), 1)
    return shares


# What a blend may see of rows it predicts: the members' predictions and facts about the rows.
#
# Never a target: a blend is fitted on the rows of some folds and then applied to rows like these,
# whether they are held out, of the test file, or of a holdout file.


@dataclass(frozen=True, eq=False)
class Rows:
    """n rows."""

    members: Sequence[np.ndarray]
    """M arrays (n, k)."""
    facts: RowFeatures | None = None
    """None where nothing but predictions is known."""

    def __len__(self) -> int:
        return len(self.members[0])

    @property
    def columns(self) -> int:
        """Prediction columns, k."""
        return int(self.members[0].shape[1])

    def take(self, positions: np.ndarray) -> "Rows":
        """The rows at *positions* (or where a mask is set), everything cut alike."""
        facts = None if self.facts is None else self.facts.take(positions)
        return Rows([member[positions] for member in self.members], facts)

    def keep(self, members: Sequence[int]) -> "Rows":
        """The same rows, predicted by the *members* at these positions only."""
        return Rows([self.members[place] for place in members], self.facts)


FLOOR = (
    0.001  # lowest probability of a blend that is no average: a false 0 would cost log-loss dear
)


class Predictor(Protocol):
    """Fitted on some folds; predicts rows it has not seen."""

    @property
    def weights(self) -> np.ndarray:
        """(M,) how much each member counts, for a person to read."""

    def predict(self, rows: Rows, problem: str) -> np.ndarray:
        """(n, k) predictions for *problem*: probabilities stay probabilities."""

    def details(self) -> dict[str, Any]:
        """All that was fitted, as plain values for JSON."""


@dataclass(frozen=True)
class Blend:
    """A weighted sum of members plus an intercept per column."""

    weights: np.ndarray
    """(M,)."""
    intercept: np.ndarray
    """(k,); zero for everything but ridge."""

    @property
    def is_average(self) -> bool:
        """Whether its predictions lie between those of the members."""
        inside = bool((self.weights >= 0).all()) and not self.intercept.any()
        return inside and abs(float(self.weights.sum()) - 1) < 1e-6

    def of(self, members: Sequence[np.ndarray]) -> np.ndarray:
        """(n, k) float64, the plain weighted sum of M arrays (n, k)."""
        total = np.tile(np.asarray(self.intercept, dtype=float), (len(members[0]), 1))
        for weight, member in zip(self.weights, members, strict=True):
            if weight:
                total += weight * member
        return total

    def predict(self, rows: Rows, problem: str) -> np.ndarray:
        """(n, k) predictions for *problem*: probabilities stay probabilities.

        Averages of probabilities pass unchanged; ridge, which can leave the range, is brought back
        into it, for multiclass with rows that sum to one.
        """
        values = self.of(rows.members)
        return values if self.is_average else within_range(values, problem)

    def details(self) -> dict[str, Any]:
        """Weights and intercept."""
        return {"weights": self.weights.tolist(), "intercept": self.intercept.tolist()}


def within_range(values: np.ndarray, problem: str) -> np.ndarray:
    """(n, k) *values* as they are for numbers; else as probabilities, for one class of several with
    rows that sum to one."""
    return problem_of(problem).within_range(values, FLOOR)


def mean_of(members: Sequence[np.ndarray]) -> np.ndarray:
    """(n, k) float64, the plain mean of M arrays (n, k), one of them in memory at a time."""
    return Blend(np.full(len(members), 1 / len(members)), np.zeros(members[0].shape[1])).of(members)


# An ensemble on its own: what its answers need, and nothing of the rows it was fitted on.


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """The members' predictions in, the values that are written out."""

    blend: Predictor
    decision: "Decision | None"
    """None: predictions are written as they are."""
    form: "Form"
    limits: tuple[float, float]
    """Lowest and highest label that numbers written as labels may have."""
    column: str = ""
    """The column that slices the rows; none where they are not sliced."""
    levels: list[str] = field(default_factory=list)

    def rows(
        self,
        members: Sequence[np.ndarray],
        table: Table,
        apart: Mapping[str, np.ndarray] | None = None,
    ) -> Rows:
        """The rows of *table*, M *members* (m, k) having predicted them; *apart* says how far their
        wordings are, of the members that were asked about several."""
        facts = about_rows(table, self.column, self.levels)
        return Rows(members, replace(facts, apart=apart) if apart else facts)

    @property
    def needed(self) -> list[int]:
        """Positions of the members that answers need: not those that a weighted sum gives 0."""
        weights = self.blend.weights
        every = range(len(weights))
        return [place for place in every if weights[place] or not isinstance(self.blend, Blend)]

    def keep(self, members: Sequence[int]) -> "Fitted":
        """The same of the *members* at these positions only, which are those that are `needed`."""
        if not isinstance(self.blend, Blend):
            return self
        weights = self.blend.weights[list(members)]
        return replace(self, blend=Blend(weights, self.blend.intercept))

    def decide(self, predicted: np.ndarray) -> np.ndarray:
        """(m, k) decided values from the blend's predictions (m, k)."""
        return predicted if self.decision is None else self.decision.apply(predicted)
