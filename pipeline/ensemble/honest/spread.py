"""How much blend weights move with the rows: refitted on bootstrap draws of whole groups.

Weights that swing from draw to draw say that the data cannot tell the members apart; the blend may
be good all the same, because members that can replace each other give the same predictions.
"""

import numpy as np

from pipeline.base.seeding import generator
from pipeline.ensemble.evidence import Evidence
from pipeline.ensemble.methods.registry import METHODS
from pipeline.ensemble.methods.scaling import find_scale

DRAWS = 100


def weight_spread(evidence: Evidence, method: str, seed: int, draws: int = DRAWS) -> np.ndarray:
    """(draws, M) the weights of *method* fitted on each draw."""
    random = generator(seed, "weight spread", draws)
    _, group_of_row = np.unique(evidence.group_of_row, return_inverse=True)
    rows_of_group = np.split(
        np.argsort(group_of_row, kind="stable"), np.cumsum(np.bincount(group_of_row))[:-1]
    )
    found = []
    for _ in range(draws):
        drawn = random.integers(len(rows_of_group), size=len(rows_of_group))
        part = _rows(evidence, np.concatenate([rows_of_group[group] for group in drawn]))
        found.append(METHODS[method].fit(part, part.folds).weights)
    return np.array(found)


def shown_weights(evidence: Evidence, weights: np.ndarray) -> np.ndarray:
    """Weights (..., M) of members that are all on the target's scale, so that they compare."""
    return weights / find_scale(evidence, evidence.folds).slope


def _rows(evidence: Evidence, rows: np.ndarray) -> Evidence:
    """The evidence of these rows, which may be drawn more than once."""
    return Evidence.gather(
        evidence.names,
        [member[rows] for member in evidence.oof],
        evidence.truth[rows],
        evidence.fold_of_row[rows],
        evidence.group_of_row[rows],
        evidence.metric,
        evidence.problem,
        None if evidence.facts is None else evidence.facts.take(rows),
    )
