"""The fewest learners of a submission that keep its honest score within a tenth of its standard
error: what `pipeline.predict --fast` asks.

Two things can go. Members: the lightest first, and what is left is fitted and scored anew. And
learners of a member: a row's out-of-fold prediction is by the learner of one fold, so the honest
score needs one only; what the mean over all K adds on new rows is known from how they differ on
test (`pipeline.ensemble.forecast.mean_of_learners`). Learners that are alike in kind spread around
the mean of k of them by (1 - 1/k) of their variance, so the mean of k keeps (1 - 1/k) / (1 - 1/K)
of that gain: exact for squared error (Krogh & Vedelsby 1995), taken to hold for the others. Where
the gain is not known, all K stay. Seeds and repeats of a run go together, as its score is of all.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.base.errors import UsageError
from pipeline.ensemble.decisions.choose import Judge
from pipeline.ensemble.forecast.mean_of_learners import move_of_mean
from pipeline.ensemble.honest import Gain
from pipeline.metrics.bootstrap import resampled_gains
from pipeline.submissions.built import Built, make_any

SHARE = 0.1
"""Of the honest score's standard error."""
LIGHTEST = 3
"""Of so many members the one that is missed least goes, where it may."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Fewest:
    """Which learners stay, and what goes with the others."""

    made: Built
    """Of the members that stay, fitted and scored anew."""
    members: tuple[int, int]
    """That stay, of how many."""
    folds: tuple[int, int]
    """Whose learners stay, of how many: the first ones."""
    learners: tuple[int, int]
    """All members' together, of how many."""
    lost: Gain
    """Of the honest score; above 0 is worse."""
    mean: float
    """Lost with the mean over all folds' learners, expected; in the metric's unit."""
    allowed: float
    """A tenth of the honest score's standard error: what both may come to."""
    tried: int
    """Blends that were looked at."""

    def lines(self) -> Iterator[str]:
        """For people."""
        metric, lost = self.made.outcome.metric.name, self.lost
        (members, all_members), (folds, all_folds) = self.members, self.folds
        yield (
            f"fast     {self.learners[0]} of {self.learners[1]} learners: {members} of "
            f"{all_members} members, by the learners of {folds} of {all_folds} folds"
        )
        yield (
            f"loss     {metric} {lost.difference:.5f} of the honest score (95 %: {lost.low:.5f} to "
            f"{lost.high:.5f}) and {self.mean:.5f} of what the mean over folds adds; allowed are "
            f"{self.allowed:.5f}, a tenth of the score's standard error"
        )
        if members < all_members:
            yield f"         chosen among {self.tried} blends on these rows: it may be a bit more"


def fewest(root: Path, made: Built) -> Fewest:
    """The fewest learners of the ensemble *made*; UsageError where it has no honest score."""
    outcome = made.outcome
    if outcome.doubts or outcome.honest is None:
        why = "; ".join(f"{run}: {doubt.says}" for run, doubt in outcome.doubts) or "it has none"
        raise UsageError(f"--fast keeps an honest score, and here it is in doubt. {why}")
    nest, metric, truth = made.nest, outcome.metric, made.truth
    draws = nest.draws(nest.evidence.folds)
    judge = Judge(metric, outcome.competition.task.problem_type.name, truth, draws)
    drawn = resampled_gains(metric, truth, made.honest, draws)
    allowed = SHARE * float(np.nanstd(drawn))
    total = len(nest.evidence.folds)
    found: list[Fewest] = []
    left: Built | None = made
    tried = 0
    while left is not None:
        lost = judge.gain(made.honest, left.honest)
        gain = _of_mean(left)
        room = allowed - max(lost.difference, 0.0)
        stay = total if gain is None else folds_that_keep(gain, total, room)
        found.append(
            Fewest(
                made=left,
                members=(len(left.outcome.names), len(outcome.names)),
                folds=(stay, total),
                learners=(_learners(left, stay, total), _learners(made, total, total)),
                lost=lost,
                mean=0.0 if gain is None else gain - kept_of(gain, stay, total),
                allowed=allowed,
                tried=tried,
            )
        )
        left, count = _without_one(root, left, judge, made.honest, allowed)
        tried += count
    best = min(found, key=lambda each: (each.learners[0], max(each.lost.difference, 0.0)))
    return replace(best, tried=tried)


def _without_one(
    root: Path, left: Built, judge: Judge, whole: np.ndarray, allowed: float
) -> tuple[Built | None, int]:
    """The ensemble without the light member that it misses least, if it may go; how many were
    tried."""
    names = left.outcome.names
    if len(names) < 2:
        return None, 0
    weights = {name: abs(weight or 0.0) for name, weight in left.weights.items()}
    lightest = sorted(names, key=lambda name: weights.get(name, 0.0))[:LIGHTEST]
    rests = [
        make_any(
            root,
            left.outcome.competition,
            replace(left.asked, runs=[each for each in names if each != name]),
        )
        for name in lightest
    ]
    lost = [judge.gain(whole, rest.honest).difference for rest in rests]
    least = int(np.nanargmin(lost)) if np.isfinite(lost).any() else 0
    return (rests[least] if lost[least] <= allowed else None), len(rests)


def _of_mean(made: Built) -> float | None:
    """What the mean over all folds' learners gains over one of them; None where unknown."""
    found = move_of_mean(made.outcome.leaderboard.moves)
    return None if found is None else found.gain


def _learners(made: Built, folds: int, total: int) -> int:
    parts = sum(len(manifest["parts"]) for manifest in made.outcome.manifests)
    return parts * folds // total


def kept_of(gain: float, count: int, total: int) -> float:
    """Of the *gain* of a mean over *total* learners, what that over *count* of them has.

    >>> kept_of(0.8, 1, 5), round(kept_of(0.8, 2, 5), 6), kept_of(0.8, 5, 5)
    (0.0, 0.5, 0.8)
    """
    return gain if count == total else gain * (1 - 1 / count) / (1 - 1 / total)


def folds_that_keep(gain: float, total: int, room: float) -> int:
    """The fewest learners of *total* whose mean loses no more than *room* of the *gain* of all.

    >>> [folds_that_keep(0.8, 5, room) for room in (0.0, 0.2, 0.3, 0.8)]
    [5, 3, 2, 1]
    """
    counts = range(1, total)
    fits = (count for count in counts if gain - kept_of(gain, count, total) <= room + 1e-12)
    return next(fits, total)
