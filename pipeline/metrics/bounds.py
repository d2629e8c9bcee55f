"""Which scores a metric can have, so that a slip of the pen is noticed.

The formulas, and with them the ranges, are those of docs/metrics.md.
"""

import math

UP_TO_ONE = (0.0, 1.0)
AROUND_ZERO = (-1.0, 1.0)
ERROR = (0.0, math.inf)
BOUNDS = {
    **dict.fromkeys(("accuracy", "f1", "macro-f1", "auc"), UP_TO_ONE),
    **dict.fromkeys(("pearson", "spearman", "qwk"), AROUND_ZERO),
    **dict.fromkeys(("rmse", "mse", "mae", "mcrmse", "log-loss"), ERROR),
    "r2": (-math.inf, 1.0),
}


def score_problem(metric: str, what: str, score: float) -> str | None:
    """Why *score*, said to be the *what* score, cannot be one of *metric*; None where it can.

    >>> score_problem("pearson", "public", 0.93)
    >>> score_problem("pearson", "public", 93.52)
    'the public score is 93.52, but pearson lies between -1 and 1; did you mean 0.9352?'
    """
    if not math.isfinite(score):
        return f"the {what} score is {score}; it must be a number"
    low, high = BOUNDS.get(metric, (-math.inf, math.inf))
    if low <= score <= high:
        return None
    hundredth = round(score / 100, 10)
    percent = high == 1 and score >= 2 and low <= hundredth <= high
    hint = f"; did you mean {hundredth:g}?" if percent else ""
    return f"the {what} score is {score:g}, but {metric} {_range(low, high)}{hint}"


def _range(low: float, high: float) -> str:
    if math.isinf(high):
        return f"is at least {low:g}"
    return f"is at most {high:g}" if math.isinf(low) else f"lies between {low:g} and {high:g}"
