"""What a spreadsheet would take for a formula: our two csv files are byte-faithful, and say so.

They are read by programs: a leaderboard, and our own commands. The list of doubtful labels is read
by people, and has an apostrophe there (tests/report/test_doubtful.py). There is no HTML.
"""

import re
from pathlib import Path

from pipeline import cv
from pipeline.base.errors import DataError
from pipeline.ensemble import __main__ as ensemble
from pipeline.folds import __main__ as folds
from pipeline.folds.passport import read_fold_file
from tests.test_bad_files import Folder

ROOT = Path(__file__).resolve().parents[1]
FORMULAS = ["=1+1", "+cmd|'/C calc'!A0", "-2+3", "@SUM(1)", "\tx", '=HYPERLINK("http://x","y")']


def test_ids_and_classes_like_formulas_come_out_as_they_went_in(tmp_path):
    folder = Folder(tmp_path)
    folder.classes = ["=no", "@yes"]
    for n, row in enumerate(folder.train[1:]):
        row[0], row[2] = f"{FORMULAS[n % 6]}{n}", folder.classes[n % 2]
    folder.test[1:] = [
        [row_id, f"={row[1]}"] for row_id, row in zip(FORMULAS, folder.test[1:], strict=True)
    ]
    folder.sample[1:] = [[row_id, "=no"] for row_id in FORMULAS]
    folder.write()
    for command in (folds, cv, ensemble):
        assert folder.call(command) == 0
    found = folder.submission()[1:]
    assert [row[0] for row in found] == FORMULAS
    assert {row[1] for row in found} <= {"=no", "@yes"}
    frozen = read_fold_file(tmp_path / "folds" / "toy.csv", 1, DataError)
    assert frozen.ids.tolist() == [row[0] for row in folder.train[1:]]


def test_negative_numbers_stay_numbers(tmp_path):
    folder = Folder(tmp_path)
    folder.problem, folder.metric, folder.classes, folder.submit = "regression", "rmse", [], "value"
    for n, row in enumerate(folder.train[1:]):
        row[2] = str(-10 - n % 2)
    for row in folder.sample[1:]:
        row[1] = "0.0"
    folder.write()
    for command in (cv, ensemble):
        assert folder.call(command) == 0
    assert all(float(row[1]) < -5 for row in folder.submission()[1:])


def test_nothing_else_writes_a_csv_and_nothing_writes_html():
    writers, pages = set(), set()
    for file in (ROOT / "pipeline").rglob("*.py"):
        code, name = (
            file.read_text(encoding="utf-8"),
            file.relative_to(ROOT / "pipeline").as_posix(),
        )
        if re.search(r"\.(to_csv|writerows?)\(", code):
            writers.add(name)
        if re.search(r"<html|\.to_html\(|\.save_html\(", code, re.IGNORECASE):
            pages.add(name)
    assert writers == {
        "distil/alone.py",
        "folds/passport.py",
        "report/drawn/doubtful.py",
        "setup/benchmark_files.py",
        "submissions/submission_file.py",
        "team/challenge.py",
        "team/store.py",
    }
    assert pages == set()


def test_both_files_are_documented_as_byte_faithful():
    for readme in ("submissions/README.md", "folds/README.md"):
        text = (ROOT / readme).read_text(encoding="utf-8")
        assert "*not* escaped against spreadsheet formulas" in " ".join(text.split())
