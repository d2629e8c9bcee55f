"""A metric is added by one entry: it is trained, blended, forecast and sent in its own direction.

`medae` (smaller is better) and `balanced-accuracy` have nothing but a function, so everything that
has a fast way for other metrics falls back to the formula.
"""

import csv
import io
import json
import math
import re
import shutil
import sys
from dataclasses import replace
from itertools import count, pairwise

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics as reference

from pipeline.base import UsageError
from pipeline.base.command import run
from pipeline.base.files import read_json
from pipeline.cv import main as cv
from pipeline.data import load, places_of
from pipeline.ensemble.__main__ import CallsLine
from pipeline.ensemble.__main__ import main as ensemble
from pipeline.ensemble.decisions.decision import Labelled
from pipeline.ensemble.decisions.probabilities import offsets_for, thresholds_for
from pipeline.ensemble.predictor import Rows
from pipeline.folds.__main__ import main as folds
from pipeline.ledger import main as ledger
from pipeline.metrics.metric import get_metric
from pipeline.metrics.own import CALLS
from pipeline.metrics.record import Formula, Record
from pipeline.metrics.registry import METRICS
from pipeline.submissions.build import BuildRequest
from pipeline.submissions.build import make as build
from pipeline.submissions.submission_file import try_submission
from tests.blendable import TARGETS, make
from tests.ensemble.toys import CLASSES, task_of, truth_of
from tests.nightly import nightly, often
from tests.quick import quick


def median_absolute_error(truth, guess):
    return float(np.median(np.abs(truth - guess)))


def balanced_accuracy(truth, guess):
    return float(np.mean([(guess[truth == each] == each).mean() for each in np.unique(truth)]))


ENTRIES = {
    "medae": Record(
        formulas={"regression": Formula(score=median_absolute_error)},
        greater_is_better=False,
        needs="value",
        bounds=(0.0, math.inf),
        unit_error=True,
    ),
    "balanced-accuracy": Record(
        formulas=dict.fromkeys(("binary", "multiclass"), Formula(score=balanced_accuracy)),
        greater_is_better=True,
        needs="label",
        bounds=(0.0, 1.0),
    ),
}
CASES = [
    ("regression", "medae"),
    nightly("binary", "balanced-accuracy"),
    nightly("multiclass", "balanced-accuracy"),
]


KNOWN = METRICS["balanced-accuracy"]


@pytest.fixture(autouse=True)
def _entries(monkeypatch):
    for name, record in ENTRIES.items():
        monkeypatch.setitem(METRICS, name, record)


