"""NaN and infinity: found at once on a CPU, a few steps late on a GPU, always before a save."""

import math
from collections import Counter
from types import SimpleNamespace

import pytest
import torch

from pipeline.base import fault_injection as faults
from pipeline.base.errors import DivergedError
from pipeline.models.transformer import step as finite
from pipeline.models.transformer.step import LAG, FiniteCheck, all_finite
from tests.models.transformer.toys import Toy, Training, steps_of

ADVICE = (
    "Try a learning_rate below 0.01, a warmup_fraction above 0.1, a max_gradient_norm of 1 or less"
)


def break_loss(training, steps, monkeypatch):
    steps[2]["groups"][0]["targets"][3] = math.nan


def explode_loss(training, steps, monkeypatch):
    steps[2]["groups"][0]["targets"][3] = math.inf


def break_gradient(training, steps, monkeypatch):
    calls = []

    def spoil(gradient):
        calls.append(1)
        return gradient * math.nan if len(calls) == 3 else gradient

    training.network.spoil = spoil


def inject(point):
    def fault(training, steps, monkeypatch):
        monkeypatch.setattr(faults, "_FAULTS", {(point, 3): "nan"})
        monkeypatch.setattr(faults, "_REACHED", Counter())

    return fault


@pytest.mark.parametrize(
    "spoil", [break_loss, explode_loss, break_gradient, inject("loss"), inject("gradient")]
)
@pytest.mark.parametrize("precision", ["auto", "fp32"])
def test_on_a_cpu_the_weights_are_those_of_the_last_good_step(spoil, precision, monkeypatch):
    good = Training().take(steps_of(2))
    training, steps = Training(), steps_of(4)
    training.recipe = training.stepper.limits.recipe = type(training.recipe)(
        **{**vars(training.recipe), "precision": precision}
    )
    spoil(training, steps, monkeypatch)
    with pytest.raises(DivergedError) as caught:
        training.take(steps)
    rest = ", or precision fp32." if precision == "auto" else "."
    assert str(caught.value) == (
        f"the training loss or its gradient is nan at step 3 of 4. {ADVICE}{rest}"
    )
    assert torch.equal(training.weights(), good.weights())
    assert training.rates == good.rates
    assert training.stepper.done == 2


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_weights_that_are_not_finite_are_an_error_too(value):
    training = Training().take(steps_of(2))
    training.stepper.check_finite()
    with torch.no_grad():
        training.network.head[0].weight[0, 3] = value
    assert not all_finite(training.network)
    with pytest.raises(DivergedError, match=f"^weights are not finite after step 2 of 4. {ADVICE}"):
        training.stepper.check_finite()


def test_finite_weights_are():
    assert all_finite(Toy())


class Device:
    """A GPU whose copies arrive when somebody waits for them: until then there is rubbish."""

    def __init__(self, monkeypatch):
        self.copies, self.waited = [], 0
        cuda = SimpleNamespace(Event=lambda: Event(self))
        own = SimpleNamespace(empty=self.empty, cuda=cuda, stack=torch.stack)
        monkeypatch.setattr(finite, "torch", own)

    def empty(self, shape, dtype, pin_memory):
        assert pin_memory, "a copy into other memory would wait"
        landing = torch.full(shape, math.nan, dtype=dtype).as_subclass(Landing)
        landing.device_of = self
        return landing

    def number(self, value):
        return torch.tensor(value).as_subclass(Far)


class Far(torch.Tensor):
    is_cuda = True

    def __float__(self):
        raise AssertionError("looking at a number on the device waits")


class Landing(torch.Tensor):
    def copy_(self, value, non_blocking):
        assert non_blocking
        self.device_of.copies.append((self, value.as_subclass(torch.Tensor).clone()))


class Event:
    def __init__(self, device):
        self.device, self.before = device, None

    def record(self):
        self.before, self.device.copies = self.device.copies, []

    def synchronize(self):
        self.device.waited += 1
        for landing, value in self.before:
            landing.as_subclass(torch.Tensor).fill_(float(value))


@pytest.fixture
def device(monkeypatch):
    return Device(monkeypatch)


def test_on_a_gpu_nothing_is_waited_for_until_it_is_some_steps_old(device):
    found = []
    check = FiniteCheck(lambda step, value: found.append(step))
    for step in range(10):
        check.add(step, device.number(1.0))
        assert device.waited == max(0, step + 1 - LAG)
    assert not found


def test_on_a_gpu_a_number_is_found_out_some_steps_later_under_its_own_step(device):
    found = []
    check = FiniteCheck(lambda step, value: found.append((step, value)))
    for step in range(3 + LAG):
        check.add(step, device.number(math.inf if step == 3 else 1.0))
        assert not found
    check.add(3 + LAG, device.number(1.0))
    assert found == [(3, math.inf)]


def test_before_a_save_everything_on_its_way_is_looked_at(device):
    def complain(step, value):
        raise DivergedError(f"step {step}")

    check = FiniteCheck(complain)
    for step in range(3):
        check.add(step, device.number(math.nan if step else 1.0))
    with pytest.raises(DivergedError, match="step 1"):
        check.flush()
    check.flush()  # all that came after it is no news
    assert device.waited == 2


def test_a_stepper_waits_for_a_gpu_when_it_is_asked_whether_all_is_finite(device):
    training = Training()
    training.stepper.finite.add(1, device.number(math.nan))
    with pytest.raises(DivergedError, match="is nan at step 2 of 4"):
        training.stepper.check_finite()
