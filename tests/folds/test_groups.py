"""Groups: rows that share a sentence stay together, and nothing else glues them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.folds import groups
from pipeline.folds.groups import bands, connect, describe, jaccard, near_pairs, ngrams

LONG = "the quick brown fox jumps over the lazy dog near the river bank on a sunny day"


def texts(*rows):
    return np.array([[row] if isinstance(row, str) else list(row) for row in rows], dtype=object)


def same(groups, first, second):
    return groups[first] == groups[second]


def test_groups_are_numbered_in_order_of_first_appearance():
    groups = connect(texts("b", "a", "b", "c", "a"), "exact")
    np.testing.assert_array_equal(groups, [0, 1, 0, 2, 1])


def test_a_chain_of_shared_sentences_is_one_group():
    groups = connect(texts(("a", "b"), ("c", "d"), ("b", "c"), ("e", "f")), "exact")
    np.testing.assert_array_equal(groups, [0, 0, 0, 1])


def test_a_swapped_pair_belongs_to_its_original():
    assert same(connect(texts(("a b", "c d"), ("C d.", "A  b")), "exact"), 0, 1)


@pytest.mark.parametrize("how", ["exact", "near"])
def test_empty_texts_link_nothing(how):
    groups = connect(texts(("a", ""), ("b", ""), (" ", "c"), ("", "")), how)
    np.testing.assert_array_equal(groups, [0, 1, 2, 3])


def test_equal_single_texts_stay_together_however_short():
    assert same(connect(texts("good", "bad", "Good!"), "near"), 0, 2)


def test_a_generic_sentence_makes_a_giant_group_and_describe_tells():
    rows = [("yes" if row % 20 == 0 else f"answer {row}", f"question {row}") for row in range(400)]
    facts = describe(connect(texts(*rows), "exact"))
    assert (facts.count, facts.largest, facts.largest_group) == (381, 20, 0)
    assert facts.shared == pytest.approx(0.05)


def test_near_copies_are_found_only_when_asked_for():
    rows = texts(LONG, LONG + "s", "something else altogether stands here")
    assert same(connect(rows, "near"), 0, 1)
    assert not same(connect(rows, "near"), 0, 2)
    assert not same(connect(rows, "exact"), 0, 1)
    assert not same(connect(rows, "none"), 0, 1)


def test_nothing_below_the_threshold_is_linked():
    changed = LONG.replace("fox", "cat").replace("sunny", "rainy")
    similarity = jaccard(ngrams(LONG), ngrams(changed))
    assert same(connect(texts(LONG, changed), "near", similarity - 0.01), 0, 1)
    assert not same(connect(texts(LONG, changed), "near", similarity + 0.01), 0, 1)


def test_further_columns_link_rows_and_empty_values_do_not():
    author = np.array(["kim", "", "lee", "kim", ""], dtype=object)
    prompt = np.array(["1", "2", "3", "4", "3"], dtype=object)
    rows = texts("a", "b", "c", "d", "e")
    np.testing.assert_array_equal(connect(rows, "none", columns=[author]), [0, 1, 2, 0, 3])
    np.testing.assert_array_equal(connect(rows, "none", columns=[author, prompt]), [0, 1, 2, 0, 2])


def test_without_links_every_row_is_its_own_group():
    np.testing.assert_array_equal(connect(texts("a", "a", "a"), "none"), [0, 1, 2])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh")),
        min_size=1,
        max_size=15,
    )
)
def test_groups_are_the_components_that_a_naive_search_finds(rows):
    groups = connect(texts(*rows), "exact")
    naive = list(range(len(rows)))
    for _ in rows:
        for i, one in enumerate(rows):
            for j, other in enumerate(rows):
                if set(one) & set(other):
                    naive[i] = naive[j] = min(naive[i], naive[j])
    for i in range(len(rows)):
        for j in range(len(rows)):
            assert same(groups, i, j) == (naive[i] == naive[j])


def test_the_order_of_rows_does_not_change_who_belongs_together():
    random = np.random.default_rng(0)
    rows = np.array(
        [[LONG[: 40 + row % 30], f"line number {row // 3}"] for row in range(60)], object
    )
    order = random.permutation(60)
    straight, shuffled = connect(rows, "near", 0.8)[order], connect(rows[order], "near", 0.8)
    np.testing.assert_array_equal(straight[:, None] == straight, shuffled[:, None] == shuffled)


@pytest.mark.parametrize("threshold", [0.9, 0.7, 0.5])
def test_near_pairs_connect_what_brute_force_connects(threshold):
    random = np.random.default_rng(1)
    words = [f"{a}{b}{c}" for a in "bdfgkl" for b in "aeiou" for c in "mnrst"]
    base = [" ".join(random.choice(words, 12)) for _ in range(60)]
    copies = []
    for sentence in base:
        for changes in (1, 2, 4):
            copy = sentence.split()
            for place in random.choice(12, changes, replace=False):
                copy[place] = str(random.choice(words))
            copies.append(" ".join(copy))
    sentences = base + copies
    naive = list(range(len(sentences)))
    for i in range(len(sentences)):
        for j in range(i):
            if jaccard(ngrams(sentences[i]), ngrams(sentences[j])) >= threshold:
                naive = [naive[j] if each == naive[i] else each for each in naive]
    found = list(range(len(sentences)))
    for i, j in near_pairs(sentences, threshold).tolist():
        found = [found[j] if each == found[i] else each for each in found]
    assert len(set(naive)) < len(sentences)
    naive_, found_ = np.array(naive), np.array(found)
    np.testing.assert_array_equal(naive_[:, None] == naive_, found_[:, None] == found_)


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0])
def test_the_bands_propose_a_pair_at_the_threshold_almost_surely(threshold):
    count, rows = bands(threshold)
    assert count >= 2
    assert count * rows <= 64
    assert 1 - (1 - threshold**rows) ** count >= 0.998


@pytest.mark.nightly
def test_ten_thousand_near_copies_are_connected_by_few_links():
    sentences = [f"{LONG} number {number}" for number in range(10_000)]
    assert len(near_pairs(sentences, 0.8)) == 9_999


def test_the_same_sentences_are_searched_once_and_others_anew(monkeypatch):
    searched, search = [], groups._search
    monkeypatch.setattr(groups, "_FOUND", {})
    monkeypatch.setattr(groups, "_search", lambda *asked: searched.append(asked) or search(*asked))
    sentences = ["the cat sleeps in the garden", "the cat sleeps in the gardens", "a dog"]
    first = near_pairs(sentences, 0.8)
    first[:] = 0  # what a caller does with its answer is its own affair
    assert near_pairs([*sentences], 0.8).tolist() == [[0, 1]]
    assert len(searched) == 1
    assert near_pairs(sentences, 0.99).tolist() == []
    assert near_pairs(["".join(sentences), ""], 0.8).tolist() == []
    assert len(searched) == 3
    for number in range(2 * groups.REMEMBERED):
        near_pairs([f"sentence {number}"], 0.8)
    assert len(groups._FOUND) == groups.REMEMBERED
