"""`predict --fast`: fewer learners, and the loss is what it says."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.base.command import run
from pipeline.base.errors import UsageError
from pipeline.ensemble.__main__ import main as ensemble
from pipeline.oof.runs import BEST_ON_VALID
from pipeline.predict import main as predict
from pipeline.submissions import fewest as fast
from pipeline.submissions.build import BuildRequest, make
from pipeline.submissions.fewest import fewest
from tests.blendable import Toy
from tests.blendable import make as make_toy
from tests.trained import NAME, root, trained

__all__ = ["root", "trained"]


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Toy:
    """Two members that err each in its own way, and one that adds next to nothing."""
    found = make_toy(tmp_path_factory.mktemp("fast"), "regression", "rmse", folds=3)
    for place, noise in enumerate((0.5, 0.55, 30.0)):
        found.add_run(f"m{place}", noise, seed=place)
    return found


def built(toy: Toy, method: str = "simplex"):
    runs = ["m0", "m1", "m2"]
    return make(toy.root, toy.competition, BuildRequest(runs=runs, method=method))


def test_what_adds_next_to_nothing_goes_and_the_loss_is_that_of_the_blend_without_it(toy):
    made = built(toy)
    found = fewest(toy.root, made)
    assert found.made.outcome.members.names == ["m0", "m1"]
    assert found.members == (2, 3)
    left = make(toy.root, toy.competition, BuildRequest(runs=["m0", "m1"], method="simplex"))
    assert found.lost.difference == pytest.approx(left.outcome.honest - made.outcome.honest)
    assert max(found.lost.difference, 0) + found.mean <= found.allowed
    assert found.learners[0] == 2 * found.folds[0]
    assert found.learners[1] == 3 * found.folds[1]
    assert found.tried == 3 + 2, "each of three left out, then each of two"
    folds = found.folds[0]
    assert next(found.lines()).endswith(
        f"{2 * folds} of 9 learners: 2 of 3 members, by the learners of {folds} of 3 folds"
    )


def test_equal_weights_are_better_without_what_harms_and_all_but_the_best_go(toy):
    found = fewest(toy.root, built(toy, "mean"))
    assert found.made.outcome.members.names == ["m0"]
    assert found.lost.difference < 0, "it is a gain"


@pytest.mark.nightly
def test_what_is_allowed_is_a_tenth_of_the_standard_error_of_the_honest_score(toy):
    made = built(toy)
    errors = (made.honest - made.outcome.evidence.truth) ** 2
    of_mean = errors.std() / np.sqrt(len(errors))
    expected = 0.1 * of_mean / (2 * np.sqrt(errors.mean()))  # of a root, by its slope
    assert fewest(toy.root, made).allowed == pytest.approx(expected, rel=0.2)


def test_where_nothing_may_be_lost_members_and_folds_stay(toy, monkeypatch):
    monkeypatch.setattr(fast, "SHARE", 0.0)
    found = fewest(toy.root, built(toy))
    assert found.folds[0] == found.folds[1]
    assert found.mean == 0
    assert found.lost.difference <= 0


def test_what_the_mean_of_the_folds_adds_decides_how_many_stay(toy, monkeypatch):
    made = make(toy.root, toy.competition, BuildRequest(runs=["m0"], method="mean"))
    few = []
    for gain in (0.0, 1e9, None):
        monkeypatch.setattr(fast, "_of_mean", lambda _, gain=gain: gain)
        few.append(fewest(toy.root, made).folds[0])
    assert few == [1, made.outcome.competition.folds.count, made.outcome.competition.folds.count]


def test_a_score_in_doubt_cannot_be_kept(toy):
    made = built(toy)
    marked = {**made.outcome.members.manifests[0], "selection": BEST_ON_VALID}
    made.outcome.members.manifests[0] = marked
    with pytest.raises(UsageError, match="--fast keeps an honest score, and here it is in doubt"):
        fewest(toy.root, made)


def test_new_rows_are_predicted_by_those_learners_alone(root: Path, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(fast, "_of_mean", lambda _: 0.0)
    shutil.rmtree(root / "submissions")
    assert run(ensemble, ["--root", str(root), "--runs", "linear", "--method", "mean"]) == 0
    (name,) = [path.name for path in (root / "submissions").glob("*.csv")]
    capsys.readouterr()
    words = ["--root", str(root), str(root / "test.csv"), "--with", name]
    assert run(predict, [*words, "-o", str(tmp_path / "fast.csv"), "--fast"]) == 0
    said = capsys.readouterr()
    assert "fast     1 of 3 learners: 1 of 1 members, by the learners of 1 of 3 folds" in said.out
    assert "loss     pearson 0.00000 of the honest score" in said.out
    assert "12 rows by 1 learners" in said.err
    assert run(predict, [*words, "-o", str(tmp_path / "again.csv"), "--fast", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["fast"]["learners"] == [1, 3]
    first = np.load(root / "oof" / "toy" / "linear" / "seed-42" / "fold-0.npz")["test"][:, 0]
    lines = (tmp_path / "fast.csv").read_text().splitlines()[1:]
    answers = [float(line.split(",")[1]) for line in lines]
    decided = json.loads((root / "submissions" / name).with_suffix(".json").read_text())
    if not decided["decisions"]["applied"].startswith("nothing"):
        assert np.corrcoef(answers, first)[0, 1] > 0.9
    else:
        assert answers == pytest.approx(first.tolist(), abs=1e-6)


def test_it_is_beside_members(root: Path, tmp_path, capsys):
    words = ["--root", str(root), str(root / "test.csv"), "--with", NAME, "--fast"]
    assert run(predict, [*words, "-o", str(tmp_path / "a.csv"), "--members", "linear"]) == 0
    assert "fast     " in capsys.readouterr().out
