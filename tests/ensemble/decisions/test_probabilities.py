import numpy as np
import pytest

from pipeline.base.config import TaskConfig
from pipeline.ensemble.decisions import probabilities
from pipeline.ensemble.decisions.candidates import candidates, forced
from pipeline.ensemble.decisions.decision import Labelled, beyond_noise
from pipeline.ensemble.decisions.probabilities import (
    Offsets,
    Thresholds,
    best_level,
    best_offset,
    joined_classes,
    offsets_for,
    offsets_of_each,
    thresholds_for,
)
from pipeline.metrics.metric import MetricError, get_metric
from tests.ensemble.toys import member, task_of, truth_of

LABELLED = ["f1", "macro-f1", "accuracy", "qwk", "auc"]
"""Metrics that 0/1 classes are fitted to."""


def known(metric, problem="binary"):
    return get_metric(metric, task_of(problem, metric))


def level_of(metric, truth, values):
    found = np.zeros((len(truth), 1))
    return best_level(known(metric), truth[:, None].astype(float), found, values, 0)


def scored(metric, truth, values, level):
    """The metric's own score of the classes that *level* makes."""
    try:
        return known(metric).gain(
            truth[:, None].astype(float), (values >= level)[:, None].astype(float)
        )
    except MetricError:
        return -np.inf


@pytest.mark.parametrize("metric", LABELLED)
@pytest.mark.parametrize("seed", range(6))
def test_the_best_threshold_is_that_of_trying_all(metric, seed):
    random = np.random.default_rng(seed)
    truth = random.random(60) < 0.25
    values = np.clip(0.3 * truth + random.random(60) * 0.6, 0, 1).round(2)  # with ties
    best = level_of(metric, truth, values)
    tried = [0.0, *(np.unique(values) - 0.001), 2.0]
    expected = max(scored(metric, truth, values, level) for level in tried)
    assert scored(metric, truth, values, best) == pytest.approx(expected)


def test_of_equally_good_thresholds_the_one_nearest_one_half_is_taken():
    truth = np.array([False, True])
    assert level_of("f1", truth, np.array([0.1, 0.2])) == pytest.approx(0.15)
    truth = np.array([True, False, True, False])
    values = np.array([0.9, 0.7, 0.4, 0.1])
    assert level_of("accuracy", truth, values) == pytest.approx(0.25)
    constant = level_of("f1", np.array([True, False]), np.array([0.5, 0.5]))
    assert constant <= 0.5


def test_no_row_lies_on_the_wrong_side_where_no_float_fits_between_two_values():
    low = 0.5
    high = np.nextafter(low, 1)
    level = level_of("f1", np.array([False, True]), np.array([low, high]))
    assert low < level <= high


