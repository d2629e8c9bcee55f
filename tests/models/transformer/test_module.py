"""A fold's training as Lightning runs it, with a real backbone."""

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import AutoModel, AutoTokenizer

from pipeline.base.errors import DivergedError
from pipeline.base.paths import Workspace
from pipeline.models.transformer import module as module_file
from pipeline.models.transformer.heads import Head, Network, pooling_named
from pipeline.models.transformer.losses import TargetCodec
from pipeline.models.transformer.module import TextModule
from pipeline.models.transformer_settings import TransformerRecipe
from pipeline.training.lightning.trainer import FoldFitter
from pipeline.training.options import FailurePolicy
from tests.fitting import CPU, Given, Listener, advice_ignored, as_loader, plain_trainer
from tests.tiny import tiny_backbone

TEXTS = ["a", "a cat", "a cat sleeps", "a cat sleeps here", "the dog", "the dog barks at a cat"]
CODEC = TargetCodec(problem="regression", loss="mse", shift=(0.0,), scale=(1.0,))


@pytest.fixture
def folder(tmp_path):
    return tiny_backbone(tmp_path / "tiny", TEXTS)


def make_module(folder, dropout=0.0, steps=1, seed=0, **changes):
    backbone = AutoModel.from_pretrained(
        folder,
        add_pooling_layer=False,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    pooling = pooling_named("mean", 16, 1, seed=0)
    network = Network(backbone, Head(16, 1, 1, dropout, seed=0), pooling)
    recipe = TransformerRecipe(name="t", backbone="t", **{"epochs": 1, **changes})
    return TextModule(network, CODEC, recipe, CPU, seed=seed, steps=steps, watch=Listener())


def batch_of(folder, rows, target=1.0):
    encoded = AutoTokenizer.from_pretrained(folder)(
        [TEXTS[row] for row in rows], padding=True, return_tensors="pt"
    )
    return {
        "inputs": [dict(encoded)],
        "lengths": encoded["attention_mask"].sum(1)[None].numpy(),
        "targets": torch.tensor([[target * row] for row in rows]),
        "rows": torch.tensor(rows),
    }


def step_of(folder, number, *groups, target=1.0):
    total = sum(map(len, groups))
    batches = [batch_of(folder, rows, target) for rows in groups]
    return {
        "step": number,
        "groups": [batch | {"weight": len(batch["rows"]) / total} for batch in batches],
    }


def train(module, steps, folder, **policy):
    fitter = FoldFitter(CPU, FailurePolicy(**policy))
    fitter.fit(module, Given(steps), Workspace(folder / "fold"), module.limits.watch)


class Recorder(TextModule):
    """Keeps the gradients and rates that each optimiser step was taken with."""

    def on_before_optimizer_step(self, optimizer):
        gradients = torch.cat([weight.grad.flatten() for weight in self.network.parameters()])
        self.noted = [*getattr(self, "noted", []), (gradients, optimizer.param_groups[0]["lr"])]


def recorded(folder, *steps, **settings):
    module = make_module(folder, max_gradient_norm=0.0, steps=len(steps), **settings)
    module.__class__ = Recorder
    train(module, steps, folder)
    return module.noted


@pytest.mark.parametrize("groups", [[[0], [1, 4], [2, 3, 5]], [[2], [5]]])
def test_micro_groups_together_have_the_gradient_of_the_whole_padded_batch(folder, groups):
    ((cut, _),) = recorded(folder, step_of(folder, 0, *groups))
    ((whole, _),) = recorded(folder, step_of(folder, 0, [row for group in groups for row in group]))
    torch.testing.assert_close(cut, whole, atol=1e-6, rtol=0)


def test_a_last_step_of_fewer_groups_weighs_no_less(folder):
    steps = [step_of(folder, 0, [0], [1], [3]), step_of(folder, 1, [2], [5])]
    noted = recorded(folder, *steps, learning_rate=1e-12)
    whole = recorded(folder, step_of(folder, 0, [2, 5]))
    assert len(noted) == 2
    torch.testing.assert_close(noted[1][0], whole[0][0], atol=1e-6, rtol=0)


def test_the_rate_moves_once_per_optimiser_step_not_per_micro_group(folder):
    steps = [step_of(folder, number, [2 * number], [2 * number + 1]) for number in range(3)]
    noted = recorded(folder, *steps, learning_rate=0.03, warmup_fraction=0.0)
    assert [rate for _, rate in noted] == pytest.approx([0.03, 0.02, 0.01])


def test_dropout_is_active_in_training_and_off_when_predicting(folder):
    module = make_module(folder, dropout=0.5, steps=2)
    module.network.eval()  # as from_pretrained leaves it
    seen = []
    module.network.register_forward_pre_hook(
        lambda network, args: seen.append(all(part.training for part in network.modules()))
    )
    train(module, [step_of(folder, number, [0, 1, 2]) for number in range(2)], folder)
    assert seen == [True, True]
    data = Given(test=[batch_of(folder, [0, 1, 2])])
    FoldFitter(CPU, FailurePolicy()).predict(module, data, Listener())
    assert seen == [True, True, False]


def test_a_steps_dropout_depends_on_seed_and_step_alone(folder):
    def losses(seed, disturb):
        module = make_module(folder, dropout=0.5, seed=seed, steps=4, learning_rate=1e-12)
        seen, take = [], module.stepper.take

        def spy(step, *rest):
            torch.manual_seed(disturb + step)
            seen.append(take(step, *rest).item())
            return torch.tensor(seen[-1])

        module.stepper.take = spy
        train(module, [step_of(folder, number, [0, 1], [2, 5]) for number in range(4)], folder)
        return seen

    first = losses(seed=1, disturb=0)
    assert losses(seed=1, disturb=9) == first
    assert len(set(first)) == 4
    assert losses(seed=2, disturb=0) != first


def test_the_training_loss_that_is_kept_is_the_mean_over_rows_since_the_last_point(folder):
    module = make_module(folder, learning_rate=1e-12)
    with torch.no_grad():
        module.network.head.linear.weight.zero_()
    train(module, [step_of(folder, 0, [1], [2, 3])], folder)
    assert module.last_train_loss == pytest.approx((1 + 4 + 9) / 3, rel=1e-6)


@pytest.mark.parametrize(
    ("points", "logged"),
    [(2, {2: (0 + 1) / 2, 4: (4 + 9) / 2, 5: 16}), (20, {1: 0, 2: 1, 3: 4, 4: 9, 5: 16})],
)
def test_the_loss_is_logged_now_and_then_and_at_the_end(folder, monkeypatch, points, logged):
    """Of a short training all the more often: two points are no curve."""
    monkeypatch.setattr(module_file, "LOGGED", points)
    module = make_module(folder, learning_rate=1e-9, steps=5, schedule="constant")
    with torch.no_grad():
        module.network.head.linear.weight.zero_()
    train(module, [step_of(folder, number, [number]) for number in range(5)], folder)
    events = EventAccumulator(str(folder / "fold" / "logs"))
    events.Reload()
    losses = {event.step: event.value for event in events.Scalars("train_loss")}
    assert losses == pytest.approx(logged, abs=1e-4)
    rates = [event.value for event in events.Scalars("learning_rate")]
    assert rates == pytest.approx([1e-9] * len(logged))


@pytest.mark.parametrize("target", [float("nan"), float("inf")])
def test_a_diverged_training_is_an_error_that_says_what_to_try(folder, target):
    module = make_module(folder, learning_rate=0.5)
    with pytest.raises(DivergedError) as caught:
        train(module, [step_of(folder, 0, [1, 2], target=target)], folder)
    assert str(caught.value) == (
        "the training loss or its gradient is nan at step 1 of 1. Try a learning_rate below 0.5, "
        "a warmup_fraction above 0.1, a max_gradient_norm of 1 or less, or precision fp32."
    )


def test_predictions_carry_their_rows_and_are_decoded(folder):
    module = make_module(folder)
    module.codec = TargetCodec(problem="regression", loss="mse", shift=(10.0,), scale=(4.0,))
    module.network.eval()
    batch = batch_of(folder, [4, 0])
    with torch.inference_mode():
        rows, values = module.predict_step(batch, 0)
        torch.testing.assert_close(values, 10 + 4 * module(batch))
    assert rows.tolist() == [4, 0]
    assert values.dtype == torch.float32


def test_a_given_validation_loader_logs_the_mean_loss_of_its_rows(folder):
    module = make_module(folder)
    with torch.no_grad():
        module.network.head.linear.weight.zero_()
    loader = as_loader([batch_of(folder, [1]), batch_of(folder, [2, 3])])
    with advice_ignored():
        found = plain_trainer().validate(module, loader, verbose=False)
        assert found == [{"valid_loss": pytest.approx((1 + 4 + 9) / 3)}]
        found = plain_trainer().test(module, loader, verbose=False)
        assert found == [{"test_loss": pytest.approx((1 + 4 + 9) / 3)}]


def test_nothing_but_the_weights_is_kept_after_training(folder):
    module = make_module(folder)
    before = module.network.head.linear.weight.clone()
    train(module, [step_of(folder, 0, [1, 2])], folder)
    assert not torch.equal(module.network.head.linear.weight, before)
    assert all(parameter.grad is None for parameter in module.network.parameters())
    assert not module.trainer.optimizers[0].state
