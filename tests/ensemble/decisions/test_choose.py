from dataclasses import replace

import numpy as np
import pytest

from pipeline.base.config import ColumnsConfig, Competition, DataConfig, FoldsConfig
from pipeline.ensemble.decisions.candidates import candidates, forced
from pipeline.ensemble.decisions.choose import NOTHING, Judge, clears, decide_on
from pipeline.ensemble.decisions.rounding import Labels
from pipeline.ensemble.honest import Gain, Nest
from pipeline.metrics.bootstrap import Draws
from pipeline.metrics.metric import get_metric
from pipeline.problems.form import Form
from tests.ensemble.toys import gather, member, task_of, truth_of


def competition_of(problem, metric, k=1, **task):
    return Competition(
        name="toy",
        data=DataConfig(train="a.csv", test="b.csv", sample_submission="c.csv"),
        columns=ColumnsConfig(id="id", texts=["text"], targets=[f"label{i}" for i in range(k)]),
        task=task_of(problem, metric, **task),
        folds=FoldsConfig(count=4),
    )


def decided_of(problem, metric, kind, oof, truth, method="mean", folds=4, **task):
    competition = competition_of(problem, metric, truth.shape[1], **task)
    evidence = gather(problem, metric, oof, truth, folds)
    form = Form(kind=kind, columns={"label": 0})
    limits = (float(truth.min()), float(truth.max()))
    nest = Nest(evidence, seed=0)
    return decide_on(competition, evidence.metric, nest, method, form, limits)


def bent(problem, truth, seeds=(1, 2, 3)):
    """Members whose classes or numbers are better after a decision: all lean to one side."""
    found = [member(problem, truth, 0.9, seed) for seed in seeds]
    if problem == "regression":
        return [2.5 + 0.4 * (each - 2.5) for each in found]
    if problem == "multiclass":
        leaning = [each * np.array([4.0, 1, 1, 1]) for each in found]
        return [each / each.sum(axis=1, keepdims=True) for each in leaning]
    return [each**4 for each in found]


def turned(truth, rows):
    """The truth with the labels of *rows* in reverse order."""
    moved = truth.copy()
    moved[rows] = truth[rows][::-1]
    assert (moved != truth).any()
    return moved


CASES = [
    ("regression", "qwk", 1, "cut points"),
    ("binary", "f1", 1, "threshold"),
    ("binary", "macro-f1", 1, "threshold"),
    ("multilabel", "f1", 3, "threshold"),
    ("multiclass", "macro-f1", 1, "offsets"),
    ("multiclass", "accuracy", 1, "offsets"),
]


def truth_for(problem, metric, k, n=400):
    truth = truth_of(problem, n, k)
    return np.rint(truth) if metric == "qwk" else truth


