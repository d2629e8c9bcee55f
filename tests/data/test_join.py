"""Rows of two files come together by id, in one place only; what does not fit is named."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.errors import ArtifactError, DataError
from pipeline.data.join import Order, compare, doubled, places_of, shared

PACKAGE = Path(__file__).resolve().parents[2] / "pipeline"
IDS = st.lists(st.text("ab01", max_size=2), max_size=8)


@given(found=IDS, wanted=IDS)
def test_what_is_missing_surplus_or_doubled_is_told_once_each_in_order(found, wanted):
    differ = compare(found, wanted)
    assert set(differ.missing) == set(wanted) - set(found)
    assert set(differ.surplus) == set(found) - set(wanted)
    assert set(differ.doubled) == {name for name in found if found.count(name) > 1}
    for names, source in ((differ.missing, wanted), (differ.surplus, found)):
        assert names == sorted(set(names), key=source.index)
    assert doubled(found) == {name: found.count(name) for name in differ.doubled}


@given(wanted=IDS.map(lambda ids: list(dict.fromkeys(ids))), draw=st.randoms())
def test_the_same_rows_in_another_order_are_brought_into_the_one_asked_for(wanted, draw):
    found = draw.sample(wanted, len(wanted))
    places = places_of(wanted, np.array(found, dtype=object))
    assert [found[place] for place in places] == wanted


@pytest.mark.parametrize(
    ("wanted", "found", "told"),
    [
        (["a", "b"], ["a"], "1 missing: b"),
        (["a"], ["a", "x", "y"], "2 not asked for: x, y"),
        (["a", "b"], ["a", "a", "b"], "1 stand more than once: a"),
        (["a", "b"], ["a", "a"], "1 missing: b; 1 stand more than once: a"),
        (list("abcdefg"), [], "7 missing: a, b, c, d, e and 2 more"),
        (["a", "a"], ["a"], "an id is asked for twice"),
        (["a", "a"], ["a", "b"], "1 not asked for: b"),
    ],
)
def test_rows_that_are_not_the_same_cannot_be_joined_and_are_named(wanted, found, told):
    with pytest.raises(DataError, match=f"^the rows of x cannot be joined by id: {told}$"):
        places_of(wanted, found, "the rows of x")


def test_rows_in_common_keep_the_order_of_the_first_and_its_repeats():
    rows, places = shared(np.array(["x", "b", "a", "b"]), np.array(["a", "b", "c"]))
    assert (rows.tolist(), places.tolist()) == ([1, 2, 3], [1, 0, 1])
    assert [each.tolist() for each in shared([], ["a"])] == [[], []]


def test_an_order_is_looked_up_once_per_list_of_ids(monkeypatch):
    order = Order(np.array(["a", "b", "c"]))
    found = np.array(["c", "a"])
    assert order.places(found).tolist() == [2, 0]
    monkeypatch.setattr(order, "_place_of", {"z": 9})  # a second look-up would go wrong
    assert order.places(found.copy()).tolist() == [2, 0]
    assert order.places(np.array(["c", "b"])).tolist() == [-1, -1]


def test_predictions_are_put_into_the_order_or_refused_with_the_names():
    order, values = Order(np.array(["a", "b"])), np.array([[1.0], [2.0]])
    put = order.aligned(values, np.array(["b", "a"]), "x")
    np.testing.assert_array_equal(put, [[2.0], [1.0]])
    with pytest.raises(ArtifactError, match=r"^x:") as refused:
        order.aligned(values, np.array(["b", "z"]), "x")
    assert "1 of its rows have no prediction, or more than one: ['a']" in str(refused.value)
    assert "1 of its rows are not in today's files: ['z']" in str(refused.value)


def numbered_ids(source: str) -> list[int]:
    """Lines that map ids to their places: {… : place for place, … in enumerate(… ids …)}."""
    found: list[int] = []
    if "enumerate(" not in source:
        return found  # as in most files: nothing to look through
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.DictComp):
            loop = ast.unparse(node.generators[0])
            counted = re.search(r"for \(?(\w+), \w+\)? in enumerate\(.*ids\b", loop)
            if counted and ast.unparse(node.value) == counted[1]:
                found.append(node.lineno)
    return found


def test_only_the_join_itself_looks_up_where_ids_stand():
    assert numbered_ids("{name: at for at, name in enumerate(table.ids.tolist())}") == [1]
    places = {
        file.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("*.py")
        if numbered_ids(file.read_text(encoding="utf-8"))
    }
    assert places == {"data/join.py"}
