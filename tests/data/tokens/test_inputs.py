"""Keys: equal exactly where the cleaned texts are, and found again without the texts."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.tokens.tokenizer import NOTHING, Index, clean, distinct, inputs_of, keys_of

digits = st.text(alphabet="0123:9", max_size=4)
pairs = st.tuples(digits, digits)


def texts_of(*rows: tuple[str, ...]) -> np.ndarray:
    return np.array(rows, dtype=object).reshape(len(rows), -1)


def keys_like(*halves: tuple[int, int]) -> np.ndarray:
    return np.array(halves, dtype=np.uint64).reshape(-1, 2).T


def as_tuples(keys: np.ndarray) -> list[tuple[int, int]]:
    return [tuple(key) for key in keys.T.tolist()]


@given(pairs, pairs)
def test_two_pairs_have_one_key_only_if_both_texts_are_the_same(one, other):
    first, second = as_tuples(keys_of(texts_of(one, other)))
    assert (first == second) == (one == other)


def test_texts_that_read_alike_when_glued_have_keys_of_their_own():
    glued = [("a", "b"), ("ab", ""), ("", "ab"), ("1:a", ""), ("a", ""), ("0:", "a")]
    assert len({*as_tuples(keys_of(texts_of(*glued)))}) == len(glued)
    alone, pair = keys_of(texts_of(("a0:",))), keys_of(texts_of(("a", "")))
    assert as_tuples(alone) != as_tuples(pair)


def test_texts_that_clean_to_the_same_have_one_key():
    keys = keys_of(texts_of(("a\x00b", "\ud800"), ("ab", "\ufffd")))
    assert len({*as_tuples(keys)}) == 1
    assert clean("a\x00b") == "ab"


def test_a_key_is_that_of_its_texts_wherever_they_stand(monkeypatch):
    texts = texts_of(*[(f"text {n}", str(n % 3)) for n in range(10)])
    whole = keys_of(texts)
    monkeypatch.setattr("pipeline.data.tokens.tokenizer.BLOCK", 3)
    np.testing.assert_array_equal(keys_of(texts), whole)
    np.testing.assert_array_equal(keys_of(texts[::-1]), whole[:, ::-1])


def test_the_keys_of_today_are_those_of_tomorrow():
    """Stores on disk are found by them: another rule needs another CLEANING or FORMAT."""
    assert keys_of(texts_of(("A cat", "고양이"))).T.tolist() == [
        [127507311073382386, 15013681918485709744]
    ]


def test_siamese_texts_are_inputs_row_after_row():
    texts = texts_of(("a", "b"), ("c", "d"))
    assert inputs_of(texts, "siamese").tolist() == [["a"], ["b"], ["c"], ["d"]]
    assert inputs_of(texts, "cross") is texts


halves = st.tuples(st.integers(0, 3), st.integers(0, 3))


@given(st.lists(halves, max_size=30))
def test_distinct_are_the_first_places_by_ascending_key(several):
    places = distinct(keys_like(*several))
    assert [several[at] for at in places] == sorted(set(several))
    assert all(several.index(several[at]) == at for at in places)


@given(
    st.lists(halves, unique=True, max_size=12),
    st.lists(halves, unique=True, max_size=12),
    st.lists(halves, max_size=20),
)
def test_every_key_is_found_with_its_row_also_where_first_halves_meet(kept, more, wanted):
    kept = sorted(kept)
    more = [key for key in more if key not in kept]
    index = Index(keys_like(*kept))
    row_of = {key: row for row, key in enumerate(kept)}
    assert index.find(keys_like(*wanted)).tolist() == [row_of.get(key, -1) for key in wanted]
    later = np.arange(100, 100 + len(more))
    row_of |= dict(zip(more, later.tolist(), strict=True))
    both = index.joined(keys_like(*more), later)
    assert both.find(keys_like(*wanted)).tolist() == [row_of.get(key, -1) for key in wanted]


def test_nothing_finds_nothing():
    assert NOTHING.find(keys_like((1, 2))).tolist() == [-1]
    assert NOTHING.find(keys_like()).tolist() == []
