"""Blends of texts in the nest: fitted without the fold that they are scored on, as all others are.

best      the best candidate of the one member that scores best
mean      minimum Bayes risk with equal weights, a member's candidates counting alike
length    the same, longer candidates (or shorter ones) counting for more: what lies in the middle
          of all candidates is short, which BLEU and recall punish; fitted with how far members'
          probabilities are trusted
greedy    weights by picking members again and again (Caruana et al., "Ensemble selection from
          libraries of models", ICML 2004), and how far members' probabilities are trusted

On top of a method stands a decision, which is fitted on what the method takes of the rows of each
fold when it is fitted without it:

penalty   of best: its candidates are ranked anew, by log-probability over length to a power
length    of mean and greedy: longer candidates (or shorter ones) count for more
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np

from pipeline.ensemble.decisions.choose import FEWEST, NOTHING, YES, Line, clears, refused
from pipeline.ensemble.decisions.decision import Hurdle
from pipeline.ensemble.evidence import FoldSet
from pipeline.ensemble.honest import AUTO, NESTED_BUNDLES, Nest, difference, spread_of
from pipeline.ensemble.texts.pool import TRUST, Pool, no_gain, terms_of
from pipeline.metrics import Draws, Metric, MetricError, resampled_gains
from pipeline.metrics.bootstrap import sums_by_block
from pipeline.metrics.linearised_metrics import Finish

METHODS = ("best", "mean", "length", "greedy")
"""From simple to flexible, by the names that they have elsewhere."""
LENGTHS = (0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, -0.025, -0.05, -0.1, -0.15, -0.2)
"""What `length` tries: by how much the logarithm of a candidate's characters counts."""
PENALTIES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
"""Powers of a candidate's characters that its log-probability is divided by."""
DECISIONS = {"best": "penalty", "mean": "length", "greedy": "length"}
"""Method -> the decision that stands on top of it."""
DECIDED = ", decided"
"""Behind a method's name: with its decision."""
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
    penalty: float | None = None
    """Of such a member: the power of the length by which its candidates are ranked anew."""

    def places(self, pool: Pool) -> np.ndarray:
        """(n,) of the candidates that are taken."""
        member = int(self.weights.argmax())
        if self.alone and self.penalty is not None:
            return pool.likeliest(member, self.penalty)
        if self.alone:
            return np.asarray(pool.first[member])
        return pool.chosen(self.weights, self.trust, self.length)

    def texts(self, pool: Pool) -> np.ndarray:
        """(n,) the texts of these."""
        return np.asarray(pool.texts[self.places(pool)])

    def details(self) -> dict[str, Any]:
        """For the provenance file."""
        how = "first candidate" if self.alone else "minimum Bayes risk"
        found = {"weights": self.weights.tolist(), "choice": how} | self.decision
        return found if self.alone else found | {"trust": TRUST[self.trust]}

    @property
    def decision(self) -> dict[str, float]:
        """What says how length counts; {} where nothing does."""
        found = {"length": self.length or None, "penalty": self.penalty}
        return {name: value for name, value in found.items() if value is not None}

    def says(self) -> str:
        """The same in words."""
        if self.penalty is not None:
            return f"log-probability over characters to the power {self.penalty:g}"
        if not self.length:
            return "nothing gains beyond its noise"
        more = "longer" if self.length > 0 else "shorter"
        worth = 100 * abs(self.length) * math.log(1.1)
        return f"{more} candidates count for more: a tenth of the length for {worth:.1f} points"

    def decisions(self) -> "list[Consensus]":
        """Itself, and all that its decision may make of it."""
        if self.alone:
            return [self, *(replace(self, penalty=each) for each in PENALTIES)]
        return [self, *(replace(self, length=each) for each in LENGTHS)]


