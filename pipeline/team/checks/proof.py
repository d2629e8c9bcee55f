"""Were the predictions made on our folds, and on today's labels?

Only then is every row predicted by a learner that weights fitted on other folds have not heard of.
A passport (the digest of the frozen folds) says so; a column of folds proves it, where it cuts the
rows into the same parts, whatever their names. Without either nothing is known. Labels that stand
in the file are compared with today's.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.team.candidate_view import CandidateView, Finding, ok, out, unproven

SHORTEST = 16
"""Digits of a passport that are enough: those that every page prints."""
EXAMPLES = 5


@dataclass(frozen=True, kw_only=True)
class Proof:
    """How it is known that a file was made on today's folds."""

    kind: str
    """passport, folds, or none."""
    says: str


NONE = Proof(kind="none", says="neither a passport nor a column of folds")


def check(subject: CandidateView) -> Iterator[Finding]:
    """Whether folds, and labels that stand in the file, are today's."""
    yield from _folds(subject)
    yield from _labels(subject)


def _folds(subject: CandidateView) -> Iterator[Finding]:
    """A foreign passport, other folds, a fold that is missing; or what proves them the same."""
    problems = [*_foreign(subject), *_other_folds(subject)]
    yield from problems
    if problems:
        return
    proof = prove(subject)
    if proof.kind == "none" and subject.candidate.folds is not None:
        yield unproven("folds", "not compared: rows are missing, or of none of our ids", "folds")
    elif proof.kind == "none":
        yield unproven(
            "folds",
            f"nothing shows that it was made on our folds: {proof.says}. Ask for the fold of each "
            "row (a column 'fold') or the passport",
            "folds",
        )
    else:
        yield ok("folds", proof.says)


def prove(subject: CandidateView) -> Proof:
    """What proves that the file was made on today's folds; kind "none" where nothing does."""
    if _foreign_claims(subject):
        return NONE
    if (found := subject.candidate.folds) is not None:
        today = subject.contest.folds.fold_of_row
        maps = [_renaming(now, then) for now, then in zip(today, found, strict=True)]
        if all(each is not None for each in maps):
            told = "; ".join(_told(each) for each in maps if each)
            return Proof(kind="folds", says=f"the column of folds cuts the rows as ours do: {told}")
        return NONE
    if subject.candidate.claims:
        digest = subject.contest.folds.digest[:SHORTEST]
        return Proof(kind="passport", says=f"made on passport {digest}, today's")
    return NONE


def _told(renaming: dict[str, int]) -> str:
    if all(name == str(fold) for name, fold in renaming.items()):
        return "same numbers"
    return ", ".join(f"their {name} is our {fold}" for name, fold in renaming.items())


def _renaming(today: np.ndarray, names: np.ndarray) -> dict[str, int] | None:
    """Their name -> our fold, in the order of ours, where both partitions are one."""
    pairs = set(zip(names.tolist(), today.tolist(), strict=True))
    ours, theirs = {fold for _, fold in pairs}, {name for name, _ in pairs}
    if "" in theirs or not len(pairs) == len(ours) == len(theirs):
        return None
    return dict(sorted(pairs, key=lambda pair: pair[1]))


def _foreign_claims(subject: CandidateView) -> list[str]:
    today = subject.contest.folds.digest
    given = [claim.strip().lower() for claim in subject.candidate.claims]
    return [claim for claim in given if len(claim) < SHORTEST or not today.startswith(claim)]


def _foreign(subject: CandidateView) -> Iterator[Finding]:
    """A claim of another passport, with both digests and what is known of the difference."""
    today = subject.contest.folds.digest
    for claim in _foreign_claims(subject):
        if len(claim) < SHORTEST and today.startswith(claim):
            yield unproven(
                "folds",
                f"the passport {claim!r} has {len(claim)} digits, which may be chance; give the "
                f"first {SHORTEST} (python -m pipeline.folds prints them)",
                "folds",
            )
            continue
        where = "" if subject.candidate.folds is None else f"; {_differ(subject) or _same(subject)}"
        told = (
            f"made on other folds, rows or labels: passport {claim[:SHORTEST]}, today's is "
            f"{today[:SHORTEST]}{where}{_digests(subject)}. No fitted score with it is honest; "
            "ask for predictions on today's folds/ files"
        )
        relabelled = "labels" in _differing(subject)
        yield out("folds", told) if relabelled else unproven("folds", told, "folds")


