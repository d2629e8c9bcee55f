"""A transformer fine-tuned on one fold."""

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import pytorch_lightning as pl
import torch
from torch import nn

from pipeline.base import ArtifactError, read_json
from pipeline.base.config import TaskConfig, as_dict
from pipeline.base.doors import load
from pipeline.base.errors import DivergedError
from pipeline.base.files import commit, commit_json
from pipeline.base.paths import Workspace
from pipeline.base.seeding import derive_seed
from pipeline.data import Table
from pipeline.data.tokens.data_module import FoldDataModule
from pipeline.data.tokens.store import TokenStore
from pipeline.models.kernels.backbone_facts import Pristine
from pipeline.models.kernels.cuda_graph import Graphs
from pipeline.models.kernels.packing import Packing
from pipeline.models.learner import Watch
from pipeline.models.registry import HEADS
from pipeline.models.transformer.craft import draw_adapters, reinitialise
from pipeline.models.transformer.device import Hardware
from pipeline.models.transformer.heads import Network, Pooling, pooling_named
from pipeline.models.transformer.losses import TargetCodec
from pipeline.models.transformer.memory_limits import LearnedLimits, micro_batches
from pipeline.models.transformer.module import TextModule
from pipeline.models.transformer.objective import (
    Objective,
    Side,
    fit_codec,
    sides_of,
    with_sides,
)
from pipeline.models.transformer.optimiser import only_used
from pipeline.models.transformer.tensor_file import read_checked, write
from pipeline.models.transformer_settings import TransformerRecipe

# What the learners of a run share: its recipe, its backbone, its tokens, and who runs them.


class Fitter(Protocol):
    """Runs a module over its data: pipeline.training.lightning.trainer.FoldFitter."""

    def fit(
        self, module: TextModule, data: FoldDataModule, workspace: Workspace, watch: Watch
    ) -> None:
        """Take all steps, going on from what the workspace holds."""

    def predict(self, module: TextModule, data: FoldDataModule, watch: Watch) -> Any:
        """Rows and values, batch by batch."""


@dataclass(frozen=True, kw_only=True)
class SharedByFolds:
    """What all learners of a run work with."""

    recipe: TransformerRecipe
    task: TaskConfig
    outputs: int
    """Prediction columns."""
    hardware: Hardware
    fitter: Fitter
    store: TokenStore
    pristine: Pristine
    pooled_layers: int = 1
    """Layers whose states the pooling reads."""
    packing: Packing | None = None
    """How the backbone runs texts without padding; None where it cannot."""
    graphs: Graphs | None = None
    """Where the recipe asks for CUDA graphs, and can have them."""
    no_graphs: str | None = None
    """Why it cannot."""
    between: str = ""
    """What stands between the texts of a pair where the tokenizer puts nothing there."""
    remarks: tuple[tuple[str, str], ...] = ()
    """What differs from how the backbone was trained: an event and its sentence."""
    learnt: LearnedLimits = field(default_factory=LearnedLimits)
    """Of the machine, by the folds before."""

    def read(self, table: Table) -> Table:
        """*table* with its texts (n, s) as the tokenizer is given them: after the recipe's prefix,
        the second of a pair after what stands between them.

        Put in front of the second rather than in one text with the first, so that of a pair that is
        too long the longer text is cut.
        """
        fronts = [self.recipe.prefix, self.between + self.recipe.prefix]
        if not any(fronts[: table.texts.shape[1]]):
            return table
        texts = table.texts.copy()
        for column, front in enumerate(fronts[: texts.shape[1]]):
            texts[:, column] = [front + text for text in texts[:, column]]
        return replace(table, texts=texts)

    @property
    def batching(self) -> TransformerRecipe:
        """The settings of batches: what is packed need not be cut by length."""
        return self.recipe if self.packing is None else replace(self.recipe, length_groups=1)


