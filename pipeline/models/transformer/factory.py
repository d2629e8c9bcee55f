"""The transformers of one run: a backbone loaded once, fine-tuned anew for every fold.

Every learner starts from the pristine weights, copied back bit for bit, and a head drawn from its
own seed. They share one backbone in memory, so only the newest learner is live.
"""

import gc
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytorch_lightning as pl
import tokenizers
import torch
import transformers
from torch import nn

from pipeline.base import ArtifactError, Competition, UsageError, raise_if
from pipeline.base.config import ColumnsConfig, TaskConfig
from pipeline.base.doors import load
from pipeline.data import Table
from pipeline.data.tokens.store import TokenStore
from pipeline.models.hub.download import sentence_settings
from pipeline.models.hub.weights import backbone_facts, fetch, load_backbone, load_tokenizer, locate
from pipeline.models.kernels.backbone_facts import BackboneFacts, Pristine, count_states
from pipeline.models.kernels.cpu_kernels import (
    has_operator,
    is_amd,
    keep_memory,
    use_cheap_dropout,
    use_fast_products,
)
from pipeline.models.kernels.cuda_graph import CudaCapture, Graphs, refusal
from pipeline.models.kernels.packing import EqualLengths, Packing, packable, rehearse
from pipeline.models.learner import Engine, Silent, Watch
from pipeline.models.recipes import further_columns
from pipeline.models.registry import POOLINGS
from pipeline.models.transformer.craft import add_adapters, check_four_bits, check_layers
from pipeline.models.transformer.device import DTYPES, Hardware, PrecisionState, detect
from pipeline.models.transformer.fine_tuning import Fitter, SharedByFolds, TransformerLearner
from pipeline.models.transformer.heads import Pooling
from pipeline.models.transformer.memory_limits import LearnedLimits, Limits, free_memory
from pipeline.models.transformer.objective import check_loss
from pipeline.models.transformer_settings import TransformerRecipe

Made = TypeVar("Made", bound="TransformerFactory")
BETWEEN = "\n"
"""What stands between two texts where the tokenizer has no separator."""