@pytest.mark.parametrize(("problem", "name"), CASES)
def test_a_metric_of_one_entry_goes_the_whole_way(problem, name, tmp_path, capsys):
    shown = {"multiclass": ["art"], "binary": ["1"], "regression": ["0.5"]}[problem]
    toy = make(tmp_path, problem, name, n=160, m=40, sample=(["label"], shown), folds=3)
    shutil.rmtree(tmp_path / "folds")
    quick(tmp_path)
    here = ["--root", str(tmp_path), "--config", "toy"]
    assert run(folds, here) == 0
    assert run(cv, [*here, "--model", "linear"]) == 0
    manifest = read_json(toy.paths.run_manifest("linear"))
    assert manifest["metric"] == name
    for seed, (run_name, noise) in enumerate({"bad": 2.0, "good": 0.5, "fair": 0.7}.items()):
        toy.add_run(run_name, noise, seed=seed)

    capsys.readouterr()
    found = []
    greedy_pair = ["--runs", "bad", "fair", "--method", "greedy"]
    for options in (["--method", "best"], greedy_pair, ["--runs", "bad"]):
        assert run(ensemble, [*here, *options, "--submissions.public_share", "0.5"]) == 0
        page = capsys.readouterr().out
        better = "larger" if ENTRIES[name].greater_is_better else "smaller"
        assert f"scored by {name} ({better} is better)" in page
        (record,) = set(tmp_path.glob("submissions/*.json")) - {path for path, _ in found}
        found.append((record, read_json(record)))
    (best_json, best), (greedy_json, greedy), (bad_json, bad) = found

    # the direction: the good member is the best, and greedy picks the better one
    weights = {each["name"]: each["weight"] for each in best["members"]}
    assert {run_name for run_name, weight in weights.items() if weight > 0.5} == {"good"}
    weights = {each["name"]: each["weight"] for each in greedy["members"]}
    assert weights["fair"] > weights["bad"]

    # the honest score, of what is written, by the formula
    metric = get_metric(name, task_of(problem, name))
    honest = [each["scores"]["honest"] for each in (best, greedy, bad)]
    gains = [metric.as_gain(score) for score in honest]
    assert min(gains[:2]) > gains[2], honest
    # the interval, and the forecast
    for each in (best, greedy):
        expected = each["scores"]["expected"]
        assert expected.keys() == {"whole", "public", "private"}
        assert all(part["low"] < part["score"] < part["high"] for part in expected.values())

    # the file
    rows = greedy_json.with_suffix(".csv").read_text().splitlines()
    assert len(rows) == 41
    written = [row.split(",")[1] for row in rows[1:]]
    if problem == "regression":
        error = reference.median_absolute_error(toy.truth["test"][:, 0], [*map(float, written)])
        assert error < 0.5
    else:
        classes = toy.competition.task.classes
        truth = [classes[int(each)] for each in toy.truth["test"][:, 0]]
        assert reference.balanced_accuracy_score(truth, written) > 0.7

    # the ledger: of three public scores it takes the two best ones, and knows what cannot be
    scores = (0.2, 0.3, 0.9) if name == "medae" else (0.9, 0.8, 0.2)
    for (path, _), score in zip(found, scores, strict=True):
        assert run(ledger, [*here, "add", path.stem + ".csv", "--public", str(score)]) == 0
    capsys.readouterr()
    assert run(ledger, [*here, "--json", "--submissions.public_rows", "20"]) == 0
    noise = json.loads(capsys.readouterr().out)["noise"]
    assert noise["files"] == [best_json.stem + ".csv", greedy_json.stem + ".csv"]
    impossible = "-1" if name == "medae" else "1.5"
    assert run(ledger, [*here, "add", bad_json.stem + ".csv", f"--public={impossible}"]) == 2
    assert f"but {name} " in capsys.readouterr().err


@pytest.mark.parametrize("problem", ["binary", "multiclass"])
def test_classes_are_fitted_to_a_metric_that_has_only_its_formula(problem):
    """Rare classes: balanced accuracy wants them sooner than the likeliest class."""
    random = np.random.default_rng(0)
    if problem == "binary":
        truth = (random.random((1500, 1)) < 0.1).astype(float)
        known = np.hstack([1 - truth, truth])
    else:
        truth = random.choice(3, p=[0.6, 0.33, 0.07], size=(1500, 1)).astype(float)
        known = np.eye(3)[truth[:, 0].astype(int)]
    logs = 1.2 * known + random.normal(size=known.shape) + np.log(known.mean(axis=0))
    chance = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
    predicted = chance[:, 1:] if problem == "binary" else chance
    metric = get_metric("balanced-accuracy", task_of(problem, "balanced-accuracy"))
    rule = thresholds_for(metric) if problem == "binary" else offsets_for(metric)
    half = Labelled(truth[::2], predicted[::2], np.arange(750))
    decided = rule(half).apply(predicted[1::2])
    plain = metric.score(truth[1::2], predicted[1::2])
    assert metric.score(truth[1::2], decided) > plain + 0.05
    # pure chance leaves the default as it is
    noise = random.random(half.predicted.shape) * 0.1 + 0.45
    shuffled = Labelled(truth_of("binary", 750, 1), noise[:, :1], np.arange(750))
    if problem == "binary":
        assert rule(shuffled).levels == pytest.approx([0.5], abs=0.06)


def test_an_entry_without_a_direction_fails_where_it_is_written():
    with pytest.raises(TypeError, match="greater_is_better"):
        Record(formulas={"regression": Formula(score=median_absolute_error)}, needs="value",
               bounds=(0.0, 1.0))  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"formulas": {}}, "at least one problem type"),
        ({"bounds": (1.0, 0.0)}, "lowest, highest"),
        ({"bounds": (1.0, 1.0)}, "lowest, highest"),
        ({"bounds": (0.0, math.nan)}, "lowest, highest"),
        (
            {"formulas": {"binary": Formula(score=balanced_accuracy, from_moments=np.mean)}},
            "is for numbers",
        ),
    ],
)
def test_an_entry_that_cannot_be_is_refused(changed, message):
    given = {
        "formulas": {"regression": Formula(score=median_absolute_error)},
        "greater_is_better": False,
        "needs": "value",
        "bounds": (0.0, math.inf),
    }
    with pytest.raises(ValueError, match=message):
        Record(**given | changed)