ALIKE = 1e-6
"""Spread of predictions, relative to their size, that is rounding."""
FEW = 8
"""Training rows that a fitted learner must tell apart."""
WEIGHTS, SETTINGS = "weights.safetensors", "learner.json"


class TransformerLearner:
    """The run's backbone, lent to this learner, under a head of its own.

    It holds the backbone until the next learner is made, and refuses to predict or save from then.
    """

    codec_kind: ClassVar[type[TargetCodec]] = TargetCodec
    module_kind: ClassVar[type[TextModule]] = TextModule

    def __init__(self, shared: SharedByFolds, seed: int) -> None:
        self.shared = shared
        self.seed = seed
        self.ticket = shared.pristine.restore()
        self.module: TextModule | None = None
        self.texts = 0
        self.counted: dict[str, Any] = {}
        self.start: Path | None = None

    def start_from(self, folder: Path) -> None:
        """Let `fit` start from the weights that another learner saved there, head included."""
        self.start = folder

    @property
    def facts(self) -> dict[str, Any]:
        """What was counted while fitting, and what has given way since."""
        if self.module is None:
            return dict(self.counted)
        stepper, learnt = self.module.stepper, as_dict(self.module.limits.learnt)
        return self.counted | {"rate_scale": stepper.rate_scale, "learnt": learnt}

    def fit(
        self, train: Table, workspace: Workspace, watch: Watch, rate_scale: float = 1.0
    ) -> None:
        """Train for the recipe's epochs; see `pipeline.models.learner.Learner`.

        Raises DivergedError for a loss or a weight that is not finite and for rows that are all
        predicted alike, ResourceError where memory runs out even for a single row.
        """
        assert self.module is None, "a learner is fitted once"
        started = time.monotonic()
        shared, recipe = self.shared, self.shared.recipe
        train = shared.read(train)
        assert train.targets is not None
        sides = sides_of(recipe, train)
        codec = self._codec(train)
        objective = Objective(codec, recipe, sides, shared.outputs, train.weights is not None)
        data = FoldDataModule(
            shared.store,
            shared.batching,
            self.seed,
            train=with_sides(train, sides),
            target_encoder=objective.encode,
        )
        assert data.steps is not None
        steps = data.steps.total
        module = self._build(objective, train.texts.shape[1], steps, rate_scale, watch)
        self._report_truncated(data.datasets["train"].rows, watch)
        for what, message in shared.remarks:
            watch.event(what, message)
        if shared.no_graphs:
            watch.event("no graphs", f"CUDA graphs are not used: {shared.no_graphs}")
        reinitialise(shared.pristine.backbone, recipe.reinit_layers, self.seed)
        draw_adapters(shared.pristine, self.seed)
        if (start := self.start) is not None:
            digest = read_json(start / SETTINGS)["weights_sha256"]
            module.network.load_own(read_checked(start / WEIGHTS, digest))
        # Every draw below has a seed of its own; this covers what a backbone may draw unseen.
        pl.seed_everything(derive_seed(self.seed, "fit") % 2**32, verbose=False)
        with module.limits.memory("outside of a step"), self._words(data) as words:
            shared.fitter.fit(module, data, workspace, watch)
            module.stepper.averaging.finish()
        module.stepper.check_finite()
        self._check_told_apart(train)
        if shared.graphs is not None:
            self.counted["graphs"] = dict(shared.graphs.counts)
        seconds = round(time.monotonic() - started, 3)
        self.counted |= module.facts | {"trained_words": words, "seconds": seconds}

    def _codec(self, train: Table) -> TargetCodec:
        recipe = self.shared.recipe
        assert train.targets is not None
        return fit_codec(
            self.shared.task, recipe.loss, train.targets, recipe.loss_options, recipe.class_weights
        )

    def _pooling(self) -> Pooling:
        shared = self.shared
        return pooling_named(
            shared.recipe.pooling, shared.pristine.hidden, shared.pooled_layers, self.seed
        )

    def _head(self, width: int, inputs: int, outputs: int) -> nn.Module:
        recipe = self.shared.recipe
        made: nn.Module = load(HEADS[recipe.head])(
            width, inputs, outputs, recipe.head_dropout, self.seed
        )
        return made

    def _words(self, data: FoldDataModule) -> AbstractContextManager[int]:
        """Within, only words that training texts hold are trained; graphs are of all of them."""
        shared = self.shared
        if shared.graphs is not None:
            return nullcontext(0)
        words = shared.store.words(data.datasets["train"].rows)
        used = np.union1d(words, shared.pristine.own_words)
        return only_used(shared.pristine.backbone, torch.from_numpy(used))

    def _check_told_apart(self, train: Table) -> None:
        """Raise DivergedError where training rows of unlike targets and tokens are all predicted
        alike: what comes after, scores among it, would be about rounding."""
        assert self.module is not None
        module, few = self.module, unlike_rows(train)
        data = FoldDataModule(self.shared.store, self.shared.batching, self.seed, test=few)
        found, tokens = [], set()
        with torch.no_grad(), module.limits.memory("after the last step"):
            module.eval()
            for batch in data.predict_dataloader() if len(few) > 1 else ():
                there = module.transfer_batch_to_device(batch, module.device, 0)
                for part in micro_batches([there], 1):  # one fits wherever a step did
                    found.append(module.codec.decode(module(part)).cpu().numpy())
                    tokens.add(str([each["input_ids"].tolist() for each in part["inputs"]]))
        if len(tokens) > 1 and all_alike(np.concatenate(found)):
            recipe = self.shared.recipe
            raise DivergedError(
                f"{recipe.name} predicts all rows alike, to the last digits, after its last step: "
                f"{len(few)} training rows of unlike texts and labels came out at "
                f"{np.concatenate(found)[0].tolist()}. Try a learning_rate below "
                f"{recipe.learning_rate:g}, a warmup_fraction above {recipe.warmup_fraction:g}, "
                "another pooling, or another seed."
            )

    def predict(self, table: Table, watch: Watch) -> np.ndarray:
        """(len(table), k) float32; see `pipeline.models.learner.Learner`."""
        module, shared = self._fitted(), self.shared
        module.limits.watch = watch
        table = shared.read(table)
        data = FoldDataModule(shared.store, shared.batching, self.seed, test=table)
        predictions = np.full((len(table), shared.outputs), np.nan, dtype=np.float32)
        with module.limits.memory("outside of a batch"):
            batches = shared.fitter.predict(module, data, watch)
        for rows, values in batches:
            predictions[rows.numpy()] = values.numpy()
        _report_constant(predictions, watch)
        return predictions

    def save(self, folder: Path) -> None:
        """Commit the weights, float32, and what else `restore` needs, its file last."""
        module = self._fitted()
        weights = module.network.own_state()
        digest = commit(folder / WEIGHTS, lambda stream: write(stream, weights))
        settings = {
            "seed": self.seed,
            "texts": self.texts,
            "codec": module.codec.as_json(),
            "weights_sha256": digest,
            "tokenizer": self.shared.store.identity(),
            "facts": self.facts,
        }
        if sides := module.stepper.objective.sides:
            settings["sides"] = [as_dict(side) for side in sides]
        commit_json(folder / SETTINGS, settings)

    @classmethod
    def restore(cls, shared: SharedByFolds, folder: Path) -> "TransformerLearner":
        """The learner that `save` wrote; ArtifactError for files damaged or of another model."""
        settings = read_json(folder / SETTINGS)
        facts = settings["facts"]
        shared.store.check(settings["tokenizer"], str(folder))
        weights = read_checked(folder / WEIGHTS, settings["weights_sha256"])
        learner = cls(replace(shared, learnt=LearnedLimits.of(facts)), settings["seed"])
        codec = cls.codec_kind.from_json(settings["codec"])
        sides = [Side.from_json(side) for side in settings.get("sides", [])]
        objective = Objective(codec, shared.recipe, sides, shared.outputs)
        module = learner._build(objective, settings["texts"], rate_scale=facts["rate_scale"])
        try:
            module.network.load_own(weights)
        except RuntimeError as error:
            raise ArtifactError(
                f"{folder / WEIGHTS} holds another model than {shared.recipe.name} "
                f"({shared.recipe.backbone}): {str(error).splitlines()[-1].strip()}"
            ) from error
        learner.counted = facts
        return learner

    def _build(
        self,
        objective: Objective,
        texts: int,
        steps: int = 1,
        rate_scale: float = 1.0,
        watch: Watch | None = None,
    ) -> TextModule:
        shared, recipe = self.shared, self.shared.recipe
        inputs = texts if recipe.pairing == "siamese" else 1
        pooling = self._pooling()
        outputs = shared.outputs + sum(side.outputs for side in objective.sides)
        head = self._head(pooling.width, inputs, outputs)
        if shared.graphs is not None:
            head = shared.graphs.head(head)
        self.texts = texts
        self.module = self.module_kind(
            self._network(head, pooling),
            objective.codec,
            recipe,
            shared.hardware,
            seed=self.seed,
            steps=steps,
            learnt=shared.learnt,
            rate_scale=rate_scale,
            watch=watch,
            graphs=shared.graphs,
            objective=objective,
        )
        return self.module

    def _network(self, head: nn.Module, pooling: Pooling) -> Network:
        shared, own = self.shared, self.shared.pristine
        return Network(own.backbone, head, pooling, shared.packing, own.adapters)

    def _fitted(self) -> TextModule:
        if self.module is None:
            raise RuntimeError("this learner was not fitted yet")
        if self.ticket != self.shared.pristine.lent:
            raise RuntimeError(
                "this learner's weights are gone: a newer learner of the same factory holds the "
                "backbone. Predict and save before the next one is made, or load the saved one."
            )
        return self.module

    def _report_truncated(self, rows: np.ndarray, watch: Watch) -> None:
        cut = self.shared.store.truncated(rows)
        self.counted |= {"truncated_inputs": cut, "truncated_share": cut / max(1, rows.size)}
        if cut:
            watch.event(
                "truncated",
                f"{cut} of {rows.size} training texts ({cut / rows.size:.1%}) are longer than "
                f"{self.shared.recipe.max_length} tokens and were truncated; "
                "a larger max_length in the recipe keeps more",
                inputs=cut,
            )


