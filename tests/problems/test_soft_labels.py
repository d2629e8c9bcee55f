"""Labels that are probabilities: from rows that sum to one to rows that sum to one."""

import numpy as np
import pandas as pd
import pytest
import scipy.special
import torch

from pipeline import cv, init
from pipeline.base.command import run
from pipeline.base.config import TaskConfig
from pipeline.ensemble import __main__ as ensemble
from pipeline.metrics import get_metric
from pipeline.models.transformer.objective import fit_codec
from pipeline.problems.multiclass import SOFT_LABELS

WORDS = ["market price", "song picture", "vote parliament"]
NAMES = ["money", "art", "state"]


def task(metric="log-loss"):
    return TaskConfig(problem="soft-labels", metric=metric)


def shares(seed, n=50, k=4):
    random = np.random.default_rng(seed)
    truth = random.dirichlet(np.full(k, 0.5), size=n)
    truth[:5] = np.eye(k)[random.integers(k, size=5)]
    return truth, random.dirichlet(np.ones(k), size=n)


REFERENCES = {
    "log-loss": lambda t, p: float(
        torch.nn.functional.cross_entropy(torch.tensor(p).log(), torch.tensor(t))
    ),
    "kl-divergence": lambda t, p: scipy.special.rel_entr(t, p).sum(axis=1).mean(),
    "rmse": lambda t, p: np.mean(np.sqrt(((t - p) ** 2).mean(axis=0))),
    "mae": lambda t, p: np.abs(t - p).mean(),
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", list(REFERENCES))
def test_a_metric_of_shares_equals_its_reference(name, seed):
    truth, guess = shares(seed)
    found = get_metric(name, task(name)).score(truth, guess)
    assert found == pytest.approx(REFERENCES[name](truth, guess), rel=1e-9)


def test_the_loss_of_a_network_is_cross_entropy_against_the_shares():
    truth, guess = shares(0)
    codec = fit_codec(task(), "auto", truth)
    encoded = torch.tensor(codec.encode(truth))
    logits = torch.tensor(guess).log().float()
    expected = -(truth * np.log(guess)).sum(axis=1).mean()
    assert float(codec.mean_loss(logits, encoded)) == pytest.approx(expected, rel=1e-5)
    assert codec.decode(logits).sum(dim=1).numpy() == pytest.approx(np.ones(len(truth)))


def test_rows_that_are_rounded_are_made_to_sum_to_one_and_others_are_wrong():
    rows = np.array([[0.33, 0.33, 0.33], [0.5, 0.5, 0.0], [0.5, 0.2, 0.1]])
    found, wrong, what = SOFT_LABELS.whole_rows(rows)
    assert found[:2].sum(axis=1) == pytest.approx([1, 1])
    assert wrong.tolist() == [False, False, True]
    assert what == "rows whose shares do not sum to 1"


def test_predictions_come_back_into_range_and_scores_lead_back_to_them():
    truth, guess = shares(2)
    assert SOFT_LABELS.expand(truth, 4) is truth
    kept = SOFT_LABELS.within_range(guess * 3 - 1, 0.001)
    assert kept.sum(axis=1) == pytest.approx(np.ones(50))
    assert kept.min() > 0
    scores = SOFT_LABELS.to_scores(guess, 1e-9)
    assert SOFT_LABELS.from_scores(scores) == pytest.approx(guess)
    strata = SOFT_LABELS.strata(truth, 5, 5)
    assert (strata == truth.argmax(axis=1)).all()


@pytest.fixture
def folder(tmp_path):
    """Three topics, the label a share of each."""
    random = np.random.default_rng(1)
    kind = np.arange(150) % 3
    labels = np.array([random.dirichlet(0.5 + 5 * np.eye(3)[each]) for each in kind]).round(3)
    frame = pd.DataFrame(labels, columns=NAMES)
    frame.insert(0, "id", [f"r{row:03}" for row in range(150)])
    frame.insert(1, "title", [f"{WORDS[each]} {row * 7919 % 997}" for row, each in enumerate(kind)])
    (tmp_path / "files").mkdir()
    frame[:120].to_csv(tmp_path / "files" / "train.csv", index=False)
    frame[120:].drop(columns=NAMES).to_csv(tmp_path / "files" / "test.csv", index=False)
    sample = frame[120:][["id"]].assign(**dict.fromkeys(NAMES, 0.3333))
    sample.to_csv(tmp_path / "files" / "sample_submission.csv", index=False)
    return tmp_path


@pytest.mark.nightly
def test_shares_go_the_whole_way(folder, capsys):
    where = ["--root", str(folder), "--config", "topics", "--folds.count", "3"]
    assert run(init.main, [str(folder / "files"), "--root", str(folder), "--name", "topics"]) == 0
    config = (folder / "configs" / "topics.yaml").read_text()
    assert "problem: soft-labels" in config
    assert "metric: log-loss" in config
    for more in ([], ["--set", "char_ngrams=[2, 2]"]):
        assert run(cv.main, [*where, "--model", "linear", *more]) == 0
    for method in ("simplex", "logistic", "greedy", "auto"):
        assert run(ensemble.main, [*where, "--method", method, "--dry-run"]) == 0, method
    capsys.readouterr()
    assert run(ensemble.main, where) == 0
    said = capsys.readouterr().out
    assert "written  probabilities in money, art, state" in said
    (file,) = (folder / "submissions").glob("*.csv")
    found = pd.read_csv(file)
    assert found[NAMES].sum(axis=1).to_numpy() == pytest.approx(np.ones(30), abs=1e-5)
    assert (found[NAMES].to_numpy().argmax(axis=1) == np.arange(30) % 3).all()


def test_a_row_that_does_not_sum_to_one_is_named(folder, capsys):
    path = folder / "files" / "train.csv"
    frame = pd.read_csv(path)
    frame.loc[7, "money"] = 0.9
    frame.loc[7, "art"] = 0.9
    frame.to_csv(path, index=False)
    arguments = [str(folder / "files"), "--root", str(folder), "--problem", "soft-labels"]
    assert run(init.main, arguments) == 3
    said = capsys.readouterr().err
    assert "rows whose shares do not sum to 1" in said
    assert "id r007 (0.9, 0.9," in said


def test_classes_are_the_target_columns(folder, capsys):
    arguments = [str(folder / "files"), "--root", str(folder), "--name", "topics"]
    assert run(init.main, arguments) == 0
    where = ["--root", str(folder), "--config", "topics", "--task.classes", '["a", "b"]']
    assert run(cv.main, [*where, "--model", "linear", "--dry-run"]) == 2
    assert "leave them out: soft-labels have a column" in capsys.readouterr().err
