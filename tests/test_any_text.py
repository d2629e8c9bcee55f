"""Whatever stands in a text, each row gets one finite prediction, in bounded time."""

import csv
import json
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import cv
from pipeline.base.command import run
from pipeline.base.config import TaskConfig
from pipeline.base.paths import Workspace
from pipeline.data.reading.reader import read_file
from pipeline.data.table import Table
from pipeline.data.tokens.store import TokenStore
from pipeline.folds.groups import connect
from pipeline.models.learner import Silent
from pipeline.models.linear.learner import LinearFactory
from pipeline.models.settings import LinearRecipe
from tests.tiny import tiny_tokenizer

ANY_TEXT = st.text(st.characters() | st.characters(categories=["Cs", "Cc"]), max_size=60)
HARD = {
    "empty": "",
    "spaces": " \t\u00a0\u3000 ",
    "NUL": "a\0b",
    "control": "\x01\x1b[31m\x7f\x85",
    "surrogate": "\ud83d lone",
    "joined emoji": "👩\u200d👩\u200d👧\u200d👦 👍🏽",
    "right to left": "\u202eقطة تنام\u202c שלום",
    "unknown only": "𒀀𒀁𒀂 ꙮ",
    "line breaks": "a\r\nb\rc\u2028d",
    "quotes": '"\'",;|\t',
    "one long word": "x" * 200_000,
    "a megabyte": "고양이가 잔다. " * 50_000,
}
SECONDS = 15
"""What took 0.04 s may take this long on the slowest machine; what grows with the square cannot."""


def table(texts: list[tuple[str, ...]], labelled: bool = False) -> Table:
    return Table(
        ids=np.array([f"r{n}" for n in range(len(texts))], dtype=object),
        texts=np.array(texts, dtype=object).reshape(len(texts), -1),
        targets=np.arange(len(texts), dtype=float)[:, None] % 5 if labelled else None,
    )


def trained(columns: int, folder: Path):
    words = ["cat", "dog", "고양이", "bird", "나무", "river"]
    texts = [
        tuple(" ".join(words[(n * k + c) % 6] for k in range(1, 5)) for c in range(columns))
        for n in range(30)
    ]
    task = TaskConfig(problem="regression", metric="rmse")
    recipe = LinearRecipe(buckets=2**12, strengths=[1.0])
    learner = LinearFactory(recipe, task, 1).make(0)
    learner.fit(table(texts, labelled=True), Workspace(folder), Silent())
    return learner


@pytest.fixture(scope="module")
def learners(tmp_path_factory):
    return {columns: trained(columns, tmp_path_factory.mktemp("fit")) for columns in (1, 2)}


@given(texts=st.lists(st.tuples(ANY_TEXT, ANY_TEXT), min_size=1, max_size=5))
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_linear_learner_predicts_any_text_and_any_pair(learners, texts):
    pairs = learners[2].predict(table(texts), Silent())
    singles = learners[1].predict(table([(first,) for first, _ in texts]), Silent())
    for found in (pairs, singles):
        assert found.shape == (len(texts), 1)
        assert np.isfinite(found).all()


@given(texts=st.lists(ANY_TEXT, min_size=6, max_size=12))
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_linear_learner_learns_from_any_text(tmp_path, texts):
    task = TaskConfig(problem="regression", metric="rmse")
    learner = LinearFactory(LinearRecipe(buckets=2**10, strengths=[1.0]), task, 1).make(0)
    rows = table([(text,) for text in texts], labelled=True)
    learner.fit(rows, Workspace(tmp_path), Silent())
    assert np.isfinite(learner.predict(rows, Silent())).all()


@pytest.mark.parametrize("kind", HARD)
def test_a_hard_text_has_a_token_and_a_prediction_in_bounded_time(learners, kind):
    began = time.monotonic()
    rows = table([(HARD[kind],), ("a cat",)])
    assert np.isfinite(learners[1].predict(rows, Silent())).all()
    store = TokenStore(tiny_tokenizer(["a cat sleeps"]), 16, "cross")
    lengths = store.lengths(store.rows(rows.texts))
    assert 1 <= lengths.min() <= lengths.max() <= 16
    group = connect(np.array([[HARD[kind]], ["a cat"]], dtype=object), "near", 0.9, [])
    assert group.tolist() == [0, 1]
    assert time.monotonic() - began < SECONDS


def test_hard_texts_go_the_whole_way_from_csv_to_scores(tmp_path, capsys):
    hard = [text for kind, text in HARD.items() if kind != "a megabyte"]
    texts = [*hard, *(f"cat {n}" for n in range(12))]
    rows = [(f"r{n}", text, str(n % 5)) for n, text in enumerate(texts)]
    for name, columns in (("train", 3), ("test", 2)):
        header = ["id", "text", "label"][:columns]
        path = tmp_path / f"{name}.csv"
        with path.open("w", encoding="utf-8", newline="", errors="surrogatepass") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerows([header, *(row[:columns] for row in rows)])
    assert read_file(tmp_path / "test.csv")["text"].tolist()[2] == "ab"
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "default.yaml").write_text(
        "name: toy\ndata: {train: train.csv, test: test.csv, sample_submission: ''}\n"
        "columns: {id: id, texts: [text], targets: [label]}\n"
        "task: {problem: regression, metric: rmse}\nfolds: {count: 2}\n"
    )
    options = ["--model", "linear", "--set", "buckets=4096", "--set", "strengths=[1]"]
    assert run(cv.main, ["--root", str(tmp_path), *options, "--json"]) == 0
    (manifest,) = json.loads(capsys.readouterr().out)["runs"].values()
    assert np.isfinite(manifest["oof_score"])
