"""Texts as predictions keep their rows, their order and their bytes; what is damaged is refused."""

import math

import numpy as np
import pytest

from pipeline.base import ArtifactError
from pipeline.data.candidates import Candidates, concatenate_rows, read_lines

FOUND = Candidates(
    [["A pub.", 'A café\u2028by the "river"\n'], [""], ["셋", "넷", "셋"]],
    [[-0.5, -2.25], [math.nan], [-1.0, math.nan, -math.log(3)]],
)


def test_lines_hold_every_text_and_every_bit_of_the_log_probabilities() -> None:
    """Line ends of other alphabets, empty texts, nothing known of a candidate."""
    content = FOUND.lines(["a", "b", "c"])
    assert content.count("\n") == 3
    ids, read = read_lines(content, "x")
    assert ids.tolist() == ["a", "b", "c"]
    assert read == FOUND
    assert read.lines(ids.tolist()) == content


def test_rows_are_chosen_by_mask_and_by_place_and_put_together() -> None:
    """As arrays are."""
    assert FOUND.rows(np.array([True, False, True])) == FOUND.rows(np.array([0, 2]))
    assert concatenate_rows([FOUND.rows(np.array([2])), FOUND.rows(np.array([0]))]) == FOUND.rows(
        np.array([2, 0])
    )
    assert FOUND.best.tolist() == ["A pub.", "", "셋"]
    assert Candidates(FOUND.texts, [[-0.5, -2.5], *FOUND.log_probabilities[1:]]) != FOUND
    assert Candidates.single(["x"]) == Candidates([["x"]], [[math.nan]])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"id": "a", "candidates": [{"text": "x", "logp": NaN}]}\n', "NaN is no number"),
        ('{"id": "a", "candidates": []}\n', "line 1: expected"),
        ('{"id": 3, "candidates": [{"text": "x", "logp": null}]}\n', "line 1: expected"),
        ('{"id": "a", "candidates": [{"text": "x"}]}\n', "not as expected"),
        ('{"id": "a", "candidates": [{"text": "x", "logp": true}]}\n', "not as expected"),
        ('{"id": "a", "candidates": [{"text": "x", "logp": 0}]}\n' * 2, "twice: a"),
        ('{"id": "a", "candidates": [{"text": "x", "logp": 0}]}', "cut off"),
        ("[1]\n", "line 1: expected"),
        ("{\n", "line 1: "),
    ],
)
def test_what_is_no_such_file_is_refused_with_its_line(content: str, told: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ArtifactError, match=told):
        read_lines(content, "x")