@dataclass(frozen=True, eq=False)
class TextEvidence:
    """What the nest asks of out-of-fold candidates, as `evidence.Evidence` of numbers."""

    names: list[str]
    """(M,)."""
    pool: Pool
    """n rows."""
    references: np.ndarray
    """(n,) the right answers of each row."""
    terms: np.ndarray | None
    """(C, q) of the metric, see `TextScore.terms`; None where it is no function of their sums."""
    finish: Finish
    fold_of_row: np.ndarray
    """(n,)."""
    group_of_row: np.ndarray
    """(n,)."""
    metric: Metric
    uses_moments: bool = False
    _rows: dict[FoldSet, np.ndarray] = field(default_factory=dict, repr=False)

    @classmethod
    def gather(
        cls,
        names: list[str],
        pool: Pool,
        references: np.ndarray,
        fold_of_row: np.ndarray,
        group_of_row: np.ndarray,
        metric: Metric,
    ) -> "TextEvidence":
        """Of n rows; see the fields."""
        score = metric.formula.texts
        assert score is not None, "a metric of texts"
        return cls(
            names=names,
            pool=pool,
            references=references,
            terms=terms_of(pool, references.tolist(), score) if metric.row_sums else None,
            finish=score.finish,
            fold_of_row=fold_of_row,
            group_of_row=group_of_row,
            metric=metric,
        )

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
        """The gain pooled over folds, each by its own blend; -inf where undefined."""
        return self.score_of(self.places(blends)[1])

    def score_of(self, taken: np.ndarray) -> float:
        """The gain of the candidates at these places; -inf where undefined."""
        if self.terms is not None:
            return no_gain(float(self.finish(self.terms[taken].sum(axis=0))))
        try:
            return self.metric.gain(*self.said(taken))
        except MetricError:
            return -math.inf

    def said(self, taken: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """References and texts of the candidates at these places."""
        row = np.searchsorted(self.pool.starts, taken, side="right") - 1
        return self.references[row], self.pool.texts[taken]


class TextNest(Nest):
    """A nest of such evidence."""

    evidence: Any

    def fit(self, method: str, folds: FoldSet) -> Any:
        """The consensus of *method* ("auto" too, or one with its decision) fitted on *folds*."""
        bare = method.removesuffix(DECIDED)
        if bare == AUTO:
            return self.fit(method.replace(AUTO, self.choose(folds).method), folds)
        key: Any = (method, folds)
        if key not in self._fits:
            decides = method != bare and bare in DECISIONS
            fitted = self._decided(bare, folds) if decides else FITTED[bare](self.evidence, folds)
            self._fits[key] = cast(Any, fitted)
        return self._fits[key]

    def _decided(self, method: str, folds: FoldSet) -> Consensus:
        """The fit of *method* with what its decision gains most by, where the fits without each of
        *folds* gain by more than a standard error over nothing decided."""
        fitted = self.fit(method, folds)
        if len(folds) < 2:  # nothing can be left out
            return cast(Consensus, fitted)
        tried = {fold: blend.decisions() for fold, blend in self.left_out(method, folds).items()}
        each = [
            {fold: variants[place] for fold, variants in tried.items()}
            for place in range(len(fitted.decisions()))
        ]
        best = int(np.argmax([self.evidence.gain(blends) for blends in each]))
        drawn = [self._drawn(each[place], self.draws(folds), NESTED_BUNDLES) for place in (best, 0)]
        more = self.evidence.gain(each[best]) - self.evidence.gain(each[0])
        real = more > spread_of(drawn[0] - drawn[1])
        return cast(Consensus, fitted.decisions()[best if real else 0])

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
        if self.evidence.terms is None:
            truth, said = self.evidence.said(taken)
            return resampled_gains(self.evidence.metric, truth, said, draws, bundles)
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


def decide(nest: TextNest, requested: str, chosen: str) -> tuple[str, str, list[Line]]:
    """The method of the file, with DECIDED where that is applied, the one whose honest score
    is told of it, never the higher, and what became of the decision.

    Args:
        requested: the method that was asked for, "auto" too.
        chosen: the method itself.
    """
    told = min((requested, chosen), key=nest.honest_gain)
    name, folds = DECISIONS.get(chosen), nest.evidence.folds
    if name is None or len(folds) < FEWEST:
        return chosen, told, []
    decided = min((requested + DECIDED, chosen + DECIDED), key=nest.honest_gain)
    effect = difference(nest, decided, nest, told).gain()
    fitted = nest.fit(chosen + DECIDED, folds)
    hurdle: Hurdle = "a standard error"
    applied = bool(fitted.decision) and clears(effect, hurdle)
    why = YES[hurdle] if applied else refused(effect, hurdle, NOTHING)
    if not fitted.decision:
        why = "no: fitted on all rows nothing gains beyond its noise"
    line = Line(name=name, detail=fitted.says(), effect=effect, applied=applied, why=why)
    if applied:
        return chosen + DECIDED, decided, [line]
    return chosen, told, [line]