def rows_of(truth, predicted):
    return Labelled(truth, predicted, np.arange(len(truth)) // 2)


def test_calibrated_probabilities_are_cut_at_half_the_f1_they_reach():
    """Lipton et al. 2014: what the fit must come near on many rows."""
    random = np.random.default_rng(0)
    chance = random.beta(0.5, 3, size=(200_000, 1))
    truth = (random.random(chance.shape) < chance).astype(float)
    fitted = thresholds_for(known("f1"))(rows_of(truth, chance))
    reached = scored("f1", truth[:, 0] > 0, chance[:, 0], fitted.levels[0])
    assert fitted.levels[0] == pytest.approx(reached / 2, abs=0.01)


def test_each_label_has_its_own_threshold_and_leaves_one_half_only_beyond_noise():
    truth = np.array([1.0, 1, 0, 0, 0, 0])
    values = np.array([0.9, 0.45, 0.42, 0.3, 0.2, 0.1])  # 0.44 is better by one row
    few = np.concatenate([np.zeros(594), truth])
    few_values = np.concatenate([np.full(594, 0.01), values])
    many, many_values = np.tile(truth, 100), np.tile(values, 100)
    rows = rows_of(np.stack([many, few], axis=1), np.stack([many_values, few_values], axis=1))
    fitted = thresholds_for(known("macro-f1", "multilabel"))(rows)
    assert fitted.levels.tolist() == [pytest.approx(0.435), 0.5]
    assert fitted.says(["a", "b"]) == "positive from a 0.435, b 0.500 on"


@pytest.mark.parametrize(("metric", "labels"), [("accuracy", 1), ("macro-f1", 3)])
def test_a_label_that_is_scored_alone_is_looked_at_once(metric, labels, monkeypatch):
    looked = []

    def count(metric, truth, found, values, column):
        looked.append(column)
        return best_level(metric, truth, found, values, column)

    monkeypatch.setattr(probabilities, "best_level", count)
    truth, values = np.tile([1.0, 1, 0, 0], 50), np.tile([0.9, 0.45, 0.42, 0.3], 50)
    rows = rows_of(*(np.stack([each] * labels, axis=1) for each in (truth, values)))
    fitted = thresholds_for(known(metric, "multilabel"))(rows)
    assert (fitted.levels < 0.45).all(), "a second look would go on from there"
    assert len(looked) == labels


def test_thresholds_for_rows_that_must_be_right_in_every_label_are_never_worse_than_one_half():
    truth = truth_of("multilabel", 2000, 3)
    predicted = member("multilabel", truth, 0.8, seed=3) ** 4  # too low: 0.5 finds too few
    fitted = thresholds_for(known("accuracy", "multilabel"))(rows_of(truth, predicted))
    metric = known("accuracy", "multilabel")
    assert (fitted.levels < 0.3).all()
    assert metric.score(truth, fitted.apply(predicted)) > metric.score(truth, predicted) + 0.05


def unbalanced(n, seed, rare=0.06):
    """Four classes, one of them rare, and probabilities of a model that knows the shares."""
    random = np.random.default_rng(seed)
    shares = np.array([0.5, 0.3, 0.2 - rare, rare])
    truth = random.choice(4, size=n, p=shares)
    logs = 1.2 * np.eye(4)[truth] + random.normal(size=(n, 4)) + np.log(shares)
    chance = np.exp(logs)
    return truth, chance / chance.sum(axis=1, keepdims=True)


def gain(metric, truth, found):
    return known(metric, "multiclass").gain(truth[:, None].astype(float), np.eye(4)[found])


def offset_of(metric, logs, offsets, truth, j):
    level, found = best_offset(
        known(metric, "multiclass"), logs, offsets, truth[:, None].astype(float), j
    )
    return level, found[:, 0].astype(int)


@pytest.mark.parametrize("metric", ["macro-f1", "accuracy", "qwk"])
@pytest.mark.parametrize("seed", range(2))
def test_the_best_offset_of_a_class_is_that_of_trying_all(metric, seed):
    truth, chance = unbalanced(80, seed)
    logs, offsets = np.log(chance), np.array([0.0, 0.3, -0.2, 0.0])
    for j in range(4):
        level, found = offset_of(metric, logs, offsets, truth, j)
        trials = []
        for trial in np.linspace(-6, 6, 401):
            moved = offsets.copy()
            moved[j] = trial
            trials.append(gain(metric, truth, (logs + moved).argmax(axis=1)))
        assert gain(metric, truth, found) >= max(trials) - 1e-9
        moved = offsets.copy()
        moved[j] = level
        np.testing.assert_array_equal(found, (logs + moved).argmax(axis=1))


def test_rows_with_equal_scores_change_together():
    truth = np.array([0, 1, 1, 2])
    logs = np.log(np.full((4, 4), 0.25))
    level, found = offset_of("macro-f1", logs, np.zeros(4), truth, 1)
    assert level > 0
    assert found.tolist() == [1, 1, 1, 1]


def test_a_rare_class_is_claimed_sooner_for_macro_f1_and_new_rows_gain():
    truth, chance = unbalanced(6000, seed=1)
    new_truth, new_chance = unbalanced(40_000, seed=2)
    fitted = offsets_for(known("macro-f1", "multiclass"))(
        Labelled(truth[:, None], chance, np.arange(len(truth)))
    )
    assert fitted.offsets[3] > 0.3 + fitted.offsets[0]
    plain = gain("macro-f1", new_truth, new_chance.argmax(axis=1))
    decided = gain("macro-f1", new_truth, fitted.apply(new_chance).argmax(axis=1))
    assert decided > plain + 0.02


def test_classes_are_gone_round_until_none_moves_and_no_further(monkeypatch):
    metric, (truth, chance) = known("macro-f1", "multiclass"), unbalanced(3000, seed=1)
    rows, moved = Labelled(truth[:, None].astype(float), chance, np.arange(3000)), []

    def told(*given):
        moved.append(beyond_noise(*given))
        return moved[-1]

    monkeypatch.setattr(probabilities, "beyond_noise", told)
    fitted, logs = offsets_for(metric)(rows).offsets, np.log(chance)
    assert sum(moved) > 1
    assert not any(moved[-3:])  # the three other classes after the last that moved
    assert moved[-4]
    for j in range(4):
        found = (logs + fitted).argmax(axis=1)[:, None].astype(float)
        _, after = best_offset(metric, logs, fitted, rows.truth, j)
        assert not beyond_noise(metric, rows.truth, found, after, rows.group_of_row, 4)


def test_where_no_offset_is_needed_new_rows_lose_next_to_nothing():
    def balanced(n, seed):
        random = np.random.default_rng(seed)
        truth = random.integers(4, size=n)
        logs = 1.2 * np.eye(4)[truth] + random.normal(size=(n, 4))
        return truth, np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)

    new_truth, new_chance = balanced(40_000, 9)
    plain = gain("macro-f1", new_truth, new_chance.argmax(axis=1))
    for seed in range(3):
        truth, chance = balanced(3000, seed)
        fitted = offsets_for(known("macro-f1", "multiclass"))(
            Labelled(truth[:, None], chance, np.arange(3000))
        )
        decided = gain("macro-f1", new_truth, fitted.apply(new_chance).argmax(axis=1))
        assert decided > plain - 0.004


