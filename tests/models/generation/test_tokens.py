"""Pieces of what is read and what is written."""

import numpy as np
import pytest

from pipeline.base.errors import ArtifactError
from pipeline.models.generation.tokens import (
    END,
    SourcesAndAnswers,
    as_text,
    from_text,
    learned,
)

TEXTS = ["a cat lives in the house", "a dog lives in the wood"] * 3


@pytest.mark.parametrize(
    "text", ["a cat", "고양이가 자고 있다", "naïve 👩\u200d👩\u200d👧 ①", "  x\n\ty"]
)
def test_every_text_can_be_written_whatever_was_learned(text):
    tokenizer = learned(iter(TEXTS), 300)
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True).strip() == text.strip()


def test_pieces_are_those_of_the_texts_that_were_learned_and_the_same_each_time():
    first, second = learned(iter(TEXTS), 300), learned(iter(TEXTS), 300)
    assert as_text(first) == as_text(second)
    assert "Ġlives" in first.get_vocab()
    assert "Ġlives" not in learned(iter(["something else"] * 3), 300).get_vocab()


def test_a_saved_tokenizer_gives_the_same_tokens_and_a_damaged_one_is_refused():
    tokenizer = learned(iter(TEXTS), 300)
    again = from_text(as_text(tokenizer), "x")
    assert again(TEXTS)["input_ids"] == tokenizer(TEXTS)["input_ids"]
    with pytest.raises(ArtifactError, match="the tokenizer saved in x"):
        from_text("{}", "x")


@pytest.mark.parametrize("joined", [False, True])
def test_an_answer_ends_and_a_text_that_is_gone_on_with_does_not(joined):
    tokenizer = learned(iter(TEXTS), 300)
    store = SourcesAndAnswers(tokenizer, 8, 6, joined)
    rows = store.rows(np.array([["a cat", "a dog"], ["a cat", "the wood"]], dtype=object))
    ids, _, lengths = store.gather(rows[:, 1])
    end = tokenizer.convert_tokens_to_ids(END)
    assert ids[np.cumsum(lengths) - 1].tolist() == [end, end]
    read = store.gather(rows[:1, 0])[0]
    assert (read[-1] == end) is not joined
    assert store.lengths(rows).tolist() == [
        [store.lengths(rows[:1, 0])[0], lengths[0]],
        [store.lengths(rows[:1, 0])[0], lengths[1]],
    ]


def test_texts_and_answers_have_limits_of_their_own():
    store = SourcesAndAnswers(learned(iter(TEXTS), 300), 4, 9, joined=False)
    rows = store.rows(np.array([[TEXTS[0] * 3, TEXTS[0] * 3], ["a", "a"]], dtype=object))
    assert store.lengths(rows)[0].tolist() == [4, 9]
    assert store.truncated(rows) == 2
    assert store.truncated(rows[1:]) == 0
