"""AutoGluon's EnsembleSelection, run by the Python of its own environment; see blend.py.

    PYTHON benchmarks/blend_autogluon.py FOLDER METRIC PICKS CAP

Prints one JSON object.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from autogluon.core.metrics import get_metric
from autogluon.core.models.greedy_ensemble.ensemble_selection import EnsembleSelection
from blend_clock import TICK, forget_peak, peak, timed
from blend_data import read, scores

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

    began = time.process_time()
    select(1)
    one = max(time.process_time() - began, TICK)
    size = max(1, min(int(picks), int(float(cap) / one)))
    found, seconds = timed(lambda: select(size))
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