def _same(subject: CandidateView) -> str:
    return "every row is in the same fold, so labels or texts have changed since"


def _digests(subject: CandidateView) -> str:
    """Which kind of content differs, where the sidecar holds the digests of each."""
    theirs, ours = subject.candidate.sidecar.get("digests") or {}, subject.contest.digests
    told = ", ".join(
        f"{kind} {str(theirs.get(kind))[:12]} (today {str(ours.get(kind))[:12]})"
        for kind in _differing(subject)
    )
    return f"; what differs: {told}" if told else ""


def _differing(subject: CandidateView) -> list[str]:
    """texts, labels or folds, as far as the sidecar holds other digests than today's."""
    theirs, ours = subject.candidate.sidecar.get("digests"), subject.contest.digests
    if not isinstance(theirs, dict):
        return []
    return [kind for kind in ("texts", "labels", "folds") if theirs.get(kind) != ours.get(kind)]


def _other_folds(subject: CandidateView) -> Iterator[Finding]:
    if subject.candidate.folds is not None and (said := _differ(subject)):
        yield unproven(
            "folds",
            f"made on other folds than today's (passport {subject.contest.folds.digest[:16]}): "
            f"{said}. Fitted weights would have seen the rows they are judged by; ask for "
            "predictions on today's folds/ files, or blend it with fixed weights (--method mean)",
            "folds",
        )


def _differ(subject: CandidateView) -> str:
    """How the file's folds differ from ours; empty where they are the same partition."""
    assert subject.candidate.folds is not None
    for today, names in zip(
        subject.contest.folds.fold_of_row, subject.candidate.folds, strict=True
    ):
        if _renaming(today, names) is not None:
            continue
        there = subject.candidate.times["train"] > 0
        ids = subject.contest.folds.ids
        nameless = ids[there & (names == "")].tolist()
        if nameless:
            first = ", ".join(nameless[:EXAMPLES])
            return f"{len(nameless)} training rows are in no fold, first {first}"
        usual = _usual(today[there], names[there])
        moved = np.flatnonzero(there & (today != [usual.get(name, -1) for name in names]))
        if not len(moved):
            return f"{len(set(names[there]))} folds for our {len(set(today.tolist()))}" * bool(
                len(usual) != len(set(today[there].tolist()))
            )
        first = ", ".join(
            f"{ids[row]} (their {names[row]}, our {today[row]})" for row in moved[:EXAMPLES]
        )
        return f"{len(moved)} of {there.sum()} rows are in another fold, first {first}"
    return ""


def _usual(today: np.ndarray, names: np.ndarray) -> dict[str, int]:
    """Their name -> the fold of ours that most of its rows are in, each of ours once."""
    taken: dict[str, int] = {}
    pairs = Counter(zip(names.tolist(), today.tolist(), strict=True))
    for (name, fold), _ in pairs.most_common():
        if name not in taken and fold not in taken.values():
            taken[name] = fold
    return taken


def _labels(subject: CandidateView) -> Iterator[Finding]:
    """Rows whose label in the file is another one; silent where the file has none."""
    found = subject.candidate.labels
    if found is None:
        return
    truth, ids = subject.contest.truth, subject.contest.folds.ids
    told = np.isfinite(found).all(axis=1)
    other = np.flatnonzero(told & (np.abs(found - truth) > 1e-6).any(axis=1))
    if not len(other):
        yield ok("labels", f"the labels of {int(told.sum())} rows in the file are today's")
        return
    first = ", ".join(
        f"{ids[row]} ({_label(subject, found[row])}, today {_label(subject, truth[row])})"
        for row in other[:EXAMPLES]
    )
    yield out(
        "labels",
        f"made on other labels (today's passport {subject.contest.folds.digest[:16]}): "
        f"{len(other)} of {int(told.sum())} rows differ, first {first}",
    )


def _label(subject: CandidateView, values: np.ndarray) -> str:
    return subject.contest.kind.label_text(values, subject.contest.competition.task.classes)
