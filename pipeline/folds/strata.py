"""The stratum of each row: what every fold should have the same share of.

numbers      each value where there are at most `folds.bins` of them, else quantile bins: a row goes
             by the middle rank of its value, so equal numbers never part
several      bins of the first principal component of the ranks: the direction in which the targets
numbers      move together, whichever way each of them points
classes      each class
label sets   each set that at least K rows have; rarer ones by the rarest label in them
further      the combinations of the above with each column of `folds.stratify_by`, one column after
columns      the other; what fewer than K rows have is joined with the rest of its label
"""

import numpy as np
import pandas as pd

from pipeline.base.config import FoldsConfig, Problem
from pipeline.data.table import Table
from pipeline.folds.groups import first_appearance


def strata(table: Table, problem: Problem, folds: FoldsConfig) -> np.ndarray:
    """(n,) the number of each row's stratum, 0 … in order of first appearance."""
    assert table.targets is not None
    match problem:
        case "regression":
            stratum = number_strata(table.targets, min(folds.bins, len(table) // folds.count))
        case "multilabel":
            stratum = set_strata(table.targets, folds.count)
        case _:
            stratum = table.targets[:, 0]
    stratum = first_appearance(stratum)
    for name in folds.stratify_by:
        stratum = refined(stratum, table.features[name], folds.count)
    return stratum


def number_strata(targets: np.ndarray, bins: int) -> np.ndarray:
    """(n,) quantile bin of (n, k) numbers; fewer than *bins* where many rows share a value."""
    ranks = np.column_stack([_middle_rank(column) for column in targets.T])
    if targets.shape[1] > 1:
        spread = ranks.std(axis=0)
        scaled = (ranks - ranks.mean(axis=0)) / np.where(spread > 0, spread, 1)
        direction = np.linalg.eigh(scaled.T @ scaled)[1][:, -1]
        ranks = _middle_rank(np.round(scaled @ direction, 9))[:, None]
    values = np.unique(ranks)
    if len(values) <= bins:
        return np.searchsorted(values, ranks[:, 0])
    return np.floor(ranks[:, 0] * max(bins, 1)).astype(np.int64)


def _middle_rank(values: np.ndarray) -> np.ndarray:
    """(n,) share of the rows below the middle of the rows with the same value, in (0, 1).

    >>> _middle_rank(np.array([7.0, 1.0, 7.0, 9.0]))
    array([0.5  , 0.125, 0.5  , 0.875])
    """
    _, inverse, amount = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray(((np.cumsum(amount) - amount / 2) / len(values))[inverse])


def set_strata(targets: np.ndarray, least: int) -> np.ndarray:
    """(n,) the label set of each row of (n, k) 0/1, sets of fewer than *least* rows by their
    rarest label.

    >>> set_strata(np.array([[1, 0], [1, 0], [1, 1], [0, 1]]), least=2).tolist()
    [0, 0, 1, 1]
    """
    present = targets != 0
    code = np.unique(present, axis=0, return_inverse=True)[1].ravel()
    amount = np.bincount(code)
    rarest = np.where(present, present.sum(axis=0), len(targets) + 1).argmin(axis=1)
    rare = (amount[code] < least) & present.any(axis=1)
    return first_appearance(np.where(rare, len(amount) + rarest, code))


def refined(stratum: np.ndarray, column: np.ndarray, least: int) -> np.ndarray:
    """(n,) strata split by the values of a *column*, as far as *least* rows share a part.

    >>> refined(np.array([0, 0, 0, 0, 1]), np.array(["a", "a", "b", "c", "a"]), least=2).tolist()
    [0, 0, 1, 1, 2]
    """
    value, values = pd.factorize(column)
    part = first_appearance(stratum * len(values) + value)
    whole = part.max() + 1 + stratum
    return first_appearance(np.where(np.bincount(part)[part] < least, whole, part))
