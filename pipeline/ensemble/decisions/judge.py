"""Judging a change of predictions: its effect, its interval, and whether that is enough."""

import math
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import t as student

from pipeline.ensemble.decisions.candidates import Hurdle
from pipeline.ensemble.honest.gains import UPPER, Difference, Gain
from pipeline.metrics.bootstrap import Draws, resampled_gains
from pipeline.metrics.metric import Metric, MetricError

YES = {
    "no harm": "yes: it does no harm, and test rows may need it",
    "a standard error": "yes: more than a standard error better",
    "real": "yes: the whole interval is above 0",
}
"""Hurdle -> why a candidate that cleared it is applied."""


@dataclass(eq=False)
class Judge:
    """Compares predictions of the same rows, all by the same bootstrap draws over groups."""

    metric: Metric
    problem: str
    truth: np.ndarray
    """(n, k) targets, (n, 1) for multiclass."""
    draws: Draws
    _known: dict[int, tuple[np.ndarray, float, np.ndarray]] = field(default_factory=dict)

    def score(self, predicted: np.ndarray) -> float:
        """The gain (more is better) of *predicted* (n, k); -inf where it is undefined."""
        return self._measured(predicted)[1]

    def gain(self, one: np.ndarray, other: np.ndarray) -> Gain:
        """By how much *one* beats *other*, with its 95 % interval."""
        (_, first, drawn), (_, second, against) = self._measured(one), self._measured(other)
        with np.errstate(invalid="ignore"):
            apart = first - second
        reach = float(student.ppf(UPPER, max(self.draws.groups - 1, 1.0)))
        return Difference(float(apart), drawn - against, of_fits=0.0, reach=reach).gain()

    def _measured(self, predicted: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
        """The predictions (kept, so that their name stays theirs), their gain, and its draws."""
        if id(predicted) not in self._known:
            try:
                gain = self.metric.gain(self.truth, predicted)
            except MetricError:
                gain = -math.inf
            drawn = np.array([np.nan])
            if math.isfinite(gain):
                drawn = resampled_gains(
                    self.metric, self.problem, self.truth, predicted, self.draws
                )
            self._known[id(predicted)] = (predicted, gain, drawn)
        return self._known[id(predicted)]


def clears(step: Gain, hurdle: Hurdle) -> bool:
    """Whether an effect is large enough to be applied."""
    match hurdle:
        case "no harm":
            return step.difference >= 0
        case "a standard error":
            return step.difference > max(step.error, 0.0)
        case "real":
            return step.difference > 0 and step.low > 0


def refused(step: Gain, hurdle: Hurdle, chosen: str) -> str:
    """Why a candidate with this effect over what is *chosen* is not applied."""
    over = "" if chosen == "nothing" else f" beside {chosen}"
    if step.difference == 0:
        return f"no: as fitted on the other folds it changes nothing{over}"
    if step.difference < 0:
        return f"no: it harms{over}"
    if hurdle == "real":
        return f"no: its interval{over} holds 0"
    return f"no: within a standard error{over}"
