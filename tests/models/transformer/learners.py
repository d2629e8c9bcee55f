"""Transformer learners of a few thousand numbers, and texts that they can learn from."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.config import TaskConfig
from pipeline.base.paths import Workspace
from pipeline.data.table import Table
from pipeline.models.learner import Silent
from pipeline.models.transformer.factory import TransformerFactory
from pipeline.models.transformer_settings import TransformerRecipe
from pipeline.training.lightning.trainer import FoldFitter
from pipeline.training.options import FailurePolicy
from tests.fitting import CPU
from tests.tiny import tiny_backbone

WORDS = ["cat", "dog", "fish", "bird", "horse", "mouse"]
SCORES = TaskConfig(problem="regression", metric="pearson", label_range=(0.0, 5.0))
WATCH = Silent()


def backbone(folder: Path, kind: Any = "bert", **settings: Any) -> Path:
    """A folder with a backbone that knows the words of `pairs`."""
    return tiny_backbone(folder / kind, [*WORDS, "the"], kind=kind, hidden=32, **settings)


def pairs(n: int, seed: int = 0, labelled: bool = True, alike: bool = True) -> Table:
    """Pairs of texts; the label is 5 where both name the same animal, else 0.

    With *alike* off, which a cross-encoder this small can learn: 5 where the second is a pet.
    """
    rng = np.random.default_rng(seed)
    texts, targets = [], []
    for _ in range(n):
        first, second = rng.choice(WORDS, size=2)
        second = first if rng.random() < 0.5 else second
        filler = ["the"] * int(rng.integers(0, 6))
        texts.append([" ".join([first, *filler]), second])
        targets.append([5.0 * (first == second if alike else second in ("cat", "dog", "fish"))])
    ids = np.array([f"r{row}" for row in range(n)], dtype=object)
    columns = np.array(texts, dtype=object)
    return Table(ids=ids, texts=columns, targets=np.array(targets) if labelled else None)


def factory_for(
    folder: Path,
    task: TaskConfig = SCORES,
    outputs: int = 1,
    hardware: Any = CPU,
    tokens: Path | None = None,
    **changes: Any,
) -> TransformerFactory:
    """Of a recipe that is trained in about a second."""
    settings = {
        "epochs": 1,
        "batch_size": 8,
        "length_groups": 2,
        "learning_rate": 3e-3,
        "max_length": 16,
        **changes,
    }
    recipe = TransformerRecipe(name="toy", backbone=str(folder), **settings)
    fitter = FoldFitter(hardware, FailurePolicy())
    return TransformerFactory(recipe, task, outputs, hardware, fitter, tokens)


def fitted(
    factory: TransformerFactory, table: Table, folder: Path, seed: int = 1, watch: Any = WATCH
) -> Any:
    """A learner that was trained in *folder*."""
    learner = factory.make(seed)
    learner.fit(table, Workspace(folder), watch)
    return learner


def assert_same_once_saved(
    factory: Any, learner: Any, asked: Table, said: np.ndarray, folder: Path
) -> None:
    """What *learner* said is what it says when it comes back from *folder*, to the last bit."""
    learner.save(folder)
    again = factory.load(folder).predict(asked, WATCH)
    assert np.array_equal(again, said)
