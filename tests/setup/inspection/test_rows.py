import numpy as np
import pytest

from pipeline.setup.inspection.description import bins, columns, histogram, lengths, spread, tokens
from tests.setup.inspection.toys import competition, table


def test_bins_agree_with_numpy_and_hold_every_row():
    values = np.random.default_rng(0).random(1000) * 5
    edges, names = bins(values, (0, 5))
    expected, _ = np.histogram(values, bins=10, range=(0, 5))
    assert histogram(values, edges) == expected.tolist()
    assert (names[0], names[-1]) == ("0 to 0.5", "4.5 to 5")
    assert histogram(np.array([-1.0, 9.0]), edges) == [1, *[0] * 8, 1]


def test_a_label_on_an_edge_is_counted_above_it_and_few_values_get_a_bin_each():
    edges, names = bins(np.linspace(0, 1, 21), (0, 1))
    assert names[3] == "0.3 to 0.4"
    assert histogram(np.array([0.3, 0.6, 1.0]), edges) == [0, 0, 0, 1, 0, 0, 1, 0, 0, 1]
    assert bins(np.array([1, 2, 2.5]), None)[1] == ["1", "2", "2.5"]


def test_spread_of_each_kind_of_problem():
    train, dev = table(["a"] * 4, [0, 2, 2, 1]), table(["b"] * 2, [0, 0])
    facts = spread(
        competition("multiclass", classes=["x", "y", "z"]), {"train": train, "holdout": dev}
    )
    assert facts.counts == {"train": [1, 1, 2], "holdout": [2, 0, 0]}
    assert facts.moved("holdout") == 0.75
    labels = table(["a"] * 4, [[1, 0], [0, 0], [1, 1], [1, 0]])
    facts = spread(competition("multilabel", targets=["p", "q"]), {"train": labels})
    assert (facts.names, facts.counts["train"]) == (["p", "q"], [3, 1])
    assert (facts.label_sets, facts.unlabelled) == (3, 1)
    facts = spread(competition(targets=["p", "q"]), {"train": table(["a"] * 3, np.eye(3)[:, :2])})
    assert [(fact.minimum, fact.maximum) for fact in facts.numbers] == [(0, 1), (0, 1)]
    assert facts.correlations[0][1] == pytest.approx(-0.5)


def test_lengths_count_characters_words_and_empty_texts():
    facts = lengths(["text"], {"train": table(["ab cd", " ", ""]), "test": table(["x" * 3000])})
    column = facts.columns[0]
    assert (column.characters["train"].maximum, column.words["train"].maximum) == (5, 2)
    assert column.empty == {"train": 2, "test": 0}
    assert facts.beyond["test"] == {"128": 1.0, "256": 1.0, "512": 1.0}
    assert not facts.sampled


def test_tokens_are_counted_per_text_and_not_over_its_end():
    texts = ["Rain fell on the old house.", "", "비가 옵니다", "雨 12!"]
    together = tokens(np.array(texts, dtype=object))
    one_by_one = [float(tokens(np.array([text], dtype=object))[0]) for text in texts]
    np.testing.assert_allclose(together, one_by_one, rtol=1e-6)
    assert together[1] == 0
    assert 5 < together[0] < 9  # six words and a full stop


def test_columns_and_values_that_one_file_lacks_are_named():
    facts = columns(
        {
            "train": ["id", "text", "where", "votes", "label"],
            "test": ["id", "text", "where", "day", "key"],
        },
        ["label", "key"],
        {"where": np.array(["a", "a", "b", "c"], object)},
        {"where": np.array(["b", "x", "x"], object)},
    )
    assert (facts.only_train, facts.only_test) == (["votes"], ["day"])
    values = facts.values[0]
    assert (values.only_train, values.only_train_rows) == ({"a": 2, "c": 1}, 3)
    assert (values.only_test, values.only_test_rows) == ({"x": 2}, 2)
