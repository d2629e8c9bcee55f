"""What only a GPU can show: `pytest -m gpu`. Everywhere else these tests are skipped.

Dropout on, unless it is said otherwise; tolerances are those of the precision.
"""

import gc

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel

from pipeline.models.kernels.backbone_facts import Pristine
from pipeline.models.kernels.cuda_graph import CudaCapture, Rerun
from pipeline.models.transformer.device import detect
from tests.fitting import Listener
from tests.models.kernels.graphing import Graphed, graphs_for, on, packing_of, step_of
from tests.models.transformer.learners import backbone as save_backbone
from tests.models.transformer.learners import factory_for, fitted, pairs

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU with CUDA"),
    pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors"),
]
PRECISIONS = {"32-true": 1e-4, "bf16-mixed": 3e-2}
"""With the most that a number of size 1 may be off."""


def backbone(dropout=0.1):
    """Heads of 64 numbers, as real ones are."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 128, "num_attention_heads": 2, "intermediate_size": 256}
    config = AutoConfig.for_model(
        "roberta", vocab_size=60, num_hidden_layers=3, pad_token_id=1, type_vocab_size=1,
        max_position_embeddings=130, hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout, **sizes,
    )  # fmt: skip
    return AutoModel.from_config(config, add_pooling_layer=False).train()


def assert_near(first, second, precision, size=1.0):
    most = PRECISIONS[precision] * size
    torch.testing.assert_close(first.float(), second.float(), atol=most, rtol=0)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_packed_attention_gives_what_padded_attention_gives(precision):
    group = on(step_of(0, 16), "cuda")["groups"][0]
    found = []
    for packed in (False, True):
        model = backbone(dropout=0.0)
        packing = packing_of(model) if packed else None
        model.cuda()
        encoded = group["inputs"][0]
        with torch.autocast("cuda", torch.bfloat16, enabled=precision != "32-true"):
            if packing is None:
                states = model(**encoded).last_hidden_state * encoded["attention_mask"][..., None]
            else:
                states = packing.states(model, encoded, group["lengths"][0])
        (states.float() * torch.linspace(-1, 1, 128, device="cuda")).mean().backward()
        gradient = torch.cat([each.grad.flatten() for each in model.parameters()])
        found.append((states.detach(), gradient))
    (padded, expected), (jagged, gradient) = found
    assert_near(jagged, padded, precision)
    assert_near(gradient, expected, precision, size=float(expected.abs().max()))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_replayed_steps_are_those_that_are_run_with_the_same_draws(precision):
    model = backbone()
    pristine, steps = Pristine(model), [step_of(number, 8) for number in range(6)]
    found = []
    for make in (Rerun, CudaCapture):
        pristine.restore()
        graphs = graphs_for(make)
        training = Graphed(model, graphs, "cuda", seed=3, precision=precision).take(*steps)
        assert training.watch.events == []
        assert graphs.counts["replayed"] == len(steps)
        found.append((torch.stack(training.losses), training.gradients[0]))
        graphs.close()
    (losses, gradient), (replayed, captured) = found
    assert_near(captured, gradient, precision, size=float(gradient.abs().max()))
    assert_near(replayed, losses, precision, size=float(losses.max()))


def test_replays_draw_anew_at_every_step_and_the_same_for_the_same_step():
    model = backbone(dropout=0.5)
    pristine, graphs = Pristine(model), graphs_for(CudaCapture)
    group = step_of(0, 8)["groups"]
    losses = []
    for _ in range(2):
        pristine.restore()
        training = Graphed(model, graphs, "cuda", learning_rate=1e-30, weight_decay=0.0)
        training.take(*({"step": number, "groups": group} for number in range(4)))
        losses.append(torch.stack(training.losses).tolist())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert len({round(loss, 4) for loss in losses[0]}) > 1


def test_two_folds_use_the_same_graphs_and_predict_what_they_would_alone(tmp_path):
    hardware = detect()
    path, train, test = save_backbone(tmp_path), pairs(64), pairs(9, seed=1, labelled=False)
    changes = {"hardware": hardware, "cuda_graphs": True}
    alone = fitted(factory_for(path, **changes), train, tmp_path / "a", seed=2)
    expected = alone.predict(test, Listener())
    factory, watch = factory_for(path, **changes), Listener()
    fitted(factory, train, tmp_path / "b", seed=1, watch=watch)
    second = fitted(factory, train, tmp_path / "c", seed=2, watch=watch)
    assert [event for event in watch.events if "graphs" in event[0]] == []
    assert second.facts["graphs"]["captured"] == 0
    assert second.facts["graphs"]["replayed"] == 8
    assert next(second.module.parameters()).is_cuda, "it stayed where it was"
    predicted = second.predict(test, Listener())
    np.testing.assert_allclose(predicted, expected, atol=0.3)  # of 5; sums have no fixed order
    second.save(tmp_path / "saved")
    loaded = factory.load(tmp_path / "saved").predict(test, Listener())
    np.testing.assert_allclose(loaded, predicted, atol=1e-2)


@pytest.mark.parametrize("make", [None, CudaCapture])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_no_step_waits_for_the_device(make, precision):
    graphs = None if make is None else graphs_for(make)
    training = Graphed(backbone(), graphs, "cuda", precision=precision)
    steps = [on(step_of(number, 8), "cuda") for number in range(12)]
    training.take(*steps[:6])  # captures, and libraries set themselves up
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        training.take(*steps[6:])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert graphs is None or graphs.counts["without"] == 0


def test_memory_does_not_grow_from_fold_to_fold():
    model, graphs = backbone(), graphs_for(CudaCapture)
    pristine, taken = Pristine(model), []
    for fold in range(3):
        pristine.restore()
        training = Graphed(model, graphs, "cuda", seed=fold)
        training.take(*(step_of(number, 8) for number in range(3)))
        training.optimizer.state.clear()
        del training
        gc.collect()
        torch.cuda.synchronize()
        taken.append(torch.cuda.memory_allocated())
    assert taken[2] <= taken[1]
