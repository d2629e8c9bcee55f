"""Is it a run that we have already?"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.team.candidate_view import CandidateView, Finding, ok, out, warning
from pipeline.team.competition import Peer

EQUAL = 1e-5  # largest difference, as a share of the predictions' range, that printing explains
SAME = 0.9999  # error correlation from which two runs count as one model
AS_THEY_ARE = {"numbers": "number for number", "texts": "word for word"}
NEARLY = 0.99  # error correlation from which a run adds next to nothing


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """How like one run the candidate is."""

    run: str
    score: float | None
    """Of the run."""
    correlation: float
    """Of the errors, over the rows that both have."""
    equal: bool
    """Whether the predictions are the same numbers."""


def check(subject: CandidateView) -> Iterator[Finding]:
    """Predictions that are a run's, or that err as one does."""
    found = likenesses(subject)
    if not found:
        missing = "no training row has its numbers" if subject.peers else "there is no other run"
        yield ok("copies", f"not compared: {missing}")
        return
    for each in found:
        if each.equal:
            how = AS_THEY_ARE[subject.contest.kind.predictions]
            yield out("copies", f"these are the predictions of {each.run}, {how}")
        elif each.correlation > SAME:
            yield warning(
                "copies",
                f"errs exactly as {each.run} (error correlation {each.correlation:.5f}): the same "
                "model, it adds nothing",
            )
        elif each.correlation > NEARLY:
            yield warning(
                "copies",
                f"errs nearly as {each.run} (error correlation {each.correlation:.4f}): it will "
                "add little",
            )
    nearest = max(found, key=lambda each: each.correlation)
    if nearest.correlation <= NEARLY and not nearest.equal:
        yield ok(
            "copies",
            f"none: nearest is {nearest.run}, error correlation {nearest.correlation:.3f}",
        )


def likenesses(subject: CandidateView) -> list[Likeness]:
    """One line per run that is there."""
    if not subject.known.any():
        return []
    return [_likeness(subject, peer) for peer in subject.peers]


def _likeness(subject: CandidateView, peer: Peer) -> Likeness:
    rows = subject.known
    return Likeness(
        run=peer.name,
        score=subject.score(peer.oof, np.arange(len(peer.oof))),
        correlation=correlation(subject.off(subject.oof, rows), subject.off(peer.oof, rows)),
        equal=_equal(subject.oof[rows], peer.oof[rows]),
    )


def _equal(mine: np.ndarray, theirs: np.ndarray) -> bool:
    if mine.dtype == object:
        return bool((mine == theirs).all())
    span = max(float(np.ptp(theirs)), 1e-12)
    return float(np.abs(mine - theirs).max()) < EQUAL * span


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson correlation of two arrays of one shape, columns centred; 0 where one is constant."""
    a, b = first - first.mean(axis=0), second - second.mean(axis=0)
    scale = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / scale if scale > 0 else 0.0


def fisher(first: np.ndarray, second: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """Fisher's z of the correlation of two (n, k), and its standard error over *groups* of rows.

    They are taken as they are, not centred. That error is too small for few rows, so it is never
    below that of as many normal ones.
    """
    both, own = (first * second).sum(axis=1), (first**2).sum(axis=1)
    rest, least = (second**2).sum(axis=1), 1 / max(len(first) - 3, 1)
    scale = float(np.sqrt(own.sum() * rest.sum()))
    if scale <= 0:
        return 0.0, float(np.sqrt(least))
    found = min(max(float(both.sum()) / scale, -0.999999), 0.999999)
    ends = own / own.sum() + rest / rest.sum()
    influence = (both / scale - found / 2 * ends) / (1 - found**2)
    of_group = np.bincount(np.unique(groups, return_inverse=True)[1], weights=influence)
    return float(np.arctanh(found)), float(np.sqrt(max(least, (of_group**2).sum())))
