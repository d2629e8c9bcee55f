"""What `pipeline.ledger` shows: what was sent, what it scored, what is left."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Grid

from pipeline.report.page import name, plural, score_text
from pipeline.submissions import Entry
from pipeline.submissions.already_sent import Alike
from pipeline.submissions.kaggle import Sent
from pipeline.submissions.ledger import Budget
from pipeline.submissions.overview import Expected, Line, Noise, Overview

NONE = "–"
MARK = " !"


def print_standing(found: Overview, noise: Noise | None, why: str, console: Console) -> None:
    """Print the ledger; *why* says why there is no noise, where there is none."""
    if found.lines:
        console.print(_grid(found))
    for line in lines(found, noise, why):
        console.print(line, soft_wrap=True)


def _grid(found: Overview) -> Grid:
    grid = Grid(title="Sent", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    grid.add_column("", justify="right")
    grid.add_column("file", overflow="fold")
    grid.add_column("method")
    for column in ("honest", "expected public", "public", "expected private", "private"):
        grid.add_column(column, justify="right", no_wrap=column in ("public", "private"))
    grid.add_column("by", overflow="fold")
    grid.add_column("day", no_wrap=True)
    for line in found.lines:
        scores = [text for part in ("public", "private") for text in _part(line, part)]
        start = [str(line.number), name(line.entry.file, 60), line.method or NONE]
        end = [name(line.entry.by or NONE), line.entry.day]
        grid.add_row(*start, score_text(line.honest), *scores, *end)
    return grid


def _part(line: Line, part: str) -> tuple[str, str]:
    """The range of a part, and its score, marked where it lies outside."""
    mark = MARK if line.outside(part) else ""
    return range_text(line.expected.get(part)), score_text(getattr(line.entry, part)) + mark


def range_text(expected: Expected | None) -> str:
    """A 90 % range.

    >>> range_text(Expected(score=0.91, low=0.9, high=0.92)), range_text(None)
    ('0.9000 … 0.9200', '–')
    """
    if expected is None or expected.low is None or expected.high is None:
        return NONE
    return f"{expected.low:.4f} … {expected.high:.4f}"


def lines(found: Overview, noise: Noise | None, why: str) -> Iterator[str]:
    """What stands below the table."""
    if not found.lines:
        yield "nothing is in the ledger yet. After sending: python -m pipeline.ledger add FILE"
    for line in found.lines:
        yield from outside_lines(line)
        yield from doubt_lines(line)
        yield from warning_lines(line)
    if any(line.csv is None for line in found.lines):
        gone = [line.entry.file for line in found.lines if line.csv is None]
        yield (
            f"note     {', '.join(map(name, gone))}: not in submissions/ as sent, so a new file "
            "cannot be compared with it"
        )
    yield from budget_lines(found.budget, found.day.isoformat())
    if noise is not None:
        yield (
            f"noise    on {noise.rows:,} public rows {noise.files[0]} and {noise.files[1]} differ "
            f"by ± {noise.duel.spread:.5f} (one standard error) by luck alone: a difference under "
            f"{2 * noise.duel.spread:.4f} between files like these says nothing"
        )
    elif found.lines:
        yield f"noise    not known: {why}"
    yield "Weights are never fitted to leaderboard scores; the honest score decides."


def doubt_lines(line: Line) -> Iterator[str]:
    """Why a file has no honest score, where a member's own is in doubt."""
    for says in line.doubts:
        yield f"doubt    {name(line.entry.file)}: no honest score, {says}"


def warning_lines(line: Line) -> Iterator[str]:
    """What a person should know of a file's members."""
    for says in line.warnings:
        yield f"warning  {name(line.entry.file)}: {says}"


def outside_lines(line: Line) -> Iterator[str]:
    """A sentence for each score outside its range."""
    for part in ("public", "private"):
        if line.outside(part):
            score, expected = getattr(line.entry, part), line.expected[part]
            yield (
                f"!        {name(line.entry.file, 60)}: {part} {score:.4f} lies outside the 90 % "
                f"range {range_text(expected)}; one file in ten does. More than that: test rows "
                "unlike train, or a leak in the folds"
            )