def shown(truth, guess):
    """The labels of raw predictions of several classes, or of two."""
    return guess.argmax(axis=1) if guess.shape[1] > 1 else guess[:, 0] >= 0.5


def each_class(score):
    def mean(truth, guess):
        wanted = np.eye(guess.shape[1])[truth[:, 0].astype(int)] if truth.shape[1] == 1 else truth
        return np.mean([score(*pair) for pair in zip(wanted.T, guess.T, strict=True)])

    return mean


def of_each(score, *weights):
    """The weighted mean over columns, classes against the rest."""

    def mean(truth, guess):
        wanted = np.eye(guess.shape[1])[truth[:, 0].astype(int)] if truth.shape[1] == 1 else truth
        scores = [score(*pair) for pair in zip(wanted.T, guess.T, strict=True)]
        return np.average(scores, weights=weights)

    return mean


def trapezoids(truth, guess):
    precision, recall, _ = reference.precision_recall_curve(truth, guess)
    return reference.auc(recall, precision)


def places(truth, guess):
    return np.array(
        [(row > row[int(one)]).sum() for row, one in zip(guess, truth[:, 0], strict=True)]
    )


def both_correlations(truth, guess):
    pair = truth[:, 0], guess[:, 0]
    return (scipy.stats.pearsonr(*pair)[0] + scipy.stats.spearmanr(*pair)[0]) / 2


def of_labels(score, **how):
    return lambda truth, guess: score(truth[:, 0], shown(truth, guess), **how)


def calibration(truth, guess):
    sure, right = np.maximum(guess, 1 - guess)[:, 0], ((guess >= 0.5) == truth)[:, 0]
    edges = np.linspace(0, 1, 16)
    inside = [(sure > low) & (sure <= high) for low, high in pairwise(edges)]
    return sum(abs(right[each].sum() - sure[each].sum()) for each in inside) / len(sure)


def class_calibration(truth, guess):
    sure, right = guess.max(axis=1), guess.argmax(axis=1) == truth[:, 0]
    edges = np.linspace(0, 1, 16)
    inside = [(sure > low) & (sure <= high) for low, high in pairwise(edges)]
    return sum(abs(right[each].sum() - sure[each].sum()) for each in inside) / len(sure)


