"""On a GPU no tensor of the CPU gets into a step, and nothing in it waits for the device.

The GPU is pretended (`tests.models.pretending`); what only a real one can show is test_gpu.py's.
"""

from contextlib import nullcontext
from dataclasses import replace
from itertools import product
from unittest import mock

import pytest
import torch

from pipeline.base.errors import ResourceError
from pipeline.models.kernels import packing
from pipeline.models.kernels.backbone_facts import Pristine
from pipeline.models.kernels.packing import packable
from pipeline.models.transformer.optimiser import only_used
from tests.fitting import CPU
from tests.models.kernels import graphing
from tests.models.kernels.graphing import WORDS, Graphed, on, step_of
from tests.models.kernels.test_packing import load
from tests.models.transformer.learners import backbone as save_backbone
from tests.models.transformer.learners import factory_for
from tests.models.transformer.pretending import (
    MixedDevicesError,
    Pretended,
    attend,
    held,
    move,
    pretended_gpu,
)
from tests.nightly import often

STEPS, GROUPS = 6, (5, 4)
"""More steps than a number may be behind before it is looked at."""


def trained(backbone, device, inputs, used):
    """A training's losses and weights, and the outputs for its first group then; on the CPU."""
    steps = [step_of(number, *GROUPS, inputs=inputs) for number in range(STEPS)]
    batches = [step | {"groups": on(step["groups"], device)} for step in steps]
    with only_used(backbone, torch.arange(WORDS)) if used else nullcontext():
        training = Graphed(backbone, None, device, inputs=inputs, head_dropout=0.0)
        yield
        training.take(*batches)
        yield
    first = batches[0]["groups"][0]
    with torch.no_grad():
        outputs = training.network.eval()(first["inputs"], first["lengths"])
    yield [torch.stack([held(loss) for loss in training.losses]), held(outputs)]


def on_cpu(backbone, inputs, used):
    pristine = Pristine(backbone)
    *_, found = trained(backbone, "cpu", inputs, used)
    pristine.restore()
    return found


@pytest.mark.parametrize(
    ("packed", "inputs", "used"),
    often(
        product([False, True], [1, 2], [False, True]),
        lambda case: case in [(True, 2, True), (False, 1, False)],
    ),
)
def test_steps_on_a_gpu_are_those_on_the_cpu_and_wait_for_nothing(tmp_path, packed, inputs, used):
    backbone = load(tmp_path, "roberta")
    if not packed:
        graphing.KNOWN[backbone] = None
    expected = on_cpu(backbone, inputs, used)
    with pretended_gpu() as waited:
        run = trained(move(backbone), "cuda", inputs, used)
        next(run)
        waited.clear()
        next(run)
        # transformers itself looks whether a padded group's mask holds padding
        looks = 0 if packed else STEPS * len(GROUPS) * inputs
        assert waited == ["aten._local_scalar_dense.default"] * looks
        found = next(run)
    assert all(isinstance(weight, Pretended) for weight in backbone.parameters())
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_whether_a_backbone_can_be_packed_is_tried_on_the_gpu(tmp_path):
    hardware = replace(CPU, accelerator="cuda")
    with pretended_gpu():
        factory = factory_for(save_backbone(tmp_path), hardware=hardware)
        weights = factory.shared.pristine.backbone.parameters()
        assert not any(isinstance(weight, Pretended) for weight in weights), "nobody trains yet"
        assert factory.make(0).shared.packing is not None
    weights = list(factory.shared.pristine.backbone.parameters())
    assert all(isinstance(weight, Pretended) for weight in weights), "it stays there"
    assert all(weight.grad is None for weight in weights)


class NoWayBack(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values):
        return values.clone()

    @staticmethod
    def backward(ctx, *gradients):
        raise RuntimeError("no kernel found for the backward pass")


def test_a_gpu_whose_attention_has_no_way_back_runs_texts_padded(tmp_path):
    backbone = load(tmp_path, "roberta")
    before = backbone.config._attn_implementation
    broken = lambda query, *more: NoWayBack.apply(attend(query, *more))  # noqa: E731
    with pretended_gpu(), mock.patch.object(packing, "_jagged", broken):
        move(backbone)
        assert packable(backbone) is not None
        backbone.set_attn_implementation(before)
        assert packable(backbone, nullcontext()) is None
    assert backbone.config._attn_implementation == before
    assert backbone.training


def test_a_gpu_too_small_for_the_backbone_is_told(tmp_path):
    def full(module, device):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    with pretended_gpu():
        factory = factory_for(save_backbone(tmp_path), hardware=replace(CPU, accelerator="cuda"))
        told = pytest.raises(ResourceError, match="out of memory holding the backbone")
        with mock.patch.object(torch.nn.Module, "to", full), told:
            factory.make(0)
        assert factory.make(0).shared.packing is not None, "it is tried again"


def test_the_pretended_gpu_tells_mixed_tensors_and_waiting():
    with pretended_gpu() as waited:
        there = torch.ones(3, device="cuda", requires_grad=True)
        with pytest.raises(MixedDevicesError, match=r"aten\.add"):
            there + torch.ones(3)
        loss = (there * 2.0).sum() + torch.tensor(1.0)  # a number may come from the CPU
        loss.backward()
        assert there.grad.is_cuda
        assert there.grad.device == torch.device("cuda", 0)
        assert waited == []
        assert float(loss.detach()) == 7.0
        assert there.detach().cpu().tolist() == [1.0] * 3
        assert len(waited) == 2
