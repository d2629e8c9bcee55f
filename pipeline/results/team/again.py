"""An audit again: as it was stored with a run, or made anew for one of our own."""

from typing import Any

import numpy as np

from pipeline.paths import Paths
from pipeline.results.team.audit import Audit, audit
from pipeline.results.team.candidate import Candidate
from pipeline.results.team.checks.copies import Likeness
from pipeline.results.team.checks.folds import FoldLine
from pipeline.results.team.checks.proof import Proof
from pipeline.results.team.checks.shift import Shift
from pipeline.results.team.contest import Contest
from pipeline.results.team.finding import Finding
from pipeline.results.team.peers import Peer, read_peers
from pipeline.results.team.subject import Subject


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
