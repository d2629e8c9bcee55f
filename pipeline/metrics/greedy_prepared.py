"""What a greedy step over rows needs of the members, and how their sum is scored."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Gain = Callable[[np.ndarray, float], float]
"""(sum of picks, number of picks) -> gain, -inf where the metric has no value; the sum is float64
and may be written over."""

Narrow = Callable[[np.ndarray, float], "tuple[np.ndarray, Gain] | None"]
"""(sum of picks so far, their number and one) -> places in the last axis that the next pick may
change, and the gain from these places alone; None where there are too many of them."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """M members made ready for one metric."""

    parts: Sequence[np.ndarray]
    """M arrays of one shape, to be added up."""
    gain: Gain
    narrow: Narrow | None = None


def within(members: Sequence[np.ndarray], low: float, high: float) -> bool:
    """Whether all predictions are finite and from *low* to *high*."""
    lowest = float(np.min([member.min() for member in members]))
    highest = float(np.max([member.max() for member in members]))
    return lowest >= low and highest <= high