class TransformerFactory:
    """A `pipeline.models.learner.LearnerFactory`."""

    learner: ClassVar[type[TransformerLearner]] = TransformerLearner

    def __init__(
        self,
        recipe: TransformerRecipe,
        task: TaskConfig,
        outputs: int,
        hardware: Hardware,
        fitter: Fitter,
        tokens: Path | None = None,
    ) -> None:
        """Load what all folds share, downloading it where it is not on this machine yet.

        *outputs* is the number of prediction columns, k; *tokens* the folder of the token stores,
        None for memory only. Raises UsageError where the recipe does not fit the task, the backbone
        or the hardware.
        """
        check_loss(task, recipe.loss, recipe.loss_options, recipe.class_weights, outputs)
        check_four_bits(recipe, hardware)
        torch.set_num_threads(hardware.threads)
        self.weights = fetch(locate(recipe))
        four_bit = recipe.lora is not None and recipe.lora.four_bit
        compute = DTYPES.get(hardware.precision, torch.float32) if four_bit else None
        backbone: Any = load_backbone(self.weights, recipe.gradient_checkpointing, compute)
        self.backbone_facts = backbone_facts(backbone)
        pooled_layers = check_pooling(recipe, backbone, self.backbone_facts)
        check_layers(recipe, backbone, self.backbone_facts.kind)
        adapters = add_adapters(backbone, recipe.lora, self.backbone_facts.kind)
        facts = self.backbone_facts
        pristine = Pristine(backbone, facts.hidden, adapters, facts.own_words)
        pristine.keep_no_cache()
        if hardware.accelerator == "cpu":
            keep_memory()
            use_cheap_dropout(pristine.backbone)
            if is_amd() and has_operator():
                use_fast_products(pristine.backbone)
        tokenizer = load_tokenizer(self.weights, self.backbone_facts)
        store = TokenStore(tokenizer, recipe.max_length, recipe.pairing, tokens)
        self.attention = backbone.config._attn_implementation
        self.tried = False
        self.shared = SharedByFolds(
            recipe=recipe,
            task=task,
            outputs=outputs,
            hardware=hardware,
            fitter=fitter,
            store=store,
            pristine=pristine,
            pooled_layers=pooled_layers,
            between=BETWEEN if recipe.pairing == "cross" and not store.separates else "",
            remarks=(
                *other_settings(recipe, Path(self.weights.folder_or_id)),
                *padding_remark(self.backbone_facts),
            ),
        )

    def _ready(self) -> SharedByFolds:
        """What is shared, with all that is tried out before the first learner is made.

        Not before, as it is tried on the device: a process that trains nothing takes none of it.
        """
        if not self.tried:
            shared = self.shared
            packing = self._rehearsed(self._packing())
            asked, graphs = shared.recipe.cuda_graphs, shared.graphs
            refused = refusal(shared.recipe, shared.hardware, packing) if asked else None
            if asked and not refused:
                graphs = graphs or Graphs(CudaCapture, shared.recipe.max_length)
            self.shared = replace(
                shared, packing=packing, graphs=graphs, no_graphs=None if graphs else refused
            )
            self.tried = True
        return self.shared

    def _packing(self) -> Packing | None:
        """How texts are run without padding, None for with it; on a GPU it is tried there, where
        the backbone then stays."""
        if not self.backbone_facts.masks_padding:
            return EqualLengths()
        if not self.shared.recipe.packing:
            return None
        hardware, backbone = self.shared.hardware, self.shared.pristine.backbone
        if hardware.accelerator != "cuda":
            return packable(
                backbone, facts=self.backbone_facts, type_ids=self.shared.store.uses_type_ids
            )
        with Limits(self.shared.recipe, LearnedLimits(), Silent()).memory("holding the backbone"):
            backbone.to(hardware.accelerator)
        arithmetic = PrecisionState(hardware.accelerator, hardware.precision, hardware.bf16)
        return packable(
            backbone,
            arithmetic.context(),
            self.backbone_facts,
            self.shared.store.uses_type_ids,
        )

    def _rehearsed(self, packing: Packing | None) -> Packing | None:
        """*packing*, or None where the backbone trains padded texts only.

        A few tokens are run there and back in training mode, on a CPU, where our own kernels meet
        architectures that nobody has tried them with: what fails falls back by itself. Raises
        UsageError where nothing is left to fall back on.
        """
        shared = self.shared
        if shared.hardware.accelerator != "cpu":
            return packing
        backbone: Any = shared.pristine.backbone
        padded = [None] if self.backbone_facts.masks_padding else []
        ways = [packing, *padded] if packing is not None else [None]
        for place, way in enumerate(ways):
            if place:
                backbone.set_attn_implementation(self.attention)
            try:
                rehearse(backbone, self.backbone_facts, shared.store.uses_type_ids, way)
            except MemoryError:
                raise
            except Exception as error:  # whatever this backbone does
                failure = error
            else:
                return way
        said = (str(failure).strip().splitlines() or [type(failure).__name__])[0][:200]
        raise UsageError(
            f"{self.weights.origin} ({self.backbone_facts.kind}) cannot be trained here: a step on "
            f"a few tokens fails ({said}). Choose another backbone"
            + (
                ", or set gradient_checkpointing: false."
                if shared.recipe.gradient_checkpointing
                else "."
            )
        ) from failure

    def prepare(self, tables: Sequence[Table], watch: Watch) -> str:
        """Tokenise every row of *tables* once; the line says how many tokens, and how many cut."""
        store, limit = self.shared.store, self.shared.recipe.max_length
        rows = store.keep([self.shared.read(table).texts for table in tables], watch)
        if store.reads_alike(rows):
            raise ArtifactError(
                f"{self.weights.origin}: its tokenizer reads {len(rows):,} different texts as the "
                "same tokens, so there is nothing to learn from. Its tokenizer files do not belong "
                "together, or not to these texts; choose another backbone, or mend the files."
            )
        lengths, cut = store.lengths(rows), store.truncated(rows)
        line = (
            f"{len(rows):,} distinct inputs, {lengths.sum():,} tokens, "
            f"{lengths.mean():.0f} on average, {lengths.max()} at most"
        )
        return f"{line}; {cut:,} ({cut / len(rows):.1%}) truncated to {limit}" if cut else line

    def make(self, seed: int) -> TransformerLearner:
        """A fresh learner. Those made before lose their weights and refuse to predict."""
        return self.learner(self._ready(), seed)

    def changed(self, **settings: Any) -> "TransformerFactory":
        """One with other *settings* of the recipe (epochs, rates), sharing backbone and tokens."""
        shared = self._ready()
        other = copy(self)
        other.shared = replace(shared, recipe=replace(shared.recipe, **settings))
        return other

    def load(self, folder: Path) -> TransformerLearner:
        """The learner that `TransformerLearner.save` wrote; it is the live one then."""
        return self.learner.restore(self._ready(), folder)

    def separator(self) -> str:
        """The tokenizer's own separator; a line break where it has none."""
        own = self.shared.store.tokenizer.sep_token
        return f"{own} " if own else BETWEEN

    def mask(self) -> str:
        """The tokenizer's own; empty where it has none."""
        return str(self.shared.store.tokenizer.mask_token or "")

    def seeds_matter(self, train: Table) -> bool:
        """The head, the order of rows and dropout are drawn."""
        return True

    def disk_bytes(self) -> int:
        """Bytes that the saved weights of one fold take: four per number that is trained."""
        return 4 * self.shared.pristine.trained

    def checkpoint_bytes(self) -> int:
        """Bytes of one checkpoint: weights, AdamW's two moments, and a mean of weights if any."""
        return (4 if self.shared.recipe.average else 3) * self.disk_bytes()

    def close(self) -> None:
        """Drop the backbone, on the device and in memory: the next model may need the room."""
        if self.shared.graphs is not None:
            self.shared.graphs.close()
        self.shared.pristine.drop()
        gc.collect()  # Lightning's modules and trainers refer to each other
        free_memory()

    def settle(self) -> None:
        """Drop the copy of the loaded weights."""
        self.shared.pristine.weights = {}

    def forget(self) -> None:
        """Drop the tokens of texts that came after `prepare`."""
        self.shared.store.forget()

    def remember(self, facts: Mapping[str, Any]) -> None:
        """Start the learners to come at the sizes that an earlier one ended at."""
        learnt = self.shared.learnt.joined(LearnedLimits.of(facts))
        self.shared = replace(self.shared, learnt=learnt)

    def facts(self) -> dict[str, Any]:
        """Device, precision, size, digests, versions."""
        hardware, between = self.shared.hardware, self.shared.between
        return {
            "device": str(hardware),
            "precision": hardware.precision,
            "deterministic": hardware.deterministic,
            "threads": hardware.threads,
            "backbone": self.weights.origin,
            "backbone_sha256": self.weights.digest,
            "backbone_config": self.shared.pristine.config_digest,
            "parameters": self.shared.pristine.parameters,
            "tokenizer_canary": self.shared.store.canary() + ("+line" if between else ""),
            "versions": self.versions,
        }

    @property
    def versions(self) -> dict[str, str]:
        """Of the libraries that compute."""
        return {
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "tokenizers": tokenizers.__version__,
            "pytorch-lightning": pl.__version__,
        }


