"""The learner `crf` of answers that stand in a text: no download, no GPU.

A text is cut into pieces, words or signs or, where words run on into endings, single syllables; a
linear-chain conditional random field (`pipeline.models.crf`) says of each whether the answer is it
(S), begins (B), goes on (I) or ends (E) there, or it is none of it (O). Beside what it sees of tags
it sees what the piece has to do with what is asked: is it in the question, how near are words that
are, does its sentence hold the most of them, and how it goes together with the question's first and
last words (who, how many), which may be a label such as positive.

The chance of no answer is that of O everywhere, where the training part has texts without one. The
chances to begin (S and B) and to end (S and E) are scaled so that each sums to what is left.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base import Competition
from pipeline.base.paths import Workspace
from pipeline.data import Table
from pipeline.models.crf import CrfFactory, CrfLearner, CrfRecipe, inputs_of, shape_of
from pipeline.models.learner import Engine, Watch
from pipeline.problems.span import BEGINS, NONE, STOPS, References

PIECE = re.compile(r"[぀-ヿ㐀-鿿가-힣]|[^\W_぀-ヿ㐀-鿿가-힣]+|[^\w\s]|_")
"""A kana, an ideograph or a syllable of Hangul; a run of other letters and digits; a sign."""
SENTENCE_ENDS = frozenset(".!?。！？")
OUTSIDE, SINGLE, BEGIN, INSIDE, END = "OSBIE"
NEAR, FAR = 4, 10
"""Pieces on either side in which words of the question are counted."""
MANY = 4
"""Such words, from which on there are many."""
FIRST, LAST = 2, 3
"""Pieces of the question that go together with those of the text."""
VERSION = 1


def pieces_of(text: str) -> list[tuple[int, int]]:
    """First character and the one behind the last of each piece of a *text*.

    >>> text = "Bo was 3, 서울에"
    >>> [text[begin:end] for begin, end in pieces_of(text)]
    ['Bo', 'was', '3', ',', '서', '울', '에']
    """
    return [found.span() for found in PIECE.finditer(text)]


def inputs_in(
    text: str, pieces: Sequence[tuple[int, int]], question: str, recipe: CrfRecipe
) -> list[list[str]]:
    """What the field sees of each of the *pieces* of a text."""
    words = [text[begin:end] for begin, end in pieces]
    small = [word.lower() for word in words]
    found = inputs_of(words, recipe)
    asked = [question[begin:end].lower() for begin, end in pieces_of(question)]
    asked = [word for word in asked if word not in SENTENCE_ENDS]
    keys = sorted({*asked[:FIRST], *asked[-LAST:]})
    if 1 < len(asked) <= FIRST:
        keys.append(" ".join(asked))
    shared = np.array([word in set(asked) and word.isalnum() for word in small], dtype=int)
    so_far = np.concatenate([[0], np.cumsum(shared)])
    best = _best_sentence(small, shared)
    edges = ["\x02", *small, "\x02"]
    for place, (begin, end) in enumerate(pieces):
        seen = found[place]
        opens = begin == 0 or text[begin - 1].isspace()
        closes = end == len(text) or text[end].isspace()
        seen.append(f"b{int(opens)}{int(closes)}")
        if not (opens and closes):
            seen.append(f"w:{_word(text, begin, end)}")
        edge = ("^" if place == 0 else "") + ("$" if place == len(pieces) - 1 else "")
        if edge:
            seen.append(edge)
        if asked:
            near, far = (
                _level(
                    so_far[min(place + reach, len(small) - 1) + 1] - so_far[max(place - reach, 0)]
                )
                for reach in (NEAR, FAR)
            )
            seen += [f"in{shared[place]}", f"near{near}", f"far{far}", f"best{int(best[place])}"]
            seen.append(f"best{int(best[place])}|in{shared[place]}|{shape_of(words[place])}")
        for key in keys:
            seen += [
                f"{key}|{small[place]}",
                f"{key}|-{edges[place]}",
                f"{key}|+{edges[place + 2]}",
                f"{key}|{shape_of(words[place])}{edge}|in{shared[place]}",
            ]
    return found


def _word(text: str, begin: int, end: int) -> str:
    """The word, between spaces, that a piece stands in, with a mark at the piece's place."""
    before, behind = text[:begin].split(), text[end:].split()
    left = before[-1] if before and not text[begin - 1].isspace() else ""
    right = behind[0] if behind and end < len(text) and not text[end].isspace() else ""
    return f"{left[-8:]}\x03{right[:8]}"


def _best_sentence(small: Sequence[str], shared: np.ndarray) -> np.ndarray:
    """(p,) bool: whether a piece stands in the sentence that has the most words of the question."""
    number, at = np.zeros(len(small), dtype=int), 0
    for place, word in enumerate(small):
        number[place] = at
        at += word in SENTENCE_ENDS
    held = np.bincount(number, weights=shared) if len(small) else np.zeros(1)
    return np.asarray((held == held.max())[number])