def budget_lines(found: Budget, day: str) -> Iterator[str]:
    """What is left, in a line or two."""
    said = []
    if found.per_day is None:
        used = sum(found.used.values())
        said.append(f"{plural(used, 'submission')} today; --submissions.per_day tells the limit")
    elif found.per == "member":
        each = ", ".join(f"{name(who or '?')} {found.left_today(who)}" for who in found.used)
        said.append(f"{found.per_day} a day for each member; left today: {each or 'all'}")
    else:
        used = sum(found.used.values())
        said.append(
            f"{found.left_today()} of {found.per_day} left today for the team ({used} used)"
        )
    if found.days_left == 0:
        said.append("the last day is over")
    elif found.days_left is not None:
        said.append(f"{plural(found.days_left, 'day')} left, today included")
    if found.left_in_all is not None and found.days_left:
        said.append(f"{found.left_in_all} submissions in all")
    yield f"budget   {day} (UTC): {'; '.join(said)}"
    yield from over_lines(found)


def over_lines(found: Budget) -> Iterator[str]:
    """A sentence for each day with more submissions than there may be."""
    who = "one member" if found.per == "member" else "the team"
    for day, count in found.over.items():
        yield (
            f"!        {day}: {plural(count, 'submission')} of {who}, over the limit of "
            f"{found.per_day} a day, which no board takes. If a date is wrong: ledger "
            "add FILE --date DAY --correct; if the limit is: submissions.per_day"
        )


def entry_lines(found: Overview, entry: Entry, new: bool) -> Iterator[str]:
    """What `ledger add` says: the entry, its scores beside what was expected, what is left."""
    yield f"{'entered' if new else 'changed'}: {entry.said}"
    for line in found.lines:
        if line.entry.sha256 != entry.sha256:
            continue
        if line.doubts:
            yield from doubt_lines(line)
        elif line.honest is None:
            yield "honest   not known: no provenance of ours has these bytes"
        else:
            yield f"honest   {line.honest:.4f}"
        yield from warning_lines(line)
        for part in ("public", "private"):
            score, expected = getattr(entry, part), line.expected.get(part)
            if score is not None and expected is not None and not line.outside(part):
                yield f"{part:8} {score:.4f}, within the 90 % range {range_text(expected)}"
        yield from outside_lines(line)
    yield from budget_lines(found.budget, found.day.isoformat())


def guard_lines(before: Entry | None, found: Sequence[Alike]) -> Iterator[str]:
    """Warnings about a file that was sent, or that hardly differs from one that was."""
    if before is not None:
        yield f"warning  these are the bytes of {before.said}: they will not be written again"
    for each in found:
        yield f"warning  {each.warning}"


def print_sent(sent: Sent, console: Console) -> None:
    """Print what became of a file that was sent."""
    entry, arrived = sent.entry, sent.arrived
    how = "was there already, from an earlier try" if arrived.again else "arrived"
    console.print(f"sent: {entry.file} {how}; Kaggle lists it", soft_wrap=True)
    if entry.public is not None:
        console.print(f"public {entry.public}, entered into the ledger", soft_wrap=True)
        return
    reason = sent.unlikely or "Kaggle has not scored it yet"
    console.print(
        f"entered into the ledger without a score: {reason}. Later: "
        f"python -m pipeline.ledger add {entry.file} --public SCORE",
        soft_wrap=True,
    )


def standing_json(found: Overview, noise: Noise | None) -> dict[str, Any]:
    """The same for programs."""
    return {
        "day": found.day.isoformat(),
        "public_rows": found.rows and found.rows[0],
        "private_rows": found.rows and found.rows[1],
        "sent": [
            {
                "number": line.number,
                **asdict(line.entry),
                "there": line.csv is not None,
                "method": line.method,
                "honest": line.honest,
                "doubts": list(line.doubts),
                "warnings": list(line.warnings),
                "expected": {part: asdict(each) for part, each in line.expected.items()},
                "outside": [part for part in ("public", "private") if line.outside(part)],
            }
            for line in found.lines
        ],
        "budget": {
            **asdict(found.budget),
            "left_today": found.budget.left_today(),
            "left_in_all": found.budget.left_in_all,
        },
        "noise": None
        if noise is None
        else {"files": noise.files, "rows": noise.rows, "standard_error": noise.duel.spread},
    }
