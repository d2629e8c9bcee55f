from itertools import combinations_with_replacement

import numpy as np
import pytest

from pipeline.ensemble.decisions import cut_points as cutpoints
from pipeline.ensemble.decisions.cut_points import best_cuts, cuts_within, fit_class_cuts
from pipeline.ensemble.decisions.decision import Labelled
from pipeline.metrics import formulas


def kappa(truth, numbers, cuts):
    found = np.searchsorted(cuts, numbers, side="right").astype(float)
    return formulas.quadratic_kappa(truth[:, None], found[:, None])


@pytest.mark.parametrize("seed", range(8))
def test_the_cuts_are_those_of_trying_all(seed):
    random = np.random.default_rng(seed)
    truth = random.integers(0, 4, size=14).astype(float)
    numbers = (truth + random.normal(size=14)).round(1)  # with ties
    cuts = best_cuts(truth, numbers, np.arange(4.0))
    places = [-9.0, *(np.unique(numbers) + 0.01)]
    expected = max(kappa(truth, numbers, each) for each in combinations_with_replacement(places, 3))
    assert kappa(truth, numbers, cuts) == pytest.approx(expected)
    assert (np.diff(cuts) >= 0).all()


def test_predictions_drawn_to_the_middle_are_cut_apart_again():
    random = np.random.default_rng(0)
    truth = random.integers(1, 7, size=(5000, 1)).astype(float)
    shrunk = 3.5 + 0.4 * (truth - 3.5) + 0.15 * random.normal(size=truth.shape)
    fitted = cuts_within((1.0, 6.0))(Labelled(truth, shrunk, np.arange(5000)))
    assert fitted.cuts[0] == pytest.approx(3.5 + 0.4 * (np.arange(1.5, 6) - 3.5), abs=0.06)
    found = fitted.apply(shrunk)
    assert set(np.unique(found)) == {1.0, 2.0, 3.0, 4.0, 5.0, 6.0}
    rounded = np.clip(np.rint(shrunk), 1, 6)
    assert formulas.quadratic_kappa(truth, found) > formulas.quadratic_kappa(truth, rounded) + 0.1


def test_labels_that_never_pay_are_skipped():
    truth, numbers = np.array([0.0, 0, 2, 2]), np.array([0.1, 0.2, 0.8, 0.9])
    cuts = best_cuts(truth, numbers, np.arange(3.0))
    assert np.searchsorted(cuts, numbers, side="right").tolist() == [0, 0, 2, 2]


def test_ordered_classes_are_cut_by_their_mean_class():
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, size=300)
    seen = 1 + 0.5 * (truth - 1) + 0.3 * random.normal(size=300)  # leans to the middle class
    chance = np.exp(-((seen[:, None] - np.arange(3)) ** 2))
    chance /= chance.sum(axis=1, keepdims=True)
    fitted = fit_class_cuts(Labelled(truth[:, None].astype(float), chance, np.arange(300)))
    found = fitted.apply(chance)
    assert found.shape == (300, 3)
    assert (found.sum(axis=1) == 1).all()
    plain = formulas.quadratic_kappa(truth[:, None], chance.argmax(axis=1)[:, None])
    assert formulas.quadratic_kappa(truth[:, None], found.argmax(axis=1)[:, None]) > plain


def test_many_rows_are_cut_at_quantiles_and_lose_next_to_nothing(monkeypatch):
    random = np.random.default_rng(0)
    truth = random.integers(0, 5, size=4000).astype(float)
    numbers = 0.6 * truth + 0.5 * random.normal(size=4000)
    exact = kappa(truth, numbers, best_cuts(truth, numbers, np.arange(5.0)))
    monkeypatch.setattr(cutpoints, "PLACES", 400)
    coarse = kappa(truth, numbers, best_cuts(truth, numbers, np.arange(5.0)))
    assert exact - 2e-3 < coarse <= exact


def test_constant_predictions_are_cut_without_fuss():
    truth = np.array([0.0, 1, 2])
    cuts = best_cuts(truth, np.ones(3), np.arange(3.0))
    assert np.isfinite(cuts).all()
    assert len(cuts) == 2
