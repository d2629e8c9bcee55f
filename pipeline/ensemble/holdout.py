"""Labelled rows that nothing was fitted on: what the members and the ensemble score there."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.data.table import Table
from pipeline.ensemble.assessment import as_score, score_or_none
from pipeline.ensemble.decisions.choose import Decided
from pipeline.ensemble.evidence import Evidence
from pipeline.ensemble.forecast.leaderboard import Labelled
from pipeline.ensemble.forecast.sampling import Scored
from pipeline.ensemble.predictor import Predictor
from pipeline.ensemble.rows import Rows


@dataclass(frozen=True, kw_only=True)
class Holdout:
    """Scores on labelled rows that nothing was fitted on; None where undefined."""

    members: list[float | None]
    """(M,)."""
    ensemble: float | None


def known_rows(
    evidence: Evidence,
    holdout: Table | None,
    given: Rows,
    blend: Predictor,
    decided: Decided,
) -> Labelled | None:
    """The holdout's rows with their decided predictions; None where there are none."""
    if holdout is None or holdout.targets is None:
        return None
    rows = np.arange(len(holdout))
    predicted = decided.apply(blend.predict(given, evidence.problem))
    scored = Scored(evidence.metric, evidence.problem, holdout.targets, predicted, rows)
    score = score_or_none(evidence.metric, holdout.targets, predicted)
    sign = 1 if evidence.metric.greater_is_better else -1
    return Labelled(table=holdout, scored=scored, gain=-math.inf if score is None else sign * score)


def score_holdout(known: Labelled, members: Sequence[np.ndarray]) -> Holdout:
    """Scores of the *members*, M arrays (h, k), and of the ensemble."""
    metric, truth = known.scored.metric, known.scored.truth
    return Holdout(
        members=[score_or_none(metric, truth, member) for member in members],
        ensemble=as_score(metric, known.gain),
    )
