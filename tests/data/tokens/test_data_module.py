"""A fold as Lightning takes it: padded batches, epochs in plan order, rows known by position."""

from dataclasses import replace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from pipeline.data.table import Table
from pipeline.data.tokens.batches import Pick, plan
from pipeline.data.tokens.data_module import FoldDataModule, RowDataset, collate, collate_step
from pipeline.data.tokens.store import TokenStore
from pipeline.models.transformer_settings import TransformerRecipe
from tests.fitting import advice_ignored, plain_trainer
from tests.tiny import tiny_tokenizer

WORDS = ["a", "cat", "sleeps", "on", "the", "mat", "while", "dogs", "bark", "at", "small", "birds"]
RECIPE = TransformerRecipe(
    name="x", backbone="org/x", epochs=2, batch_size=8, length_groups=3, predict_batch_size=5
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


def two_rows(pairing="siamese") -> RowDataset:
    texts = np.array([["a cat", "birds"], ["a", "the small birds bark"]], dtype=object)
    rows = Table(ids=np.array(["p", "q"], dtype=object), texts=texts)
    return RowDataset(store(pairing), rows, None)


def rows_of(step) -> list[list[int]]:
    return [group["rows"].tolist() for group in step["groups"]]


def test_a_batch_pads_each_text_to_its_own_longest_and_masks_the_padding():
    dataset = two_rows()
    kept = dataset.store
    batch = collate([dataset[Pick(1)], dataset[Pick(0)]], kept.pad_id, True)
    first, second = batch["inputs"]
    expected = kept.tokenizer(["a", "a cat"], padding=True, return_tensors="pt")
    for name in ("input_ids", "attention_mask", "token_type_ids"):
        torch.testing.assert_close(first[name], expected[name])
    assert second["input_ids"].shape == (2, 6)
    assert second["attention_mask"].sum(1).tolist() == [6, 3]
    assert batch["rows"].tolist() == [1, 0]
    assert batch["lengths"].tolist() == [[3, 4], [6, 3]]
    assert not {"targets", "weight"} & set(batch)


def test_a_step_is_its_groups_each_padded_by_itself_with_its_share_of_the_rows():
    dataset = two_rows()
    items = [dataset[Pick(at, group, 7)] for at, group in [(0, 0), (1, 1), (1, 1), (0, 2)]]
    step = collate_step(items, dataset.store.pad_id, True)
    assert step["step"] == 7
    assert rows_of(step) == [[0], [1, 1], [0]]
    assert [group["weight"] for group in step["groups"]] == [0.25, 0.5, 0.25]
    assert [group["inputs"][1]["input_ids"].shape[1] for group in step["groups"]] == [3, 6, 3]


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


def groups_of(module):
    return [group for step in module.train_dataloader() for group in step["groups"]]


def test_targets_go_with_their_rows_as_the_encoder_made_them():
    for group in groups_of(data(train=table(20), target_encoder=lambda y: y / 10)):
        assert group["targets"].dtype == torch.float32
        torch.testing.assert_close(group["targets"][:, 0], group["rows"].float() / 10)
    encoder = lambda y: y[:, 0].astype(np.int32)  # noqa: E731
    for group in groups_of(data(train=table(20), target_encoder=encoder)):
        assert group["targets"].dtype == torch.int64
        torch.testing.assert_close(group["targets"], group["rows"])


def test_weights_of_a_step_sum_to_one_and_follow_the_rows():
    module = data(replace(RECIPE, epochs=1), train=table(8 * 3 + 5))
    steps = list(module.train_dataloader())
    assert len(steps) == len(module.train_dataloader()) == module.steps.total == 4
    for step in steps:
        sizes = [len(rows) for rows in rows_of(step)]
        assert sum(sizes) == (5 if step["step"] == 3 else 8)
        weights = [group["weight"] for group in step["groups"]]
        assert weights == pytest.approx([size / sum(sizes) for size in sizes])


def test_the_loader_follows_the_plan_of_each_epoch_and_numbers_the_steps():
    module = data(train=table(30))
    lengths = module.datasets["train"].lengths()
    expected = [
        [group.tolist() for group in step]
        for epoch in range(2)
        for step in plan(3, epoch, 30, 8, lengths, 3)
    ]
    steps = list(module.train_dataloader())
    assert [rows_of(step) for step in steps] == expected
    assert [step["step"] for step in steps] == list(range(8))


def test_a_training_that_goes_on_gets_the_steps_that_were_not_taken():
    module = data(train=table(30))
    whole = [(step["step"], rows_of(step)) for step in module.train_dataloader()]
    module.start_at(5)
    rest = [(step["step"], rows_of(step)) for step in module.train_dataloader()]
    assert rest == whole[5:]
    assert len(module.train_dataloader()) == 3


def test_the_length_of_a_row_is_that_of_all_its_inputs():
    assert two_rows().lengths().tolist() == [4 + 3, 3 + 6]


class Seen(pl.LightningModule):
    """Notes which rows come when, and predicts each row's tokens and position."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.steps: list[tuple[int, list[list[int]]]] = []
        self.checked: list[int] = []

    def training_step(self, batch, batch_idx):
        self.steps.append((batch["step"], rows_of(batch)))

    def validation_step(self, batch, batch_idx):
        self.checked += batch["rows"].tolist()

    def predict_step(self, batch, batch_idx):
        return batch["rows"], batch["inputs"][0]["attention_mask"].sum(1)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.parametrize("first", [0, 4])
def test_lightning_takes_one_batch_per_step_in_the_order_of_the_plans(first):
    seen, module = Seen(), data(train=table(8 * 2 + 3))
    expected = [(step["step"], rows_of(step)) for step in module.train_dataloader()]
    module.start_at(first)
    with advice_ignored():
        plain_trainer().fit(seen, datamodule=module)
    assert seen.steps == expected[first:]
    assert len(expected) == 6, "a short last batch of an epoch is a step too"


def test_every_row_is_validated_once():
    seen, module = Seen(), data(train=table(8), valid=table(13, seed=1))
    with advice_ignored():
        plain_trainer().fit(seen, datamodule=module)
    assert sorted(seen.checked) == list(range(13))


@pytest.mark.parametrize("pairing", ["cross", "siamese"])
@pytest.mark.parametrize("pairs", [True, False])
def test_predictions_land_on_their_row_though_batches_come_by_length(pairing, pairs):
    rows = table(23, labelled=False, pairs=pairs)
    module = data(replace(RECIPE, pairing=pairing), test=rows)
    with advice_ignored():
        parts = plain_trainer().predict(Seen(), datamodule=module)
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
