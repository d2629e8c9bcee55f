"""The figures of the audit of tags and texts: what a leaking file holds, and what is counted."""

import numpy as np
import pytest

from benchmarks.audits import __main__ as numbers
from benchmarks.audits.documents import FILES, Line, Made, log_of, made_of, page
from benchmarks.audits.page import interval
from pipeline.data.candidates import Candidates
from pipeline.team.competition import PARTS
from tests.blendable import make


def test_a_leaking_file_differs_where_rows_were_seen_and_the_page_counts_what_is_kept_out(tmp_path):
    honest = {"train": np.zeros(4), "test": np.zeros(2), "holdout": np.zeros(2)}
    made = Made(honest, {"train": np.ones(4), "test": np.ones(2)})
    held_out = np.array([True, False, True, False])
    held = {what: file(made, held_out) for what, file in FILES.items()}
    train = {what: values["train"].tolist() for what, values in held.items()}
    assert list(train.values()) == [[0] * 4, [1, 0, 1, 0], [1] * 4, [1] * 4]
    assert [values["test"].sum() for values in held.values()] == [0, 0, 0, 2]
    assert all(values["holdout"] is honest["holdout"] for values in held.values())
    assert honest["train"].sum() == 0, "the honest file stays as it is"
    texts = np.array(["a b", "c"], dtype=object)
    Made(dict.fromkeys(honest, texts), {"train": texts, "test": texts}).save(tmp_path / "x.npz")
    again = Made.load(tmp_path / "x.npz")
    assert [each.tolist() for each in again.values.values()] == [["a b", "c"]] * 3
    assert set(again.seen) == {"train", "test"}
    assert again.logs is None
    lines = [
        Line("toy", "crf", what, holdout, verdict, 0.5, 0.5, accused)
        for holdout in (True, False)
        for what, verdict, accused in [
            ("honest", "in", ("claims (warning): much",)),
            ("trained on all rows", "out" if holdout else "in", ("leakage (out): seen",)),
        ]
    ]
    text = page(lines, 120, 1)
    assert "| toy | crf | honest | 1 | 0.500 | 0 | 0 | 1 |" in text
    assert "| toy | crf | trained on all rows | 1 | 0.500 | 1 | 0 |" in text
    assert "| leakage | 0 | 2 |" in text


def test_texts_are_taken_with_their_probabilities_and_kept(tmp_path):
    def said(text: str, log: float) -> Candidates:
        return Candidates([[text, "z"]] * 2, [[log, -9.0]] * 2)

    learners = [dict.fromkeys(PARTS, said(text, log)) for text, log in [("a", -1.0), ("b", -2.0)]]
    together = dict.fromkeys(PARTS, said("c", -0.5))
    held_out = [np.array([True, False]), np.array([False, True])]
    made = made_of(learners, together, held_out, lambda each: each.best)
    made.logs = made_of(learners, together, held_out, log_of)
    made.save(tmp_path / "x.npz")
    again = Made.load(tmp_path / "x.npz")
    assert again.values["train"].tolist() == ["a", "b"]
    assert again.values["test"].tolist() == ["a", "a"], "by the first learner"
    assert again.logs is not None
    assert again.logs.values["train"].tolist() == [-1, -2]
    assert again.logs.seen["test"].tolist() == [-0.5, -0.5]


def test_no_part_of_a_world_is_swallowed_by_a_group_of_many_rows(tmp_path, monkeypatch):
    toy = make(tmp_path, "regression", "pearson", n=400)
    groups = np.concatenate([np.zeros(200, dtype=int), np.arange(1, 201)])
    monkeypatch.setattr(numbers, "read", lambda *_: (toy.competition, toy.tables, groups))
    large = set(toy.tables.train.ids[:200].tolist())
    for seed in range(5):
        random = np.random.default_rng(seed)
        rows = {"train": 60, "test": 30, "holdout": 20}
        contest, _ = numbers.cut(tmp_path, "toy", random, rows)
        assert {part: len(ids) for part, ids in contest.ids.items()} == rows
        assert not large & {each for ids in contest.ids.values() for each in ids.tolist()}


def test_a_share_of_the_page_has_the_interval_of_its_files_and_of_its_worlds():
    none = [np.zeros(5, dtype=bool)] * 8
    low, high = interval(none)
    assert low == 0
    assert high == pytest.approx(0.088, abs=0.002)  # Wilson, of 40 files
    alike = [np.ones(5, dtype=bool)] * 4 + none[:4]
    low, high = interval(alike)
    assert (low, high) == (pytest.approx(0.125, abs=0.13), pytest.approx(0.875, abs=0.13))
    assert interval([np.array([True, False])] * 20)[0] > low  # of one world no more than of another


def test_the_page_of_numbers_begins_with_what_is_kept_out():
    def line(
        what: str, verdict: str, removed: float, *accused: tuple[str, str, str]
    ) -> numbers.Line:
        return numbers.Line("toy", 120, what, "trees", verdict, accused, removed, 0.1)

    flat = ("values", "out", "all test predictions are the same in label")
    world = [
        line("trained on all rows", "out", 0.7),
        line("trained on all rows", "in", 0.6),
        line("trained on all rows", "unproven", 0.2),
        line("alone", "unproven", 0.0),
        line("beside others", "out", 0.0, flat),
        line("beside others", "in", 0.0),
        line("the mean of five beside one", "in", 0.4),
    ]
    text = numbers.page([world, world], 2, 7)
    assert "--worlds 2 --first 7 --write" in text
    for told in (
        "have seen labels, remove half or more | kept out | 4 | 50.0 |",
        "the same, of models that remove less honestly | kept out | 4 | 50.0 |",
        "have seen labels | kept out | 6 | 66.7 |",
        "honest | unproven | 8 | 25.0 |",
        "honest | out | 8 | 25.0 |",
        "honest, none collapsed | out | 6 | 0.0 |",
        "honest and stronger | unproven or out | 2 | 0.0 |",
    ):
        assert told in text
