"""Linear layers by oneDNN: the same numbers as torch's own."""

from itertools import product

import pytest
import torch
from torch import nn
from torch.nn import functional

from pipeline.models.kernels.cpu_kernels import (
    Linear,
    Product,
    has_operator,
    is_amd,
    lay_out,
    use_fast_products,
)

needs_operator = pytest.mark.skipif(not has_operator(), reason="this torch has no such operator")
SHAPES = [(7,), (1, 11), (3, 5), (1, 1)]


def assert_near(found, expected):
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=2e-5)


def layer_and_copy(bias=True, width=20):
    torch.manual_seed(2)
    own, torchs = nn.Linear(48, width, bias=bias), nn.Linear(48, width, bias=bias)
    torchs.load_state_dict(own.state_dict())
    assert use_fast_products(own) == 1
    return own, torchs


@needs_operator
@pytest.mark.parametrize(
    ("shape", "bias", "width"), list(product(SHAPES, [True, False], [20, 48, 96]))
)
def test_values_and_every_gradient_are_those_of_torchs_layer(shape, bias, width):
    layers = layer_and_copy(bias, width)
    given, weights = torch.randn(*shape, 48), torch.randn(*shape, width)
    found = []
    for layer in layers:
        rows = given.clone().requires_grad_()
        values = layer(rows)
        (values * weights).sum().backward()
        found.append([values, rows.grad, *(each.grad for each in layer.parameters())])
    assert [each.shape for each in found[0]] == [each.shape for each in found[1]]
    assert layers[0].weight.grad.is_contiguous()
    for ours, theirs in zip(*found, strict=True):
        assert_near(ours, theirs)


@needs_operator
@pytest.mark.parametrize("wanted", list(product([True, False], repeat=3)))
def test_no_gradient_is_computed_that_nobody_asks_for(wanted):
    torch.manual_seed(2)
    inputs = [torch.randn(6, 48), torch.randn(20, 48), torch.randn(20)]
    for each, asks in zip(inputs, wanted, strict=True):
        each.requires_grad_(asks)
    values = Product.apply(*inputs)
    assert values.requires_grad is any(wanted)
    if any(wanted):
        given = torch.randn(6, 20)
        asked = [each for each in inputs if each.requires_grad]
        expected = torch.autograd.grad(functional.linear(*inputs), asked, given)
        for ours, theirs in zip(torch.autograd.grad(values, asked, given), expected, strict=True):
            assert_near(ours, theirs)


@needs_operator
def test_rows_and_gradients_need_not_lie_in_order():
    own, torchs = layer_and_copy()
    given = torch.randn(48, 9).t()
    found = []
    for layer in (own, torchs):
        rows = given.detach().requires_grad_()
        layer(rows).t()[:5].cumsum(0).sum().backward()
        found.append([rows.grad, layer.weight.grad])
    for ours, theirs in zip(*found, strict=True):
        assert_near(ours, theirs)


def test_what_is_not_float32_goes_to_torch(monkeypatch):
    own, torchs = layer_and_copy()

    def never(*inputs):
        raise AssertionError("oneDNN was asked")

    monkeypatch.setattr(Product, "apply", never)
    rows = torch.randn(4, 48)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(own(rows), torchs(rows))
    assert own(torch.empty(0, 48)).shape == (0, 20)
    torch.testing.assert_close(own.double()(rows.double()), torchs.double()(rows.double()))
    with pytest.raises(AssertionError, match="asked"):
        own.float()(rows)


def test_layers_stay_who_they_are_and_those_of_other_kinds_are_left_alone():
    class Own(nn.Linear):
        pass

    model = nn.Sequential(nn.Linear(3, 3), nn.ModuleList([nn.Linear(3, 2)]), Own(2, 2))
    before = [(name, id(value)) for name, value in model.named_parameters()]
    layers = list(model.modules())
    assert use_fast_products(model) == 2
    assert [type(each) for each in (model[0], model[1][0], model[2])] == [Linear, Linear, Own]
    assert [(name, id(value)) for name, value in model.named_parameters()] == before
    assert all(old is new for old, new in zip(layers, model.modules(), strict=True))
    assert use_fast_products(model) == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor\t: 0\nvendor_id\t: AuthenticAMD\n", True),
        ("processor\t: 0\nvendor_id\t: GenuineIntel\n", False),
        ("processor\t: 0\nBogoMIPS\t: 50.00\n", False),
        (None, False),
    ],
)
def test_a_processor_of_amds_is_known_by_its_maker(tmp_path, text, expected):
    info = tmp_path / "cpuinfo"
    if text is not None:
        info.write_text(text, encoding="utf-8")
    assert is_amd(info) is expected


@needs_operator
@pytest.mark.parametrize("rows", [1, 30, 70])
def test_predictions_are_the_same_bits_with_weights_laid_out_and_without_a_record(rows):
    torch.manual_seed(0)
    module, given = nn.Sequential(nn.Linear(48, 80), nn.Linear(80, 24)), torch.randn(rows, 48)
    use_fast_products(module)
    recorded = module(given).detach()
    with torch.inference_mode():
        plain = module(given)
        lay_out(module)
        assert all(layer._packed is not None for layer in module)
        assert torch.equal(module(given), recorded)
        assert torch.equal(plain, recorded)
    with torch.no_grad():
        module[0].weight.add_(1.0)
    with torch.inference_mode():
        changed = module(given)
    assert torch.equal(changed, module(given).detach()), "weights that changed are laid out no more"
    assert not torch.equal(changed, recorded)
