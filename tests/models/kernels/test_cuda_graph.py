"""What graphs replay is what would be run: in steps, over folds, and where they have to be left.

On a CPU a stand-in runs the recorded work anew on the same buffers. So everything is tested here
but CUDA's own part, which is tests/models/transformer/test_gpu.py.
"""

from dataclasses import replace

import pytest
import torch

from pipeline.models.kernels.backbone_facts import Pristine
from pipeline.models.kernels.cuda_graph import Graphs, Rerun, refusal
from pipeline.models.kernels.packing import Packing
from pipeline.models.transformer.heads import Head
from pipeline.models.transformer.memory_limits import LearnedLimits
from pipeline.models.transformer_settings import TransformerRecipe
from tests.fitting import CPU, Listener
from tests.models.kernels.graphing import Graphed, graphs_for, step_of
from tests.models.kernels.test_packing import load
from tests.models.transformer.learners import backbone as save_backbone
from tests.models.transformer.learners import factory_for, fitted, pairs


@pytest.fixture
def still(tmp_path):
    """A backbone without dropout, packed already."""
    return load(tmp_path, "roberta")


@pytest.fixture
def shaky(tmp_path):
    return load(tmp_path, "roberta", dropout=0.3)


def both(backbone, steps, **changes):
    """The same training without graphs and with them, from the same weights."""
    pristine = Pristine(backbone)
    plain = Graphed(backbone, head_dropout=0.0, **changes).take(*steps)
    weights = plain.weights()
    pristine.restore()
    graphs = graphs_for()
    graphed = Graphed(backbone, graphs, head_dropout=0.0, **changes).take(*steps)
    return plain, weights, graphed, graphs


def same(plain, weights, graphed):
    for ours, theirs in zip(graphed.gradients, plain.gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)
    torch.testing.assert_close(
        torch.stack(graphed.losses), torch.stack(plain.losses), atol=1e-6, rtol=0
    )
    # AdamW's first steps go by the sign of a gradient, so tiny ones may go either way
    torch.testing.assert_close(graphed.weights(), weights, atol=1e-4, rtol=0)


def test_replayed_steps_have_the_gradients_of_steps_that_are_run(still):
    steps = [step_of(number, 8) for number in range(4)]
    plain, weights, graphed, graphs = both(still, steps)
    same(plain, weights, graphed)
    assert graphs.counts["replayed"] == 4
    assert graphs.counts["without"] == 0


def test_the_gradients_of_micro_batches_add_up(still):
    steps = [step_of(number, 3, 3, 2) for number in range(3)]
    plain, weights, graphed, graphs = both(still, steps)
    same(plain, weights, graphed)
    assert graphs.counts["replayed"] == 9


def test_pairs_apart_are_replayed_too(still):
    steps = [step_of(number, 8, inputs=2) for number in range(2)]
    plain, weights, graphed, graphs = both(still, steps, inputs=2)
    same(plain, weights, graphed)
    assert graphs.counts["replayed"] == 2


def test_a_short_last_step_is_run(still):
    steps = [step_of(0, 8), step_of(1, 3), step_of(2, 8)]
    plain, weights, graphed, graphs = both(still, steps)
    same(plain, weights, graphed)
    assert (graphs.counts["replayed"], graphs.counts["without"]) == (2, 1)


def short(number):
    return step_of(number, 8, longest=6)


def long(number):
    return step_of(number, 8, shortest=20)


def test_a_shape_is_captured_once(still):
    steps = [short(0), long(1), short(2), long(3)]
    _, _, _, graphs = both(still, steps)
    assert graphs.counts == {"captured": 2, "replayed": 4, "without": 0}


def test_no_more_shapes_are_captured_than_are_kept(still, monkeypatch):
    monkeypatch.setattr("pipeline.models.kernels.cuda_graph.MOST", 1)
    steps = [short(0), long(1), short(2)]
    plain, weights, graphed, graphs = both(still, steps)
    same(plain, weights, graphed)
    assert graphs.counts == {"captured": 1, "replayed": 2, "without": 1}


