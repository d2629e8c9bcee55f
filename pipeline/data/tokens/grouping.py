"""How finely a step's rows are cut: for little padding, and for what memory holds.

Cutting costs time as well, since small groups keep a device less busy; so a step is cut into as few
groups as its padding allows.
"""

import numpy as np

from pipeline.data.tokens.batches import plan, useful_share

ENOUGH = 0.95
"""Share of real tokens that is good enough: to cut further costs more than it saves."""
MOST_GROUPS = 8
SAMPLE_ROWS = 8_192
"""Rows whose lengths are looked at: more would say the same."""


def fewest_groups(lengths: np.ndarray, batch_size: int) -> int:
    """Into how few groups steps of *batch_size* rows of *lengths* (n,) tokens need be cut.

    As measured on steps of random rows: the fewest groups that leave a twentieth of padding at
    most, or `MOST_GROUPS`.

    >>> fewest_groups(np.full(1000, 20), 32), fewest_groups(np.arange(1000) % 2 * 90 + 10, 32)
    (1, 2)
    """
    sample = lengths[:: max(1, len(lengths) // SAMPLE_ROWS)]
    for groups in range(1, min(MOST_GROUPS, batch_size)):
        steps = plan(0, 0, len(sample), batch_size, sample, groups)
        if useful_share(steps, sample) >= ENOUGH:
            return groups
    return min(MOST_GROUPS, batch_size)


def within(groups: list[np.ndarray], lengths: np.ndarray, most_tokens: int) -> list[np.ndarray]:
    """The *groups* of rows, those of more than *most_tokens* cut into equal parts.

    Each group's rows come by falling length, and a part counts as rows times its longest row. A
    single row longer than that is run alone.

    >>> within([np.array([0, 1, 2, 3])], np.array([9, 8, 8, 7]), 20)
    [array([0, 1]), array([2, 3])]
    """
    parts: list[np.ndarray] = []
    for group in groups:
        rows = max(1, most_tokens // int(lengths[group[0]]))
        parts += np.array_split(group, -(-len(group) // rows))
    return parts
