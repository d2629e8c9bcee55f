"""Are the labels that stand in the file today's labels?"""

from collections.abc import Iterator

import numpy as np

from pipeline.team.candidate_view import CandidateView, Finding, ok, out
from pipeline.team.checks.proof import EXAMPLES


def check(subject: CandidateView) -> Iterator[Finding]:
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
        f"{ids[row]} ({_shown(subject, found[row])}, today {_shown(subject, truth[row])})"
        for row in other[:EXAMPLES]
    )
    yield out(
        "labels",
        f"made on other labels (today's passport {subject.contest.folds.digest[:16]}): "
        f"{len(other)} of {int(told.sum())} rows differ, first {first}",
    )


def _shown(subject: CandidateView, values: np.ndarray) -> str:
    return subject.contest.kind.label_text(values, subject.contest.competition.task.classes)
