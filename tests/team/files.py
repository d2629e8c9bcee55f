"""Files as a team-mate would send them, from the toy competition of `tests.blendable`."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pipeline.team.audit import Audit, audit
from pipeline.team.candidate import Candidate, FileOptions, read_candidate
from pipeline.team.candidate_view import CandidateView
from pipeline.team.competition import CompetitionView, load_contest, read_peers
from tests.blendable import Toy
from tests.ensemble.toys import member

Rows = list[list[str]]


def contest_of(toy: Toy) -> CompetitionView:
    """The toy competition as the team's commands see it."""
    return load_contest(toy.competition, toy.root)[1]


def predictions(toy: Toy, noise: float = 0.7, seed: int = 7) -> dict[str, np.ndarray]:
    """File (train, test, dev) -> what a model that knows the truth up to *noise* says."""
    return {
        file: member(toy.competition.task.problem, truth, noise, [seed, place])
        for place, (file, truth) in enumerate(toy.truth.items())
    }


def rows_of(toy: Toy, values: np.ndarray, file: str, fold: bool = False) -> Rows:
    """Lines of one file: id, perhaps the fold, predictions."""
    table = {"train": toy.tables.train, "test": toy.tables.test, "dev": toy.tables.holdout}[file]
    assert table is not None
    lines = [
        [row_id, *(f"{each:.9g}" for each in line)]
        for row_id, line in zip(table.ids, values, strict=True)
    ]
    if not fold:
        return lines
    of_row = toy.folds.fold_of_row[0].tolist() if file == "train" else [""] * len(lines)
    return [[line[0], str(at), *line[1:]] for line, at in zip(lines, of_row, strict=True)]


def send(
    toy: Toy,
    values: dict[str, np.ndarray] | None = None,
    header: Sequence[str] = (),
    files: Sequence[str] = ("train", "test"),
    fold: bool = True,
    name: str = "mate.csv",
    edit: Callable[[Rows], Rows] | None = None,
) -> Path:
    """Write a file with the rows of *files*, *edit*ed; folds stand in it if *fold*."""
    values = values or predictions(toy)
    lines = [line for file in files for line in rows_of(toy, values[file], file, fold)]
    lines = lines if edit is None else edit(lines)
    columns = list(header) or toy.competition.outputs
    path = toy.root / name
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([["id", *(["fold"] if fold else []), *columns], *lines])
    return path


def read(toy: Toy, path: Path, **more: object) -> Candidate:
    """The candidate in a file."""
    return read_candidate(FileOptions(file=path, **more), contest_of(toy))


def look(toy: Toy, path: Path, **more: object) -> Audit:
    """The audit of a file."""
    contest = contest_of(toy)
    peers, notes = read_peers(toy.paths, contest)
    return audit(CandidateView(read(toy, path, **more), contest, peers), notes)


def said(found: Audit, grade: str) -> str:
    """All findings of one grade, as one text."""
    return "\n".join(f"{each.check}: {each.says}" for each in found.findings if each.grade == grade)
