"""The contenders of gpu.py: our learner, with CUDA graphs or without, and transformers' Trainer."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.shared.peers import Ticking, encode, settings
from pipeline.base.config import TaskConfig
from pipeline.base.paths import Workspace
from pipeline.data.table import Table
from pipeline.models.kernels.cuda_graph import Graphs, Rerun
from pipeline.models.learner import Silent
from pipeline.models.transformer.device import detect
from pipeline.models.transformer.factory import TransformerFactory
from pipeline.models.transformer_settings import TransformerRecipe
from pipeline.training.lightning.trainer import FoldFitter
from pipeline.training.options import FailurePolicy

EAGER, GRAPHED, PEER = "ours", "ours, cuda_graphs", "Trainer, bf16, group_by_length"
BATCH = 32
"""Rows per step, everywhere."""
TASK = TaskConfig(problem="regression", metric="pearson", label_range=(0.0, 5.0))


class Clock(Silent):
    """Looks at the time after step number *start* and after the last, when the device is done."""

    def __init__(self, start: int, end: int) -> None:
        self.bounds, self.steps = (start, end), 0
        self.times: list[float] = []

    def advance(self, steps: int = 1, rows: int = 0, tokens: int = 0) -> None:
        """A step has been sent to the device."""
        self.steps += steps
        if self.steps in self.bounds:
            wait()
            self.times.append(time.perf_counter())

    def seconds(self) -> float:
        """Between the two."""
        start, end = self.times
        return end - start


def wait() -> None:
    """Until the device has done all it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


@dataclass(frozen=True)
class Job:
    """What is trained, and how."""

    folder: Path
    table: Table
    epochs: int

    def recipe(self, graphs: bool) -> TransformerRecipe:
        """Of a cross-encoder with klue-roberta-large's rates."""
        return TransformerRecipe(
            name="gpu",
            backbone=str(self.folder),
            epochs=self.epochs,
            batch_size=BATCH,
            learning_rate=1e-5,
            cuda_graphs=graphs,
        )


def ours(job: Job, graphs: bool) -> Callable[[Table, Silent, int], Any]:
    """How to train a fold: on a table, telling a watch, with a seed; the learner.

    On a CPU the graphs' stand-in is used, which only shows that all of this works.
    """
    hardware, recipe = detect(), job.recipe(graphs)
    factory = TransformerFactory(recipe, TASK, 1, hardware, FoldFitter(hardware, FailurePolicy()))
    if graphs and hardware.accelerator != "cuda":
        stand_in = Graphs(Rerun, recipe.max_length)
        factory.shared = replace(factory.shared, graphs=stand_in, no_graphs=None)
    factory.prepare([job.table], Silent())

    def train(table: Table, watch: Silent, seed: int) -> Any:
        learner = factory.make(seed)
        with tempfile.TemporaryDirectory() as folder:
            learner.fit(table, Workspace(Path(folder)), watch)
        return learner

    return train


def train_ours(job: Job, clock: Clock, graphs: bool) -> dict[str, Any]:
    """Train once; what the learner says of it."""
    learner = ours(job, graphs)(job.table, clock, 1)
    return {"facts": learner.facts}


def train_peer(job: Job, clock: Clock) -> dict[str, Any]:
    """transformers' Trainer on the same rows, padded batch by batch; nothing is saved or logged."""
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    gpu, recipe = torch.cuda.is_available(), job.recipe(graphs=False)
    tokenizer = AutoTokenizer.from_pretrained(job.folder, trust_remote_code=False)
    model = AutoModelForSequenceClassification.from_pretrained(
        job.folder, num_labels=1, dtype=torch.float32, trust_remote_code=False
    )
    own = settings(recipe, 1) | {
        "use_cpu": not gpu,
        "bf16": gpu,
        "dataloader_pin_memory": gpu,
        "optim": "adamw_torch_fused",
        "train_sampling_strategy": "group_by_length",
    }
    Trainer(
        model=model,
        args=TrainingArguments(**own),
        train_dataset=encode(job.table, tokenizer, recipe, False),
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
        callbacks=[Ticking(clock)],
    ).train()
    return {}


def train_folds(job: Job, graphs: bool, folds: int = 5) -> dict[str, Any]:
    """Train every fold on the rows outside of it; the seconds of each."""
    train, seconds, captured = ours(job, graphs), [], []
    for fold in range(folds):
        rows = np.arange(len(job.table)) % folds != fold
        wait()
        began = time.perf_counter()
        learner = train(job.table.rows(rows), Silent(), fold)
        wait()
        seconds.append(time.perf_counter() - began)
        captured.append(learner.facts.get("graphs"))
    return {"seconds": seconds, "graphs": captured, "facts": learner.facts}
