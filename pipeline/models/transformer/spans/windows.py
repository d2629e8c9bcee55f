"""Texts with what is asked of them as inputs of a transformer, and the way back to characters.

A text that is too long with its question is cut into windows of tokens, each with the whole
question; neighbours overlap. A token stands for the characters that the tokenizer's offsets give
it, without spaces at its edges: an answer begins at the first and ends at the last of them. Offsets
are of the cleaned text, so every cleaned character knows its row.

Notation: w windows, p tokens of a window's text.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.base import UsageError
from pipeline.data import Table
from pipeline.data.tokens.store import TokenStore
from pipeline.data.tokens.tokenizer import clean
from pipeline.problems.span import References

STRIDE = 0.3
"""Share of a window that the next one repeats."""
SPARE = 2
"""Tokens left free in a window, as a text that is cut may be tokenised a little otherwise."""
LEAST = 0.25
"""Share of an input that has to be left for the text; a longer question is cut."""


@dataclass(frozen=True)
class Window:
    """One input."""

    document: int
    """The number of its text."""
    question: str
    piece: str
    """What it has of the text."""
    rows: tuple[int, int]
    """The first row of the table that it holds, and the one behind the last."""
    places: np.ndarray
    """(p,) where the text's tokens stand in the input."""
    first: np.ndarray
    """(p,) the row of each one's first character."""
    last: np.ndarray
    """(p,) the row of its last one."""

    def target(self, begin: int, end: int) -> tuple[int, int]:
        """The places of the tokens that hold the rows *begin* and *end*; 0, 0 where the window does
        not hold both."""
        if begin < self.rows[0] or end >= self.rows[1] or not len(self.places):
            return 0, 0
        start = int(np.searchsorted(self.first, begin, side="right")) - 1
        stop = int(np.searchsorted(self.last, end, side="left"))
        start, stop = max(start, 0), min(stop, len(self.places) - 1)
        return int(self.places[start]), int(self.places[max(start, stop)])


def table_of(windows: Sequence[Window], targets: np.ndarray | None = None) -> Table:
    """A row per window; *targets* (n, 4) of the characters become (w, 4): the tokens of the answer,
    the text's first token and the one behind its last."""
    paired = any(window.question for window in windows)
    texts = np.empty((len(windows), 1 + paired), dtype=object)
    texts[:, -1] = [window.piece for window in windows]
    if paired:
        texts[:, 0] = [window.question for window in windows]
    ids = np.array([str(number) for number in range(len(windows))], dtype=object)
    if targets is None:
        return Table(ids=ids, texts=texts)
    found = References.of(targets)
    rows = zip(*(each[::-1].tolist() for each in (found.document, found.begin, found.end)),
               strict=True)  # fmt: skip
    answer = {document: (begin, end) for document, begin, end in rows}  # the first reference
    packed = np.zeros((len(windows), 4))
    for row, window in enumerate(windows):
        if window.document in answer:
            packed[row, :2] = window.target(*answer[window.document])
        packed[row, 2:] = allowed(window)
    return Table(ids=ids, texts=texts, targets=packed)


def allowed(window: Window) -> tuple[int, int]:
    """The place of the text's first token, and the one behind its last."""
    if not len(window.places):
        return 1, 1
    return int(window.places[0]), int(window.places[-1]) + 1


def windows_of(table: Table, store: TokenStore, longest: int, between: str = "") -> list[Window]:
    """The windows of the texts in *table*, of at most *longest* tokens each.

    Args:
        between: what stands in front of the text where the tokenizer parts it from the question by
            nothing.
    """
    assert table.units is not None, "a table of characters"
    cutter = _Cutter(store, longest, between)
    texts, kept, questions = [], [], []
    asked = table.units.asked
    for rows in table.units.documents:
        cleaned = [clean(each) for each in table.texts[rows, 0].tolist()]
        kept.append(rows.start + np.array([at for at, each in enumerate(cleaned) if each], int))
        texts.append("".join(cleaned))
        questions.append("" if asked is None else clean(str(asked[rows.start])))
    if any(questions):
        questions = [each or " " for each in questions]
    pieces = list(cutter.pieces(texts, questions))
    return list(cutter.windows(texts, kept, pieces, table.units.documents))