def check_pooling(recipe: TransformerRecipe, backbone: nn.Module, facts: BackboneFacts) -> int:
    """How many layers' states the pooling reads.

    Raises UsageError where every text would be pooled to the same vector, or where the backbone
    does not give the states of so many layers.
    """
    if recipe.pooling == "cls" and not facts.sees_later:
        raise UsageError(
            f"pooling cls reads the first token, and in {facts.kind} a token sees only those "
            "before it: every text would be predicted alike. Set pooling: last or mean in "
            f"{recipe.name}."
        )
    kind: type[Pooling] = load(POOLINGS[recipe.pooling])
    if kind.layers == 1:
        return 1
    there = count_states(backbone)
    if there < max(2, kind.layers or 0):
        wanted = "all layers" if kind.layers is None else f"the last {kind.layers} layers"
        raise UsageError(
            f"pooling {recipe.pooling} reads the states of {wanted}, and {facts.kind} gives those "
            f"of {there}, the embeddings' included. Set pooling: mean in {recipe.name}."
        )
    return kind.layers or there


def check_columns(recipe: TransformerRecipe, columns: ColumnsConfig) -> None:
    """Raise UsageError where *recipe* would learn beside the target what is no further column."""
    known = {columns.id, *columns.texts, *columns.targets}
    for column in further_columns(recipe):
        if column in known:
            raise UsageError(
                f"{recipe.name} has {column} as auxiliary or contrast, and that is one of the "
                "competition's own columns (id, texts, targets); name a further column of train"
            )
    if recipe.contrast and recipe.contrast.kind == "cosine" and len(columns.texts) != 2:
        raise UsageError("contrast cosine compares the two texts of a pair, and rows have one text")


