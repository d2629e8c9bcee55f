"""A metric of the user's own: a function in a file of theirs, named as `module:function`.

Their code is run because they named it, and only then. It is called with (y_true, y_pred), float64,
each (n,) where it has one column and (n, k) otherwise, and returns a number; larger is better.
"""

import importlib
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base import UsageError
from pipeline.metrics.formulas import MetricError, Score


def own_metric(name: str, root: Path) -> Score:
    """The score that *name* stands for; its module is looked for in the folder *root* first.

    Raises UsageError where there is no such module or function.
    """
    function = _find(name, root)

    def score(truth: np.ndarray, guess: np.ndarray) -> float:
        flat = [array[:, 0] if array.shape[1] == 1 else array for array in (truth, guess)]
        try:
            value = function(*flat)
        except (ArithmeticError, ValueError) as error:
            raise MetricError(f"it raised {type(error).__name__}: {error}") from error
        except Exception as error:  # whatever it is, it is their code that has to change
            raise UsageError(f"the metric {name} raised {type(error).__name__}: {error}") from error
        return _number(name, value)

    return score


def _find(name: str, root: Path) -> Callable[..., Any]:
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name:
        raise UsageError(f"the metric {name!r} is not module:function")
    place = str(root.resolve())
    sys.path.insert(0, place)
    try:
        importlib.invalidate_caches()
        module = importlib.import_module(module_name)
    except Exception as error:  # a missing module, or anything that importing theirs runs into
        raise UsageError(
            f"the metric {name!r} cannot be imported: {type(error).__name__}: {error}. "
            f"Expected {module_name.replace('.', '/')}.py in {place}, or an installed module"
        ) from error
    finally:
        sys.path.remove(place)
    function = getattr(module, function_name, None)
    if not callable(function):
        there = [key for key, value in vars(module).items() if callable(value) and key[0] != "_"]
        raise UsageError(
            f"the metric {name!r}: {module.__file__} has no function {function_name!r}; "
            f"it has: {', '.join(there) or 'none'}"
        )
    return function


def _number(name: str, value: Any) -> float:
    try:
        score = float(value)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"the metric {name} returned {type(value).__name__}, expected a number"
        ) from error
    if not math.isfinite(score):
        raise MetricError(f"it returned {score}")
    return score