Piece = tuple[int, str, int, int]
"""Number of a text, its question, first character of a piece and the one behind its last."""


class _Cutter:
    def __init__(self, store: TokenStore, longest: int, between: str) -> None:
        self.backend = store.tokenizer.backend_tokenizer
        self.longest, self.between = longest, between

    def _encoded(self, questions: Sequence[str], texts: Sequence[str]) -> list[Any]:
        self.backend.no_truncation()
        self.backend.no_padding()
        pairs = zip(questions, texts, strict=True)
        inputs = [(asked, self.between + text) if asked else text for asked, text in pairs]
        found: list[Any] = self.backend.encode_batch(inputs)
        return found

    def _tokens(self, found: Any, question: str, text: str) -> list[tuple[int, int, int]]:
        """(place, first character, the one behind the last) of the text's tokens."""
        own, shift = (1, len(self.between)) if question else (0, 0)
        tokens = []
        for place, (whose, (begin, end)) in enumerate(
            zip(found.sequence_ids, found.offsets, strict=True)
        ):
            if whose != own:
                continue
            begin, end = max(begin - shift, 0), end - shift
            while begin < end and text[begin].isspace():
                begin += 1
            while begin < end and text[end - 1].isspace():
                end -= 1
            if begin < end:
                tokens.append((place, begin, end))
        return tokens

    def pieces(self, texts: Sequence[str], questions: Sequence[str]) -> Iterator[Piece]:
        """How the texts are cut."""
        for number, (text, asked, found) in enumerate(
            zip(texts, questions, self._encoded(questions, texts), strict=True)
        ):
            if len(found.ids) <= self.longest:
                yield number, asked, 0, len(text)
                continue
            tokens = self._tokens(found, asked, text)
            room = self.longest - SPARE - (len(found.ids) - len(tokens))
            question = asked
            if room < LEAST * self.longest:
                question, saved = self._shortened(asked, int(LEAST * self.longest) - room)
                room = max(room + saved, 1)
            start = 0
            while True:
                end = min(start + room, len(tokens))
                begin = tokens[start][1] if start else 0
                behind = tokens[end - 1][2] if end < len(tokens) else len(text)
                yield number, question, begin, behind
                if end == len(tokens):
                    break
                start = max(end - int(STRIDE * room), start + 1)

    def _shortened(self, question: str, tokens: int) -> tuple[str, int]:
        """*question* without its last *tokens*, and how many these were."""
        offsets = self.backend.encode(question, add_special_tokens=False).offsets
        kept = max(len(offsets) - tokens, 1)
        return question[: offsets[kept - 1][1]], len(offsets) - kept

    def windows(
        self,
        texts: Sequence[str],
        kept: Sequence[np.ndarray],
        pieces: Sequence[Piece],
        documents: Sequence[slice],
    ) -> Iterator[Window]:
        """The *pieces* as windows; *kept* has the row of each character of a text."""
        shown = [texts[number][begin:behind] for number, _, begin, behind in pieces]
        found = self._encoded([asked for _, asked, _, _ in pieces], shown)
        for (number, asked, begin, behind), piece, each in zip(pieces, shown, found, strict=True):
            tokens = [
                token for token in self._tokens(each, asked, piece) if token[0] < self.longest
            ]
            if tokens and tokens[0][0] == 0:
                raise UsageError(
                    "the backbone's tokenizer puts no token before a text, where no answer could "
                    "be said. Take a backbone that does (BERT, RoBERTa, ELECTRA, DeBERTa), or name "
                    "a column of questions (columns.question)"
                )
            rows = kept[number][begin:behind]
            outer = documents[number]
            yield Window(
                document=number,
                question=asked,
                piece=piece,
                rows=(
                    int(rows[0]) if len(rows) and begin else outer.start,
                    int(rows[-1]) + 1 if len(rows) and behind < len(texts[number]) else outer.stop,
                ),
                places=np.array([place for place, _, _ in tokens], dtype=int),
                first=rows[[first for _, first, _ in tokens]] if tokens else np.empty(0, int),
                last=rows[[end - 1 for _, _, end in tokens]] if tokens else np.empty(0, int),
            )
