"""How far a score may be off: samples of any size, and the 90 % ranges that follow from them.

A score on m test rows differs from the honest score for two reasons: it is a draw of m rows, and
the honest score is itself a draw of n. Both are imitated by drawing groups of the training rows,
once for as many rows as the test file has and once for n, and the two deviations are added up.
This is an m-out-of-n bootstrap of whole groups (Bickel, Götze & van Zwet, "Resampling
fewer than n observations", Statistica Sinica 7, 1997).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri, stdtrit

from pipeline.base.seeding import generator
from pipeline.data.table import Table
from pipeline.ensemble.assessment import as_score
from pipeline.metrics.bootstrap import BLOCKS, RESAMPLES, Draws, resampled_gains
from pipeline.metrics.metric import Metric

ALONE = 100  # the largest groups are left out one by one, the others in as many bundles
ROOM = 200  # groups drawn from for each one that is wanted, at most: more change nothing


@dataclass(frozen=True, eq=False)
class Scored:
    """Rows with their honest predictions."""

    metric: Metric
    problem: str
    truth: np.ndarray
    """(n, k) targets, (n, 1) for multiclass."""
    predicted: np.ndarray
    """(n, k)."""
    group_of_row: np.ndarray
    """(n,) rows that belong together."""

    def rows(self, which: np.ndarray) -> "Scored":
        """The rows at these positions."""
        cut = (self.truth[which], self.predicted[which], self.group_of_row[which])
        return Scored(self.metric, self.problem, *cut)


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Rows whose labels nothing of the ensemble was fitted on, or not those of their own fold."""

    table: Table
    """(n,) what they are; of units their documents."""
    scored: Scored
    """Their decided predictions, in the same order."""
    gain: float
    """The score of these, turned so that more is better."""
    raw: np.ndarray | None = None
    """(n, k) their predictions before decisions."""
    fold_of_row: np.ndarray | None = None
    """(n,) in which fold each was held out; None for a holdout file."""
    document: np.ndarray | None = None
    """Of units: (r,) the place in the table of the document of each row that is scored."""

    @property
    def groups(self) -> np.ndarray:
        """(n,) the group of each row of the table."""
        groups = self.scored.group_of_row
        if self.document is None:
            return groups
        return groups[np.unique(self.document, return_index=True)[1]]

    def of_rows(self, weights: np.ndarray) -> np.ndarray:
        """(r,) *weights* (n,) of the rows of the table for those that are scored."""
        return weights if self.document is None else weights[self.document]


def deviations(
    scored: Scored, rows: int, seed: int, purpose: str, weights: np.ndarray | None = None
) -> np.ndarray:
    """(B,) by how much the gain on samples of about *rows* rows differs from that on all rows.

    With *weights* (n,) a row counts as that many; the deviation is still from all rows alike.
    Draws in which the metric is undefined are left out.
    """
    random = generator(seed, f"expected-{purpose}", rows)
    pool = _pool(scored.group_of_row, rows, random)
    part = scored if pool is None else scored.rows(pool)
    share = None if weights is None else (weights if pool is None else weights[pool])
    draws = _draws(part.group_of_row, rows, random)
    every = Draws(draws.block_of_row, np.ones((1, draws.counts.shape[1])))
    gains, middle = _gains(part, draws, share), _gains(part, every, None)
    found = gains - middle
    return found[np.isfinite(found)]


def _pool(group_of_row: np.ndarray, rows: int, random: np.random.Generator) -> np.ndarray | None:
    """Positions of the rows to draw from; None for all.

    Blocks of very many rows would be too coarse to draw a small sample from.
    """
    groups, number = np.unique(group_of_row, return_inverse=True)
    most = max(BLOCKS, ROOM * _wanted(rows, len(number), len(groups)))
    if len(groups) <= most:
        return None
    kept = np.zeros(len(groups), dtype=bool)
    kept[random.choice(len(groups), size=most, replace=False)] = True
    return np.flatnonzero(kept[number])


def _wanted(rows: int, n: int, groups: int) -> int:
    """Groups, or blocks, that have about *rows* rows together."""
    return max(1, round(rows * groups / n))


