"""Tricks of training as settings: exact under kill and resume, and bytes as before where off."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.base import fault_injection
from pipeline.base.config import ColumnsConfig
from pipeline.base.errors import DataError, UsageError
from pipeline.base.paths import Workspace
from pipeline.models.transformer.craft import Averaging, Perturbation, reinitialise
from pipeline.models.transformer.factory import TransformerFactory, check_columns
from pipeline.models.transformer.heads import Head, LayeredHead, Network, pooling_named
from pipeline.models.transformer.objective import (
    Objective,
    Side,
    contrasted,
    sides_of,
    with_sides,
)
from pipeline.models.transformer.optimiser import rate_factor
from pipeline.models.transformer_settings import Awp, Contrast, Freeze, Lora
from pipeline.training.lightning.trainer import FoldFitter
from pipeline.training.options import FailurePolicy
from tests.fitting import CPU
from tests.models.transformer.learners import SCORES, WATCH, backbone, factory_for, fitted, pairs
from tests.models.transformer.toys import CODEC, Toy, Training, assert_near, step_of, steps_of
from tests.nightly import often

TRICKS = {
    "layer-mix": {"pooling": "layer-mix"},
    "attention": {"pooling": "attention", "pairing": "siamese"},
    "lstm": {"pooling": "lstm"},
    "multi-sample": {"head": "multi-sample", "micro_batch_size": 3},
    "layers": {"head": "layers", "pairing": "siamese"},
    "reinit": {"reinit_layers": 1},
    "freeze": {"freeze": Freeze(layers=1, epochs=1)},
    "frozen": {"freeze": Freeze(layers=0)},
    "sum": {"loss": {"mse": 0.7, "pearson": 0.3}, "r_drop": 0.5},
    "auxiliary": {"auxiliary": {"grade": 0.5, "kind": 0.5}},
    "supervised": {"contrast": Contrast(column="kind"), "head": "multi-sample"},
    "fgm": {"fgm": 1.0, "micro_batch_size": 3},
    "awp": {"awp": Awp(start=0.3), "freeze": Freeze(layers=1, epochs=1)},
    "ema": {"average": {"ema": 0.9}},
    "swa": {"average": {"swa": 0.4}, "fgm": 0.1},
    "soup": {"average": {"soup": 2}},
    "lora": {"lora": Lora(rank=4), "average": {"ema": 0.9}, "awp": Awp()},
    "dora": {"lora": Lora(rank=4, dora=True, targets=["query", "value"]), "pairing": "siamese"},
    "cosine": {"contrast": Contrast(column="grade", kind="cosine"), "pairing": "siamese"},
}
"""What each case sets."""
TEST = pairs(12, seed=2, labelled=False)


def with_columns(table):
    """*table* with further columns: 0 and 1 with a gap, and three kinds."""
    grade = np.array(["1.0" if value > 2 else "0.0" for value in table.targets[:, 0]], object)
    grade[3] = ""
    kind = np.array([("a", "b", "c")[row % 3] for row in range(len(table))], object)
    return replace(table, features={"grade": grade, "kind": kind})


TRAIN = with_columns(pairs(30))


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return backbone(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def plain(bert, tmp_path_factory):
    """What is predicted without any trick."""
    learner = fitted(often_saved(bert), TRAIN, tmp_path_factory.mktemp("plain"))
    return learner.predict(TEST, WATCH)


def often_saved(bert, task=SCORES, outputs=1, **changes) -> TransformerFactory:
    """Of a recipe that is cut into micro-batches, with a checkpoint after every step."""
    settings = {"epochs": 2, "micro_batch_size": 4, "packing": True, **changes}
    factory = factory_for(bert, task, outputs, **settings)
    policy = FailurePolicy(checkpoint_seconds=0.0)
    factory.shared = replace(factory.shared, fitter=FoldFitter(CPU, policy))
    return factory


OFTEN = ("sum", "soup")
"""With a state of its own, and without; the others are tried at night."""


@pytest.mark.parametrize(
    "trick",
    often(TRICKS, OFTEN.__contains__),
)
def test_a_training_killed_within_a_step_ends_in_the_same_bytes(
    bert, plain, tmp_path, monkeypatch, trick
):
    changes = TRICKS[trick]
    whole = fitted(often_saved(bert, **changes), TRAIN, tmp_path / "whole")
    expected = whole.predict(TEST, WATCH)
    assert not np.array_equal(expected, plain), "the trick does nothing"
    whole.save(tmp_path / "weights")
    assert whole.facts["packed"]
    monkeypatch.setattr(fault_injection, "_FAULTS", {("micro-batch", 11): "raise"})
    fault_injection._REACHED.clear()
    with pytest.raises(fault_injection.Injected):
        fitted(often_saved(bert, **changes), TRAIN, tmp_path / "killed")
    monkeypatch.setattr(fault_injection, "_FAULTS", {})
    assert list(Workspace(tmp_path / "killed").checkpoints.glob("step-*.json"))
    again = fitted(often_saved(bert, **changes), TRAIN, tmp_path / "killed")
    assert again.predict(TEST, WATCH).tobytes() == expected.tobytes()
    elsewhere = often_saved(bert, **changes).load(tmp_path / "weights")
    assert elsewhere.predict(TEST, WATCH).tobytes() == expected.tobytes()


def test_a_pooling_of_more_layers_than_there_are_is_refused(bert):
    with pytest.raises(UsageError, match=r"last 4 layers, and bert gives those of 3.*mean in toy"):
        factory_for(bert, pooling="last-4")


def test_what_a_pooling_learns_moves_at_the_heads_rate(bert, tmp_path):
    factory = factory_for(bert, pooling="layer-mix", head_learning_rate=0.5)
    learner = fitted(factory, TRAIN, tmp_path)
    assert (
        float(learner.module.network.pooling.weights.detach().abs().max()) > 0.03
    )  # the backbone's is 0.003


def weights_of(learner):
    """By name, as they are now."""
    return {name: w.detach().clone() for name, w in learner.module.network.named_parameters()}


def test_frozen_layers_stay_bit_for_bit_and_the_next_fold_trains_them(bert, tmp_path):
    factory = often_saved(bert, freeze=Freeze(layers=1))
    before = {f"backbone.{name}": w.clone() for name, w in factory.shared.pristine.weights.items()}
    after = weights_of(fitted(factory, TRAIN, tmp_path / "frozen"))
    still = {name for name in after if name in before and torch.equal(after[name], before[name])}
    assert "backbone.embeddings.word_embeddings.weight" in still
    assert "backbone.encoder.layer.0.output.dense.weight" in still
    assert not any(".layer.1." in name and name.endswith("dense.weight") for name in still)
    assert all(w.requires_grad for w in factory.make(1).shared.pristine.backbone.parameters())


def test_layers_start_anew_by_the_seed_and_the_others_as_loaded(bert):
    def drawn(seed):
        pristine = factory_for(bert).shared.pristine
        state = torch.get_rng_state()
        reinitialise(pristine.backbone, 1, seed)
        assert torch.equal(torch.get_rng_state(), state)
        return pristine, dict(pristine.backbone.named_parameters())

    pristine, first = drawn(1)
    name = "encoder.layer.1.attention.self.query.weight"
    assert not torch.equal(first[name], pristine.weights[name])
    assert first[name].detach().std() == pytest.approx(0.02, rel=0.15)
    low = "encoder.layer.0.attention.self.query.weight"
    assert torch.equal(first[low], pristine.weights[low])
    assert torch.equal(drawn(1)[1][name], first[name])
    assert not torch.equal(drawn(2)[1][name], first[name])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reinit_layers": 3}, "reinit_layers is 3, and bert has 2 layers"),
        ({"freeze": Freeze(layers=9)}, "freeze.layers is 9, and bert has 2 layers"),
        ({"freeze": Freeze(layers=2), "reinit_layers": 1}, "keep the random weights"),
    ],
)
def test_more_layers_than_there_are_are_refused(bert, changes, message):
    with pytest.raises(UsageError, match=message):
        factory_for(bert, **changes)


def steps_with_columns():
    """Steps of 16 rows in four groups, whose targets are a number and a class."""
    steps = steps_of(2, groups=4)
    for step in steps:
        for group in step["groups"]:
            kinds = torch.arange(len(group["rows"]))[:, None] % 2
            group["targets"] = torch.cat([group["targets"], kinds], dim=1).float()
    return steps


def together(step):
    """The same step as one group."""
    rows = [int(row) for group in step["groups"] for row in group["rows"]]
    (group,) = step_of(step["step"], rows)["groups"]
    group["targets"] = torch.cat([group["targets"] for group in step["groups"]])
    return {"step": step["step"], "groups": [group]}


SUPERVISED = Side(column="kind", weight=0.5, use="contrast", classes=("a", "b"))


@pytest.mark.parametrize(
    ("changes", "sides"),
    [
        ({"loss": {"mse": 0.5, "pearson": 0.5}}, ()),
        ({"loss": {"mse": 0.5, "ranking": 0.5}}, ()),
        ({"contrast": Contrast(column="kind", weight=0.5)}, (SUPERVISED,)),
        ({"auxiliary": {"kind": 0.5}}, (replace(SUPERVISED, use="auxiliary"),)),
    ],
)
def test_a_step_cut_into_micro_batches_has_the_gradient_of_one_batch(changes, sides):
    def taken(steps):
        training = Training(Wide(3 if sides else 1), **changes)
        codec = replace(CODEC, loss=changes.get("loss", "mse"))
        objective = Objective(codec, training.recipe, sides, 1 if sides else None)
        training.stepper.objective = training.stepper.gradient.objective = objective
        if not sides:
            for group in (group for step in steps for group in step["groups"]):
                group["targets"] = group["targets"][:, :1]
        return training.take(steps)

    cut = taken(steps_with_columns())
    whole = taken([together(step) for step in steps_with_columns()])
    assert len(cut.network.sizes) > len(whole.network.sizes)
    for one, other in zip(cut.gradients, whole.gradients, strict=True):
        for first, second in zip(one, other, strict=True):
            assert_near(first, second)
    assert cut.losses == pytest.approx(whole.losses, rel=1e-5)


class Wide(Toy):
    """A toy with several outputs, whose vectors can be asked for."""

    def __init__(self, outputs):
        super().__init__()
        self.head = Head(8, 1, outputs, 0.0, seed=1)

    def vectors(self, inputs, lengths=None):
        self.sizes.append(len(inputs[0]["input_ids"]))
        mask = inputs[0]["attention_mask"]
        vectors = self.backbone(inputs[0]["input_ids"]) * mask[..., None]
        return [vectors.sum(1) / mask.sum(1, keepdim=True)]

    def forward(self, inputs, lengths=None):
        return self.head(self.vectors(inputs, lengths))


def test_a_head_of_several_layers_starts_close_to_a_pairs_cosine():
    u, v = torch.randn(50, 64), torch.randn(50, 64)
    outputs = LayeredHead(64, 2, 3, dropout=0.1, seed=5).eval()([u, v])
    cosine = torch.nn.functional.cosine_similarity(u, v).unsqueeze(1)
    assert (outputs - cosine).abs().max() < 0.02
    assert LayeredHead(64, 1, 3, dropout=0.1, seed=5).eval()([u]).shape == (50, 3)


def test_supervised_contrast_is_by_hand_and_leaves_unknown_rows_out():
    vectors = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.3, 1.0], [9.0, 9.0]])
    labels = torch.tensor([0.0, 0.0, 1.0, 1.0, math.nan])
    rows = torch.nn.functional.normalize(vectors[:4], dim=1)
    scores = (rows @ rows.T / 0.1).exp()
    by_hand = [
        -math.log(scores[a, b] / (scores[a].sum() - scores[a, a]))
        for a, b in ((0, 1), (1, 0), (2, 3), (3, 2))
    ]
    found = contrasted([vectors], labels, Contrast(column="x"))
    assert found.item() == pytest.approx(np.mean(by_hand), rel=1e-3)
    alone = contrasted([vectors.requires_grad_()], torch.arange(5.0), Contrast(column="x"))
    assert alone.item() == 0


def test_cosine_contrast_draws_alike_texts_together_and_leaves_others_at_right_angles():
    u, v = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[0.6, 0.8], [-1.0, 0.0]])
    contrast = Contrast(column="x", kind="cosine")
    assert contrasted([u, v], torch.tensor([1.0, 0.0]), contrast).item() == pytest.approx(0.2)
    assert contrasted([u, v], torch.tensor([0.0, 0.0]), contrast).item() == pytest.approx(0.3)


def test_what_a_further_column_holds_is_learned_and_gaps_cost_nothing():
    recipe = Training(auxiliary={"grade": 0.5, "kind": 0.5}).recipe
    grade, kind = sides_of(recipe, TRAIN)
    assert (grade.classes, grade.outputs) == ((), 1)
    assert (kind.classes, kind.outputs) == (("a", "b", "c"), 3)
    encoded = with_sides(TRAIN, (grade, kind)).targets
    assert np.isnan(encoded[3, 1])
    assert np.nanstd(encoded[:, 1]) == pytest.approx(1)
    values = torch.tensor([1.0, math.nan])
    assert grade.mean_loss(torch.tensor([[3.0], [100.0]]), values).item() == pytest.approx(2.0)
    with pytest.raises(DataError, match=r"column kind.*holds 1 different values"):
        sides_of(recipe, replace(TRAIN, features={**TRAIN.features, "kind": np.full(30, "a")}))


def test_a_contrast_of_three_kinds_is_no_cosine():
    recipe = Training(contrast=Contrast(column="kind", kind="cosine"), pairing="siamese").recipe
    with pytest.raises(DataError, match="column kind holds 3 different values"):
        sides_of(recipe, TRAIN)


def test_a_column_of_the_competition_is_no_further_one():
    columns = ColumnsConfig(id="id", texts=["text"], targets=["label"])
    recipe = Training(auxiliary={"label": 1.0}).recipe
    with pytest.raises(UsageError, match="has label as auxiliary or contrast"):
        check_columns(recipe, columns)


def test_fgm_adds_the_gradient_where_the_words_are_moved_and_puts_them_back(bert, tmp_path):
    """Against the same by hand, on a network without dropout."""
    network, recipe = quiet_network(bert), Training(fgm=2.0).recipe
    table = network.backbone.get_input_embeddings().weight
    first = gradients(network)
    before = table.detach().clone()
    with Perturbation(network, recipe, 1).moved() as moved:
        assert moved
        step = table.detach() - before
        assert step.norm().item() == pytest.approx(2.0, rel=1e-5)
        along = torch.nn.functional.cosine_similarity(step.flatten(), first[0].flatten(), dim=0)
        assert along.item() == pytest.approx(1.0, abs=1e-5)
        assert loss_of(network).item() > 0
        second = gradients(network, clear=False)
    assert torch.equal(table, before)
    assert not torch.equal(second[0], 2 * first[0])


def test_awp_moves_every_matrix_by_a_share_of_its_norm_and_takes_the_gradient_there(bert):
    network, recipe = quiet_network(bert), Training(awp=Awp(gamma=0.01, start=0.5)).recipe
    perturbation = Perturbation(network, recipe, 10)
    assert [perturbation.due(step) for step in (4, 5)] == [False, True]
    gradients(network)
    before = {name: w.detach().clone() for name, w in network.named_parameters()}
    low = loss_of(network).item()
    with perturbation.moved() as moved:
        assert moved
        assert loss_of(network).item() > low
        assert all(w.grad is None for w in network.parameters())
        for name, weight in network.named_parameters():
            apart = (weight.detach() - before[name]).norm()
            if weight.ndim == 1:
                assert apart == 0
            elif apart:
                assert apart.item() == pytest.approx(0.01 * before[name].norm().item(), rel=1e-3)
    assert all(torch.equal(w, before[name]) for name, w in network.named_parameters())


def test_weights_come_back_when_a_step_fails_while_they_are_moved(bert):
    network = quiet_network(bert)
    gradients(network)
    before = network.backbone.get_input_embeddings().weight.detach().clone()
    with pytest.raises(MemoryError), Perturbation(network, Training(fgm=1.0).recipe, 1).moved():
        raise MemoryError
    assert torch.equal(network.backbone.get_input_embeddings().weight, before)


def quiet_network(bert):
    """Without dropout."""
    backbone = factory_for(bert).shared.pristine.backbone.eval()
    return Network(backbone, Head(32, 1, 1, 0.0, seed=0), pooling_named("mean", 32, 1, 0)).eval()


def loss_of(network):
    """The squared error of three short texts."""
    ids = torch.tensor([[1, 6, 2], [1, 7, 2], [1, 8, 2]])
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    return (network([batch]) - torch.tensor([[1.0], [0.0], [-1.0]])).square().mean()


def gradients(network, clear=True):
    """Of `loss_of`, the table of words first."""
    if clear:
        network.zero_grad(set_to_none=True)
    loss_of(network).backward()
    table = network.backbone.get_input_embeddings().weight
    return [each.grad.clone() for each in (table, *network.head.parameters())]


@pytest.mark.parametrize(
    ("average", "expected"),
    [
        ({"swa": 0.5}, (4 + 5 + 6 + 7) / 4),
        ({"soup": 2}, (5 + 7) / 2),
        ({}, 7.0),
    ],
)
def test_the_mean_is_of_the_steps_that_count(average, expected):
    toy = Toy()
    averaging = Averaging(toy, average, steps=8, epochs=4)
    for step in range(8):
        fill(toy, float(step))
        averaging.after(step)
    averaging.finish()
    assert next(toy.parameters()).unique().tolist() == [pytest.approx(expected)]


def test_a_moving_mean_starts_with_little_memory_and_goes_on_from_its_state():
    toy = Toy()
    averaging = Averaging(toy, {"ema": 0.5}, steps=4, epochs=1)
    by_hand = None
    for step in range(4):
        fill(toy, float(step))
        averaging.after(step)
        decay = min(0.5, (1 + step) / (10 + step))
        by_hand = step if by_hand is None else decay * by_hand + (1 - decay) * step
        again = Averaging(toy, {"ema": 0.5}, steps=4, epochs=1)
        again.restore(averaging.state())
        averaging = again
    averaging.finish()
    assert next(toy.parameters()).unique().tolist() == [pytest.approx(by_hand)]


def fill(network, value):
    """All weights *value*."""
    with torch.no_grad():
        for weight in network.parameters():
            weight.fill_(value)


def test_words_that_no_text_holds_are_averaged_as_the_whole_table_would_be(bert, tmp_path):
    """Their decay is one number, of which the mean is taken as well."""
    changes = {"average": {"swa": 0.0}, "weight_decay": 0.5, "epochs": 2, "learning_rate": 0.05}
    factory = often_saved(bert, **changes)
    learner = fitted(factory, TRAIN, tmp_path)
    table = learner.module.network.backbone.get_input_embeddings().weight.detach()
    loaded = factory.shared.pristine.weights["embeddings.word_embeddings.weight"]
    ratio = table / loaded
    words = [row for row in range(len(table)) if ratio[row].std() < 1e-4]
    assert words, "every word is trained"
    rates = [0.05 * share for share in rate_shares(8)]
    left = np.cumprod([1 - 0.5 * rate for rate in rates])
    assert ratio[words[0]].mean().item() == pytest.approx(left.mean(), rel=1e-4)


def rate_shares(steps):
    """The shares of the peak rate."""
    warmup = min(steps - 1, round(0.1 * steps))
    return [rate_factor(step, steps, warmup, "linear") for step in range(steps)]
