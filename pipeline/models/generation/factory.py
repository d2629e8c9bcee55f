"""The writers of one run: a pretrained backbone loaded once, or a small one from nothing for every
fold."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from pipeline.base import Competition, UsageError
from pipeline.base.config import TaskConfig
from pipeline.data import Table
from pipeline.models.generation.learner import SharedByWriters, WritingLearner, for_this_machine
from pipeline.models.generation.network import from_nothing, write_by_recipe_alone
from pipeline.models.generation.tokens import SourcesAndAnswers
from pipeline.models.generator_settings import GeneratorRecipe
from pipeline.models.hub.weights import Weights, fetch, load_backbone, load_tokenizer, locate
from pipeline.models.kernels.backbone_facts import Pristine, facts_of_writer
from pipeline.models.learner import Engine, LearnerFactory, Watch
from pipeline.models.transformer.craft import add_adapters, check_four_bits
from pipeline.models.transformer.device import DTYPES, Hardware, detect
from pipeline.models.transformer.factory import BETWEEN, TransformerFactory
from pipeline.models.transformer.fine_tuning import Fitter


class WritingFactory(TransformerFactory):
    """Its learners write texts."""

    learner = WritingLearner
    shared: SharedByWriters

    def __init__(
        self, recipe: GeneratorRecipe, task: TaskConfig, hardware: Hardware, fitter: Fitter
    ) -> None:
        """Load what all folds share, downloading it where it is not on this machine yet.

        Raises UsageError where the recipe does not fit the backbone or the hardware.
        """
        torch.set_num_threads(hardware.threads)
        training, self.own = recipe.training(), recipe
        common: dict[str, Any] = {
            "own": recipe,
            "recipe": training,
            "task": task,
            "outputs": 1,
            "hardware": hardware,
            "fitter": fitter,
            "between": BETWEEN,
        }
        if recipe.backbone is None:
            origin = f"{recipe.layers} + {recipe.layers} layers of {recipe.width} from nothing"
            self.weights = Weights(folder_or_id="", origin=origin, writes=True)
            common |= {
                "store": None,
                "pristine": Pristine(nn.Module(), 0),
            }  # each learner has its own
            self.shared = SharedByWriters(**common)
            return
        check_four_bits(training, hardware)
        self.weights = fetch(locate(training, writes=True))
        four_bit = recipe.lora is not None and recipe.lora.four_bit
        compute = DTYPES.get(hardware.precision, torch.float32) if four_bit else None
        model: Any = load_backbone(self.weights, recipe.gradient_checkpointing, compute)
        facts = facts_of_writer(model)
        tokenizer = load_tokenizer(self.weights, facts)
        if (
            not model.config.is_encoder_decoder
            and recipe.max_source + recipe.max_answer > facts.longest
        ):
            raise UsageError(
                f"{facts.kind} takes at most {facts.longest} tokens, text and answer together, and "
                f"{recipe.name} sets max_source {recipe.max_source} and max_answer "
                f"{recipe.max_answer}; set less"
            )
        write_by_recipe_alone(model, tokenizer)
        adapters = add_adapters(model, recipe.lora, facts.kind)
        for_this_machine(model, hardware)
        joined = not model.config.is_encoder_decoder
        store = SourcesAndAnswers(tokenizer, recipe.max_source, recipe.max_answer, joined)
        pristine = Pristine(model, facts.hidden, adapters)
        self.shared = SharedByWriters(**common, tokenizer=tokenizer, store=store, pristine=pristine)

    def _ready(self) -> SharedByWriters:
        return self.shared

    def prepare(self, tables: Sequence[Table], watch: Watch) -> str:
        """A line about what is read; it is tokenised fold by fold, in seconds."""
        return LearnerFactory.prepare(self, tables, watch)

    def separator(self) -> str:
        """A line break."""
        return BETWEEN

    @property
    def _pieces(self) -> int:
        """Numbers of a model from nothing, at most."""
        with torch.device("meta"):
            model = from_nothing(self.own, self.own.vocabulary, 0)
        return sum(weight.numel() for weight in model.parameters())

    def disk_bytes(self) -> int:
        """Bytes that the saved weights of one fold take."""
        return 4 * self._pieces if self.own.backbone is None else super().disk_bytes()

    def facts(self) -> dict[str, Any]:
        """Device, precision, size, digests, versions; from nothing, what the weights are drawn
        by."""
        if self.own.backbone is not None:
            return super().facts()
        hardware = self.shared.hardware
        return {
            "device": str(hardware),
            "precision": hardware.precision,
            "deterministic": hardware.deterministic,
            "threads": hardware.threads,
            "backbone": self.weights.origin,
            "parameters": self._pieces,
            "versions": self.versions,
        }


def make_factory(
    recipe: GeneratorRecipe, competition: Competition, engine: Engine
) -> WritingFactory:
    """The factory of a run on this machine's hardware."""
    hardware = detect(recipe.precision, engine.deterministic)
    return WritingFactory(recipe, competition.task, hardware, engine.fitter(hardware))
