"""A training step asks a tensor for no value: on a GPU each such question waits for the device.

Shown on a CPU by refusing the questions. What Python asks is seen here, also in the backward pass
and the optimiser; what a kernel asks by itself is seen on a GPU only (test_gpu.py).
"""

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from pipeline.models.kernels.cuda_graph import Graphs
from tests.models.kernels.graphing import Graphed, graphs_for, step_of
from tests.models.kernels.test_packing import load

QUESTIONS = {
    Tensor.item, Tensor.tolist, Tensor.numpy, Tensor.cpu, Tensor.nonzero, Tensor.is_nonzero,
    Tensor.__bool__, Tensor.__float__, Tensor.__int__, Tensor.__index__, Tensor.__contains__,
    Tensor.masked_select, Tensor.equal, Tensor.unique, Tensor.__repr__,
    torch.nonzero, torch.masked_select, torch.equal, torch.unique, torch.allclose,
}  # fmt: skip


class Asked(AssertionError):
    pass


class Unasked(TorchFunctionMode):
    """Inside, no tensor may be asked for what it holds."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        chosen = func is torch.where and len(args) == 1
        picked = func in (Tensor.__getitem__, Tensor.__setitem__) and any(
            isinstance(each, Tensor) and each.dtype == torch.bool
            for each in (args[1] if isinstance(args[1], tuple) else (args[1],))
        )
        if picked or chosen or func in QUESTIONS:
            raise Asked(func)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "ask",
    [
        lambda x: x.sum().item(),
        lambda x: float(x.sum()),
        lambda x: bool(x.sum() > 0),
        lambda x: [1, 2][x.sum().long()],
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: x.tolist(),
        lambda x: x.cpu(),
        lambda x: torch.where(x > 0),
        lambda x: 1.0 in x,
    ],
)
def test_a_question_would_be_noticed(ask):
    with Unasked(), pytest.raises(Asked):
        ask(torch.ones(3))


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("graphed", [False, True])
@pytest.mark.parametrize("kind", ["bert", "roberta", "electra"])
def test_no_step_asks_a_tensor_for_its_value(tmp_path, kind, graphed, precision):
    graphs: Graphs | None = graphs_for() if graphed else None
    training = Graphed(load(tmp_path, kind, dropout=0.1), graphs, precision=precision)
    training.stepper.finite.add = lambda step, value: None  # on a GPU it looks some steps later
    steps = [step_of(number, 8) for number in range(3)]
    with Unasked():
        training.take(*steps, step_of(3, 5))
    assert len(training.losses) == 4
