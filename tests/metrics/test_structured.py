"""Metrics of several classes a row: tags beside seqeval, targets beside scikit-learn."""

import numpy as np
import pytest
import sklearn.metrics
from seqeval.metrics import f1_score
from seqeval.metrics.v1 import precision_recall_fscore_support
from seqeval.scheme import IOB2
from sklearn.metrics import f1_score as of_units

from pipeline.base import UsageError
from pipeline.metrics import MetricError, get_metric
from pipeline.metrics.bootstrap import Draws, resampled_gains
from tests.problems import heads
from tests.problems.heads import flags, rows
from tests.problems.test_tags import as_lists, documents, task

TAGS = ["entity-f1", "entity-macro-f1", "klue-char-f1", "f-beta(5)", "accuracy", "log-loss"]


@pytest.mark.parametrize(
    ("metric", "average"), [("entity-f1", "micro"), ("entity-macro-f1", "macro")]
)
@pytest.mark.parametrize("seed", range(5))
def test_entity_f1_is_seqevals_strict_iob2(metric, average, seed):
    truth, chance = documents(seed)
    found = get_metric(metric, task())
    labels = found.labels(truth, chance)[:, 0]
    expected = f1_score(
        as_lists(truth, truth[:, 0]), as_lists(truth, labels), average=average, mode="strict",
        scheme=IOB2,
    )  # fmt: skip
    assert found.score(truth, chance) == pytest.approx(expected, abs=1e-12)


def test_f_beta_of_entities_and_f1_of_some_types_are_seqevals():
    truth, chance = documents(7)
    labels = get_metric("entity-f1", task()).labels(truth, chance)[:, 0]
    given = as_lists(truth, truth[:, 0]), as_lists(truth, labels)
    five = precision_recall_fscore_support(*given, average="micro", beta=5, scheme=IOB2)[2]
    assert get_metric("entity-f-beta(5)", task()).score(truth, chance) == pytest.approx(five)
    by_type = precision_recall_fscore_support(*given, average=None, scheme=IOB2)[2]
    for name, expected in zip(["LC", "PS"], by_type, strict=True):
        score = get_metric(f"entity-f1({name})", task()).score(truth, chance)
        assert score == pytest.approx(expected)


def test_an_inside_tag_without_a_beginning_counts_for_nothing():
    truth = np.array([[1, 0], [2, 1], [0, 2], [2, 0], [0, 1]], float)  # the second begins with I-
    guess = np.eye(5)[[1, 2, 0, 0, 0]]
    assert get_metric("entity-f1", task()).score(truth, guess) == 1


def test_klues_character_f1_keeps_o_and_counts_a_missing_tag_as_right():
    truth, chance = documents(2)
    truth[truth[:, 0] >= 3, 0] = 0  # no PS at all among the labels
    chance[:, 3:] = 1e-9
    labels = get_metric("klue-char-f1", task()).labels(truth, chance)[:, 0]
    expected = of_units(truth[:, 0], labels, average="macro", labels=range(5), zero_division=1.0)
    assert get_metric("klue-char-f1", task()).score(truth, chance) == pytest.approx(expected)
    without = of_units(truth[:, 0], labels, average="macro", labels=range(1, 5), zero_division=1.0)
    assert abs(expected - without) > 0.01


def test_klues_one_list_joins_an_entity_over_the_border_of_two_documents():
    truth = np.array([[1, 0], [2, 0], [0, 1]], float)  # B-LC | I-LC O
    guess = np.eye(5)[[1, 0, 0]]
    assert get_metric("entity-macro-f1", task()).score(truth, guess) == 1
    assert get_metric("klue-entity-f1", task()).score(truth, guess) == 0


def test_f_beta_of_units_leaves_o_out():
    truth = np.array([[1, 0], [2, 1], [0, 2], [3, 3]], float)
    guess = np.eye(5)[[1, 2, 1, 0]]  # two right, one too much, one missed
    assert get_metric("f-beta(5)", task()).score(truth, guess) == pytest.approx(
        26 * 2 / (25 * 3 + 3)
    )


