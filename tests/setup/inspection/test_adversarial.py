import numpy as np

from pipeline.setup.inspection import adversarial as alike_room
from pipeline.setup.inspection.adversarial import alike, indicators, parts_of_texts
from pipeline.setup.inspection.duplicates import code
from pipeline.setup.inspection.row_properties import Property
from tests.setup.inspection.toys import sentences, table


def told(train, test):
    ours, theirs = code([train.texts, test.texts])
    return alike(train, ours, test, theirs)


def test_rows_of_one_source_cannot_be_told_apart_and_other_words_can():
    rng = np.random.default_rng(0)
    train, test = (table(sentences(rng, 400, length=12)) for _ in range(2))
    facts = told(train, test)
    assert facts.low < 0.55
    assert facts.low <= facts.auc <= facts.high
    assert facts.rows == 800
    other = table(sentences(rng, 400, ["moon", "sea", "boat"]))
    assert told(train, other).low > 0.99
    assert told(train, table(["too few"])) is None


def test_a_column_that_differs_is_seen_and_named_as_the_reason():
    rng = np.random.default_rng(0)
    train = table(sentences(rng, 300), features={"source": ["a", "b", "c"] * 100})
    test = table(sentences(rng, 300), features={"source": ["b", "c", "d"] * 100})
    facts = told(train, test)
    assert facts.parts["columns"] > 0.6 > facts.parts["lengths"]


def test_remembering_a_sentence_does_not_tell_train_from_test(monkeypatch):
    rng = np.random.default_rng(0)
    texts = sentences(rng, 60, length=12)
    train, test = table(texts[:30] * 10), table(texts[30:] * 10)
    assert told(train, test).auc < 0.65
    at_random = (np.arange(600) // 7 % 5).reshape(-1, 1)
    monkeypatch.setattr(alike_room, "parts_of_texts", lambda names: at_random)
    assert told(train, test).auc > 0.85


def test_equal_texts_are_in_one_part_and_a_giant_group_is_cut_between_its_texts():
    small = np.array([["a", "b"], ["b", "c"], *([f"x{i}", f"y{i}"] for i in range(20))], object)
    part = parts_of_texts(small)
    assert len(set(part[:2].ravel())) == 1
    np.testing.assert_array_equal(part[:, 0], part[:, 1])
    chain = np.array([[f"{i}", f"{i + 1}"] for i in range(50)], object)
    part = parts_of_texts(chain)
    np.testing.assert_array_equal(part[:-1, 1], part[1:, 0])
    assert set(part.ravel()) == {0, 1, 2, 3, 4}


def test_each_value_of_each_property_is_a_column_of_its_own():
    first = Property(name="a", kind="text", values=np.array([0, 1, 1]))
    second = Property(name="b", kind="text", values=np.array([2, 0, 1]))
    expected = np.array([[1, 0, 0, 0, 1], [0, 1, 1, 0, 0], [0, 1, 0, 1, 0]]) / np.sqrt(2)
    np.testing.assert_allclose(indicators([first, second]).toarray(), expected, rtol=1e-6)
