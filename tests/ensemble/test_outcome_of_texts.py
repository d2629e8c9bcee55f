"""A blend of texts from members' candidates to what is told of it, without files."""

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.base.config import ColumnsConfig, Competition, DataConfig, TaskConfig
from pipeline.data import Table
from pipeline.data.candidates import Candidates
from pipeline.ensemble.forecast.given import WITHHELD
from pipeline.ensemble.texts.outcome import conclude_texts
from pipeline.metrics import get_metric
from pipeline.oof.texts import TextRun
from pipeline.problems.form import Form

ROWS, TEST = 16, 5
RIGHT = [f"the pub number {row} is near the river" for row in range(ROWS + TEST)]
TASK = TaskConfig(problem="text", metric="chrf")
COMPETITION = Competition(
    name="toy",
    data=DataConfig(train="train.csv", test="test.csv", sample_submission="sample.csv"),
    columns=ColumnsConfig(id="id", texts=["facts"], targets=["text"]),
    task=TASK,
)


def said(rows: list[str], spoilt: int) -> Candidates:
    """The right text of each row without its last *spoilt* letters, beside one of another row."""
    texts = [[each[: len(each) - spoilt], "a cheap place"] for each in rows]
    return Candidates(texts, [[-1.0, -2.0] for _ in rows])


def run(name: str, spoilt: int) -> TextRun:
    train, test = said(RIGHT[:ROWS], spoilt), said(RIGHT[ROWS:], spoilt)
    return TextRun(name=name, manifest={"name": name}, oof=[train], test=[test, test], holdout=[])


def table(first: int, rows: list[str]) -> Table:
    references = np.empty(len(rows), dtype=object)
    references[:] = [(each,) for each in rows]
    return Table(
        ids=np.array([f"r{first + row}" for row in range(len(rows))], dtype=object),
        texts=np.array([["facts"]] * len(rows), dtype=object),
        references=references,
    )


def conclude(method, holdout=None):
    """The outcome, and what was told of rows."""
    train, told = table(0, RIGHT[:ROWS]), []
    folds = SimpleNamespace(
        ids=train.ids,
        fold_of_row=np.arange(ROWS)[None] % 4,
        group_of_row=np.arange(ROWS),
        digest="passport",
    )
    outcome = conclude_texts(
        COMPETITION,
        get_metric("chrf", TASK),
        train,
        folds,
        [run("good", 2), run("poor", 20)],
        method,
        Form(kind="label", columns={"text": 0}),
        test=table(ROWS, RIGHT[ROWS:]),
        holdout=holdout,
        told=lambda *each: told.append(each),
    )
    return outcome, told


@pytest.fixture(scope="module")
def concluded():
    return conclude("best")


def test_honest_and_test_texts_are_those_of_the_best_member_row_by_row(concluded):
    outcome, _ = concluded
    assert outcome.blend.weights.tolist() == [1, 0]
    assert outcome.predicted.tolist() == [each[:-2] for each in RIGHT[:ROWS]]
    assert outcome.test.tolist() == [each[:-2] for each in RIGHT[ROWS:]]
    honest = outcome.metric.score(outcome.truth, outcome.predicted)
    assert outcome.honest == outcome.in_sample == pytest.approx(honest)
    assert outcome.lengths == pytest.approx(
        (np.mean([len(each) - 2 for each in RIGHT[:ROWS]]), np.mean([len(x) for x in RIGHT[:ROWS]]))
    )


def test_each_member_is_told_with_its_score_and_the_best_alone_is_no_gain(concluded):
    outcome, _ = concluded
    good, poor = outcome.members
    assert good.score == pytest.approx(outcome.honest)
    assert poor.score < good.score
    assert (good.weight, poor.weight) == (1, 0)
    assert outcome.verdict == "no"
    assert outcome.interval.low <= outcome.honest <= outcome.interval.high
    assert all(ours.score == single.score for ours, single in outcome.others.values())
    assert max(single.score for _, single in outcome.others.values()) > 0.5


def test_a_score_on_the_rows_that_were_fitted_flatters_by_its_difference(concluded):
    outcome, _ = concluded
    assert {line.name: line.optimism for line in outcome.methods} == {
        line.name: pytest.approx(line.in_sample - line.honest) for line in outcome.methods
    }


def test_auto_says_why_it_chose_and_runs_without_holdout_rows_are_named(concluded):
    asked, _ = concluded
    assert asked.reason == "as asked for"
    assert asked.notes == []
    assert WITHHELD not in asked.leaderboard.notes, "no member is in doubt"
    outcome, _ = conclude("auto", holdout=table(50, RIGHT[:3]))
    assert outcome.requested == "auto"
    assert outcome.method == "best"
    assert outcome.reason.startswith("best honest score")
    assert outcome.holdout is None
    assert outcome.notes == ["no holdout score: good, poor came without its rows"]


def test_how_many_rows_are_compared_is_told_file_by_file(concluded):
    _, told = concluded
    assert told == [
        *(("training", done, ROWS) for done in range(1, ROWS + 1)),
        *(("test", done, TEST) for done in range(1, TEST + 1)),
    ]
