"""A fold's rows as Lightning takes them: Dataset, sampler, collate, LightningDataModule.

    Dataset   a row -> its tokens, target and position
    sampler   an epoch's micro-groups, in the order of its plan (see `sampler`)
    collate   the rows of a group -> one padded batch
    module    one loader per purpose

A batch says which rows it holds. Predictions are put where their row's position says, never in the
order in which batches happened to come.

Shapes: B rows of a group, T tokens, u inputs per row (see `tokens`), k targets.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset

from pipeline.data.sampler import Batching, ByLength, MicroGroups, Pick
from pipeline.data.table import Table
from pipeline.data.tokens import TokenStore

Encoder = Callable[[np.ndarray], np.ndarray]
Loader = DataLoader[Any]


class Item(NamedTuple):
    """One row."""

    inputs: list[tuple[np.ndarray, np.ndarray]]
    """u inputs, each token numbers (T,) and token types (T,)."""
    target: np.ndarray | None
    pick: Pick


class RowDataset(Dataset[Item]):
    """n rows of one table, tokenised."""

    def __init__(self, store: TokenStore, table: Table, encoder: Encoder | None) -> None:
        """Tokenise what is new to *store*; targets, if any, go through *encoder*."""
        self.store = store
        self.rows = store.rows(table.texts)
        targets = table.targets
        self.targets = encoder(targets) if encoder and targets is not None else targets

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, pick: Pick) -> Item:
        inputs = [self.store.tokens(row) for row in self.rows[pick.position]]
        target = None if self.targets is None else self.targets[pick.position]
        return Item(inputs, target, pick)

    def lengths(self) -> np.ndarray:
        """(n,) tokens of each row, over all its inputs."""
        return self.store.lengths(self.rows).sum(axis=1)


def collate(items: Sequence[Item], pad_id: int, type_ids: bool) -> dict[str, Any]:
    """The rows of one group as one batch.

    Returns:
        inputs: u dicts of input_ids and attention_mask (B, T) int64, with *type_ids* also
        token_type_ids, each padded to its own longest text.
        targets: as the encoder made them, float32 or int64; absent where there are none.
        rows: (B,) int64 positions in the table.
        tokens: how many real tokens the inputs hold, padding aside.
        weight: the group's share of its optimiser step's rows.
    """
    batch: dict[str, Any] = {
        "inputs": [
            _pad(column, pad_id, type_ids)
            for column in zip(*(item.inputs for item in items), strict=True)
        ],
        "rows": torch.tensor([item.pick.position for item in items]),
        "tokens": sum(len(tokens) for item in items for tokens, _ in item.inputs),
        "weight": sum(item.pick.share for item in items),
    }
    targets = [item.target for item in items if item.target is not None]
    if targets:
        batch["targets"] = _tensor(np.stack(targets))
    return batch


def _pad(
    column: Sequence[tuple[np.ndarray, np.ndarray]], pad_id: int, type_ids: bool
) -> dict[str, torch.Tensor]:
    shape = len(column), max(len(tokens) for tokens, _ in column)
    ids = np.full(shape, pad_id, dtype=np.int64)
    mask, types = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for row, (tokens, kinds) in enumerate(column):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
        types[row, : len(tokens)] = kinds
    arrays = {"input_ids": ids, "attention_mask": mask}
    if type_ids:
        arrays["token_type_ids"] = types
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _tensor(values: np.ndarray) -> torch.Tensor:
    whole = np.issubdtype(values.dtype, np.integer)
    return torch.from_numpy(values.astype(np.int64 if whole else np.float32))


class FoldDataModule(pl.LightningDataModule):
    """The loaders of one fold; each table that is not given has none."""

    def __init__(
        self,
        store: TokenStore,
        recipe: Batching,
        seed: int,
        train: Table | None = None,
        valid: Table | None = None,
        test: Table | None = None,
        target_encoder: Encoder | None = None,
    ) -> None:
        """*seed* shuffles; *target_encoder* makes of targets (n, k) what the loss takes."""
        super().__init__()
        self.store, self.recipe, self.seed = store, recipe, seed
        self.datasets = {
            name: RowDataset(store, table, target_encoder)
            for name, table in {"train": train, "valid": valid, "test": test}.items()
            if table is not None
        }
        self.sampler: MicroGroups | None = None
        if "train" in self.datasets:
            self.sampler = MicroGroups(self.datasets["train"].lengths(), recipe, seed)

    @property
    def micro_groups(self) -> int:
        """Batches per optimiser step: what Lightning calls accumulate_grad_batches."""
        return 1 if self.sampler is None else self.sampler.groups_per_step

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of one epoch."""
        return 0 if self.sampler is None else self.sampler.steps_per_epoch

    def train_dataloader(self) -> Loader | list[Loader]:
        """Micro-groups in the order of the plan of the trainer's epoch (see `MicroGroups`)."""
        return [] if self.sampler is None else self._loader("train", self.sampler)

    def val_dataloader(self) -> Loader | list[Loader]:
        """The held-out rows, in batches of like length."""
        return self._by_length("valid")

    def test_dataloader(self) -> Loader | list[Loader]:
        """The rows of *test*, in batches of like length."""
        return self._by_length("test")

    def predict_dataloader(self) -> Loader | list[Loader]:
        """The rows of *test*, in batches of like length."""
        return self._by_length("test")

    def _by_length(self, name: str) -> Loader | list[Loader]:
        if name not in self.datasets:
            return []
        return self._loader(name, ByLength(self.datasets[name].lengths(), self.recipe))

    def _loader(self, name: str, batches: MicroGroups | ByLength) -> Loader:
        return DataLoader(
            self.datasets[name],
            batch_sampler=batches,
            collate_fn=partial(
                collate, pad_id=self.store.pad_id, type_ids=self.store.uses_type_ids
            ),
            pin_memory=torch.cuda.is_available(),
        )
