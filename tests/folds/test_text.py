"""Normalising texts: what counts as the same, and what does not."""

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.folds.groups import normalise, normalise_all

TRICKY = st.text(
    st.one_of(
        st.characters(codec=None),
        st.sampled_from(
            "ßŉǰΐᾳİıſKÅﬁ㈜ㅋㅏ가각가́̈\u200b\u200d\ufeff\u00ad\u3164\u00a0\u3000.!?“”'\"\x00\x1f"
        ),
    )
)


@given(TRICKY)
def test_normalising_twice_is_normalising_once(text):
    once = normalise(text)
    assert normalise(once) == once


@pytest.mark.parametrize("character", "ǰΐŉßẖᾳİſﬁϓẛ")
def test_characters_that_case_folding_takes_apart_are_put_together_again(character):
    once = normalise(f"a{character}b")
    assert normalise(once) == once
    assert unicodedata.is_normalized("NFKC", once)
    assert normalise(f"a{character.upper()}b") == once or character == "ŉ"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("A cat sleeps.", "a  cat\nsleeps"),
        ("“Hello there!”", "hello there"),
        ("ＡＢＣ　１２３", "abc 123"),
        ("no\u00a0break", "no break"),
        ("zero\u200bwidth", "zerowidth"),
        ("\ufeffmark", "mark"),
        ("STRASSE", "straße"),
        ("각", "각"),
        ("北", "北"),
    ],
)
def test_spellings_of_one_text_become_one(first, second):
    assert normalise(first) == normalise(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("it is 5", "it is 6"),
        ("c++", "c"),
        ("c#", "c"),
        ("résumé", "resume"),
        ("wait... what", "wait what"),
        ("good ♥", "good"),
        (".", "?"),
        (".", ""),
    ],
)
def test_different_texts_stay_different(first, second):
    assert normalise(first) != normalise(second)


def test_distinct_texts_are_numbered_in_order_of_first_appearance():
    distinct, number = normalise_all(np.array([["B", "a"], ["b!", "c"]], dtype=object))
    assert distinct.tolist() == ["b", "a", "c"]
    np.testing.assert_array_equal(number, [[0, 1], [0, 2]])
