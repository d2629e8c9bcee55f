"""Classes of a single row: trained on in every fold, never held out, never scored."""

import numpy as np

from pipeline.base import Competition
from pipeline.data.table import Table, concatenate

FEWEST = 2
"""Classes that have to stay, for there to be anything to tell apart."""


def single_rows(train: Table, competition: Competition) -> np.ndarray:
    """(n,) bool: whether a row of *train* is the only one of its class.

    None where so few classes would stay that nothing could be told apart.
    """
    nobody = np.zeros(len(train), dtype=bool)
    kind = competition.task.problem_type
    if train.targets is None or not (kind.exclusive and kind.named_classes):
        return nobody
    number = train.targets[:, 0]
    if not np.isfinite(number).all():
        return nobody
    amount = np.bincount(number.astype(int), minlength=len(competition.task.classes))
    return amount[number.astype(int)] == 1 if (amount > 1).sum() >= FEWEST else nobody


def apart(
    train: Table, extra: Table | None, competition: Competition
) -> tuple[Table, Table | None, list[str]]:
    """*train* without the only rows of a class, which go to *extra*, and what to say of it."""
    alone = single_rows(train, competition)
    if competition.folds.rare == "refuse" or not alone.any():
        return train, extra, []
    single = train.rows(alone)
    assert single.targets is not None, "train is labelled"
    names = [competition.task.classes[int(place)] for place in single.targets[:, 0]]
    shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    told = (
        f"{train.source}: {len(names)} classes of a single row are trained on in every fold and "
        f"never scored (folds.rare): {shown}"
    )
    more = single if extra is None else concatenate(extra, single)
    return train.rows(~alone), more, [told]
