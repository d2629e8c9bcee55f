"""Metrics with a number or names in parentheses equal the reference, or say what was expected."""

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics as reference

from pipeline.base.config import TaskConfig
from pipeline.base.errors import UsageError
from pipeline.metrics import MetricError
from pipeline.metrics.families import columns_problem
from pipeline.metrics.metric import get_metric
from tests.metrics.test_metric import classes, labels, numbers

NAMES = ["no_relation", "born_in", "works_at", "owns"]


def task(problem, **more):
    names = {"binary": ["no", "yes"], "multiclass": NAMES}.get(problem, [])
    return TaskConfig(problem=problem, metric="auc", classes=names, **more)


def score(name, problem, truth, guess):
    return get_metric(name, task(problem)).score(truth, guess)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("beta", [0.5, 2, 5])
def test_f_beta(seed, beta):
    truth, guess = labels(seed, k=3)
    expected = reference.fbeta_score(truth, guess >= 0.5, beta=beta, average="macro")
    assert score(f"f-beta({beta})", "multilabel", truth, guess) == pytest.approx(expected)
    expected = reference.fbeta_score(truth[:, 0], guess[:, 0] >= 0.5, beta=beta)
    assert score(f"f-beta({beta})", "binary", truth[:, :1], guess[:, :1]) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("left_out", [[0], [0, 2]])
@pytest.mark.parametrize("average", ["micro", "macro", "weighted"])
def test_f1_without_some_classes(seed, left_out, average):
    truth, guess = classes(seed)
    kept = [place for place in range(4) if place not in left_out]
    shown = guess.argmax(axis=1)
    expected = reference.f1_score(truth[:, 0], shown, labels=kept, average=average)
    name = f"{average}-f1({', '.join(NAMES[place] for place in left_out)})"
    assert score(name, "multiclass", truth, guess) == pytest.approx(expected)


@pytest.mark.parametrize("average", ["micro", "macro", "weighted"])
def test_f1_without_the_only_class_that_occurs_has_no_value(average):
    truth, guess = np.zeros((3, 1)), np.eye(4)[[0, 0, 0]]
    with pytest.raises(MetricError, match="of a class that counts"):
        score(f"{average}-f1(no_relation)", "multiclass", truth, guess)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_likeliest_few(seed, k):
    truth, guess = classes(seed)
    expected = reference.top_k_accuracy_score(truth[:, 0], guess, k=k)
    assert score(f"top-accuracy({k})", "multiclass", truth, guess) == pytest.approx(expected)
    place = np.array(
        [(row > row[int(one[0])]).sum() for row, one in zip(guess, truth, strict=True)]
    )
    expected = np.where(place < k, 1 / (place + 1), 0).mean()
    assert score(f"map({k})", "multiclass", truth, guess) == pytest.approx(expected)


def test_the_mean_of_two():
    truth, guess = numbers(0)
    both = scipy.stats.pearsonr(truth[:, 0], guess[:, 0]).statistic
    both += scipy.stats.spearmanr(truth[:, 0], guess[:, 0]).statistic
    found = score("mean(pearson, spearman)", "regression", truth, guess)
    assert found == pytest.approx(both / 2)
    parts = [
        reference.mean_absolute_error(truth, guess),
        reference.mean_squared_error(truth, guess),
    ]
    found = score("mean(0.6 mae, 1.2 mse)", "regression", truth, guess)
    assert found == pytest.approx((parts[0] + 2 * parts[1]) / 3)
    record = get_metric("mean(pearson, spearman)", task("regression")).record
    assert (record.sees, record.bounds) == ("shape", (-1.0, 1.0))


@pytest.mark.parametrize(
    ("name", "problem", "said"),
    [
        ("f-beta(x)", "binary", "expected one number above 0 in the parentheses"),
        ("f-beta()", "binary", "expected one number above 0 in the parentheses"),
        ("map(0)", "multiclass", "expected one number above 0"),
        ("map(3)", "binary", "does not fit a binary problem. There are: auc"),
        ("micro-f1(unknown)", "multiclass", "expected classes that do not count, of task.classes"),
        ("macro-f1(owns, unknown)", "multiclass", "macro-f1(owns, unknown): expected classes that"),
        (
            "weighted-f1(no_relation, born_in, works_at, owns)",
            "multiclass",
            "do not count, of task",
        ),
        ("mean(2 mae, 0 rmse)", "regression", "expected weights above 0"),
        ("mean(rmse, pearson)", "regression", "better in the same direction"),
        ("mean(rmse)", "regression", "expected two or more metrics"),
        ("mean(f1, mcc)", "multiclass", "'f1' is no metric of a multiclass"),
    ],
)
def test_what_is_wrong_in_the_parentheses_is_said(name, problem, said):
    with pytest.raises(UsageError) as caught:
        get_metric(name, task(problem))
    assert said in str(caught.value)


def shares(seed):
    random = np.random.default_rng(seed)
    return random.dirichlet(np.ones(4), 60), random.dirichlet(np.ones(4), 60)


def grades(seed):
    """Whole numbers inside the label range: whatever rows are drawn, the range stays."""
    truth, guess = numbers(seed)
    return np.clip(np.rint(truth), 1, 4), guess