def test_a_metric_without_any_entity_says_so():
    truth = np.array([[0, 0], [0, 1]], float)
    with pytest.raises(MetricError, match="no entity"):
        get_metric("entity-f1", task()).score(truth, np.eye(5)[[0, 0]])


@pytest.mark.parametrize("metric", TAGS)
def test_draws_of_whole_documents_score_as_the_documents_written_out(metric):
    truth, chance = documents(4, count=12)
    found, document = get_metric(metric, task()), np.cumsum(truth[:, 1] == 0) - 1
    draws = Draws.over(document, seed=1, resamples=5)
    drawn = resampled_gains(found, truth, chance, draws)
    for counts, gain in zip(draws.counts, drawn, strict=True):
        rows = np.concatenate(
            [
                np.flatnonzero(draws.block_of_row == block)
                for block, times in enumerate(counts)
                for _ in range(int(times))
            ]
        )
        assert found.gain(truth[rows], chance[rows]) == pytest.approx(gain)


def test_a_mean_is_refused_early_and_a_function_that_is_not_there():
    with pytest.raises(UsageError, match="tags yet"):
        get_metric("mean(entity-f1, accuracy)", task())
    with pytest.raises(UsageError, match="'mine:score' cannot be imported"):
        get_metric("mine:score", task())


@pytest.mark.parametrize("metric", [*TAGS, "klue-entity-f1"])
def test_right_tags_get_the_best_score_there_is(metric):
    truth, _ = documents(6)
    found = get_metric(metric, task())
    right = np.eye(5)[truth[:, 0].astype(int)]
    assert found.score(truth, right) == pytest.approx(found.best, abs=1e-12)


# Several targets.


def decided(guess):
    return np.stack(
        [guess[:, own].argmax(axis=1) for own in (slice(2), slice(2, 5), slice(5, 7))], 1
    )


def each(score):
    return lambda truth, guess: np.mean(
        [score(*pair) for pair in zip(truth.T, decided(guess).T, strict=True)]
    )


def joined(score):
    def texts(numbers):
        return ["-".join(map(str, row)) for row in numbers]

    return lambda truth, guess: score(texts(truth), texts(decided(guess)))


def f1(average):
    return lambda y, p: sklearn.metrics.f1_score(y, p, average=average)


REFERENCES = {
    "accuracy": each(sklearn.metrics.accuracy_score),
    "macro-f1": each(f1("macro")),
    "weighted-f1": each(f1("weighted")),
    "joint-accuracy": joined(sklearn.metrics.accuracy_score),
    "joint-macro-f1": joined(f1("macro")),
    "joint-weighted-f1": joined(f1("weighted")),
    "log-loss": lambda truth, guess: np.mean(
        [
            sklearn.metrics.log_loss(own, guess[:, block], labels=range(block.stop - block.start))
            for own, block in zip(truth.T, heads.kind().blocks(7), strict=True)
        ]
    ),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", list(REFERENCES))
def test_a_metric_of_heads_equals_its_reference(name, seed):
    numbers, guess = rows(seed)
    metric = get_metric(name, heads.task(name))
    expected = REFERENCES[name](numbers, guess)
    assert metric.score(flags(numbers), guess) == pytest.approx(expected, rel=1e-9)
    if metric.row_sums is not None:
        terms, finish = metric.row_sums(flags(numbers), guess)
        found = finish(terms.sum(axis=0)[None])[0]
        assert metric.as_gain(found) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", list(REFERENCES))
def test_right_classes_of_all_targets_get_the_best_score_there_is(name):
    numbers, _ = rows(0)
    metric = get_metric(name, heads.task(name))
    assert metric.score(flags(numbers), flags(numbers)) == metric.best
