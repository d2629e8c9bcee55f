"""Learners that answer the challenge of `pipeline.team challenge`, honest ones and others.

Each is the file that was sent, out-of-fold, and what the learner without each fold says when it is
asked for a row of train. Nobody lies: who knows the labels can invent an answer, of course.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.audits.faults import BuiltSubmission
from pipeline.team.challenge import FEWEST, challenge_of, judge
from pipeline.team.competition import CompetitionView, Peer

HONESTLY = "honest learners"


@dataclass(frozen=True)
class Learners:
    """A file, and what its learners say of its rows."""

    oof: np.ndarray
    """(n, k)."""
    says: np.ndarray
    """(K, n, k) the learner without a fold, for every row."""


def _of_folds(says: np.ndarray, contest: CompetitionView) -> Learners:
    """The file that these learners make."""
    fold = contest.folds.fold_of_row[0]
    return Learners(says[fold, np.arange(len(fold))], says)


def _honest(file: BuiltSubmission, contest: CompetitionView) -> Learners:
    assert file.taught is not None
    return _of_folds(file.taught, contest)


def _one_model(file: BuiltSubmission, contest: CompetitionView) -> Learners:
    assert file.seen is not None
    return _of_folds(np.repeat(file.seen[None], contest.folds.count, axis=0), contest)


def _others_beside(file: BuiltSubmission, contest: CompetitionView) -> Learners:
    """The file is of one model, which answers for the own folds; honest learners do for others."""
    assert file.seen is not None
    assert file.taught is not None
    says, rows = file.taught.copy(), np.arange(len(file.seen))
    says[contest.folds.fold_of_row[0], rows] = file.seen
    return _of_folds(says, contest)


def _next_fold(file: BuiltSubmission, contest: CompetitionView) -> Learners:
    """Learners under wrong numbers: each fold was predicted by one that was trained on it."""
    assert file.taught is not None
    return _of_folds(np.roll(file.taught, 1, axis=0), contest)


def _one_fold(file: BuiltSubmission, contest: CompetitionView) -> Learners:
    """The learner of one fold was trained on all rows."""
    assert file.taught is not None
    assert file.seen is not None
    says = file.taught.copy()
    says[0] = file.seen
    return _of_folds(says, contest)


LEARNERS: dict[str, Callable[[BuiltSubmission, CompetitionView], Learners]] = {
    HONESTLY: _honest,
    "one model of all rows": _one_model,
    "one model of all rows, honest learners for the other folds": _others_beside,
    "learners under wrong numbers": _next_fold,
    "one learner of all rows among honest ones": _one_fold,
}


def answered(contest: CompetitionView, name: str, learners: Learners) -> str:
    """passed, failed, no proof; "too few rows" where nothing is asked."""
    if len(learners.oof) < FEWEST:
        return "too few rows"
    none = np.zeros((0, learners.oof.shape[1]))
    peer = Peer(name=name, manifest={}, oof=learners.oof, test=none, holdout=none)
    asked = challenge_of(contest, name)
    rows = np.concatenate(asked.of_questions())  # one each
    return judge(contest, peer, learners.says[asked.fold, rows]).verdict
