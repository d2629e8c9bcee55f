"""Five files of four students: the page of the ensemble leads them to the right submission."""

import json
import shlex

import numpy as np
import pytest

from pipeline.base.command import run
from pipeline.ensemble.__main__ import main as ensemble
from pipeline.submissions.submission_file import existing
from pipeline.team.__main__ import main as team
from tests.blendable import Toy, make
from tests.team.files import send

N, M = 240, 600


def predicted(toy: Toy, own: float, seed: int, seen: bool = False) -> dict[str, np.ndarray]:
    """A model whose error is partly its own; *seen*: of rows of train it knows the labels."""
    found = {}
    for place, part in enumerate(("train", "test")):
        truth = toy.truth[part]
        hard = 0.55 * np.random.default_rng([9, place]).normal(size=truth.shape)
        random = np.random.default_rng([seed, place])
        error = hard + own * random.normal(size=truth.shape)
        if seen and part == "train":
            error = 0.35 * random.normal(size=truth.shape)
        found[part] = truth + error
    if seen:  # what it has not seen it is less sure of
        found["test"] = 2.5 + 0.5 * (found["test"] - 2.5)
    return found


def on_other_folds(lines):
    return [
        [row_id, fold and str((int(fold) + place) % 4), *rest]
        for place, (row_id, fold, *rest) in enumerate(lines)
    ]


def handed_in(toy: Toy, strong: float = 0.75, plain: float = 1.2, leak: bool = True) -> None:
    """Two plain files; a strong one on other folds; one that hides its folds; one that leaks."""
    files = {
        "ann": (predicted(toy, plain, 1), True, None),
        "bea": (predicted(toy, plain, 2), True, None),
        "carl": (predicted(toy, strong, 3), True, on_other_folds),
        "dora": (predicted(toy, plain, 4), False, None),
    }
    if leak:
        files["dora-2"] = (predicted(toy, 1.0, 5, seen=True), True, None)
    for name, (values, fold, edit) in files.items():
        path = send(toy, values, fold=fold, edit=edit, name=f"{name}.csv")
        options = ["--root", str(toy.root), "--config", "toy"]
        assert run(team, ["add", str(path), "--name", name, *options]) == 0


@pytest.fixture
def toy(tmp_path) -> Toy:
    return make(tmp_path, "regression", "pearson", n=N, m=M)


def true_score(toy: Toy, values: np.ndarray) -> float:
    return float(np.corrcoef(values.ravel(), toy.truth["test"].ravel())[0, 1])


def written(toy: Toy, number: int) -> np.ndarray:
    """(m,) of a submission."""
    lines = existing(toy.root / "submissions", "toy")[number].read_text().splitlines()[1:]
    value = dict(line.split(",") for line in lines)
    return np.array([float(value[row_id]) for row_id in toy.tables.test.ids])


def followed(page: str) -> list[str]:
    """The words of the command that the answer ends with."""
    (told,) = [line for line in page.splitlines() if line.startswith("next ")]
    words = shlex.split(told.partition("folds need no proof: ")[2])
    assert words[:3] == ["python", "-m", "pipeline.ensemble"]
    return words[3:]


def test_the_answer_leads_to_the_plain_mean_that_beats_what_may_be_fitted(toy, capsys):
    handed_in(toy)
    capsys.readouterr()
    assert run(ensemble, toy.arguments()) == 0
    first = capsys.readouterr().out
    assert first.startswith("answer   mean of ann, bea: honest pearson ")
    assert "left out: carl, dora, dora-2, see the notes" in first
    assert run(ensemble, followed(first)) == 0
    second = capsys.readouterr().out
    answer = "\n".join(second.splitlines()[:5])
    assert "mean of ann, bea, carl, dora: honest pearson " in answer
    assert "that carl, dora had not seen the rows is taken on trust" in answer
    assert "left out: dora-2, see the notes" in answer
    strong = true_score(toy, predicted(toy, 0.75, 3)["test"])
    assert true_score(toy, written(toy, 1)) < strong - 0.02
    assert true_score(toy, written(toy, 2)) > strong + 0.01
    methods = second[second.index("Methods") : second.index("in-sample:")]
    assert "simplex" not in methods, "fitted weights have no honest score on other folds"


def test_the_answer_leads_to_one_strong_file_where_the_mean_is_worse(toy, capsys):
    handed_in(toy, strong=0.05, plain=2.0, leak=False)
    capsys.readouterr()
    assert run(ensemble, toy.arguments("--json")) == 0
    printed = capsys.readouterr()
    instead = json.loads(printed.out)["instead"]
    assert instead["runs"] == ["carl"]
    low, high = instead["interval_95"]
    assert 0 < low < instead["gain"] < high
    assert run(ensemble, [*followed(printed.err), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)["scores"]
    assert scores["honest"] == pytest.approx(instead["honest"])
    assert true_score(toy, written(toy, 2)) > true_score(toy, written(toy, 1)) + 0.05


def test_equal_weights_are_offered_only_where_they_score_better_by_a_standard_error(toy, capsys):
    handed_in(toy, strong=9.0, plain=0.3, leak=False)
    capsys.readouterr()
    assert run(ensemble, toy.arguments("--json", "--dry-run")) == 0
    printed = capsys.readouterr()
    assert abs(json.loads(printed.out)["instead"]["gain"]) < 0.005
    assert "next     the evidence stands below" in printed.err
