"""Tables to the numbers that trees split on. What is fitted here is fitted on a training part.

Pairs: BLEU, chrF, overlaps of words and character n-grams (plain and by idf), edit distances,
lengths, numbers, question marks, first and last words, the cosine of tf-idf and of its components.
Single texts: counts, and the components of tf-idf. Further columns of numbers as they are, of
categories one-hot.

Notation: n rows, s texts per row, q inputs, p n-grams, d components.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from rapidfuzz import fuzz
from rapidfuzz.distance import JaroWinkler, Levenshtein
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

from pipeline.data import Table
from pipeline.models.linear.features import (
    Sides,
    chunks,
    count_sides,
    idf_from_arrays,
    idf_to_arrays,
    learn_idf,
    one_hot,
    shared_values,
    weigh,
)
from pipeline.models.linear.text_features import (
    LONGEST,
    Family,
    NgramCounter,
    side_by_side,
    similarities,
    surface,
    tidy,
)

# Scores of translations, as features of a pair: how far is one text from being the other?


def bleu(candidate: Sequence[str], reference: Sequence[str]) -> float:
    """BLEU of the words of one sentence with n-grams of 1 to 4, in [0, 1]; counts of n-grams from
    2 on are smoothed by one, so short sentences have a score (Papineni et al., "BLEU: a Method for
    Automatic Evaluation of Machine Translation", 2002; Lin and Och, "ORANGE", 2004).

    >>> round(bleu("the cat sat on the mat".split(), "a cat sat on a mat".split()), 4)
    0.4273
    """
    if not candidate or not reference:
        return float(len(candidate) == len(reference))
    logs = []
    for size in range(1, 5):
        mine, theirs = _ngrams(candidate, size), _ngrams(reference, size)
        spare = float(size > 1)
        hits = sum((mine & theirs).values()) + spare
        if not hits:
            return 0.0
        logs.append(math.log(hits / (sum(mine.values()) + spare)))
    brevity = min(0.0, 1 - len(reference) / len(candidate))
    return math.exp(brevity + sum(logs) / 4)


CHRF_SIZES, CHRF_BETA = range(1, 7), 2.0


def chrf(candidate: str, reference: str) -> float:
    """chrF2 of one sentence, in [0, 1]: the F-score, recall counted double, of character n-grams of
    1 to 6 without spaces (Popović, "chrF: character n-gram F-score", 2015).

    >>> round(chrf("the cat sat on the mat", "a cat sat on a mat"), 4)
    0.5511
    """
    one, other = "".join(candidate.split()), "".join(reference.split())
    precision, recall, sizes = 0.0, 0.0, 0
    for size in CHRF_SIZES:
        mine, theirs = _ngrams(one, size), _ngrams(other, size)
        if not mine or not theirs:
            continue
        hits = sum((mine & theirs).values())
        precision += hits / sum(mine.values())
        recall += hits / sum(theirs.values())
        sizes += 1
    if not sizes or not precision + recall:
        return float(one == other)
    precision, recall = precision / sizes, recall / sizes
    return (1 + CHRF_BETA**2) * precision * recall / (CHRF_BETA**2 * precision + recall)


def _ngrams(units: Sequence[str], size: int) -> Counter[Sequence[str]]:
    whole = units if isinstance(units, str) else tuple(units)
    return Counter(whole[at : at + size] for at in range(len(whole) - size + 1))


# What is counted of a row without anything fitted: once for all folds.

TEXT_NAMES = (
    *("characters", "words", "word length", "upper case", "digits", "punctuation"),
    *("exclamation marks", "question marks", "lines", "sentences", "different words, share"),
    "different words",
)
"""Of `surface`."""
ASIDE_NAMES = (
    *("characters, both", "characters, ratio", "characters, signed ratio", "common subsequence"),
    *("common subsequence of the shorter", "common words in order"),
    *("common words in order of the shorter", "words, both", "words, difference"),
    *("numbers, Jaccard", "numbers", "numbers of the first only", "numbers of the second only"),
    *("equal texts", "edit similarity"),
)
"""Of `side_by_side`."""
PAIR_NAMES = (
    *("BLEU", "BLEU, turned", "chrF", "chrF, turned", "edit similarity of words"),
    *("Jaro-Winkler", "sorted words, edits", "sets of words, edits", "best part, edits"),
    *("words, Jaccard", "equal first words", "equal last words"),
    *("question marks, difference", "one asks only", "edits"),
)
"""Of `compared`."""
SIMILARITY_NAMES = ("Jaccard", "cosine", "share of the smaller", "share of the larger")
"""Of `similarities`."""


def compared(first: str, second: str) -> list[float]:
    """The numbers of PAIR_NAMES for two tidy texts."""
    one, other = first[:LONGEST].strip(), second[:LONGEST].strip()
    words, others = one.split(), other.split()
    either = set(words) | set(others)
    marks = one.count("?"), other.count("?")
    return [
        bleu(words, others),
        bleu(others, words),
        chrf(one, other),
        chrf(other, one),
        Levenshtein.normalized_similarity(words, others),
        JaroWinkler.similarity(one, other),
        fuzz.token_sort_ratio(one, other) / 100,
        fuzz.token_set_ratio(one, other) / 100,
        fuzz.partial_ratio(one, other) / 100,
        len(set(words) & set(others)) / len(either) if either else 1.0,
        float(words[:1] == others[:1]),
        float(words[-1:] == others[-1:]),
        float(abs(marks[0] - marks[1])),
        float(bool(marks[0]) != bool(marks[1])),
        float(Levenshtein.distance(one, other)),
    ]


class RowNumbers:
    """What is counted of the texts of a row; a row that was counted before is looked up.

    Holds nothing that was learnt, so the folds of a run can share it.
    """

    def __init__(self) -> None:
        self._place: dict[tuple[str, ...], int] = {}
        self._rows: list[np.ndarray] = []

    def of(self, table: Table) -> np.ndarray:
        """(n, q) float32: the numbers of TEXT_NAMES for each text of a row; for pairs also those of
        ASIDE_NAMES and PAIR_NAMES."""
        rows = [tuple(row) for row in table.texts.tolist()]
        fresh = [row for row in dict.fromkeys(rows) if row not in self._place]
        if fresh:
            counted = _counted(fresh)
            self._place.update((row, len(self._rows) + at) for at, row in enumerate(fresh))
            self._rows.extend(counted)
        found = [self._rows[self._place[row]] for row in rows]
        width = len(names_of_rows(table.texts.shape[1]))
        return np.array(found, dtype=np.float32).reshape(len(rows), width)


def _counted(rows: list[tuple[str, ...]]) -> np.ndarray:
    columns = list(zip(*rows, strict=True))
    blocks = [surface(column) for column in columns]
    if len(columns) == 2:
        firsts, seconds = ([tidy(text) for text in column] for column in columns)
        blocks.append(side_by_side(firsts, seconds))
        pairs = [compared(*pair) for pair in zip(firsts, seconds, strict=True)]
        blocks.append(np.array(pairs, dtype=np.float32))
    return np.hstack(blocks)


def names_of_rows(texts: int) -> list[str]:
    """The columns of `RowNumbers.of` for rows of so many texts."""
    if texts == 1:
        return list(TEXT_NAMES)
    sides = ("first", "second")
    of_each = [f"{name}, {side}" for side in sides for name in TEXT_NAMES]
    return [*of_each, *ASIDE_NAMES, *PAIR_NAMES]


# What is fitted: which n-grams there are and how rare, their components, which columns.

MOST_OF_FAMILY = 5_000
"""The commonest n-grams of each family that components are made of."""
MOST_VALUES = 50
NUMERIC = 0.95
"""Share of a column's filled cells that are numbers before it is read as one."""
ENOUGH_NUMBERS = 3


@dataclass(frozen=True, kw_only=True)
class Features:
    """What was learnt about the inputs from one training part."""

    buckets: list[np.ndarray]
    """Per n-gram family: the buckets that are used, the commonest first."""
    rarity: list[np.ndarray]
    """Per n-gram family: the idf of each used bucket, float32."""
    components: np.ndarray
    """(d, p) float32, of the commonest n-grams of all families."""
    numeric: list[str]
    """Further columns read as numbers."""
    values: np.ndarray
    """(v,) str, "column=value": the inputs from the other columns."""

    def inputs(self, table: Table, counter: NgramCounter, rows: RowNumbers) -> np.ndarray:
        """(n, q) float32, NaN where a column's cell is no number; targets are not looked at."""
        return np.concatenate([self._part(chunk, counter, rows) for chunk in chunks(table)])

    def names(self, families: Sequence[Family], texts: int) -> list[str]:
        """What the q inputs are, for people; rows have so many *texts*."""
        if texts == 1:
            fitted = [f"component {number}" for number in range(1, len(self.components) + 1)]
        else:
            sizes = [f"{size} {unit}s" for unit, size in families]
            fitted = [
                f"{way} of {size}{by}"
                for by in ("", ", by idf")
                for size in sizes
                for way in SIMILARITY_NAMES
            ] + ["cosine of components"]
        return [*names_of_rows(texts), *fitted, *self.numeric, *self.values.tolist()]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Everything by name, for an .npz."""
        return {
            **idf_to_arrays(self.buckets, self.rarity),
            "components": self.components,
            "numeric": np.array(self.numeric, dtype=np.str_),
            "values": self.values,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Features":
        """The features that `to_arrays` gave."""
        buckets, rarity = idf_from_arrays(arrays)
        return cls(
            buckets=buckets,
            rarity=rarity,
            components=arrays["components"],
            numeric=arrays["numeric"].tolist(),
            values=arrays["values"],
        )

    def _part(self, table: Table, counter: NgramCounter, rows: RowNumbers) -> np.ndarray:
        sides = count_sides(table, counter)
        weighted = weigh(sides, self.buckets, self.rarity)
        placed = [_commonest(side) @ self.components.T for side in weighted]
        blocks = [rows.of(table)]
        if len(sides) == 1:
            blocks.append(placed[0])
        else:
            both = [list(zip(*each, strict=True)) for each in (sides, weighted)]
            blocks += [similarities(*pair) for each in both for pair in each]
            blocks.append(_cosine(*placed)[:, None])
        blocks += [_as_numbers(table.features[name])[:, None] for name in self.numeric]
        blocks.append(one_hot(table, self.values).toarray())
        return np.hstack(blocks).astype(np.float32)


def learn_features(
    train: Table,
    counter: NgramCounter,
    components: int,
    grouped_by: Sequence[str],
) -> Features:
    """What the rows of *train* show; targets are not looked at.

    Columns that folds are *grouped_by* are never read as numbers: they are names of groups.
    """
    buckets, rarity = learn_idf(train, counter)
    parts: list[Sides] = [
        weigh(count_sides(chunk, counter), buckets, rarity) for chunk in chunks(train)
    ]
    stacked = sparse.vstack([_commonest(side) for sides in parts for side in sides], format="csr")
    numeric = [
        name
        for name, column in train.features.items()
        if name not in grouped_by and _is_numeric(column)
    ]
    rest = {name: cells for name, cells in train.features.items() if name not in numeric}
    values = shared_values(replace(train, features=rest))[:MOST_VALUES]
    return Features(
        buckets=buckets,
        rarity=rarity,
        components=_components(stacked, components),
        numeric=numeric,
        values=np.array([value for value, _ in values], dtype=np.str_),
    )


def _commonest(side: list[sparse.csr_array]) -> sparse.csr_array:
    """(n, p): the commonest n-grams of all families, each row of length one."""
    whole = sparse.hstack([family[:, :MOST_OF_FAMILY] for family in side], format="csr")
    whole.data = np.log1p(whole.data)
    lengths = np.sqrt(np.asarray(whole.power(2).sum(axis=1)).ravel())
    scaled = sparse.diags_array(1 / np.maximum(lengths, 1e-6)) @ whole
    return sparse.csr_array(scaled.astype(np.float32))


def _components(ngrams: sparse.csr_array, asked: int) -> np.ndarray:
    """(d, p) float32: the first right singular vectors; d is *asked* or what the rows allow."""
    count = min(asked, *(size - 1 for size in ngrams.shape))
    if count < 1 or not ngrams.nnz:
        return np.zeros((0, ngrams.shape[1]), dtype=np.float32)
    found = randomized_svd(sparse.csr_matrix(ngrams), n_components=count, random_state=0)
    return np.ascontiguousarray(found[2], dtype=np.float32)


def _cosine(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return np.asarray((first * second).sum(axis=1) / np.maximum(norms, 1e-6))


def _as_numbers(column: np.ndarray) -> np.ndarray:
    """(n,) float32; NaN for what is none."""
    return np.array([_number(cell) for cell in column.tolist()], dtype=np.float32)


def _number(cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        return math.nan
    return value if abs(value) < 1e30 else math.nan


def _is_numeric(column: np.ndarray) -> bool:
    filled = np.array([cell for cell in column.tolist() if cell.strip()], dtype=object)
    numbers = _as_numbers(filled)
    known = numbers[~np.isnan(numbers)]
    many = len(np.unique(known)) >= ENOUGH_NUMBERS
    return many and len(known) >= NUMERIC * len(filled)
