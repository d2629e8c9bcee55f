"""What the checks look at: a candidate beside today's truth and the runs that are there already."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from pipeline.metrics import Draws, MetricError, resampled_gains
from pipeline.oof import doubts_of
from pipeline.team.candidate import Candidate
from pipeline.team.competition import CompetitionView, Peer

RESAMPLES = 200  # they give a standard error to 5 %


@dataclass(frozen=True, eq=False)
class CandidateView:
    """A candidate, the contest it is for, and the M runs to compare it with."""

    candidate: Candidate
    contest: CompetitionView
    peers: Sequence[Peer] = ()

    @cached_property
    def trusted(self) -> Sequence[Peer]:
        """The runs that have not seen labels, as far as known: only they show another's leak."""
        spoilt = ("labels", "forced", "selection")
        return [
            peer
            for peer in self.peers
            if not any(doubt.kind in spoilt for doubt in doubts_of(peer.manifest))
        ]

    @property
    def oof(self) -> np.ndarray:
        """(n, k); NaN where the file has no row. Of texts (n,) the best candidates, or None."""
        return self.candidate.predicted["train"]

    @property
    def test(self) -> np.ndarray:
        """(m, k), or (m,), likewise."""
        return self.candidate.predicted["test"]

    @cached_property
    def has_holdout(self) -> bool:
        """Whether all holdout rows are there, and there are any."""
        holdout = self.candidate.values["holdout"]
        return bool(len(holdout)) and bool(np.isfinite(holdout).all())

    @cached_property
    def holdout_score(self) -> float | None:
        """The metric on the holdout; None where rows are missing or it is undefined."""
        truth = self.contest.holdout_truth
        if truth is None or not self.has_holdout:
            return None
        try:
            return self.contest.metric.score(truth, self.candidate.predicted["holdout"])
        except MetricError:
            return None

    @cached_property
    def known(self) -> np.ndarray:
        """(n,) bool: rows whose predictions are numbers, or texts."""
        return np.asarray(np.isfinite(self.candidate.values["train"]).all(axis=1))

    @cached_property
    def whole(self) -> bool:
        """Whether every row of train and test has its numbers."""
        return bool(self.known.all()) and bool(np.isfinite(self.candidate.values["test"]).all())

    @cached_property
    def target(self) -> np.ndarray:
        """(n, k) the truth in the shape of predictions."""
        return self.contest.kind.expand(self.contest.truth, self.oof.shape[1])

    def off(self, predicted: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """(r, …) by how much *predicted* (n, …) is off on the *rows*; a text by what it is short of
        a perfect score alone."""
        texts = self.contest.metric.formula.texts
        if texts is None:
            return np.asarray(predicted[rows] - self.target[rows])
        alone = texts.alone(self.contest.truth[rows], predicted[rows])
        return np.asarray(self.contest.metric.best - alone)

    def score(self, predicted: np.ndarray, rows: np.ndarray) -> float | None:
        """The metric of *predicted* (n, k) on some *rows*; None where it is undefined."""
        try:
            return self.contest.metric.score(self.contest.truth[rows], predicted[rows])
        except MetricError:
            return None

    @cached_property
    def fold_rows(self) -> list[np.ndarray]:
        """Positions of the known rows of each of today's folds, of the first repeat."""
        folds = self.contest.folds
        return [
            np.flatnonzero(folds.valid_rows(0, fold) & self.known) for fold in range(folds.count)
        ]

    def fold_scores(self, predicted: np.ndarray) -> list[float | None]:
        """(K,) the score of *predicted* on each fold."""
        return [self.score(predicted, rows) if len(rows) else None for rows in self.fold_rows]

    def draws(self, rows: np.ndarray) -> Draws:
        """Bootstrap draws over the groups of *rows*; the same for whatever is predicted there."""
        seed = self.contest.competition.folds.seed
        return Draws.over(self.contest.folds.group_of_row[rows], seed, RESAMPLES)

    def resampled(self, predicted: np.ndarray, rows: np.ndarray, draws: Draws) -> np.ndarray:
        """(B,) the gain of *predicted* on *rows* in each draw."""
        contest = self.contest
        return resampled_gains(contest.metric, contest.truth[rows], predicted[rows], draws)


def standard_error(draws: np.ndarray) -> float:
    """Standard deviation of the draws that are defined; infinite where fewer than two are."""
    known = draws[np.isfinite(draws)]
    return float(known.std()) if len(known) > 1 else float("inf")


# What one check found, and what it means for the file.


Grade = Literal["ok", "warning", "unproven", "out"]
About = Literal["", "folds", "labels"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One sentence of the audit."""

    check: str
    """What was looked at: rows, values, folds …"""
    grade: Grade
    says: str
    """What was found, with its figures and, where it is not in order, what to do."""
    final: bool = False
    """Out, and not even --force can store it: rows are missing or hold no number."""
    about: About = ""
    """Of an unproven one: whether the folds are in doubt, or that the labels were not seen."""


def ok(check: str, says: str) -> Finding:
    """Nothing to complain of."""
    return Finding(check=check, grade="ok", says=says)


def warning(check: str, says: str) -> Finding:
    """Something that a person should look at."""
    return Finding(check=check, grade="warning", says=says)


def unproven(check: str, says: str, about: About) -> Finding:
    """A reason to leave the file out of honest scores until it is proved to be in order."""
    return Finding(check=check, grade="unproven", says=says, about=about)


def out(check: str, says: str, final: bool = False) -> Finding:
    """A reason to leave the file out."""
    return Finding(check=check, grade="out", says=says, final=final)
