import numpy as np
import pytest
import torch
from torch import nn

from pipeline.models.kernels import attention
from pipeline.models.kernels.cpu_kernels import Dropout, drop, factors, use_cheap_dropout
from pipeline.models.kernels.packing import pack, packed_attention


def kept(count, chance):
    """(count,): 0 where a value is dropped, else what it is multiplied with."""
    return factors([(count,)], chance)[0]


@pytest.mark.parametrize("chance", [0.1, 0.5, 0.9, 1e-4])
def test_the_share_that_is_dropped_is_the_one_asked_for(chance):
    torch.manual_seed(1)
    count = 2_000_001  # no multiple of four
    dropped = (kept(count, chance) == 0).double().mean().item()
    assert dropped == pytest.approx(chance, abs=4 * np.sqrt(chance * (1 - chance) / count) + 8e-6)


def test_no_place_is_dropped_more_often_than_another():
    torch.manual_seed(1)
    draws = (kept(400_000, 0.3) > 0).view(-1, 4).double()  # a number decides on four
    shares = draws.mean(dim=0)
    torch.testing.assert_close(shares, torch.full((4,), 0.7).double(), atol=8e-3, rtol=0)
    assert np.abs(np.corrcoef(draws.T.numpy()) - np.eye(4)).max() < 0.02


def test_what_is_kept_is_scaled_and_its_gradient_goes_the_same_way():
    torch.manual_seed(1)
    values = torch.randn(50, 8, requires_grad=True)
    found = drop(values, 0.25)
    found.sum().backward()
    mask = found != 0
    assert 0.5 < mask.double().mean() < 0.9
    torch.testing.assert_close(found, torch.where(mask, values / 0.75, 0.0))
    torch.testing.assert_close(values.grad, mask / 0.75)


def test_the_same_seed_gives_the_same_draws_and_the_next_call_others():
    def draws():
        torch.manual_seed(7)
        return [Dropout(0.5).train()(torch.ones(100)) for _ in range(2)]

    (first, second), again = draws(), draws()
    assert (first == again[0]).all()
    assert (first != second).any()


@pytest.mark.parametrize(("chance", "training"), [(0.5, False), (0.0, True)])
def test_nothing_is_dropped_in_evaluation_or_where_nothing_is_asked(chance, training):
    values = torch.randn(100)
    torch.testing.assert_close(Dropout(chance).train(training)(values), values)
    assert (Dropout(1.0).train()(values) == 0).all()


def test_every_plain_dropout_is_exchanged_and_no_other_module():
    class Own(nn.Dropout):
        pass

    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout(0.3)), Own(0.2)).eval()
    names = list(model.state_dict())
    assert use_cheap_dropout(model) == 1
    assert type(model[1][0]) is Dropout
    assert (model[1][0].p, model[1][0].training) == (0.3, False)
    assert type(model[2]) is Own
    assert list(model.state_dict()) == names
    assert use_cheap_dropout(model) == 0


def test_packed_attention_with_dropout_is_the_mean_of_what_is_kept(monkeypatch):
    """With every chance kept it is attention without dropout; over many draws its mean is."""
    torch.manual_seed(3)
    lengths = np.array([4, 7, 4])
    packed = pack(lengths, 7, torch.device("cpu"))
    q, k, v = (torch.randn(1, 2, 15, 8) for _ in range(3))
    plain = packed_attention(nn.Identity(), q, k, v, None, packed=packed)[0]
    monkeypatch.setattr(attention, "factors", lambda shapes, chance: map(torch.ones, shapes))
    whole = packed_attention(nn.Identity(), q, k, v, None, packed=packed, dropout=0.2)[0]
    torch.testing.assert_close(whole, plain)
    monkeypatch.undo()
    many = [
        packed_attention(nn.Identity(), q, k, v, None, packed=packed, dropout=0.2)[0]
        for _ in range(3000)
    ]
    torch.testing.assert_close(torch.stack(many).mean(dim=0), plain, atol=0.06, rtol=0)
