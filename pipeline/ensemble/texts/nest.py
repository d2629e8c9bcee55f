"""Blends of texts in the nest: fitted without the fold that they are scored on, as all others are.

best      the best candidate of the one member that scores best
mean      minimum Bayes risk with equal weights, a member's candidates counting alike
length    the same, longer candidates (or shorter ones) counting for more: what lies in the middle
          of all candidates is short, which BLEU and recall punish; fitted with how far members'
          probabilities are trusted
greedy    weights by picking members again and again (Caruana et al., "Ensemble selection from
          libraries of models", ICML 2004), and how far members' probabilities are trusted
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pipeline.ensemble.evidence import FoldSet
from pipeline.ensemble.honest import AUTO, Nest
from pipeline.ensemble.texts.pool import TRUST, Pool, no_gain
from pipeline.metrics import Draws, Metric
from pipeline.metrics.bootstrap import sums_by_block
from pipeline.metrics.linearised_metrics import Finish

METHODS = ("best", "mean", "length", "greedy")
"""From simple to flexible, by the names that they have elsewhere."""
LENGTHS = (0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, -0.025, -0.05, -0.1, -0.15, -0.2)
"""What `length` tries: by how much the logarithm of a candidate's characters counts."""
PICKS = 20
"""Picks of members, at most: weights are multiples of a twentieth."""


@dataclass(frozen=True, eq=False)
class Consensus:
    """How a blend takes one candidate of each row."""

    weights: np.ndarray
    """(M,)."""
    trust: int = 0
    """A place in `pool.TRUST`."""
    length: float = 0.0
    """What a candidate that is e times as long as another is worth more."""
    alone: bool = False
    """Whether the one member of weight is taken at its word: its first candidate."""

    def places(self, pool: Pool) -> np.ndarray:
        """(n,) of the candidates that are taken."""
        if self.alone:
            return np.asarray(pool.first[int(self.weights.argmax())])
        return pool.chosen(self.weights, self.trust, self.length)

    def details(self) -> dict[str, Any]:
        """For the provenance file."""
        how = "first candidate" if self.alone else "minimum Bayes risk"
        found = {"weights": self.weights.tolist(), "choice": how}
        if self.length:
            found["length"] = self.length
        return found if self.alone else found | {"trust": TRUST[self.trust]}


@dataclass(frozen=True, eq=False)
class TextEvidence:
    """What the nest asks of out-of-fold candidates, as `evidence.Evidence` of numbers."""

    names: list[str]
    """(M,)."""
    pool: Pool
    """n rows."""
    terms: np.ndarray
    """(C, q) of the metric, see `TextScore.terms`."""
    finish: Finish
    fold_of_row: np.ndarray
    """(n,)."""
    group_of_row: np.ndarray
    """(n,)."""
    metric: Metric
    uses_moments: bool = False
    _rows: dict[FoldSet, np.ndarray] = field(default_factory=dict, repr=False)

    @property
    def folds(self) -> FoldSet:
        """All folds."""
        return frozenset(np.unique(self.fold_of_row).tolist())

    def keep(self, members: Sequence[int]) -> "TextEvidence":
        """The same rows with these members only."""
        names = [self.names[place] for place in members]
        return replace(self, names=names, pool=self.pool.keep(members))

    def without(self, member: int) -> "TextEvidence":
        """The same rows with one member left out."""
        return self.keep([place for place in range(len(self.names)) if place != member])

    def rows(self, folds: FoldSet) -> np.ndarray:
        """Positions of the rows of *folds*."""
        if folds not in self._rows:
            self._rows[folds] = np.flatnonzero(np.isin(self.fold_of_row, sorted(folds)))
        return self._rows[folds]

    def places(self, blends: Mapping[int, Consensus]) -> tuple[np.ndarray, np.ndarray]:
        """(n_S,) the rows of these folds, and the candidates taken, each fold by its own blend."""
        rows = self.rows(frozenset(blends))
        taken = np.empty(len(rows), dtype=int)
        for fold, blend in blends.items():
            here = self.fold_of_row[rows] == fold
            taken[here] = blend.places(self.pool)[rows[here]]
        return rows, taken

    def gain(self, blends: Mapping[int, Consensus]) -> float:
        """The score pooled over folds, each by its own blend; -inf where undefined."""
        return self.score_of(self.places(blends)[1])

    def score_of(self, taken: np.ndarray) -> float:
        """The score of the candidates at these places; -inf where undefined."""
        return no_gain(float(self.finish(self.terms[taken].sum(axis=0))))


