"""Rows predicted several times: as they are, and as `tta` in a recipe words them (test-time
augmentation).

    tta: [swap]

The prediction is the mean over all wordings of a row. How far they are apart is kept beside it: a
learner that is sure of neither side is a learner to look at, and a second layer may use it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from pipeline.base.seeding import derive_seed
from pipeline.data import Table
from pipeline.data.join import shared
from pipeline.data.table import concatenate
from pipeline.models.row_transforms.transform import Place, Step


def averaged(
    predict: Callable[[Table], np.ndarray], table: Table, steps: Sequence[Step], place: Place
) -> tuple[np.ndarray, np.ndarray]:
    """Predictions (n, k) of the rows of *table*, and (n,) how far their wordings are apart.

    *predict*: a table of any rows -> (rows, k). Apart is the largest prediction of a row less the
    smallest, the mean over columns; 0 for a row without another wording. What is drawn depends on
    the row's id alone, so every learner is asked about the same wordings.
    """
    known = replace(table, parents=table.ids)
    whole = known
    for number, step in enumerate(steps, start=1):
        seed = derive_seed(0, "tta", number)
        whole = concatenate(whole, step.transform.made(known, replace(place, seed=seed)))
    parents = whole.parents
    assert parents is not None
    said = np.asarray(predict(replace(whole, parents=None)))
    _, rows = shared(parents, table.ids)
    shape = (len(table), said.shape[1])
    total, low, high = np.zeros(shape), np.full(shape, np.inf), np.full(shape, -np.inf)
    np.add.at(total, rows, said)
    np.minimum.at(low, rows, said)
    np.maximum.at(high, rows, said)
    count = np.bincount(rows, minlength=len(table))[:, None]
    return (total / count).astype(said.dtype), (high - low).mean(axis=1).astype(np.float32)
