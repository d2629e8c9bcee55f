"""The honest score: everything that is chosen is chosen without the fold it is scored on.

A method's weights for fold f are fitted on the other folds; the predictions of all folds, pooled,
give its honest score. Where the *method* is chosen too ("auto"), that choice is repeated without
fold f: the methods are compared by leaving out one of the remaining folds at a time. Beside it
stands the in-sample score, of weights fitted and scored on the same rows, which can only flatter.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.results.blended import Predictor
from pipeline.results.bootstrap import RESAMPLES, Draws, resampled_gains
from pipeline.results.evidence import Evidence, FoldSet
from pipeline.results.methods import METHODS, UNFITTED, methods_for

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

    def resampled(self, method: str, folds: FoldSet) -> np.ndarray:
        """(B,) that gain in each bootstrap draw; the draws are the same for every method."""
        if folds not in self._draws:
            count = RESAMPLES if folds == self.evidence.folds else NESTED_RESAMPLES
            groups = self.evidence.group_of_row[self.evidence.rows(folds)]
            self._draws[folds] = Draws.over(groups, self.seed, count)
        if (method, folds) not in self._resampled:
            rows, predicted = self.evidence.predict(self.left_out(method, folds))
            self._resampled[method, folds] = resampled_gains(
                self.evidence.metric,
                self.evidence.problem,
                self.evidence.truth[rows],
                predicted,
                self._draws[folds],
            )
        return self._resampled[method, folds]

    def choose(self, folds: FoldSet) -> Choice:
        """Choose a method on *folds* alone: the simplest within a standard error of the best."""
        if folds not in self._choices:
            self._choices[folds] = self._compare(folds)
        return self._choices[folds]

    def _compare(self, folds: FoldSet) -> Choice:
        if len(folds) < 2:
            return self._compare_unfitted(folds)
        pooled = {name: self.evidence.gain(self.left_out(name, folds)) for name in self.methods}
        best = max(pooled, key=lambda name: pooled[name])
        behind = {name: pooled[best] - gain for name, gain in pooled.items()}
        top = self.resampled(best, folds)
        spread = {name: _spread(top - self.resampled(name, folds)) for name in self.methods}
        chosen = next((name for name in self.methods if behind[name] <= spread[name]), best)
        return Choice(chosen, pooled, behind, spread)

    def _compare_unfitted(self, folds: FoldSet) -> Choice:
        """With a single fold nothing can be left out, so only what fits no weights competes."""
        pooled = {}
        for name in [name for name in self.methods if name in UNFITTED]:
            pooled[name] = self.evidence.gain(dict.fromkeys(folds, self.fit(name, folds)))
        best = max(pooled, key=lambda name: pooled[name])
        behind = {name: pooled[best] - gain for name, gain in pooled.items()}
        return Choice(best, pooled, behind, dict.fromkeys(pooled, 0.0))


@dataclass(frozen=True)
class Gain:
    """By how much one set of predictions beats another on the same rows."""

    difference: float
    """In the metric's unit; above 0 is better."""
    error: float
    """Standard error over groups."""
    low: float
    high: float
    """95 % interval."""

    @property
    def verdict(self) -> str:
        """real, undecided or no."""
        if self.low > 0:
            return "real"
        return "no" if self.high <= 0 else "undecided"


def gain_over(nest: Nest, method: str, other: str) -> Gain:
    """The honest gain of *method* over the method *other*, with its interval."""
    folds = nest.evidence.folds
    differences = nest.resampled(method, folds) - nest.resampled(other, folds)
    known = differences[np.isfinite(differences)]
    low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (-np.inf, np.inf)
    return Gain(
        difference=nest.honest_gain(method) - nest.honest_gain(other),
        error=_spread(differences),
        low=float(low),
        high=float(high),
    )


def _spread(differences: np.ndarray) -> float:
    """Standard deviation of the draws in which both gains are defined; 0 where none is."""
    known = differences[np.isfinite(differences)]
    return float(np.std(known)) if len(known) else 0.0


def cost_of_leaving_out(nest: Nest, method: str) -> list[float | None]:
    """(M,) how much honest gain is lost when a member is left out and everything is fitted anew.

    Below 0: the ensemble is better without it. None where there is only one member.
    """
    members = len(nest.evidence.names)
    if members == 1:
        return [None]
    whole = nest.honest_gain(method)
    return [
        whole - Nest(nest.evidence.without(member), nest.seed).honest_gain(method)
        for member in range(members)
    ]


def error_correlation(evidence: Evidence) -> np.ndarray:
    """(M, M) correlation of the members' errors over all rows and columns."""
    errors = evidence.moments(evidence.folds).errors(evidence.column_weights(evidence.folds))
    spread = np.sqrt(np.maximum(np.diagonal(errors), 0.0))
    scale = np.outer(spread, spread)
    correlation = np.divide(errors, scale, out=np.zeros_like(errors), where=scale > 0)
    np.fill_diagonal(correlation, 1.0)
    return np.clip(correlation, -1.0, 1.0)
