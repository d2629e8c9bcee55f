"""What a person should know about how members and method fit the metric."""

import numpy as np

from pipeline.ensemble.evidence import Evidence
from pipeline.ensemble.methods.rank_mean import ORDER_ONLY, WRONG_TOOL
from pipeline.ensemble.methods.scaling import find_scale

CUTS = (
    "members and methods are compared by {metric} with cuts that give each label its share of "
    "rows, as cut points come last; pipeline.cv and the audit round"
)


def remarks(evidence: Evidence, method: str) -> list[str]:
    """A sentence about each member on another scale, and about a method that is the wrong tool."""
    scale, found = find_scale(evidence, evidence.folds), []
    for place in np.flatnonzero(scale.moved):
        line = f"{scale.slope[place]:.3g} times the prediction {scale.offset[0, place]:+.3g}"
        found.append(
            f"{evidence.names[place]} is on another scale than the target: brought to it by "
            f"{line}{'' if len(scale.offset) == 1 else ' (first column)'}, fitted inside the nest"
        )
    if method == "rank-mean" and evidence.metric.name not in ORDER_ONLY:
        found.append(WRONG_TOOL.format(metric=evidence.metric.name))
    if evidence.metric.cuts is not None:
        found.append(CUTS.format(metric=evidence.metric.name))
    return found
