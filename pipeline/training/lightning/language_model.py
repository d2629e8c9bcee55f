"""A backbone trained further on texts alone, without labels: masked or causal language modelling.

Masked for encoders (Devlin et al., "BERT", 2019), causal for decoders; further training on the
texts of a task is Gururangan et al., "Don't Stop Pretraining", 2020. What is drawn in a step
depends on the seed and the step alone, so a killed training ends in the same bytes.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from pipeline.base import UsageError
from pipeline.base.errors import DivergedError
from pipeline.base.fault_injection import reach
from pipeline.base.seeding import derive_seed, generator
from pipeline.models.hub.weights import Weights, check_fit, explained, quiet
from pipeline.models.transformer.device import Hardware, PrecisionState
from pipeline.models.transformer.module import Stepped

WARMUP, DECAY, CLIP = 0.06, 0.01, 1.0
LOG_EVERY = 10


@contextmanager
def drawing(seed: int) -> Iterator[None]:
    """Inside, torch draws by *seed*; outside as before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def load_language_model(
    weights: Weights, tokenizer: Any, seed: int, anew: bool = False
) -> tuple[Any, bool]:
    """The backbone in *weights* under a head for words, and whether it is masked; with *anew*, its
    shape alone, with weights drawn by the seed and as many words as *tokenizer* has.

    Raises UsageError where its kind predicts no words.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING,
        MODEL_FOR_MASKED_LM_MAPPING,
    )

    folder = weights.folder_or_id
    with quiet(), explained(weights.origin), drawing(derive_seed(seed, "language model")):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        masked = type(config) in MODEL_FOR_MASKED_LM_MAPPING and tokenizer.mask_token is not None
        if not masked and type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
            raise UsageError(
                f"{weights.origin} ({config.model_type}) predicts no words: transformers has "
                "neither a masked nor a causal language model of that kind. Choose another backbone"
            )
        kind = AutoModelForMaskedLM if masked else AutoModelForCausalLM
        if anew:
            config.vocab_size = len(tokenizer)
            for name in ("pad", "bos", "eos", "cls", "sep"):
                setattr(config, f"{name}_token_id", getattr(tokenizer, f"{name}_token_id", None))
            return kind.from_config(config, dtype=torch.float32).train(), masked
        model, report = kind.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    own = f"{model.base_model_prefix}."
    missing = [name for name in report["missing_keys"] if str(name).startswith(own)]
    check_fit({**report, "missing_keys": missing}, weights.origin)
    return model.train(), masked


class Counting:
    """How far a training is, as checkpoints and progress ask for it."""

    def __init__(self, model: torch.nn.Module, steps: int) -> None:
        self.model, self.steps, self.done = model, steps, 0

    def check_finite(self) -> None:
        """Raise DivergedError where a weight is NaN or infinite."""
        if not all(bool(weight.isfinite().all()) for weight in self.model.parameters()):
            raise DivergedError(f"weights are NaN or infinite after step {self.done}")


class LanguageModel(Stepped):
    """The model, and how it takes its steps: AdamW, warm-up, a rate that falls to zero."""

    def __init__(self, model: Any, hardware: Hardware, rate: float, steps: int, seed: int) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model, self.rate, self.seed = model, rate, seed
        self.stepper = Counting(model, steps)
        precision = "32-true" if hardware.precision == "16-mixed" else hardware.precision
        self.arithmetic = PrecisionState(hardware.accelerator, precision, hardware.bf16)
        self.losses: list[float] = []
        """Means of LOG_EVERY steps."""
        self.sum, self.count = 0.0, 0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW; norms and biases are not decayed."""
        weights = [each for each in self.model.parameters() if each.requires_grad]
        groups = [
            {"params": [each for each in weights if each.ndim > 1], "weight_decay": DECAY},
            {"params": [each for each in weights if each.ndim <= 1], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=self.rate)

    def training_step(self, batch: Mapping[str, Any], batch_idx: int) -> None:
        """One optimiser step."""
        step, optimizer = int(batch["step"]), self.optimizers()
        assert isinstance(optimizer, pl.core.optimizer.LightningOptimizer)
        torch.manual_seed(derive_seed(self.seed, "dropout", step))
        for group in optimizer.param_groups:
            group["lr"] = self.rate * factor(step, self.stepper.steps)
        optimizer.zero_grad()
        with self.arithmetic.context():
            loss = self.model(**batch["groups"][0]["inputs"]).loss
        self.manual_backward(loss)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        optimizer.step()
        self.stepper.done = step + 1
        self.sum, self.count = self.sum + loss.detach(), self.count + 1
        if self.stepper.done in (1, self.stepper.steps) or self.stepper.done % LOG_EVERY == 0:
            self._log()
        reach("step")

    def _log(self) -> None:
        mean = float(self.sum) / self.count
        if not math.isfinite(mean):
            raise DivergedError(
                f"the loss is {mean} at step {self.stepper.done}. Try a lower --learning-rate."
            )
        self.losses.append(mean)
        self.sum, self.count = 0.0, 0
        if self.trainer.logger is not None:
            self.trainer.logger.log_metrics({"train_loss": mean}, step=self.stepper.done)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add how far it is, and the losses."""
        checkpoint["training"] = {
            "done": self.stepper.done,
            "losses": self.losses,
            "sum": float(self.sum),
            "count": self.count,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up what `on_save_checkpoint` added."""
        state = checkpoint["training"]
        self.stepper.done, self.losses = state["done"], list(state["losses"])
        self.sum, self.count = state["sum"], state["count"]


def factor(step: int, steps: int) -> float:
    """The share of the rate: up over the first steps, then evenly down to zero.

    >>> factor(0, 100), factor(6, 100), factor(99, 100) < 0.02
    (0.16666666666666666, 1.0, True)
    """
    warm = max(1, round(WARMUP * steps))
    return (step + 1) / warm if step < warm else (steps - step) / max(1, steps - warm)


class TextSteps(pl.LightningDataModule):
    """Texts of tokens as optimiser steps: shuffled anew in each epoch, masked anew in each step."""

    def __init__(
        self, texts: Sequence[Sequence[int]], collate: Any, batch: int, epochs: int, seed: int
    ) -> None:
        """*collate*: what transformers makes of a list of texts."""
        super().__init__()
        self.texts, self.collate, self.batch, self.seed = texts, collate, batch, seed
        per_epoch = -(-len(texts) // batch)
        self.steps = SimpleNamespace(per_epoch=per_epoch, total=per_epoch * epochs)
        self.first = 0
        self.order = lru_cache(maxsize=1)(self._order)

    def start_at(self, step: int) -> None:
        """Train from this step on."""
        self.first = step

    def train_dataloader(self) -> DataLoader[Any]:
        """The steps that are still to be taken."""
        steps: Any = range(self.first, self.steps.total)
        made: Any = self.step
        return DataLoader(steps, batch_size=None, collate_fn=made)

    def _order(self, epoch: int) -> np.ndarray:
        return generator(self.seed, "pretrain shuffle", epoch).permutation(len(self.texts))

    def step(self, number: int) -> dict[str, Any]:
        """Step *number*: its texts padded, masked, with the words to predict."""
        epoch, place = divmod(int(number), self.steps.per_epoch)
        rows = self.order(epoch)[place * self.batch : (place + 1) * self.batch]
        with drawing(derive_seed(self.seed, "mask", int(number))):
            inputs = self.collate([{"input_ids": list(self.texts[row])} for row in rows])
        lengths = np.array([[len(self.texts[row]) for row in rows]])
        group = {"inputs": dict(inputs), "rows": torch.from_numpy(rows), "lengths": lengths}
        return {"step": int(number), "groups": [group]}


def new_tokenizer(tokenizer: Any, texts: Sequence[str], words: int) -> Any:
    """A tokenizer of the same kind, with its special tokens, and *words* learned from *texts*."""
    with quiet():
        return tokenizer.train_new_from_iterator(iter(texts), vocab_size=words)


def save_backbone(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write the backbone without its head for words, and the tokenizer, to a fresh *folder*."""
    with quiet():
        model.base_model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
