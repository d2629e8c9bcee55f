"""Writers of a few thousand numbers, and sentences that they can learn."""

from pathlib import Path
from typing import Any

import numpy as np
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedModel,
)

from pipeline.base.config import TaskConfig
from pipeline.data.table import Table
from pipeline.models.generation.factory import WritingFactory
from pipeline.models.generation.tokens import learned
from pipeline.models.generator_settings import GeneratorRecipe
from pipeline.models.transformer.heads import drawn_from
from pipeline.training.lightning.trainer import FoldFitter
from pipeline.training.options import FailurePolicy
from tests.fitting import CPU

ANIMALS = ["cat", "dog", "fish", "bird", "horse", "mouse"]
PLACES = ["house", "river", "wood"]
SMALL = {
    "vocabulary": 300,
    "width": 32,
    "layers": 1,
    "attention_heads": 2,
    "feed_forward": 32,
    "dropout": 0.0,
    "max_source": 32,
    "max_answer": 16,
    "epochs": 2,
    "batch_size": 8,
    "learning_rate": 1e-2,
    "candidates": 2,
    "beams": 3,
    "predict_batch_size": 4,
}
TASK = TaskConfig(problem="regression", metric="pearson")


def sentences(count: int, labelled: bool = True, seed: int = 0) -> Table:
    """An animal and a place; one or two sentences that say them."""
    draw = np.random.default_rng(seed)
    pairs = [(str(draw.choice(ANIMALS)), str(draw.choice(PLACES))) for _ in range(count)]
    references: list[tuple[str, ...]] = [
        (f"a {one} lives in the {two}",) * (1 + row % 2) for row, (one, two) in enumerate(pairs)
    ]
    texts = np.array([[f"animal {one} place {two}"] for one, two in pairs], dtype=object)
    known = np.empty(count, dtype=object)
    known[:] = references
    return Table(
        ids=np.array([f"r{row}" for row in range(count)], dtype=object),
        texts=texts,
        targets=np.zeros((count, 1)) if labelled else None,
        references=known if labelled else None,
    )


def factory_for(policy: FailurePolicy = FailurePolicy(), **changes: Any) -> WritingFactory:  # noqa: B008
    """Of a recipe that is trained in about a second."""
    recipe = GeneratorRecipe(name="tiny", **(SMALL | changes))
    return WritingFactory(recipe, TASK, CPU, FoldFitter(CPU, policy))


def saved(folder: Path, kind: str) -> str:
    """A folder with a random backbone that writes: "bart" or "gpt2"."""
    table = sentences(30)
    known: Any = table.references
    texts = [*table.texts[:, 0], *(text for row in known for text in row)]
    tokenizer = learned(iter(texts), 300)
    pieces = len(tokenizer)
    made: PreTrainedModel
    with drawn_from(0, "test"):
        if kind == "bart":
            made = BartForConditionalGeneration(
                BartConfig(
                    vocab_size=pieces,
                    d_model=16,
                    encoder_layers=1,
                    decoder_layers=1,
                    encoder_attention_heads=2,
                    decoder_attention_heads=2,
                    encoder_ffn_dim=16,
                    decoder_ffn_dim=16,
                    max_position_embeddings=64,
                    pad_token_id=0,
                    bos_token_id=1,
                    eos_token_id=1,
                    decoder_start_token_id=1,
                )
            )
        else:
            made = GPT2LMHeadModel(
                GPT2Config(
                    vocab_size=pieces,
                    n_embd=16,
                    n_layer=1,
                    n_head=2,
                    n_positions=64,
                    bos_token_id=1,
                    eos_token_id=1,
                )
            )
    made.save_pretrained(folder / kind)
    tokenizer.save_pretrained(folder / kind)
    return str(folder / kind)
