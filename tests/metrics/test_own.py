"""A function of the user's own that says what a metric of the table says is that metric."""

import hashlib
import re
import sys
from dataclasses import replace

import numpy as np
import pytest

from pipeline.base import UsageError
from pipeline.metrics.metric import get_metric, metric_of
from pipeline.metrics.own import find, tables_like
from pipeline.submissions.build import BuildRequest
from pipeline.submissions.build import make as build
from tests.blendable import TARGETS, make
from tests.ensemble.toys import CLASSES, task_of
from tests.nightly import nightly
from tests.problems import heads

OWN = """
import numpy as np
import sklearn.metrics as m

def smaller(score):
    score.greater_is_better = False
    return score

def mcc(y, p): return m.matthews_corrcoef(y, p.argmax(axis=1))
def macro(y, p): return 1.0 * m.f1_score(y, p.argmax(axis=1), average="macro")
def kappa(y, p): return m.cohen_kappa_score(y, p.argmax(axis=1), weights="quadratic")
def without_art(y, p): return m.f1_score(y, p.argmax(axis=1), labels=[1, 2, 3], average="micro")
def loss(y, p):
    p = np.clip(p, 1e-7, 1)
    return -m.log_loss(y, p / p.sum(axis=1, keepdims=True))
def two_mcc(y, p): return m.matthews_corrcoef(y, p > 0.5)
def two_loss(y, p): return m.log_loss(y, np.clip(p, 1e-15, 1 - 1e-15))
smaller(two_loss)
def auc(y, p): return m.roc_auc_score(y, p, average="macro")
def pearson(y, p): return np.corrcoef(y, p)[0, 1]
def rmse(y, p): return np.sqrt(np.mean((y - p) ** 2, axis=0)).mean()
smaller(rmse)
def minus_mae(y, p): return -np.abs(y - p).mean()
def both(y, p): return (m.accuracy_score(y, p >= 0.5) + m.f1_score(y, p >= 0.5)) / 2

def flat_rmse(y, p): return -np.sqrt(np.mean((y - p) ** 2))
def clipped(y, p): return -np.sqrt(np.mean((y - np.clip(p, 0, 5)) ** 2))
def linear_kappa(y, p): return m.cohen_kappa_score(y, p.argmax(axis=1), weights="linear")
def percent(y, p): return 100 * mcc(y, p)
def of_tables(y, p, table): return mcc(y, p)
def cautious(y, p): return -np.sqrt(np.mean((y - p) ** 2)) - (len(y) == 160)

def wrong_way(y, p): return np.sqrt(np.mean((y - p) ** 2))
def other_way(y, p): return m.roc_auc_score(y, p)
smaller(other_way)
"""
KNOWN = [
    ("multiclass", "mcc", "mcc"),
    ("multiclass", "macro", "macro-f1"),
    ("multiclass", "kappa", "qwk"),
    ("multiclass", "without_art", "micro-f1(art)"),
    ("multiclass", "loss", "log-loss"),
    ("binary", "two_mcc", "mcc"),
    ("binary", "two_loss", "log-loss"),
    ("binary", "auc", "auc"),
    ("binary", "both", "mean(accuracy, f1)"),
    ("multilabel", "auc", "auc"),
    ("regression", "pearson", "pearson"),
    ("regression", "rmse", "rmse"),
    ("regression", "minus_mae", "mae"),
    ("regression", "flat_rmse", "rmse"),
]
UNKNOWN = [
    ("regression", "clipped"),
    ("multiclass", "linear_kappa"),
    ("multiclass", "percent"),
    ("multiclass", "of_tables"),
    ("two numbers", "flat_rmse"),
]
SHOWN = {"multiclass": (["label"], ["art"]), "binary": (["label"], ["1"])}


@pytest.fixture
def root(tmp_path):
    (tmp_path / "own_alike.py").write_text(OWN)
    yield tmp_path
    sys.modules.pop("own_alike", None)


def test_a_file_of_the_competition_comes_before_a_module_of_its_name_elsewhere(
    tmp_path, monkeypatch
):
    for place in ("elsewhere", "here"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "own_twice.py").write_text(f"def place(y, p): return {place!r}")
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    before = list(sys.path)
    assert find("own_twice:place", tmp_path / "here")(None, None) == "here"
    sys.modules.pop("own_twice")
    assert sys.path == before, "and is not looked for there later"


def toy_of(root, problem, metric, n=40, targets=None, **more):
    sample = SHOWN.get(problem)
    toy = make(
        root, problem, f"'{metric}'", n=n, m=20, targets=targets, sample=sample, folds=3, **more
    )
    return toy, lambda name: replace(
        toy.competition, task=replace(toy.competition.task, metric=f"own_alike:{name}")
    )


