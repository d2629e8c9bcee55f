"""What `pipeline.team` prints: the audit of a file on one page, and the list of runs."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table as Grid

from pipeline.report.page import empty_grid, score_text
from pipeline.team.audit import Audit
from pipeline.team.competition import CompetitionView
from pipeline.team.runs import RunLine


def print_audit(
    audit: Audit, contest: CompetitionView, title: str, sources: dict[str, str], console: Console
) -> None:
    """Print the whole page, before anything is written."""

    def say(line: str = "") -> None:
        console.print(line, soft_wrap=True)

    for line in _first_lines(audit, contest, title, sources):
        say(line)
    say()
    console.print(_findings(audit))
    if any(line.score is not None for line in audit.folds):
        console.print(_folds(audit))
    if audit.likenesses:
        console.print(_runs(audit))
    for line in _verdict(audit):
        say(line)


def _first_lines(
    audit: Audit, contest: CompetitionView, title: str, sources: dict[str, str]
) -> Iterator[str]:
    metric = contest.metric
    better = "larger" if metric.greater_is_better else "smaller"
    yield f"{contest.competition.name}: {title}, scored by {metric.name} ({better} is better)"
    for file, digest in sources.items():
        yield f"  file     {file}, SHA-256 {digest[:16]}"
    yield f"  folds    passport {contest.folds.digest[:16]}, {contest.folds.count} folds"
    holdout = "" if audit.holdout is None else f", holdout {audit.holdout:.4f}"
    yield f"  score    {score_text(audit.score)} out-of-fold{holdout}"
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


def _verdict(audit: Audit) -> Iterator[str]:
    yield f"verdict  {audit.verdict}"
    for each in audit.reasons if audit.verdict != "in" else []:
        yield f"  - {each.check}: {each.says}"


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
