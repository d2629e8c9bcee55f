"""Texts to vectors of a frozen backbone, each distinct text once for all folds, seeds and commands.

Texts are tokenised by the token store and run without padding where the backbone allows it, as a
trained one predicts. The vectors lie beside the tokens that they were made of, under a digest of
the weights, the pooling and the arithmetic: runs/tokens/KEY/vectors-DIGEST.npz.

Notation: n rows, s texts per row, m distinct texts, W numbers of a vector.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.base import ArtifactError, Competition
from pipeline.base.errors import ResourceError
from pipeline.base.files import commit_arrays, read_arrays
from pipeline.data import Table
from pipeline.data.tokens.data_module import FoldDataModule
from pipeline.data.tokens.tokenizer import distinct, inputs_of, keys_of
from pipeline.models.learner import Engine, Watch
from pipeline.models.settings import EmbeddingsRecipe
from pipeline.models.transformer.factory import TransformerFactory, make_factory
from pipeline.models.transformer.fine_tuning import SharedByFolds
from pipeline.models.transformer.heads import Network, pooling_named
from pipeline.models.transformer.losses import TargetCodec
from pipeline.models.transformer.module import TextModule
from pipeline.models.transformer_settings import TransformerRecipe
from pipeline.problems.regression import REGRESSION

AS_IT_IS = TargetCodec(problem=REGRESSION.name, loss="mse", shift=(0.0,), scale=(1.0,))


class OneVector(nn.Module):
    """A head that hands on the vector of the one text of a row."""

    def forward(self, vectors: Sequence[Tensor]) -> Tensor:
        """((B, W),) -> (B, W)."""
        return vectors[0].float()


def backbone_of(
    recipe: EmbeddingsRecipe, competition: Competition, engine: Engine
) -> TransformerFactory:
    """What loads and runs the backbone of *recipe*, each text alone."""
    alone = TransformerRecipe(
        name=recipe.name,
        backbone=recipe.backbone,
        revision=recipe.revision,
        sha256=recipe.sha256,
        pairing="siamese",
        pooling=recipe.pooling,
        max_length=recipe.max_length,
        precision=recipe.precision,
        predict_batch_size=recipe.predict_batch_size,
    )
    return make_factory(alone, competition, engine)


class Vectors:
    """The vector of every text that was asked for."""

    def __init__(self, factory: TransformerFactory) -> None:
        """*factory* has the backbone, the token store and who runs a module."""
        self.factory = factory
        self.waiting: np.ndarray | None = None
        self.folder: Path | None = None
        self.found: dict[bytes, np.ndarray] = {}

    def expect(self, tables: Sequence[Table], watch: Watch) -> str:
        """Tokenise the texts of *tables*; they are embedded together when the first is needed."""
        line = self.factory.prepare(tables, watch)
        store = self.factory.shared.store
        self.waiting = _distinct([table.texts for table in tables])
        self.folder = store.folder
        return line

    def of(self, table: Table, watch: Watch) -> np.ndarray:
        """(n, s, W) float32."""
        if self.waiting is not None:
            texts, self.waiting = self.waiting, None
            self._keep(texts, self._cached(texts, watch))
        inputs = inputs_of(table.texts, "siamese")
        names = _names(inputs)
        new = {name: at for at, name in enumerate(names) if name not in self.found}
        if new:
            fresh = _distinct([inputs[sorted(new.values())]])
            self._keep(fresh, self._embedded(fresh, watch))
        return np.stack([self.found[name] for name in names]).reshape(*table.texts.shape, -1)

    def _keep(self, texts: np.ndarray, vectors: np.ndarray) -> None:
        self.found.update(zip(_names(texts), vectors, strict=True))

    def _cached(self, texts: np.ndarray, watch: Watch) -> np.ndarray:
        """(m, W) of the file, or made and written there."""
        if self.folder is None or not self.folder.is_dir():
            return self._embedded(texts, watch)
        shared = self._shared()
        path = self.folder / f"vectors-{self._digest(shared)}.npz"
        if path.exists():
            try:
                vectors = read_arrays(path)["vectors"]
                if vectors.shape[:1] == (len(texts),):
                    return vectors
                raise ArtifactError(f"{path} holds other texts")
            except (ArtifactError, KeyError) as error:
                watch.event("vectors damaged", f"{error}. The texts are embedded again.")
        vectors = self._embedded(texts, watch)
        try:
            commit_arrays(path, {"vectors": vectors})
        except ResourceError as error:
            watch.event("vectors not kept", f"the vectors are made again next time: {error}")
        return vectors

    def _digest(self, shared: SharedByFolds) -> str:
        """What the bytes of the vectors depend on beside the texts and their tokens."""
        facts = self.factory.facts()
        recipe = shared.recipe
        content = {
            name: facts[name]
            for name in ("backbone_sha256", "backbone_config", "device", "precision", "versions")
        } | {
            "pooling": recipe.pooling,
            "batch": [recipe.predict_batch_size, recipe.micro_tokens],
            "packed": shared.packing is not None,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def _shared(self) -> SharedByFolds:
        return self.factory.make(0).shared

    def _embedded(self, texts: np.ndarray, watch: Watch) -> np.ndarray:
        """(m, W) float32 of *texts* (m, 1), of which all are different."""
        shared = self._shared()
        recipe = shared.recipe
        pooling = pooling_named(recipe.pooling, shared.pristine.hidden, shared.pooled_layers, 0)
        module = TextModule(
            Network(shared.pristine.backbone, OneVector(), pooling, shared.packing),
            AS_IT_IS,
            recipe,
            shared.hardware,
            learnt=shared.learnt,
            watch=watch,
        )
        numbers = np.arange(len(texts)).astype(str).astype(object)
        data = FoldDataModule(shared.store, recipe, 0, test=Table(ids=numbers, texts=texts))
        with module.limits.memory("embedding"), torch.no_grad():
            batches: Any = shared.fitter.predict(module, data, watch)
        vectors = np.full((len(texts), pooling.width), np.nan, dtype=np.float32)
        for rows, values in batches:
            vectors[rows.numpy()] = values.numpy()
        return vectors


def _distinct(tables: Sequence[np.ndarray]) -> np.ndarray:
    """(m, 1) the different texts of *tables*, in an order that depends on nothing but them."""
    inputs = np.concatenate([inputs_of(texts, "siamese") for texts in tables])
    return inputs[distinct(keys_of(inputs))]


def _names(inputs: np.ndarray) -> list[bytes]:
    return [key.tobytes() for key in np.ascontiguousarray(keys_of(inputs).T)]
