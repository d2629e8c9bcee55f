"""How long the texts are, in characters, words and (estimated) tokens, and how many are empty."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.data.table import Table
from pipeline.setup.inspection.measures import sample_within

ROWS = 100_000
CHARACTERS = 10_000_000
"""Words and tokens are counted in at most so many rows and characters of a file."""
BUDGETS = (128, 256, 512)
"""Usual longest inputs, in tokens."""
SPECIAL_TOKENS = {1: 2, 2: 3}


@dataclass(frozen=True, kw_only=True)
class Quantiles:
    """The lengths of many texts."""

    median: float
    mean: float
    high: float
    """95 % are not longer."""
    maximum: float


@dataclass(frozen=True, kw_only=True)
class TextFacts:
    """One text column, per file."""

    column: str
    characters: dict[str, Quantiles]
    words: dict[str, Quantiles]
    empty: dict[str, int]
    """Rows whose text is empty or only blanks."""


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """All text columns, and whole rows in tokens."""

    columns: list[TextFacts]
    tokens: dict[str, Quantiles]
    """File -> estimated tokens of a row as one input, special tokens included."""
    beyond: dict[str, dict[str, float]]
    """File -> budget in tokens (as text) -> estimated share of rows that are longer."""
    sampled: bool
    """Words and tokens were counted in a sample of some file."""


def lengths(columns: Sequence[str], files: Mapping[str, Table]) -> Lengths:
    """Lengths of the text *columns* (s,) of *files* by name, none of them without rows.

    Characters are counted in all rows, words and tokens in a sample of very many.
    """
    texts = {name: table.texts for name, table in files.items()}
    chosen = {
        name: part[sample_within(part, ROWS, CHARACTERS, "inspect-lengths")]
        for name, part in texts.items()
    }
    tokens = {name: row_tokens(part) for name, part in chosen.items()}
    return Lengths(
        columns=[text_facts(name, j, texts, chosen) for j, name in enumerate(columns)],
        tokens={name: quantiles(counts) for name, counts in tokens.items()},
        beyond={
            name: {str(budget): float((counts > budget).mean()) for budget in BUDGETS}
            for name, counts in tokens.items()
        },
        sampled=any(len(chosen[name]) < len(part) for name, part in texts.items()),
    )


def text_facts(
    column: str, j: int, texts: Mapping[str, np.ndarray], chosen: Mapping[str, np.ndarray]
) -> TextFacts:
    """Lengths of the *j*-th text column of files of texts (n, s), words of the *chosen* rows."""
    return TextFacts(
        column=column,
        characters={file: quantiles(map(len, part[:, j])) for file, part in texts.items()},
        words={
            file: quantiles(len(text.split()) for text in part[:, j])
            for file, part in chosen.items()
        },
        empty={
            file: sum(not text or text.isspace() for text in part[:, j])
            for file, part in texts.items()
        },
    )


def quantiles(values: Iterable[float]) -> Quantiles:
    """Median, mean, 95 % and maximum of the lengths of one or more texts."""
    array = np.fromiter(values, dtype=float)
    median, high = np.quantile(array, [0.5, 0.95])
    return Quantiles(
        median=float(median), mean=float(array.mean()), high=float(high), maximum=float(array.max())
    )


def row_tokens(texts: np.ndarray) -> np.ndarray:
    """(n,) estimated tokens of rows of texts (n, s), special tokens included."""
    counts = np.sum([tokens(column) for column in texts.T], axis=0)
    return np.asarray(np.ceil(counts) + SPECIAL_TOKENS[texts.shape[1]])


def tokens(texts: np.ndarray) -> np.ndarray:
    """(n,) roughly how many subword tokens each text has, from the kinds of its characters.

    Within 3 % of an English WordPiece vocabulary on the mean and the 95 % quantile of news,
    captions and forum sentences; other vocabularies and languages may differ by a third.
    """
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype="<u4")
    used = np.flatnonzero(np.bincount(codes, minlength=1))
    weight = np.zeros(int(used.max(initial=0)) + 1, dtype=np.float32)
    weight[used] = [_weight(chr(code)) for code in used.tolist()]
    until = np.concatenate([[0.0], np.cumsum(weight[codes], dtype=float)])
    ends = np.cumsum([0, *map(len, texts)])
    return np.asarray(np.diff(until[ends]))


def _weight(character: str) -> float:
    """Tokens per character of its kind."""
    point = ord(character)
    if character.isspace():
        return 0.0
    if 0xAC00 <= point <= 0xD7A3:  # Hangul syllables
        return 0.55
    if 0x3040 <= point <= 0x30FF or 0x3400 <= point <= 0x9FFF:  # kana, Chinese characters
        return 0.8
    if character.isdigit():
        return 0.4
    return 0.22 if character.isalpha() else 1.0