def test_the_gradient_stays_in_its_buffers(still):
    graphs = graphs_for()
    training = Graphed(still, graphs).take(step_of(0, 8))
    before = [each.grad.data_ptr() for each in training.network.parameters()]
    training.optimizer.zero_grad(set_to_none=True)  # as Lightning does on its own
    training.take(step_of(1, 8))
    assert [each.grad.data_ptr() for each in training.network.parameters()] == before


def test_a_weight_that_no_loss_reaches_gets_no_gradient(still):
    still.aside = torch.nn.Linear(2, 2)
    training = Graphed(still, graphs_for()).take(step_of(0, 8), step_of(1, 8))
    assert training.network.backbone.aside.weight.grad is None


def test_capturing_draws_nothing_that_counts_and_draws_are_a_function_of_seed_and_step(shaky):
    steps = [step_of(number, 8) for number in range(3)]
    pristine = Pristine(shaky)
    first = Graphed(shaky, graphs_for(), seed=3).take(*steps)
    weights, losses = first.weights(), torch.stack(first.losses)
    pristine.restore()
    graphs = graphs_for()
    Graphed(shaky, graphs, seed=1).take(*steps)  # what is captured now is captured no more
    pristine.restore()
    torch.rand(17)
    again = Graphed(shaky, graphs, seed=3).take(*steps)
    assert graphs.counts["captured"] == 0
    assert torch.equal(torch.stack(again.losses), losses)
    assert torch.equal(again.weights(), weights)
    pristine.restore()
    other = Graphed(shaky, graphs, seed=4).take(*steps)
    assert not torch.equal(torch.stack(other.losses), losses)


def test_a_step_taken_later_in_another_process_is_the_same(shaky):
    steps = [step_of(number, 8) for number in range(4)]
    pristine = Pristine(shaky)
    whole = Graphed(shaky, graphs_for()).take(*steps)
    expected = whole.weights()
    pristine.restore()
    first = Graphed(shaky, graphs_for()).take(*steps[:2])
    later = Graphed(shaky, graphs_for())
    later.network.head.load_state_dict(first.network.head.state_dict())
    later.optimizer.load_state_dict(first.optimizer.state_dict())
    later.take(*steps[2:])
    assert torch.equal(later.weights(), expected)


def test_weights_that_have_moved_are_captured_anew(still):
    graphs = graphs_for()
    Graphed(still, graphs).take(step_of(0, 8))
    for weight in still.parameters():
        weight.data = weight.data.clone()
    training = Graphed(still, graphs).take(step_of(0, 8))
    assert graphs.counts["captured"] == 1
    assert all(each.grad is graphs.gradients[each] for each in training.network.parameters())


def test_one_head_gets_the_weights_of_every_new_one():
    graphs = graphs_for()
    first = graphs.head(Head(4, 1, 1, 0.1, seed=1))
    again = graphs.head(Head(4, 1, 1, 0.1, seed=2))
    assert again is first
    assert torch.equal(again.linear.weight, Head(4, 1, 1, 0.1, seed=2).linear.weight)
    assert graphs.head(Head(4, 1, 3, 0.1, seed=2)) is not first


class Refusing(Rerun):
    def record(self, work):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")


class Full(Rerun):
    def replay(self):
        raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.parametrize("make", [Refusing, Full])
def test_where_graphs_fail_the_step_is_taken_again_without_them(still, make):
    steps = [step_of(number, 8) for number in range(2)]
    pristine = Pristine(still)
    plain = Graphed(still, head_dropout=0.0).take(*steps)
    weights = plain.weights()
    pristine.restore()
    graphs = graphs_for(make)
    training = Graphed(still, graphs, head_dropout=0.0).take(*steps)
    assert torch.equal(training.weights(), weights), "it is the plain training, bit for bit"
    assert training.watch.told("graphs left") == [{"step": 0}]
    assert training.stepper.limits.learnt == LearnedLimits(), "rows are not cut for it"
    assert graphs.closed
    assert not graphs.captured
    assert not graphs.gradients
    assert Graphed(still, graphs).take(step_of(0, 8)).watch.events == []


