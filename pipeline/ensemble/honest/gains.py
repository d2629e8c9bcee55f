"""Is a gain real? Differences of honest scores, with intervals that hold.

What is estimated. Each fold is predicted by what was fitted without it. The *true gain* is by how
much the K fits of one method beat the K fits of another on the population that the groups come
from, each fit counting for the rows it predicted: the k-fold test error of Bayle, Bayle, Janson &
Mackey, "Cross-validation Confidence Intervals for Test Error" (NeurIPS 2020). Three things make the
honest difference uncertain:

Rows. Groups are drawn anew, the same for both, the fits held fixed; the interval takes the
t-quantile for the number of groups, counted as if they were of one size.

Fits. Where a method's fits follow the noise of the rows they see, that very noise is scored again
when those rows are held out, so this part of the variance counts twice (what fit f makes of fold g
is what fit g makes of fold f). It is measured by how the K fits differ and added. Against a clear
difference it is nothing; for a member of little weight it is much.

The choice of the best single member. Where two are nearly equal, a few rows decide which is taken,
and no fit moves little. So every member that may be the best is compared with, in the same draws.
The interval's lower end is the lowest of theirs, its upper end the lowest of upper ends that hold
for all of them at once (Hsu, "Simultaneous Confidence Intervals for all Distances from the 'Best'",
Annals of Statistics 9, 1981).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm as normal
from scipy.stats import t as student

from pipeline.ensemble.honest.nest import Nest, spread_of

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
        reach=float(student.ppf(UPPER, max(nest.draws(folds).groups - 1, 1.0))),
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
    evidence = nest.evidence
    alone = [nest.beside(evidence.keep([place])) for place in range(len(evidence.names))]
    alone = sorted(alone, key=lambda each: -each.honest_gain("best"))[:RIVALS]
    behind = [difference(alone[0], "best", each, "best") for each in alone]
    return [
        each
        for each, gap in zip(alone, behind, strict=True)
        if each is alone[0] or gap.value <= RIVAL * gap.error
    ]


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
        wider = max(1.0, float(np.quantile(furthest, UPPER) / normal.ppf(UPPER)))
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
