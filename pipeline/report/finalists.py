"""What `pipeline.finalists` shows: the two files, and why these."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Grid

from pipeline.report.page import name, plural
from pipeline.submissions import Entry
from pipeline.submissions.already_sent import Likeness
from pipeline.submissions.finalists import NEAR, Line, Proposal

NONE = "–"
PARTS = ("public", "private")


def print_proposal(
    found: Proposal, sent: Mapping[str, Entry], assumed: bool, console: Console
) -> None:
    """Print the table and the two files.

    *sent* is file name -> entry, for the scores beside; *assumed*: the size of the private part was
    not told.
    """
    if found.lines:
        console.print(_grid(found, sent))
    for line in lines(found, assumed):
        console.print(line, soft_wrap=True)


def _grid(found: Proposal, sent: Mapping[str, Entry]) -> Grid:
    grid = Grid(title="Candidates", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    grid.add_column("file", overflow="fold")
    columns = ("honest", "behind", "± sd", "errors alike", "test alike", "beats first")
    for column in (*columns, "two gain", "public", "private"):
        grid.add_column(column, justify="right")
    for line in found.lines:
        entry = sent.get(line.csv.name)
        board = [_score(None if entry is None else getattr(entry, part)) for part in PARTS]
        role = " (1)" if line is found.lines[0] else " (2)" if line is found.hedge else ""
        grid.add_row(line.csv.name + role, _score(line.honest), *_beside(found, line), *board)
    return grid


def _beside(found: Proposal, line: Line) -> list[str]:
    if line is found.lines[0]:
        return ["", "", "", "", "", ""]
    duel = line.duel
    return [
        f"{line.behind:.5f}" + ("" if line.near else " far"),
        NONE if duel is None else f"{duel.spread:.5f}",
        f"{line.errors_alike:.4f}",
        likeness_text(line.test_alike) + (" same" if line.same else ""),
        NONE if duel is None else f"{100 * (1 - duel.first_wins):.0f} %",
        NONE if duel is None else f"{duel.worth:+.5f}",
    ]


def likeness_text(found: Likeness | None) -> str:
    """A correlation, or a share of equal rows.

    >>> likeness_text(Likeness("values", 0.98765)), likeness_text(Likeness("labels", 0.987))
    ('0.9877', '98.7 % equal')
    """
    if found is None:
        return NONE
    return f"{found.figure:.4f}" if found.kind == "values" else f"{100 * found.figure:.1f} % equal"


def lines(found: Proposal, assumed: bool) -> Iterator[str]:
    """What stands below the table."""
    for reason in found.left_out:
        yield f"left out  {reason}"
    for line in found.lines:
        if line.made_for is not None:
            yield f"note      {line.csv.name} was made for another metric, {line.made_for}"
        for says in line.warnings:
            yield f"warning   {line.csv.name}: {says}"
    if not found.lines:
        return
    part = f"a private part of {plural(found.rows, 'row')}"
    if assumed:
        part += " (all of test; --submissions.public_share tells the private part)"
    yield f"behind: honest score lost against the first; ± sd: how far luck on {part}"
    yield f"moves that difference; far: more than {NEAR:g} of it behind"
    yield "errors, test alike: correlation of honest errors, of the two files' predictions"
    yield "beats first: chance to score better there; two gain: by how much the better of the two"
    yield "is expected to beat the first alone"
    yield ""
    first = found.lines[0]
    yield f"1  {name(first.csv.name, 60)}: the best honest score, {_score(first.honest)}"
    yield _second(found)
    yield "Leaderboard scores had no say in this; they stand beside for your eyes only."


def _second(found: Proposal) -> str:
    hedge = found.hedge
    if hedge is None or hedge.duel is None:
        if len(found.lines) == 1:
            return "2  none: there is no other file to choose from"
        return (
            "2  none: every other file is far behind, or the same as the first in all but name. "
            "Write one with other members or another method, or take the next by honest score"
        )
    chance = 100 * (1 - hedge.duel.first_wins)
    return (
        f"2  {name(hedge.csv.name, 60)}: beats the first with a chance of {chance:.0f} % (the "
        f"first beats it with {100 - chance:.0f} %); the better of the two is expected to score "
        f"{hedge.duel.worth:+.5f} over the first alone"
    )


def proposal_json(found: Proposal, sent: Mapping[str, Entry], assumed: bool) -> dict[str, Any]:
    """The same for programs."""
    return {
        "first": found.lines[0].csv.name if found.lines else None,
        "second": None if found.hedge is None else found.hedge.csv.name,
        "private_rows": found.rows,
        "rows_assumed": assumed,
        "left_out": found.left_out,
        "candidates": [_values(line, sent.get(line.csv.name)) for line in found.lines],
    }


def _values(line: Line, entry: Entry | None) -> dict[str, Any]:
    alike = line.test_alike
    return {
        "file": line.csv.name,
        "honest": line.honest,
        "made_for": line.made_for,
        "warnings": line.warnings,
        "behind": line.behind,
        "near": line.near,
        "same": line.same,
        "errors_alike": line.errors_alike,
        "test_alike": None if alike is None else {"kind": alike.kind, "figure": alike.figure},
        "beats_first": None if line.duel is None else 1 - line.duel.first_wins,
        "spread": None if line.duel is None else line.duel.spread,
        "two_gain": None if line.duel is None else line.duel.worth,
        "public": entry and entry.public,
        "private": entry and entry.private,
    }


def _score(value: float | None) -> str:
    return NONE if value is None else f"{value:.4f}"
