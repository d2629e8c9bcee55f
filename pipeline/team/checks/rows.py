"""Are all rows there, once, with numbers?"""

from collections.abc import Iterator

import numpy as np

from pipeline.data.table import listing
from pipeline.problems.label_texts import canonical
from pipeline.team.candidate_view import CandidateView, Finding, ok, out, warning
from pipeline.team.competition import PARTS

RIGHT = {"numbers": "with finite numbers", "texts": "with a text"}
WRONG = {
    "numbers": "hold no finite number (empty, text, NaN, infinite or beyond 3.4e38)",
    "texts": "hold no text",
}
CALLED = {"train": "training", "test": "test", "holdout": "holdout"}


def check(subject: CandidateView) -> Iterator[Finding]:
    """Missing, doubled, foreign rows, and cells that are no finite number."""
    problems = [
        *_unknown(subject),
        *(finding for part in PARTS for finding in _part(subject, part)),
    ]
    yield from problems
    if any(finding.final for finding in problems):
        return
    counts = {part: len(subject.candidate.values[part]) for part in ("train", "test")}
    holdout = f", {len(subject.candidate.values['holdout'])} holdout" * subject.has_holdout
    yield ok(
        "rows",
        f"{counts['train']} training, {counts['test']} test{holdout}: each once, "
        f"{RIGHT[subject.contest.kind.predictions]}",
    )


def _unknown(subject: CandidateView) -> Iterator[Finding]:
    unknown = subject.candidate.unknown
    if not unknown:
        return
    shown = listing(unknown[:5], len(unknown))
    if hint := _alike(subject):
        yield out("rows", f"{len(unknown)} ids are none of ours: {shown}. {hint}", final=True)
    else:
        yield warning("rows", f"{len(unknown)} ids are none of ours, left out: {shown}")


def _alike(subject: CandidateView) -> str:
    """A hint where ids were read as numbers somewhere: 007 became 7, or 7 became 7.0."""
    ours = {_bare(row_id): row_id for ids in subject.contest.ids.values() for row_id in ids}
    for row_id in subject.candidate.unknown[:100]:
        if _bare(row_id) not in ours:
            continue
        mine = ours[_bare(row_id)]
        if row_id == mine:  # it stands where another part's rows are expected
            part = next(part for part in PARTS if row_id in subject.contest.ids[part])
            return f"{row_id!r} is one of our {CALLED[part]} rows, but the file says it is not"
        return (
            f"{row_id!r} looks like our {mine!r}: read ids as text "
            "(pandas: dtype={'id': str}) and write them unchanged"
        )
    return ""


def _bare(row_id: str) -> str:
    text = row_id.strip()
    return canonical(text.lstrip("0") or "0")


def _part(subject: CandidateView, part: str) -> Iterator[Finding]:
    candidate, ids = subject.candidate, subject.contest.ids[part]
    times, values = candidate.times[part], candidate.values[part]
    missing, doubled = ids[times == 0].tolist(), ids[times > 1].tolist()
    broken = ids[(times > 0) & ~np.isfinite(values).all(axis=1)].tolist()
    rows = f"{CALLED[part]} rows"
    if part == "holdout":
        yield from _holdout(missing, doubled, broken, len(ids))
        return
    if missing:
        elsewhere = part == "test" and len(missing) == len(ids) and len(candidate.sources) == 1
        hint = ". If they are in a file of their own, name it: --test FILE" * elsewhere
        said = _said(missing, len(ids), rows, "have no prediction")
        yield out("rows", f"{said}{hint}", final=True)
    if doubled:
        advice = "stand more than once. Average them, or keep one"
        yield out("rows", _said(doubled, len(ids), rows, advice), final=True)
    if broken:
        advice = WRONG[subject.contest.kind.predictions]
        yield out("rows", _said(broken, len(ids), rows, advice), final=True)


def _holdout(
    missing: list[str], doubled: list[str], broken: list[str], h: int
) -> Iterator[Finding]:
    if not h:
        return
    if len(missing) == h:
        yield ok("rows", "no holdout rows in the file: the run has no score there")
    elif missing or doubled or broken:
        wrong = _said([*missing, *doubled, *broken], h, "holdout rows", "are missing or unusable")
        yield warning("rows", f"{wrong}: all are left out, the run has no score there")


def _said(ids: list[str], total: int, rows: str, what: str) -> str:
    return f"{len(ids)} of {total} {rows} {what}: {listing(ids[:5], len(ids))}"