def test_what_was_fitted_is_told_by_class():
    names = ["art", "sport", "world"]
    assert Offsets(np.array([0.0, 0.25, -0.5])).says(names) == (
        "sport +0.25, world -0.50; the others 0"
    )
    assert Offsets(np.zeros(3)).says(names) == "no class gains beyond its noise"


# Offsets of each of several targets.


BLOCKS = [slice(0, 2), slice(2, 6)]
NAMES = ["sure=yes", "sure=no", "kind=a", "kind=b", "kind=c", "kind=d"]


def two_targets(n, seed):
    """(n, 6) targets and probabilities of two classes and of four, one of which is rare."""
    kind, chance = unbalanced(n, seed)
    random = np.random.default_rng([seed, 7])
    sure = (random.random(n) < 0.1).astype(int)
    logs = np.log([0.9, 0.1]) + 1.2 * np.eye(2)[sure] + random.normal(size=(n, 2))
    first = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
    return np.hstack([np.eye(2)[sure], np.eye(4)[kind]]), np.hstack([first, chance])


def of_two(metric):
    return get_metric(metric, TaskConfig(problem="heads", metric=metric, classes=NAMES))


@pytest.mark.parametrize("metric", ["macro-f1", "joint-macro-f1", "joint-accuracy"])
def test_the_best_offset_of_one_of_several_targets_is_that_of_trying_all(metric, monkeypatch):
    truth, chance = two_targets(60, 3)
    scores, taken = of_two(metric), []

    def first_step(*given):
        taken.append(best_offset(*given))
        return taken[-1]

    monkeypatch.setattr(probabilities, "best_offset", first_step)
    monkeypatch.setattr(probabilities, "beyond_noise", lambda *given: False)
    offsets_of_each(scores, BLOCKS)(Labelled(truth, chance, np.arange(60)))
    assert len(taken) == len(NAMES), "one round, as nothing moves"
    for j, (level, _) in enumerate(taken):
        found, trials = [], [*np.linspace(-6, 6, 201), level]
        for trial in trials:
            moved = Offsets(np.where(np.arange(6) == j, trial, 0.0), BLOCKS)
            found.append(scores.gain(truth, moved.apply(chance)))
        assert found[-1] >= max(found) - 1e-9


@pytest.mark.parametrize("metric", ["macro-f1", "joint-macro-f1"])
def test_rare_classes_of_several_targets_are_claimed_sooner_and_new_rows_gain(metric):
    truth, chance = two_targets(3000, 1)
    scores = of_two(metric)
    fitted = offsets_of_each(scores, BLOCKS)(Labelled(truth, chance, np.arange(3000)))
    new_truth, new_chance = two_targets(20_000, 2)
    plain, decided = (
        scores.gain(new_truth, each) for each in (new_chance, fitted.apply(new_chance))
    )
    assert decided > plain + 0.02
    assert fitted.offsets[1] > fitted.offsets[0]
    assert fitted.offsets[5] > fitted.offsets[2]
    assert fitted.apply(new_chance).sum(axis=1).tolist() == [2.0] * 20_000


