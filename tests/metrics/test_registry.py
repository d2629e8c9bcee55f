"""Every fast way of every record gives what its formula gives; the table is whole."""

import ast
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pipeline
from pipeline.ensemble.decisions.decision import gain_of_labels, gains_on_the_way, influence
from pipeline.metrics.bootstrap import Draws, resampled_gains
from pipeline.metrics.metric import MetricError, fitting, get_metric
from pipeline.metrics.moments import measure, pair
from pipeline.metrics.registry import METRICS, suggested
from tests.ensemble.toys import CLASSES, task_of

PROBLEMS = ["regression", "binary", "multiclass", "multilabel"]
CASES = [(problem, name) for problem in PROBLEMS for name in fitting(problem)]
LABELLED = [
    (problem, name)
    for problem, name in CASES
    if METRICS[name].formulas[problem].label_sums is not None
]
MEASURED = [(p, name) for p, name in CASES if METRICS[name].formulas[p].from_moments is not None]
SUMMED = [(p, name) for p, name in CASES if get_metric(name, task_of(p, name)).row_sums is not None]
rows_and_seeds = given(rows=st.integers(1, 50), seed=st.integers(0, 2**20))
once = settings(max_examples=25, deadline=None)


def table_of(problem, rows, seed):
    """Truth and raw predictions, with ties."""
    random = np.random.default_rng(seed)
    k = {"binary": 1, "multiclass": len(CLASSES)}.get(problem, 3)
    if problem == "multiclass":
        truth = random.integers(0, k, size=(rows, 1)).astype(float)
        guess = np.round(random.random((rows, k)), 1) + 0.1 * (truth == np.arange(k))
        return truth, guess / guess.sum(axis=1, keepdims=True).clip(0.1)
    if problem == "regression":
        truth = random.integers(0, 4, size=(rows, k)).astype(float)
        return truth, np.round(truth + random.normal(size=(rows, k)), 1)
    truth = (random.random((rows, k)) < 0.4).astype(float)
    return truth, np.round((truth + 3 * random.random((rows, k))) / 4, 1)


def labels_of(problem, truth, seed):
    """Labels of the truth's shape, right in half of the cases."""
    random = np.random.default_rng([seed, 1])
    other = random.integers(0, {"multiclass": 4, "regression": 4}.get(problem, 2), truth.shape)
    return np.where(random.random(truth.shape) < 0.5, truth, other).astype(float)


def gain_or_nan(metric, truth, guess):
    try:
        return metric.gain(truth, guess)
    except MetricError:
        return np.nan


@pytest.mark.parametrize(("problem", "name"), SUMMED)
@rows_and_seeds
@once
def test_row_sums_give_the_formula_where_each_row_counts_once(problem, name, rows, seed):
    truth, guess = table_of(problem, rows, seed)
    metric = get_metric(name, task_of(problem, name))
    expected = gain_or_nan(metric, truth, guess)
    draws = Draws(np.arange(rows), np.ones((1, rows)))
    if np.isfinite(expected):
        found = resampled_gains(metric, truth, guess, draws)[0]
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("problem", "name"), MEASURED)
@rows_and_seeds
@once
def test_moments_give_the_formula(problem, name, rows, seed):
    truth, guess = table_of(problem, rows, seed)
    metric = get_metric(name, task_of(problem, name))
    expected = gain_or_nan(metric, truth, guess)
    if np.isfinite(expected):
        moments = measure([guess], truth).blend(np.ones(1), np.zeros(truth.shape[1]))
        found = float(metric.formula.from_moments(pair(moments)))
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("problem", "name"), LABELLED)
@given(rows=st.integers(1, 50), seed=st.integers(0, 2**20), cells=st.sampled_from([8, 40, 2**20]))
@once
def test_label_sums_give_the_formula_after_every_change(problem, name, rows, seed, cells):
    """In blocks of rows of any size."""
    truth, _ = table_of(problem, rows, seed)
    before, after = (labels_of(problem, truth, [seed, which]) for which in (0, 1))
    metric = get_metric(name, task_of(problem, name))
    places = np.arange(rows + 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.ensemble.decisions.decision.CELLS", cells)
        found = gains_on_the_way(metric, truth, before, after, places, classes=4)
    for place in places:
        labels = np.concatenate([after[:place], before[place:]])
        expected = gain_of_labels(metric, truth, labels)
        if np.isfinite(expected):
            assert found[place] == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("problem", "name"), LABELLED)
