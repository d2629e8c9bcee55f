"""What `pipeline.team` prints: the audit of a file on one page, and the list of runs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table as Grid

from pipeline.oof import doubts_of, origin_of
from pipeline.oof.runs import Doubt, standing
from pipeline.report.page import empty_grid, score_text
from pipeline.team import CompetitionView
from pipeline.team.audit import Audit
from pipeline.team.challenge import Answered
from pipeline.team.competition import RunLine

MOST_REASONS = 2  # of the answer; the evidence has all
PROVE = {
    "folds": "what proves it: a column with the fold of each row, or the passport; or blend it as "
    "it is with equal weights: python -m pipeline.ensemble --method mean",
    "labels": "what proves it: python -m pipeline.team challenge {name}, a file that only learners "
    "of the right folds can answer{holdout}",
}
OF_TEXTS = PROVE | {"labels": "what proves more is a score on rows that nobody trained on{holdout}"}
"""Learners of texts cannot be challenged."""


def print_audit(
    audit: Audit,
    contest: CompetitionView,
    title: str,
    sources: dict[str, str],
    console: Console,
    whole: bool = True,
) -> None:
    """Print the answer in five lines, and below it the evidence where the *whole* is asked for."""

    def say(line: str = "") -> None:
        console.print(line, soft_wrap=True)

    for line in answer_lines(audit, contest, title):
        say(line)
    if not whole:
        return
    say()
    for line in _details(audit, contest, sources):
        say(line)
    say()
    console.print(_findings(audit))
    if any(line.score is not None for line in audit.folds):
        console.print(_folds(audit))
    if audit.likenesses:
        console.print(_runs(audit))


def answer_lines(audit: Audit, contest: CompetitionView, title: str) -> Iterator[str]:
    """What, verdict, score, why, and what to do next."""
    metric = contest.metric
    better = "larger" if metric.greater_is_better else "smaller"
    yield f"{contest.competition.name}: {title}, scored by {metric.name} ({better} is better)"
    yield f"verdict  {audit.verdict}"
    yield f"score    {score_text(audit.score)} out-of-fold{_beside(audit, contest)}"
    reasons = audit.reasons
    for each in reasons[:MOST_REASONS]:
        yield f"  - {each.check}: {each.says}"
    if len(reasons) > MOST_REASONS:
        yield f"  - and {len(reasons) - MOST_REASONS} more (--why)"
    if audit.verdict not in ("out", "unproven"):
        yield f"labels   {audit.power or 'nothing was looked at'}"
    yield f"next     {_next(audit, contest, title.split()[0])}"


def _beside(audit: Audit, contest: CompetitionView) -> str:
    """The holdout score, and the best other run's."""
    holdout = "" if audit.holdout is None else f", holdout {audit.holdout:.4f}"
    scored = [each for each in audit.likenesses if each.score is not None]
    if not scored:
        return holdout
    sign = 1 if contest.metric.greater_is_better else -1
    best = max(scored, key=lambda each: sign * (each.score or 0.0))
    return f"{holdout}; the best other run is {best.run} with {score_text(best.score)}"


def _next(audit: Audit, contest: CompetitionView, name: str) -> str:
    """What the person may do now."""
    if audit.verdict == "out":
        return "mend what is said above and add the file again; --why shows all that was looked at"
    if audit.verdict == "unproven":
        about = "folds" if all(each.about == "folds" for each in audit.reasons) else "labels"
        missing = contest.holdout_truth is not None and audit.holdout is None
        rows = "; or predictions of the holdout rows" if missing else ""
        proofs = {"numbers": PROVE, "texts": OF_TEXTS}[contest.kind.predictions]
        return f"it is in no honest score yet; {proofs[about].format(name=name, holdout=rows)}"
    return "python -m pipeline.ensemble blends it; --why shows all that was looked at"


def _details(audit: Audit, contest: CompetitionView, sources: dict[str, str]) -> Iterator[str]:
    for file, digest in sources.items():
        yield f"  file     {file}, SHA-256 {digest[:16]}"
    yield f"  folds    passport {contest.folds.digest[:16]}, {contest.folds.count} folds"
    if audit.power:
        yield f"  labels   {audit.power}"
    for note in audit.notes:
        yield f"  note     {note}"


