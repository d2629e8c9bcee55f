"""The parts that the peers are built of: rows, model, arguments, and what was really run.

All from transformers, with the settings of our recipe: the same weights and tokenizer, rates,
batch, truncation and clipping, and labels scaled as ours are (`stsb.LABEL_SCALE`).
"""

import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    default_data_collator,
)

from benchmarks.shared.clock import Boundaries
from benchmarks.shared.stsb import LABEL_SCALE, backbone_folder
from pipeline.data.table import Table
from pipeline.models.learner import Silent
from pipeline.models.transformer_settings import TransformerRecipe

Row = dict[str, Any]


def load_tokenizer() -> Any:
    """The recipe's."""
    return AutoTokenizer.from_pretrained(backbone_folder(), trust_remote_code=False)


def encode(table: Table, tokenizer: Any, recipe: TransformerRecipe, padding: Any) -> list[Row]:
    """Every row tokenised once, before the training, with its label."""
    encoded = tokenizer(
        *(list(column) for column in table.texts.T),
        truncation=True,
        max_length=recipe.max_length,
        padding=padding,
    )
    columns = {name: encoded[name] for name in tokenizer.model_input_names if name in encoded}
    rows = [dict(zip(columns, each, strict=True)) for each in zip(*columns.values(), strict=True)]
    if table.targets is not None:
        for row, label in zip(rows, table.targets[:, 0].tolist(), strict=True):
            row["label"] = label / LABEL_SCALE
    return rows


def load_classifier() -> Any:
    """The recipe's backbone under the head that transformers gives it, for one number."""
    return AutoModelForSequenceClassification.from_pretrained(
        backbone_folder(), num_labels=1, dtype=torch.float32, trust_remote_code=False
    )


def arguments(recipe: TransformerRecipe, seed: int, sampling: str = "random") -> Any:
    """Of transformers' Trainer: nothing is evaluated, logged or saved while it trains."""
    return TrainingArguments(**settings(recipe, seed), train_sampling_strategy=sampling)


def settings(recipe: TransformerRecipe, seed: int) -> dict[str, Any]:
    """The recipe's settings as TrainingArguments calls them."""
    return {
        "output_dir": tempfile.mkdtemp(prefix="peer-"),
        "num_train_epochs": recipe.epochs,
        "per_device_train_batch_size": recipe.batch_size,
        "per_device_eval_batch_size": recipe.predict_batch_size,
        "learning_rate": recipe.learning_rate,
        "weight_decay": recipe.weight_decay,
        "warmup_steps": recipe.warmup_fraction,  # below 1: a share of all steps
        "lr_scheduler_type": recipe.schedule,
        "max_grad_norm": recipe.max_gradient_norm,
        "seed": seed,
        "eval_strategy": "no",
        "logging_strategy": "no",
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "use_cpu": True,
    }


class Ticking(TrainerCallback):
    """Tells the clock where transformers' steps end."""

    def __init__(self, clock: Silent) -> None:
        self.clock = clock

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        """The first step begins."""
        self.clock.phase("train", 0)

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """An optimiser step has ended."""
        self.clock.advance()


def trainer(
    rows: Sequence[Row],
    recipe: TransformerRecipe,
    seed: int,
    tokenizer: Any,
    clock: Boundaries,
    sampling: str = "random",
) -> Any:
    """transformers' Trainer on *rows*; those of one length need no padding, others get it."""
    one_length = len({len(row["input_ids"]) for row in rows}) == 1
    torch.manual_seed(seed)
    return Trainer(
        model=load_classifier(),
        args=arguments(recipe, seed, sampling),
        train_dataset=rows,
        data_collator=default_data_collator if one_length else DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
        callbacks=[Ticking(clock)],
    )


def predictor(
    model: Any, tokenizer: Any, recipe: TransformerRecipe
) -> Callable[[Table], np.ndarray]:
    """How a classifier of transformers predicts: (n,) for a table."""
    collate = DataCollatorWithPadding(tokenizer)

    def predict(table: Table) -> np.ndarray:
        model.eval()
        rows, size = encode(table, tokenizer, recipe, False), recipe.predict_batch_size
        batches = (collate(rows[at : at + size]) for at in range(0, len(rows), size))
        with torch.no_grad():
            return torch.cat([model(**batch).logits[:, 0] for batch in batches]).numpy()

    return predict


def model_flops(lengths: np.ndarray) -> float:
    """Floating-point operations of one training step on real tokens of rows so long.

    Matrix products only: the layers' weights, and attention's two products; a backward pass takes
    two of what a forward pass takes.
    """
    config = AutoConfig.from_pretrained(backbone_folder(), trust_remote_code=False)
    hidden, layers = config.hidden_size, config.num_hidden_layers
    weights = layers * (4 * hidden**2 + 2 * hidden * config.intermediate_size)
    attention = 4.0 * layers * hidden * float((lengths.astype(np.float64) ** 2).sum())
    return 3 * (2.0 * weights * float(lengths.sum()) + attention)