def test_accuracy_of_several_targets_that_know_their_shares_moves_next_to_nothing():
    truth, chance = two_targets(3000, 1)
    scores = of_two("accuracy")
    fitted = offsets_of_each(scores, BLOCKS)(Labelled(truth, chance, np.arange(3000)))
    new_truth, new_chance = two_targets(20_000, 2)
    plain, decided = (
        scores.gain(new_truth, each) for each in (new_chance, fitted.apply(new_chance))
    )
    assert decided > plain - 0.004


def test_joined_classes_are_counted():
    truth, _ = two_targets(500, 1)
    assert joined_classes(truth, BLOCKS) == 8
    assert joined_classes(truth[:1], BLOCKS) == 1


@pytest.mark.parametrize(
    ("metric", "kind", "names"),
    [
        ("macro-f1", "label", ["offsets"]),
        ("joint-macro-f1", "label", ["offsets"]),
        ("log-loss", "value", []),
    ],
)
def test_several_targets_have_offsets_where_classes_are_written(metric, kind, names, monkeypatch):
    task = TaskConfig(problem="heads", metric=metric, classes=NAMES)
    truth, _ = two_targets(500, 1)
    assert [each.name for each in candidates(task, of_two(metric), kind, truth)] == names
    monkeypatch.setattr("pipeline.ensemble.decisions.candidates.MOST_JOINED", 7)
    few = [] if metric == "joint-macro-f1" else names
    assert [each.name for each in candidates(task, of_two(metric), kind, truth)] == few


def test_where_no_label_passes_the_nearest_one_is_given():
    predicted = np.array([[0.1, 0.4, 0.3], [0.9, 0.8, 0.1], [0.05, 0.02, 0.29]])
    levels = np.array([0.5, 0.6, 0.3])
    plain, least = Thresholds(levels), Thresholds(levels, least=True)
    assert plain.apply(predicted).tolist() == [[0, 0, 1], [1, 1, 0], [0, 0, 0]]
    assert least.apply(predicted).tolist() == [[0, 0, 1], [1, 1, 0], [0, 0, 1]]
    assert least.apply(predicted[:0]).shape == (0, 3)
    assert plain.as_dict() == {"levels": levels.tolist()}
    assert least.as_dict()["least"] is True


@pytest.mark.parametrize("metric", ["f1", "auc"])
@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("empty", [False, True])
def test_a_row_without_a_label_is_written_only_where_train_has_one(metric, joined, empty):
    """In a cell for all labels of a row none is left empty; of columns the score decides."""
    task = TaskConfig(problem="multilabel", metric=metric, classes=["a", "b", "c"], separator=",")
    truth = np.eye(3)[np.arange(60) % 3]
    truth[0] = 0 if empty else truth[0]
    score, seen = get_metric(metric, task), (0.0, 1.0)
    first = forced(task, score, "label", seen, truth, joined)
    offered = {each.name: each for each in candidates(task, score, "label", truth, joined)}
    low = np.array([[0.2, 0.3, 0.2]])
    rows = Labelled(truth, 0.8 * truth + 0.1, np.arange(60))
    if joined and not empty:
        assert first.apply(low).tolist() == [[0, 1, 0]]
        assert "a label at least in each row, as in train" in first.says([])
        assert offered["threshold"].rule(rows).apply(low - 0.1).sum() == 1
    else:
        assert (first is None) == (metric == "f1")
        assert offered["threshold"].rule(rows).apply(low - 0.2).sum() == 0
    assert ("one at least" in offered) == (not joined and not empty)


def test_one_at_least_is_chosen_where_it_scores_more():
    """Labels that exclude each other, and a model that is careful about all of them."""
    random = np.random.default_rng(0)
    truth = np.eye(3)[random.integers(3, size=600)]
    careful = 0.25 + 0.2 * truth + 0.08 * random.normal(size=truth.shape)
    task = TaskConfig(problem="multilabel", metric="accuracy", classes=["a", "b", "c"])
    rows = Labelled(truth, careful, np.arange(600))
    metric = get_metric("accuracy", task)
    offered = {each.name: each for each in candidates(task, metric, "label", truth)}
    scores = {
        name: metric.score(truth, each.rule(rows).apply(careful)) for name, each in offered.items()
    }
    assert scores["one at least"] > scores["threshold"] + 0.02
