"""Three targets of classes, and rows of them."""

import numpy as np

from pipeline.base.config import TaskConfig

CLASSES = {"kind": ["fact", "guess"], "tense": ["past", "now", "later"], "sure": ["yes", "no"]}
FLAT = [f"{head}={name}" for head, own in CLASSES.items() for name in own]
SIZES = [2, 3, 2]


def task(metric="joint-weighted-f1", **more):
    return TaskConfig(problem="heads", metric=metric, classes=FLAT, **more)


def kind():
    return task().problem_type


def flags(numbers):
    return np.hstack([np.eye(size)[own] for own, size in zip(numbers.T, SIZES, strict=True)])


def rows(seed, n=200):
    """(n, 3) class numbers, and (n, 7) predictions that know a little of them."""
    random = np.random.default_rng(seed)
    numbers = np.stack([random.integers(size, size=n) for size in SIZES], axis=1)
    numbers[:, 1] = np.where(random.random(n) < 0.7, 0, numbers[:, 1])
    blocks = [random.dirichlet(np.ones(size), size=n) for size in SIZES]
    return numbers, kind().within_range(np.hstack(blocks) + 0.4 * flags(numbers), 1e-6)
