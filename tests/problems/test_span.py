"""Answers in texts: targets, references and decoding."""

import numpy as np
import pytest

from pipeline.problems import span
from pipeline.problems.span import SPAN, References, best_spans, letters, limited, targets_of


def by_hand(rows: np.ndarray, longest: int, factor: float) -> tuple[int, int]:
    """The best answer of one text, by trying all."""
    best, found = -1.0, (-1, -1)
    for end in range(len(rows)):
        for begin in range(max(0, end - longest + 1) if longest else 0, end + 1):
            score = rows[begin, 0] * rows[end, 1]
            if score > best:
                best, found = score, (begin, end)
    return (-1, -1) if np.sqrt(best) < min(rows[0, 2] * factor, span.SURE) else found


@pytest.mark.parametrize("longest", [0, 1, 2, 5, 100])
@pytest.mark.parametrize("factor", [0.0, 1.0, 3.0])
def test_the_best_answer_is_that_of_all_that_there_are(monkeypatch, longest, factor):
    monkeypatch.setattr(span, "CELLS", 40)  # several blocks
    random = np.random.default_rng(longest)
    lengths = [1, 7, 3, 12, 12, 2, 30]
    texts = [random.random((size, 3)) for size in lengths]
    for text in texts:
        text[:, 2] = random.random() / 2  # the same for all of a text
    first = np.concatenate([np.arange(size) == 0 for size in lengths])
    predicted = limited(np.concatenate(texts), longest, factor)
    begin, end, _ = best_spans(predicted, first)
    starts = np.flatnonzero(first)
    for place, text in enumerate(texts):
        wanted = by_hand(text, longest, factor)
        shift = starts[place] if wanted[0] >= 0 else 0
        assert (begin[place] - shift, end[place] - shift) == wanted


def test_labels_are_the_characters_of_the_answer():
    predicted = np.zeros((7, 3))
    predicted[[1, 2], [0, 1]] = 0.9  # from the second to the third
    predicted[4:, 2] = 0.5
    first = np.array([1, 0, 0, 0, 1, 0, 0], dtype=bool)
    assert SPAN.decode(predicted, first, []).tolist() == [0, 1, 1, 0, 0, 0, 0]


def test_references_are_read_from_targets():
    one = targets_of("Bo saw Bo", [(7, 9), (0, 2), (0, 9)])
    none, empty = targets_of("nobody", []), targets_of([""], [])
    targets = np.concatenate([none, one, empty])
    found = References.of(targets)
    assert found.document.tolist() == [1, 1, 1]
    assert list(zip(found.begin - 6, found.end - 6, strict=True)) == [(7, 8), (0, 1), (0, 8)]
    assert letters(targets) == "nobodyBo saw Bo\0"
    wanted = SPAN.expand(targets, 3)
    assert wanted[6:15, 0].tolist() == [0.5, 0, 0, 0, 0, 0, 0, 0.5, 0]
    assert wanted[:, 2].tolist() == [1] * 6 + [0] * 9 + [1]


def test_a_text_outside_of_the_first_plane_is_one_character():
    targets = targets_of("a😀\udc80", [(1, 2)])
    assert letters(targets) == "a😀\udc80"


def test_what_folds_look_at_changes_with_any_answer():
    first = SPAN.document_targets(targets_of("Bo saw Bo", [(0, 2)]), [])
    other = SPAN.document_targets(targets_of("Bo saw Bo", [(7, 9)]), [])
    assert first[0, 0] == other[0, 0] == 2
    assert first[0, 1] != other[0, 1]
    many = np.concatenate([targets_of("Bo saw Bo", [(0, size)] if size else []) for size in
                           (0, 0, 2, 2, 9, 9)])  # fmt: skip
    strata = SPAN.strata(SPAN.document_targets(many, []), 2, 1)
    assert strata[0] == strata[1] != strata[2]
    assert strata[2] == strata[3]
    assert strata[4] == strata[5] != strata[2]


def test_config_of_spans_says_what_is_wrong():
    assert "leave them out" in str(SPAN.classes_problem(["a", "b"]))
    assert SPAN.classes_problem([]) is None
    assert "expected the column" in str(SPAN.columns_problem(["a", "b", "c"], None))  # type: ignore[arg-type]


def test_what_happened_to_answers_is_counted():
    text = "Bo saw Eve"
    answers = [(0, 2), (0, 2), (0, 2), (0, 2), None, None]
    given = [(0, 2), (0, 6), (7, 10), None, (7, 10), None]
    targets = np.concatenate([targets_of(text, [each] if each else []) for each in answers])
    labels = np.zeros((6, len(text)))
    for row, span_ in zip(labels, given, strict=True):
        if span_:
            row[slice(*span_)] = 1
    fates, rows = SPAN.mistakes(targets, labels.ravel(), [])
    assert fates == ["right", "wrong border", "elsewhere", "missed", "invented"]
    assert rows == {"answers": [2, 1, 1, 1, 1]}


def test_answers_of_two_texts_that_touch_are_two():
    labels, first = np.array([1, 1, 1, 0, 1]), np.array([True, False, True, False, False])
    assert SPAN.pieces(labels, first, []) == [(0, 1, ""), (2, 2, ""), (4, 4, "")]
