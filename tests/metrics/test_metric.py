"""Each metric equals the reference; what has no value is an error with the reason."""

import sys

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import sklearn.metrics as reference

from pipeline.base.config import TaskConfig
from pipeline.base.errors import DataError, UsageError
from pipeline.data.table import LabelledFile, Targets, stacked, with_numbers
from pipeline.metrics import formulas
from pipeline.metrics.metric import Metric, MetricError, fitting, get_metric

SEEDS = range(8)
CLASSES = {"binary": ["no", "yes"], "multiclass": ["a", "b", "c", "d"]}
PROBLEMS = ["regression", "binary", "multiclass", "multilabel"]


def metric(name, problem="regression", **task):
    classes = CLASSES.get(problem, [])
    return get_metric(name, TaskConfig(problem=problem, metric=name, classes=classes, **task))


def numbers(seed, k=1, n=60):
    random = np.random.default_rng(seed)
    truth = random.normal(size=(n, k)).round(1)  # rounded, so that there are ties
    return truth, (truth + random.normal(size=(n, k))).round(1)


def labels(seed, k=1, n=60):
    random = np.random.default_rng(seed)
    truth = (random.random((n, k)) < 0.4).astype(float)
    return truth, np.clip(0.3 * truth + 0.7 * random.random((n, k)), 0, 1).round(2)


def classes(seed, c=4, n=60):
    random = np.random.default_rng(seed)
    truth = random.integers(0, c, size=(n, 1)).astype(float)
    chance = random.random((n, c)) + 0.5 * (truth == np.arange(c))
    return truth, chance / chance.sum(axis=1, keepdims=True)


def column_mean(score):
    return lambda truth, guess: np.mean(
        [score(t, p) for t, p in zip(truth.T, guess.T, strict=True)]
    )


def of_labels(score):
    return lambda truth, guess: score(truth, (guess >= 0.5).astype(float))


def of_classes(score):
    return lambda truth, guess: score(truth[:, 0], guess.argmax(axis=1))


def rmse(truth, guess):
    return np.sqrt(reference.mean_squared_error(truth, guess))


def macro(truth, guess):
    return reference.f1_score(truth, guess, average="macro")


def kappa(truth, guess):
    return reference.cohen_kappa_score(truth.ravel(), guess.ravel(), weights="quadratic")


REGRESSION = {
    "pearson": column_mean(lambda t, p: scipy.stats.pearsonr(t, p).statistic),
    "spearman": column_mean(lambda t, p: scipy.stats.spearmanr(t, p).statistic),
    "rmse": column_mean(rmse),
    "mcrmse": column_mean(rmse),
    "mse": reference.mean_squared_error,
    "mae": reference.mean_absolute_error,
    "r2": reference.r2_score,
}


def flat(score):
    return lambda truth, guess: score(truth.ravel(), guess.ravel())


def trapezoids(truth, guess):
    precision, recall, _ = reference.precision_recall_curve(truth, guess)
    return reference.auc(recall, precision)


def one_by_one(score):
    """The mean over classes, each against the rest."""
    return lambda truth, guess: np.mean(
        [score(truth[:, 0] == c, guess[:, c]) for c in range(guess.shape[1])]
    )


def summed_squares(truth, guess):
    return ((np.eye(guess.shape[1])[truth[:, 0].astype(int)] - guess) ** 2).sum(axis=1).mean()


def calibration(right, sure):
    """By hand: rows sorted into 15 bins of confidence, (low, high]."""
    total = 0.0
    for number in range(1, 16):
        inside = (sure > (number - 1) / 15 + 1e-9) & (sure <= number / 15 + 1e-9)
        if inside.any():
            total += abs(right[inside].mean() - sure[inside].mean()) * inside.mean()
    return total


def binary_calibration(truth, guess):
    return calibration(((guess >= 0.5) == truth).ravel(), np.maximum(guess, 1 - guess).ravel())


def class_calibration(truth, guess):
    return calibration(guess.argmax(axis=1) == truth[:, 0], guess.max(axis=1))


def weighted(truth, guess):
    return reference.f1_score(truth, guess, average="weighted")


