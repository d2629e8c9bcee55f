"""An audit again: as it was stored with a run, or made anew for one of our own."""

from typing import Any

import numpy as np

from pipeline.base.paths import Paths
from pipeline.team.audit import Audit, audit
from pipeline.team.candidate import Candidate
from pipeline.team.candidate_view import Subject
from pipeline.team.checks.copies import Likeness
from pipeline.team.checks.folds import FoldLine
from pipeline.team.checks.proof import Proof
from pipeline.team.checks.shift import Shift
from pipeline.team.competition import Contest
from pipeline.team.finding import Finding
from pipeline.team.runs import Peer, read_peers


def from_values(values: dict[str, Any]) -> Audit:
    """What `as_values` wrote."""
    return Audit(
        findings=[Finding(**each) for each in values["findings"]],
        proof=Proof(**values["proof"]),
        score=values["score"],
        holdout=values["holdout"],
        folds=[FoldLine(**each) for each in values["folds"]],
        likenesses=[Likeness(**each) for each in values["compared"]],
        shifts=[
            Shift(**{**each, "oof": tuple(each["oof"]), "test": tuple(each["test"])})
            for each in values["shift"]
        ],
        notes=values["notes"],
    )


def candidate_of(peer: Peer, contest: Contest) -> Candidate:
    """A run as a candidate: what it would be if a team-mate had sent it."""
    values = {"train": peer.oof, "test": peer.test, "holdout": peer.holdout}
    return Candidate(
        sources={},
        kind="values" if contest.problem == "regression" else "probabilities",
        values=values,
        written={"oof": peer.oof},
        times={part: np.ones(len(each), dtype=int) for part, each in values.items()},
        unknown=[],
        folds=None,
        labels=None,
        claims=[contest.folds.digest],
    )


def audit_own(paths: Paths, contest: Contest, peer: Peer) -> Audit:
    """A run of our own, looked at as if it had come from elsewhere."""
    others, notes = read_peers(paths, contest, without=peer.name)
    return audit(Subject(candidate_of(peer, contest), contest, others), notes)
