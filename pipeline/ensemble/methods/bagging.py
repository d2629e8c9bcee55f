"""Greedy selection in bags: many selections, each among a random half of the members, averaged.

With many members and few rows a greedy pick may be luck. A member that is best by luck is in half
of the bags only, and the mean of many selections moves less when rows change. Caruana et al.,
"Ensemble Selection from Libraries of Models" (ICML 2004), section 2.3. Their sorted beginning
(section 2.2) is left out: the best prefix of the picks counts, and it changed no score.
"""

import numpy as np

from pipeline.base.seeding import generator
from pipeline.ensemble.evidence import Evidence, FoldSet
from pipeline.ensemble.methods.weights import select
from pipeline.ensemble.predictor import Blend

BAGS = 20
SHARE = 0.5
"""Of the members that a bag holds."""


def greedy_bag(evidence: Evidence, folds: FoldSet, seed: int = 0) -> Blend:
    """The mean of the weights of `BAGS` greedy selections; the same *seed* gives the same bags."""
    members = len(evidence.names)
    size = max(1, round(SHARE * members))
    total = np.zeros(members)
    for number in range(BAGS):
        bag = np.sort(generator(seed, "bag", number).permutation(members)[:size])
        total += select(evidence, folds, bag.tolist())
    return Blend(total / BAGS, np.zeros(evidence.oof[0].shape[1]))