@pytest.mark.parametrize(("problem", "function", "name"), KNOWN)
def test_a_function_that_says_what_a_metric_says_is_that_metric(problem, function, name, root):
    toy, competition = toy_of(root, problem, name)
    found = metric_of(competition(function), root)
    known = get_metric(name, toy.competition.task)
    assert (found.known_as, found.needs, found.name) == (name, known.needs, f"own_alike:{function}")
    truth, guess = tables_like(toy.competition.task, len(toy.competition.outputs))[1]
    assert found.gain(truth, guess) == pytest.approx(known.gain(truth, guess), abs=1e-12)
    assert found.score(truth, guess) == pytest.approx(found.own.score(truth, guess), abs=1e-12)
    low, high = found.record.bounds
    assert low <= found.score(truth, guess) <= high


@pytest.mark.parametrize(("problem", "function"), UNKNOWN)
def test_a_function_that_says_something_else_stays_as_it_is(problem, function, root):
    targets = ["a", "b"] if problem == "two numbers" else None
    kind = "regression" if targets else problem
    usual = "rmse" if kind == "regression" else "mcc"
    _, competition = toy_of(root, kind, usual, targets=targets)
    found = metric_of(competition(function), root)
    assert (found.known_as, found.own, found.needs) == ("", None, "value")


def test_made_up_rows_of_several_targets_have_a_class_of_each_and_all_occur():
    for truth, guess in tables_like(heads.task(), 7):
        for block in heads.kind().blocks(7):
            assert (truth[:, block].sum(axis=1) == 1).all()
            assert truth[:, block].any(axis=0).all()
            assert guess[:, block].sum(axis=1) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("problem", "function", "told"),
    [
        ("regression", "wrong_way", "what rmse gives, which is better when it is smaller"),
        ("binary", "other_way", "what auc gives, which is better when it is larger"),
    ],
)
def test_a_direction_that_is_turned_round_is_refused_and_the_remedy_works(
    problem, function, told, root
):
    """Blends were fitted to be as wrong as they can be, without a word."""
    _, competition = toy_of(root, problem, "rmse" if problem == "regression" else "auc")
    with pytest.raises(UsageError, match=told) as caught:
        metric_of(competition(function), root)
    (line,) = re.findall(r"write (.*) below it", str(caught.value))
    sys.modules.pop("own_alike")
    (root / "own_alike.py").write_text(f"{OWN}\n{line}\n")
    assert metric_of(competition(function), root).known_as in ("rmse", "auc")


def answers(root, competition):
    """All that is found, and the bytes."""
    made = build(root, competition, BuildRequest(runs=["bad", "good"]))
    outcome = made.outcome
    nest, part = outcome.assessment.nest, outcome.leaderboard.parts["whole"]
    folds = nest.evidence.folds
    gain = outcome.over_single
    sign = 1 if outcome.metric.greater_is_better else -1
    found = {
        "method": outcome.assessment.method,
        "methods": [nest.choose(folds - {fold}).method for fold in sorted(folds)],
        "honest": sign * outcome.honest,
        "interval": (gain.low, gain.high),
        "forecast": sorted(sign * each for each in (part.low, part.score, part.high)),
        "bytes": hashlib.sha256(made.content).hexdigest(),
        "decision": outcome.decided.chosen,
    }
    return found, outcome


@pytest.mark.parametrize(
    ("problem", "function", "name"),
    [KNOWN[5], KNOWN[11]] + [nightly(*KNOWN[each]) for each in (0, 1, 2, 4, 6, 7, 10, 12)],
)
def test_blend_choice_interval_forecast_and_file_are_those_of_the_metric(
    problem, function, name, root
):
    toy, competition = toy_of(root, problem, name, n=160)
    toy.add_run("bad", 1.6, seed=0)
    toy.add_run("good", 1.5, seed=1)
    expected, _ = answers(root, toy.competition)
    found, outcome = answers(root, competition(function))
    assert found == expected
    assert any(f"own_alike:{function} says what {name} says" in note for note in outcome.notes)


def test_what_is_another_on_the_rows_at_hand_is_taken_as_it_is(root):
    """It says of 160 rows what it does not say of others."""
    toy, competition = toy_of(root, "regression", "rmse", n=160)
    toy.add_run("bad", 1.6, seed=0)
    toy.add_run("good", 1.5, seed=1)
    assert metric_of(competition("cautious"), root).known_as == "rmse"
    found, outcome = answers(root, competition("cautious"))
    assert outcome.metric.known_as == ""
    assert found["honest"] < -1
    assert any("it is taken as it is" in note for note in outcome.notes)


@pytest.mark.parametrize("problem", ["binary", "multiclass", "multilabel", "regression"])
def test_made_up_rows_hold_every_label_and_are_the_same_again(problem):
    k = {"multiclass": len(CLASSES), "multilabel": len(TARGETS["multilabel"])}.get(problem, 1)
    task = task_of(problem, "rmse" if problem == "regression" else "accuracy")
    for (truth, guess), (again, _) in zip(tables_like(task, k), tables_like(task, k), strict=True):
        assert guess.shape == (len(truth), k)
        assert np.array_equal(truth, again)
        assert np.isfinite(guess).all()
        if problem == "multiclass":
            assert set(truth[:, 0]) == set(range(k))
            assert guess.sum(axis=1) == pytest.approx(1)
