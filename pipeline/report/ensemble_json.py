"""What `pipeline.ensemble --json` prints: everything on the page, as plain values."""

from typing import Any

from pipeline.ensemble.assessment import MethodLine
from pipeline.ensemble.outcome import Outcome
from pipeline.report.ensemble import submit_command
from pipeline.submissions.provenance import decisions, finite, scores
from pipeline.submissions.submission_file import Written


def as_json(outcome: Outcome, written: Written | None, message: str) -> dict[str, Any]:
    """Everything that is printed, as plain values."""
    assessment = outcome.assessment
    holdout = outcome.holdout.members if outcome.holdout else [None] * len(assessment.members)
    return {
        "competition": outcome.competition.name,
        "passport": outcome.passport,
        "rows": outcome.rows,
        "groups": outcome.groups,
        "requested": assessment.requested,
        "method": assessment.method,
        "reason": assessment.reason,
        "scores": scores(outcome),
        "members": [
            {
                "name": line.name,
                "score": line.score,
                "fold_scores": line.fold_scores,
                "weight": line.weight,
                "cost_without": line.worth and finite(line.worth.difference),
                "cost_interval_95": line.worth
                and [finite(line.worth.low), finite(line.worth.high)],
                "holdout": score,
            }
            for line, score in zip(assessment.members, holdout, strict=True)
        ],
        "blend": assessment.blend.details(),
        "methods": [_method_values(line) for line in assessment.methods],
        "error_correlation": assessment.correlation.tolist(),
        "form": outcome.form.kind,
        "decisions": decisions(outcome),
        "notes": outcome.notes,
        "submission": None if written is None else str(written.path),
        "reused": written is not None and written.reused,
        "submit": None
        if written is None
        else submit_command(outcome.competition.name, written.path, message),
    }


def _method_values(line: MethodLine) -> dict[str, Any]:
    gain = line.over_best
    return {
        "name": line.name,
        "in_sample": line.in_sample,
        "honest": line.honest,
        "optimism": line.optimism,
        "over_best_single": finite(gain.difference),
        "error": finite(gain.error),
        "interval_95": [finite(gain.low), finite(gain.high)],
    }
