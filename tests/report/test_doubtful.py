"""`report --doubtful`: labels that look wrong as a list for people."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline import cv
from pipeline.base.command import run
from pipeline.base.config import TaskConfig
from pipeline.base.errors import UsageError
from pipeline.data.table import Units
from pipeline.metrics import get_metric
from pipeline.metrics.label_doubt import LabelDoubts
from pipeline.problems.multilabel import MULTILABEL
from pipeline.problems.tags import TAGS
from pipeline.problems.text import TEXT
from pipeline.report.__main__ import main as report
from pipeline.report.drawn import doubtful
from pipeline.report.drawn.row_errors import DocumentErrors, Errors, TextErrors
from tests.test_bad_files import Folder


def test_the_list_begins_with_the_planted_label_and_is_safe_in_a_spreadsheet(tmp_path, capsys):
    folder = Folder(tmp_path)
    folder.train[6][2] = "pos" if folder.train[6][2] == "neg" else "neg"
    folder.train[9][1] = "=HYPERLINK(1) " + folder.train[9][1]
    folder.write()
    out = tmp_path / "doubtful.csv"
    where = ["--root", str(tmp_path), "--doubtful", str(out)]
    assert run(report, where) == UsageError.exit_code
    assert "no run is complete yet" in capsys.readouterr().err
    assert folder.call(cv) == 0
    assert run(report, where) == 0
    assert "labels, the most doubtful first" in capsys.readouterr().out
    with out.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 24
    assert rows[0]["id"] == folder.train[6][0]
    assert (rows[0]["label"], rows[0]["looks wrong"]) == (folder.train[6][2], "yes")
    doubts = [float(row["doubt"]) for row in rows]
    assert doubts == sorted(doubts, reverse=True)
    (risky,) = [row for row in rows if row["id"] == folder.train[9][0]]
    assert risky["text 1"] == "'" + folder.train[9][1]
    assert run(report, [*where, "--json"]) == UsageError.exit_code
    assert "is there already" in capsys.readouterr().err
    out.unlink()
    assert run(report, [*where, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"doubtful": str(out)}


@pytest.mark.parametrize(("flagged", "weak"), [(2, False), (3, True)])
def test_more_labels_than_are_ever_wrong_are_laid_to_the_models(
    tmp_path, monkeypatch, flagged, weak
):
    judged = LabelDoubts(score=np.arange(10.0), flagged=np.arange(10) >= 10 - flagged)
    errors = SimpleNamespace(doubts=lambda: judged, names=[])
    disk = SimpleNamespace(shape="numbers", need_files=int, need_runs=int)
    monkeypatch.setattr(doubtful, "errors_of", lambda disk: errors)
    monkeypatch.setattr(doubtful, "as_csv", lambda *_: "")
    said = doubtful.write_doubtful(disk, tmp_path / "list.csv")
    assert f"{flagged} ({flagged / 10:.1%}) look wrong" in said
    assert ("the models are too weak to judge them" in said) == weak


def test_right_answers_are_doubted_where_members_agree_on_another_text():
    names = ["a red cat sat here", "two old dogs ran away", "one fish swam in the sea"]
    truth = np.empty(9, dtype=object)
    truth[:] = [[names[row % 3]] for row in range(9)]
    truth[4] = ["nothing of this kind"]
    said = np.array([names[row % 3] for row in range(9)], dtype=object)
    other = said.copy()
    other[7], said[7] = "a blue car stood there", "some green birds flew"
    errors = TextErrors(
        kind=TEXT,
        rows=None,
        truth=truth,
        target=np.empty(0),
        predicted=said,
        members=[said, other],
        fold_of_row=np.zeros(9),
        facts=None,
        names=["one", "other"],
        outputs=["text"],
        classes=[],
        limits=None,
        metric=get_metric("chrf", TaskConfig(problem="text", metric="chrf")),
    )
    found = errors.doubts()
    assert int(found.score.argmax()) == 4
    assert found.flagged.tolist() == [row == 4 for row in range(9)]
    assert found.score[7] < 0.5 * found.score[4], "hard for every member is no wrong label"
    assert (np.delete(found.score, [4, 7]) < 1e-9).all()


def test_a_document_is_as_doubtful_as_its_most_doubtful_tag():
    names, size = ("O", "B-X", "I-X"), 40
    tags = np.tile([0, 1, 2, 0], size)
    place = np.tile(np.arange(4), size)
    chances = np.full((4 * size, 3), 0.02)
    chances[np.arange(4 * size), tags] = 0.96
    chances[9] = [0.02, 0.97, 0.01]  # of the third document, whose tag is B-X: right
    tags[13], chances[13] = 0, [0.005, 0.99, 0.005]  # the fourth document: B-X is missing
    units = Units(
        document=np.repeat(np.arange(size), 4).astype(str).astype(object),
        place=place,
        after=np.full(4 * size, " ", dtype=object),
    )
    errors = DocumentErrors(
        kind=TAGS,
        rows=None,
        truth=np.empty(size, dtype=object),
        target=np.empty(0),
        predicted=np.empty(size, dtype=object),
        members=[],
        fold_of_row=np.zeros(size),
        facts=None,
        names=[],
        outputs=list(names),
        classes=list(names),
        limits=None,
        metric=None,
        units=units,
        texts=np.full(4 * size, "a", dtype=object),
        chances=chances,
        tagged=np.column_stack([tags, place]).astype(float),
    )
    found = errors.doubts()
    assert int(found.score.argmax()) == 3
    assert np.flatnonzero(found.flagged).tolist() == [3]


def test_the_labels_of_a_row_stand_there_by_name():
    """As its answers do, also where each has a column and task.classes is empty."""
    truth = np.array([[0.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    errors = Errors(
        kind=MULTILABEL,
        rows=None,
        truth=truth,
        target=truth,
        predicted=truth,
        members=[truth],
        fold_of_row=np.zeros(2),
        facts=None,
        names=["one"],
        outputs=["rude", "angry", "threat"],
        classes=[],
        limits=None,
        metric=get_metric("auc", TaskConfig(problem="multilabel", metric="auc")),
    )
    assert [errors.label(0), errors.label(1)] == ["angry, threat", "none"]
