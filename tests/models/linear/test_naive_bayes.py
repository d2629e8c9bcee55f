"""Complement naive Bayes: the published formula, calibrated, saved whole, refused for numbers."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from scipy.special import expit

from pipeline.base.config import TaskConfig
from pipeline.base.errors import UsageError
from pipeline.base.paths import Workspace
from pipeline.metrics.metric import get_metric
from pipeline.models.learner import Silent
from pipeline.models.linear.class_fits import learn_answers
from pipeline.models.linear.learner import LinearFactory
from pipeline.models.linear.naive_bayes import complement_weights
from pipeline.models.linear.solver import Design
from pipeline.models.linear.text_features import families_of
from pipeline.models.settings import LinearRecipe
from tests.models.linear.test_learner import pairs, predictions, table, task_of, toy, words

RECIPE = LinearRecipe(buckets=2**12, class_fit="naive-bayes", within_words=True)
HEADS = TaskConfig(
    problem="heads", metric="macro-f1", classes=["who=cat", "who=other", "dog=yes", "dog=no"]
)


def fitted(train, task, k, folder, recipe=RECIPE):
    factory = LinearFactory(recipe, task, k)
    learner = factory.make(0)
    learner.fit(train, Workspace(folder), Silent())
    return factory, learner


def design_of(counts, **more):
    ones = np.ones((len(counts), 1), dtype=np.float32)
    return Design(ones, sparse.csr_array(np.array(counts, dtype=np.float32)), **more)


def by_hand(counts, shares, added):
    """Equations (4) and (6) of Rennie et al. (2003): the n-gram's share in all other classes."""
    of_class = shares.T @ counts
    others = of_class.sum(axis=0) - of_class + added
    weights = -np.log(others / others.sum(axis=1, keepdims=True)).T
    return weights - weights.mean(axis=1, keepdims=True)


def test_weights_are_those_of_the_paper_however_rows_count_and_labels_are_mixed():
    random = np.random.default_rng(0)
    counts = random.poisson(1.0, size=(30, 6)).astype(float)
    hard = np.eye(3)[random.integers(3, size=30)]
    found = complement_weights(design_of(counts), hard, 0.3)
    np.testing.assert_allclose(found, by_hand(counts, hard, 0.3), rtol=1e-6)
    soft = random.dirichlet(np.ones(3), size=30)
    found = complement_weights(design_of(counts), soft, 1.0)
    np.testing.assert_allclose(found, by_hand(counts, soft, 1.0), rtol=1e-6)
    often = random.integers(1, 4, size=30).astype(float)
    weighed = design_of(counts).weighed(often)
    found = complement_weights(weighed, hard, 0.1)
    np.testing.assert_allclose(found, by_hand(counts, hard * often[:, None], 0.1), rtol=1e-6)


def test_a_class_without_rows_and_inputs_below_zero_do_no_harm():
    counts = np.array([[1.0, 0, 2, -1], [0, 1, 1, 1], [2, 0, 0, -0.5]])
    shares = np.array([[1.0, 0, 0], [0, 1, 0], [1, 0, 0]])
    found = complement_weights(design_of(counts), shares, 0.3)
    assert np.isfinite(found).all()
    assert (found[3] == 0).all()
    np.testing.assert_allclose(found[:3], by_hand(counts[:, :3], shares, 0.3), rtol=1e-6)


@pytest.mark.parametrize(
    ("problem", "metric"), [("binary", "auc"), ("multiclass", "macro-f1"), ("multilabel", "auc")]
)
def test_it_tells_classes_apart_and_is_restored_to_the_bit(problem, metric, tmp_path):
    train, k = toy(problem, n=600)
    unseen, _ = toy(problem, seed=1)
    task = task_of(problem, metric)
    factory, learner = fitted(train, task, k, tmp_path)
    found = predictions(learner, unseen)
    assert found.shape == (len(unseen), k)
    assert get_metric(metric, task).score(unseen.targets, found) > 0.8
    assert learner.facts["class_fit"] == "naive-bayes"
    learner.save(tmp_path / "saved")
    again = predictions(factory.load(tmp_path / "saved"), unseen)
    assert again.tobytes() == found.tobytes()


