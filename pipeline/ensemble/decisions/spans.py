"""The limits of answers in a text: how long one may be, and how likely "no answer" has to be.

The likeliest answer of a text is now and then a start and an end that have nothing to do with each
other, far apart; a greatest length keeps them from each other. How sure members are that there is
no answer is not on the scale of how sure they are of one, so no answer counts a fitted number of
times before it is compared (the threshold of Rajpurkar, Jia & Liang, "Know What You Don't Know",
ACL 2018, that everybody tunes). Lengths are those of answers among the rows that are fitted on;
each limit is taken only for a gain beyond its noise (`beyond_noise`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.ensemble.decisions.decision import Labelled, Rule, beyond_noise, gain_of_labels
from pipeline.metrics import Metric
from pipeline.problems.span import PLACE, References, limited

SHARES = (0.8, 0.9, 0.95, 0.99, 1.0)
"""Of the answers that are no longer than the lengths that are tried."""
FACTORS = (0.0, 0.05, 0.1, 0.2, 0.33, 0.5, 0.67, 0.8, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
"""How often no answer may count; 1 is as members say it."""
CLASSES = 2
"""Labels of characters: of an answer, or not."""


@dataclass(frozen=True)
class Limits:
    """What an answer may be."""

    longest: int = 0
    """Characters; 0 for any number."""
    factor: float = 1.0
    """How often no answer counts."""

    def apply(self, predicted: np.ndarray) -> np.ndarray:
        """(m, 3) predictions with these limits, as `best_spans` reads them."""
        if self == Limits():
            return predicted
        return limited(predicted, self.longest, self.factor)

    def says(self, names: list[str]) -> str:
        """Those that are set."""
        told = [f"at most {self.longest} characters"] if self.longest else []
        if self.factor == 0:
            told.append("always an answer")
        elif self.factor != 1:
            told.append(f"no answer counts {self.factor:g} times")
        return "; ".join(told) or "no limit gains beyond its noise"

    def as_dict(self) -> dict[str, Any]:
        """Both."""
        return {"longest": self.longest, "factor": self.factor}


def limits_for(metric: Metric) -> Rule:
    """The rule that fits both limits to *metric*: how often no answer counts, then the length."""

    def fit(rows: Labelled) -> Limits:
        def labels(limits: Limits) -> np.ndarray:
            return metric.labels(rows.truth, limits.apply(rows.predicted))

        def better(found: Limits, tried: list[Limits]) -> Limits:
            gains = [gain_of_labels(metric, rows.truth, labels(each)) for each in tried]
            if not tried:
                return found
            best = tried[int(np.argmax(gains))]
            before, after = labels(found), labels(best)
            real = beyond_noise(metric, rows.truth, before, after, rows.group_of_row, CLASSES)
            return best if real else found

        references = References.of(rows.truth)
        lengths = references.end - references.begin + 1
        found = Limits()
        if len(np.unique(references.document)) < (rows.truth[:, PLACE] == 0).sum():
            found = better(found, [Limits(factor=each) for each in FACTORS])
        if len(lengths):
            longest = np.unique(np.quantile(lengths, SHARES, method="higher").astype(int))
            found = better(found, [Limits(each, found.factor) for each in longest.tolist()])
        return found

    return fit
