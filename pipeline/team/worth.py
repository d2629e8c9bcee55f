"""Is a candidate worth adding to the runs that are there?

The ensemble is fitted, chosen and scored honestly twice, with the candidate and without it, on the
same rows and folds; the difference of both honest scores is what the candidate is worth. Its
interval is that of `gains`: a paired bootstrap over groups, the same draws for both, and what the
fits vary by. Nothing about the candidate is chosen on the rows it is scored on, so a candidate of
noise gains nothing on average.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from pipeline.data.candidates import Candidates
from pipeline.ensemble import Gain
from pipeline.ensemble.assessment import as_score, error_correlation
from pipeline.ensemble.evidence import Evidence
from pipeline.ensemble.honest import AUTO, Nest, difference
from pipeline.ensemble.predictor import facts_of
from pipeline.ensemble.texts.nest import METHODS as TEXT_METHODS
from pipeline.ensemble.texts.nest import TextEvidence, TextNest
from pipeline.ensemble.texts.pool import pooled
from pipeline.metrics import Metric, MetricError
from pipeline.metrics.metric import judging
from pipeline.team.checks.copies import correlation
from pipeline.team.competition import CompetitionView, Peer

METHODS = (AUTO, "greedy", "simplex")
OF_TEXTS = (AUTO, "greedy", "mean")
"""The first is the ensemble that would be sent: its verdict counts."""


@dataclass(frozen=True, kw_only=True)
class MethodWorth:
    """What one method makes of the candidate."""

    method: str
    chosen: str
    """The method itself; of "auto" what it chose with the candidate."""
    without: float | None
    """Honest score without the candidate."""
    score: float | None
    """Honest score with it."""
    gain: Gain
    """With minus without, above 0 is better."""
    weight: float
    """Of the candidate, fitted on all rows."""


@dataclass(frozen=True, kw_only=True)
class Worth:
    """All there is to say about one candidate."""

    name: str
    runs: list[str]
    """What it would be added to."""
    score: float | None
    """The candidate alone."""
    scores: list[float | None]
    """(M,) each run alone."""
    correlations: list[float]
    """(M,) of the candidate's errors with each run's."""
    with_ensemble: float
    """Correlation of its errors with those of the ensemble without it."""
    methods: list[MethodWorth]
    seconds: dict[str, float] | None
    """Of training ("fit") and prediction ("predict"), over all folds; None where unknown."""
    notes: list[str]

    @property
    def verdict(self) -> str:
        """real, undecided or no."""
        return self.methods[0].gain.verdict


def weigh(
    contest: CompetitionView,
    peers: list[Peer],
    name: str,
    oof: Any,
    seconds: dict[str, float] | None = None,
    notes: list[str] | None = None,
) -> Worth:
    """Compare the ensembles of *peers* with and without the candidate's *oof*: (n, k), or sets of
    texts as `Peer.weighed` has them.

    Raises MetricError where either has no score.
    """
    return WEIGHED[contest.kind.predictions](contest, peers, name, oof, seconds, notes or [])


def _texts(
    contest: CompetitionView,
    peers: list[Peer],
    name: str,
    oof: list[Candidates],
    seconds: dict[str, float] | None,
    notes: list[str],
) -> Worth:
    metric, truth = contest.metric, contest.truth
    score = metric.formula.texts
    assert score is not None, "a metric of texts"
    pool = pooled([*(peer.weighed for peer in peers), oof], score)
    whole = TextEvidence.gather(
        [*(peer.name for peer in peers), name],
        pool,
        truth,
        contest.folds.fold_of_row[0],
        contest.folds.group_of_row,
        metric,
    )
    bare, seed = whole.without(len(peers)), contest.competition.folds.seed
    after = TextNest(cast(Any, whole), seed, TEXT_METHODS)
    before = after.beside(bare)
    said = [*(peer.oof for peer in peers), oof[0].best]
    taken = bare.places(before.left_out(AUTO, bare.folds))[1]
    lost = [1 - score.alone(truth, each) for each in (*said, bare.pool.texts[taken])]
    return Worth(
        name=name,
        runs=[peer.name for peer in peers],
        score=_score(metric, contest, said[-1]),
        scores=[_score(metric, contest, each) for each in said[:-1]],
        correlations=[correlation(lost[-2], each) for each in lost[:-2]],
        with_ensemble=correlation(lost[-2], lost[-1]),
        methods=[_method(before, after, method) for method in OF_TEXTS],
        seconds=seconds,
        notes=notes,
    )


def _numbers(
    contest: CompetitionView,
    peers: list[Peer],
    name: str,
    oof: np.ndarray,
    seconds: dict[str, float] | None,
    notes: list[str],
) -> Worth:
    metric = judging(contest.metric)
    whole = Evidence.gather(
        [*(peer.name for peer in peers), name],
        [*(peer.oof for peer in peers), oof],
        contest.truth,
        contest.folds.fold_of_row[0],
        contest.folds.group_of_row,
        metric,
        contest.problem,
        facts_of([contest.tables.train, contest.tables.test])[0],
    )
    bare = whole.without(len(peers))
    seed = contest.competition.folds.seed
    after = Nest(whole, seed)
    before = _before(bare, seed, after.methods)
    rows, ensemble = bare.predict(before.left_out(AUTO, bare.folds))
    for nest in (before, after):
        if not np.isfinite(nest.honest_gain(AUTO)):  # let the metric say why
            at, predicted = nest.evidence.predict(nest.left_out(AUTO, bare.folds))
            metric.score(contest.truth[at], predicted)
    target = _target(contest, rows, oof.shape[1])
    return Worth(
        name=name,
        runs=[peer.name for peer in peers],
        score=_score(metric, contest, oof),
        scores=[_score(metric, contest, peer.oof) for peer in peers],
        correlations=[float(each) for each in error_correlation(whole)[-1, :-1]],
        with_ensemble=correlation(oof[rows] - target, ensemble - target),
        methods=[_method(before, after, method) for method in METHODS],
        seconds=seconds,
        notes=notes,
    )


def _before(bare: Evidence, seed: int, methods: Sequence[str]) -> Nest:
    """What the runs are without the candidate. One run alone is sent as it is, and might be sliced
    or scaled as well as two: whichever scores higher, lest the candidate is praised for that."""
    like_the_other = Nest(bare, seed, methods)
    if len(bare.names) > 1:
        return like_the_other
    as_it_is = Nest(bare, seed, ["best"])
    return max(as_it_is, like_the_other, key=lambda nest: nest.honest_gain(AUTO))


WEIGHED: dict[str, Callable[..., Worth]] = {"numbers": _numbers, "texts": _texts}
"""What predictions are (`Problem.predictions`) -> how two ensembles are compared."""


def _target(contest: CompetitionView, rows: np.ndarray, k: int) -> np.ndarray:
    return contest.kind.expand(contest.truth[rows], k)


def _score(metric: Metric, contest: CompetitionView, predicted: np.ndarray) -> float | None:
    try:
        return metric.score(contest.truth, predicted)
    except MetricError:
        return None


def _method(before: Nest, after: Nest, method: str) -> MethodWorth:
    folds, metric = after.evidence.folds, after.evidence.metric
    without, with_it = before.honest_gain(method), after.honest_gain(method)
    return MethodWorth(
        method=method,
        chosen=after.choose(folds).method if method == AUTO else method,
        without=as_score(metric, without),
        score=as_score(metric, with_it),
        gain=difference(after, method, before, method).gain(),
        weight=float(after.fit(method, folds).weights[-1]),
    )
