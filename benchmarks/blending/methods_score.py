"""What ensembles.py measures on one competition."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.config import Competition
from pipeline.base.parser import read_section
from pipeline.data.tables import load
from pipeline.ensemble.assessment import MethodLine
from pipeline.ensemble.honest import Nest
from pipeline.ensemble.outcome import Outcome
from pipeline.ensemble.predictor import Rows, facts_of
from pipeline.metrics.bootstrap import Draws, resampled_gains
from pipeline.metrics.metric import Metric
from pipeline.report.drawn.blend import draw
from pipeline.submissions.build import BuildRequest, make

SEED = 1


def measure(root: Path, name: str, runs: dict[str, str], picture: Path | None) -> dict[str, Any]:
    """All that the page says about *name*; *runs*: folder name -> the page's name of it."""
    competition = read_section(Competition, root / "configs" / f"{name}.yaml")
    outcome = make(root, competition, BuildRequest(runs=list(runs))).outcome
    outcome.members.names[:] = [runs[run] for run in outcome.members.names]  # for the picture
    if picture is not None:
        picture.parent.mkdir(exist_ok=True)
        draw(outcome, picture, competition.folds.seed, name)
    assessment = outcome.assessment
    holdout = dev_scores(root, competition, outcome)
    return {
        "metric": outcome.metric.name,
        "greater_is_better": outcome.metric.greater_is_better,
        "rows": outcome.rows,
        "groups": outcome.groups,
        "folds": len(outcome.evidence.folds),
        "chosen": assessment.method,
        "reason": assessment.reason,
        "notes": outcome.notes,
        "members": {
            runs[line.name]: {
                "score": line.score,
                "weight": line.weight,
                "without": line.cost_without,
            }
            for line in assessment.members
        },
        "methods": [values(line) | holdout.get(line.name, {}) for line in assessment.methods],
    }


def values(line: MethodLine) -> dict[str, Any]:
    """A method's line as plain values."""
    gain = line.over_best
    return {
        "method": line.name,
        "in_sample": line.in_sample,
        "honest": line.honest,
        "gain": gain.difference,
        "low": gain.low,
        "high": gain.high,
        "error": gain.error,
    }


def dev_scores(root: Path, competition: Competition, outcome: Outcome) -> dict[str, dict[str, Any]]:
    """Method -> its score on dev, and its gain there over the best single model."""
    tables = load(competition, root)
    if tables.holdout is None or tables.holdout.targets is None:
        return {}
    facts = facts_of([tables.train, tables.test, tables.holdout])[2]
    evidence, truth = outcome.evidence, tables.holdout.targets
    nest = Nest(evidence, competition.folds.seed)
    rows = Rows(outcome.members.holdout, facts)
    draws = Draws.over(np.arange(len(truth)), SEED)
    found, best = {}, None
    for line in outcome.assessment.methods:
        predicted = nest.fit(line.name, evidence.folds).predict(rows, evidence.problem)
        drawn = resampled_gains(outcome.metric, truth, predicted, draws)
        gain = outcome.metric.gain(truth, predicted)
        best = best or (gain, drawn)
        found[line.name] = {"dev": score(outcome.metric, gain)} | against(gain, drawn, best)
    return found


def against(gain: float, drawn: np.ndarray, best: tuple[float, np.ndarray]) -> dict[str, float]:
    """The gain over *best* on dev, with the paired interval there."""
    low, high = np.nanpercentile(drawn - best[1], [2.5, 97.5])
    error = float(np.nanstd(drawn - best[1]))
    return {
        "dev_gain": gain - best[0],
        "dev_low": float(low),
        "dev_high": float(high),
        "dev_error": error,
    }


def score(metric: Metric, gain: float) -> float:
    """In the metric's own direction."""
    return gain if metric.greater_is_better else -gain