def _draws(group_of_row: np.ndarray, rows: int, random: np.random.Generator) -> Draws:
    """Draws of whole groups, in bundles where there are very many, with about *rows* rows."""
    groups, block_of_row = np.unique(group_of_row, return_inverse=True)
    blocks = len(groups)
    if blocks > BLOCKS:
        block_of_row, blocks = (random.permutation(blocks) % BLOCKS)[block_of_row], BLOCKS
    drawn = random.integers(blocks, size=(RESAMPLES, _wanted(rows, len(block_of_row), blocks)))
    flat = (drawn + blocks * np.arange(RESAMPLES)[:, None]).ravel()
    counts = np.bincount(flat, minlength=RESAMPLES * blocks).reshape(RESAMPLES, blocks)
    return Draws(block_of_row, counts.astype(float))


def can_weigh(metric: Metric) -> bool:
    """Whether rows can count more or less than once in the score."""
    return metric.row_sums is not None


def _gains(part: Scored, draws: Draws, weights: np.ndarray | None) -> np.ndarray:
    """(B,) gains of the draws, a row counting as its weight."""
    if weights is None:
        return resampled_gains(part.metric, part.truth, part.predicted, draws)
    sums = part.metric.row_sums
    assert sums is not None, "asked by can_weigh"
    per_row, finish = sums(part.truth, part.predicted)
    weighed = np.zeros((draws.counts.shape[1], per_row.shape[1]))
    np.add.at(weighed, draws.block_of_row, per_row * weights[:, None])
    with np.errstate(invalid="ignore", divide="ignore"):
        return finish(draws.counts @ weighed)


def weighed_gain(scored: Scored, weights: np.ndarray) -> float:
    """The gain of all rows, each counting as its weight (n,)."""
    every = Draws(np.zeros(len(weights), dtype=np.int64), np.ones((1, 1)))
    return float(_gains(scored, every, weights)[0])


def stretch(scored: Scored, inside: float, weights: np.ndarray | None = None) -> float:
    """By how much a range is wider because few groups carry what is known of the spread.

    At least 1: the quantile of Student's t over that of the normal distribution. The degrees of
    freedom are those of a variance that is a sum of squares, one of each group by which it moves
    the score (Satterthwaite, "An approximate distribution of estimates of variance components",
    Biometrics 2, 1946): as many as groups where all move it alike, two where one group does it all.
    """
    groups, number = np.unique(scored.group_of_row, return_inverse=True)
    order = np.argsort(-np.bincount(number), kind="stable")
    place = np.empty(len(groups), dtype=np.int64)
    place[order] = np.arange(len(groups))
    place[place >= ALONE] = ALONE + place[place >= ALONE] % ALONE
    blocks = int(place.max()) + 1
    without = Draws(place[number], np.ones((blocks, blocks)) - np.eye(blocks))
    found = _gains(scored, without, weights)
    square = (found - found.mean()) ** 2
    free = float(blocks)
    if np.isfinite(found).all() and square.any():
        noise = (square**2).sum() - square.sum() ** 2 / blocks  # of the sum of squares
        free = min(free, 2 * square.sum() ** 2 / noise) if noise > 0 else free
    at = (1 + inside / 100) / 2
    return float(stdtrit(max(free, 1.0), at) / ndtri(at))


# 90 % ranges: how a score on so many rows varies, how sure the folds' own score is, and the doubt
# of every move away from it.


INSIDE = 90  # percent of test files whose score lies in the range


@dataclass(frozen=True, kw_only=True)
class Move:
    """One thing that moves the expected score away from the folds' score."""

    name: str
    gain: float
    """By how much, turned so that above 0 is better."""
    doubt: float
    """Standard error of that."""


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
    wide, found = stretch(scored, inside, weights), {}
    for name, rows in parts.items():
        if rows < 1:
            continue
        theirs = deviations(scored, rows, seed, name, weights)
        if not len(own) or not len(theirs):
            continue
        if weights is not None:  # the moves have what the weights change on average
            own, theirs = own - own.mean(), theirs - theirs.mean()
        random = generator(seed, "expected-pairs", rows)
        drawn = expected + wide * (theirs - random.choice(own, size=len(theirs)))
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