def test_what_was_cut_for_lack_of_memory_is_run(still):
    graphs = graphs_for()
    Graphed(still, graphs, learnt=LearnedLimits(micro_rows=4)).take(step_of(0, 8))
    assert graphs.counts == {"captured": 0, "replayed": 0, "without": 2}


def test_steps_with_a_scaled_loss_are_run(still):
    graphs = graphs_for()
    training = Graphed(still, graphs)
    training.stepper.arithmetic.scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    training.take(step_of(0, 8))
    assert graphs.counts["replayed"] == 0


GPU = replace(CPU, accelerator="cuda", precision="bf16-mixed", deterministic=False)
PACKED = Packing(0)


def recipe(**changes):
    return TransformerRecipe(name="x", backbone="org/x", cuda_graphs=True, **changes)


def test_a_gpu_that_packs_texts_has_graphs():
    assert refusal(recipe(), GPU, PACKED) is None


@pytest.mark.parametrize(
    ("hardware", "packing", "changes", "reason"),
    [
        (CPU, PACKED, {}, "this is cpu"),
        (GPU, None, {}, "not packed"),
        (GPU, PACKED, {"gradient_checkpointing": True}, "gradient_checkpointing"),
        (replace(GPU, deterministic=True), PACKED, {}, "the same bits"),
        (replace(GPU, precision="16-mixed"), PACKED, {}, "fp16"),
    ],
)
def test_elsewhere_it_is_said_why_not(hardware, packing, changes, reason):
    assert reason in refusal(recipe(**changes), hardware, packing)


def graphed_factory(folder, **changes):
    factory = factory_for(folder, **changes)
    factory.shared = replace(factory.shared, graphs=Graphs(Rerun, factory.shared.recipe.max_length))
    return factory


def test_a_fold_that_asks_for_graphs_in_vain_is_told_so(tmp_path):
    watch = Listener()
    factory = factory_for(save_backbone(tmp_path), cuda_graphs=True)
    learner = fitted(factory, pairs(16), tmp_path / "run", watch=watch)
    ((what, message, _),) = [event for event in watch.events if "graphs" in event[0]]
    assert (what, message.startswith("CUDA graphs are not used: ")) == ("no graphs", True)
    assert "graphs" not in learner.facts


def test_folds_of_a_factory_share_the_graphs_and_each_starts_anew(tmp_path):
    folder, train, test = save_backbone(tmp_path), pairs(40), pairs(9, seed=1, labelled=False)
    shared = graphed_factory(folder)
    alone = fitted(graphed_factory(folder), train, tmp_path / "a", seed=2)
    expected = alone.predict(test, Listener())
    assert alone.facts["graphs"]["captured"] > 0
    first = fitted(shared, train, tmp_path / "b", seed=1)
    weight = first.module.network.head.linear.weight
    second = fitted(shared, train, tmp_path / "c", seed=2)
    assert second.module.network.head.linear.weight is weight
    assert second.facts["graphs"] == {"captured": 0, "replayed": 5, "without": 0}
    assert (second.predict(test, Listener()) == expected).all()
    with pytest.raises(RuntimeError, match="weights are gone"):
        first.predict(test, Listener())


def test_what_was_trained_with_graphs_is_saved_and_loaded(tmp_path):
    folder, train, test = save_backbone(tmp_path), pairs(24), pairs(9, seed=1, labelled=False)
    factory = graphed_factory(folder)
    learner = fitted(factory, train, tmp_path / "run")
    expected = learner.predict(test, Listener())
    learner.save(tmp_path / "saved")
    factory.make(7)
    assert (factory.load(tmp_path / "saved").predict(test, Listener()) == expected).all()
    plain = factory_for(folder)
    assert (plain.load(tmp_path / "saved").predict(test, Listener()) == expected).all()
