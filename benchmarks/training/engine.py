"""Our engine as the benchmarks run it: the learner's own fit, watched from its step boundaries.

Everything goes through what `pipeline.cv` uses: `make_factory`, `prepare`, `make`, `fit`.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.shared.stsb import Pairs
from pipeline.base.paths import Workspace
from pipeline.data.table import Table
from pipeline.data.tokens.data_module import FoldDataModule
from pipeline.models.learner import Silent
from pipeline.models.transformer_settings import TransformerRecipe
from pipeline.training.jobs import make_factory
from pipeline.training.options import FailurePolicy


class Engine:
    """A learner of ours on some pairs; `fit` it once."""

    def __init__(self, pairs: Pairs, recipe: TransformerRecipe, seed: int) -> None:
        """Load the backbone and tokenise every row: nothing of that is timed."""
        self.pairs = pairs
        self.factory: Any = make_factory(recipe, pairs.competition, FailurePolicy())
        self.factory.prepare([pairs.train, pairs.dev], Silent())
        self.learner: Any = self.factory.make(seed)

    def fit(self, watch: Silent) -> None:
        """Train as a fold is trained, in a workspace that is thrown away."""
        with tempfile.TemporaryDirectory() as folder:
            self.learner.fit(self.pairs.train, Workspace(Path(folder)), watch)

    def predict(self, table: Table) -> np.ndarray:
        """(n, 1) predictions, after the fit."""
        values: np.ndarray = self.learner.predict(table, Silent())
        return values

    def peek(self, table: Table) -> np.ndarray:
        """(n, 1) predictions in the middle of the fit, which goes on as if nothing had happened.

        Every draw of a training step is seeded by the step's number, and evaluating draws nothing.
        """
        module, shared = self.learner.module, self.learner.shared
        data = FoldDataModule(shared.store, shared.recipe, 0, test=table)
        predictions = np.full((len(table), 1), np.nan, dtype=np.float32)
        module.network.eval()
        with torch.no_grad():
            for number, batch in enumerate(data.test_dataloader()):
                rows, values = module.predict_step(batch, number)
                predictions[rows.numpy()] = values.numpy()
        module.network.train()
        assert np.isfinite(predictions).all()
        return predictions
