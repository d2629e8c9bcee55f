"""The figures of the audit of tags and texts: what a leaking file holds, and what is counted."""

import numpy as np

from benchmarks.audits.documents import FILES, Line, Made, log_of, made_of, page
from pipeline.data.candidates import Candidates
from pipeline.team.competition import PARTS


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
