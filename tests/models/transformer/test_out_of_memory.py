"""Where memory runs out: fewer rows at once, and nothing else changes."""

import weakref

import pytest
import torch

from pipeline.base.errors import ResourceError
from pipeline.models.transformer.memory_limits import LearnedLimits
from pipeline.models.transformer.module import TextModule
from tests.fitting import CPU, Listener
from tests.models.transformer.toys import CODEC, Toy, Training, assert_near, step_of, steps_of

WAYS_OUT = (
    r"\(CUDA out of memory. Tried to allocate 2.00 GiB.\). Three ways out: a max_length below 128; "
    r"gradient_checkpointing: true or a smaller backbone; a device with more memory, or one that "
    r"nobody else is using\.$"
)


def test_micro_batches_are_halved_until_they_fit_and_the_result_stays():
    steps = steps_of(4)
    whole = Training().take(steps)
    cut = Training(Toy(fits=4)).take(steps)
    assert cut.network.sizes == [16, 8] + 16 * [4], "once halved, it stays"
    assert len(cut.rates) == 4
    assert cut.rates == whole.rates
    assert cut.losses == pytest.approx(whole.losses, rel=1e-6)
    assert_near(cut.weights(), whole.weights())
    assert cut.stepper.limits.learnt == LearnedLimits(micro_rows=4)


def test_each_halving_is_told_with_its_facts():
    watch = Training(Toy(fits=4)).take(steps_of(2)).watch
    assert watch.events == [
        (
            "batch halved",
            "out of memory at step 1 with 16 rows at once; from here on at most 8. Batches of 16 "
            "rows and the number of steps stay",
            {"step": 0, "rows_before": 16, "rows": 8},
        ),
        (
            "batch halved",
            "out of memory at step 1 with 8 rows at once; from here on at most 4. Batches of 16 "
            "rows and the number of steps stay",
            {"step": 0, "rows_before": 8, "rows": 4},
        ),
    ]


def test_the_largest_group_is_halved_and_smaller_ones_are_left():
    cut = Training(Toy(fits=5)).take([step_of(0, range(6), range(6, 9), range(9, 16))])
    assert cut.network.sizes == [6, 3, 3, 3, 2, 2, 3]
    assert cut.watch.told("batch halved") == [{"step": 0, "rows_before": 7, "rows": 3}]


def fail_at(network, *calls):
    """Let the *calls* (counted from 1) of a network's forward pass run out of memory."""
    count = 0

    def hook(module, args, output):
        nonlocal count
        count += 1
        if count in calls:
            raise RuntimeError("CUDA error: out of memory")

    network.register_forward_hook(hook)


@pytest.mark.parametrize("call", [1, 3, 6, 8])
def test_a_step_that_failed_halfway_leaves_nothing_behind(call):
    steps = steps_of(2)
    whole = Training().take(steps)
    cut = Training(learnt=LearnedLimits(micro_rows=4))
    fail_at(cut.network, call)
    assert_near(cut.take(steps).weights(), whole.weights())
    assert cut.rates == whole.rates
    assert cut.stepper.limits.learnt.micro_rows == 2


def test_a_backward_pass_may_run_out_of_memory_too():
    steps, tried = steps_of(2), []

    def spoil(gradient):
        tried.append(len(gradient))
        if len(gradient) > 8:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return gradient

    cut = Training()
    cut.network.spoil = spoil
    assert_near(cut.take(steps).weights(), Training().take(steps).weights())
    assert tried == [16, 8, 8, 8, 8]


def test_the_steps_that_follow_draw_by_their_own_micro_batches():
    steps = steps_of(3)
    cut = Training(Toy(dropout=0.5, fits=8)).take(steps)
    known = Training(Toy(dropout=0.5), learnt=LearnedLimits(micro_rows=8)).take(steps)
    assert torch.equal(cut.weights(), known.weights())
    assert not known.watch.events


