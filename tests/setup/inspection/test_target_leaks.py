import numpy as np
import pytest

from pipeline.setup.inspection.row_properties import (
    alone,
    held_out_means,
    order_properties,
    pearson,
    properties,
)
from tests.setup.inspection.toys import WORDS, sentences, table


def judged(rows, problem):
    return {one.name: one for one in alone(properties(rows), rows.targets, problem)}


def test_no_row_helps_to_predict_itself():
    rng = np.random.default_rng(0)
    values, part = np.repeat(np.arange(200), 2), np.arange(400) % 5
    targets = rng.normal(size=(400, 1))
    assert pearson(targets[:, 0], held_out_means(values, targets, part)[:, 0]) < 0.1
    moved = targets.copy()
    moved[7] += 1000
    change = held_out_means(values, moved, part) - held_out_means(values, targets, part)
    np.testing.assert_allclose(change[7], change[100])  # one constant for all, but for its partner
    assert abs(change[6] - change[7]) > 10


def test_held_out_means_are_the_shrunken_means_of_the_other_parts():
    values, part = np.array([0, 0, 0, 1]), np.array([0, 1, 1, 2])
    guess = held_out_means(values, np.array([[1.0], [2.0], [6.0], [3.0]]), part)
    expected = [(8 + 30) / 12, (1 + 30) / 11, (1 + 30) / 11, 30 / 10]
    np.testing.assert_allclose(guess[:, 0], expected)


def test_a_column_that_tells_the_target_is_found_and_noise_is_not():
    rng = np.random.default_rng(0)
    source = rng.integers(0, 4, 600)
    features = {
        "source": source.astype(str),
        "noise": rng.integers(0, 50, 600).astype(str),
        "number": (source * 10 + rng.random(600)).astype(str),
    }
    rows = table(sentences(rng, 600), source + rng.normal(size=600), features)
    found = judged(rows, "regression")
    assert found["source"].notable
    assert not found["source"].suspicious
    assert found["source"].score == pytest.approx(found["number"].score, abs=0.06)
    assert not found["noise"].notable
    assert not found["row order"].notable


@pytest.mark.parametrize(
    ("problem", "measure"),
    [
        ("regression", "Pearson"),
        ("binary", "AUC"),
        ("multiclass", "accuracy"),
        ("multilabel", "AUC"),
    ],
)
def test_a_copy_of_the_label_is_suspicious_in_every_kind_of_problem(problem, measure):
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3 if problem == "multiclass" else 2, 400)
    targets = np.column_stack([classes] * 2) if problem == "multilabel" else classes
    found = judged(
        table(sentences(rng, 400), targets, {"copy": [f"c{value}" for value in classes]}), problem
    )
    assert (found["copy"].measure, found["copy"].suspicious) == (measure, True)
    assert not any(one.suspicious for name, one in found.items() if name != "copy")


def test_a_sorted_file_and_telling_ids_are_suspicious():
    rng = np.random.default_rng(0)
    targets = np.sort(rng.random(500)) + rng.normal(size=500) / 4
    found = judged(table(sentences(rng, 500), targets), "regression")
    assert found["row order"].suspicious
    assert "number in the id" not in found  # it says what row order says
    label = rng.integers(0, 2, 500)
    ids = [f"{'good' if value else 'bad'}-{place}" for place, value in enumerate(label)]
    found = judged(table(sentences(rng, 500), label, ids=ids), "binary")
    assert found["start of the id"].suspicious
    assert not found["row order"].suspicious
    ids = [str(2 * place + value) for place, value in enumerate(label)]
    found = judged(table(sentences(rng, 500), label, ids=ids), "binary")
    assert found["last digit of the id"].suspicious


def test_ids_without_any_pattern_are_fine():
    names = [one.name for one in order_properties(np.array(["", "ab", "x-9" * 30], object))]
    assert "row order" in names


def test_pairs_are_compared_and_frequent_texts_counted():
    rng = np.random.default_rng(0)
    left, other = sentences(rng, 300), sentences(rng, 300, WORDS[:5])
    same = rng.integers(0, 2, 300)
    right = [a if kind else b for a, b, kind in zip(left, other, same, strict=True)]
    rows = table(list(zip(left, right, strict=True)), same)
    assert judged(rows, "binary")["shared character trigrams"].suspicious
    found = {one.name: one for one in properties(rows, uses=same + 1.0)}
    assert len(set(zip(found["how often its texts occur"].values, same, strict=True))) == 2
