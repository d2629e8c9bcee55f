"""n-gram counts equal a naive count, whatever the text, and looking up equals counting."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.models.linear import text_features as ngrams
from pipeline.models.linear.text_features import NgramCounter, count_ngrams, tidy

MANY = 2**30  # buckets enough for every n-gram to have one of its own
TEXTS = ["the cat sat", "", "cat", "고양이가 잔다", "cat cat, cat!", "a\nb", "𝒳 ﬁne"]


def naive(text, unit, size):
    """Each n-gram and how often it occurs."""
    units = list(text) if unit == "char" else _words(text)
    return Counter(tuple(units[place : place + size]) for place in range(len(units) - size + 1))


def _words(text):
    return "".join(sign if sign.isalnum() else " " for sign in text).split()


def sizes_of(counts):
    return [sorted(counts[[row]].data.tolist()) for row in range(counts.shape[0])]


@pytest.mark.parametrize("unit", ["char", "word"])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
@settings(max_examples=40, deadline=None)
@given(texts=st.lists(st.text(alphabet=st.sampled_from("ab c,é고"), max_size=12), max_size=6))
def test_counts_equal_a_naive_count(unit, size, texts):
    texts = [tidy(text) for text in texts]
    counts = count_ngrams(texts, (unit, size), MANY)
    expected = [sorted(map(float, naive(text, unit, size).values())) for text in texts]
    assert sizes_of(counts) == expected


@pytest.mark.parametrize("unit", ["char", "word"])
def test_an_ngram_has_the_same_bucket_in_every_text_and_others_have_others(unit):
    texts = [tidy(text) for text in TEXTS]
    counts = count_ngrams(texts, (unit, 2), MANY)
    buckets = [set(counts[[row]].indices.tolist()) for row in range(len(texts))]
    grams = [set(naive(text, unit, 2)) for text in texts]
    for one in range(len(texts)):
        for other in range(len(texts)):
            shared = buckets[one] & buckets[other]
            assert len(shared) == len(grams[one] & grams[other])


def test_words_that_differ_in_order_of_letters_are_told_apart():
    first, second = count_ngrams([tidy("abc"), tidy("cba")], ("word", 1), 2**30)[[0]], None
    second = count_ngrams([tidy("cba")], ("word", 1), MANY)
    assert first.indices.tolist() != second.indices.tolist()


def test_common_ngrams_spread_evenly_over_few_buckets():
    texts = [f" {number} " for number in range(2000)]
    counts = count_ngrams(texts, ("word", 1), 64)
    per_bucket = np.bincount(counts.indices, minlength=64)
    assert per_bucket.min() > 10
    assert per_bucket.max() < 60


def test_characters_a_power_of_two_apart_do_not_meet_in_one_bucket():
    texts = [chr(0x4E00 + 64 * number) for number in range(64)]
    counts = count_ngrams(texts, ("char", 1), 64)
    assert len(set(counts.indices.tolist())) > 30


def test_no_texts_give_no_rows():
    assert count_ngrams([], ("char", 2), 16).shape == (0, 16)


def test_a_lone_surrogate_counts_as_a_character():
    assert sizes_of(count_ngrams([tidy("\ud800a")], ("char", 1), MANY)) == [[1.0, 1.0, 2.0]]


def test_a_nul_is_a_space():
    assert tidy("a\x00b") == " a b "


def test_looking_counts_up_equals_counting():
    counter = NgramCounter([("char", 2), ("word", 1)], 256)
    texts = [tidy(text) for text in TEXTS]
    counter.count(texts[:3])
    for batch in (texts, texts[::-1], texts[2:4] * 2, []):
        found = counter.count(batch)
        for family, counts in zip(counter.families, found, strict=True):
            expected = count_ngrams(batch, family, 256)
            np.testing.assert_array_equal(counts.todense(), expected.todense())


def test_a_text_is_counted_once(monkeypatch):
    counted = []
    real = ngrams.count_ngrams
    spy = lambda texts, *rest: counted.extend(texts) or real(texts, *rest)  # noqa: E731
    counter = NgramCounter([("char", 2)], 256)
    monkeypatch.setattr(ngrams, "count_ngrams", spy)
    counter.count([" a ", " b ", " a "])
    counter.count([" b ", " c "])
    assert counted == [" a ", " b ", " c "]


def test_no_more_is_held_in_memory_than_allowed():
    small = NgramCounter([("char", 2)], 256, most_nonzeros=20)
    texts = [tidy(f"text number {number}") for number in range(50)]
    found = small.count(texts)[0]
    small.count([" ab "])
    assert small.nonzeros <= 20
    expected = count_ngrams(texts, ("char", 2), 256)
    np.testing.assert_array_equal(found.todense(), expected.todense())