AVERAGES = ("micro", "macro", "weighted")
BY_REFERENCE = {
    ("multiclass", "weighted-f1"): of_labels(reference.f1_score, average="weighted"),
    ("multiclass", "micro-f1(art)"): of_labels(
        reference.f1_score, labels=[1, 2, 3], average="micro"
    ),
    ("multiclass", "weighted-f1(art)"): of_labels(
        reference.f1_score, labels=[1, 2, 3], average="weighted"
    ),
    ("multiclass", "macro-f1(art)"): of_labels(
        reference.f1_score, labels=[1, 2, 3], average="macro"
    ),
    ("binary", "mcc"): of_labels(reference.matthews_corrcoef),
    ("multiclass", "mcc"): of_labels(reference.matthews_corrcoef),
    ("multiclass", "balanced-accuracy"): of_labels(reference.balanced_accuracy_score),
    ("multiclass", "qwk"): of_labels(reference.cohen_kappa_score, weights="quadratic"),
    ("binary", "f-beta(0.5)"): of_labels(reference.fbeta_score, beta=0.5),
    ("multilabel", "f-beta(2)"): lambda truth, guess: reference.fbeta_score(
        truth, guess >= 0.5, beta=2, average="macro"
    ),
    ("multilabel", "micro-f1"): lambda truth, guess: reference.f1_score(
        truth, guess >= 0.5, average="micro"
    ),
    ("regression", "mcrmse"): reference.root_mean_squared_error,
    ("regression", "mean(0.7 pearson, 0.3 spearman)"): lambda truth, guess: (
        0.7 * scipy.stats.pearsonr(truth[:, 0], guess[:, 0])[0]
        + 0.3 * scipy.stats.spearmanr(truth[:, 0], guess[:, 0])[0]
    ),
    ("multilabel", "column-mean(auc, 2, 0.5, 1)"): of_each(reference.roc_auc_score, 2, 0.5, 1),
    ("multilabel", "column-mean(f1, 2, 0, 1)"): of_each(
        lambda truth, guess: reference.f1_score(truth, guess >= 0.5), 2, 0, 1
    ),
    ("multiclass", "column-mean(log-loss, 1, 2, 1, 1)"): of_each(reference.log_loss, 1, 2, 1, 1),
    ("multilabel", "auc"): each_class(reference.roc_auc_score),
    ("multilabel", "log-loss"): each_class(reference.log_loss),
    ("multiclass", "log-loss"): lambda truth, guess: reference.log_loss(
        truth[:, 0], guess / guess.sum(axis=1, keepdims=True)
    ),
    ("binary", "average-precision"): reference.average_precision_score,
    ("multiclass", "average-precision"): each_class(reference.average_precision_score),
    ("multiclass", "pr-auc"): each_class(trapezoids),
    ("multiclass", "map(3)"): lambda truth, guess: np.mean(
        [1 / (place + 1) if place < 3 else 0 for place in places(truth, guess)]
    ),
    ("multiclass", "top-accuracy(2)"): lambda truth, guess: reference.top_k_accuracy_score(
        truth[:, 0], guess, k=2
    ),
    ("binary", "pr-auc"): trapezoids,
    ("multiclass", "brier"): lambda truth, guess: (
        ((np.eye(guess.shape[1])[truth[:, 0].astype(int)] - guess) ** 2).sum(axis=1).mean()
    ),
    ("multiclass", "calibration-error"): class_calibration,
    ("binary", "brier"): lambda truth, guess: reference.brier_score_loss(truth[:, 0], guess[:, 0]),
    ("binary", "calibration-error"): calibration,
    ("regression", "mean(pearson, spearman)"): both_correlations,
    ("regression", "mean(rmse, mae)"): lambda truth, guess: (
        (
            reference.root_mean_squared_error(truth, guess)
            + reference.mean_absolute_error(truth, guess)
        )
        / 2
    ),
}
SMALLER = (
    "log-loss",
    "column-mean(log-loss, 1, 2, 1, 1)",
    "brier",
    "calibration-error",
    "mcrmse",
    "mean(rmse, mae)",
)
ORDINAL = (
    "qwk",
    "mcc",
    "balanced-accuracy",
    "weighted-f1",
    *(f"{each}-f1(art)" for each in AVERAGES),
)


def columns_of(problem, name):
    """The sample's columns, and what they show: classes for metrics of classes."""
    if problem == "multiclass":
        return (["label"], ["art"]) if name in ORDINAL else (CLASSES, ["0.25"] * len(CLASSES))
    if problem == "multilabel":
        return TARGETS["multilabel"], ["1", "0", "1"] if "f" in name else ["0.5"] * 3
    return ["label"], ["1"] if name in ("mcc", "f-beta(0.5)") else ["0.5"]


def written_of(content, problem):
    """(m, k) what stands in the file, as predictions."""
    header, *rows = csv.reader(io.StringIO(content.decode()))
    if problem == "multiclass" and len(header) == 2:
        return np.eye(len(CLASSES))[[CLASSES.index(row[1]) for row in rows]]
    return np.array([[float(cell) for cell in row[1:]] for row in rows])


OFTEN = [
    ("multiclass", "weighted-f1"),
    ("multiclass", "column-mean(log-loss, 1, 2, 1, 1)"),
    ("multilabel", "f-beta(2)"),
    ("binary", "pr-auc"),
    ("regression", "mean(0.7 pearson, 0.3 spearman)"),
]
"""One of each kind of problem and of expression; every formula is tried in `test_metric`."""