@pytest.mark.parametrize(
    ("name", "problem", "make"),
    [
        ("mcc", "multiclass", classes),
        ("mcc", "binary", labels),
        ("balanced-accuracy", "multiclass", classes),
        ("weighted-f1", "multiclass", classes),
        ("micro-f1", "multilabel", lambda seed: labels(seed, k=3)),
        ("f-beta(2)", "multilabel", lambda seed: labels(seed, k=3)),
        ("micro-f1(no_relation, owns)", "multiclass", classes),
        ("macro-f1(no_relation, owns)", "multiclass", classes),
        ("weighted-f1(no_relation, owns)", "multiclass", classes),
        ("top-accuracy(2)", "multiclass", classes),
        ("map(3)", "multiclass", classes),
        ("calibration-error", "binary", labels),
        ("calibration-error", "multiclass", classes),
        ("mean(mae, mcrmse)", "regression", numbers),
        ("mean(0.2 mae, 3 mcrmse)", "regression", numbers),
        ("mean(log-loss, brier)", "multiclass", classes),
        ("kl-divergence", "soft-labels", shares),
        ("log-loss", "soft-labels", shares),
        ("rmse", "soft-labels", shares),
        ("mae", "soft-labels", shares),
        ("qwk", "regression", grades),
    ],
)
@pytest.mark.parametrize("seed", range(4))
def test_the_fast_way_equals_the_formula_on_draws_of_rows(name, problem, make, seed):
    truth, guess = make(seed)
    limits = (0.0, 5.0) if problem == "regression" else None
    metric = get_metric(name, task(problem, label_range=limits))
    assert metric.row_sums is not None
    terms, finish = metric.row_sums(truth, guess)
    draws = np.random.default_rng(seed).integers(0, len(truth), (6, len(truth)))
    counts = np.array([np.bincount(rows, minlength=len(truth)) for rows in draws])
    for rows, found in zip(draws, finish(counts @ terms), strict=True):
        assert found == pytest.approx(metric.gain(truth[rows], guess[rows]), abs=1e-9)


@pytest.mark.parametrize(
    ("problem", "name"),
    [("multiclass", "mean(mcc, 3 macro-f1)"), ("multilabel", "mean(f1, micro-f1)")],
)
def test_a_mean_of_metrics_of_labels_is_a_function_of_sums_over_rows(problem, name):
    truth, guess = classes(0) if problem == "multiclass" else labels(0, k=3)
    metric = get_metric(name, task(problem))
    terms, finish = metric.row_sums(truth, guess)
    assert finish(terms.sum(axis=0, keepdims=True))[0] == pytest.approx(metric.gain(truth, guess))
    drawn = np.random.default_rng(0).integers(len(truth), size=len(truth))
    total = terms[drawn].sum(axis=0, keepdims=True)
    assert finish(total)[0] == pytest.approx(metric.gain(truth[drawn], guess[drawn]))


def column_by_column(score, *weights):
    def mean(truth, guess):
        scores = [score(*pair) for pair in zip(truth.T, guess.T, strict=True)]
        return np.average(scores, weights=weights)

    return mean


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("problem", "name", "single"),
    [
        ("regression", "rmse", reference.root_mean_squared_error),
        ("regression", "pearson", lambda truth, guess: scipy.stats.pearsonr(truth, guess)[0]),
        ("multilabel", "auc", reference.roc_auc_score),
        ("multilabel", "f-beta(2)", lambda t, g: reference.fbeta_score(t, g >= 0.5, beta=2)),
        ("multilabel", "log-loss", reference.log_loss),
    ],
)
def test_weights_of_columns(problem, name, single, seed):
    truth, guess = (numbers if problem == "regression" else labels)(seed, k=3)
    metric = get_metric(f"column-mean({name}, 3, 0.5 second, 2)", task(problem))
    expected = column_by_column(single, 3, 0.5, 2)(truth, guess)
    assert metric.score(truth, guess) == pytest.approx(expected)
    terms, finish = metric.row_sums(truth, guess)
    assert finish(terms.sum(axis=0, keepdims=True))[0] == pytest.approx(metric.gain(truth, guess))
    drawn = np.random.default_rng(seed).integers(len(truth), size=len(truth))
    if name not in ("auc",):  # linear but for ranks
        total = finish(terms[drawn].sum(axis=0, keepdims=True))[0]
        assert total == pytest.approx(metric.gain(truth[drawn], guess[drawn]))


def test_a_column_without_weight_may_be_what_it_is():
    truth, guess = labels(0, k=2)
    truth[:, 1] = 0  # its area has no value
    whole = score("column-mean(auc, 1, 0)", "multilabel", truth, guess)
    assert whole == pytest.approx(reference.roc_auc_score(truth[:, 0], guess[:, 0]))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("column-mean(rmse)", "expected a metric and a weight for each column"),
        ("column-mean(rmse, two, 1)", "expected a metric and a weight for each column"),
        ("column-mean(rmse, 0, 0)", "expected a weight above 0"),
        ("column-mean(auc, 1, 2)", "'auc' is no metric of one column alone"),
    ],
)
def test_weights_of_columns_that_cannot_be_are_refused(name, told):
    with pytest.raises(UsageError, match=told):
        get_metric(name, task("regression"))


def test_weights_are_held_against_the_columns_and_the_remedy_fits():
    assert columns_problem("rmse", ["a", "b"]) is None
    for wrong in ("column-mean(rmse, 1, 2, 3)", "column-mean(rmse, 2 b, 1 a)"):
        message = columns_problem(wrong, ["a", "b"])
        assert message.endswith("expected column-mean(rmse, 1 a, 1 b), with weights of yours")
    assert columns_problem("column-mean(rmse, 1 a, 1 b)", ["a", "b"]) is None
    assert columns_problem("column-mean(rmse, 1, 3)", ["a", "b"]) is None
