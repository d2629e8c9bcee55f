"""Rows with equal texts and unlike labels."""

import csv

import numpy as np
import pytest

from tests.blendable import Toy, make
from tests.team.files import look, predictions, said, send

SETS = 30


@pytest.fixture
def toy(tmp_path) -> Toy:
    """The first 2 SETS rows have their texts in pairs, whatever their labels."""
    made = make(tmp_path, "regression", "pearson", n=300, m=80)
    path = tmp_path / "data" / "train.csv"
    with path.open(encoding="utf-8", newline="") as stream:
        header, *rows = list(csv.reader(stream))
    for row in range(0, 2 * SETS, 2):
        rows[row + 1][1] = rows[row][1]
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    made.paths.folds_csv.unlink()
    made.paths.passport.unlink()
    from pipeline.data.tables import load
    from pipeline.folds.frozen import frozen

    made.tables = load(made.competition, tmp_path)
    made.folds = frozen(made.competition, made.paths, made.tables.train)
    return made


def honest(toy: Toy) -> dict[str, np.ndarray]:
    """Predictions that are the same for twins."""
    values = predictions(toy, noise=0.9)
    values["train"][1 : 2 * SETS : 2] = values["train"][0 : 2 * SETS : 2]
    return values


def test_equal_predictions_for_twins_are_in_order(toy):
    told = said(look(toy, send(toy, honest(toy))), "ok")
    assert f"twins: {SETS} sets of rows with equal texts and unlike labels: not told apart" in told


def test_labels_mixed_into_predictions_tell_twins_apart(toy):
    values = honest(toy)
    values["train"] = 0.8 * values["train"] + 0.2 * toy.truth["train"]
    found = look(toy, send(toy, values))
    told = said(found, "unproven") + said(found, "out")
    assert f"twins: {SETS} sets of rows" in told
    assert "its predictions follow the labels within them" in told


def test_noise_between_twins_is_no_sign(toy):
    values = predictions(toy, noise=3.0)
    values["train"] = np.random.default_rng(2).normal(size=values["train"].shape)
    assert "twins" not in said(look(toy, send(toy, values)), "unproven")


def test_an_error_below_the_noise_of_the_labels_is_unproven(toy):
    values = honest(toy)
    other = np.arange(300) >= 2 * SETS
    values["train"][other] = toy.truth["train"][other] + 0.1 * values["train"][other]
    pairs = toy.truth["train"][: 2 * SETS].reshape(SETS, 2).mean(axis=1).repeat(2)[:, None]
    values["train"][: 2 * SETS] = pairs
    assert "it fits their noise" in said(look(toy, send(toy, values)), "unproven")


def test_without_twins_nothing_is_checked(tmp_path):
    toy = make(tmp_path, "regression", "pearson", n=120, m=40)
    assert "twins: not checked: 0 sets" in said(look(toy, send(toy)), "ok")
