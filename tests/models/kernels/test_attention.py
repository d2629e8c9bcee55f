"""Attention in padded blocks, and its written-out gradient, against each text taken by itself."""

import numpy as np
import pytest
import torch

from pipeline.models.kernels import attention as file
from pipeline.models.kernels.attention import attention, squares
from pipeline.models.kernels.cpu_kernels import factors

LENGTHS = [(5,), (3, 3, 3), (9, 7, 4, 4, 1), (2, 11, 1, 30, 2, 8)]
HEADS, SIZE = 3, 8


def tensors(lengths, seed=0, dtype=torch.float32):
    draw = torch.Generator().manual_seed(seed)
    shape = (sum(lengths), HEADS, SIZE)
    return [torch.randn(shape, generator=draw).to(dtype).requires_grad_() for _ in range(3)]


def one_by_one(query, key, value, lengths, scale=SIZE**-0.5, kept=None):
    """(N, h, d): the definition, text by text; *kept* holds (h, T, T) factors of each."""
    outputs = []
    texts = zip(*(x.split(lengths) for x in (query, key, value)), strict=True)
    for number, parts in enumerate(texts):
        q, k, v = (part.transpose(0, 1) for part in parts)
        chances = torch.softmax(scale * q @ k.transpose(1, 2), dim=-1)
        if kept is not None:
            chances = chances * kept[number]
        outputs.append((chances @ v).transpose(0, 1))
    return torch.cat(outputs)


def with_gradients(function, inputs):
    output = function(*inputs)
    upstream = torch.randn(output.shape, generator=torch.Generator().manual_seed(1))
    return output, *torch.autograd.grad(output, inputs, upstream.to(output.dtype))


@pytest.mark.parametrize("worth", [0, 300, 10**9])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_each_text_attends_to_itself_alone_whatever_shares_its_block(monkeypatch, lengths, worth):
    monkeypatch.setattr(file, "WORTH", worth)
    squares.cache_clear()
    inputs = tensors(lengths)
    found = with_gradients(lambda q, k, v: attention(q, k, v, lengths, 0.0, None), inputs)
    with torch.inference_mode():
        assert torch.equal(attention(*inputs, lengths, 0.0, None), found[0])
    squares.cache_clear()
    expected = with_gradients(lambda q, k, v: one_by_one(q, k, v, lengths), inputs)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, atol=2e-6, rtol=1e-5)


def test_what_fills_the_row_up_is_not_read_and_gives_nothing():
    lengths = (9, 4, 4)
    inputs = tensors(lengths)
    longer = [torch.cat([x, torch.full((3, HEADS, SIZE), torch.nan)]) for x in inputs]
    leaves = [x.detach().requires_grad_() for x in longer]
    attend = lambda q, k, v: attention(q, k, v, lengths, 0.0, None)  # noqa: E731
    output = attend(*leaves)
    upstream = torch.randn(output.shape, generator=torch.Generator().manual_seed(1))
    gradients = torch.autograd.grad(output, leaves, upstream)
    plain = attend(*inputs)
    expected = torch.autograd.grad(plain, inputs, upstream[: sum(lengths)])
    for mine, theirs in zip((output, *gradients), (plain, *expected), strict=True):
        assert torch.equal(mine[:-3], theirs)
        assert not mine[-3:].any()


def test_the_scale_is_the_one_given():
    inputs, lengths = tensors((4, 2)), (4, 2)
    found = with_gradients(lambda q, k, v: attention(q, k, v, lengths, 0.0, 0.7), inputs)
    expected = with_gradients(lambda q, k, v: one_by_one(q, k, v, lengths, 0.7), inputs)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, atol=2e-6, rtol=1e-5)


def test_with_dropout_the_gradient_is_that_of_the_chances_that_were_kept(monkeypatch):
    lengths, drawn = (9, 4, 4), []

    def recorded(shapes, chance):
        drawn[:] = factors(shapes, chance)
        return drawn

    monkeypatch.setattr(file, "factors", recorded)
    inputs = tensors(lengths)
    found = with_gradients(lambda q, k, v: attention(q, k, v, lengths, 0.4, None), inputs)
    assert len(drawn) == 1, "all three share a block"
    kept = drawn[0].view(3, HEADS, 9, 9)
    masks = [kept[text, :, :length, :length] for text, length in enumerate(lengths)]
    assert 0.5 < (kept > 0).float().mean() < 0.7
    expected = with_gradients(lambda q, k, v: one_by_one(q, k, v, lengths, kept=masks), inputs)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, atol=2e-6, rtol=1e-5)


def test_what_another_text_holds_does_not_reach_this_one():
    """Padding is filled with another text's numbers: they must leave no trace, however large."""
    lengths = (6, 3)
    inputs = tensors(lengths)
    with torch.no_grad():
        loud = [torch.cat([x[:6] * 1e6, x[6:]]) for x in inputs]
        calm = attention(*inputs, lengths, 0.0, None)
        assert torch.equal(attention(*loud, lengths, 0.0, None)[6:], calm[6:])


def test_in_another_precision_the_chances_are_still_float32():
    lengths = (9, 7, 4)
    inputs = tensors(lengths, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        found = with_gradients(lambda q, k, v: attention(q, k, v, lengths, 0.0, None), inputs)
    exact = [each.detach().float().requires_grad_() for each in inputs]
    expected = with_gradients(lambda q, k, v: one_by_one(q, k, v, lengths), exact)
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.dtype == torch.bfloat16
        torch.testing.assert_close(mine.float(), theirs, atol=4e-2, rtol=2e-2)


def test_blocks_hold_every_token_once_and_padding_is_bounded():
    lengths = tuple(int(n) for n in np.random.default_rng(0).integers(1, 200, 64))
    plan = squares(lengths, 12)
    rows = plan.rows.tolist()
    assert len(set(rows)) == len(rows) == 12 * sum(lengths)
    assert plan.sources[plan.rows].tolist() == list(range(len(rows)))
    assert plan.real.sum() == len(rows)
    assert sum(block.texts for block in plan.blocks) == len(lengths)
    squared = 12 * sum(length**2 for length in lengths)
    padded = 12 * sum(block.texts * block.tokens**2 for block in plan.blocks)
    assert padded - squared <= file.WORTH * len(plan.blocks)
    assert len(plan.blocks) < len(set(lengths))
