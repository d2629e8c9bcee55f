"""A learner that writes: trained as any transformer is, on texts with their answers."""

import hashlib
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from pipeline.base import read_json
from pipeline.base.config import as_dict
from pipeline.base.files import commit_json
from pipeline.base.paths import Workspace
from pipeline.data import Table
from pipeline.data.candidates import Candidates
from pipeline.data.tokens.data_module import FoldDataModule
from pipeline.models.generation.network import (
    LikelihoodCodec,
    NoPooling,
    Writer,
    from_nothing,
    write_by_recipe_alone,
)
from pipeline.models.generation.tokens import SourcesAndAnswers, as_text, from_text, learned
from pipeline.models.generation.writing import Answers, KeptAnswers, WritingModule
from pipeline.models.generator_settings import HERE, GeneratorRecipe
from pipeline.models.kernels.backbone_facts import Pristine
from pipeline.models.kernels.cpu_kernels import (
    has_operator,
    is_amd,
    keep_memory,
    use_cheap_dropout,
    use_fast_products,
)
from pipeline.models.learner import Watch
from pipeline.models.transformer.device import Hardware
from pipeline.models.transformer.fine_tuning import SETTINGS, SharedByFolds, TransformerLearner
from pipeline.models.transformer.heads import Network, Pooling
from pipeline.models.transformer.losses import TargetCodec

NOT_DECODING = ("name", "source", "predict_batch_size")


@dataclass(frozen=True, kw_only=True)
class SharedByWriters(SharedByFolds):
    """What all learners of a run work with; from nothing, `ready` adds each learner's own."""

    own: GeneratorRecipe
    tokenizer: Any = None
    """None where each training part has one of its own."""

    def ready(self, tokenizer: Any, seed: int) -> "SharedByWriters":
        """The same for a learner from nothing whose pieces are those of *tokenizer*."""
        model = from_nothing(self.own, len(tokenizer), seed)
        write_by_recipe_alone(model, tokenizer)
        for_this_machine(model, self.hardware)
        store = SourcesAndAnswers(tokenizer, self.own.max_source, self.own.max_answer, joined=False)
        return replace(self, tokenizer=tokenizer, store=store, pristine=Pristine(model))


def for_this_machine(model: nn.Module, hardware: Hardware) -> None:
    """Have *model* compute as is fastest on a CPU, where that is the device."""
    if hardware.accelerator == "cpu":
        keep_memory()
        use_cheap_dropout(model)
        if is_amd() and has_operator():
            use_fast_products(model)


