"""A fold as Lightning takes it: padded batches, epochs in plan order, rows known by position."""

import contextlib
import warnings
from dataclasses import replace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from pipeline.data.batches import plan
from pipeline.data.datamodule import FoldDataModule, RowDataset, collate
from pipeline.data.sampler import MicroGroups, Pick
from pipeline.data.table import Table
from pipeline.data.tokens import TokenStore
from pipeline.models.settings import TransformerRecipe
from tests.tiny import tiny_tokenizer

WORDS = ["a", "cat", "sleeps", "on", "the", "mat", "while", "dogs", "bark", "at", "small", "birds"]
RECIPE = TransformerRecipe(
    name="x", backbone="org/x", batch_size=8, length_groups=3, predict_batch_size=5
)


def table(rows: int, seed: int = 0, labelled: bool = True, pairs: bool = True) -> Table:
    draw = np.random.default_rng(seed)
    texts = [
        [" ".join(draw.choice(WORDS, draw.integers(1, 9))) for _ in range(1 + pairs)]
        for _ in range(rows)
    ]
    return Table(
        ids=np.array([f"r{row}" for row in range(rows)], dtype=object),
        texts=np.array(texts, dtype=object).reshape(rows, 1 + pairs),
        targets=np.arange(rows, dtype=float)[:, None] if labelled else None,
    )


def store(pairing="cross", kind="bert") -> TokenStore:
    return TokenStore(tiny_tokenizer(WORDS, kind), 32, pairing)


def data(recipe=RECIPE, **tables) -> FoldDataModule:
    return FoldDataModule(store(recipe.pairing), recipe, seed=3, **tables)


def test_a_batch_pads_each_text_to_its_own_longest_and_masks_the_padding():
    kept = store("siamese")
    texts = np.array([["a cat", "birds"], ["a", "the small birds bark"]], dtype=object)
    rows = Table(ids=np.array(["p", "q"], dtype=object), texts=texts)
    dataset = RowDataset(kept, rows, None)
    batch = collate([dataset[Pick(1, 0.25)], dataset[Pick(0, 0.25)]], kept.pad_id, True)
    first, second = batch["inputs"]
    expected = kept.tokenizer(["a", "a cat"], padding=True, return_tensors="pt")
    for name in ("input_ids", "attention_mask", "token_type_ids"):
        torch.testing.assert_close(first[name], expected[name])
    assert second["input_ids"].shape == (2, 6)
    assert second["attention_mask"].sum(1).tolist() == [6, 3]
    assert batch["rows"].tolist() == [1, 0]
    assert batch["weight"] == 0.5
    assert batch["tokens"] == 3 + 4 + 6 + 3
    assert "targets" not in batch


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_a_cross_encoded_batch_is_what_the_tokenizer_itself_would_pad(kind):
    kept, rows = store(kind=kind), table(6)
    module = FoldDataModule(kept, RECIPE, 3, test=rows)
    for batch in module.predict_dataloader():
        texts = rows.texts[batch["rows"].numpy()]
        expected = kept.tokenizer(
            texts[:, 0].tolist(), texts[:, 1].tolist(), padding=True, return_tensors="pt"
        )
        assert set(batch["inputs"][0]) == set(expected)
        for name, value in expected.items():
            torch.testing.assert_close(batch["inputs"][0][name], value)


def test_targets_go_with_their_rows_as_the_encoder_made_them():
    module = data(train=table(20), target_encoder=lambda y: y / 10)
    for batch in module.train_dataloader():
        assert batch["targets"].dtype == torch.float32
        torch.testing.assert_close(batch["targets"][:, 0], batch["rows"].float() / 10)
    module = data(train=table(20), target_encoder=lambda y: y[:, 0].astype(np.int32))
    for batch in module.train_dataloader():
        assert batch["targets"].dtype == torch.int64
        torch.testing.assert_close(batch["targets"], batch["rows"])


def test_weights_of_a_step_sum_to_one_and_follow_the_rows():
    module = data(train=table(8 * 3 + 5))
    batches = list(module.train_dataloader())
    assert (module.micro_groups, module.steps_per_epoch) == (3, 4)
    assert len(batches) == len(module.train_dataloader())
    for at in range(0, len(batches), 3):
        step = batches[at : at + 3]
        rows = sum(len(batch["rows"]) for batch in step)
        assert rows == (8 if at < 9 else 5)
        for batch in step:
            assert batch["weight"] == pytest.approx(len(batch["rows"]) / rows)


def test_the_loader_follows_the_plan():
    rows = table(30)
    module = data(train=rows)
    lengths = module.datasets["train"].lengths()
    expected = [group.tolist() for step in plan(3, 0, 30, 8, lengths, 3) for group in step]
    assert [batch["rows"].tolist() for batch in module.train_dataloader()] == expected


