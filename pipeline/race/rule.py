"""Which fold is trained next when time is short: the rule of `pipeline.race`.

1. First the first fold of everything, the cheapest kinds first: nothing is known of a run without.
2. While no run is complete, the run that can be completed soonest: for a submission in hand.
3. Then the run with the largest expected gain per minute that completing it takes.

The gain of a run over the ensemble of the complete ones is measured on the rows of its finished
folds, honestly, and known up to a standard error. A run that turns out not to help is left out of
the ensemble, so what counts is the expected improvement: E[max(0, gain)] for a normal gain (Mockus
1975; Jones, Schonlau & Welch, "Efficient Global Optimization of Expensive Black-Box Functions", J.
Global Optimization 13, 1998). It is divided by what is left to pay, as in "expected improvement per
second" (Snoek, Larochelle & Adams, "Practical Bayesian Optimization of Machine Learning
Algorithms", NIPS 2012, section 3.2). Runs that cannot be completed in the time left are not begun.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import ndtr


@dataclass(frozen=True, kw_only=True)
class Racer:
    """One run in the race."""

    name: str
    done: int
    """Finished folds."""
    folds: int
    seconds: float | None = None
    """Of one of its folds, the mean; None where none is finished."""
    gain: float = 0.0
    """Measured on the rows of its finished folds, in the metric's unit, above 0 is better."""
    error: float = math.inf
    """Its standard error; infinite where nothing is measured."""
    cost: int = 0
    """Kinds of learners from cheap to dear, for the order of first folds."""
    out: str = ""
    """Why it is not trained any more."""

    @property
    def complete(self) -> bool:
        """Whether the ensemble can use it."""
        return self.done >= self.folds

    @property
    def open(self) -> bool:
        """Whether it can be trained further."""
        return not self.complete and not self.out

    @property
    def seconds_left(self) -> float | None:
        """Until it is complete; None where that is not known."""
        return None if self.seconds is None else (self.folds - self.done) * self.seconds

    @property
    def expected(self) -> float:
        """Of completing it, in the metric's unit: what it adds if it helps, else nothing."""
        return expected_gain(self.gain, self.error)

    @property
    def per_minute(self) -> float:
        """The expected gain of each minute until it is complete."""
        left = self.seconds_left
        return 0.0 if not left else 60 * self.expected / left


def expected_gain(gain: float, error: float) -> float:
    """E[max(0, G)] of a normal G with this mean and standard error.

    >>> round(expected_gain(0.0, 1.0), 4), expected_gain(0.5, 0.0), expected_gain(-0.5, 0.0)
    (0.3989, 0.5, 0.0)
    """
    if not math.isfinite(gain) or not math.isfinite(error):
        return 0.0
    if error <= 0:
        return max(gain, 0.0)
    z = gain / error
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return float(gain * ndtr(z) + error * density)


def next_of(racers: Sequence[Racer], seconds: float) -> Racer | None:
    """Who is trained next, when so many seconds are left; None where nothing that can still be
    completed is expected to gain anything."""
    begun = [each for each in racers if each.open and each.done]
    new = [each for each in racers if each.open and not each.done]
    if new and seconds > kept_back(racers):
        return min(new, key=lambda each: each.cost)
    fits = [each for each in begun if (each.seconds_left or 0.0) <= seconds]
    if not fits:
        return None
    if not any(each.complete for each in racers):
        return min(fits, key=lambda each: each.seconds_left or 0.0)
    best = max(fits, key=lambda each: each.per_minute)
    return best if best.per_minute > 0 else None


def kept_back(racers: Sequence[Racer]) -> float:
    """Seconds that a first fold must leave: while no run is complete, those of the quickest."""
    if any(each.complete for each in racers):
        return 0.0
    known = [each.seconds_left for each in racers if each.open and each.seconds_left is not None]
    return min(known, default=0.0)
