"""Curves over all thresholds, and the spread of labels and predictions."""

import re

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from pipeline.report.drawn.curves import MOST_CURVES, spread, thresholds
from pipeline.report.drawn.words import words_of


def classes(n, k, seed=0):
    random = np.random.default_rng(seed)
    label = random.choice(k, size=n, p=np.arange(1, k + 1) / np.arange(1, k + 1).sum())
    target = np.eye(k)[label]
    predicted = np.exp(2 * target + random.normal(size=(n, k)))
    return target, predicted / predicted.sum(axis=1, keepdims=True)


def told(chart):
    return " ".join([str(chart.svg), *map(str, chart.tips.values()), *chart.says])


def test_each_class_has_its_area_and_points_that_name_their_threshold():
    target, predicted = classes(400, 3)
    precision, roc = thresholds(target, predicted, ["a", "b", "c"])
    for place, name in enumerate("abc"):
        area = average_precision_score(target[:, place], predicted[:, place])
        assert f"{name} {area:.3f}" in told(precision)
        assert f"{name} {roc_auc_score(target[:, place], predicted[:, place]):.3f}" in told(roc)
    cut, said, found = re.search(
        r"threshold ([\d.]+): precision ([\d.]+), recall ([\d.]+)", told(precision)
    ).groups()
    above = predicted[:, 0] >= float(cut)
    assert target[above, 0].mean() == pytest.approx(float(said), abs=0.01)
    assert target[above, 0].sum() / target[:, 0].sum() == pytest.approx(float(found), abs=0.01)


def test_of_very_many_classes_those_with_most_rows_and_of_shares_none():
    target, predicted = classes(900, 12)
    precision, _ = thresholds(target, predicted, [f"class{place}" for place in range(12)])
    assert f"the {MOST_CURVES} classes with most rows" in precision.says
    assert {f"class{place} " in told(precision) for place in range(4)} == {False}
    assert all(f"class{place} " in told(precision) for place in range(4, 12))
    assert not list(thresholds(0.9 * target, predicted, list(map(str, range(12)))))
    nothing = np.zeros((900, 1))
    assert not list(thresholds(nothing, predicted[:, :1], ["never"]))


def test_the_spread_counts_rows_in_parts_of_the_range_and_korean_has_all_words():
    labels = np.repeat([0.0, 5.0], 50)
    chart = spread(0, "score", labels, np.full(100, 2.6))
    said = told(chart)
    assert "0 to 0.25: 50.0% of labels" in said
    assert "2.5 to 2.75: 100.0% of honest predictions" in said
    korean = words_of("ko")
    one = [each[:, :1] for each in classes(60, 2)]
    alone = list(thresholds(*one, ["spam"]))
    assert alone[0].says[0] == f"average precision {average_precision_score(*one):.3f}"
    for each in (chart, *alone, *thresholds(*classes(60, 2), ["a", "b"])):
        tips = [line for point in each.tips.values() for line, _ in point]
        for sentence in (each.title, *each.says, *each.words, *tips):
            korean(sentence)
    assert korean.missing == set()
