"""Six ways to train the same model on the same pairs, each watched by the same clock."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any
from unittest import mock

from transformers import trainer_pt_utils

from benchmarks.shared.clock import Boundaries, Seen, Training, active_dropouts
from benchmarks.shared.peers import encode, load_tokenizer, predictor, trainer
from benchmarks.shared.stsb import OURS, Pairs
from benchmarks.training import other_peers
from benchmarks.training.engine import Engine
from pipeline.models.transformer_settings import TransformerRecipe

Contender = Callable[[Pairs, TransformerRecipe, int], Training]


def hf(sampling: str, train_padding: Any) -> Contender:
    """transformers' Trainer, its rows padded when tokenised or batch by batch."""

    def ready(pairs: Pairs, recipe: TransformerRecipe, seed: int) -> Training:
        tokenizer, clock, seen = load_tokenizer(), Boundaries(), Seen()
        rows = encode(pairs.train, tokenizer, recipe, train_padding)
        own = trainer(rows, recipe, seed, tokenizer, clock, sampling)
        seen.watch(own.model)

        def train() -> None:
            with mega_batches_of(pairs.whole, recipe.batch_size):
                own.train()

        return Training(clock, train, predictor(own.model, tokenizer, recipe), seen)

    return ready


def mega_batches_of(rows: int, batch_size: int) -> AbstractContextManager[Any]:
    """Group by length within as many batches as on so many *rows*, on fewer rows too.

    On the few rows of a measurement transformers would make its mega-batches smaller, and padding
    would cost it more than on the whole file.
    """
    batches = max(1, min(rows // (batch_size * 4), 50))  # get_length_grouped_indices' own default
    own = trainer_pt_utils.get_length_grouped_indices
    indices = partial(own, mega_batch_mult=batches)
    return mock.patch.object(trainer_pt_utils, "get_length_grouped_indices", indices)


def ours(pairs: Pairs, recipe: TransformerRecipe, seed: int) -> Training:
    """The learner's fit, as `pipeline.cv` calls it."""
    engine, seen = Engine(pairs, recipe, seed), Seen()

    def look(step: int) -> None:
        seen.dropouts = seen.dropouts or active_dropouts(engine.learner.module.network.backbone)

    clock = Boundaries(look)

    def train() -> None:
        engine.fit(clock)
        seen.rows, seen.tokens = clock.rows, clock.tokens
        share = engine.learner.facts["useful_token_share"]
        seen.run = [round(tokens / share) for tokens in clock.tokens]  # the mean of the training

    return Training(clock, train, lambda table: engine.predict(table)[:, 0], seen)


CONTENDERS: dict[str, Contender] = {
    "Trainer, padded to 128": hf("random", "max_length"),
    "Trainer, dynamic padding": hf("random", False),
    "Trainer, group_by_length": hf("group_by_length", False),
    "CrossEncoderTrainer": other_peers.cross_encoder,
    "plain Lightning": other_peers.plain_lightning,
    OURS: ours,
}