def test_influence_is_what_the_gain_loses_by_leaving_out_a_row(problem, name):
    truth, _ = table_of(problem, 3000, 5)
    labels = labels_of(problem, truth, 6)
    metric = get_metric(name, task_of(problem, name))
    gain, adds = influence(metric, truth, labels, classes=4)
    assert gain == pytest.approx(gain_of_labels(metric, truth, labels), rel=1e-12)
    for row in range(0, 3000, 250):
        kept = np.arange(3000) != row
        lost = gain - gain_of_labels(metric, truth[kept], labels[kept])
        assert adds[row] == pytest.approx(lost, rel=0.02, abs=1e-7)


def test_no_two_metrics_are_usual_for_the_same():
    every = [data for record in METRICS.values() for data in record.usual_for]
    assert sorted(every) == sorted(set(every))
    for data in every:
        name, reason = suggested(data)
        assert METRICS[name].usual_for[data] == reason


@pytest.mark.parametrize("problem", PROBLEMS)
def test_perfect_predictions_have_the_bound_that_a_record_says(problem):
    truth, _ = table_of(problem, 40, 1)
    perfect = np.eye(4)[truth[:, 0].astype(int)] if problem == "multiclass" else truth
    for name in fitting(problem):
        metric = get_metric(name, task_of(problem, name))
        assert metric.score(truth, perfect) == pytest.approx(metric.best, abs=1e-12), name


@pytest.mark.parametrize(("problem", "name"), CASES)
def test_what_a_record_says_a_metric_sees_is_what_it_sees(problem, name):
    """A shift and a bend of all predictions, kept within 0 and 1."""
    truth, guess = table_of(problem, 300, 2)
    guess = guess.round(6)  # no two so near that they become one
    metric = get_metric(name, task_of(problem, name))
    score = metric.score(truth, guess)
    moved = metric.score(truth, 0.3 * guess + 0.05)
    bent = metric.score(truth, np.exp(guess) / 100)
    same = {"level": (False, False), "shape": (True, False), "order": (True, True)}
    found = (score == pytest.approx(moved, abs=1e-9), score == pytest.approx(bent, abs=1e-9))
    if metric.needs == "label" and problem == "multiclass":
        pytest.skip("the likeliest class stays the likeliest")
    assert found == same[metric.record.sees]


MEANT = {
    "models": ["mse", "pearson"],
    "problems": ["mse", "accuracy"],
    "setup": ["accuracy"],
    "report": ["accuracy"],
}
"""Room -> names that mean something else there: a network's loss, the measure of a leak."""


def test_no_name_of_a_metric_stands_outside_the_room():
    package = Path(pipeline.__file__).parent
    for file in sorted(package.rglob("*.py")):
        room = file.relative_to(package).parts[0]
        if file.name == "benchmarks.py":  # says which metric each benchmark has
            continue
        names = set() if room == "metrics" else set(METRICS) - set(MEANT.get(room, []))
        source = file.read_text(encoding="utf-8")
        if not any(f'"{name}"' in source for name in names):
            continue  # as in most files: nothing to look through
        for node in ast.walk(ast.parse(source)):
            name = node.value if isinstance(node, ast.Constant) else None
            assert name not in names, f"{file}:{node.lineno}: ask the record, not for {name!r}"


def test_the_reference_lists_the_metrics_that_there_are():
    page = (Path(pipeline.__file__).parents[1] / "docs" / "metrics.md").read_text("utf-8")
    rows = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("|")]
    for problem in PROBLEMS:
        (listed,) = [row[1].split() for row in rows if row[0].strip() == problem]
        assert [name.strip("`") for name in listed] == fitting(problem)
    told = {name.strip("`"): row for row in rows if len(row) == 5 for name in row[0].split()}
    for name, record in METRICS.items():
        better = "larger" if record.greater_is_better else "smaller"
        assert [each.strip() for each in told[name][1:3]] == [better, record.needs], name


def test_only_kappa_knows_how_far_labels_are_apart():
    """Of other metrics, means of classes are not cut into labels."""
    assert [name for name, record in METRICS.items() if record.ordered_labels] == ["qwk"]
