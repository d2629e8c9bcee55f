"""Pooling, a pair's features, the head."""

import pytest
import torch

from pipeline.models.transformer.network import Head, join, pool

STATES = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [9.0, 9.0]], [[5.0, 5.0], [7.0, 7.0], [9.0, 9.0]]])
MASK = torch.tensor([[1, 1, 0], [1, 1, 1]])


def test_the_mean_is_over_real_tokens_only():
    torch.testing.assert_close(pool(STATES, MASK, "mean"), torch.tensor([[2.0, 4.0], [7.0, 7.0]]))


def test_padding_changes_no_pooled_vector():
    padded = torch.cat([STATES, torch.full((2, 4, 2), 1e9)], dim=1)
    mask = torch.cat([MASK, torch.zeros(2, 4, dtype=MASK.dtype)], dim=1)
    for pooling in ("mean", "cls", "last"):
        assert torch.equal(pool(padded, mask, pooling), pool(STATES, MASK, pooling))


def test_last_is_the_last_real_token():
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]])
    states = torch.arange(12.0).view(2, 3, 2)
    torch.testing.assert_close(pool(states, mask, "last"), torch.tensor([[2.0, 3.0], [6.0, 7.0]]))


def test_cls_is_the_first_token():
    torch.testing.assert_close(pool(STATES, MASK, "cls"), torch.tensor([[1.0, 2.0], [5.0, 5.0]]))


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
