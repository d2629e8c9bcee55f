"""Pooling, a pair's features, the head."""

import pytest
import torch

from pipeline.models.registry import POOLINGS
from pipeline.models.transformer.heads import Head, join, pooling_named

STATES = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [9.0, 9.0]], [[5.0, 5.0], [7.0, 7.0], [9.0, 9.0]]])
MASK = torch.tensor([[1, 1, 0], [1, 1, 1]])


EMPTY = torch.full((2, 4, 2), 1e9)
"""States of padding."""


def pool(states, mask, name, layers=1):
    """The vectors that a fresh pooling makes of *layers* with the same states."""
    made = pooling_named(name, states.shape[2], layers, seed=3).eval()
    with torch.no_grad():
        return made([states] * layers, mask)


def test_the_mean_is_over_real_tokens_only():
    torch.testing.assert_close(pool(STATES, MASK, "mean"), torch.tensor([[2.0, 4.0], [7.0, 7.0]]))


@pytest.mark.parametrize("name", POOLINGS)
def test_padding_changes_no_pooled_vector(name):
    padded = torch.cat([STATES, EMPTY], dim=1)
    mask = torch.cat([MASK, torch.zeros(2, 4, dtype=MASK.dtype)], dim=1)
    expected = pool(STATES, MASK, name, 4)
    assert expected.shape == (2, pooling_named(name, 2, 4, seed=3).width)
    assert torch.equal(pool(padded, mask, name, 4), expected)


def test_last_is_the_last_real_token():
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]])
    states = torch.arange(12.0).view(2, 3, 2)
    torch.testing.assert_close(pool(states, mask, "last"), torch.tensor([[2.0, 3.0], [6.0, 7.0]]))


def test_cls_is_the_first_token():
    torch.testing.assert_close(pool(STATES, MASK, "cls"), torch.tensor([[1.0, 2.0], [5.0, 5.0]]))


def test_max_is_the_largest_of_the_real_tokens():
    torch.testing.assert_close(pool(STATES, MASK, "max"), torch.tensor([[3.0, 6.0], [9.0, 9.0]]))


def test_gem_is_the_mean_at_a_power_of_one_and_the_root_of_the_mean_cube_at_first():
    made = pooling_named("gem", 2, 1, seed=0)
    cubes = (STATES[0, :2] ** 3).mean(dim=0) ** (1 / 3)
    torch.testing.assert_close(made([STATES], MASK)[0], cubes)
    with torch.no_grad():
        made.power.fill_(1.0)
    torch.testing.assert_close(made([STATES], MASK), pool(STATES, MASK, "mean"))


def test_attention_is_a_mean_of_the_real_tokens_weighted_by_what_they_hold():
    made = pooling_named("attention", 2, 1, seed=0)
    with torch.no_grad():
        made.score.weight.zero_()
        torch.testing.assert_close(made([STATES], MASK), pool(STATES, MASK, "mean"))
        made.seen.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        made.seen.bias.fill_(-6.0)
        made.score.weight.fill_(100.0)  # of the second token, whose states are larger
        torch.testing.assert_close(made([STATES], MASK)[0], STATES[0, 1])


def test_the_layers_are_mixed_by_weights_that_start_alike_and_are_learned():
    made = pooling_named("layer-mix", 2, 2, seed=0)
    layers = [STATES, 3 * STATES]
    mean = pool(STATES, MASK, "mean")
    torch.testing.assert_close(made(layers, MASK), 2 * mean)
    made(layers, MASK).sum().backward()
    assert made.weights.grad[1] > 0 > made.weights.grad[0]
    assert made.factor.grad > 0


def test_the_last_four_layers_stand_side_by_side():
    made = pooling_named("last-4", 2, 4, seed=0)
    found = made([STATES * factor for factor in (1, 2, 3, 4)], MASK)
    mean = pool(STATES, MASK, "mean")
    torch.testing.assert_close(found, torch.cat([mean, 2 * mean, 3 * mean, 4 * mean], dim=1))


def test_the_lstm_reads_the_order_of_the_tokens():
    turned = STATES[:, [1, 0, 2]]
    assert not torch.equal(pool(STATES, MASK, "lstm"), pool(turned, MASK, "lstm"))


@pytest.mark.parametrize("name", POOLINGS)
def test_a_pooling_is_drawn_from_its_seed_and_from_nothing_else(name):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = pooling_named(name, 4, 4, seed=5).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    again = pooling_named(name, 4, 4, seed=5).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    if name in ("attention", "lstm"):
        other = pooling_named(name, 4, 4, seed=6).state_dict()
        assert not all(torch.equal(first[key], other[key]) for key in first)


def test_half_precision_states_are_averaged_in_float32():
    states = torch.full((1, 4096, 1), 0.1, dtype=torch.float16)
    mean = pool(states, torch.ones(1, 4096), "mean")
    assert mean.dtype == torch.float32
    assert mean.item() == pytest.approx(states[0, 0, 0].item(), rel=1e-6)


def test_a_pair_is_u_v_their_distance_and_their_product_at_a_common_length():
    u, v = torch.tensor([[3.0, -4.0]]), torch.tensor([[0.0, 0.5]])
    unit_u, unit_v = [0.6, -0.8], [0.0, 1.0]
    expected = 2**0.5 * torch.tensor([[*unit_u, *unit_v, 0.6, 1.8, 0.0, -0.8 * 2**0.5]])
    torch.testing.assert_close(join([u, v]), expected)


def test_a_single_text_is_its_own_vector():
    u = torch.tensor([[1.0, -2.0]])
    assert torch.equal(join([u]), u)


def test_an_empty_vector_has_finite_features():
    assert join([torch.zeros(1, 4), torch.ones(1, 4)]).isfinite().all()


def test_a_pairs_outputs_start_close_to_its_cosine():
    draw = torch.Generator().manual_seed(0)
    u, v = (torch.randn(50, 64, generator=draw) for _ in range(2))
    v = u * torch.linspace(-1, 1, 50).unsqueeze(1) + v
    outputs = Head(64, 2, 3, dropout=0.1, seed=5).eval()([u, v])
    cosine = torch.nn.functional.cosine_similarity(u, v).unsqueeze(1)
    assert (outputs - cosine).abs().max() < 0.02
    assert outputs[:, 0].ne(outputs[:, 1]).all()


def test_the_heads_start_depends_on_its_seed_and_on_nothing_else():
    torch.manual_seed(1)
    first = Head(8, 1, 3, dropout=0.1, seed=5)
    torch.manual_seed(2)
    again, other = Head(8, 1, 3, dropout=0.1, seed=5), Head(8, 1, 3, dropout=0.1, seed=6)
    assert torch.equal(first.linear.weight, again.linear.weight)
    assert not torch.equal(first.linear.weight, other.linear.weight)
    assert first.linear.bias.tolist() == [0.0, 0.0, 0.0]


def test_making_a_head_draws_nothing_from_the_global_generator():
    before = torch.get_rng_state()
    Head(8, 1, 3, dropout=0.1, seed=5)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_head_drops_features_in_training_only():
    head = Head(64, 1, 1, dropout=0.5, seed=0)
    vectors = [torch.ones(1, 64)]
    torch.manual_seed(0)
    assert head.train()(vectors) != head(vectors)
    assert head.eval()(vectors) == head(vectors)
