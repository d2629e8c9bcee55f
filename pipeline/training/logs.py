"""A fold's result as TensorBoard scalars, beside the curves its learner logged.

tensorboard --logdir runs/
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.summary import Writer


def log_fold(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write score, seconds, peak memory and the learner's numbers to *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    writer = Writer(str(folder))
    for name, value in _numbers(manifest).items():
        writer.add_scalar(name, value, step=0)
    writer.close()


def _numbers(manifest: Mapping[str, Any]) -> dict[str, float]:
    """The manifest's numbers under the names TensorBoard groups by.

    >>> _numbers({"score": 0.5, "metric": "auc", "seconds": {"fit": 2}, "learner": {"steps": 7}})
    {'fold/auc': 0.5, 'fold/seconds_fit': 2.0, 'learner/steps': 7.0}
    """
    numbers = {}
    if manifest.get("score") is not None:
        numbers[f"fold/{manifest['metric']}"] = float(manifest["score"])
    for group in ("seconds", "peak_memory"):
        for name, value in manifest.get(group, {}).items():
            numbers[f"fold/{group}_{name}"] = float(value)
    for name, value in manifest.get("learner", {}).items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            numbers[f"learner/{name}"] = float(value)
    return numbers