class TextNest(Nest):
    """A nest of such evidence."""

    evidence: Any

    def fit(self, method: str, folds: FoldSet) -> Any:
        """The consensus of *method* ("auto" too) fitted on *folds* alone."""
        if method == AUTO:
            method = self.choose(folds).method
        key = (method, folds)
        if key not in self._fits:
            self._fits[key] = FITTED[method](self.evidence, folds)  # type: ignore[assignment]
        return self._fits[key]

    def unfitted(self) -> list[str]:
        """The methods that fit nothing."""
        return ["best", "mean"]

    def left_out(self, method: str, folds: FoldSet) -> dict[int, Any]:
        """For each of *folds*, the consensus fitted on the others."""
        return {fold: self.fit(method, folds - {fold}) for fold in sorted(folds)}

    def beside(self, evidence: Any) -> "TextNest":
        """A nest over other members of the same rows, with the same draws."""
        return TextNest(evidence, self.seed, self.methods, _draws=self._draws)

    def _drawn(self, blends: Mapping[int, Any], draws: Draws, bundles: int) -> np.ndarray:
        taken = self.evidence.places(blends)[1]
        gains = self.evidence.finish(
            draws.counts @ sums_by_block(self.evidence.terms[taken], draws)
        )
        return np.where(np.isfinite(gains), gains, np.nan)


def best_single(evidence: TextEvidence, folds: FoldSet) -> Consensus:
    """The member whose best candidates score best on *folds*."""
    rows = evidence.rows(folds)
    found = [evidence.score_of(first[rows]) for first in evidence.pool.first]
    return Consensus(np.eye(len(found))[int(np.argmax(found))], alone=True)


def mean(evidence: TextEvidence, folds: FoldSet) -> Consensus:
    """Nothing is fitted."""
    members = len(evidence.names)
    return Consensus(np.full(members, 1 / members))


def stretched(evidence: TextEvidence, folds: FoldSet) -> Consensus:
    """The mean, with the trust and the length that score best on *folds*; of equals the first
    tried."""
    rows, plain = evidence.rows(folds), mean(evidence, folds)
    best, found = -math.inf, plain
    for trust in range(len(TRUST)):
        for length in (0.0, *LENGTHS):
            tried = replace(plain, trust=trust, length=length)
            score = evidence.score_of(tried.places(evidence.pool)[rows])
            if score > best + RISE:
                best, found = score, tried
    return found


def greedy(evidence: TextEvidence, folds: FoldSet) -> Consensus:
    """Members picked one after the other while the score on *folds* rises, for each trust.

    Of equal scores the first counts: fewer picks, less trust.
    """
    rows, members = evidence.rows(folds), len(evidence.names)
    best, found = -math.inf, mean(evidence, folds)
    for trust in range(len(TRUST)):
        counts = np.zeros(members)
        for _ in range(PICKS):
            tried = [
                Consensus((counts + one) / (counts.sum() + 1), trust) for one in np.eye(members)
            ]
            scores = [evidence.score_of(each.places(evidence.pool)[rows]) for each in tried]
            place = int(np.argmax(scores))
            counts[place] += 1
            if scores[place] > best + RISE:
                best, found = scores[place], tried[place]
    return found


RISE = 1e-9
FITTED = {"best": best_single, "mean": mean, "length": stretched, "greedy": greedy}
