"""Values of further columns as inputs: one column for each value that several rows share.

A value is known as "column=value". A column in which most rows differ (an id) gives none.
"""

from collections import Counter

import numpy as np
from scipy import sparse

from pipeline.data.table import Table

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