def _level(count: int) -> int:
    return min(int(count), MANY)


class CrfSpanFactory(CrfFactory):
    """Its learners find answers."""

    def __init__(self, recipe: CrfRecipe, outputs: Sequence[str]) -> None:
        super().__init__(recipe, outputs)

    @property
    def inputs(self) -> dict[str, Any]:
        """See `CrfFactory.inputs`."""
        return {**super().inputs, "spans": VERSION}

    def make(self, seed: int) -> "CrfSpanLearner":
        """A fresh learner; nothing in it is drawn."""
        return CrfSpanLearner(self)

    def load(self, folder: Path) -> "CrfSpanLearner":
        """The learner that `save` wrote."""
        return CrfSpanLearner.restore(self, folder)


class CrfSpanLearner(CrfLearner):
    """A `pipeline.models.learner.Learner`."""

    def fit(
        self, train: Table, workspace: Workspace, watch: Watch, rate_scale: float = 1.0
    ) -> None:
        """Learn from *train*, a table of characters with their answers: the first of each text."""
        assert train.targets is not None, "the training part is labelled"
        assert train.units is not None, "a table of characters"
        references = References.of(train.targets)
        begun = dict(zip(references.document[::-1].tolist(), references.begin[::-1], strict=True))
        ended = dict(zip(references.document[::-1].tolist(), references.end[::-1], strict=True))
        documents = []
        for number, rows in enumerate(train.units.documents):
            text, question = _texts(train, rows)
            if pieces := pieces_of(text):
                tags = [OUTSIDE] * len(pieces)
                if number in begun:
                    _mark(
                        tags,
                        pieces,
                        int(begun[number]) - rows.start,
                        int(ended[number]) - rows.start,
                    )
                documents.append((inputs_in(text, pieces, question, self.factory.recipe), tags))
        empty = len(train.units.documents) - len(begun)
        facts = {"documents": len(train.units.documents), "units": len(train), "without": empty}
        self._fit(documents, facts, watch)

    def predict(self, table: Table, watch: Watch) -> np.ndarray:
        """(len(table), 3): begins here, ends here, no answer."""
        from pycrfsuite import Tagger

        assert self.model, "fit before predict"
        assert table.units is not None, "a table of characters"
        tagger = Tagger()
        tagger.open_inmemory(self.model)
        known = set(tagger.labels())
        found = np.zeros((len(table), 3))
        watch.phase("predict", len(table.units.documents))
        for rows in table.units.documents:
            text, question = _texts(table, rows)
            pieces = pieces_of(text)
            if not pieces:
                found[rows, NONE] = 1.0
                continue
            tagger.set(inputs_in(text, pieces, question, self.factory.recipe))

            def chance(tag: str, count: int = len(pieces)) -> np.ndarray:
                held = range(count) if tag in known else ()
                return np.array([tagger.marginal(tag, at) for at in held] or [0.0] * count)

            none = 0.0
            if self.facts["without"] and OUTSIDE in known:
                none = tagger.probability([OUTSIDE] * len(pieces))
            single = chance(SINGLE)
            for column, values, side in (
                (BEGINS, single + chance(BEGIN), 0),
                (STOPS, single + chance(END), 1),
            ):
                at = np.array([piece[side] for piece in pieces]) - side + rows.start
                found[at, column] = values * (1 - none) / max(values.sum(), 1e-30)
            found[rows, NONE] = none
            watch.advance(rows=len(text))
        tagger.close()
        return np.asarray(found, dtype=np.float32)


def _texts(table: Table, rows: slice) -> tuple[str, str]:
    """The text of the *rows*, and what is asked of it."""
    assert table.units is not None, "a table of characters"
    asked = "" if table.units.asked is None else str(table.units.asked[rows.start])
    return "".join(table.texts[rows, 0].tolist()), asked


def _mark(tags: list[str], pieces: Sequence[tuple[int, int]], begin: int, end: int) -> None:
    """Tag the pieces that hold a character from *begin* to *end*."""
    held = [at for at, (first, behind) in enumerate(pieces) if behind > begin and first <= end]
    if not held:
        return
    for at in held:
        tags[at] = INSIDE
    tags[held[0]], tags[held[-1]] = BEGIN, END
    if len(held) == 1:
        tags[held[0]] = SINGLE


def make_factory(recipe: CrfRecipe, competition: Competition, engine: Engine) -> CrfSpanFactory:
    """The factory of a run; it needs nothing of the *engine*."""
    return CrfSpanFactory(recipe, competition.outputs)
