"""AutoGluon's EnsembleSelection, run by the Python of its own environment; see blend.py.

    PYTHON -m benchmarks.blending.autogluon_contender FOLDER METRIC PICKS CAP

Prints one JSON object.
"""

import json
import sys
from pathlib import Path

import numpy as np
from autogluon.core.metrics import get_metric
from autogluon.core.models.greedy_ensemble.ensemble_selection import EnsembleSelection

from benchmarks.blending.clock import as_far
from benchmarks.blending.simulated import read, scores
from benchmarks.shared.memory import forget_peak, peak

NAMES = {"rmse": "root_mean_squared_error", "pearson": "pearsonr"}


def main() -> None:
    """Time it with as many picks as the cap allows."""
    folder, metric, picks, cap = sys.argv[1:]
    mapped, truth, _ = read(Path(folder))
    scorer = get_metric(NAMES[metric], "regression")
    forget_peak()
    before = peak()
    members = [np.array(each) for each in mapped]

    def select(size: int) -> EnsembleSelection:
        found = EnsembleSelection(ensemble_size=size, problem_type="regression", metric=scorer)
        return found.fit(members, truth)

    found, seconds, size = as_far(select, int(picks), float(cap))
    print(
        json.dumps(
            {
                "seconds": seconds,
                "picks": size,
                "memory": peak() - before,
                **scores(members, truth, found.weights_),
            }
        )
    )


if __name__ == "__main__":
    main()
