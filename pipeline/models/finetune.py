"""A transformer fine-tuned on one fold."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytorch_lightning as pl
import safetensors.torch
import torch

from pipeline.config import TaskConfig, as_dict
from pipeline.data.datamodule import FoldDataModule
from pipeline.data.table import Table
from pipeline.data.tokens import TokenStore
from pipeline.errors import ArtifactError, ResourceError
from pipeline.files import commit_bytes, commit_json, read_json, sha256
from pipeline.models.backbone import Network, Pristine
from pipeline.models.hardware import Hardware
from pipeline.models.heads import Head
from pipeline.models.learner import Watch
from pipeline.models.losses import TargetCodec, fit_codec
from pipeline.models.module import TextModule, check_weights_are_finite
from pipeline.models.settings import TransformerRecipe
from pipeline.seeding import derive_seed

WEIGHTS, SETTINGS = "weights.safetensors", "learner.json"


class MakeTrainer(Protocol):
    """Makes the trainer of one fit or prediction: pipeline.training.trainer.make_trainer."""

    def __call__(
        self,
        recipe: TransformerRecipe,
        hardware: Hardware,
        micro_groups: int,
        logs: Path | None,
        watch: Watch,
    ) -> pl.Trainer:
        """A trainer whose optimiser steps take *micro_groups* batches each."""


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What all learners of a run work with."""

    recipe: TransformerRecipe
    task: TaskConfig
    outputs: int
    """Prediction columns."""
    hardware: Hardware
    make_trainer: MakeTrainer
    store: TokenStore
    pristine: Pristine


