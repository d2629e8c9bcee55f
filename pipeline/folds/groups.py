"""Which rows belong together: they share a sentence, exactly or nearly, or the value of a column.

Rows and sentences are the nodes of a graph, and a group is what hangs together in it. If a group is
never cut by a fold, no learner has seen half of a pair that it is asked about.

What links: any side with any side, so a swapped pair links with its original; a sentence exactly
like another after `text.normalise`, however short; with how="near" also one as near to another as
`near.near_pairs` says. What does not: an empty text, an empty column value. A generic sentence that
stands in every twentieth pair does glue them into one giant group. That is the truth about such
data, so it is neither hidden nor cut: `describe` shows it, and a person may choose another `how`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.folds.near import near_pairs
from pipeline.folds.text import normalise_all

How = Literal["near", "exact", "none"]


@dataclass(frozen=True, kw_only=True)
class GroupFacts:
    """What a person should know about the groups of a table."""

    count: int
    """Number of groups."""
    largest: int
    """Rows in the largest group."""
    largest_group: int
    """Its number."""
    shared: float
    """Share of the rows that stand in a group with another row."""


def connect(
    texts: np.ndarray, how: How, threshold: float = 0.9, columns: Sequence[np.ndarray] = ()
) -> np.ndarray:
    """(n,) the number of each row's group, 0 … in order of first appearance.

    Args:
        texts: (n, s) str objects, as read.
        how: sentences link rows when they are "near" or "exact"; with "none" only *columns* do.
        threshold: similarity from which sentences are near, in (0, 1].
        columns: further columns, each (n,) str objects, whose equal values link rows.

    >>> connect(np.array([["a b", "c"], ["d", "A  b."], ["e", ""], ["f", ""]], object), "exact")
    array([0, 0, 1, 2])
    """
    nodes = len(texts)
    links = [np.empty((0, 2), dtype=np.int64)]
    if how != "none":
        sentences, number = normalise_all(texts)
        filled = sentences[number] != ""
        links.append(np.column_stack([np.nonzero(filled)[0], nodes + number[filled]]))
        if how == "near":
            links.append(nodes + near_pairs(sentences.tolist(), threshold))
        nodes += len(sentences)
    for column in columns:
        value, values = pd.factorize(column)
        filled = values[value] != ""
        links.append(np.column_stack([np.flatnonzero(filled), nodes + value[filled]]))
        nodes += len(values)
    return first_appearance(_components(np.concatenate(links), nodes)[: len(texts)])


def describe(group_of_row: np.ndarray) -> GroupFacts:
    """Count, largest and share of rows in groups of two or more, for (n,) group numbers.

    >>> describe(np.array([0, 0, 1, 2]))
    GroupFacts(count=3, largest=2, largest_group=0, shared=0.5)
    """
    sizes = np.bincount(group_of_row)
    return GroupFacts(
        count=int((sizes > 0).sum()),
        largest=int(sizes.max()),
        largest_group=int(sizes.argmax()),
        shared=float(sizes[sizes > 1].sum() / len(group_of_row)),
    )


def looser(how: How, columns: Sequence[str]) -> str:
    """What to change in the config so that fewer rows stay together.

    >>> looser("near", []), looser("none", ["author"])
    ('set folds.groups to exact or none', 'take author out of folds.group_columns')
    """
    ways = {"near": "set folds.groups to exact or none", "exact": "set folds.groups to none"}
    told = [ways[how]] if how in ways else []
    told += [f"take {', '.join(columns)} out of folds.group_columns"] if columns else []
    return " or ".join(told)


def first_appearance(labels: np.ndarray) -> np.ndarray:
    """Any (n,) labels as numbers 0 … in the order in which they first appear.

    >>> first_appearance(np.array(["b", "a", "b"]))
    array([0, 1, 0])
    """
    return np.asarray(pd.factorize(labels)[0], dtype=np.int64)


def _components(links: np.ndarray, nodes: int) -> np.ndarray:
    """(nodes,) the connected component of each node of an undirected graph."""
    ones = np.ones(len(links), dtype=np.int8)
    graph = coo_array((ones, (links[:, 0], links[:, 1])), shape=(nodes, nodes))
    return np.asarray(connected_components(graph, directed=False)[1])
