"""A metric is added by one entry: it is trained, blended, forecast and sent in its own direction.

`medae` (smaller is better) and `balanced-accuracy` have nothing but a function, so everything that
has a fast way for other metrics falls back to the formula.
"""

import json
import math
import shutil

import numpy as np
import pytest
import sklearn.metrics as reference

from pipeline.base.command import run
from pipeline.base.files import read_json
from pipeline.cv import main as cv
from pipeline.ensemble.__main__ import main as ensemble
from pipeline.ensemble.decisions.decision import Labelled
from pipeline.ensemble.decisions.probabilities import offsets_for, thresholds_for
from pipeline.folds.__main__ import main as folds
from pipeline.ledger import main as ledger
from pipeline.metrics.metric import get_metric
from pipeline.metrics.record import Formula, Record
from pipeline.metrics.registry import METRICS
from tests.blendable import make
from tests.ensemble.toys import task_of, truth_of


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
    ("multiclass", "balanced-accuracy"),
    ("binary", "balanced-accuracy"),
]


@pytest.fixture(autouse=True)
def _entries(monkeypatch):
    for name, record in ENTRIES.items():
        monkeypatch.setitem(METRICS, name, record)


@pytest.mark.parametrize(("problem", "name"), CASES)
def test_a_metric_of_one_entry_goes_the_whole_way(problem, name, tmp_path, capsys):
    shown = {"multiclass": ["art"], "binary": ["1"], "regression": ["0.5"]}[problem]
    toy = make(tmp_path, problem, name, n=160, m=40, sample=(["label"], shown))
    shutil.rmtree(tmp_path / "folds")
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
