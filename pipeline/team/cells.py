"""From the texts of a file to numbers, and from logits to probabilities."""

import numpy as np
import pandas as pd

from pipeline.data.labels import canonical

SAMPLED = 2000  # cells that decide whether a column is one of numbers


def numbers(texts: np.ndarray) -> np.ndarray:
    """(r,) float64 of (r,) texts; NaN where a cell is empty or no number.

    >>> numbers(np.array(["0.5", " 1e-3", "", "a", "-inf"], dtype=object)).tolist()
    [0.5, 0.001, nan, nan, -inf]
    """
    stripped = pd.Series(texts, dtype=object).str.strip()
    return pd.to_numeric(stripped, errors="coerce").to_numpy(dtype=float)


def is_numeric(texts: np.ndarray) -> bool:
    """Whether most cells of a column that are not empty are numbers."""
    written = [text for text in texts.tolist() if text.strip()]
    step = max(1, len(written) // SAMPLED)
    values = numbers(np.array(written[::step], dtype=object))
    return bool(len(values)) and float(np.isfinite(values).mean()) > 0.5


def fold_names(texts: np.ndarray) -> np.ndarray:
    """(r,) one text for all ways to write a fold's number; empty where there is none.

    >>> fold_names(np.array(["1.0", "1", "", "b", "-1"], dtype=object)).tolist()
    ['1', '1', '', 'b', '']
    """
    named = {text: canonical(text) for text in set(texts.tolist())}
    none = {"", "nan", "NaN", "None", "-1"}
    found = [named[text] for text in texts.tolist()]
    return np.array(["" if text in none else text for text in found], dtype=object)


def sigmoid(values: np.ndarray) -> np.ndarray:
    """Logits to probabilities, each alone, without overflow."""
    small = np.exp(-np.abs(values))
    return np.where(values >= 0, 1 / (1 + small), small / (1 + small))


def softmax(values: np.ndarray) -> np.ndarray:
    """(r, k) logits to probabilities whose rows sum to one."""
    shifted = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
