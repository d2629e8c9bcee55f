"""fp16 on a CPU: gradients and activations that really overflow, and what is done about it."""

import pytest
import torch
from torch import nn

from pipeline.base.errors import DivergedError
from pipeline.models.transformer.device import PrecisionState, clip
from pipeline.models.transformer.memory_limits import LearnedLimits
from tests.models.transformer.toys import LARGE, Toy, Training, steps_of

FIRST_SCALE = 65_536.0


def half(bf16=True, **changes):
    return Training(precision="16-mixed", bf16=bf16, **changes)


def scale_of(training):
    return training.stepper.arithmetic.scaler.get_scale()


def large_at(number, count=4):
    steps = steps_of(count)
    steps[number] = steps_of(count, word=LARGE)[number]
    return steps


@pytest.mark.parametrize(
    ("precision", "dtype"), [("bf16-mixed", torch.bfloat16), ("16-mixed", torch.float16)]
)
def test_forward_passes_are_run_in_the_precision_and_weights_stay_float32(precision, dtype):
    seen = []
    training = Training(precision=precision, bf16=True)
    training.network.register_forward_hook(lambda module, args, output: seen.append(output.dtype))
    training.take(steps_of(1))
    assert set(seen) == {dtype}
    assert {weight.dtype for weight in training.network.parameters()} == {torch.float32}
    assert {gradient.dtype for gradient in training.gradients[0]} == {torch.float32}
    assert not torch.is_autocast_enabled("cpu")


def test_fp32_is_left_alone():
    with PrecisionState("cpu", "32-true", True).context():
        assert not torch.is_autocast_enabled("cpu")


def test_the_scale_of_the_loss_is_gone_before_gradients_are_cut_and_used():
    exact = Training(max_gradient_norm=0.01).take(steps_of(1)).gradients[0]
    scaled = half(max_gradient_norm=0.01).take(steps_of(1)).gradients[0]
    for ours, theirs in zip(scaled, exact, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0.02, atol=1e-5)


def test_gradients_that_overflow_halve_the_scale_and_no_step_is_lost():
    steps = steps_of(4, target=3.0)
    training = half().take(steps)
    scale = scale_of(training)
    assert 1 < scale < FIRST_SCALE
    halvings = int(torch.log2(torch.tensor(FIRST_SCALE / scale)))
    assert len(training.network.sizes) == 4 + halvings
    assert training.rates == Training().take(steps).rates
    assert training.stepper.arithmetic.precision == "16-mixed"
    assert not training.watch.events
    calm = half()
    calm.stepper.arithmetic.scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    calm.take(steps)
    assert len(calm.network.sizes) == 4
    torch.testing.assert_close(training.weights(), calm.weights(), rtol=0, atol=1e-4)


def test_the_scale_grows_again_after_steps_that_went_well():
    training = half()
    training.stepper.arithmetic.scaler = torch.amp.GradScaler("cpu", 1024.0, growth_interval=2)
    training.take(steps_of(4))
    assert scale_of(training) == 4096.0


@pytest.mark.parametrize(("bf16", "left"), [(True, "bf16-mixed"), (False, "32-true")])
def test_activations_that_overflow_change_the_precision_from_that_step_on(bf16, left):
    steps = large_at(2)
    training = half(bf16).take(steps)
    expected = half(bf16).take(steps[:2])
    expected.stepper.arithmetic.use(left)
    expected.take(steps[2:])
    assert torch.equal(training.weights(), expected.weights())
    assert training.losses == expected.losses
    assert training.rates == expected.rates
    assert len(training.network.sizes) == len(expected.network.sizes) + 1
    name = {"bf16-mixed": "bf16", "32-true": "fp32"}[left]
    assert training.watch.events == [
        (
            "precision changed",
            f"numbers overflowed in fp16 at step 3; from there on it is {name}",
            {"before": "fp16", "precision": name},
        )
    ]
    assert training.stepper.limits.learnt == LearnedLimits(precision=left)
    assert training.stepper.arithmetic.scaler is None


def test_a_whole_training_that_overflows_from_the_start_is_one_in_the_other_precision():
    steps = steps_of(4, word=LARGE)
    training = half(bf16=False).take(steps)
    assert torch.equal(training.weights(), Training().take(steps).weights())


def test_gradients_that_overflow_even_unscaled_change_the_precision():
    steps = steps_of(2, target=1e5)
    training = half(bf16=False).take(steps)
    exact = Training().take(steps)
    assert training.stepper.arithmetic.precision == "32-true"
    assert torch.equal(training.weights(), exact.weights())
    assert training.rates == exact.rates
    assert len(training.watch.told("precision changed")) == 1


@pytest.mark.parametrize("gradient_only", [True, False])
def test_what_diverges_in_every_precision_is_told_and_leaves_the_weights(gradient_only):
    training, steps = half(bf16=False), steps_of(3)
    if gradient_only:
        training.network.spoil = lambda gradient: gradient * float("nan")
    else:
        steps[0]["groups"][0]["targets"][0] = float("nan")
    with pytest.raises(DivergedError, match="is nan at step 1 of 4"):
        training.take(steps)
    assert torch.equal(training.weights(), Training().weights())
    assert len(training.watch.told("precision changed")) == 1


def test_memory_that_runs_out_in_fp16_leaves_the_scale_alone():
    steps = steps_of(3)
    cut, whole = (half(network=Toy(fits=fits)) for fits in (4, None))
    for training in (cut, whole):
        training.stepper.arithmetic.scaler = torch.amp.GradScaler("cpu", 256.0)
        training.take(steps)
        assert scale_of(training) == 256.0
    assert cut.rates == whole.rates
    torch.testing.assert_close(cut.weights(), whole.weights(), rtol=0, atol=1e-3)


def test_a_state_that_is_taken_up_goes_on_as_if_nothing_had_happened():
    steps = steps_of(4, target=3.0)
    whole = half().take(steps)
    first = half().take(steps[:2])
    later = half()
    later.network.load_state_dict(first.network.state_dict())
    later.optimizer.load_state_dict(first.optimizer.state_dict())
    later.stepper.restore(first.stepper.state())
    assert scale_of(later) == scale_of(first) < FIRST_SCALE
    later.take(steps[2:])
    assert torch.equal(later.weights(), whole.weights())


def test_a_precision_that_was_left_stays_left_when_a_state_is_taken_up():
    first, later = half(bf16=False).take(large_at(0)[:1]), half(bf16=False)
    later.stepper.restore(first.stepper.state())
    assert later.stepper.arithmetic.precision == "32-true"
    assert later.stepper.limits.learnt == LearnedLimits(precision="32-true")
    assert later.stepper.arithmetic.scaler is None


def test_gradients_are_scaled_down_to_the_norm_asked_for():
    module = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    module[1].bias.requires_grad_(False)
    for parameter in module.parameters():
        parameter.grad = torch.ones_like(parameter) if parameter.requires_grad else None

    def norm():
        parts = [weight.grad.flatten() for weight in module.parameters() if weight.grad is not None]
        return torch.linalg.vector_norm(torch.cat(parts)).item()

    before = norm()
    assert clip(module, 0.0).item() == pytest.approx(before)
    assert norm() == before
    assert clip(module, 2 * before).item() == pytest.approx(before)
    assert norm() == pytest.approx(before)
    assert clip(module, 0.5).item() == pytest.approx(before)
    assert norm() == pytest.approx(0.5, rel=1e-4)