class TransformerLearner:
    """The run's backbone, lent to this learner, under a head of its own.

    It holds the backbone until the next learner is made, and refuses to predict or save from then.
    """

    def __init__(self, shared: Shared, seed: int) -> None:
        self.shared = shared
        self.seed = seed
        self.ticket = shared.pristine.restore()
        self.module: TextModule | None = None
        self.texts = 0
        self.counted: dict[str, Any] = {}

    @property
    def facts(self) -> dict[str, Any]:
        """What was counted while fitting."""
        return dict(self.counted)

    def fit(self, train: Table, logs: Path, watch: Watch) -> None:
        """Train for the recipe's epochs; TensorBoard events go to *logs*.

        Raises DivergedError for a loss or a weight that is not finite, ResourceError where GPU
        memory runs out.
        """
        assert train.targets is not None
        assert self.module is None, "a learner is fitted once"
        started = time.monotonic()
        shared, recipe = self.shared, self.shared.recipe
        codec = fit_codec(shared.task, recipe.loss, train.targets)
        data = FoldDataModule(
            shared.store, recipe, self.seed, train=train, target_encoder=codec.encode
        )
        steps = recipe.epochs * data.steps_per_epoch
        module = self._build(codec, train.texts.shape[1], steps, data.micro_groups)
        self._report_truncated(train, watch)
        # Every draw below has a seed of its own; this covers what a backbone may draw unseen.
        pl.seed_everything(derive_seed(self.seed, "fit") % 2**32, verbose=False)
        trainer = shared.make_trainer(recipe, shared.hardware, data.micro_groups, logs, watch)
        with out_of_memory_explained(recipe):
            trainer.fit(module, datamodule=data)
        check_weights_are_finite(module, recipe)
        self.counted |= _facts(module, steps) | {"seconds": round(time.monotonic() - started, 3)}

    def predict(self, table: Table, watch: Watch) -> np.ndarray:
        """(len(table), k) float32; see `pipeline.models.learner.Learner`."""
        module, shared = self._fitted(), self.shared
        data = FoldDataModule(shared.store, shared.recipe, self.seed, test=table)
        trainer = shared.make_trainer(shared.recipe, shared.hardware, 1, None, watch)
        with out_of_memory_explained(shared.recipe):
            parts: Any = trainer.predict(module, datamodule=data)
        predictions = np.full((len(table), shared.outputs), np.nan, dtype=np.float32)
        for rows, values in parts:
            predictions[rows.numpy()] = values.numpy()
        return predictions

    def save(self, folder: Path) -> None:
        """Commit the weights, float32, and what else `restore` needs, its file last."""
        module = self._fitted()
        weights = {name: value.contiguous() for name, value in module.network.state_dict().items()}
        digest = commit_bytes(folder / WEIGHTS, safetensors.torch.save(weights))
        settings = {
            "seed": self.seed,
            "texts": self.texts,
            "codec": as_dict(module.codec),
            "weights_sha256": digest,
            "facts": self.counted,
        }
        commit_json(folder / SETTINGS, settings)

    @classmethod
    def restore(cls, shared: Shared, folder: Path) -> "TransformerLearner":
        """The learner that `save` wrote; ArtifactError for files damaged or of another model."""
        settings = read_json(folder / SETTINGS)
        weights = _read_weights(folder / WEIGHTS, settings["weights_sha256"])
        learner = cls(shared, settings["seed"])
        module = learner._build(TargetCodec.from_json(settings["codec"]), settings["texts"])
        try:
            module.network.load_state_dict(weights)
        except RuntimeError as error:
            raise ArtifactError(
                f"{folder / WEIGHTS} holds another model than {shared.recipe.name} "
                f"({shared.recipe.backbone}): {str(error).splitlines()[-1].strip()}"
            ) from error
        learner.counted = settings["facts"]
        return learner

    def _build(
        self, codec: TargetCodec, texts: int, steps: int = 1, micro_groups: int = 1
    ) -> TextModule:
        shared, recipe = self.shared, self.shared.recipe
        inputs = texts if recipe.pairing == "siamese" else 1
        hidden, outputs = shared.pristine.hidden, shared.outputs
        head = Head(hidden, inputs, outputs, recipe.head_dropout, self.seed)
        network = Network(shared.pristine.backbone, head, recipe.pooling)
        self.texts = texts
        self.module = TextModule(network, codec, recipe, self.seed, steps, micro_groups)
        return self.module

    def _fitted(self) -> TextModule:
        if self.module is None:
            raise RuntimeError("this learner was not fitted yet")
        if self.ticket != self.shared.pristine.lent:
            raise RuntimeError(
                "this learner's weights are gone: a newer learner of the same factory holds the "
                "backbone. Predict and save before the next one is made, or load the saved one."
            )
        return self.module

    def _report_truncated(self, train: Table, watch: Watch) -> None:
        rows = self.shared.store.rows(train.texts)
        cut = self.shared.store.truncated(rows)
        self.counted |= {"truncated_inputs": cut, "truncated_share": cut / max(1, rows.size)}
        if cut:
            watch.say(
                f"{cut} of {rows.size} training texts ({cut / rows.size:.1%}) are longer than "
                f"{self.shared.recipe.max_length} tokens and were truncated; "
                "a larger max_length in the recipe keeps more"
            )


def _facts(module: TextModule, steps: int) -> dict[str, Any]:
    counts = module.counts
    return {
        "steps": steps,
        "micro_groups": module.micro_groups,
        "rows": counts.rows,
        "tokens": counts.tokens,
        "useful_token_share": round(counts.tokens / counts.padded_tokens, 4),
        "train_loss": module.last_train_loss,
        "loss": module.codec.loss,
    }


def _read_weights(path: Path, expected: str) -> dict[str, torch.Tensor]:
    if not path.exists():
        raise ArtifactError(f"{path} is missing. Train the fold again.")
    if (found := sha256(path)) != expected:
        raise ArtifactError(
            f"{path} has changed since it was written: its SHA-256 is {found[:12]}…, expected "
            f"{expected[:12]}…. Train the fold again."
        )
    return safetensors.torch.load_file(path)


@contextmanager
def out_of_memory_explained(recipe: TransformerRecipe) -> Iterator[None]:
    """Turn a GPU's out-of-memory error into a ResourceError that says what to set."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        rows = recipe.micro_batch_size or math.ceil(recipe.batch_size / recipe.length_groups)
        raise ResourceError(
            f"the GPU ran out of memory. Set micro_batch_size to {max(1, rows // 2)} (the result "
            "stays the same), predict_batch_size to "
            f"{max(1, recipe.predict_batch_size // 2)}, or gradient_checkpointing: true."
        ) from error
