"""What the candidates of K learners gain over those of one, known without test's right answers.

A held-out row has the candidates of its fold's learner, a test row those of every fold's, among
which there is a better one to take. By how much is seen on test itself: what is taken of one
learner's candidates, and what is taken of those of K - 1, are each compared with what the learner
that is left over says, as if that were right (learners stand in for the truth as in Jiang,
Nagarajan, Baek & Kolter, "Assessing generalization of SGD via disagreement", ICLR 2022). What a
point of that agreement is worth is read off the training rows, whose right answers are known: by
how much the score rises among the candidates of a row with what they are worth to the blend. As
their worth is known there by one learner's candidates only, the slope is too flat; by how much is
seen on test, where it is compared with the agreement with other learners (an instrument for a
regressor with errors: Fuller, "Measurement Error Models", Wiley 1987).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.data.candidates import Candidates
from pipeline.data.join import sampled
from pipeline.ensemble.forecast.mean_of_learners import in_words
from pipeline.ensemble.forecast.ranges import Move
from pipeline.ensemble.texts.nest import Consensus, TextEvidence
from pipeline.ensemble.texts.pool import Pool, pooled
from pipeline.metrics.bootstrap import slope_of
from pipeline.metrics.texts.scores import TextScore

ROWS = 300
"""Test rows that are looked at, at most."""
DOUBT = 0.5
"""Standard error of the gain as a share of it."""
LEAST = 0.1
"""Slope of one learner's agreement over another's below which nothing follows."""
TINY = 1e-12


def gain_of_more(
    members: Sequence[Sequence[Candidates]],
    held_out: Sequence[int],
    blend: Consensus,
    evidence: TextEvidence,
    utility: TextScore,
) -> Move | None:
    """What *blend* gains on test over what it scores on rows of which one fold's learner speaks.

    Args:
        members: each member's learners on the m test rows, fold after fold of each seed.
        held_out: how many learners of each member speak of a held-out row.
        blend: how a candidate is taken.
        evidence: of the training rows.
        utility: of the metric, by which candidates are compared.

    0 where one learner is taken at its word. None where it cannot be told: fewer than three
    learners, candidates that are ranked anew by probability or that agree with no other learner, or
    a score that is no function of sums over rows.
    """
    learners = _Learners.of(members, held_out, blend.weights)
    count = learners.folds
    name = f"candidates of {in_words(count)}"
    if blend.alone and blend.penalty is None:
        return Move(name=name, gain=0.0, doubt=0.0)
    rows = len(members[0][0])
    if blend.alone or evidence.terms is None or count < 3 or not rows:
        return None
    places = sampled(rows, ROWS)
    pool = pooled([[each.rows(places)] for sets in members for each in sets], utility)
    single = [learners.taken(pool, blend, {fold}) for fold in range(count)]
    gained, like = [], _Slope()
    for left in range(count):
        agreed = learners.weights({left}, alone=True) @ pool.expected[blend.trust]
        others = set(range(count)) - {left}
        many = learners.taken(pool, blend, others)
        gained.append(agreed[many].mean() - np.mean([agreed[single[each]] for each in others]))
        for each in others:
            weights = learners.weights({each})
            like.add(pool, weights, weights @ pool.expected[blend.trust], agreed)
    if like.value < LEAST:
        return None
    # what learners do not share averages out in proportion to 1 - 1 / K; K - 1 of them were seen
    more = float(np.mean(gained)) * (1 - 1 / count) / (1 - 1 / (count - 1))
    found = more * _worth_of_agreement(blend, evidence) / like.value
    found = found if abs(found) > TINY else 0.0
    return Move(name=name, gain=found, doubt=DOUBT * abs(found))


@dataclass(frozen=True, eq=False)
class _Learners:
    """All members' learners, side by side."""

    fold: np.ndarray
    """(L,) the fold of each; -1 of a member whose learners are not known one by one."""
    share: np.ndarray
    """(L,) the weight of its member."""
    member: np.ndarray
    """(L,)."""
    folds: int
    """K, the most that a member has."""

    @classmethod
    def of(
        cls, members: Sequence[Sequence[Candidates]], held_out: Sequence[int], weights: np.ndarray
    ) -> "_Learners":
        folds, number = [], []
        for member, (sets, together) in enumerate(zip(members, held_out, strict=True)):
            count, rest = divmod(len(sets), together)
            known = count > 1 and not rest
            folds += [place % count if known else -1 for place in range(len(sets))]
            number += [member] * len(sets)
        fold, member_of = np.array(folds), np.array(number)
        return cls(fold, weights[member_of], member_of, int(fold.max()) + 1)

    def weights(self, asked: set[int], alone: bool = False) -> np.ndarray:
        """(L,) of the learners of the folds *asked*, with those that are of no fold, or *alone*."""
        counted = np.isin(self.fold, [*asked] if alone else [*asked, -1]).astype(float)
        every = np.bincount(self.member, counted)[self.member]
        found = np.where(counted > 0, self.share / np.maximum(every, 1), 0.0)
        return np.asarray(found / max(found.sum(), TINY))

    def taken(self, pool: Pool, blend: Consensus, asked: set[int]) -> np.ndarray:
        """(m,) the candidates taken of what these say."""
        return replace(blend, weights=self.weights(asked)).places(pool)


class _Slope:
    """Of values over others, among the candidates of each row."""

    def __init__(self) -> None:
        self.product = self.square = 0.0

    def add(self, pool: Pool, weights: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
        """Add *y* (C,) over *x* (C,) of the candidates that members of weight say."""
        said = pool.said[weights > 0].any(axis=0).astype(float)
        row = np.repeat(np.arange(len(pool)), np.diff(pool.starts, append=len(x)))
        count = np.maximum(np.bincount(row, said), 1.0)
        apart = said * (x - (np.bincount(row, said * x) / count)[row])
        self.product += float(apart @ y)
        self.square += float(apart @ apart)

    @property
    def value(self) -> float:
        """0 where nothing differs."""
        return self.product / self.square if self.square > 0 else 0.0


def _worth_of_agreement(blend: Consensus, evidence: TextEvidence) -> float:
    """By how much the score rises where candidates are worth more to the blend, by one: what each
    adds to the score is its terms by the score's derivative."""
    assert evidence.terms is not None, "asked by gain_of_more"
    pool, terms = evidence.pool, evidence.terms
    sums = terms[blend.places(pool)].sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = slope_of(evidence.finish, sums)
    adds = terms @ np.nan_to_num(slope) * len(pool)
    agreed = blend.weights @ pool.expected[blend.trust]
    found = _Slope()
    found.add(pool, blend.weights, agreed, adds)
    return found.value
