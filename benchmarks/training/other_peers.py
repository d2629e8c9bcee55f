"""Two peers more: sentence-transformers' trainer, and Lightning without anything of ours."""

from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import DataCollatorWithPadding, get_linear_schedule_with_warmup

from benchmarks.shared.clock import Boundaries, Seen, Training
from benchmarks.shared.peers import (
    Ticking,
    encode,
    load_classifier,
    load_tokenizer,
    predictor,
    settings,
)
from benchmarks.shared.stsb import LABEL_SCALE, Pairs, backbone_folder
from pipeline.data.table import Table
from pipeline.models.transformer_settings import TransformerRecipe


def cross_encoder(pairs: Pairs, recipe: TransformerRecipe, seed: int) -> Training:
    """The CrossEncoderTrainer: it tokenises every batch in its loss, and offers nothing else."""
    from datasets import Dataset
    from sentence_transformers.cross_encoder import (
        CrossEncoder,
        CrossEncoderTrainer,
        CrossEncoderTrainingArguments,
        losses,
    )

    torch.manual_seed(seed)
    model = CrossEncoder(
        backbone_folder(),
        num_labels=1,
        max_length=recipe.max_length,
        activation_fn=torch.nn.Identity(),
        device="cpu",
        model_kwargs={"dtype": torch.float32},
    )
    first, second = pairs.train.texts.T.tolist()
    assert pairs.train.targets is not None
    labels = (pairs.train.targets[:, 0] / LABEL_SCALE).tolist()
    clock, seen = Boundaries(), Seen()
    own = CrossEncoderTrainer(
        model=model,
        args=CrossEncoderTrainingArguments(**settings(recipe, seed)),
        train_dataset=Dataset.from_dict({"first": first, "second": second, "label": labels}),
        loss=losses.MSELoss(model),
        callbacks=[Ticking(clock)],
    )
    seen.watch(model)

    def predict(table: Table) -> np.ndarray:
        texts = [tuple(row) for row in table.texts.tolist()]
        return np.asarray(model.predict(texts, show_progress_bar=False)).reshape(-1)

    return Training(clock, own.train, predict, seen)


class Plain(pl.LightningModule):
    """What one writes who uses Lightning alone."""

    def __init__(self, recipe: TransformerRecipe, clock: Boundaries) -> None:
        super().__init__()
        self.model, self.recipe, self.clock = load_classifier(), recipe, clock
        self.model.train()  # from_pretrained leaves dropout off, and Lightning leaves it so

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The mean squared error, as the model itself computes it."""
        loss: Tensor = self.model(**batch).loss
        return loss

    def configure_optimizers(self) -> Any:
        """AdamW, fused, decay on everything; the rate climbs and falls as everywhere here."""
        rate, decay = self.recipe.learning_rate, self.recipe.weight_decay
        optimizer = torch.optim.AdamW(self.parameters(), lr=rate, weight_decay=decay, fused=True)
        steps = int(self.trainer.estimated_stepping_batches)
        warmup = round(self.recipe.warmup_fraction * steps)
        schedule = get_linear_schedule_with_warmup(optimizer, warmup, steps)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def on_train_start(self) -> None:
        """The first step begins."""
        self.clock.phase("train", 0)

    def on_train_batch_end(self, *args: Any) -> None:
        """An optimiser step has ended."""
        self.clock.advance()


def plain_lightning(pairs: Pairs, recipe: TransformerRecipe, seed: int) -> Training:
    """A LightningModule around the same classifier, padded batch by batch."""
    pl.seed_everything(seed, verbose=False)
    tokenizer, clock, seen = load_tokenizer(), Boundaries(), Seen()
    module = Plain(recipe, clock)
    seen.watch(module)
    rows: Any = encode(pairs.train, tokenizer, recipe, False)
    loader: DataLoader[Any] = DataLoader(
        rows,
        batch_size=recipe.batch_size,
        shuffle=True,
        collate_fn=DataCollatorWithPadding(tokenizer),
    )
    own = pl.Trainer(
        accelerator="cpu",
        max_epochs=recipe.epochs,
        gradient_clip_val=recipe.max_gradient_norm,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    predict = predictor(module.model, tokenizer, recipe)
    return Training(clock, lambda: own.fit(module, loader), predict, seen)