@pytest.mark.parametrize(("problem", "name"), often(BY_REFERENCE, OFTEN.__contains__))
def test_blend_honest_score_range_and_file_agree_with_the_reference(
    problem, name, tmp_path, monkeypatch
):
    monkeypatch.setitem(METRICS, "balanced-accuracy", KNOWN)
    scored = BY_REFERENCE[problem, name]
    sample = columns_of(problem, name)
    toy = make(tmp_path, problem, f"'{name}'", n=150, m=60, sample=sample, folds=3)
    toy.add_run("bad", 2.0, seed=0)
    toy.add_run("good", 0.7, seed=1)
    made = build(tmp_path, toy.competition, BuildRequest(runs=["bad", "good"], method="greedy"))
    outcome, evidence = made.outcome, made.outcome.evidence
    sign = -1 if name in SMALLER else 1

    alone = [sign * scored(evidence.truth, member.astype(float)) for member in evidence.oof]
    assert [sign * line.score for line in outcome.assessment.members] == pytest.approx(alone)
    bad, good = outcome.assessment.blend.weights
    if name != "calibration-error":  # noise may be as sure as it should be
        assert good > bad
        assert alone[1] > alone[0]
    rows, fitted = evidence.predict(dict.fromkeys(evidence.folds, outcome.assessment.blend))
    assert sign * scored(evidence.truth[rows], fitted) >= max(alone) - 1e-9, "greedy climbs"

    honest = scored(evidence.truth, outcome.decided.predicted)
    assert outcome.honest == pytest.approx(honest)
    part = outcome.leaderboard.parts["whole"]
    least, most = outcome.metric.record.bounds
    assert least <= part.low <= part.score <= part.high <= most
    assert part.low < part.high

    truth = toy.truth["test"]
    blended = outcome.assessment.blend.predict(Rows(outcome.members.test, outcome.facts), problem)
    expected = scored(truth, outcome.decided.apply(blended))
    assert scored(truth, written_of(made.content, problem)) == pytest.approx(expected, abs=1e-4)


OWN = """
made = []

def weighted(y_true, y_pred, table):
    made.append(len(table))
    assert len(table) == len(y_true)
    wrong = (y_true - y_pred) ** 2
    return -float((wrong * table["weight"]).sum() / table["weight"].sum())
"""


def test_a_metric_of_the_whole_table_is_blended_scored_forecast_and_asked_seldom(tmp_path, capsys):
    toy = make(tmp_path, "regression", "mae", n=160, m=40, holdout=True, h=120)
    for file in ("train", "dev"):
        path = tmp_path / "data" / f"{file}.csv"
        header, *rows = path.read_text().splitlines()
        more = [f"{row},{1 + place % 4}" for place, row in enumerate(rows)]
        path.write_text("\n".join([f"{header},weight", *more, ""]))
    (tmp_path / "own_of_tables.py").write_text(OWN)
    toy.add_run("bad", 2.0, seed=0)
    toy.add_run("good", 0.7, seed=1)
    task = replace(toy.competition.task, metric="own_of_tables:weighted")
    said, clock = [], count(step=0.02)
    token = CALLS.set(CallsLine(task.metric, said.append, lambda: next(clock)))
    asked = BuildRequest(runs=["bad", "good"])
    outcome = build(tmp_path, replace(toy.competition, task=task), asked).outcome
    CALLS.reset(token)

    weight = 1 + np.arange(160) % 4  # in the file's order, as the toy's truth
    rows = places_of(toy.folds.ids, toy.tables.train.ids, "train")
    wrong = (outcome.evidence.truth - outcome.decided.predicted)[:, 0] ** 2
    assert outcome.honest == pytest.approx(-np.average(wrong, weights=weight[rows]))
    bad, good = outcome.assessment.blend.weights
    assert good > bad
    assert outcome.leaderboard.parts["whole"].low < outcome.leaderboard.parts["whole"].high
    assert outcome.holdout.ensemble is not None
    assert math.isfinite(outcome.over_single.low)

    made = sys.modules.pop("own_of_tables").made
    assert 500 < len(made) < 2000, "draws by calls were 20,000"
    assert len(said) >= 2
    assert all(re.search(r"\d+ of about [\d,]+ calls, (about \d+ s left|nearly)", x) for x in said)


def test_a_metric_that_asks_for_a_column_that_is_not_there_is_told_before_training(tmp_path):
    toy = make(tmp_path, "regression", "mae", n=40, m=10)
    (tmp_path / "own_of_others.py").write_text(OWN)
    metric = get_metric("own_of_others:weighted", toy.competition.task, tmp_path)
    task = replace(toy.competition.task, metric=metric.name)
    competition = replace(toy.competition, task=task)
    with pytest.raises(UsageError, match=r"KeyError: 'weight'.* has the columns id, text0, label"):
        try_submission(competition, load(competition, tmp_path), metric)
