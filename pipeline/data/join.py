"""Rows are known by id: predictions put into the order asked for, none missing, none foreign.

A team's runs name the same million rows in the same order, again and again. So where the ids of one
file stand is looked up once, and remembered for the next file with these ids.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.base.errors import ArtifactError, raise_if

KEPT = 64  # files whose order is remembered; a run has as many as seeds x repeats x folds


class Order:
    """The order in which rows are asked for."""

    def __init__(self, ids: np.ndarray) -> None:
        self.ids = ids
        self._place_of: dict[str, int] = {}
        self._known: list[tuple[np.ndarray, np.ndarray]] = []

    def __len__(self) -> int:
        return len(self.ids)

    def places(self, found: np.ndarray) -> np.ndarray:
        """(len(found),) where each of the ids *found* stands; -1 for those not asked for."""
        for ids, places in self._known:
            if same_ids(ids, found):
                return places
        if not self._place_of:
            self._place_of = {row_id: place for place, row_id in enumerate(self.ids.tolist())}
        places = np.array([self._place_of.get(row_id, -1) for row_id in found.tolist()], dtype=int)
        self._known = [(found, places), *self._known[: KEPT - 1]]
        return places

    def aligned(self, values: np.ndarray, found: np.ndarray, where: str) -> np.ndarray:
        """*values* (rows as the ids *found*, each once) put into this order."""
        places = self.places(found)
        known = places[places >= 0]
        if len(known) < len(found) or len(known) < len(self.ids):
            missing = np.setdiff1d(np.arange(len(self.ids)), known)
            surplus = sorted(found[places < 0].tolist())
            problems = differences("its", self.ids[missing].tolist(), surplus)
            raise_if(problems, ArtifactError, where)
        ordered = np.empty_like(values)
        ordered[places] = values
        return ordered


def same_ids(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether both name the same rows in the same order."""
    if one is other:
        return True
    if len(one) != len(other) or not len(one):
        return len(one) == len(other)
    return bool(one[0] == other[0] and one[-1] == other[-1]) and np.array_equal(one, other)


def differences(kind: str, missing: Sequence[str], surplus: Sequence[str]) -> list[str]:
    """A sentence about the *missing* ids and one about the *surplus* ones, as far as there are."""
    problems = []
    if missing:
        problems.append(
            f"{len(missing)} of {kind} rows have no prediction, or more than one: {missing[:5]}"
        )
    if surplus:
        problems.append(f"{len(surplus)} of {kind} rows are not in today's files: {surplus[:5]}")
    return problems
