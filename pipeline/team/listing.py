"""All runs of a competition, our own and those of others."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.base.paths import Paths
from pipeline.metrics.metric import MetricError
from pipeline.oof.manifest import read_manifest
from pipeline.oof.predictions import complete_runs
from pipeline.oof.team_origin import origin_of
from pipeline.team.competition import Contest
from pipeline.team.runs import read_peers

UNREADABLE = "not usable"


@dataclass(frozen=True, kw_only=True)
class RunLine:
    """One complete run."""

    run: str
    by: str
    """Who gave it; "trained here" for our own."""
    when: str
    score: float | None
    """Out-of-fold, by today's metric and labels."""
    holdout: float | None
    passport: str
    proof: str
    """How it is known that it stands on these folds."""
    verdict: str
    """Of the audit; empty for our own runs; "not usable" with the reason in *says*."""
    says: str = ""


def list_runs(paths: Paths, contest: Contest) -> list[RunLine]:
    """One line per complete run, scored anew."""
    return [_line(paths, contest, run) for run in complete_runs(paths.runs)]


def _line(paths: Paths, contest: Contest, run: str) -> RunLine:
    try:
        manifest: dict[str, Any] = read_manifest(paths.runs / run)
        team = origin_of(manifest)
    except PipelineError as error:
        return _unreadable(run, str(error).splitlines()[0])
    peers, notes = read_peers(paths, contest, runs=[run])
    proof = "trained on it" if team is None else str(team["proof"]["kind"])
    peer = peers[0] if peers else None
    verdict = "" if team is None else str(team["audit"]["verdict"])
    return RunLine(
        run=run,
        by="trained here" if team is None else str(team["by"] or "a team-mate"),
        when="" if team is None else str(team["when"]),
        score=None if peer is None else _score(contest, contest.truth, peer.oof),
        holdout=None if peer is None else _score(contest, contest.holdout_truth, peer.holdout),
        passport=str(manifest["passport"]),
        proof={"none": "unproven"}.get(proof, proof),
        verdict=verdict if peer is not None else UNREADABLE,
        says=notes[0] if notes else "",
    )


def _unreadable(run: str, says: str) -> RunLine:
    return RunLine(
        run=run,
        by="?",
        when="",
        score=None,
        holdout=None,
        passport="?",
        proof="?",
        verdict=UNREADABLE,
        says=says,
    )


def _score(contest: Contest, truth: np.ndarray | None, predicted: np.ndarray) -> float | None:
    if truth is None or not np.isfinite(predicted).all():
        return None
    try:
        return contest.metric.score(truth, predicted)
    except MetricError:
        return None
