"""Tables to the linear learner's inputs. What is fitted here is fitted on a training part.

Single texts: tf-idf of character and word n-grams, and surface counts. Pairs: n-grams that both
texts have, that only one has, and which one, and similarities counted in many ways. The dense
numbers bend at their quantiles (hinges), so that a linear learner can follow a curve. Values of
further columns come in one-hot, and the common ones with slopes of their own on the dense numbers.

Notation: s texts per row, q dense numbers, v values, V of them with slopes, d and p as in `solver`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from pipeline.data import Table
from pipeline.models.linear.solver import Design
from pipeline.models.linear.text_features import (
    NgramCounter,
    pair_blocks,
    side_by_side,
    similarities,
    surface,
    text_blocks,
    tidy,
)

# Values of further columns as inputs: one column for each value that several rows share.
#
# A value is known as "column=value". A column in which most rows differ (an id) gives none.


LONGEST = 200  # characters; longer values are texts, not categories


def shared_values(train: Table) -> list[tuple[str, int]]:
    """Values that at least two rows of *train* have and their rows, the commonest first.

    >>> texts = np.array([["a"], ["b"], ["c"], ["d"]], dtype=object)
    >>> genre = np.array(["news", "news", "forum", "news"], dtype=object)
    >>> shared_values(Table(ids=texts[:, 0], texts=texts, features={"genre": genre}))
    [('genre=news', 3)]
    """
    found: Counter[str] = Counter()
    for name, column in train.features.items():
        counts = Counter(_named(name, column))
        if len(counts) <= len(train) / 2:
            found.update({value: rows for value, rows in counts.items() if rows > 1})
    short = [(value, rows) for value, rows in found.items() if len(value) <= LONGEST]
    return sorted(short, key=lambda item: (-item[1], item[0]))


def one_hot(table: Table, values: np.ndarray) -> sparse.csr_array:
    """(n, v) float32, 1 where a row has one of *values* (v,); other values are left out."""
    place = {value: number for number, value in enumerate(values.tolist())}
    cells = [
        (row, place[value])
        for name, column in table.features.items()
        for row, value in enumerate(_named(name, column))
        if value in place
    ]
    rows, columns = np.array(cells, dtype=np.int32).reshape(len(cells), 2).T
    ones = np.ones(len(cells), dtype=np.float32)
    shape = (len(table), len(values))
    return sparse.csr_array(sparse.coo_array((ones, (rows, columns)), shape=shape))


def _named(name: str, column: np.ndarray) -> list[str]:
    return [f"{name}={value}" for value in column.tolist()]


Sides = list[list[sparse.csr_array]]
"""Per text of a row, per n-gram family: (n, buckets) counts."""

CHUNK_ROWS = 20_000
QUANTILES = (0.2, 0.4, 0.6, 0.8)
LIMIT = 8.0  # standard deviations; beyond them lies what training never saw
UNIT_WEIGHT = {"char": 1.0, "char_wb": 1.0, "word": 0.3}
"""Of the blocks: words that are worth knowing are character n-grams as well."""
MOST_SLOPES = 20
ENOUGH_ROWS = 50  # with a value before it gets slopes


@dataclass(frozen=True, kw_only=True)
class Features:
    """What was learnt about the inputs from one training part."""

    buckets: list[np.ndarray]
    """Per n-gram family: the buckets that are used."""
    rarity: list[np.ndarray]
    """Per n-gram family: the idf of each used bucket, float32."""
    knots: np.ndarray
    """(4, q) where the dense numbers bend."""
    mean: np.ndarray
    """(5q,) of the dense numbers and their hinges."""
    spread: np.ndarray
    """(5q,) their standard deviations, 1 where they do not vary."""
    values: np.ndarray
    """(v,) str, "column=value": the inputs from further columns, the commonest first."""
    slopes: int
    """V: how many of the first values have slopes."""

    def design(self, table: Table, counter: NgramCounter) -> Design:
        """The inputs of the n rows of *table*; its targets are not looked at."""
        parts = [self._part(chunk, counter) for chunk in chunks(table)]
        return Design(
            np.concatenate([dense for dense, _ in parts]),
            sparse.csr_array(sparse.vstack([ngrams for _, ngrams in parts], format="csr")),
        )

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Everything by name, for an .npz."""
        return {
            **idf_to_arrays(self.buckets, self.rarity),
            "knots": self.knots,
            "mean": self.mean,
            "spread": self.spread,
            "values": self.values,
            "slopes": np.array(self.slopes),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Features":
        """The features that `to_arrays` gave."""
        buckets, rarity = idf_from_arrays(arrays)
        return cls(
            buckets=buckets,
            rarity=rarity,
            slopes=int(arrays["slopes"]),
            **{name: arrays[name] for name in ("knots", "mean", "spread", "values")},
        )

    def _part(self, table: Table, counter: NgramCounter) -> tuple[np.ndarray, sparse.csr_array]:
        sides = count_sides(table, counter)
        weighted = weigh(sides, self.buckets, self.rarity)
        known = one_hot(table, self.values)
        bent = _bend(_numbers(table, sides, weighted), self.knots)
        scaled = np.clip((bent - self.mean) / self.spread, -LIMIT, LIMIT)
        q = self.knots.shape[1]
        slopes = [scaled[:, :q] * known[:, [place]].toarray() for place in range(self.slopes)]
        dense = np.hstack([np.ones((len(table), 1)), scaled, *slopes]).astype(np.float32)
        ngrams = sparse.hstack([*_blocks(weighted, counter), known], format="csr")
        return dense, sparse.csr_array(ngrams.astype(np.float32))


def learn_features(train: Table, counter: NgramCounter) -> Features:
    """Which n-grams, values and quantiles the rows of *train* show; targets are not looked at."""
    buckets, rarity = learn_idf(train, counter)
    numbers = []
    for chunk in chunks(train):
        sides = count_sides(chunk, counter)
        numbers.append(_numbers(chunk, sides, weigh(sides, buckets, rarity)))
    dense = np.concatenate(numbers)
    knots = np.quantile(dense, QUANTILES, axis=0).astype(np.float32)
    bent = _bend(dense, knots)
    spread = bent.std(axis=0, dtype=np.float64)
    values = shared_values(train)
    common = [value for value, count in values if count >= ENOUGH_ROWS]
    return Features(
        buckets=buckets,
        rarity=rarity,
        knots=knots,
        mean=bent.mean(axis=0, dtype=np.float64).astype(np.float32),
        spread=np.where(spread > 1e-6, spread, 1).astype(np.float32),
        values=np.array([value for value, _ in values], dtype=np.str_),
        slopes=min(len(common), MOST_SLOPES),
    )


def chunks(table: Table) -> Iterator[Table]:
    """*table* cut into tables of at most CHUNK_ROWS rows: at least one, even of no rows."""
    for start in range(0, max(len(table), 1), CHUNK_ROWS):
        yield table.rows(np.arange(start, min(start + CHUNK_ROWS, len(table))))


def count_sides(table: Table, counter: NgramCounter) -> Sides:
    """The n-grams of every text."""
    return [counter.count([tidy(text) for text in column]) for column in table.texts.T.tolist()]


def weigh(sides: Sides, buckets: list[np.ndarray], rarity: list[np.ndarray]) -> Sides:
    """The used buckets only, (n, used), each count times its idf."""
    return [
        [
            sparse.csr_array(counts[:, used] @ sparse.diags_array(weight))
            for counts, used, weight in zip(side, buckets, rarity, strict=True)
        ]
        for side in sides
    ]


def learn_idf(train: Table, counter: NgramCounter) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Buckets that more than one text has, and log((1 + texts) / (1 + texts with it))."""
    found = [np.zeros(counter.buckets, dtype=np.int64) for _ in counter.families]
    for chunk in chunks(train):
        for side in count_sides(chunk, counter):
            for total, counts in zip(found, side, strict=True):
                total += np.bincount(counts.indices, minlength=counter.buckets)
    buckets = [_commonest_first(total) for total in found]
    rarity = [
        np.log((1 + train.texts.size) / (1 + total[used])).astype(np.float32)
        for total, used in zip(found, buckets, strict=True)
    ]
    return buckets, rarity


def idf_to_arrays(
    buckets: Sequence[np.ndarray], rarity: Sequence[np.ndarray]
) -> dict[str, np.ndarray]:
    """What `learn_idf` gave by name, for an .npz: families one after the other."""
    return {
        "buckets": np.concatenate(buckets),
        "rarity": np.concatenate(rarity),
        "used": np.array([len(used) for used in buckets]),
    }


def idf_from_arrays(
    arrays: Mapping[str, np.ndarray],
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The buckets and their rarity, of each family, that `idf_to_arrays` gave."""
    ends = np.cumsum(arrays["used"])[:-1]
    return np.split(arrays["buckets"], ends), np.split(arrays["rarity"], ends)


def _commonest_first(total: np.ndarray) -> np.ndarray:
    """The buckets with a *total* above 1; neighbours in use are neighbours in memory."""
    used = np.flatnonzero(total > 1)
    return used[np.argsort(-total[used], kind="stable")]


def _numbers(table: Table, sides: Sides, weighted: Sides) -> np.ndarray:
    """(n, q) float32: the dense numbers before they are bent and scaled."""
    if len(sides) == 1:
        return surface(table.texts[:, 0].tolist())
    plain = [similarities(first, second) for first, second in zip(*sides, strict=True)]
    by_rarity = [similarities(first, second) for first, second in zip(*weighted, strict=True)]
    firsts, seconds = ([tidy(text) for text in column] for column in table.texts.T.tolist())
    return np.hstack([*plain, *by_rarity, side_by_side(firsts, seconds)])


def _bend(numbers: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """(n, 5q): the numbers and, for each knot, how far they lie above it."""
    return np.hstack([numbers, *(np.maximum(numbers - knot, 0) for knot in knots)])


def _blocks(weighted: Sides, counter: NgramCounter) -> list[sparse.csr_array]:
    """The n-gram columns; the length of a row is 1 of characters and 0.3 of words."""
    blocks = []
    for unit, weight in UNIT_WEIGHT.items():
        mine = [place for place, family in enumerate(counter.families) if family[0] == unit]
        if not mine:
            continue
        texts = [
            sparse.csr_array(sparse.hstack([side[place] for place in mine], format="csr"))
            for side in weighted
        ]
        of_unit = text_blocks(*texts) if len(texts) == 1 else pair_blocks(*texts)
        blocks += [weight * block for block in of_unit]
    return blocks
