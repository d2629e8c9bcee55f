import numpy as np
import pytest

from pipeline.base.errors import UsageError
from pipeline.data.table import Table
from pipeline.ensemble.predictor import REST, facts_of


def table(sources, texts=None, **more):
    n = len(sources)
    pairs = texts or [["a b", "b c d"]] * n
    return Table(
        ids=np.array([f"r{row}" for row in range(n)], dtype=object),
        texts=np.array(pairs, dtype=object),
        features={"source": np.array(sources, dtype=object), **more},
    )


TRAIN = table(["news"] * 60 + ["talk"] * 50 + ["rare"] * 49)


def test_rows_are_sliced_by_the_values_of_a_column():
    train, test = facts_of([TRAIN, table(["talk", "news", "never seen", "rare"])])
    assert train.levels == test.levels == ["news", "talk"]
    assert train.column == "source"
    assert test.slices.tolist() == [1, 0, REST, REST]
    assert np.bincount(train.slices + 1).tolist() == [49, 60, 50]


@pytest.mark.parametrize(
    ("sources", "why"),
    [(["one"] * 200, "one value"), ([str(row) for row in range(200)], "too many values")],
)
def test_a_column_that_does_not_slice_is_passed_over(sources, why):
    assert not facts_of([table(sources), table(["x"])])[0].levels, why


def test_the_next_column_is_taken_where_the_first_does_not_slice():
    names = np.array(["a", "b"] * 100, dtype=object)
    train = table([str(row) for row in range(200)], kind=names)
    test = table(["x", "y"], kind=np.array(["b", "a"], dtype=object))
    assert facts_of([train, test])[1].slices.tolist() == [1, 0]
    assert not facts_of([train, test], column="source")[0].levels
    assert not facts_of([train, test], column="")[0].levels


@pytest.mark.parametrize("column", ["sauce", "only in train"])
def test_a_named_column_that_is_not_there_is_refused_with_those_there_are(column):
    train = table(["a", "b"] * 60, **{"only in train": np.array(["c", "d"] * 60, dtype=object)})
    with pytest.raises(UsageError, match=f"--slice-by {column}: .*; there are source$"):
        facts_of([train, table(["a"])], column=column)


def test_a_column_that_only_train_has_does_not_slice():
    bare = Table(ids=np.array(["t"], dtype=object), texts=np.array([["a", "b"]], dtype=object))
    assert not facts_of([TRAIN, bare])[0].levels


def test_the_numbers_say_how_long_texts_are_and_what_they_share():
    facts = facts_of([table(["x"], texts=[["a b", "b c d"]])])[0]
    assert facts.names == ["length", "length difference", "words in common"]
    expected = [(np.log(4) + np.log(6)) / 2, np.log(6 / 4), 1 / 4]
    np.testing.assert_allclose(facts.values, [expected])


def test_single_texts_have_a_length_alone():
    facts = facts_of([table(["x"], texts=[["abc"]])])[0]
    assert facts.names == ["length"]
    np.testing.assert_allclose(facts.values, [[np.log(4)]])


def test_facts_of_some_rows_are_those_of_the_whole():
    facts = facts_of([TRAIN])[0]
    rows = np.array([3, 100])
    lazily = facts.take(rows).values
    whole = facts.values
    np.testing.assert_array_equal(lazily, whole[rows])
    np.testing.assert_array_equal(facts.take(rows).values, whole[rows])
    assert facts.names[-2:] == ["source news", "source talk"]