def padding_remark(facts: BackboneFacts) -> Iterator[tuple[str, str]]:
    """That texts are run apart by length, where they are: an event with its sentence."""
    if not facts.masks_padding:
        yield (
            "no padding",
            f"{facts.kind} reads padding as if it were text, so texts of each length are run by "
            "themselves: what is predicted of a text depends on that text alone, and steps take "
            "longer",
        )


def other_settings(recipe: TransformerRecipe, folder: Path) -> Iterator[tuple[str, str]]:
    """Where *recipe* reads texts otherwise than the backbone in *folder*, one of
    sentence-transformers, was trained to: events with their sentences."""
    pooling, most = sentence_settings(folder)
    if pooling is not None and pooling != recipe.pooling:
        has = f"Set pooling: {pooling}" if pooling in POOLINGS else "There is no such pooling here"
        yield (
            "other pooling",
            f"the backbone was trained with pooling {pooling}, {recipe.name} has {recipe.pooling}. "
            f"{has}, unless it is meant",
        )
    if most is not None and recipe.max_length > most:
        yield (
            "longer texts",
            f"the backbone was trained on at most {most} tokens, {recipe.name} has max_length "
            f"{recipe.max_length}: what comes after may be read badly",
        )


def make_factory(
    recipe: TransformerRecipe, competition: Competition, engine: Engine
) -> TransformerFactory:
    """The factory of a run on this machine's hardware."""
    raise_if(list(problems_without_paths(recipe)), UsageError, f"{recipe.name} cannot learn this")
    check_columns(recipe, competition.columns)
    return made(TransformerFactory, recipe, competition, engine)


def made(
    kind: type[Made], recipe: TransformerRecipe, competition: Competition, engine: Engine
) -> Made:
    """A factory of this *kind* on this machine's hardware."""
    hardware = detect(recipe.precision, engine.deterministic)
    fitter, outputs = engine.fitter(hardware), len(competition.outputs)
    return kind(recipe, competition.task, outputs, hardware, fitter, engine.tokens)


def problems_without_paths(recipe: TransformerRecipe) -> Iterator[str]:
    """What *recipe* asks for that has a meaning for tags alone."""
    if recipe.learns_paths:
        yield "head crf learns the tags of a text together, and here are none; take another head"
    if recipe.subwords != "first":
        yield "subwords says what a tag is read off, and here are none; leave it at first"


def problems_of_places(
    recipe: TransformerRecipe, answers: str, places: str, siamese: str
) -> Iterator[str]:
    """What *recipe* asks for that learners which answer about the *places* of a text cannot have:
    for *answers*, one of each; *siamese* says why pairing is not that."""
    if recipe.loss not in ("auto", "cross-entropy") or recipe.loss_options:
        yield f"loss is auto or cross-entropy for {answers}, without loss_options"
    if recipe.r_drop or recipe.auxiliary or recipe.contrast is not None:
        yield f"r_drop, auxiliary and contrast look at whole rows and do not fit {answers}"
    if recipe.pairing != "cross":
        yield siamese
    if recipe.prefix:
        yield f"prefix moves the places of {places}; set it to nothing: --set prefix="
    if recipe.cuda_graphs:
        yield f"cuda_graphs do not fit {answers} yet; set it to false"
