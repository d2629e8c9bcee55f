"""New rows predicted by all that a submission was made from."""

import csv
import json
import re
import shutil

import pytest

from pipeline.base.command import run
from pipeline.predict import main
from pipeline.training import new_rows, progress
from tests.toy import pairs
from tests.trained import NAME, root, trained

__all__ = ["root", "trained"]


def cells(path):
    return list(csv.reader(path.read_text(encoding="utf-8").splitlines()))


def call(root, file, out, *more):
    argv = ["--root", str(root), str(file), "--with", NAME, "-o", str(out), *more]
    return run(main, argv)


def test_the_test_file_comes_out_in_the_submissions_bytes(root, tmp_path, capsys):
    out = tmp_path / "out.csv"
    assert call(root, root / "test.csv", out) == 0
    assert out.read_bytes() == (root / "submissions" / NAME).read_bytes()
    assert not list(tmp_path.glob("*.partial"))
    said = capsys.readouterr().out
    assert "12 rows of test.csv predicted by all of toy-001-mean.csv: mean of linear, tiny" in said
    assert "honest   pearson 0." in said


def test_new_rows_get_the_answer_that_equal_texts_got_and_their_own_ids(root, tmp_path):
    (_, a, b, _), *_ = pairs(12, "test")
    rows = [{"id": "new-1", "sentence_1": a, "sentence_2": b, "more": 1}]
    rows.append({"id": "new-2", "sentence_1": "a dog runs", "sentence_2": "a dog runs", "more": 2})
    new = tmp_path / "new.jsonl"
    new.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert call(root, new, tmp_path / "out.csv") == 0
    header, first, second = cells(tmp_path / "out.csv")
    sent = dict(cells(root / "submissions" / NAME))
    assert header == ["id", "target"]
    assert (first[0], second[0]) == ("new-1", "new-2")
    assert float(first[1]) == pytest.approx(float(sent["test-000"]), abs=1e-4)


def test_some_members_are_fitted_and_scored_anew(root, tmp_path, capsys):
    assert call(root, root / "test.csv", tmp_path / "out.csv", "--members", "linear") == 0
    assert "some members of toy-001-mean.csv: mean of linear" in capsys.readouterr().out
    assert call(root, root / "test.csv", tmp_path / "b.csv", "--members", "liner") == 2
    assert "--members liner: not in toy-001-mean.csv; it was made from" in capsys.readouterr().err


def test_pieces_that_were_finished_are_not_predicted_again(root, tmp_path, monkeypatch, capsys):
    asked, to_come = [], []
    real = new_rows.predict_wordings

    def predict(job, learner, table, watch):
        asked.append((job.run, len(table)))
        if len(asked) == 4:
            raise KeyboardInterrupt
        return real(job, learner, table, watch)

    class Counted(new_rows.Progress):
        def __init__(self, run, trainings, console):
            super().__init__(run, trainings, console)
            to_come.append(trainings)

    monkeypatch.setattr(new_rows, "PIECE", 5)
    monkeypatch.setattr(new_rows, "predict_wordings", predict)
    monkeypatch.setattr(new_rows, "Progress", Counted)
    monkeypatch.setattr(progress, "PLAIN_EVERY_SECONDS", 0.0)
    out = tmp_path / "out.csv"
    assert call(root, root / "test.csv", out) == 130
    assert not out.exists()
    assert call(root, root / "test.csv", out) == 0
    sizes = [5, 5, 2] * 3
    assert [size for _, size in asked] == [*sizes[:4], *sizes[3:], *sizes]
    assert to_come == [9, 6, 9]  # pieces of all learners: what the time left is of
    assert re.search(
        r"linear seed-42/fold-1  piece 3/3  predict .* left: piece \d+:\d\d, run ",
        capsys.readouterr().err,
    )
    sent = dict(cells(root / "submissions" / NAME))
    for row, value in cells(out)[1:]:
        assert float(value) == pytest.approx(float(sent[row]), abs=1e-4)


def test_members_whose_weights_are_gone_are_named_with_what_remains(root, tmp_path, capsys):
    shutil.rmtree(root / "runs" / "toy" / "tiny" / "seed-42" / "fold-1")
    assert call(root, root / "test.csv", tmp_path / "out.csv") == 5
    said = capsys.readouterr().err
    assert "  - tiny: weights of seed-42/fold-1 are not in" in said
    assert "What remains can predict: --members linear (honest pearson 0." in said
    assert not (tmp_path / "out.csv").exists()


def test_weights_that_were_trained_on_something_else_are_refused(root, tmp_path, capsys):
    path = root / "runs" / "toy" / "linear" / "seed-42" / "fold-0" / "trained.json"
    path.write_text(json.dumps({"settings": "0" * 64}))
    assert call(root, root / "test.csv", tmp_path / "out.csv") == 5
    assert "are not those of seed-42/fold-0 of run linear" in capsys.readouterr().err


def test_a_file_without_the_columns_and_an_answer_that_is_there_are_refused(root, tmp_path, capsys):
    new = tmp_path / "new.csv"
    new.write_text("id,sentence_1\n1,a\n")
    assert call(root, new, tmp_path / "out.csv") == 3
    assert "there is no column 'sentence_2'" in capsys.readouterr().err
    assert call(root, root / "test.csv", new) == 2
    assert "is there already" in capsys.readouterr().err
