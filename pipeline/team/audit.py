"""All checks of one file, and the verdict."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from pipeline.base import Paths
from pipeline.team.candidate import Candidate, Kind
from pipeline.team.candidate_view import CandidateView, Finding
from pipeline.team.checks import (
    claims,
    copies,
    folds,
    proof,
    rows,
    scale,
    shift,
    texts,
    twins,
)
from pipeline.team.checks import leakage as leak
from pipeline.team.checks.copies import Likeness, likenesses
from pipeline.team.checks.folds import FoldLine, fold_lines
from pipeline.team.checks.proof import Proof, prove
from pipeline.team.checks.shift import Shift, shifts
from pipeline.team.competition import CompetitionView, Peer, read_peers

CHECKS = (rows, proof, scale, folds, leak, claims, twins, shift, copies)
"""What is looked at, in this order."""
CHECKS_OF_TEXTS = (rows, proof, folds, texts, copies)
"""The same where predictions are texts."""
CHECKS_OF = {"numbers": CHECKS, "texts": CHECKS_OF_TEXTS}
POWERS = {"numbers": claims.power, "texts": texts.power}
SHIFTS = {"numbers": shifts, "texts": lambda subject: []}
IN, UNPROVEN, OUT = "in", "unproven", "out"


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What is known of one file before it may join."""

    findings: list[Finding]
    proof: Proof
    score: float | None
    """Over all its out-of-fold rows; None where undefined."""
    holdout: float | None
    folds: list[FoldLine]
    likenesses: list[Likeness]
    shifts: list[Shift]
    """Of the candidate, then of the other runs."""
    notes: list[str]
    power: str = ""
    """What the checks of labels could exclude, in a sentence."""

    @property
    def verdict(self) -> str:
        """in, unproven (stored, but in no honest score unless forced), or out."""
        grades = {finding.grade for finding in self.findings}
        return OUT if "out" in grades else UNPROVEN if "unproven" in grades else IN

    @property
    def reasons(self) -> list[Finding]:
        """The findings that made the verdict; of a file that is in, what it is warned of."""
        worst = {OUT: "out", UNPROVEN: "unproven", IN: "warning"}[self.verdict]
        return [finding for finding in self.findings if finding.grade == worst]

    @property
    def remarks(self) -> list[Finding]:
        """What a person should look at, though it makes no verdict."""
        return [finding for finding in self.findings if finding.grade == "warning"]

    @property
    def storable(self) -> bool:
        """Whether every row has its numbers, so that --force could store it."""
        return not any(finding.final for finding in self.findings)


def audit(subject: CandidateView, notes: Sequence[str] = ()) -> Audit:
    """Look at the candidate in every way there is."""
    truth, holdout = subject.contest.holdout_truth, subject.candidate.values["holdout"]
    kind = subject.contest.kind.predictions
    return Audit(
        findings=[finding for each in CHECKS_OF[kind] for finding in each.check(subject)],
        proof=prove(subject),
        score=subject.score(subject.oof, subject.known) if subject.known.any() else None,
        holdout=subject.holdout_score if truth is not None and len(holdout) else None,
        folds=fold_lines(subject),
        likenesses=likenesses(subject),
        shifts=SHIFTS[kind](subject),
        notes=[*subject.candidate.notes, *notes],
        power=POWERS[kind](subject),
    )


def as_values(audit_: Audit) -> dict[str, Any]:
    """The audit as plain values, for run.json and --json."""
    return {
        "verdict": audit_.verdict,
        "proof": {"kind": audit_.proof.kind, "says": audit_.proof.says},
        "findings": [
            {"check": each.check, "grade": each.grade, "says": each.says}
            | ({"about": each.about} if each.about else {})
            for each in audit_.findings
        ],
        "score": audit_.score,
        "holdout": audit_.holdout,
        "folds": [vars(line) for line in audit_.folds],
        "compared": [vars(each) for each in audit_.likenesses],
        "shift": [
            {**vars(each), "oof": list(each.oof), "test": list(each.test)} for each in audit_.shifts
        ],
        "notes": audit_.notes,
        "power": audit_.power,
    }


# An audit again: as it was stored with a run, or made anew for one of our own.


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
        power=values.get("power", ""),
    )


def candidate_of(peer: Peer, contest: CompetitionView) -> Candidate:
    """A run as a candidate: what it would be if a team-mate had sent it."""
    predicted = {"train": peer.oof, "test": peer.test, "holdout": peer.holdout}
    values, said = predicted, dict[str, np.ndarray]()
    if peer.said is not None:
        said = {part: _answers(each) for part, each in predicted.items()}
        values = {part: _known(each) for part, each in predicted.items()}
    return Candidate(
        sources={},
        kind=cast(Kind, peer.kind_in(contest.kind)),
        values=values,
        written={"oof": peer.oof},
        times={part: np.ones(len(each), dtype=int) for part, each in values.items()},
        unknown=[],
        folds=None,
        labels=None,
        claims=[contest.folds.digest],
        said=said,
    )


def _known(best: np.ndarray) -> np.ndarray:
    """(n, 1) 1 where there is a text, else NaN."""
    return np.array([[np.nan if each is None else 1.0] for each in best.tolist()]).reshape(-1, 1)


def _answers(best: np.ndarray) -> np.ndarray:
    """(n,) as `Candidate.said` has them, of one text for each row."""
    found = np.full(len(best), None, dtype=object)
    for row, text in enumerate(best.tolist()):
        found[row] = None if text is None else ([text], [np.nan])
    return found


def audit_own(paths: Paths, contest: CompetitionView, peer: Peer) -> Audit:
    """A run of our own, looked at as if it had come from elsewhere."""
    others, notes = read_peers(paths, contest, without=peer.name)
    return audit(CandidateView(candidate_of(peer, contest), contest, others), notes)