def test_probabilities_are_as_often_right_as_they_say(tmp_path):
    """Words repeat one another, so naive Bayes is far too sure before its slope is found."""
    random = np.random.default_rng(2)
    cat = random.integers(2, size=1500)
    said = np.where(random.random(1500) < 0.8, cat, 1 - cat)
    texts = [
        f"{text} " + " ".join((["cat"] if yes else ["dog"]) * 4)
        for text, yes in zip(words(random, 1500), said.tolist(), strict=True)
    ]
    rows = table(texts, cat[:, None].astype(float))
    _, learner = fitted(rows.rows(np.arange(1000)), task_of("binary", "auc"), 1, tmp_path)
    found = predictions(learner, rows.rows(np.arange(1000, 1500)))[:, 0]
    sure = found > 0.5
    assert found[sure].mean() == pytest.approx(0.8, abs=0.06)
    assert found[~sure].mean() == pytest.approx(0.2, abs=0.06)


def test_pairs_and_several_targets_are_learnt(tmp_path):
    rows = pairs(n=600)
    alike = replace(rows, targets=(rows.targets > 0.4).astype(float))
    _, learner = fitted(alike.rows(np.arange(400)), task_of("binary", "auc"), 1, tmp_path)
    unseen = alike.rows(np.arange(400, 600))
    score = get_metric("auc", task_of("binary", "auc")).score
    assert score(unseen.targets, predictions(learner, unseen)) > 0.7
    train, _ = toy("multilabel", n=600)
    cats, dogs = train.targets.T.astype(bool)
    heads = replace(train, targets=np.stack([cats, ~cats, dogs, ~dogs], axis=1).astype(float))
    factory, learner = fitted(heads, HEADS, 4, tmp_path)
    found = predictions(learner, heads)
    np.testing.assert_allclose(found.reshape(-1, 2, 2).sum(axis=2), 1, atol=1e-5)
    assert ((found[:, 0] > 0.5) == cats).mean() > 0.8
    learner.save(tmp_path / "heads")
    assert predictions(factory.load(tmp_path / "heads"), heads).tobytes() == found.tobytes()


@pytest.mark.parametrize("problem", ["binary", "multiclass", "heads"])
def test_soft_labels_without_doubt_are_learnt_as_labels(problem):
    task = HEADS if problem == "heads" else task_of(problem, "auc")
    train, k = toy("multilabel" if problem == "heads" else problem, n=60)
    if problem == "heads":
        cats, dogs = train.targets.T
        train = replace(train, targets=np.stack([cats, 1 - cats, dogs, 1 - dogs], axis=1))
        k = 4
    (plain,) = learn_answers(train, task, k, "naive-bayes")
    assert train.targets is not None
    own = plain.encode(train.targets)
    soft = np.clip(own * 0.8 + 0.1, 0, 1) if problem == "heads" else own
    (made,) = learn_answers(replace(train, targets=soft), task, k, "naive-bayes")
    assert made.way == "naive-bayes"
    inputs = design_of(np.random.default_rng(0).poisson(1.0, (60, 5)))
    if problem != "heads":
        np.testing.assert_allclose(
            made.fit(inputs, made.encode(soft), 0.3), plain.fit(inputs, own, 0.3), rtol=1e-6
        )
    else:
        np.testing.assert_allclose(made.encode(soft), soft, rtol=1e-6)


def test_where_nothing_is_in_it_the_height_alone_is_kept():
    train, k = toy("binary", n=40)
    (answers,) = learn_answers(train, task_of("binary", "auc"), k, "naive-bayes")
    assert train.targets is not None
    encoded = answers.encode(train.targets)
    against = answers.sharpened(0.5 - encoded, encoded)  # scores that say the contrary
    share = float(encoded.mean())
    assert float(expit(against.center)[0]) == pytest.approx(share, abs=0.02)
    same = answers.sharpened(encoded[:0], encoded[:0])
    assert same.scale == answers.scale


def test_numbers_are_refused_before_anything_is_counted():
    with pytest.raises(UsageError, match=r"this is a regression problem\. Set class_fit: auto"):
        LinearFactory(RECIPE, task_of("regression", "rmse"), 1)


def test_n_grams_within_words_do_not_know_what_stands_beside_a_word(tmp_path):
    """Two orders of the same words are the same text to them, and are not to n-grams across."""
    train, k = toy("binary")
    turned = replace(train, texts=train.texts.copy())
    turned.texts[:, 0] = [" ".join(text.split()[::-1]) for text in train.texts[:, 0]]
    same = {}
    for within in (True, False):
        recipe = LinearRecipe(buckets=2**12, word_ngrams=(1, 1), within_words=within)
        _, learner = fitted(train, task_of("binary", "auc"), k, tmp_path, recipe)
        apart = predictions(learner, train) - predictions(learner, turned)
        same[within] = bool(np.abs(apart).max() < 1e-6)
    assert same == {True: True, False: False}
    assert families_of((1, 1), (1, 1), within_words=True) == [("char_wb", 1), ("word", 1)]