def all_alike(predictions: np.ndarray) -> bool:
    """Whether several rows (n, k) are all predicted alike, rounding aside.

    >>> all_alike(np.array([[0.3], [0.30000001]])), all_alike(np.array([[0.3], [0.3001]]))
    (True, False)
    """
    if len(predictions) < 2 or not np.isfinite(predictions).all():
        return False
    spread = np.ptp(predictions, axis=0)
    return bool((spread <= ALIKE * np.abs(predictions).max(axis=0)).all())


def unlike_rows(train: Table) -> Table:
    """A few rows of *train*, no two with the same targets or the same texts."""
    assert train.targets is not None
    _, firsts = np.unique(train.targets, axis=0, return_index=True)
    spread = np.linspace(0, len(firsts) - 1, min(FEW, len(firsts))).round().astype(int)
    places = {tuple(train.texts[place].tolist()): place for place in firsts[spread]}
    return train.rows(np.isin(np.arange(len(train)), list(places.values())))


def _report_constant(predictions: np.ndarray, watch: Watch) -> None:
    """Tell where the rows (n, k) are all predicted alike: what is scored then is rounding."""
    if all_alike(predictions):
        watch.event(
            "constant predictions",
            f"all {len(predictions)} rows are predicted alike, to the last digits: a score of that "
            "says nothing. Try a lower learning_rate, another pooling, or another seed",
            rows=len(predictions),
        )
