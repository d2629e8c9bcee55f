"""Texts that are read and answers that are written, as tokens.

Both have the pieces of one tokenizer, and ends of their own: what is read is encoded as the
backbone's tokenizer does it; an answer ends in the end-of-text token, so that a model learns where
to stop. A model from nothing gets a tokenizer of its own: byte-level pieces, merged as the texts
of a training part have them, so that every text can be read and written (Sennrich et al., "Neural
Machine Translation of Rare Words with Subword Units", 2016; of bytes: Radford et al., GPT-2, 2019),
by the library tokenizers.

Notation: n rows, s texts per row, r rows of a store.
"""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from pipeline.base import ArtifactError, UsageError
from pipeline.data.tokens.store import TokenStore
from pipeline.data.tokens.tokenizer import clean

PADDING, END = "<pad>", "</s>"
WRITTEN = 2**40
"""Store rows from here on are answers."""
NO_LIMIT = 10**9


class SourcesAndAnswers(TokenStore):
    """Two stores that look like one: the first text of a row is read, the second is written."""

    def __init__(self, tokenizer: Any, max_source: int, max_answer: int, joined: bool) -> None:
        """*joined*: both stand in one line for a decoder alone, which no end-of-text may part."""
        reading, writing = copy.deepcopy(tokenizer), copy.deepcopy(tokenizer)
        if joined:
            _without_end(reading)
        _with_end(writing, bare=joined)
        super().__init__(reading, max_source, "siamese")
        self.answers = TokenStore(writing, max_answer, "siamese")

    def rows(self, texts: np.ndarray) -> np.ndarray:
        """Store rows (n, s) of *texts* (n, s), s one or two."""
        read = super().rows(texts[:, :1])
        return (
            np.hstack([read, WRITTEN + self.answers.rows(texts[:, 1:])])
            if texts.shape[1] > 1
            else read
        )

    def lengths(self, rows: np.ndarray) -> np.ndarray:
        """Tokens of each of the store rows *rows* (any shape)."""
        read = rows < WRITTEN
        found = np.empty(rows.shape, dtype=np.int64)
        found[read] = super().lengths(rows[read])
        found[~read] = self.answers.lengths(rows[~read] - WRITTEN)
        return found

    def truncated(self, rows: np.ndarray) -> int:
        """How many of the store rows *rows* (any shape) were too long."""
        read = rows < WRITTEN
        written = self.answers.truncated(rows[~read] - WRITTEN)
        return super().truncated(rows[read]) + written

    def gather(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The tokens of the store rows *rows* (r,), which are all read or all written."""
        if len(rows) and rows[0] >= WRITTEN:
            return self.answers.gather(rows - WRITTEN)
        return super().gather(rows)


def _without_end(tokenizer: Any) -> None:
    """Have *tokenizer* add nothing behind a text."""
    backend, end = tokenizer.backend_tokenizer, tokenizer.eos_token_id
    added = backend.encode("a").ids
    if end is not None and len(added) > 1 and added[-1] == end:
        _add(tokenizer, "$A")


def _with_end(tokenizer: Any, bare: bool) -> None:
    """Have *tokenizer* put the end-of-text behind a text; if *bare*, nothing in front of it."""
    if tokenizer.eos_token_id is None:
        raise UsageError(
            "the backbone's tokenizer has no end-of-text token, so no model of it could learn "
            "where an answer ends; choose another backbone"
        )
    added = tokenizer.backend_tokenizer.encode("a").ids
    if bare or added[-1] != tokenizer.eos_token_id:
        _add(tokenizer, f"$A {tokenizer.eos_token}")


def _add(tokenizer: Any, template: str) -> None:
    """Have *tokenizer* put around a text what *template* has, and nothing else."""
    specials = [(tokenizer.eos_token, tokenizer.eos_token_id)]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=specials
    )
    tokenizer.cls_token = tokenizer.sep_token = None  # it would be asked why it does not add them


def learned(texts: Iterator[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A tokenizer of at most *vocabulary* pieces, learned from *texts* alone."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PADDING, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(map(clean, texts), trainer)
    return _wrapped(backend)


def from_text(content: str, where: str) -> PreTrainedTokenizerFast:
    """The tokenizer whose `as_text` was saved at *where*; ArtifactError where it is damaged."""
    try:
        return _wrapped(Tokenizer.from_str(content))
    except Exception as error:  # the library raises no finer one
        raise ArtifactError(f"the tokenizer saved in {where} cannot be read: {error}") from error


def as_text(tokenizer: PreTrainedTokenizerFast) -> str:
    """For `from_text`."""
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    return str(backend.to_str())


def _wrapped(backend: Tokenizer) -> PreTrainedTokenizerFast:
    backend.post_processor = processors.TemplateProcessing(
        single=f"$A {END}",
        pair=f"$A {END} $B {END}",
        special_tokens=[(END, backend.token_to_id(END))],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PADDING,
        eos_token=END,
        model_max_length=NO_LIMIT,
        model_input_names=["input_ids", "attention_mask"],
    )