BINARY = {
    "mcc": of_labels(flat(reference.matthews_corrcoef)),
    "balanced-accuracy": of_labels(flat(reference.balanced_accuracy_score)),
    "weighted-f1": of_labels(flat(weighted)),
    "average-precision": flat(reference.average_precision_score),
    "pr-auc": flat(trapezoids),
    "brier": flat(reference.brier_score_loss),
    "calibration-error": binary_calibration,
    "auc": reference.roc_auc_score,
    "accuracy": of_labels(reference.accuracy_score),
    "f1": of_labels(lambda t, p: reference.f1_score(t.ravel(), p.ravel())),
    "macro-f1": of_labels(lambda t, p: macro(t.ravel(), p.ravel())),
    "log-loss": reference.log_loss,
    "qwk": of_labels(kappa),
}
MULTICLASS = {
    "mcc": of_classes(reference.matthews_corrcoef),
    "balanced-accuracy": of_classes(reference.balanced_accuracy_score),
    "weighted-f1": of_classes(weighted),
    "micro-f1": of_classes(lambda t, p: reference.f1_score(t, p, average="micro")),
    "average-precision": one_by_one(reference.average_precision_score),
    "pr-auc": one_by_one(trapezoids),
    "brier": summed_squares,
    "calibration-error": class_calibration,
    "auc": lambda t, p: reference.roc_auc_score(t[:, 0], p, multi_class="ovr"),
    "accuracy": of_classes(reference.accuracy_score),
    "macro-f1": of_classes(macro),
    "log-loss": reference.log_loss,
    "qwk": of_classes(kappa),
}
MULTILABEL = {
    "micro-f1": of_labels(lambda t, p: reference.f1_score(t, p, average="micro")),
    "average-precision": reference.average_precision_score,
    "pr-auc": column_mean(trapezoids),
    "brier": lambda t, p: reference.mean_squared_error(t, p),
    "auc": lambda t, p: reference.roc_auc_score(t, p, average="macro"),
    "accuracy": of_labels(reference.accuracy_score),
    "f1": of_labels(macro),
    "macro-f1": of_labels(macro),
    "log-loss": column_mean(reference.log_loss),
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("name", REGRESSION)
def test_a_regression_metric_is_the_column_mean_of_the_reference(name, k, seed):
    truth, guess = numbers(seed, k)
    expected = REGRESSION[name](truth, guess)
    np.testing.assert_allclose(metric(name).score(truth, guess), expected, rtol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("problem", "make", "table"),
    [
        ("binary", labels, BINARY),
        ("multiclass", classes, MULTICLASS),
        ("multilabel", lambda seed: labels(seed, k=3), MULTILABEL),
    ],
)
def test_a_class_metric_equals_the_reference(problem, make, table, seed):
    truth, guess = make(seed)
    found = {name: metric(name, problem).score(truth, guess) for name in fitting(problem)}
    expected = {name: table[name](truth, guess) for name in fitting(problem)}
    assert found == pytest.approx(expected, rel=1e-9)


def test_kappa_of_a_regression_is_that_of_the_nearest_labels():
    random = np.random.default_rng(0)
    truth = random.integers(1, 6, size=(80, 1)).astype(float)
    guess = truth + random.normal(size=(80, 1))
    nearest = np.clip(np.floor(guess + 0.5), 1, 5)
    found = metric("qwk", label_range=(1, 5)).score(truth, guess)
    np.testing.assert_allclose(found, kappa(truth.astype(int), nearest.astype(int)), rtol=1e-12)


def test_kappa_measures_distances_on_the_labels_not_on_their_order():
    truth, guess = np.array([[0.0], [1], [9], [9]]), np.array([[0.0], [9], [9], [1]])
    grid = list(range(10))
    expected = reference.cohen_kappa_score(
        truth.ravel().astype(int), guess.ravel().astype(int), labels=grid, weights="quadratic"
    )
    np.testing.assert_allclose(metric("qwk").score(truth, guess), expected)


def test_scores_do_not_overflow_or_lose_digits_on_large_numbers():
    truth, guess = numbers(1)
    exact = metric("pearson").score(truth, guess)
    np.testing.assert_allclose(metric("pearson").score(truth * 1e200, guess * 1e-200), exact)
    np.testing.assert_allclose(metric("pearson").score(truth, guess + 1e6), exact, rtol=1e-7)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_perfect_prediction_has_the_largest_gain(problem):
    truth, guess = {
        "regression": numbers(0),
        "binary": labels(0),
        "multiclass": classes(0),
        "multilabel": labels(0, k=3),
    }[problem]
    if problem == "regression":  # kappa needs whole numbers
        truth = truth.round()
    perfect = (truth == np.arange(4)).astype(float) if problem == "multiclass" else truth
    for name in fitting(problem):
        score = metric(name, problem)
        assert score.gain(truth, perfect) > score.gain(truth, guess), name


def test_errors_are_better_when_smaller():
    lower = {"rmse", "mse", "mae", "mcrmse", "log-loss", "brier", "calibration-error"}
    for problem in PROBLEMS:
        for name in fitting(problem):
            assert metric(name, problem).greater_is_better == (name not in lower), name


def test_a_metric_says_whether_it_scores_values_or_labels():
    found = {name: metric(name, "binary").needs for name in fitting("binary")}
    labelled = ["accuracy", "f1", "macro-f1", "qwk", "mcc", "balanced-accuracy", "weighted-f1"]
    valued = ["auc", "log-loss", "average-precision", "pr-auc", "brier", "calibration-error"]
    assert found == dict.fromkeys(labelled, "label") | dict.fromkeys(valued, "value")


ONE, ZERO, MIXED = np.ones((4, 1)), np.zeros((4, 1)), np.array([[0.0], [1], [0], [1]])


@pytest.mark.parametrize(
    ("name", "problem", "truth", "guess", "reason"),
    [
        ("pearson", "regression", MIXED, ONE, "all predictions are the same"),
        ("pearson", "regression", ONE, MIXED, "all targets are the same"),
        ("spearman", "regression", MIXED, ONE * 0.1, "all predictions are the same"),
        ("r2", "regression", ONE, MIXED, "all targets are the same"),
        ("pearson", "regression", MIXED[:1], MIXED[:1], "all targets are the same"),
        ("rmse", "regression", ONE[:0], ONE[:0], "there are no rows"),
        ("rmse", "regression", ONE, ONE * np.nan, "4 of 4 rows have a prediction that is not"),
        ("qwk", "regression", MIXED / 2, MIXED, "the targets are not whole numbers"),
        ("qwk", "regression", ONE, ONE, "are one and the same label"),
        ("auc", "binary", ONE, MIXED, "the targets hold only one class"),
        ("f1", "binary", ZERO, ZERO, "no target and no prediction is positive"),
    ],
)
def test_a_metric_without_a_value_says_why(name, problem, truth, guess, reason):
    with pytest.raises(MetricError, match=f"^{name} has no value: .*{reason}"):
        metric(name, problem).score(truth, guess)


def test_the_column_without_a_value_is_named():
    truth, guess = labels(0, k=3)
    truth[:, 1] = 0
    with pytest.raises(MetricError, match="only one class in column 2 of 3"):
        metric("auc", "multilabel").score(truth, guess)


def test_a_class_that_is_missing_has_no_auc():
    truth, guess = classes(0)
    keep = truth[:, 0] != 2
    with pytest.raises(MetricError, match="only one class in column 3 of 4"):
        metric("auc", "multiclass").score(truth[keep], guess[keep])


def test_a_class_that_neither_occurs_nor_is_predicted_does_not_count_in_macro_f1():
    truth, guess = classes(0)
    guess[:, 2] = 0
    keep = truth[:, 0] != 2
    expected = MULTICLASS["macro-f1"](truth[keep], guess[keep])
    found = metric("macro-f1", "multiclass").score(truth[keep], guess[keep])
    np.testing.assert_allclose(found, expected)


def test_class_probabilities_are_rescaled_to_one_before_the_log_loss():
    truth, guess = classes(0)
    score = metric("log-loss", "multiclass").score
    np.testing.assert_allclose(score(truth, guess * 0.5), score(truth, guess))


def test_a_probability_of_zero_for_the_right_class_costs_much_but_not_infinitely_much():
    truth, guess = np.array([[0.0], [1.0]]), np.array([[1.0], [0.0]])
    np.testing.assert_allclose(metric("log-loss", "binary").score(truth, guess), 36.04, rtol=1e-3)


def test_an_undefined_metric_is_a_data_error():
    assert issubclass(MetricError, DataError)


@pytest.mark.parametrize(
    ("name", "problem", "message"),
    [
        ("pearsn", "regression", "there is no metric 'pearsn'; did you mean 'pearson'?"),
        ("RMSE", "regression", "did you mean 'rmse'?"),
        ("zzz", "binary", "For a binary problem there are: auc, accuracy, f1, macro-f1, log-loss"),
        ("auc", "regression", "'auc' does not fit a regression problem. There are: pearson, spear"),
        ("f1", "multiclass", "'f1' does not fit a multiclass problem. There are: macro-f1, accur"),
    ],
)
def test_a_metric_that_cannot_be_had_is_refused_with_what_can(name, problem, message):
    with pytest.raises(UsageError) as caught:
        metric(name, problem)
    assert message in str(caught.value)


def test_a_prediction_that_is_not_finite_is_told_with_its_column():
    truth, guess = numbers(0, k=3)
    guess[0, 1] = np.nan
    guess[4, 1:] = np.inf
    with pytest.raises(MetricError, match=r"2 of 60 rows .* not finite in column 2, 3 of 3$"):
        metric("mcrmse").score(truth, guess)


@pytest.mark.parametrize("name", [":score", "module:"])
def test_half_a_name_of_an_own_function_is_refused(name, tmp_path):
    task = TaskConfig(problem="regression", metric="rmse")
    with pytest.raises(UsageError, match=f"the metric '{name}' is not module:function"):
        get_metric(name, task, root=tmp_path)


@pytest.fixture
def own(tmp_path, request):
    """Writes a module of the user's own under a name that no other test has."""
    module = f"own_metric_{abs(hash(request.node.name))}"

    def write(body):
        (tmp_path / f"{module}.py").write_text(f"import numpy as np\n{body}\n")
        task = TaskConfig(problem="regression", metric="rmse")
        return lambda function: get_metric(f"{module}:{function}", task, root=tmp_path)

    yield write
    sys.modules.pop(module, None)


def test_an_own_function_is_called_with_plain_columns_and_larger_is_better(own):
    found = own("def score(y, p):\n    assert y.shape == (60,)\n    return -np.abs(y - p).max()")
    truth, guess = numbers(0)
    score = found("score")
    assert isinstance(score, Metric)
    assert score.gain(truth, guess) == score.score(truth, guess) == -np.abs(truth - guess).max()


def test_an_own_function_sees_all_columns_where_there_are_several(own):
    assert own("def score(y, p):\n    return y.shape[1]")("score").score(*numbers(0, k=3)) == 3


def rows_of(truth, **columns):
    """Targets that know their rows of a file, which stand there the other way round."""
    n = len(truth)
    frame = pd.DataFrame({"id": [f"r{row}" for row in range(n)], **columns})[::-1]
    file = LabelledFile(with_numbers(frame, ["id"]), "id", ["label"])
    return Targets.of(truth[::-1].copy(), file, np.arange(n))[::-1]


TABLE = """
def score(y, p, table):
    assert list(table.index) == list(range(len(y)))
    assert np.array_equal(table["label"], y) and table["code"].str.len().eq(3).all()
    return float((table["weight"] * p).sum())

def worst(solution, submission, row_id_column_name):
    assert row_id_column_name == "id" and list(submission.columns) == ["id", "label"]
    assert solution["id"].equals(submission["id"])
    return float((solution["label"] - submission["label"]).abs().max())

worst.greater_is_better = False

def lost(y, p, table):
    return table["wieght"].sum()
"""


def test_an_own_function_may_look_at_the_rows_in_the_order_of_what_it_scores(own):
    found, (truth, guess) = own(TABLE), numbers(0)
    weight, code = np.arange(60.0), [f"{row:03}" for row in range(60)]
    targets = rows_of(truth, label=truth[:, 0].astype(str), weight=weight.astype(str), code=code)
    metric = found("score")
    assert metric.score(targets, guess) == pytest.approx(weight @ guess[:, 0])
    for rows in (np.array([5, 3, 3, 40]), np.arange(60) % 3 == 0, slice(7, 20)):
        assert metric.score(targets[rows], guess[rows]) == pytest.approx(
            weight[rows] @ guess[rows, 0]
        )
        twice = targets[rows][::-1]
        assert twice.rows()["weight"].tolist() == weight[rows][::-1].tolist()
    worst = found("worst")
    assert worst.score(targets, guess) == np.abs(truth - guess).max() == -worst.gain(targets, guess)
    both = stacked(targets[:10], targets[50:])
    assert both.rows()["weight"].tolist() == [*weight[:10], *weight[50:]]


def test_rows_that_are_not_known_have_no_score_and_a_column_that_is_not_there_is_told(own):
    found, (truth, guess) = own(TABLE), numbers(0)
    for unknown in (truth, rows_of(truth) + 0.0):
        with pytest.raises(MetricError, match="it looks at the rows of the labelled file"):
            found("score").score(unknown, guess)
    with pytest.raises(UsageError, match=r"KeyError: 'wieght'.* has the columns id, weight"):
        found("lost").score(rows_of(truth, weight=["1"] * 60), guess)


def test_the_same_call_is_made_once_and_other_rows_are_another_call(own):
    counting = own("made = []\ndef score(y, p, table):\n    made.append(1)\n    return len(made)")
    metric, (truth, guess) = counting("score"), numbers(0)
    truth[:], guess[:] = 1.0, 2.0
    targets = rows_of(truth)
    found = [metric.score(targets[rows], guess[:5]) for rows in (slice(5), slice(5), slice(5, 10))]
    assert found == [1.0, 1.0, 2.0]


def test_the_root_leaves_the_search_path_again(own, tmp_path):
    own("def score(y, p):\n    return 1.0")("score")
    assert str(tmp_path) not in sys.path


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        ("def other(y, p):\n    return 1", UsageError, "has no function 'score'; it has: other"),
        ("def _one():\n    ...\ndef two_():\n    ...", UsageError, "it has: two_"),
        ("def score(y, p):\n    return 'good'", UsageError, "returned str, expected a number"),
        ("def score(y, p):\n    return np.nan", MetricError, "it returned nan"),
        ("def score(y, p):\n    raise ValueError('one class')", MetricError, "ValueError: one cla"),
        (
            "def score(y):\n    return 1",
            UsageError,
            "it may be one of: def score(y_true, y_pred), ",
        ),
        ("import not_there_at_all", UsageError, "No module named 'not_there_at_all'"),
    ],
)
def test_an_own_function_that_fails_says_how(own, body, kind, message):
    with pytest.raises(kind) as caught:
        own(body)("score").score(*numbers(0))
    assert message in str(caught.value)


def test_a_module_that_is_not_there_says_where_it_was_looked_for(tmp_path):
    task = TaskConfig(problem="regression", metric="rmse")
    with pytest.raises(UsageError) as caught:
        get_metric("nowhere_to_be_found:score", task, root=tmp_path)
    assert f"Expected nowhere_to_be_found.py in {tmp_path.resolve()}" in str(caught.value)


def test_cross_entropy_and_divergence_of_soft_labels_by_hand():
    """Rows of guesses are rescaled to sum to 1; a chance of nought costs much, and not all."""
    truth, guess = np.array([[0.2, 0.8], [0.0, 1.0]]), np.array([[0.5, 1.5], [1.0, 0.0]])
    losses = formulas.soft_losses(truth, guess / [[2], [1]])
    assert losses[0] == pytest.approx(-(0.2 * np.log(0.25) + 0.8 * np.log(0.75)))
    assert losses[1] == pytest.approx(-np.log(formulas.EPSILON))
    found = formulas.divergences(truth, guess / [[4], [1]])[0]  # halves of the same chances
    assert found == pytest.approx(0.2 * np.log(0.2 / 0.25) + 0.8 * np.log(0.8 / 0.75))
