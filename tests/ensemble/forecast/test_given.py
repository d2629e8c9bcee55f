"""What a forecast is told by the members: their learners, and their holdout rows or the lack."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.base.files import commit_json, read_json
from pipeline.data.join import sampled
from pipeline.oof.predictions import commit_fold, read_fold
from pipeline.submissions.build import BuildRequest, make
from tests.blendable import make as make_toy


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    made = make_toy(
        tmp_path_factory.mktemp("given"), "regression", "rmse", n=400, m=200, holdout=True, h=200
    )
    made.add_run("good", noise=0.4, seed=1)
    made.add_run("other", noise=0.5, seed=2)
    return made


def without_holdout(toy, run):
    """Make of *run* what a team-mate's file without dev rows is."""
    manifest = read_json(toy.paths.run_manifest(run))
    for part in manifest["parts"]:
        path = toy.paths.runs / run / f"{part}.npz"
        fold, known = read_fold(path)
        empty = {"holdout_ids": fold.holdout_ids[:0], "holdout": fold.holdout[:0]}
        values = {name: getattr(fold, name) for name in type(fold).__dataclass_fields__}
        commit_fold(path, type(fold)(**{**values, **empty}), {"fold": known["fold"]})
        manifest["parts"][part] = read_json(path.with_suffix(".json"))["predictions_sha256"]
    commit_json(toy.paths.run_manifest(run), manifest | {"has_holdout": False})


def board(toy, runs, metric="rmse"):
    task = replace(toy.competition.task, metric=metric)
    asked = BuildRequest(runs=runs, method="mean")
    made = make(toy.root, replace(toy.competition, task=task), asked)
    return made.outcome.leaderboard, made.outcome


def test_the_learners_of_each_fold_are_read_and_the_gain_of_their_mean_is_told(toy):
    found, outcome = board(toy, ["good", "other"])
    test = outcome.members.by_fold["test"][0]
    assert test.shape == (toy.folds.count, 200, 1)
    assert np.allclose(test.mean(axis=0), outcome.members.test[0], atol=1e-6)
    spread = np.mean(outcome.members.by_fold["test"], axis=0).var(axis=0).mean()
    mean = next(move for move in found.moves if move.name == "mean of four")
    honest = outcome.honest
    before = found.moves[: found.moves.index(mean)]  # an rmse: what is better is lower
    single = honest - sum(move.gain for move in before)
    assert mean.gain == pytest.approx(single - np.sqrt(max(single**2 - spread, 0)), rel=1e-3)
    whole = found.parts["whole"]
    assert whole.score == pytest.approx(honest - sum(move.gain for move in found.moves))
    assert sampled(10**5).max() == 10**5 - 1


def test_a_run_without_holdout_rows_does_not_drop_the_holdout(toy):
    toy.add_run("mate", noise=0.4, seed=3)
    without_holdout(toy, "mate")
    alone, _ = board(toy, ["good", "other"])
    found, outcome = board(toy, ["good", "other", "mate"])
    assert outcome.leaderboard.notes[0].startswith("mate has no predictions of the holdout file")
    assert found.basis == alone.basis
    assert found.parts["whole"].score < alone.parts["whole"].score


def test_what_the_other_runs_score_on_the_holdout_contradicts_nothing_where_more_is_better(toy):
    toy.add_run("silent", noise=0.4, seed=4)
    without_holdout(toy, "silent")
    found, _ = board(toy, ["good", "silent"], "pearson")
    assert len(found.notes) == 1, "only that one run has no predictions of the holdout file"
    assert found.parts["whole"].low > 0.98
