"""One optimiser step: the whole batch's gradient, draws by seed and number, rates by number."""

import random

import numpy as np
import pytest
import torch

from pipeline.models.transformer.memory_limits import LearnedLimits
from tests.models.transformer.toys import Toy, Training, assert_near, step_of, steps_of


def gradient_of(*groups):
    (found,) = Training(max_gradient_norm=0.0).take([step_of(0, *groups)]).gradients
    return torch.cat([part.flatten() for part in found])


def test_micro_groups_together_have_the_gradient_of_the_whole_batch():
    whole = gradient_of(range(12))
    assert_near(gradient_of([0], range(1, 5), range(5, 12)), whole)
    assert not torch.allclose(gradient_of(range(11)), whole)


def test_the_loss_of_a_step_is_the_mean_over_its_rows():
    losses = [Training().take([step]).losses[0] for step in steps_of(1, 12, groups=3)]
    whole = Training().take([step_of(0, range(12))]).losses
    assert losses == pytest.approx(whole, rel=1e-6)


def test_gradients_are_cut_to_the_recipes_norm_over_the_whole_step():
    plain = Training(max_gradient_norm=0.0).take(steps_of(1, groups=3)).gradients[0]
    cut = Training(max_gradient_norm=0.01).take(steps_of(1, groups=3)).gradients[0]
    norm = torch.linalg.vector_norm(torch.cat([part.flatten() for part in plain]))
    assert norm > 0.01
    for ours, theirs in zip(cut, plain, strict=True):
        torch.testing.assert_close(ours, theirs * (0.01 / norm), rtol=1e-3, atol=1e-9)


def test_the_rate_is_a_function_of_the_step_alone():
    settings = {"steps": 5, "warmup_fraction": 0.2, "learning_rate": 0.03}
    steps = steps_of(5, groups=2)
    rates = Training(**settings).take(steps).rates
    assert rates == pytest.approx([0.015, 0.03, 0.0225, 0.015, 0.0075])
    assert Training(**settings).take(steps[3:]).rates == rates[3:]
    halved = Training(**settings, rate_scale=0.5).take(steps).rates
    assert halved == pytest.approx([rate / 2 for rate in rates])


def disturb(step):
    """Whatever else draws from the global generators between two steps."""
    torch.manual_seed(17 * step + 5)
    torch.rand(step + 1)
    random.seed(step)
    np.random.seed(step)  # noqa: NPY002


def test_every_draw_is_a_function_of_seed_step_and_micro_batch():
    steps = steps_of(4, groups=2)
    plain = Training(Toy(dropout=0.5), seed=1).take(steps)
    shaken = Training(Toy(dropout=0.5), seed=1).take(steps, before=disturb)
    assert shaken.losses == plain.losses
    assert torch.equal(shaken.weights(), plain.weights())
    assert Training(Toy(dropout=0.5), seed=2).take(steps).losses[0] != plain.losses[0]


def test_steps_and_micro_batches_draw_differently():
    still = {"seed": 1, "learning_rate": 1e-12}
    rows = list(range(6))
    losses = Training(Toy(dropout=0.5), **still).take([step_of(n, rows) for n in range(4)]).losses
    assert len(set(losses)) == 4
    groups = step_of(0, rows, rows)["groups"]
    drawn = Training(Toy(dropout=0.5), **still)
    seen = []
    drawn.network.register_forward_hook(lambda module, args, output: seen.append(output.detach()))
    drawn.take([{"step": 0, "groups": groups}])
    assert not torch.equal(*seen)


def test_a_step_taken_later_in_another_process_draws_the_same():
    steps = steps_of(4, groups=2)
    whole = Training(Toy(dropout=0.5)).take(steps)
    first = Training(Toy(dropout=0.5)).take(steps[:2])
    later = Training(Toy(dropout=0.5))
    later.network.load_state_dict(first.network.state_dict())
    later.optimizer.load_state_dict(first.optimizer.state_dict())
    later.stepper.restore(first.stepper.state())
    assert later.stepper.done == 2
    later.take(steps[2:], before=disturb)
    assert torch.equal(later.weights(), whole.weights())
    assert later.stepper.done == 4


def test_what_a_state_holds_is_taken_up():
    before = Training(rate_scale=0.5, learnt=LearnedLimits(micro_rows=3)).take(steps_of(2))
    state = before.stepper.state()
    after = Training().stepper
    after.restore(state)
    assert (after.done, after.rate_scale, after.limits.learnt) == (
        2,
        0.5,
        LearnedLimits(micro_rows=3),
    )
    slower = Training(rate_scale=0.25).stepper
    slower.restore(state)
    assert slower.rate_scale == 0.25
