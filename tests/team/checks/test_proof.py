import numpy as np
import pytest

from tests.blendable import Toy, make
from tests.team.files import contest_of, look, said, send


@pytest.fixture
def toy(tmp_path) -> Toy:
    return make(tmp_path, "regression", "pearson", n=120, m=40)


def renamed(names):
    def edit(lines):
        return [[line[0], names[line[1]] if line[1] else "", *line[2:]] for line in lines]

    return edit


def test_the_same_folds_under_other_names_are_a_proof_told_with_the_map(toy):
    names = {"0": "b", "1": "3.0", "2": "a", "3": "0"}
    found = look(toy, send(toy, edit=renamed(names)))
    assert found.proof.kind == "folds"
    assert found.proof.says == (
        "the column of folds cuts the rows as ours do: their b is our 0, their 3 is our 1, "
        "their a is our 2, their 0 is our 3"
    )
    assert found.verdict == "in"


def test_neither_passport_nor_folds_is_unproven(toy):
    found = look(toy, send(toy, fold=False))
    assert found.proof.kind == "none"
    assert found.verdict == "unproven"
    assert "nothing shows that it was made on our folds" in said(found, "unproven")


@pytest.mark.parametrize("digits", [16, 64])
def test_a_passport_of_today_is_a_proof(toy, digits):
    found = look(toy, send(toy, fold=False), passport=toy.folds.digest[:digits].upper())
    assert (found.proof.kind, found.verdict) == ("passport", "in")


def test_a_foreign_passport_is_unproven_with_both_digests(toy):
    found = look(toy, send(toy, fold=False), passport="f" * 64)
    assert f"passport ffffffffffffffff, today's is {toy.folds.digest[:16]}" in said(
        found, "unproven"
    )
    assert found.proof.kind == "none"


def test_a_foreign_passport_of_other_labels_is_out_and_says_what_differs(toy):
    import json

    digests = {**contest_of(toy).digests, "labels": "9" * 64}
    path = send(toy)
    path.with_suffix(".json").write_text(json.dumps({"passport": "f" * 64, "digests": digests}))
    told = said(look(toy, path), "out")
    assert "every row is in the same fold, so labels or texts have changed since" in told
    today = contest_of(toy).digests["labels"][:12]
    assert f"what differs: labels 999999999999 (today {today})" in told


def test_too_short_a_passport_is_told(toy):
    found = look(toy, send(toy, fold=False), passport=toy.folds.digest[:8])
    told = said(found, "unproven")
    assert "has 8 digits, which may be chance; give the first 16 (python -m pipeline.folds" in told


def test_other_folds_are_unproven_naming_the_first_rows(toy):
    first, second = np.flatnonzero(toy.folds.fold_of_row[0] == 0)[:2]

    def edit(lines):
        for row in (first, second):
            lines[row][1] = "1"
        return lines

    found = look(toy, send(toy, edit=edit))
    ids = toy.folds.ids
    assert (
        f"2 of 120 rows are in another fold, first {ids[first]} (their 1, our 0), "
        f"{ids[second]} (their 1, our 0)" in said(found, "unproven")
    )
    assert toy.folds.digest[:16] in said(found, "unproven")
    assert found.storable


def test_other_folds_are_unproven_whatever_the_passport_says(toy):
    found = look(
        toy,
        send(toy, edit=renamed({"0": "0", "1": "0", "2": "1", "3": "2"})),
        passport=toy.folds.digest,
    )
    assert "are in another fold" in said(found, "unproven")
    assert found.proof.kind == "none"


def test_rows_in_no_fold_are_told(toy):
    found = look(toy, send(toy, edit=renamed({"0": "0", "1": "1", "2": "2", "3": ""})))
    assert "training rows are in no fold" in said(found, "unproven")


def test_more_folds_than_ours_are_unproven(toy):
    half = iter(range(10_000))

    def edit(lines):
        return [
            [line[0], f"{line[1]}{next(half) % 2}" if line[1] else "", *line[2:]] for line in lines
        ]

    assert "are in another fold" in said(look(toy, send(toy, edit=edit)), "unproven")
