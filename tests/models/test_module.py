"""What Lightning is told about one fold's training."""

import pytest
import torch
from torch.utils.data import DataLoader
from transformers import AutoModel, AutoTokenizer

from pipeline.errors import DivergedError
from pipeline.models.backbone import Network
from pipeline.models.hardware import Hardware
from pipeline.models.heads import Head
from pipeline.models.learner import Silent
from pipeline.models.losses import TargetCodec
from pipeline.models.module import TextModule, check_weights_are_finite
from pipeline.models.settings import TransformerRecipe
from pipeline.training.trainer import make_trainer
from tests.tiny import tiny_backbone

TEXTS = ["a", "a cat", "a cat sleeps", "a cat sleeps here", "the dog", "the dog barks at a cat"]
CODEC = TargetCodec(problem="regression", loss="mse", shift=(0.0,), scale=(1.0,))


@pytest.fixture
def folder(tmp_path):
    return tiny_backbone(tmp_path / "tiny", TEXTS)


def make_module(folder, dropout=0.0, steps=1, micro_groups=1, seed=0, **changes):
    backbone = AutoModel.from_pretrained(
        folder,
        add_pooling_layer=False,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    network = Network(backbone, Head(16, 1, 1, dropout, seed=0), "mean")
    recipe = TransformerRecipe(name="t", backbone="t", **{"epochs": 1, **changes})
    return TextModule(network, CODEC, recipe, seed, steps, micro_groups)


def batch_of(folder, rows, share=1.0, target=1.0):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return {
        "inputs": [dict(tokenizer([TEXTS[r] for r in rows], padding=True, return_tensors="pt"))],
        "targets": torch.tensor([[target * row] for row in rows]),
        "rows": torch.tensor(rows),
        "weight": share,
        "tokens": sum(len(TEXTS[row].split()) + 2 for row in rows),
    }


def trainer_for(module):
    cpu = Hardware(accelerator="cpu", name="x", precision="32-true", threads=1, memory=1)
    return make_trainer(module.recipe, cpu, module.micro_groups, None, Silent())


def loader(batches):
    return DataLoader(batches, batch_size=None)


def train(module, batches):
    trainer_for(module).fit(module, loader(batches))


class Recorder(TextModule):
    """Keeps the gradients each optimiser step was taken with."""

    def on_before_optimizer_step(self, optimizer):
        self.gradients = getattr(self, "gradients", [])
        self.gradients.append([p.grad.clone() for p in self.network.parameters()])


def gradients_of(folder, batches, micro_groups):
    module = make_module(folder, micro_groups=micro_groups, steps=9, max_gradient_norm=0.0)
    module.__class__ = Recorder
    train(module, batches)
    return module.gradients


def same(first, second):
    for ours, theirs in zip(first, second, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


def test_micro_groups_together_have_the_gradient_of_the_whole_padded_batch(folder):
    whole = gradients_of(folder, [batch_of(folder, [0, 1, 2, 3, 4, 5])], 1)
    cut = gradients_of(
        folder,
        [
            batch_of(folder, [0], 1 / 6),
            batch_of(folder, [1, 4], 2 / 6),
            batch_of(folder, [2, 3, 5], 3 / 6),
        ],
        3,
    )
    assert len(whole) == len(cut) == 1
    same(whole[0], cut[0])


def test_a_last_step_of_fewer_groups_weighs_no_less(folder):
    whole = gradients_of(folder, [batch_of(folder, [2, 5])], 1)
    cut = gradients_of(folder, [batch_of(folder, [2], 1 / 2), batch_of(folder, [5], 1 / 2)], 3)
    assert len(cut) == 1
    same(whole[0], cut[0])


def test_dropout_is_active_in_training_and_off_when_predicting(folder):
    module = make_module(folder, dropout=0.5, steps=2, epochs=2)
    module.network.eval()  # as from_pretrained leaves it
    seen = []
    forward = module.network.forward

    def spy(inputs):
        seen.append(all(part.training for part in module.network.modules()))
        return forward(inputs)

    module.network.forward = spy
    train(module, [batch_of(folder, [0, 1, 2])])
    assert seen == [True, True]
    trainer_for(module).predict(module, loader([batch_of(folder, [0, 1, 2])]))
    assert seen == [True, True, False]


def test_a_steps_dropout_depends_on_seed_epoch_and_place_alone(folder):
    def losses(seed, disturb=0):
        module = make_module(folder, dropout=0.5, seed=seed, steps=4, learning_rate=1e-12, epochs=2)
        seen = []
        step = module.training_step

        def spy(batch, batch_idx):
            loss = step(batch, batch_idx)
            seen.append(loss.item())
            return loss

        module.training_step = spy
        torch.manual_seed(disturb)
        train(module, [batch_of(folder, [0, 1, 2, 5])] * 2)
        return seen

    first = losses(seed=1)
    assert losses(seed=1, disturb=9) == first
    assert len(set(first)) == 4
    assert losses(seed=2) != first


def test_the_rate_moves_once_per_optimiser_step_not_per_micro_group(folder):
    batches = [batch_of(folder, [row], 1 / 2) for row in range(6)]
    module = make_module(folder, steps=3, micro_groups=2, learning_rate=0.03, warmup_fraction=0.0)
    rates = []
    module.on_before_optimizer_step = lambda optimizer: rates.append(
        optimizer.param_groups[0]["lr"]
    )
    train(module, batches)
    assert rates == pytest.approx([0.03, 0.02, 0.01])


@pytest.mark.parametrize("fused", [True, False])
def test_gradients_are_scaled_down_to_the_norm_asked_for(folder, fused):
    module = make_module(folder)
    for parameter in module.network.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer = torch.optim.AdamW(module.network.parameters(), fused=fused)
    module.configure_gradient_clipping(optimizer, gradient_clip_val=0.5)
    norm = torch.cat([p.grad.flatten() for p in module.network.parameters()]).norm()
    assert norm.item() == pytest.approx(0.5, rel=1e-4)
    module.configure_gradient_clipping(optimizer, gradient_clip_val=None)
    assert norm == torch.cat([p.grad.flatten() for p in module.network.parameters()]).norm()


def test_the_training_loss_that_is_kept_is_the_mean_over_rows_since_the_last_point(folder):
    module = make_module(folder, micro_groups=2, learning_rate=1e-12)
    with torch.no_grad():
        module.network.head.linear.weight.zero_()
    train(module, [batch_of(folder, [1], 1 / 3), batch_of(folder, [2, 3], 2 / 3)])
    assert module.last_train_loss == pytest.approx((1 + 4 + 9) / 3, rel=1e-6)


@pytest.mark.parametrize("target", [float("nan"), float("inf")])
def test_a_diverged_training_is_an_error_that_says_what_to_try(folder, target):
    module = make_module(folder, learning_rate=0.5)
    with pytest.raises(DivergedError) as caught:
        train(module, [batch_of(folder, [1, 2], target=target)])
    assert str(caught.value) == (
        f"the training loss is {target} at or before step 1. Try a learning_rate below 0.5, a "
        "warmup_fraction above 0.1, a max_gradient_norm of 1 or less, or precision fp32."
    )


def test_weights_that_are_not_finite_are_an_error_too(folder):
    module = make_module(folder, precision="fp32")
    check_weights_are_finite(module, module.recipe)
    with torch.no_grad():
        module.network.head.linear.weight[0, 3] = float("nan")
    with pytest.raises(DivergedError, match=r"training ended with weights that are not finite"):
        check_weights_are_finite(module, module.recipe)


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
    trainer = trainer_for(module)
    batches = [batch_of(folder, [1]), batch_of(folder, [2, 3])]
    found = trainer.validate(module, loader(batches), verbose=False)
    assert found == [{"valid_loss": pytest.approx((1 + 4 + 9) / 3)}]
    found = trainer.test(module, loader(batches), verbose=False)
    assert found == [{"test_loss": pytest.approx((1 + 4 + 9) / 3)}]


def test_nothing_but_the_weights_is_kept_after_training(folder):
    module = make_module(folder)
    before = module.network.head.linear.weight.clone()
    train(module, [batch_of(folder, [1, 2])])
    assert not torch.equal(module.network.head.linear.weight, before)
    assert all(parameter.grad is None for parameter in module.network.parameters())
    assert not module.trainer.optimizers[0].state