def test_where_a_single_row_does_not_fit_three_ways_out_are_named_and_nothing_was_touched():
    training = Training().take(steps_of(1))
    weights = training.weights().clone()
    moments = [
        value.clone() for state in training.optimizer.state.values() for value in [*state.values()]
    ]
    training.network.fits = 0
    with pytest.raises(ResourceError, match=f"with a single row at step 2 {WAYS_OUT}"):
        training.take(steps_of(2)[1:])
    assert [facts["rows"] for facts in training.watch.told("batch halved")] == [8, 4, 2, 1]
    assert torch.equal(training.weights(), weights)
    left = [value for state in training.optimizer.state.values() for value in [*state.values()]]
    assert all(map(torch.equal, left, moments))
    assert training.stepper.done == 1


def test_gradients_of_a_failed_try_hold_no_memory():
    training = Training(learnt=LearnedLimits(micro_rows=1))
    fail_at(training.network, 3)
    with pytest.raises(ResourceError, match="with a single row at step 1"):
        training.take(steps_of(1))
    assert all(weight.grad is None for weight in training.network.parameters())


def test_a_lack_of_memory_for_the_moments_is_told_as_one():
    training = Training()

    def full(*args):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    training.optimizer.register_step_pre_hook(full)
    with pytest.raises(ResourceError, match=f"updating the weights at step 1 {WAYS_OUT}"):
        training.take(steps_of(1))


def test_another_failure_is_nobodys_lack_of_memory():
    training = Training()

    def broken(*args):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    training.network.register_forward_hook(broken)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        training.take(steps_of(1))
    assert not training.watch.events


class Hoarder(Toy):
    """Holds a tensor when memory runs out, as a real forward pass does."""

    def forward(self, inputs, lengths):
        activations = torch.ones(3)
        self.held = weakref.ref(activations)
        return super().forward(inputs, lengths) + 0 * activations.sum()


class Attentive(Listener):
    """Notes whether the tensor of the pass that failed is still alive when it is told."""

    def __init__(self, network):
        super().__init__()
        self.network, self.alive = network, []

    def event(self, what, message, **facts):
        self.alive.append(self.network.held() is not None)


def test_the_failed_tries_tensors_are_gone_before_the_next_try():
    training = Training(Hoarder(fits=4))
    training.stepper.limits.watch = watch = Attentive(training.network)
    training.take(steps_of(1))
    assert watch.alive == [False, False]
    module = module_of(Hoarder(fits=4))
    module.limits.watch = watch = Attentive(module.network)
    module.predict_step(step_of(0, range(16))["groups"][0], 0)
    assert watch.alive == [False, False]


def module_of(network, learnt=None):
    recipe = Training().recipe
    return TextModule(network, CODEC, recipe, CPU, learnt=learnt, watch=Listener()).eval()


def test_predicting_fewer_rows_at_once_changes_no_prediction():
    batch = step_of(0, [7, 2, 9, 4, 0, 1, 13, 5, 6, 3, 8, 10])["groups"][0]
    rows, expected = module_of(Toy()).predict_step(batch, 0)
    module = module_of(Toy(fits=4), LearnedLimits(micro_rows=9))
    found_rows, found = module.predict_step(batch, 0)
    assert torch.equal(found_rows, rows)
    assert_near(found, expected)
    assert module.limits.learnt == LearnedLimits(micro_rows=9, predict_rows=3), (
        "training is left alone"
    )
    assert module.network.sizes == [12, 6, 3, 3, 3, 3]
    assert module.limits.watch.events[0] == (
        "predict batch halved",
        "out of memory predicting 12 rows at once; from here on at most 6",
        {"rows_before": 12, "rows": 6},
    )
    told = len(module.limits.watch.events)
    assert_near(module.predict_step(batch, 1)[1], expected)
    assert len(module.limits.watch.events) == told, "what fits is known by then"


def test_a_single_row_that_cannot_be_predicted_is_an_error_with_three_ways_out():
    with pytest.raises(ResourceError, match=f"predicting a single row {WAYS_OUT}"):
        module_of(Toy(fits=0)).predict_step(step_of(0, range(3))["groups"][0], 0)
