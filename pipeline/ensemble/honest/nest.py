"""The honest score: everything that is chosen is chosen without the fold it is scored on.

A method's weights for fold f are fitted on the other folds; the predictions of all folds, pooled,
give its honest score. Where the *method* is chosen too ("auto"), that choice is repeated without
fold f: the methods are compared by leaving out one of the remaining folds at a time. Beside it
stands the in-sample score, of weights fitted and scored on the same rows, which can only flatter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.base import generator
from pipeline.ensemble.evidence import Evidence, FoldSet
from pipeline.ensemble.methods.registry import METHODS, methods_for
from pipeline.ensemble.methods.scaling import find_scale
from pipeline.ensemble.predictor import Predictor
from pipeline.metrics import Draws, resampled_gains
from pipeline.metrics.bootstrap import RESAMPLES

AUTO = "auto"
NESTED_RESAMPLES = 200  # a standard error inside the nest decides ties; 200 give it to 5 %


@dataclass(frozen=True)
class Choice:
    """Which method was chosen on a set of folds, and from what."""

    method: str
    gains: dict[str, float]
    """Pooled gain of each method, folds left out in turn."""
    behind: dict[str, float]
    """How far each is behind the best."""
    spread: dict[str, float]
    """Standard error of that difference, paired, over groups."""

    @property
    def reason(self) -> str:
        """The choice in a sentence."""
        best = max(self.gains, key=lambda name: self.gains[name])
        if best == self.method:
            return "best honest score, and nothing simpler is within a standard error of it"
        return (
            f"{best} is {self.behind[self.method]:.5f} better, which is within the standard error "
            f"of that difference ({self.spread[self.method]:.5f}), so the simpler {self.method}"
        )


@dataclass(eq=False)
class Nest:
    """Fits of each method on each set of folds; each is made once."""

    evidence: Evidence
    seed: int
    methods: Sequence[str] = ()
    """Those that "auto" chooses from; none given: all that suit the problem."""
    _fits: dict[tuple[str, FoldSet], Predictor] = field(default_factory=dict, repr=False)
    _choices: dict[FoldSet, Choice] = field(default_factory=dict, repr=False)
    _draws: dict[FoldSet, Draws] = field(default_factory=dict, repr=False)
    _resampled: dict[tuple[str, FoldSet], np.ndarray] = field(default_factory=dict, repr=False)
    _by_fit: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.methods = self.methods or methods_for(self.evidence)

    def fit(self, method: str, folds: FoldSet) -> Predictor:
        """The blend of *method* ("auto" too) fitted on *folds* alone."""
        if method == AUTO:
            method = self.choose(folds).method
        key = (method, folds)
        if key not in self._fits:
            self._fits[key] = METHODS[method].fit(self.evidence, folds)
        return self._fits[key]

    def left_out(self, method: str, folds: FoldSet) -> dict[int, Predictor]:
        """For each of *folds*, the blend fitted on the others."""
        return {fold: self.fit(method, folds - {fold}) for fold in sorted(folds)}

    def honest_gain(self, method: str) -> float:
        """The gain pooled over all folds, each predicted by a blend fitted on the others."""
        return self.evidence.gain(self.left_out(method, self.evidence.folds))

    def in_sample_gain(self, method: str) -> float:
        """The gain of weights scored on the very rows they were fitted on."""
        blend = self.fit(method, self.evidence.folds)
        return self.evidence.gain(dict.fromkeys(self.evidence.folds, blend))

    def beside(self, evidence: Evidence) -> "Nest":
        """A nest over other members of the same rows, with the same draws."""
        return Nest(evidence, self.seed, self.methods, _draws=self._draws)

    def draws(self, folds: FoldSet) -> Draws:
        """The bootstrap draws over the groups of *folds*: the same for every method."""
        if folds not in self._draws:
            count = RESAMPLES if folds == self.evidence.folds else NESTED_RESAMPLES
            groups = self.evidence.group_of_row[self.evidence.rows(folds)]
            self._draws[folds] = Draws.over(groups, self.seed, count)
        return self._draws[folds]

    def resampled(self, method: str, folds: FoldSet) -> np.ndarray:
        """(B,) that gain in each bootstrap draw."""
        if (method, folds) not in self._resampled:
            blends, draws = self.left_out(method, folds), self.draws(folds)
            self._resampled[method, folds] = self._drawn(blends, draws)
        return self._resampled[method, folds]

    def resampled_by_fit(self, method: str) -> np.ndarray:
        """(K, B') the gain in the first draws, were all rows predicted by one fit of the K."""
        folds = self.evidence.folds
        if method not in self._by_fit:
            draws = self.draws(folds).first(NESTED_RESAMPLES)
            fits = self.left_out(method, folds).values()
            drawn = [self._drawn(dict.fromkeys(folds, fit), draws) for fit in fits]
            self._by_fit[method] = np.array(drawn)
        return self._by_fit[method]

    def _drawn(self, blends: Mapping[int, Predictor], draws: Draws) -> np.ndarray:
        rows, predicted = self.evidence.predict(blends)
        truth = self.evidence.truth[rows]
        return resampled_gains(self.evidence.metric, truth, predicted, draws)

    def choose(self, folds: FoldSet) -> Choice:
        """Choose a method on *folds* alone: the simplest within a standard error of the best."""
        if folds not in self._choices:
            self._choices[folds] = self._compare(folds)
        return self._choices[folds]

    def wavers(self, method: str) -> bool:
        """Whether leaving out a fold chooses another method than *method*."""
        folds = self.evidence.folds
        return any(self.choose(folds - {fold}).method != method for fold in folds)

    def _compare(self, folds: FoldSet) -> Choice:
        if len(folds) < 2:
            return self._compare_unfitted(folds)
        pooled = {name: self.evidence.gain(self.left_out(name, folds)) for name in self.methods}
        best = max(pooled, key=lambda name: pooled[name])
        behind = {name: pooled[best] - gain for name, gain in pooled.items()}
        top = self.resampled(best, folds)
        spread = {name: spread_of(top - self.resampled(name, folds)) for name in self.methods}
        chosen = next((name for name in self.methods if behind[name] <= spread[name]), best)
        return Choice(chosen, pooled, behind, spread)

    def _compare_unfitted(self, folds: FoldSet) -> Choice:
        """With a single fold nothing can be left out, so only what fits no weights competes."""
        pooled = {}
        for name in [name for name in self.methods if not METHODS[name].fitted]:
            pooled[name] = self.evidence.gain(dict.fromkeys(folds, self.fit(name, folds)))
        best = max(pooled, key=lambda name: pooled[name])
        behind = {name: pooled[best] - gain for name, gain in pooled.items()}
        return Choice(best, pooled, behind, dict.fromkeys(pooled, 0.0))


def spread_of(differences: np.ndarray) -> float:
    """Standard deviation of the draws in which both gains are defined; 0 where none is."""
    known = differences[np.isfinite(differences)]
    return float(np.std(known)) if len(known) else 0.0


def error_correlation(evidence: Evidence) -> np.ndarray:
    """(M, M) correlation of the members' errors over all rows and columns."""
    errors = evidence.moments(evidence.folds).errors(evidence.column_weights(evidence.folds))
    spread = np.sqrt(np.maximum(np.diagonal(errors), 0.0))
    scale = np.outer(spread, spread)
    correlation = np.divide(errors, scale, out=np.zeros_like(errors), where=scale > 0)
    np.fill_diagonal(correlation, 1.0)
    return np.clip(correlation, -1.0, 1.0)


# How much blend weights move with the rows: refitted on bootstrap draws of whole groups.
#
# Weights that swing from draw to draw say that the data cannot tell the members apart; the blend
# may be good all the same, because members that can replace each other give the same predictions.


DRAWS = 100


def weight_spread(evidence: Evidence, method: str, seed: int, draws: int = DRAWS) -> np.ndarray:
    """(draws, M) the weights of *method* fitted on each draw."""
    random = generator(seed, "weight spread", draws)
    _, group_of_row = np.unique(evidence.group_of_row, return_inverse=True)
    rows_of_group = np.split(
        np.argsort(group_of_row, kind="stable"), np.cumsum(np.bincount(group_of_row))[:-1]
    )
    found = []
    for _ in range(draws):
        drawn = random.integers(len(rows_of_group), size=len(rows_of_group))
        part = _rows(evidence, np.concatenate([rows_of_group[group] for group in drawn]))
        found.append(METHODS[method].fit(part, part.folds).weights)
    return np.array(found)


def shown_weights(evidence: Evidence, weights: np.ndarray) -> np.ndarray:
    """Weights (..., M) of members that are all on the target's scale, so that they compare."""
    return weights / find_scale(evidence, evidence.folds).slope


def _rows(evidence: Evidence, rows: np.ndarray) -> Evidence:
    """The evidence of these rows, which may be drawn more than once."""
    return Evidence.gather(
        evidence.names,
        [member[rows] for member in evidence.oof],
        evidence.truth[rows],
        evidence.fold_of_row[rows],
        evidence.group_of_row[rows],
        evidence.metric,
        evidence.problem,
        None if evidence.facts is None else evidence.facts.take(rows),
    )
