import numpy as np
import pytest

from pipeline.ensemble.decisions.decision import Labelled
from pipeline.ensemble.decisions.offsets import best_offset, offsets_for
from pipeline.metrics.metric import get_metric
from tests.ensemble.toys import task_of


def unbalanced(n, seed, rare=0.06):
    """Four classes, one of them rare, and probabilities of a model that knows the shares."""
    random = np.random.default_rng(seed)
    shares = np.array([0.5, 0.3, 0.2 - rare, rare])
    truth = random.choice(4, size=n, p=shares)
    logs = 1.2 * np.eye(4)[truth] + random.normal(size=(n, 4)) + np.log(shares)
    chance = np.exp(logs)
    return truth, chance / chance.sum(axis=1, keepdims=True)


def known(metric):
    return get_metric(metric, task_of("multiclass", metric))


def gain(metric, truth, found):
    return known(metric).gain(truth[:, None].astype(float), np.eye(4)[found])


def offset_of(metric, logs, offsets, truth, j):
    level, found = best_offset(known(metric), logs, offsets, truth[:, None].astype(float), j)
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
    fitted = offsets_for(known("macro-f1"))(Labelled(truth[:, None], chance, np.arange(len(truth))))
    assert fitted.offsets[3] > 0.3 + fitted.offsets[0]
    plain = gain("macro-f1", new_truth, new_chance.argmax(axis=1))
    decided = gain("macro-f1", new_truth, fitted.apply(new_chance).argmax(axis=1))
    assert decided > plain + 0.02


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
        fitted = offsets_for(known("macro-f1"))(Labelled(truth[:, None], chance, np.arange(3000)))
        decided = gain("macro-f1", new_truth, fitted.apply(new_chance).argmax(axis=1))
        assert decided > plain - 0.004


def test_what_was_fitted_is_told_by_class():
    from pipeline.ensemble.decisions.offsets import Offsets

    names = ["art", "sport", "world"]
    assert Offsets(np.array([0.0, 0.25, -0.5])).says(names) == (
        "sport +0.25, world -0.50; the others 0"
    )
    assert Offsets(np.zeros(3)).says(names) == "no class gains beyond its noise"
