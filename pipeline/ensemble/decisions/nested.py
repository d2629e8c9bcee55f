"""The decisions of an ensemble, fitted inside its nest."""

import numpy as np

from pipeline.base.config import Competition
from pipeline.ensemble.decisions.candidates import candidates, forced
from pipeline.ensemble.decisions.choose import Decided, decide
from pipeline.ensemble.evidence import FoldSet
from pipeline.ensemble.honest.nest import AUTO, Nest
from pipeline.metrics.metric import Metric
from pipeline.problems.form import Form


def decide_on(
    competition: Competition,
    metric: Metric,
    nest: Nest,
    requested: str,
    form: Form,
    seen_range: tuple[float, float],
) -> Decided:
    """What is done to the ensemble's predictions before they fill a file of this *form*.

    Args:
        metric: what scores the file.
        nest: the fits of every method on every set of folds.
        requested: a method's name, or "auto".
        seen_range: the lowest and the highest target of train.
    """
    task, evidence = competition.task, nest.evidence

    def honest(folds: FoldSet) -> np.ndarray:
        """Predictions of the rows of *folds*, each fold's by a blend fitted on the others."""
        method = requested
        if method == AUTO and folds != evidence.folds:
            method = nest.choose(folds).method  # once: these rows are fitted on, not scored
        return evidence.predict(nest.left_out(method, folds))[1]

    return decide(
        evidence.judged_by(metric),
        honest,
        candidates(task, metric, form.kind, evidence.truth),
        forced(task, metric, form.kind, seen_range),
        competition.folds.seed,
        competition.outputs,
    )
