"""The fold file and its passport, and the digest computed without what makes folds."""

import json
import shutil

import numpy as np
import pytest

from pipeline.base.errors import ArtifactError
from pipeline.data.table import Table
from pipeline.doctor.folds import FORMAT, FULL, KEPT, checksum, digest, row_hashes
from pipeline.folds import passport as drawn
from pipeline.folds.passport import FoldFile, read_fold_file
from tests.sound import examine, problem_of, sound

CSV, JSON = "folds/toy.csv", "folds/toy.json"


@pytest.fixture
def root(tmp_path):
    return sound(tmp_path)


def test_the_digest_is_the_one_that_the_passport_computes():
    random = np.random.default_rng(0)
    ids = np.array([f"행-{row}" for row in random.permutation(40)], dtype=object)
    folds, groups = random.integers(0, 3, (2, 40)), random.integers(0, 15, 40)
    table = Table(ids=ids, texts=np.full((40, 1), "x", dtype=object), targets=np.zeros((40, 1)))
    theirs = drawn.hash_rows(table, folds, groups)
    ours = row_hashes(FoldFile(ids=ids, fold_of_row=folds, group_of_row=groups))
    np.testing.assert_array_equal(ours, theirs.folds)
    assert digest(ids, ours) == drawn.digests(ids, theirs)["folds"]
    assert (FORMAT, KEPT, FULL) == (drawn.FORMAT, drawn.KEPT, drawn.FULL)


def test_the_checksum_is_the_one_that_the_passport_carries(root):
    passport = json.loads((root / JSON).read_text())
    drawn.check_whole(passport, "here")
    assert passport["checksum"] == checksum(passport)


def test_an_edited_fold_is_named(root):
    lines = (root / CSV).read_text().splitlines()
    row_id, fold, group = lines[7].split(",")
    lines[7] = f"{row_id},{(int(fold) + 1) % 4},{group}"
    (root / CSV).write_text("\n".join(lines) + "\n")
    found = problem_of(root, CSV)
    assert found["what"] == (
        f"does not fit its passport: folds or groups of 1 rows have been edited: {row_id}"
    )
    assert found["todo"] == (
        f"Restore the file (git checkout, or a teammate's copy); or delete {CSV} and {JSON} to "
        "freeze new folds: then its run has to be trained again."
    )


def test_a_lost_row_is_counted(root):
    lines = (root / CSV).read_text().splitlines()
    (root / CSV).write_text("\n".join(lines[:-1]) + "\n")
    assert "holds 59 rows, its passport was made for 60" in problem_of(root, CSV)["what"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no column 'id'"),
        ("id,fold,group\n", "holds 0 rows, its passport was made for 60"),
        ("id,fold\n" + "".join(f"{n},0\n" for n in range(60)), "has lost its column 'group'"),
        ("id,fold,group\na,x,0\n", "'x' as fold"),
    ],
)
def test_another_file_in_its_place_is_a_problem(root, content, message):
    (root / CSV).write_text(content)
    assert message in problem_of(root, CSV)["what"]


def test_an_edited_passport_is_a_problem(root):
    (root / JSON).write_text((root / JSON).read_text().replace('"rows": 60', '"rows": 61'))
    assert "its checksum does not fit" in problem_of(root, JSON)["what"]


def test_a_missing_partner_is_a_problem(root):
    (root / CSV).rename(root / "kept.csv")
    assert problem_of(root, CSV)["what"] == "is missing, its passport is there"
    (root / "kept.csv").rename(root / CSV)
    (root / JSON).rename(root / "kept.json")
    found = problem_of(root, JSON)
    assert found["what"] == "is missing beside toy.csv, and runs depend on it"
    assert "python -m pipeline.folds --root" in found["todo"]
    (root / CSV).unlink()
    assert problem_of(root, CSV)["what"] == (
        "is missing, and so is its passport; runs depend on them"
    )


def test_folds_that_were_being_frozen_are_no_problem(root):
    (root / JSON).unlink()
    shutil.rmtree(root / "oof")
    shutil.rmtree(root / "runs")
    shutil.rmtree(root / "submissions")
    answer = examine(root)
    assert answer.code == 0
    (found,) = answer.notes
    assert found["what"].startswith("is missing beside toy.csv: freezing was interrupted")


def test_a_fold_file_is_read_as_the_commands_read_it(root):
    assert len(read_fold_file(root / CSV, 1, ArtifactError).ids) == 60
