"""How a learner without torch lies on the disk: NAME.npz, and NAME.json, which vouches for it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base import ArtifactError, read_json
from pipeline.base.files import read_arrays


def read_saved(
    folder: Path, name: str, field: str, wanted: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The content of NAME.json and the arrays of NAME.npz.

    Raises ArtifactError where one of them is damaged, or the *field* that says what the numbers
    belong to is not as *wanted*.
    """
    content = read_json(folder / f"{name}.json")
    if (found := content.get(field)) != wanted:
        raise ArtifactError(f"{folder} was saved with {found}, but the recipe asks for {wanted}")
    arrays = read_arrays(folder / f"{name}.npz", expected_sha256=str(content.get("sha256")))
    return content, arrays
