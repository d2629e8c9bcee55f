"""The honest score: everything that is chosen is chosen without the fold it is scored on.

A method's weights for fold f are fitted on the other folds; the predictions of all folds, pooled,
give its honest score. Where the *method* is chosen too ("auto"), that choice is repeated without
fold f: the methods are compared by leaving out one of the remaining folds at a time. Beside it
stands the in-sample score, of weights fitted and scored on the same rows, which can only flatter.
Below: the interval of a difference of two honest scores, and what each member is worth.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import ndtri, stdtrit

from pipeline.ensemble.evidence import Evidence, FoldSet
from pipeline.ensemble.methods.registry import METHODS, methods_for
from pipeline.ensemble.predictor import Predictor
from pipeline.metrics import Draws, resampled_gains
from pipeline.metrics.bootstrap import BUNDLES, RESAMPLES, freedom

AUTO = "auto"
NESTED_RESAMPLES = 200  # a standard error inside the nest decides ties; 200 give it to 5 %
# Bundles left out where the metric must be called: for ties inside the nest (a standard error to
# 16 %), and for each of K fits, whose differences are then known from 9 (K - 1) numbers.
NESTED_BUNDLES, FIT_BUNDLES = 20, 10


@dataclass(frozen=True)
class Choice:
    """Which method was chosen on a set of folds, and from what."""

    method: str
    gains: dict[str, float]
    """Pooled gain of each method, folds left out in turn."""
    behind: dict[str, float]
    """How far each is behind the best."""
    spread: dict[str, float]
    """Standard error of that difference, paired, over groups; of the method chosen and the simpler
    ones."""

    @property
    def reason(self) -> str:
        """The choice in a sentence."""
        best = max(self.gains, key=lambda name: self.gains[name])
        if best == self.method:
            simpler = [name for name in self.spread if name != best]
            if not simpler:
                return "best honest score, and there is nothing simpler"
            near = min(simpler, key=lambda name: self.behind[name])
            return (
                f"best honest score: {near}, the nearest that is simpler, is "
                f"{self.behind[near]:.5f} behind, more than rows drawn anew move that "
                f"({self.spread[near]:.5f})"
            )
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
    decisions: dict[tuple[str, ...], Any] = field(default_factory=dict, repr=False)
    """What decisions were fitted to predictions of these fits (`decisions.choose`)."""
    _fits: dict[tuple[str, FoldSet], Predictor] = field(default_factory=dict, repr=False)
    _choices: dict[FoldSet, Choice] = field(default_factory=dict, repr=False)
    _draws: dict[FoldSet, Draws] = field(default_factory=dict, repr=False)
    _resampled: dict[tuple[str, FoldSet], np.ndarray] = field(default_factory=dict, repr=False)
    _by_fit: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    _rivals: list["Nest"] = field(default_factory=list, repr=False)

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

    def unfitted(self) -> list[str]:
        """The methods that fit nothing."""
        return [name for name in self.methods if not METHODS[name].fitted]

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
            bundles = BUNDLES if folds == self.evidence.folds else NESTED_BUNDLES
            self._resampled[method, folds] = self._drawn(blends, draws, bundles)
        return self._resampled[method, folds]

    def resampled_by_fit(self, method: str) -> np.ndarray:
        """(K, B') the gain in the first draws, were all rows predicted by one fit of the K."""
        folds = self.evidence.folds
        if method not in self._by_fit:
            draws = self.draws(folds).first(NESTED_RESAMPLES)
            fits = self.left_out(method, folds).values()
            drawn = [self._drawn(dict.fromkeys(folds, fit), draws, FIT_BUNDLES) for fit in fits]
            self._by_fit[method] = np.array(drawn)
        return self._by_fit[method]

    def _drawn(self, blends: Mapping[int, Predictor], draws: Draws, bundles: int) -> np.ndarray:
        rows, predicted = self.evidence.predict(blends)
        truth = self.evidence.truth[rows]
        return resampled_gains(self.evidence.metric, truth, predicted, draws, bundles)

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
        chosen, spread = best, {best: 0.0}
        for name in self.methods:  # the first that is near enough: flexible ones are not asked
            spread[name] = spread_of(top - self.resampled(name, folds))
            if behind[name] <= spread[name]:
                chosen = name
                break
        return Choice(chosen, pooled, behind, spread)

    def _compare_unfitted(self, folds: FoldSet) -> Choice:
        """With a single fold nothing can be left out, so only what fits no weights competes."""
        pooled = {}
        for name in self.unfitted():
            pooled[name] = self.evidence.gain(dict.fromkeys(folds, self.fit(name, folds)))
        best = max(pooled, key=lambda name: pooled[name])
        behind = {name: pooled[best] - gain for name, gain in pooled.items()}
        return Choice(best, pooled, behind, dict.fromkeys(pooled, 0.0))


def spread_of(differences: np.ndarray) -> float:
    """Standard deviation of the draws in which both gains are defined; 0 where none is."""
    known = differences[np.isfinite(differences)]
    return float(np.std(known)) if len(known) else 0.0


# Is a gain real? Differences of honest scores, with intervals that hold.
#
# What is estimated. Each fold is predicted by what was fitted without it. The *true gain* is by how
# much the K fits of one method beat the K fits of another on the population that the groups come
# from, each fit counting for the rows it predicted: the k-fold test error of Bayle, Bayle, Janson &
# Mackey, "Cross-validation Confidence Intervals for Test Error" (NeurIPS 2020). Three things make
# the honest difference uncertain:
#
# Rows. Groups are drawn anew, the same for both, the fits held fixed; the interval takes the
# t-quantile for the number of groups, counted as if they were of one size.
#
# Fits. Where a method's fits follow the noise of the rows they see, that very noise is scored again
# when those rows are held out, so this part of the variance counts twice (what fit f makes of fold
# g is what fit g makes of fold f). It is measured by how the K fits differ and added. Against a
# clear difference it is nothing; for a member of little weight it is much.
#
# The choice of the best single member. Where two are nearly equal, a few rows decide which is
# taken, and no fit moves little. So every member that may be the best is compared with, in the same
# draws. The interval's lower end is the lowest of theirs, its upper end the lowest of upper ends
# that hold for all of them at once (Hsu, "Simultaneous Confidence Intervals for all Distances from
# the 'Best'", Annals of Statistics 9, 1981).


UPPER = 0.975  # probability below the upper end of a 95 % interval
RIVAL = 1.5  # standard errors behind the best member up to which another may be the best
RIVALS = 20  # members asked whether they may be, from the best down
SPARSE = ("best", "simplex", "greedy")  # fitted the same without a member that they do not use
LEFT_OUT = 30  # members left out in turn, at most: those with the largest weights
LEFT_OUT_BY_ROWS = 10  # the same where every fit passes over the rows


@dataclass(frozen=True)
class Gain:
    """By how much one set of predictions beats another on the same rows."""

    difference: float
    """In the metric's unit; above 0 is better."""
    error: float
    """Standard error, over groups and fits."""
    low: float
    high: float
    """95 % interval."""

    @property
    def verdict(self) -> str:
        """real, undecided or no."""
        if self.low > 0:
            return "real"
        return "no" if self.high <= 0 else "undecided"


@dataclass(frozen=True)
class Difference:
    """A difference of honest gains and what is known of its error."""

    value: float
    draws: np.ndarray
    """(B,) when groups are drawn anew; NaN where a metric is undefined."""
    of_fits: float
    """Variance that comes from the fits."""
    reach: float
    """Standard errors from the middle of the interval to its ends."""

    @property
    def error(self) -> float:
        """Standard error; infinite where nothing is known of it."""
        if not (np.isfinite(self.draws).any() and np.isfinite(self.value)):
            return np.inf
        return float(np.sqrt(spread_of(self.draws) ** 2 + self.of_fits))

    def gain(self) -> Gain:
        """With its interval, for fits that move little when a row changes."""
        apart = self.reach * self.error
        if np.isinf(apart):
            return Gain(self.value, self.error, -np.inf, np.inf)
        return Gain(self.value, self.error, self.value - apart, self.value + apart)


def gain_over(nest: Nest, method: str, other: str) -> Gain:
    """The honest gain of *method* over the method *other*, with its interval."""
    if method == "best" != other:
        turned = gain_over(nest, other, method)
        return Gain(-turned.difference, turned.error, -turned.high, -turned.low)
    apart = difference(nest, method, nest, other)
    if other != "best" or not apart.error:  # without error: the same predictions
        return apart.gain()
    singles = [difference(nest, method, single, other) for single in rivals(nest)]
    return Gain(
        apart.value,
        apart.error,
        low=min(each.gain().low for each in [apart, *singles]),
        high=max(apart.gain().high, lowest_upper_end(singles)),
    )


def difference(nest: Nest, method: str, beside: Nest, other: str) -> Difference:
    """The honest gain of *method* in one nest over *other* in another, which has the same rows."""
    folds = nest.evidence.folds
    return Difference(
        value=nest.honest_gain(method) - beside.honest_gain(other),
        draws=nest.resampled(method, folds) - beside.resampled(other, folds),
        of_fits=_variance_of_fits(
            _by_fit(nest, method) - _by_fit(beside, other), nest.evidence.metric.needs == "label"
        ),
        reach=float(stdtrit(freedom(nest.evidence.metric, nest.draws(folds)), UPPER)),
    )


def _by_fit(nest: Nest, method: str) -> np.ndarray:
    """(K, B') draws of each fit's gain; 0 for the best single, which is told apart by rivals."""
    return np.zeros((1, 1)) if method == "best" else nest.resampled_by_fit(method)


def _variance_of_fits(drawn: np.ndarray, steps: bool) -> float:
    """How much of the draws' variance is the fits', from how the draws (K, B') of K fits differ.

    Fits that share all but two of K folds differ by 1 / (K - 1) of what they are off, so variances
    that go with the square are K - 1 times as large (the jackknife's factor). Where a small change
    flips few rows from wrong to right, the variance goes with the change itself, not its square.
    """
    noise = drawn[:, np.isfinite(drawn).all(axis=0)]
    if not noise.size:
        return 0.0
    noise = noise - noise.mean(axis=1, keepdims=True)
    apart = float(((noise - noise.mean(axis=0)) ** 2).mean())
    return apart * (len(drawn) - 1) ** (0.5 if steps else 1.0)


def rivals(nest: Nest) -> list[Nest]:
    """One nest for each member that may be the best single one."""
    if not nest._rivals:  # the same for every method
        evidence = nest.evidence
        alone = [nest.beside(evidence.keep([place])) for place in range(len(evidence.names))]
        alone = sorted(alone, key=lambda each: -each.honest_gain("best"))[:RIVALS]
        behind = [difference(alone[0], "best", each, "best") for each in alone]
        nest._rivals = [
            each
            for each, gap in zip(alone, behind, strict=True)
            if each is alone[0] or gap.value <= RIVAL * gap.error
        ]
    return nest._rivals


def lowest_upper_end(differences: Sequence[Difference]) -> float:
    """The lowest of upper ends that hold for all *differences* at once, as one's holds for one."""
    differences = [each for each in differences if np.isfinite(each.error)]
    if not differences:
        return np.inf
    errors = np.array([each.error for each in differences])
    draws = np.array([each.draws for each in differences])
    draws = draws[:, np.isfinite(draws).all(axis=0)]
    wider = 1.0
    if draws.size:
        short = draws.mean(axis=1, keepdims=True) - draws
        furthest = (short / np.where(errors > 0, errors, np.inf)[:, None]).max(axis=0)
        wider = max(1.0, float(np.quantile(furthest, UPPER) / ndtri(UPPER)))
    return min(each.value + wider * each.reach * each.error for each in differences)


def contributions(nest: Nest, method: str) -> list[Gain | None]:
    """(M,) the honest gain of *method* over itself, fitted anew without each member.

    Below 0: the ensemble is better without it. None where there is only one member. Of many only
    LEFT_OUT (or LEFT_OUT_BY_ROWS) are left out in turn, and the others are None. A member that no
    fit of a method in SPARSE uses is worth 0 without trying: the fits without it are the same.
    """
    evidence = nest.evidence
    if len(evidence.names) == 1:
        return [None]
    fits = nest.left_out(method, evidence.folds).values()
    used = np.sum([np.abs(fit.weights) for fit in fits], axis=0)
    most = LEFT_OUT if evidence.uses_moments else LEFT_OUT_BY_ROWS
    heaviest = np.argsort(-used, kind="stable")[:most].tolist()

    def worth(member: int) -> Gain | None:
        if method in SPARSE and not used[member]:
            return Gain(0.0, 0.0, 0.0, 0.0)
        if member not in heaviest:
            return None
        without = nest.beside(evidence.without(member))
        return difference(nest, method, without, method).gain()

    return [worth(member) for member in range(len(evidence.names))]