def _findings(audit: Audit) -> Grid:
    grid = empty_grid("Audit", "looked at", "", "found")
    for each in audit.findings:
        grid.add_row(each.check, "" if each.grade == "ok" else each.grade, each.says)
    grid.columns[1].justify = grid.columns[2].justify = "left"
    grid.columns[2].overflow = "fold"
    return grid


def _folds(audit: Audit) -> Grid:
    others = any(line.others is not None for line in audit.folds)
    columns = ["rows", "score", *(["other runs"] if others else []), "± se", "distance"]
    grid = empty_grid("Folds", "fold", *columns)
    for line in audit.folds:
        error = "–" if line.error is None else f"{line.error:.5f}"
        far = "–" if line.distance is None else f"{line.distance:+.1f}"
        more = [score_text(line.others)] if others else []
        grid.add_row(str(line.fold), str(line.rows), score_text(line.score), *more, error, far)
    return grid


def _runs(audit: Audit) -> Grid:
    grid = empty_grid("Other runs", "run", "score", "error correlation", "KS test/oof")
    distances = {each.run: each.distance for each in audit.shifts}
    for each in sorted(audit.likenesses, key=lambda each: -each.correlation):
        distance = distances.get(each.run)
        told = "–" if distance is None else f"{distance:.3f}"
        grid.add_row(each.run, score_text(each.score), f"{each.correlation:.4f}", told)
    if "" in distances:
        grid.add_row("this file", score_text(audit.score), "", f"{distances['']:.3f}")
    return grid


def print_answered(
    found: Answered, run: str, manifest: Mapping[str, Any], console: Console
) -> None:
    """Print what the answers to a challenge prove, and what the run of *manifest* is with them."""
    before = str((origin_of(manifest) or {})["audit"]["verdict"])
    verdict, left = standing(manifest), doubts_of(manifest)
    was = "" if verdict == before else f", by its audit it was {before}"
    for line in (
        f"challenge  {run}: {found.verdict}",
        f"  {found.says}",
        f"verdict  {verdict}{was}",
        *(f"  - {each.says}" for each in left if found.verdict != "failed"),
        f"next     {_after(found, run, verdict, left)}",
    ):
        console.print(line, soft_wrap=True)


def _after(found: Answered, run: str, verdict: str, left: Sequence[Doubt]) -> str:
    """What the person may do once a challenge is judged."""
    if verdict == "in":
        return "its score counts from now on: python -m pipeline.ensemble"
    if found.verdict == "failed":
        return (
            "it stays stored and is in no honest score; ask for predictions by learners that were "
            f"trained without the fold they predict, and add them: --name {run} --replace"
        )
    if left and all(each.kind == "folds" for each in left):
        return PROVE["folds"]
    return "the run stays as it was; predictions of holdout rows prove more"


def print_runs(lines: Sequence[RunLine], contest: CompetitionView, console: Console) -> None:
    """Print the list of runs."""
    metric = contest.metric
    better = "larger" if metric.greater_is_better else "smaller"
    count = "1 run" if len(lines) == 1 else f"{len(lines)} runs"
    console.print(
        f"{contest.competition.name}: {count}, scored by {metric.name} ({better} is better), "
        f"passport {contest.folds.digest[:16]}",
        soft_wrap=True,
    )
    holdout = any(line.holdout is not None for line in lines)
    grid = empty_grid("Runs", "run", "score", *(["holdout"] if holdout else []))
    for column in ("by", "added", "passport", "proof", "audit"):
        grid.add_column(column)
    for line in lines:
        more = [score_text(line.holdout)] if holdout else []
        cells = [line.by, line.when[:10], line.passport[:16], line.proof, line.verdict]
        grid.add_row(line.run, score_text(line.score), *more, *cells)
    console.print(grid)
    for line in lines:
        if line.says:
            console.print(f"note     {line.says}", soft_wrap=True)
