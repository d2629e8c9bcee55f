"""How strongly the linear learner is held back, chosen inside the training part.

Rows are cut into inner folds by a hash of their text, so copies of a text never stand on both
sides; or, where folds are grouped by a column, by its value, as the folds themselves are. Strengths
are tried from strong to weak until the held-out loss rises.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.data import Table
from pipeline.models.linear.solver import Design, Loss, fit_glm
from pipeline.models.linear.text_features import tidy

STANDARD: dict[Loss, tuple[float, ...]] = {
    "squared": (30.0, 10.0, 3.0, 1.0, 0.3, 0.1),
    "sigmoid": (3.0, 1.0, 0.3, 0.1, 0.03, 0.01),
}
"""Penalties tried on n-gram weights; inputs have length one per row."""
WEAKER = (0.003, 0.001)
"""Tried after the others of the sigmoid: classes that are many, or told by a word, want them."""
DENSE = 100.0
"""Penalty on the weights of dense numbers, whose spread is one."""
INNER_FOLDS = 3
ENOUGH_HELD_OUT = 2_000
"""Rows after which no further inner fold is held out: the choice would not change."""
MOST_ROWS = 30_000
"""More rows than this do not change it either."""


Judge = Callable[[np.ndarray, np.ndarray], float]
"""(scores (h, k), targets (h, k)) of held-out rows -> loss per row."""


@dataclass(frozen=True)
class Trial:
    """One strength, and what its learners said about rows they had not seen."""

    strength: float
    loss: float
    """Per held-out row; NaN where nothing could be held out."""
    scores: np.ndarray
    """(h, k)."""
    answers: np.ndarray
    """(h, k) targets of the held-out rows."""


def row_hashes(table: Table, grouped_by: Sequence[str] = ()) -> np.ndarray:
    """(n,) int64: equal where the texts of two rows are alike, in whichever order; or where the
    first column that folds are *grouped_by* is, as far as it is filled."""
    names = next((table.features[name] for name in grouped_by if name in table.features), None)
    rows = table.texts.tolist()
    if names is not None:
        rows = [[name] if name else row for name, row in zip(names.tolist(), rows, strict=True)]
    hashes = [
        min(zlib.crc32(tidy(text).encode("utf-8", "surrogatepass")) for text in row) for row in rows
    ]
    return np.array(hashes, dtype=np.int64)


def kept_rows(hashes: np.ndarray) -> np.ndarray:
    """Positions of the rows that are tried on: about MOST_ROWS of them at most."""
    return np.flatnonzero(hashes // INNER_FOLDS % -(-len(hashes) // MOST_ROWS) == 0)


def inner_parts(hashes: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to fit on and rows held out, of as many inner folds as it takes to hold out enough.

    *hashes* is (n,) from `row_hashes`. Empty where there are too few different texts.
    """
    kept = kept_rows(hashes)
    fold_of_row = hashes[kept] % INNER_FOLDS
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    if len(np.unique(fold_of_row)) < INNER_FOLDS:
        return parts
    for fold in range(INNER_FOLDS):
        parts.append((kept[fold_of_row != fold], kept[fold_of_row == fold]))
        if sum(len(held_out) for _, held_out in parts) >= ENOUGH_HELD_OUT:
            break
    return parts


PLAIN_GAIN = 0.05
"""Of the loss: where the order of a pair means something, reading it saves more than this."""


def plainly_lower(losses: np.ndarray, others: np.ndarray) -> bool:
    """Whether *losses* of blocks of held-out rows are below *others*, of the same blocks: by a
    twentieth at least, and by two standard errors of their differences.

    >>> plainly_lower(np.array([1.0, 1.1, 0.9]), np.array([2.0, 2.2, 1.9]))
    True
    >>> plainly_lower(np.array([1.0, 2.0, 3.0]), np.array([2.0, 1.0, 3.1]))
    False
    >>> plainly_lower(np.array([1.0, 1.1, 0.9]), np.array([1.01, 1.11, 0.91]))
    False
    """
    gains = others - losses
    sure = gains.mean() > 2 * gains.std(ddof=1) / np.sqrt(len(gains))
    return bool(sure and gains.mean() > PLAIN_GAIN * others.mean())


def try_strengths(
    design: Design,
    targets: np.ndarray,
    loss: Loss,
    hashes: np.ndarray,
    strengths: Sequence[float],
    judge: Judge,
) -> list[Trial]:
    """Trials over the inner folds of *design*'s n rows, the best one first.

    *targets* is (n, k), *hashes* (n,) from `row_hashes`. Where there are too few different texts to
    hold any out, the one trial is of the middle strength.
    """
    grid = sorted(strengths, reverse=True)
    parts = [
        (design.rows(fit), targets[fit], design.rows(held_out), targets[held_out])
        for fit, held_out in inner_parts(hashes)
    ]
    if not parts:
        return [Trial(grid[len(grid) // 2], np.nan, targets[:0], targets[:0])]
    trials: list[Trial] = []
    for strength in grid:
        trials.append(_try(parts, loss, strength, judge))
        if len(trials) > 1 and trials[-1].loss >= trials[-2].loss:
            break
    return sorted(trials, key=lambda trial: trial.loss)


Part = tuple[Design, np.ndarray, Design, np.ndarray]
"""Inputs and targets to fit on, inputs and targets held out."""


def _try(parts: list[Part], loss: Loss, strength: float, judge: Judge) -> Trial:
    scores = np.concatenate(
        [
            held_out.times(fit_glm(inputs, targets, loss, DENSE, strength))
            for inputs, targets, held_out, _ in parts
        ]
    )
    answers = np.concatenate([part[3] for part in parts])
    return Trial(strength, judge(scores, answers), scores, answers)
