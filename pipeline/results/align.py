"""Rows are known by id: predictions put into the order asked for, none missing, none foreign."""

from collections.abc import Sequence

import numpy as np

from pipeline.errors import ArtifactError, raise_if


def aligned(
    values: np.ndarray, found_ids: np.ndarray, wanted_ids: np.ndarray, where: str
) -> np.ndarray:
    """*values* (rows as *found_ids*) put into the order of *wanted_ids*."""
    position = {row_id: place for place, row_id in enumerate(found_ids.tolist())}
    wanted = wanted_ids.tolist()
    missing = [row_id for row_id in wanted if row_id not in position]
    surplus = sorted(set(position) - set(wanted))
    raise_if(differences("its", missing, surplus), ArtifactError, where)
    aligned = values[[position[row_id] for row_id in wanted]] if wanted else values[:0]
    return np.asarray(aligned)


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