@pytest.mark.parametrize(
    ("problem", "metric", "k", "method"),
    [
        ("regression", "qwk", 1, "simplex"),
        ("binary", "f1", 1, "auto"),
        ("multilabel", "f1", 3, "greedy"),
        ("multiclass", "macro-f1", 1, "simplex"),
    ],
)
def test_labels_of_a_fold_never_touch_what_is_decided_on_it(problem, metric, k, method):
    """Neither the decision, nor whether it is applied, nor the blend before it."""
    truth = truth_for(problem, metric, k, n=96)
    oof = bent(problem, truth, seeds=(1, 2))
    before = decided_of(problem, metric, "label", oof, truth, method)
    seen = []
    for fold in (0, 2):
        rows = np.flatnonzero(np.arange(96) // 2 % 4 == fold)
        after = decided_of(problem, metric, "label", oof, turned(truth, rows), method)
        np.testing.assert_array_equal(after.anew[rows], before.anew[rows])
        assert after.nested[fold] == before.nested[fold]
        seen.append((after.anew != before.anew).any())
    assert any(seen), "the spy sees nothing anywhere"


@pytest.mark.parametrize(("problem", "metric", "k", "name"), CASES)
def test_a_decision_that_helps_is_applied_and_its_effect_is_that_of_a_plain_loop(
    problem, metric, k, name
):
    truth = truth_for(problem, metric, k)
    oof = bent(problem, truth)
    found = decided_of(problem, metric, "label", oof, truth)
    assert found.chosen == name
    assert found.nested == [name] * 4
    task = task_of(problem, metric)
    known = get_metric(metric, task)
    (candidate,) = candidates(task, known, "label", truth)
    evidence = gather(problem, metric, oof, truth)
    mean = np.mean(oof, axis=0)
    expected = np.empty_like(found.predicted)
    for fold in range(4):
        here = evidence.fold_of_row == fold
        from pipeline.ensemble.decisions.decision import Labelled

        rest = Labelled(truth[~here], mean[~here], evidence.group_of_row[~here])
        expected[here] = candidate.rule(rest).apply(mean[here])
    np.testing.assert_array_equal(found.predicted, expected)
    effect = known.gain(truth, expected) - known.gain(truth, mean)
    assert found.effect.difference == pytest.approx(effect)
    assert found.effect.low < effect < found.effect.high
    assert effect > 0.02
    assert found.gain == pytest.approx(known.gain(truth, expected))


@pytest.mark.parametrize("problem", ["binary", "multiclass", "multilabel"])
def test_probabilities_are_not_cut(problem):
    truth = truth_of(problem, 160, 1)
    found = decided_of(problem, "macro-f1", "value", bent(problem, truth), truth)
    assert (found.chosen, found.lines, found.form) == (NOTHING, [], None)
    predicted = np.random.default_rng(0).random((5, 4))
    np.testing.assert_array_equal(found.apply(predicted), predicted)


@pytest.mark.parametrize(
    ("metric", "wild", "applied"),
    [("rmse", True, True), ("mae", True, True), ("r2", True, True), ("rmse", False, True),
     ("pearson", False, False), ("spearman", False, False)],
)  # fmt: skip
def test_a_clip_is_applied_to_errors_in_the_labels_unit_and_not_to_shapes_without_need(
    metric, wild, applied
):
    truth = truth_of("regression", 300, 1)
    oof = [member("regression", truth, 0.8, seed) for seed in (1, 2)]
    if not wild:
        oof = [np.clip(each, 0.1, 4.9) for each in oof]
    found = decided_of("regression", metric, "value", oof, truth, label_range=(0.0, 5.0))
    line = {each.name: each for each in found.lines}["clip"]
    assert line.applied == applied
    assert line.why.startswith("yes" if applied else "no")
    clipped = np.clip(np.mean(oof, axis=0), 0, 5)
    known = get_metric(metric, task_of("regression", metric))
    effect = known.gain(truth, clipped) - known.gain(truth, np.mean(oof, axis=0))
    assert line.effect.difference == pytest.approx(effect)


def test_pearson_is_clipped_where_the_effect_is_real():
    truth = truth_of("regression", 400, 1)
    far = 6 * (truth > 4.5) * np.random.default_rng(0).random(truth.shape)
    oof = [truth + 0.2 * member("regression", 0 * truth, 1.0, 1) + far]
    found = decided_of("regression", "pearson", "value", oof, truth, label_range=(0.0, 5.0))
    assert found.chosen == "clip"
    assert found.lines[0].effect.low > 0
    assert found.apply(np.array([[9.0]])).tolist() == [[5.0]]


def test_a_wrong_label_range_harms_and_is_told():
    truth = truth_of("regression", 300, 1)
    oof = [member("regression", truth, 0.5, 1)]
    found = decided_of("regression", "rmse", "value", oof, truth, label_range=(2.0, 3.0))
    assert found.chosen == NOTHING
    assert found.lines[0].why == "no: it harms"


def test_rounding_is_taken_where_predictions_all_but_know_the_grid_and_beside_the_clip_only():
    truth = np.rint(truth_of("regression", 400, 1))
    oof = [truth + 0.15 * member("regression", 0 * truth, 1.0, 1)]
    found = decided_of("regression", "rmse", "value", oof, truth, label_range=(0.0, 5.0))
    assert found.chosen == "rounding"
    assert [line.why for line in found.lines] == [
        "no: rounding is better",
        "yes: more than a standard error better",
    ]


def test_a_file_of_classes_is_scored_as_such_whatever_the_metric():
    truth = truth_of("binary", 400, 1)
    oof = [member("binary", truth, 0.9, 1)]
    found = decided_of("binary", "auc", "label", oof, truth)
    known = get_metric("auc", task_of("binary", "auc"))
    assert set(np.unique(found.predicted)) == {0.0, 1.0}
    assert found.effect.difference < -0.02
    assert found.gain == pytest.approx(known.score(truth, found.predicted))
    assert {line.name for line in found.lines} == {"threshold"}


def wavering(wild: float, seed: int):
    """Pearson of one member that leaves the labels' range in a few rows: clipping may help."""
    truth = truth_of("regression", 120, 1, seed)
    random = np.random.default_rng(seed)
    far = wild * (truth > 4.5) * random.random(truth.shape)
    oof = [truth + 0.8 * random.normal(size=truth.shape) + far]
    found = decided_of("regression", "pearson", "value", oof, truth, label_range=(0.0, 5.0))
    return found, truth, oof[0], get_metric("pearson", task_of("regression", "pearson"))


def test_where_nothing_is_applied_the_score_is_that_of_predictions_to_which_nothing_is_done():
    """Even where folds chose a clip that scores higher, or lower: it is not in the file."""
    apart = []
    for seed in (0, 3, 5, 16):
        found, truth, raw, known = wavering(2.0, seed)
        assert found.chosen == NOTHING
        assert found.wavers
        assert found.gain == found.before == pytest.approx(known.gain(truth, raw))
        assert found.effect.difference == 0
        np.testing.assert_array_equal(found.predicted, raw)
        apart.append(known.gain(truth, found.anew) - found.gain)
    assert max(apart) > 0, "nowhere would the higher number have gone out"
    assert min(apart) < 0


def test_where_folds_decide_otherwise_than_the_file_the_lower_score_is_told():
    told = set()
    for seed in (1, 7, 14, 17):
        found, truth, raw, known = wavering(4.0, seed)
        assert found.chosen == "clip"
        assert found.wavers
        own = {"clip": np.clip(raw, 0, 5)}[found.chosen]
        scores = known.gain(truth, found.anew), known.gain(truth, own)
        assert found.gain == pytest.approx(min(scores))
        assert found.with_choice == (scores[0] <= scores[1])
        told.add(found.with_choice)
    assert told == {True, False}


@pytest.mark.parametrize(("seed", "lower"), [(53, True), (4, False)])
def test_the_score_of_a_method_that_some_folds_would_not_choose_is_the_lower_of_two(seed, lower):
    truth = truth_of("regression", 120, 1)
    oof = [member("regression", truth, noise, 10 * seed + i) for i, noise in enumerate((0.6, 0.9))]
    nest = Nest(gather("regression", "pearson", oof, truth), 0, ("best", "mean"))
    method = nest.choose(nest.evidence.folds).method
    form, limits = Form(kind="value", columns={"label": 0}), (0.0, 5.0)
    competition, metric = competition_of("regression", "pearson"), nest.evidence.metric
    found = decide_on(competition, metric, nest, "auto", form, limits, method)
    choosing, own = nest.honest_gain("auto"), nest.honest_gain(method)
    assert nest.wavers(method)
    assert found.gain == pytest.approx(min(choosing, own), abs=1e-12)
    assert found.of_method == (own < choosing) == lower


def test_two_folds_are_too_few_to_decide():
    truth = truth_of("binary", 160, 1)
    found = decided_of("binary", "f1", "label", bent("binary", truth), truth, folds=2)
    assert (found.chosen, found.lines, found.nested) == (NOTHING, [], [NOTHING] * 2)


TABLE = [
    ("regression", "qwk", "label", ["cut points"]),
    ("regression", "qwk", "value", ["cut points"]),
    ("regression", "rmse", "value", ["clip", "rounding"]),
    ("regression", "pearson", "value", ["clip", "rounding"]),
    ("regression", "rmse", "label", []),
    ("binary", "f1", "label", ["threshold"]),
    ("binary", "auc", "label", ["threshold"]),
    ("binary", "log-loss", "label", []),
    ("binary", "f1", "value", []),
    ("multiclass", "macro-f1", "label", ["offsets"]),
    ("multiclass", "qwk", "label", ["offsets", "cut points"]),
    ("multiclass", "log-loss", "label", []),
    ("multiclass", "macro-f1", "value", []),
    ("multilabel", "accuracy", "label", ["threshold"]),
    ("multilabel", "auc", "value", []),
]


@pytest.mark.parametrize(("problem", "metric", "kind", "names"), TABLE)
def test_which_decisions_compete_is_fixed_by_problem_metric_and_form(problem, metric, kind, names):
    task = task_of(problem, metric, label_range=(0.0, 5.0) if problem == "regression" else None)
    known = get_metric(metric, task)
    truth = np.rint(truth_of(problem, 100, 1))
    assert [each.name for each in candidates(task, known, kind, truth)] == names
    shaped = forced(task, known, kind, (0.0, 5.0))
    assert isinstance(shaped, Labels) == (kind == "label" and known.needs == "value")


@pytest.mark.parametrize(
    ("metric", "hurdles"),
    [
        ("pearson", ["real", "real"]),
        ("spearman", ["real", "real"]),
        ("rmse", ["no harm", "a standard error"]),
        ("mae", ["no harm", "a standard error"]),
    ],
)
def test_values_moved_by_hand_need_a_real_effect_on_shapes(metric, hurdles):
    task = task_of("regression", metric, label_range=(0.0, 5.0))
    truth = np.rint(truth_of("regression", 100, 1))
    found = candidates(task, get_metric(metric, task), "value", truth)
    assert [each.hurdle for each in found] == hurdles


@pytest.mark.parametrize(
    ("step", "cleared"),
    [
        (Gain(0.10, 0.08, -0.05, 0.25), ["no harm", "a standard error"]),
        (Gain(0.10, 0.02, 0.06, 0.14), ["no harm", "a standard error", "real"]),
        (Gain(0.01, 0.08, -0.15, 0.17), ["no harm"]),
        (Gain(0.0, 0.0, 0.0, 0.0), ["no harm"]),
        (Gain(-0.01, 0.001, -0.012, -0.008), []),
    ],
)
def test_an_effect_clears_the_hurdles_below_it(step, cleared):
    hurdles = ["no harm", "a standard error", "real"]
    assert [each for each in hurdles if clears(step, each)] == cleared


@pytest.mark.parametrize(("groups", "reach"), [(2, 12.7062), (5, 2.7764), (30, 2.0452)])
def test_the_interval_of_an_effect_is_students_for_one_group_less_than_there_are(groups, reach):
    """The upper 2.5 % of Student's t: 1, 4 and 29 degrees of freedom, from any table."""
    truth = truth_of("regression", 60, 1)
    random = np.random.default_rng(3)
    one, other = (truth + spread * random.normal(size=truth.shape) for spread in (0.5, 0.9))
    metric = get_metric("rmse", task_of("regression", "rmse"))
    draws = Draws.over(np.arange(60) % groups, 0, 200)
    gain = Judge(metric, "regression", truth, draws).gain(one, other)
    assert (gain.high - gain.difference) / gain.error == pytest.approx(reach, abs=1e-4)
    assert (gain.difference - gain.low) / gain.error == pytest.approx(reach, abs=1e-4)


def test_the_same_predictions_of_the_same_rows_are_fitted_once(monkeypatch):
    truth = truth_of("multiclass", 240, 1)
    oof = [member("multiclass", truth, noise, seed) for seed, noise in enumerate((0.3, 3.0))]
    nest = Nest(gather("multiclass", "macro-f1", oof, truth, folds=4), 0, ("best", "mean"))
    competition, metric = competition_of("multiclass", "macro-f1"), nest.evidence.metric
    (offered,), fitted = candidates(competition.task, metric, "label", truth), []

    def rule(rows):
        fitted.append(len(rows.truth))
        return offered.rule(rows)

    counted = replace(offered, rule=rule)
    monkeypatch.setattr("pipeline.ensemble.decisions.choose.candidates", lambda *_: [counted])
    form = Form(kind="label", columns={"label": 0})
    first = decide_on(competition, metric, nest, "best", form, (0, 3))
    assert sorted(fitted) == [120] * 6 + [180] * 4 + [240]  # without two folds, one, and none
    again = decide_on(competition, metric, nest, "auto", form, (0, 3))
    assert nest.choose(nest.evidence.folds).method == "best"
    assert len(fitted) == 11
    assert again.gain == first.gain
    other = replace(competition, task=replace(competition.task, label_range=(0.0, 3.0)))
    decide_on(other, metric, nest, "best", form, (0, 3))
    assert len(fitted) == 22
