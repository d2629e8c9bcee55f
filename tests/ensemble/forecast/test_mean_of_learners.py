"""The mean of K learners: what it gains is known without a label of test."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.data.table import Table, Units
from pipeline.ensemble.forecast.given import known_rows
from pipeline.ensemble.forecast.leaderboard import Further, leaderboard
from pipeline.ensemble.forecast.mean_of_learners import (
    DRAWS_OF_UNITS,
    UNITS,
    Outputs,
    _labels_of,
    _rows_for_labels,
    combined,
    mean_gain,
    measured_gain,
)
from pipeline.ensemble.forecast.ranges import Labelled, Move, Scored
from pipeline.metrics.metric import get_metric
from pipeline.problems.registry import problem_of
from tests.ensemble.forecast.test_leaderboard import table_of
from tests.ensemble.toys import task_of

K, N = 5, 3000
CASES = [
    ("regression", "mse", 0.05),
    ("regression", "rmse", 0.05),
    ("regression", "pearson", 0.1),
    ("regression", "r2", 0.1),
    ("regression", "spearman", 0.35),
    ("regression", "mae", 0.35),
    ("binary", "auc", 0.35),
    ("binary", "log-loss", 0.35),
    ("binary", "accuracy", 0.6),
    ("multiclass", "macro-f1", 0.6),
    ("multiclass", "log-loss", 0.5),
]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def world(problem, seed, n=N, noise=0.8, learners=K):
    """Truth (n, 1) and predictions (K, n, k) of learners whose errors are partly their own."""
    random = np.random.default_rng(seed)
    if problem == "multiclass":
        signal = random.normal(size=(n, 3)) * 1.5
        chance = np.exp(signal) / np.exp(signal).sum(axis=1, keepdims=True)
        truth = (random.random((n, 1)) > np.cumsum(chance, axis=1)).sum(axis=1)[:, None]
        each = signal + noise * random.normal(size=(learners, n, 3))
        return truth.astype(float), np.exp(each) / np.exp(each).sum(axis=2, keepdims=True)
    signal = random.normal(size=(n, 1))
    each = signal + noise * random.normal(size=(learners, n, 1))
    if problem == "binary":
        return (random.random((n, 1)) < sigmoid(1.5 * signal)).astype(float), sigmoid(each)
    return signal + random.normal(size=(n, 1)), each


def outputs_of(each):
    return Outputs(raw=each, decided=each, raw_mean=each.mean(0), decided_mean=each.mean(0))


def scored_of(problem, metric, truth, predicted):
    known = get_metric(metric, task_of(problem, metric))
    return Scored(known, problem, truth, predicted, np.arange(len(truth)))


@pytest.mark.parametrize(("problem", "metric", "within"), CASES)
def test_the_gain_is_that_on_the_labels_that_were_hidden(problem, metric, within):
    truth, learners = world(problem, 1)
    single = scored_of(problem, metric, truth, learners[0])
    hidden, each = world(problem, 2, n=20_000)
    real = single.metric.gain(hidden, each.mean(axis=0)) - np.mean(
        [single.metric.gain(hidden, one) for one in each]
    )
    found = mean_gain(single, single.metric.gain(truth, learners[0]), outputs_of(each), seed=0)
    assert real > 0
    assert found.gain == pytest.approx(real, rel=within)
    assert abs(found.gain - real) < 2 * found.doubt
    assert found.name == "mean of five"


@pytest.mark.parametrize("problem", ["binary", "multiclass", "multilabel", "heads(2+3)"])
def test_labels_imagined_as_sure_as_the_predictions_are_as_frequent(problem):
    random, columns = np.random.default_rng(3), {"binary": 1, "multiclass": 4}.get(problem, 5)
    rare = -1.5 * (np.arange(columns) % 2)  # every other column, so that shares are unlike
    scores = rare - 0.5 + random.normal(size=(20_000, columns))
    mean = problem_of(problem).from_scores(scores)
    empty = SimpleNamespace(problem=problem)
    labels = _labels_of(empty, mean, random)(1.0)
    if problem == "multiclass":
        labels = np.eye(columns)[labels[:, 0]]
    np.testing.assert_allclose(labels.mean(axis=0), mean.mean(axis=0), atol=0.015)


TAGS = ("O", "B-PS", "I-PS", "B-LC", "I-LC")


def world_of_tags(seed, documents, noise=0.4, learners=K, units=30):
    """Targets (n, 2) of documents, places (n,), and predictions (K, n, 5) of learners."""
    random = np.random.default_rng(seed)
    place = np.tile(np.arange(units), documents)
    tags = np.zeros(len(place), dtype=int)
    for start in np.flatnonzero(random.random(len(place)) < 0.08):
        kind = 1 + 2 * random.integers(2)
        size = min(random.integers(1, 5), units - place[start])
        tags[start : start + size] = kind + 1
        tags[start] = kind
    tags[:-1][(tags[1:] % 2 == 0) & (tags[1:] > 0) & (tags[:-1] == 0)] = 0
    hard = 3 * np.eye(len(TAGS))[tags] + random.normal(size=(len(tags), len(TAGS)))
    each = hard + noise * random.normal(size=(learners, *hard.shape))
    each = np.exp(each) / np.exp(each).sum(axis=2, keepdims=True)
    return np.column_stack([tags, place]).astype(float), place, each


def test_the_gain_in_entities_is_that_on_the_tags_that_were_hidden():
    metric = get_metric("entity-f1", task_of("tags", "entity-f1", classes=list(TAGS)))
    truth, place, learners = world_of_tags(1, 150)
    single = Scored(metric, "tags", truth, learners[0], np.cumsum(place == 0))
    hidden, place, each = world_of_tags(2, 300)
    outputs = replace(outputs_of(each), place=place)
    real = metric.gain(hidden, each.mean(axis=0)) - np.mean([metric.gain(hidden, e) for e in each])
    found = mean_gain(single, metric.gain(truth, learners[0]), outputs, seed=0)
    assert real > 0.02
    assert abs(found.gain - real) < 2 * found.doubt
    assert found.name == "mean of five"


def test_documents_whose_tags_are_imagined_are_whole():
    _, place, each = world_of_tags(3, UNITS // 30 + 50)
    rows = _rows_for_labels(replace(outputs_of(each), place=place), np.random.default_rng(0))
    assert len(rows) <= DRAWS_OF_UNITS * UNITS
    assert (place[rows] == 0).sum() * 30 == len(rows)
    one = replace(outputs_of(each[:, :20]), place=np.arange(20))
    assert len(_rows_for_labels(one, np.random.default_rng(0))) == DRAWS_OF_UNITS * 20


def test_what_was_measured_counts_alone_where_no_labels_can_be_imagined():
    truth, learners = world("binary", 1, n=300)
    single = scored_of("binary", "auc", truth, learners[0])
    unheard_of = 0.2  # no label makes learners as bad as that
    assert mean_gain(single, unheard_of, outputs_of(learners), 0) is None
    found = mean_gain(single, unheard_of, outputs_of(learners), 0, (0.01, 0.002))
    assert (found.gain, found.doubt) == (0.01, 0.002)


def documents_of(truth, place, said, metric, of_documents=True):
    """Units as they are known where their labels are, of documents or, wrongly, by themselves."""
    number = np.cumsum(place == 0) - 1
    groups = number if of_documents else np.arange(len(truth))
    scored = Scored(metric, "tags", truth, said, groups)
    table = table_of(int(number[-1]) + 1, 5)
    return Labelled(table=table, scored=scored, gain=metric.gain(truth, said), document=number)


def test_a_holdout_file_of_documents_is_as_large_as_its_units_are_many():
    metric = get_metric("entity-f1", task_of("tags", "entity-f1", classes=list(TAGS)))
    train, held = world_of_tags(1, 150), world_of_tags(2, 60, noise=2.0)
    known = documents_of(*train[:2], train[2][0], metric)
    holdout = documents_of(*held[:2], held[2][0], metric)
    found = leaderboard(known, holdout, table_of(80, 5), {"whole": 2400}, 0)
    assert any("would be expected of 1,800 rows like train" in each for each in found.notes)


@pytest.mark.parametrize(("strange", "given"), [(0.4, True), (0.8, False)])
def test_documents_that_look_otherwise_in_test_are_weighed_with_all_their_units(strange, given):
    metric = get_metric("entity-f1", task_of("tags", "entity-f1", classes=list(TAGS)))
    truth, place, each = world_of_tags(1, 200)
    known = documents_of(truth, place, each[0], metric)
    known = replace(known, table=table_of(200, 5, strange=0.05))
    outputs = replace(outputs_of(each), place=place)
    asked = (known, None, table_of(200, 6, strange), {"whole": 6000}, 0, ())
    found = leaderboard(*asked, Further(outputs=outputs))
    assert ("whole" in found.parts) == given, found.notes
    if given:
        (note,) = found.notes[:1]
        assert (
            "weighed as they are found in test (200 rows, which then tell as much as 128)" in note
        )


def test_units_of_a_holdout_file_are_drawn_with_their_documents():
    truth, place, each = world_of_tags(1, 40)
    metric = get_metric("entity-f1", task_of("tags", "entity-f1", classes=list(TAGS)))
    document = np.array([f"d{number}" for number in np.cumsum(place == 0) - 1], dtype=object)
    units = Units(document=document, place=place, after=np.full(len(place), "", dtype=object))
    ids = np.array([f"{name}#{at}" for name, at in zip(document, place, strict=True)], dtype=object)
    texts = np.full((len(ids), 1), "a", dtype=object)
    table = Table(ids=ids, texts=texts, targets=truth, units=units)
    known = known_rows(
        SimpleNamespace(problem="tags", metric=metric),
        table,
        None,
        SimpleNamespace(predict=lambda *_: each[0]),
        SimpleNamespace(apply=lambda said: said),
    )
    assert known.scored.group_of_row.tolist() == np.repeat(np.arange(40), 30).tolist()
    assert table.rows(place < 0).document.tolist() == []
    alone = Table(ids=ids, texts=texts)
    assert alone.document.tolist() == list(range(len(ids)))


def test_learners_that_agree_gain_nothing():
    truth, learners = world("binary", 1, n=300)
    single = scored_of("binary", "auc", truth, learners[0])
    same = outputs_of(np.repeat(learners[:1], K, axis=0))
    assert mean_gain(single, 0.7, same, 0) is None
    assert mean_gain(single, 0.7, outputs_of(learners[:1]), 0) is None


def test_labelled_rows_that_every_learner_predicts_measure_the_gain():
    truth, learners = world("binary", 4, n=4000)
    mean = scored_of("binary", "auc", truth, learners.mean(axis=0))
    gain, error = measured_gain(mean, learners, 0)
    each = np.mean([mean.metric.gain(truth, one) for one in learners])
    assert gain == pytest.approx(mean.metric.gain(truth, mean.predicted) - each)
    assert 0 < error < gain / 3
    both = combined(Move(name="mean", gain=3 * gain, doubt=3 * gain), (gain, error))
    assert gain < both.gain < 1.1 * gain
    assert both.doubt <= error
    assert measured_gain(mean.rows(np.arange(20)), learners[:, :20], 0) is None


def test_the_forecast_names_its_moves_and_its_range_is_wider_by_their_doubt():
    truth, learners = world("regression", 1, n=600)
    scored = scored_of("regression", "rmse", truth, learners[0])
    gain = scored.metric.gain(truth, learners[0])
    train = Labelled(table=table_of(600, 1), scored=scored, gain=gain)
    _, each = world("regression", 2, n=400)
    asked = (train, None, table_of(400, 5), {"whole": 400}, 0, ())
    plain = leaderboard(*asked).parts["whole"]
    found = leaderboard(*asked, Further(outputs=outputs_of(each), refit=0.002))
    whole = found.parts["whole"]
    assert found.folds == pytest.approx(-gain)
    assert [move.name for move in found.moves] == ["mean of five", "weights"]
    assert whole.score == pytest.approx(plain.score - sum(move.gain for move in found.moves))
    sure = leaderboard(*asked, Further(outputs=outputs_of(each), refit=0.002)).parts["whole"]
    unsure = leaderboard(*asked, Further(outputs=outputs_of(each), refit=0.2)).parts["whole"]
    assert unsure.high - unsure.low > sure.high - sure.low + 0.2


@pytest.mark.parametrize("metric", ["auc", "accuracy"])
def test_a_range_stays_within_what_the_metric_can_be(metric):
    random = np.random.default_rng(0)
    truth = (random.random((60, 1)) < 0.5).astype(float)
    predicted = np.clip(truth * 0.9 + 0.05 + 0.28 * random.normal(size=(60, 1)), 0, 1)
    scored = scored_of("binary", metric, truth, predicted)
    gain = scored.metric.gain(truth, predicted)
    train = Labelled(table=table_of(60, 1), scored=scored, gain=gain)
    whole = leaderboard(train, None, table_of(60, 5), {"whole": 30}, 0).parts["whole"]
    assert whole.low <= whole.score <= whole.high <= 1