class WritingLearner(TransformerLearner):
    """A `pipeline.models.learner.Learner` whose predictions are texts."""

    codec_kind = LikelihoodCodec
    module_kind = WritingModule
    shared: SharedByWriters

    def __init__(self, shared: SharedByWriters, seed: int) -> None:
        super().__init__(shared, seed)
        self.below: Path | None = None

    def keep_below(self, folder: Path) -> None:
        """See `pipeline.models.learner.Resuming`."""
        self.below = folder

    def fit(
        self, train: Table, workspace: Workspace, watch: Watch, rate_scale: float = 1.0
    ) -> None:
        """Learn to write each of the references of *train*; see `TransformerLearner.fit`."""
        assert train.references is not None, "a training part whose answers are texts"
        own, texts = self.shared.own, self._read(train)
        if own.backbone is None:
            answers = (text for row in train.references for text in row)
            tokenizer = learned(iter([*texts.tolist(), *answers]), own.vocabulary)
            self._begin(tokenizer)
        rows = examples(train, texts)
        self.counted |= {"references": len(rows), "pieces": len(self.shared.tokenizer)}
        super().fit(rows, workspace, watch, rate_scale)

    def _begin(self, tokenizer: Any) -> None:
        self.shared = self.shared.ready(tokenizer, self.seed)
        self.ticket = self.shared.pristine.lent

    def _read(self, table: Table) -> np.ndarray:
        """(n,) what is read of each row."""
        joined = [self.shared.between.join(row) for row in table.texts.tolist()]
        prompts = [self.shared.own.prompt.replace(HERE, text) for text in joined]
        return np.array([*prompts, None], dtype=object)[:-1]

    def predict(self, table: Table, watch: Watch) -> Candidates:  # type: ignore[override]
        """The candidates of each row, the best first."""
        module, shared = self._fitted(), self.shared
        assert isinstance(module, WritingModule)
        module.limits.watch = watch
        rows = replace(table, texts=self._read(table)[:, None], targets=None, references=None)
        decoding = {
            key: each for key, each in as_dict(shared.own).items() if key not in NOT_DECODING
        }
        made_from = {"seed": self.seed, "recipe": decoding, "weights": self.digest()}
        kept = KeptAnswers.of(self.below, rows, made_from)
        before = kept.batches()
        data = FoldDataModule(shared.store, shared.batching, self.seed, test=rows)
        data.predicted = len(before)
        if before:
            done = sum(len(numbers) for numbers, _ in before)
            watch.event("resumed", f"{done} of {len(rows)} rows were answered before", rows=done)
        module.ask(shared.own, shared.tokenizer, kept, len(before))
        with module.limits.memory("outside of a batch"):
            found = shared.fitter.predict(module, data, watch)
        written = [*before, *((numbers.tolist(), answers) for numbers, answers in found or ())]
        return in_order(len(rows), written)

    def digest(self) -> str:
        """SHA-256 of the weights: 16 hex digits."""
        return weights_digest(self._fitted().network)

    def save(self, folder: Path) -> None:
        """Commit the weights and what else `restore` needs; from nothing, the tokenizer too."""
        super().save(folder)
        if self.shared.own.backbone is None:
            settings = read_json(folder / SETTINGS)
            commit_json(folder / SETTINGS, settings | {"pieces": as_text(self.shared.tokenizer)})

    @classmethod
    def restore(cls, shared: SharedByFolds, folder: Path) -> "TransformerLearner":
        """The learner that `save` wrote."""
        assert isinstance(shared, SharedByWriters)
        if shared.own.backbone is None:
            settings = read_json(folder / SETTINGS)
            tokenizer = from_text(settings["pieces"], str(folder / SETTINGS))
            shared = shared.ready(tokenizer, settings["seed"])
        return super().restore(shared, folder)

    def _codec(self, train: Table) -> TargetCodec:
        rows = self.shared.store.rows(train.texts)
        tokens = float(self.shared.store.lengths(rows[:, 1]).mean())
        return LikelihoodCodec(
            problem=self.shared.task.problem, loss="cross-entropy", tokens=tokens
        )

    def _pooling(self) -> Pooling:
        return NoPooling(1, 1, self.seed)

    def _head(self, width: int, inputs: int, outputs: int) -> nn.Module:
        return nn.Identity()

    def _network(self, head: nn.Module, pooling: Pooling) -> Network:
        own = self.shared.pristine
        return Writer(own.backbone, own.adapters, self.shared.own.label_smoothing)

    def _words(self, data: FoldDataModule) -> AbstractContextManager[int]:
        return nullcontext(0)

    def _check_told_apart(self, train: Table) -> None:
        """Nothing: unlike texts may well have the same answer."""

    def _report_truncated(self, rows: np.ndarray, watch: Watch) -> None:
        own = self.shared.own
        limits = {
            "max_source": ("texts", own.max_source),
            "max_answer": ("answers", own.max_answer),
        }
        for (name, (what, limit)), column in zip(limits.items(), rows.T, strict=True):
            cut = self.shared.store.truncated(column)
            self.counted[f"truncated_{what}"] = cut
            if cut:
                watch.event(
                    "truncated",
                    f"{cut} of {len(column)} training {what} ({cut / len(column):.1%}) are longer "
                    f"than {limit} tokens and were truncated; a larger {name} in the recipe keeps "
                    "more",
                    inputs=cut,
                )


def examples(train: Table, texts: np.ndarray) -> Table:
    """A row for each reference of *train*, whose rows read as *texts* (n,): the text, the answer,
    and as target what it counts."""
    assert train.references is not None
    counts = np.array([len(row) for row in train.references])
    pairs = np.empty((int(counts.sum()), 2), dtype=object)
    pairs[:, 0] = np.repeat(texts, counts)
    pairs[:, 1] = [text for row in train.references for text in row]
    ids = np.array([*map(str, range(len(pairs))), None], dtype=object)[:-1]
    return Table(ids=ids, texts=pairs, targets=np.ones((len(pairs), 1)), source=train.source)


def in_order(count: int, written: list[tuple[list[int], list[Answers]]]) -> Candidates:
    """The answers of *count* rows, by their positions."""
    found: list[Answers | None] = [None] * count
    for numbers, answers in written:
        for row, answer in zip(numbers, answers, strict=True):
            found[row] = answer
    every = [each for each in found if each is not None]
    assert len(every) == count, "an answer for every row"
    return Candidates([texts for texts, _ in every], [logs for _, logs in every])


def weights_digest(network: Network) -> str:
    """SHA-256 of all that a training of *network* can change: 16 hex digits."""
    digest = hashlib.sha256()
    for name, values in sorted(network.own_state().items()):
        digest.update(name.encode())
        digest.update(values.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
