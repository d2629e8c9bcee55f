"""Runs of other folds, labels or rows are refused, with both digests and the rows that differ.

Each case is a competition that really changed after a run was made, not a manifest that says so.
"""

import csv
from dataclasses import replace

import pytest

from pipeline.base.command import run
from pipeline.base.config import Competition
from pipeline.base.parser import read_section
from pipeline.data.tables import load
from pipeline.ensemble.__main__ import main
from pipeline.folds.frozen import frozen
from tests.blendable import Toy, make


def refrozen(toy: Toy, own_folds: list[list[str]] | None = None) -> Toy:
    """*toy* as it is after its files changed: tables read, folds frozen anew."""
    config = toy.root / "configs" / "toy.yaml"
    if own_folds is not None:
        with (toy.root / "data" / "own.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows([["id", "fold"], *own_folds])
        if "file:" not in config.read_text():
            config.write_text(config.read_text() + "  file: data/own.csv\n")
    toy.paths.folds_csv.unlink()
    toy.paths.passport.unlink()
    competition = read_section(Competition, config)
    tables = load(competition, toy.root)
    folds = frozen(competition, toy.paths, tables.train)
    return replace(toy, competition=competition, tables=tables, folds=folds)


def lines_of(toy: Toy) -> list[list[str]]:
    """The rows of train.csv, header first."""
    with (toy.root / "data" / "train.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


def write(toy: Toy, lines: list[list[str]]) -> None:
    with (toy.root / "data" / "train.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(lines)


def assignment(toy: Toy) -> list[list[str]]:
    return [
        [str(row_id), str(fold)]
        for row_id, fold in zip(toy.folds.ids, toy.folds.fold_of_row[0], strict=True)
    ]


def refusal(toy: Toy, old: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What the ensemble says to an old run beside one of today; both digests are in it."""
    toy.add_run("new", 0.5)
    assert run(main, toy.arguments("--dry-run")) == 5
    message = capsys.readouterr().err
    assert toy.folds.digest[:16] in message
    assert old[:16] in message
    return message


@pytest.fixture
def toy(tmp_path) -> Toy:
    """One run on folds of its own file."""
    made = make(tmp_path, "regression", "pearson")
    made = refrozen(made, assignment(made))
    made.add_run("old", 0.7)
    return made


def test_other_folds(toy, capsys):
    old, rows = toy.folds.digest, assignment(toy)
    rows[5][1] = str((int(rows[5][1]) + 1) % 4)
    now = refrozen(toy, rows)
    moved = f"{rows[5][0]} (fold {toy.folds.fold_of_row[0, 5]}, now {rows[5][1]})"
    message = refusal(now, old, capsys)
    assert f"old; 1 of 120 rows are in another fold, first {moved}" in message


def test_other_labels(toy, capsys):
    old, lines = toy.folds.digest, lines_of(toy)
    for row in (4, 90):
        lines[row][-1] = "2.125"
    write(toy, lines)
    now = refrozen(toy)
    first = f"{lines[4][0]}, {lines[90][0]}"
    message = refusal(now, old, capsys)
    assert "every row is in the same fold, but 2 of 120 rows have another label since" in message
    assert f"first {first}\n" in message


def test_other_texts(toy, capsys):
    old, lines = toy.folds.digest, lines_of(toy)
    lines[4][1] = "something else entirely"
    write(toy, lines)
    message = refusal(refrozen(toy), old, capsys)
    assert "but texts or groups have changed since; the labels are the same" in message


def test_other_rows(toy, capsys):
    old, lines, rows = toy.folds.digest, lines_of(toy), assignment(toy)
    gone = lines.pop(8)[0]
    write(toy, lines)
    now = refrozen(toy, [row for row in rows if row[0] != gone])
    now.truth["train"] = now.truth["train"][[row[0] != gone for row in rows]]
    assert f"old; 1 rows are only in one of them, first {gone}" in refusal(now, old, capsys)


def test_files_from_before_labels_were_kept_say_what_they_can(toy, capsys):
    old, lines = toy.folds.digest, lines_of(toy)
    toy.folds = replace(toy.folds, label_hash=None)
    toy.add_run("old", 0.7)
    lines[4][-1] = "2.125"
    write(toy, lines)
    message = refusal(refrozen(toy), old, capsys)
    assert "every row is in the same fold, but labels or texts have changed since" in message
