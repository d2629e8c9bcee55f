"""A transformer that finds answers: a start and an end among the tokens of each window.

The states of a window's tokens are given to a head with two outputs, and each output is a softmax
over the tokens of the text and the first token of all, which stands for no answer (Devlin et al.,
"BERT", NAACL 2019, section 4.3). A window without the answer learns that token. What windows say is
brought back to characters: averaged where they overlap, no answer as the window says that is least
sure of it; where no training text lacks an answer, all of it is given to the characters.

Notation: T tokens, B windows of a batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.base import Competition, UsageError, raise_if
from pipeline.base.paths import Workspace
from pipeline.data import Table
from pipeline.data.tokens.data_module import FoldDataModule
from pipeline.models.learner import Engine, Watch
from pipeline.models.transformer.factory import (
    TransformerFactory,
    made,
    problems_of_places,
    problems_without_paths,
)
from pipeline.models.transformer.fine_tuning import SharedByFolds, TransformerLearner
from pipeline.models.transformer.heads import Pooling
from pipeline.models.transformer.losses import TargetCodec
from pipeline.models.transformer.spans.windows import Window, allowed, table_of, windows_of
from pipeline.models.transformer.tags.learner import TokenStates
from pipeline.models.transformer_settings import TransformerRecipe
from pipeline.problems.span import BEGINS, ENDS, NONE, PLACE, STARTS, STOPS

OUTPUTS = 2
LOW = -1e4
"""In place of the logit of a token that cannot be meant."""


@dataclass(frozen=True, kw_only=True)
class SpanCodec(TargetCodec):
    """Between answers and what the head says of tokens."""

    tokens: int = 0
    """Longest input: what outputs are padded to."""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "SpanCodec":
        """The codec whose `as_json` went into a JSON file."""
        return cls(**values)

    def as_json(self) -> dict[str, Any]:
        """For `from_json`."""
        return {"problem": self.problem, "loss": self.loss, "tokens": self.tokens}

    def encode(self, targets: np.ndarray) -> np.ndarray:
        """(w, 4) int64."""
        return targets.astype(np.int64)

    def mean_loss(self, logits: Tensor, encoded: Tensor) -> Tensor:
        """Mean cross-entropy of starts and ends, by (B, T, 2) and (B, 4) -> ()."""
        place = torch.arange(logits.shape[1], device=logits.device)
        meant = (place >= encoded[:, 2:3]) & (place < encoded[:, 3:4]) | (place == 0)
        scores = logits.float().masked_fill(~meant[:, :, None], LOW)
        wanted = encoded[:, :OUTPUTS].clamp(max=logits.shape[1] - 1)
        return functional.cross_entropy(scores, wanted)

    def decode(self, logits: Tensor) -> Tensor:
        """(B, T, 2) -> (B, tokens, 2), as they are: which tokens are meant is known elsewhere."""
        return functional.pad(logits.float(), (0, 0, 0, self.tokens - logits.shape[1]))


class SpanLearner(TransformerLearner):
    """The same training of windows, and back to characters."""

    codec_kind = SpanCodec

    def __init__(self, shared: SharedByFolds, seed: int) -> None:
        super().__init__(shared, seed)
        self.codec: TargetCodec = SpanCodec(
            problem=shared.task.problem, loss="cross-entropy", tokens=shared.recipe.max_length
        )

    def fit(
        self, train: Table, workspace: Workspace, watch: Watch, rate_scale: float = 1.0
    ) -> None:
        """See `TransformerLearner.fit`."""
        assert train.targets is not None
        windows = windows_of_all(train, self.shared)
        answered = np.unique(
            (np.cumsum(train.targets[:, PLACE] == 0))[train.targets[:, STARTS] > 0]
        )
        texts = int((train.targets[:, PLACE] == 0).sum())
        assert (train.targets[:, ENDS] > 0).any(), "somewhere an answer ends"
        self.counted |= {"windows": len(windows), "texts": texts, "without": texts - len(answered)}
        super().fit(table_of(windows, train.targets), workspace, watch, rate_scale)

    def predict(self, table: Table, watch: Watch) -> np.ndarray:
        """(len(table), 3) float32; see `pipeline.models.learner.Learner`."""
        assert table.units is not None, "a table of characters"
        module, shared = self._fitted(), self.shared
        module.limits.watch = watch
        windows = windows_of_all(table, shared)
        data = FoldDataModule(shared.store, shared.batching, self.seed, test=table_of(windows))
        said: list[np.ndarray] = [np.empty(0)] * len(windows)
        with module.limits.memory("outside of a batch"):
            batches = shared.fitter.predict(module, data, watch)
        for numbers, values in batches:
            for number, logits in zip(numbers.tolist(), values.numpy(), strict=True):
                said[number] = logits
        return joined(table, windows, said, certain=not self.counted["without"])

    def _codec(self, train: Table) -> TargetCodec:
        return self.codec

    def _pooling(self) -> Pooling:
        return TokenStates(self.shared.pristine.hidden, 1, self.seed)

    def _head(self, width: int, inputs: int, outputs: int) -> nn.Module:
        return super()._head(width, inputs, OUTPUTS)


def windows_of_all(table: Table, shared: SharedByFolds) -> list[Window]:
    """The windows of *table* as this run cuts them."""
    return windows_of(table, shared.store, shared.recipe.max_length, shared.between)


def joined(
    table: Table, windows: Sequence[Window], said: Sequence[np.ndarray], certain: bool
) -> np.ndarray:
    """(len(table), 3) what the *windows* say of characters, from their logits (tokens, 2) each.

    *certain*: whether every text has an answer.
    """
    assert table.units is not None, "a table of characters"
    total, count = np.zeros((len(table), 2)), np.zeros(len(table))
    none = np.ones(len(table.units.documents))
    for window, logits in zip(windows, said, strict=True):
        first, behind = allowed(window)
        held = np.concatenate([logits[:1], logits[first:behind]]).astype(float)
        chance = np.exp(held - held.max(axis=0))
        chance /= chance.sum(axis=0)
        at = 1 + window.places - first
        total[window.first, BEGINS] += chance[at, 0]
        total[window.last, STOPS] += chance[at, 1]
        count[window.rows[0] : window.rows[1]] += 1
        none[window.document] = min(none[window.document], float(np.sqrt(chance[0].prod())))
    found = np.zeros((len(table), 3))
    found[:, :2] = total / np.maximum(count, 1.0)[:, None]
    for number, rows in enumerate(table.units.documents):
        sums = found[rows, :2].sum(axis=0)
        left = 1.0 if certain and sums.all() else 1 - none[number]
        found[rows, :2] *= left / np.maximum(sums, 1e-30)
        found[rows, NONE] = 1 - left
    return found.astype(np.float32)


class SpanFactory(TransformerFactory):
    """Its learners find answers."""

    learner = SpanLearner

    def prepare(self, tables: Sequence[Table], watch: Watch) -> str:
        """Tokenise the windows of every text once."""
        windows = [windows_of_all(table, self.shared) for table in tables]
        line = super().prepare([table_of(each) for each in windows], watch)
        return f"{sum(map(len, windows)):,} windows of texts: {line}"


def check_spans(recipe: TransformerRecipe) -> None:
    """Raise UsageError where *recipe* asks for what answers cannot have."""
    siamese = "pairing siamese reads question and text apart; set it to cross"
    problems = list(problems_of_places(recipe, "answers", "characters", siamese))
    problems += problems_without_paths(recipe)
    if recipe.class_weights is not None:
        problems.append("class_weights are for classes; an answer is one place of many")
    raise_if(problems, UsageError, f"{recipe.name} cannot find answers")


def make_factory(
    recipe: TransformerRecipe, competition: Competition, engine: Engine
) -> SpanFactory:
    """The factory of a run that finds answers, on this machine's hardware."""
    check_spans(recipe)
    return made(SpanFactory, recipe, competition, engine)
