"""90 % ranges: how a score on so many rows varies, how sure the folds' own score is, and the doubt
of every move away from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.base.seeding import generator
from pipeline.ensemble.assessment import as_score
from pipeline.ensemble.forecast.mean_of_learners import Move
from pipeline.ensemble.forecast.sampling import Scored, deviations
from pipeline.metrics.metric import Metric

INSIDE = 90  # percent of test files whose score lies in the range


@dataclass(frozen=True, kw_only=True)
class Range:
    """A score and its 90 % range, in the metric's own direction."""

    score: float
    low: float
    """The lower number, whatever the metric's direction."""
    high: float
    rows: int


def hull(first: Mapping[str, Range], second: Mapping[str, Range]) -> dict[str, Range]:
    """The scores of the first, from the lower end of both to the upper."""
    return {
        name: replace(
            each,
            low=min(each.low, second[name].low) if name in second else each.low,
            high=max(each.high, second[name].high) if name in second else each.high,
        )
        for name, each in first.items()
    }


def wider(metric: Metric, part: Range) -> Range:
    """Half as wide again: the rows it was expected from are not quite those of test."""
    low = part.score - 1.5 * (part.score - part.low)
    return within(metric, replace(part, low=low, high=part.score + 1.5 * (part.high - part.score)))


def within(metric: Metric, part: Range) -> Range:
    """The range cut to scores that the metric can have."""
    least, most = metric.record.bounds
    low, high, score = (float(np.clip(x, least, most)) for x in (part.low, part.high, part.score))
    return replace(part, low=low, high=high, score=score)


def ranges(
    scored: Scored,
    gain: float,
    parts: Mapping[str, int],
    seed: int,
    weights: np.ndarray | None = None,
    inside: float = INSIDE,
    moves: Sequence[Move] = (),
) -> dict[str, Range]:
    """The range of each part, which holds *inside* percent of scores.

    With *weights* (n,) a row of the samples counts as that many. *moves* lead from the folds' score
    to the expected one, and widen the range by their doubt.
    """
    n = len(scored.truth)
    own = deviations(scored, n, seed, "train", weights)
    expected = gain + sum(each.gain for each in moves)
    doubt = float(np.sqrt(sum(each.doubt**2 for each in moves)))
    found = {}
    for name, rows in parts.items():
        if rows < 1:
            continue
        theirs = deviations(scored, rows, seed, name, weights)
        if not len(own) or not len(theirs):
            continue
        if weights is not None:  # the moves have what the weights change on average
            own, theirs = own - own.mean(), theirs - theirs.mean()
        random = generator(seed, "expected-pairs", rows)
        drawn = expected + theirs - random.choice(own, size=len(theirs))
        if doubt:
            drawn = drawn + doubt * random.standard_normal(len(drawn))
        edge = (100 - inside) / 2
        quantiles = np.percentile(drawn, [edge, 100 - edge]).tolist()
        ends = [as_score(scored.metric, end) for end in quantiles]
        middle = as_score(scored.metric, expected)
        known = sorted(end for end in ends if end is not None)
        if middle is not None and len(known) == 2:
            part = Range(score=middle, low=known[0], high=known[1], rows=rows)
            found[name] = within(scored.metric, part)
    return found
