"""A fold's rows as Lightning takes them: Dataset, sampler, collate, LightningDataModule.

    Dataset   a row -> its tokens, target and position
    sampler   one optimiser step after the other (see `batches`)
    collate   the rows of a step -> its micro-groups, each one padded batch
    module    one loader per purpose

A batch says which rows it holds, and a step which one it is. Predictions are put where their row's
position says, never in the order in which batches happened to come.

Shapes: B rows of a group, T tokens, u inputs per row (see `store`), k targets.
"""

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset

from pipeline.data.table import Table
from pipeline.data.tokens.batches import Batching, ByLength, Pick, Steps
from pipeline.data.tokens.store import TokenStore

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
        return self.__getitems__([pick])[0]

    def __getitems__(self, picks: Sequence[Pick]) -> list[Item]:
        """All rows of a batch at once, as torch's loaders ask for them."""
        rows = self.rows[[pick.position for pick in picks]]
        columns = [self._tokens(column) for column in rows.T]
        return [
            Item(list(inputs), None if self.targets is None else self.targets[pick.position], pick)
            for pick, *inputs in zip(picks, *columns, strict=True)
        ]

    def _tokens(self, rows: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        ids, types, lengths = self.store.gather(rows)
        ends = np.cumsum(lengths)[:-1]
        return list(zip(np.split(ids, ends), np.split(types, ends), strict=True))

    def lengths(self) -> np.ndarray:
        """(n,) tokens of each row, over all its inputs."""
        return self.store.lengths(self.rows).sum(axis=1)


def collate_step(items: Sequence[Item], pad_id: int, type_ids: bool) -> dict[str, Any]:
    """The rows of one optimiser step.

    Returns:
        step: its number, counted from 0 over all epochs.
        groups: its micro-groups, each as `collate` makes them, with `weight`, its share of the
        step's rows.
    """
    groups: list[dict[str, Any]] = []
    for _, members in itertools.groupby(items, key=lambda item: item.pick.group):
        group = list(members)
        weight = {"weight": len(group) / len(items)}
        groups.append(collate(group, pad_id, type_ids) | weight)
    return {"step": items[0].pick.step, "groups": groups}


def collate(items: Sequence[Item], pad_id: int, type_ids: bool) -> dict[str, Any]:
    """B rows as one batch.

    Returns:
        inputs: u dicts of input_ids and attention_mask (B, T) int64, with *type_ids* also
        token_type_ids, each padded to its own longest text.
        lengths: (u, B) numpy int64, the tokens of each input of each row, padding aside.
        targets: as the encoder made them, float32 or int64; absent where there are none.
        rows: (B,) int64 positions in the table.
    """
    columns = list(zip(*(item.inputs for item in items), strict=True))
    batch: dict[str, Any] = {
        "inputs": [_pad(column, pad_id, type_ids) for column in columns],
        "lengths": np.array([[len(tokens) for tokens, _ in column] for column in columns]),
        "rows": torch.tensor([item.pick.position for item in items]),
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
        self.predicted = 0
        """Batches of *test* that need not be predicted again."""
        self.steps: Steps | None = None
        if "train" in self.datasets:
            self.steps = Steps(self.datasets["train"].lengths(), recipe, seed)

    def start_at(self, step: int) -> None:
        """Train from this optimiser step on; the ones before were taken."""
        assert self.steps is not None, "there is nothing to train on"
        self.steps.first = step

    def train_dataloader(self) -> Loader | list[Loader]:
        """The optimiser steps that are still to be taken (see `batches`)."""
        return [] if self.steps is None else self._loader("train", self.steps, collate_step)

    def val_dataloader(self) -> Loader | list[Loader]:
        """The held-out rows, in batches of like length."""
        return self._by_length("valid")

    def test_dataloader(self) -> Loader | list[Loader]:
        """The rows of *test*, in batches of like length."""
        return self._by_length("test")

    def predict_dataloader(self) -> Loader | list[Loader]:
        """The rows of *test*, in batches of like length, without those that were predicted."""
        return self._by_length("test", self.predicted)

    def _by_length(self, name: str, first: int = 0) -> Loader | list[Loader]:
        if name not in self.datasets:
            return []
        batches = ByLength(self.datasets[name].lengths(), self.recipe, first)
        return self._loader(name, batches, collate)

    def _loader(
        self, name: str, batches: Steps | ByLength, collate_fn: Callable[..., dict[str, Any]]
    ) -> Loader:
        return DataLoader(
            self.datasets[name],
            batch_sampler=batches,
            collate_fn=partial(
                collate_fn, pad_id=self.store.pad_id, type_ids=self.store.uses_type_ids
            ),
            pin_memory=torch.cuda.is_available(),
        )