def test_the_length_of_a_row_is_that_of_all_its_inputs():
    kept = store("siamese")
    texts = np.array([["a cat", "birds"], ["a", "the small birds bark"]], dtype=object)
    dataset = RowDataset(kept, Table(ids=np.array(["p", "q"], dtype=object), texts=texts), None)
    assert dataset.lengths().tolist() == [4 + 3, 3 + 6]


def test_a_sampler_taken_up_in_the_middle_serves_the_rest_and_then_whole_epochs():
    lengths = np.arange(1, 31)
    whole = list(MicroGroups(lengths, RECIPE, 3, epoch=2))
    late = MicroGroups(lengths, RECIPE, 3, epoch=2, skip=4)
    assert len(late) == len(whole) - 4
    late.set_epoch(2)
    assert list(late) == whole[4:]
    late.set_epoch(3)
    assert list(late) == list(MicroGroups(lengths, RECIPE, 3, epoch=3))
    assert list(late) != whole


class Seen(pl.LightningModule):
    """Notes which rows come when, and predicts each row's first token and position."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.epochs: dict[int, list[list[int]]] = {}
        self.steps: list[int] = []
        self.checked: list[int] = []

    def training_step(self, batch, batch_idx):
        self.epochs.setdefault(self.current_epoch, []).append(batch["rows"].tolist())
        return (self.weight * batch["weight"]).sum()

    def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure):
        optimizer.step(optimizer_closure)
        self.steps.append(batch_idx)

    def validation_step(self, batch, batch_idx):
        self.checked += batch["rows"].tolist()

    def predict_step(self, batch, batch_idx):
        return batch["rows"], batch["inputs"][0]["attention_mask"].sum(1)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trainer(accumulate: int, epochs: int, reload_every: int = 0) -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        accumulate_grad_batches=accumulate,
        reload_dataloaders_every_n_epochs=reload_every,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


@contextlib.contextmanager
def advice_ignored():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message="You defined a `validation_step`")
        warnings.filterwarnings("ignore", message="Total length of `list` across ranks is zero")
        warnings.filterwarnings("ignore", message="You are using a custom batch sampler")
        warnings.filterwarnings("ignore", message=".*treespec, LeafSpec")
        yield


@pytest.mark.parametrize("reload_every", [0, 1])
def test_lightning_gets_every_epoch_in_the_order_of_its_own_plan(reload_every):
    rows, seen = table(8 * 2 + 3), Seen()
    module = data(train=rows)
    with advice_ignored():
        trainer(module.micro_groups, 3, reload_every).fit(seen, datamodule=module)
    lengths = module.datasets["train"].lengths()
    for epoch in range(3):
        expected = [g.tolist() for step in plan(3, epoch, 19, 8, lengths, 3) for g in step]
        assert seen.epochs[epoch] == expected
    assert seen.epochs[0] != seen.epochs[1]


def test_lightning_steps_once_per_batch_of_the_recipe_also_in_a_short_last_one():
    seen, module = Seen(), data(train=table(8 * 2 + 3))
    with advice_ignored():
        trainer(module.micro_groups, 2).fit(seen, datamodule=module)
    assert len(seen.steps) == 2 * module.steps_per_epoch == 6


def test_every_row_is_validated_once():
    seen, module = Seen(), data(train=table(8), valid=table(13, seed=1))
    with advice_ignored():
        trainer(module.micro_groups, 1).fit(seen, datamodule=module)
    assert sorted(seen.checked) == list(range(13))


@pytest.mark.parametrize("pairing", ["cross", "siamese"])
@pytest.mark.parametrize("pairs", [True, False])
def test_predictions_land_on_their_row_though_batches_come_by_length(pairing, pairs):
    rows = table(23, labelled=False, pairs=pairs)
    module = data(replace(RECIPE, pairing=pairing), test=rows)
    with advice_ignored():
        parts = trainer(1, 1).predict(Seen(), datamodule=module)
    found = np.full(23, np.nan)
    order = []
    for positions, values in parts:
        found[positions.numpy()] = values.numpy()
        order += positions.tolist()
    lengths = module.store.lengths(module.datasets["test"].rows)[:, 0]
    np.testing.assert_array_equal(found, lengths)
    assert order != sorted(order), "the batches do come in another order than the rows"


def test_tables_that_are_not_given_have_no_loader():
    module = data(test=table(3))
    assert (module.train_dataloader(), module.val_dataloader()) == ([], [])
    assert data(train=table(3)).predict_dataloader() == []


def test_an_empty_table_is_predicted_without_a_batch():
    assert list(data(test=table(0)).predict_dataloader()) == []


def test_folds_share_the_tokens_of_the_rows_they_share():
    kept, rows = store(), table(20)
    RowDataset(kept, rows, None)
    known = len(kept)
    FoldDataModule(
        kept, RECIPE, 3, train=rows.rows(np.arange(15)), valid=rows.rows(np.arange(15, 20))
    )
    assert len(kept) == known
