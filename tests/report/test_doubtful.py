"""`report --doubtful`: labels that look wrong as a list for people."""

import csv
import json

from pipeline import cv
from pipeline.base.command import run
from pipeline.base.errors import UsageError
from pipeline.report.__main__ import main as report
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
