"""What the leaderboard will say: the expected score and a 90 % range.

The expected score is the honest one, or, where train is not to be believed, that of a holdout file
that test is like; where there is neither, nothing is promised. The range adds up how a score on the
test file's rows varies and how uncertain the expected score itself is (`sampling`). It leaves out
one thing, on purpose: the test file is predicted by the mean of K learners, a training row by one,
so the leaderboard tends to be slightly better than the honest score.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from pipeline.base.seeding import generator
from pipeline.data.table import Table
from pipeline.ensemble.assessment import as_score
from pipeline.ensemble.forecast.sampling import Scored, can_weigh, deviations
from pipeline.ensemble.forecast.shift import Copied, Shift, copied, find_shift, shift_between
from pipeline.setup.inspection.duplicates import code

INSIDE = 90  # percent of test files whose score lies in the range
NEVER = 99  # percent of holdout files whose score does, before train is no longer believed
FEWEST = 30  # rows below which a range would not hold


@dataclass(frozen=True, kw_only=True)
class Range:
    """A score and its 90 % range, in the metric's own direction."""

    score: float
    low: float
    """The lower number, whatever the metric's direction."""
    high: float
    rows: int


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """What is to be expected."""

    parts: dict[str, Range] = field(default_factory=dict)
    """whole, and where the public share is known public and private; none where withheld."""
    auc: float | None = None
    """Of telling train from test; None where that was not possible."""
    basis: Literal["train", "holdout"] = "train"
    """Which labelled rows it was expected from."""
    notes: list[str] = field(default_factory=list)
    """What a person should know: widened, withheld, and why."""


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Rows whose labels nothing of the ensemble was fitted on, or not those of their own fold."""

    table: Table
    """(n,) what they are."""
    scored: Scored
    """Their decided predictions, in the same order."""
    gain: float
    """The score of these, turned so that more is better."""


def leaderboard(
    train: Labelled,
    holdout: Labelled | None,
    test: Table,
    parts: Mapping[str, int],
    seed: int,
    grouped_by: Sequence[str] = (),
) -> Leaderboard:
    """Expect scores on *test*; *parts* are whole, public, private -> rows. Columns that folds are
    *grouped_by* are another one's in every fold, as they are in test: that is no shift.

    A holdout file may say more than train does: where its score is out of the range that train
    gives for that many rows, or test is not like train, it takes train's place if test is like it.
    """
    if not np.isfinite(train.gain) or len(train.table) < FEWEST:
        return Leaderboard(notes=["withheld: too few training rows to say"])
    ours, theirs = code([train.table.texts, test.texts])
    shift = shift_between(train.table, test, ours, theirs, grouped_by)
    auc = None if shift is None else shift.auc
    copies = copied(ours, train.scored.group_of_row, theirs)
    if copies.many:
        return Leaderboard(auc=auc, notes=[f"withheld: {_told(copies)}"])
    strange = None if holdout is None else _contradiction(train, holdout, seed)
    if shift is not None and shift.verdict == "alike" and strange is None:
        return Leaderboard(parts=ranges(train.scored, train.gain, parts, seed), auc=auc)
    if shift is None and strange is None:
        notes = ["too few rows to tell whether train and test are alike: taken as alike"]
        return Leaderboard(parts=ranges(train.scored, train.gain, parts, seed), notes=notes)
    why = strange or _apart(auc)
    if holdout is not None and len(holdout.table) >= FEWEST and np.isfinite(holdout.gain):
        near = find_shift(holdout.table, test, grouped_by)
        if near is not None and near.verdict == "alike":
            found = ranges(holdout.scored, holdout.gain, parts, seed)
            notes = [f"{why}. Test is like the holdout file (AUC {near.auc:.2f}): expected from it"]
            return Leaderboard(parts=found, auc=auc, basis="holdout", notes=notes)
        if near is not None:
            why += f"; nor is test like the holdout file (AUC {near.auc:.2f})"
    weighs = can_weigh(train.scored.metric)
    if strange is None and shift is not None and shift.verdict == "somewhat":
        if weighs:
            return _widened(train.scored, train.gain, parts, shift, seed)
        why += f", and {train.scored.metric.name} here has no way to weigh rows"
    return Leaderboard(auc=auc, notes=[f"withheld: {why}"])


def _told(copies: Copied) -> str:
    share = f"{100 * copies.test / copies.rows:.0f} %"
    return (
        f"{copies.test:,} of {copies.rows:,} test rows ({share}) have the texts of a training row, "
        "and folds keep such rows apart: the honest score tells of the other rows only. Expect a "
        "better one, unless copies have contradicting labels (init counts them)"
    )


def _apart(auc: float | None) -> str:
    return f"train and test are told apart with AUC {auc:.2f}"


def _contradiction(train: Labelled, holdout: Labelled, seed: int) -> str | None:
    """What is wrong where the holdout's score is one that train makes all but impossible."""
    rows = {"holdout": len(holdout.table)}
    part = ranges(train.scored, train.gain, rows, seed, inside=NEVER).get("holdout")
    score = as_score(train.scored.metric, holdout.gain)
    if part is None or score is None or part.low <= score <= part.high:
        return None
    return (
        f"the holdout file scores {score:.4f}, and {part.low:.4f} to {part.high:.4f} would be "
        f"expected of {part.rows:,} rows like train ({NEVER} %)"
    )


def ranges(
    scored: Scored,
    gain: float,
    parts: Mapping[str, int],
    seed: int,
    weights: np.ndarray | None = None,
    inside: float = INSIDE,
) -> dict[str, Range]:
    """The range of each part, which holds *inside* percent of scores.

    With *weights* (n,) a row of the samples counts as that many.
    """
    n = len(scored.truth)
    own = deviations(scored, n, seed, "train")
    found = {}
    for name, rows in parts.items():
        if rows < 1:
            continue
        theirs = deviations(scored, rows, seed, name, weights)
        if not len(own) or not len(theirs):
            continue
        random = generator(seed, "expected-pairs", rows)
        drawn = gain + theirs - random.choice(own, size=len(theirs))
        edge = (100 - inside) / 2
        quantiles = np.percentile(drawn, [edge, 100 - edge]).tolist()
        ends = [as_score(scored.metric, end) for end in quantiles]
        middle = as_score(scored.metric, gain)
        known = sorted(end for end in ends if end is not None)
        if middle is not None and len(known) == 2:
            found[name] = Range(score=middle, low=known[0], high=known[1], rows=rows)
    return found


def _widened(
    scored: Scored, gain: float, parts: Mapping[str, int], shift: Shift, seed: int
) -> Leaderboard:
    """From the lower end of two ranges to the upper: rows as they are, and weighed as in test."""
    plain = ranges(scored, gain, parts, seed)
    known = np.flatnonzero(np.isfinite(shift.weights))
    weighed = ranges(scored.rows(known), gain, parts, seed, shift.weights[known])
    both = {
        name: Range(
            score=each.score,
            low=min(each.low, weighed[name].low),
            high=max(each.high, weighed[name].high),
            rows=each.rows,
        )
        for name, each in plain.items()
        if name in weighed
    }
    return Leaderboard(
        parts=both,
        auc=shift.auc,
        notes=[
            f"{_apart(shift.auc)}: the range also holds the score "
            "with training rows weighed as they are found in test "
            f"({len(known):,} rows, which then tell as much as {shift.counts_as:,}). "
            "Labels that go another way in test would not show"
        ],
    )
