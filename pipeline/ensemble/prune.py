"""Members that only repeat another are left out before anything is fitted.

A run under two names, or a team-mate's copy of ours, splits one weight in two, hides in the table
that both are needed together, and costs time. Whether two members are one is seen from their
predictions alone, so no label is looked at and nothing has to be nested.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.ensemble.evidence import Evidence
from pipeline.oof.members import Members

SAME_MODEL = 0.9999  # correlation of predictions from which two members count as one model


@dataclass(frozen=True)
class Redundant:
    """One member that repeats another."""

    member: int
    kept: int
    correlation: float
    """Of their predictions: the lower one of out-of-fold rows and test rows."""


def redundant(evidence: Evidence, test: Sequence[np.ndarray]) -> list[Redundant]:
    """Members that repeat one that stands before them; *test* holds M arrays (m, k)."""
    scatter = evidence.moments(evidence.folds).pooled(evidence.column_weights(evidence.folds))[0]
    alike = _correlation(scatter)
    found: list[Redundant] = []
    kept: list[int] = []
    for member in range(len(evidence.names)):
        near = [place for place in kept if alike[place, member] > SAME_MODEL]
        same = [(_test_correlation(test[place], test[member]), place) for place in near]
        if same and (best := max(same))[0] > SAME_MODEL:
            lower = min(best[0], float(alike[best[1], member]))
            found.append(Redundant(member, best[1], lower))
        else:
            kept.append(member)
    return found


def without_copies(evidence: Evidence, members: Members) -> tuple[Evidence, Members, list[str]]:
    """Both without members that repeat another, and a note about each of these."""
    found = redundant(evidence, members.test)
    dropped = {each.member for each in found}
    kept = [place for place in range(len(members.names)) if place not in dropped]
    notes = [
        f"{members.names[each.member]} is left out: its predictions correlate "
        f"{each.correlation:.6f} with those of {members.names[each.kept]}, so it adds nothing"
        for each in found
    ]
    return (evidence.keep(kept), members.keep(kept), notes) if found else (evidence, members, [])


def _correlation(scatter: np.ndarray) -> np.ndarray:
    spread = np.sqrt(np.maximum(np.diagonal(scatter), 0.0))
    scale = np.outer(spread, spread)
    return np.divide(scatter, scale, out=np.zeros_like(scatter), where=scale > 0)


def _test_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Over all columns, each centred."""
    centred = np.stack([(each - each.mean(axis=0)).ravel() for each in (one, other)])
    return float(_correlation(centred @ centred.T)[0, 1])
