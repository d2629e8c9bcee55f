"""A micro-batch in fixed buffers gives what it gives as it is; the dummy text leaves no trace."""

import numpy as np
import pytest
import torch

from pipeline.models.kernels.cuda_graph import BUCKET, Shape, StaticBuffers
from tests.models.kernels.test_packing import batch, load, network

WIDTH = 40


def micro_batch(backbone, seed=0, rows=9, inputs=1, longest=20):
    """Rows of unlike lengths as collate makes them, each input padded to its own longest text."""
    made = [batch(backbone, rows, longest, seed=10 * seed + each) for each in range(inputs)]
    return {
        "inputs": [encoded for encoded, _ in made],
        "lengths": np.stack([lengths for _, lengths in made]),
        "rows": torch.arange(rows),
        "targets": torch.linspace(-1, 1, rows)[:, None],
        "weight": 0.25,
    }


def gradient(module, outputs, targets):
    module.zero_grad(set_to_none=True)
    (outputs - targets).square().mean().backward()
    return torch.cat([weight.grad.flatten() for weight in module.parameters()])


def assert_close(first, second):
    torch.testing.assert_close(first, second, atol=1e-6, rtol=0)


def assert_same_as_packed(module, given):
    """The fixed row's outputs and gradient are those of the packed batch."""
    expected = module(given["inputs"], given["lengths"])
    wanted = gradient(module, expected, given["targets"])
    fixed = StaticBuffers(given, WIDTH)
    fixed.load(given)
    found = fixed.outputs(module)
    assert_close(found, expected)
    assert_close(gradient(module, found, fixed.targets), wanted)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("kind", ["bert", "roberta", "electra"])
def test_outputs_and_gradient_are_those_of_the_packed_batch(tmp_path, kind, pooling):
    module = network(load(tmp_path, kind), True, pooling)
    assert_same_as_packed(module, micro_batch(module.backbone))


def test_the_inputs_of_a_pair_make_one_row_together(tmp_path):
    module = network(load(tmp_path), True, inputs=2)
    given = micro_batch(module.backbone, inputs=2)
    assert given["inputs"][0]["input_ids"].shape != given["inputs"][1]["input_ids"].shape
    assert_same_as_packed(module, given)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_the_attention_of_a_gpu_may_be_told_a_longer_text_than_there_is(tmp_path, monkeypatch):
    from pipeline.models.kernels import packing

    module = network(load(tmp_path), True)
    given = micro_batch(module.backbone)
    expected = module(given["inputs"], given["lengths"])
    monkeypatch.setattr(packing, "_in_squares", packing._jagged)
    fixed = StaticBuffers(given, WIDTH)
    fixed.load(given)
    assert fixed.packed.longest == BUCKET
    assert_close(fixed.outputs(module), expected)


def test_the_buffers_serve_every_batch_of_their_shape_and_stay_where_they_are(tmp_path):
    module = network(load(tmp_path), True)
    batches = [micro_batch(module.backbone, seed) for seed in range(5)]
    assert len({int(each["lengths"].sum()) for each in batches}) > 1
    fixed = StaticBuffers(batches[0], WIDTH)
    tensors = [fixed.numbers, *fixed.flat.values(), fixed.targets, fixed.weight]
    before = [each.data_ptr() for each in tensors]
    for each in [*batches, batches[0]]:
        assert Shape.of(each) == fixed.shape
        fixed.load(each)
        assert_close(fixed.outputs(module), module(each["inputs"], each["lengths"]))
        assert torch.equal(fixed.targets, each["targets"])
        assert fixed.weight == each["weight"]
    assert [each.data_ptr() for each in tensors] == before


@pytest.mark.parametrize("tokens", [1, BUCKET - 1, BUCKET, BUCKET + 1, 3 * BUCKET])
def test_a_filled_row_has_room_for_all_tokens_and_at_least_one_of_the_dummy(tokens):
    shape = Shape.of({"lengths": np.array([[tokens]])})
    assert shape.tokens % BUCKET == 0
    assert 1 <= shape.tokens - tokens <= BUCKET


def test_every_filled_token_has_a_place_of_its_own(tmp_path):
    given = micro_batch(load(tmp_path))
    fixed = StaticBuffers(given, WIDTH)
    fixed.load(given)
    places = fixed.packed.places.tolist()
    real = int(given["lengths"].sum())
    assert len(set(places)) == fixed.shape.tokens
    assert max(places[:real]) < fixed.texts * WIDTH <= min(places[real:])
    assert fixed.packed.offsets.tolist()[-2:] == [real, fixed.shape.tokens]
    assert sum(fixed.packed.lengths) == fixed.shape.tokens


def test_what_the_dummy_text_holds_does_not_matter(tmp_path):
    module = network(load(tmp_path), True)
    given = micro_batch(module.backbone)
    fixed = StaticBuffers(given, WIDTH)
    fixed.load(given)
    outputs = fixed.outputs(module)
    expected = gradient(module, outputs, fixed.targets)
    fixed.flat["input_ids"][int(given["lengths"].sum()) :] = 7
    again = fixed.outputs(module)
    assert torch.equal(again, outputs)
    assert_close(gradient(module, again, fixed.targets), expected)
