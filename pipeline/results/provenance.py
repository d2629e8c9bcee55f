"""Where a submission came from: enough to judge it later and to make it again."""

import math
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from pipeline import __version__
from pipeline.config import as_dict
from pipeline.results.outcome import Outcome


def finite(value: float) -> float | None:
    """*value*, or None where JSON has no word for it."""
    return value if math.isfinite(value) else None


def scores(outcome: Outcome) -> dict[str, Any]:
    """The scores of an outcome as plain values for JSON."""
    assessment = outcome.assessment
    line, holdout = assessment.headline, outcome.holdout
    return {
        "metric": outcome.metric.name,
        "honest": line.honest,
        "in_sample": line.in_sample,
        "optimism": line.optimism,
        "gain_over_best_single": finite(line.over_best.difference),
        "interval_95": [finite(line.over_best.low), finite(line.over_best.high)],
        "verdict": assessment.verdict,
        "holdout": None if holdout is None else holdout.ensemble,
    }


def provenance(outcome: Outcome, message: str) -> dict[str, Any]:
    """Where a submission came from, as plain values for JSON."""
    assessment = outcome.assessment
    members = [
        {
            "name": line.name,
            "weight": line.weight,
            "oof_score": line.score,
            "recipe": manifest.get("recipe"),
            "seeds": manifest["seeds"],
            "parts": manifest["parts"],
        }
        for manifest, line in zip(outcome.members.manifests, assessment.members, strict=True)
    ]
    return {
        "competition": outcome.competition.name,
        "message": message,
        "method": assessment.method,
        "requested": assessment.requested,
        "members": members,
        "blend": assessment.blend.details(),
        "form": outcome.form.kind,
        "clipped": outcome.clip is not None and outcome.clip.applied,
        "passport": outcome.passport,
        "scores": scores(outcome),
        "config": as_dict(outcome.competition),
        "versions": {
            "foldstack": __version__,
            "python": platform.python_version(),
            **{package: version(package) for package in ("numpy", "scipy", "scikit-learn")},
        },
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
