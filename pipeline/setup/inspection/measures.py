"""How well one column of numbers tells another: correlation and ranking, with their noise."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from pipeline.base.seeding import generator

SEED = 0  # the look at the data is the same every time


def sample(n: int, limit: int, purpose: str) -> np.ndarray:
    """Positions of at most *limit* of n rows, drawn without replacement, in file order."""
    if n <= limit:
        return np.arange(n)
    return np.sort(generator(SEED, purpose).choice(n, size=limit, replace=False))


def sample_within(texts: np.ndarray, limit: int, characters: int, purpose: str) -> np.ndarray:
    """As `sample`, of rows of texts (n, s) that have about *characters* characters at most."""
    per_row = sum(map(len, texts.ravel())) / max(1, len(texts))
    return sample(len(texts), min(limit, max(1, int(characters / max(1.0, per_row)))), purpose)


def pearson(truth: np.ndarray, guess: np.ndarray) -> float:
    """Pearson correlation of two (n,); 0 where one of them is constant."""
    first, second = truth - truth.mean(), guess - guess.mean()
    scale = float(np.sqrt((first @ first) * (second @ second)))
    return float(first @ second) / scale if scale > 0 else 0.0


def auc(positive: npt.ArrayLike, score: npt.ArrayLike) -> tuple[float, float]:
    """Area under the ROC curve and its variance (DeLong 1988); (0.5, 0) without both classes.

    *positive* (n,) is true or false, *score* (n,) is larger for rows held to be positive.
    """
    truth, values = np.asarray(positive, dtype=bool), np.asarray(score, dtype=float)
    above, below = int(truth.sum()), int((~truth).sum())
    if not above or not below:
        return 0.5, 0.0
    rank = rankdata(values)
    # the share of the other class that each row beats, ties counted half
    beaten = (rank[truth] - rankdata(values[truth])) / below
    beating = 1 - (rank[~truth] - rankdata(values[~truth])) / above
    variance = beaten.var() / above + beating.var() / below
    return float(beaten.mean()), float(variance)


def mean_auc(parts: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """Mean of independent AUCs and the ends of its 95 % interval."""
    values = np.array([value for value, _ in parts])
    error = 1.96 * np.sqrt(sum(variance for _, variance in parts)) / len(parts)
    middle = float(values.mean())
    return middle, max(0.0, middle - float(error)), min(1.0, middle + float(error))
