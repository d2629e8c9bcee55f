"""How strongly a method is held back, chosen inside the folds it is fitted on.

Every method with a strength is fitted with a few of them, from strong to weak. Each is scored on
folds left out in turn, *inside* the folds that the method may see, and the one with the highest
pooled gain is taken; of equals the stronger.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pipeline.ensemble.evidence import Evidence, FoldSet
from pipeline.ensemble.predictor import Predictor

Fits = Callable[[Evidence, FoldSet], Sequence[Predictor]]
"""Fits on the rows of a set of folds, one predictor per strength, from strong to weak."""


def tuned(name: str, fits: Fits, untuned: int) -> Callable[[Evidence, FoldSet], Predictor]:
    """A method: *fits* with the strength chosen inside.

    *name* is the method's; fits are remembered under it, because the folds left out inside one set
    are left out inside others too. *untuned* is the place of the strength that is taken where a
    single fold leaves nothing to choose it on.
    """

    def all_of(evidence: Evidence, folds: FoldSet) -> Any:
        return evidence.remembered((name, folds), lambda: fits(evidence, folds))

    def fit(evidence: Evidence, folds: FoldSet) -> Predictor:
        found: Sequence[Predictor] = all_of(evidence, folds)
        if len(folds) < 2:
            return found[untuned]
        left_out = {fold: all_of(evidence, folds - {fold}) for fold in folds}
        gains = [
            evidence.gain({fold: tried[place] for fold, tried in left_out.items()})
            for place in range(len(found))
        ]
        return found[int(np.argmax(gains))]

    return fit
