"""The transformer learner on a toy task, with a backbone of a few thousand numbers."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pipeline.config import TaskConfig
from pipeline.data.table import Table
from pipeline.errors import ArtifactError, ResourceError, UsageError
from pipeline.models.finetune import out_of_memory_explained
from pipeline.models.hardware import Hardware
from pipeline.models.learner import Silent
from pipeline.models.settings import TransformerRecipe
from pipeline.models.transformer import TransformerFactory
from pipeline.training.trainer import make_trainer
from tests.tiny import tiny_backbone

WORDS = ["cat", "dog", "fish", "bird", "horse", "mouse"]
CPU = Hardware(accelerator="cpu", name="x", precision="32-true", threads=1, memory=1)
SCORES = TaskConfig(problem="regression", metric="pearson", label_range=(0.0, 5.0))
WATCH = Silent()


class Listener(Silent):
    """Remembers what it was told."""

    def __init__(self):
        self.phases, self.steps, self.rows, self.tokens, self.said = [], 0, 0, 0, []

    def phase(self, name, total):
        self.phases.append((name, total))

    def advance(self, steps=1, rows=0, tokens=0):
        self.steps += steps
        self.rows += rows
        self.tokens += tokens

    def say(self, message):
        self.said.append(message)


def pairs(n, seed=0, labelled=True, alike=True):
    """Pairs of texts; the label is 5 where both name the same animal, else 0.

    With *alike* off, which a cross-encoder this small can learn: 5 where the second is a pet.
    """
    rng = np.random.default_rng(seed)
    texts, targets = [], []
    for _ in range(n):
        first, second = rng.choice(WORDS, size=2)
        second = first if rng.random() < 0.5 else second
        filler = ["the"] * int(rng.integers(0, 6))
        texts.append([" ".join([first, *filler]), second])
        targets.append([5.0 * (first == second if alike else second in ("cat", "dog", "fish"))])
    ids = np.array([f"r{row}" for row in range(n)], dtype=object)
    columns = np.array(texts, dtype=object)
    return Table(ids=ids, texts=columns, targets=np.array(targets) if labelled else None)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("tiny")
    words = [*WORDS, "the"]
    return {
        kind: tiny_backbone(root / kind, words, hidden=32, kind=kind)
        for kind in ("bert", "roberta", "electra", "deberta-v2")
    }


def factory_for(folders, kind="bert", task=SCORES, outputs=1, **changes):
    settings = {
        "epochs": 1,
        "batch_size": 8,
        "length_groups": 2,
        "learning_rate": 3e-3,
        "max_length": 16,
        **changes,
    }
    recipe = TransformerRecipe(name="toy", backbone=str(folders[kind]), **settings)
    return TransformerFactory(recipe, task, outputs, CPU, make_trainer)


def state_hash(backbone):
    digest = hashlib.sha256()
    for name, value in sorted(backbone.state_dict().items()):
        digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()


def fitted(factory, table, folder, seed=1):
    learner = factory.make(seed)
    learner.fit(table, folder / "logs", WATCH)
    return learner


@pytest.mark.parametrize("pairing", ["cross", "siamese"])
def test_it_learns_a_toy_task_far_better_than_a_constant(folders, tmp_path, pairing):
    factory = factory_for(folders, epochs=8, batch_size=16, pairing=pairing)
    alike = pairing == "siamese"
    learner = fitted(factory, pairs(160, alike=alike), tmp_path)
    unseen = pairs(60, seed=1, alike=alike)
    error = np.square(learner.predict(unseen, WATCH) - unseen.targets).mean()
    assert error < 0.3 * unseen.targets.var()


def test_every_fold_starts_from_the_pristine_weights(folders, tmp_path):
    factory = factory_for(folders)
    backbone = factory.shared.pristine.backbone
    loaded = state_hash(backbone)
    factory.make(1)
    assert state_hash(backbone) == loaded
    fitted(factory, pairs(16), tmp_path)
    assert state_hash(backbone) != loaded
    factory.make(2)
    assert state_hash(backbone) == loaded


def test_a_learner_depends_on_its_seed_and_on_nothing_trained_before(folders, tmp_path):
    test = pairs(20, seed=2, labelled=False)
    first = fitted(factory_for(folders), pairs(40), tmp_path, seed=7).predict(test, WATCH)
    factory = factory_for(folders)
    fitted(factory, pairs(40, seed=9), tmp_path, seed=3)
    torch.manual_seed(123)
    second = fitted(factory, pairs(40), tmp_path, seed=7).predict(test, WATCH)
    assert first.tobytes() == second.tobytes()
    other = fitted(factory, pairs(40), tmp_path, seed=8).predict(test, WATCH)
    assert np.abs(other - first).max() > 1e-4


def test_a_learner_whose_weights_were_taken_refuses_to_predict(folders, tmp_path):
    factory = factory_for(folders)
    first = fitted(factory, pairs(16), tmp_path)
    first.predict(pairs(4), WATCH)
    factory.make(2)
    for ask in (lambda: first.predict(pairs(4), WATCH), lambda: first.save(tmp_path)):
        with pytest.raises(RuntimeError, match="a newer learner of the same factory"):
            ask()


def test_all_distinct_inputs_are_tokenised_once_before_the_folds(folders):
    factory = factory_for(folders, max_length=6)
    texts = np.array([["cat", "dog"], ["cat", "dog"], ["the the the the", "dog"]], dtype=object)
    train = Table(ids=np.array(["1", "2", "3"], dtype=object), texts=texts)
    line = factory.prepare([train, train], WATCH)
    assert line == (
        "2 distinct inputs, 11 tokens, 6 on average, 6 at most; 1 (50.0%) truncated to 6"
    )


def test_a_learner_that_was_not_fitted_refuses_to_predict(folders):
    with pytest.raises(RuntimeError, match="not fitted"):
        factory_for(folders).make(1).predict(pairs(4), WATCH)


@pytest.mark.parametrize("pairing", ["cross", "siamese"])
def test_a_saved_learner_predicts_the_same_bytes(folders, tmp_path, pairing):
    test = pairs(20, seed=2, labelled=False)
    learner = fitted(factory_for(folders, pairing=pairing), pairs(40), tmp_path)
    before = learner.predict(test, WATCH)
    learner.save(tmp_path / "weights")
    elsewhere = factory_for(folders, pairing=pairing)
    fitted(elsewhere, pairs(40, seed=5), tmp_path)
    again = elsewhere.load(tmp_path / "weights")
    assert again.predict(test, WATCH).tobytes() == before.tobytes()
    assert again.facts == learner.facts


def test_saved_weights_that_changed_are_refused(folders, tmp_path):
    factory = factory_for(folders)
    fitted(factory, pairs(16), tmp_path).save(tmp_path)
    path = tmp_path / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"weights.safetensors has changed since.*Train the"):
        factory.load(tmp_path)


def test_saved_weights_of_another_model_are_refused(folders, tmp_path):
    fitted(factory_for(folders), pairs(16), tmp_path).save(tmp_path)
    with pytest.raises(ArtifactError, match="holds another model than toy"):
        factory_for(folders, kind="roberta").load(tmp_path)


def test_predictions_stand_in_the_tables_order(folders, tmp_path):
    learner = fitted(factory_for(folders, predict_batch_size=3), pairs(16), tmp_path)
    table = pairs(11, seed=3)
    forwards = learner.predict(table, WATCH)
    backwards = learner.predict(table.rows(np.arange(11)[::-1]), WATCH)
    np.testing.assert_allclose(forwards, backwards[::-1], atol=1e-5)
    assert len(np.unique(forwards)) > 3


@pytest.mark.parametrize("kind", ["roberta", "electra", "deberta-v2"])
def test_every_common_architecture_trains(folders, tmp_path, kind):
    learner = fitted(factory_for(folders, kind=kind, epochs=2), pairs(24), tmp_path)
    predicted = learner.predict(pairs(5, labelled=False), WATCH)
    assert predicted.shape == (5, 1)
    assert np.isfinite(predicted).all()


@pytest.mark.parametrize(
    ("task", "outputs", "targets"),
    [
        (TaskConfig(problem="binary", metric="auc", classes=["n", "y"]), 1, [[0.0], [1.0]]),
        (
            TaskConfig(problem="multiclass", metric="accuracy", classes=["a", "b", "c"]),
            3,
            [[0.0], [1.0], [2.0]],
        ),
        (TaskConfig(problem="multilabel", metric="auc"), 2, [[0.0, 1.0], [1.0, 1.0]]),
        (TaskConfig(problem="regression", metric="rmse"), 2, [[100.0, 1.0], [300.0, 2.0]]),
    ],
)
def test_every_problem_type_has_its_columns(folders, tmp_path, task, outputs, targets):
    base = pairs(24)
    values = np.array([targets[row % len(targets)] for row in range(24)])
    table = Table(ids=base.ids, texts=base.texts[:, :1], targets=values)
    learner = fitted(factory_for(folders, task=task, outputs=outputs), table, tmp_path)
    predicted = learner.predict(table, WATCH)
    assert predicted.shape == (24, outputs)
    assert predicted.dtype == np.float32
    if task.problem != "regression":
        assert ((predicted >= 0) & (predicted <= 1)).all()
    else:
        assert 50 < predicted[:, 0].mean() < 350
    if task.problem == "multiclass":
        np.testing.assert_allclose(predicted.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    "changes", [{"micro_batch_size": 1}, {"length_groups": 8}, {"gradient_checkpointing": True}]
)
def test_settings_that_save_memory_leave_the_result_alone(folders, tmp_path, changes):
    test = pairs(20, seed=2, labelled=False)
    tiny = tiny_backbone(tmp_path / "sure", [*WORDS, "the"], dropout=0.0)
    options = {"kind": "sure", "head_dropout": 0.0, "length_groups": 1, "learning_rate": 1e-3}
    plain = fitted(factory_for({"sure": tiny}, **options), pairs(20), tmp_path)
    expected = plain.predict(test, WATCH)
    lean = fitted(factory_for({"sure": tiny}, **{**options, **changes}), pairs(20), tmp_path)
    np.testing.assert_allclose(lean.predict(test, WATCH), expected, atol=2e-3)


def test_half_precision_is_of_the_forward_pass_only(folders, tmp_path):
    hardware = replace(CPU, precision="bf16-mixed")
    recipe = factory_for(folders, batch_size=4).shared.recipe
    factory = TransformerFactory(recipe, SCORES, 1, hardware, make_trainer)
    learner = fitted(factory, pairs(16), tmp_path)
    predicted = learner.predict(pairs(5), WATCH)
    assert predicted.dtype == np.float32
    learner.save(tmp_path)
    saved = load_file(tmp_path / "weights.safetensors")
    assert {value.dtype for value in saved.values()} == {torch.float32}
    exact = TransformerFactory(recipe, SCORES, 1, CPU, make_trainer).load(tmp_path)
    difference = np.abs(exact.predict(pairs(5), WATCH) - predicted).max()
    assert 0 < difference < 0.2


def test_the_facts_tell_what_was_done_and_go_into_json(folders, tmp_path):
    factory = factory_for(folders, epochs=2, max_length=6)
    watch = Listener()
    learner = factory.make(1)
    learner.fit(pairs(20), tmp_path / "logs", watch)
    facts = json.loads(json.dumps(learner.facts))
    assert facts["steps"] == 2 * 3
    assert facts["rows"] == 2 * 20
    assert facts["micro_groups"] == 2
    assert 0 < facts["truncated_inputs"] < 20
    assert facts["truncated_share"] == facts["truncated_inputs"] / 20
    assert 0.5 < facts["useful_token_share"] <= 1
    assert facts["train_loss"] > 0
    run = json.loads(json.dumps(factory.facts()))
    assert run["parameters"] * 4 == factory.disk_bytes()
    assert len(run["backbone_sha256"]) == 64
    assert run["precision"] == "32-true"
    assert watch.phases == [("train", 6)]
    assert (watch.steps, watch.rows, watch.tokens) == (6, 40, facts["tokens"])
    assert len(watch.said) == 1
    assert f"{facts['truncated_inputs']} of 20 training texts" in watch.said[0]


def test_predicting_tells_its_progress(folders, tmp_path):
    learner = fitted(factory_for(folders, predict_batch_size=4), pairs(16), tmp_path)
    watch = Listener()
    learner.predict(pairs(10), watch)
    assert watch.phases == [("predict", 3)]
    assert (watch.steps, watch.rows) == (3, 10)
    assert watch.tokens > 10 * 5


def test_training_logs_for_tensorboard_without_being_asked(folders, tmp_path):
    fitted(factory_for(folders), pairs(16), tmp_path)
    assert list((tmp_path / "logs").glob("events.out.tfevents.*"))


def test_saved_weights_take_about_the_bytes_that_were_announced(folders, tmp_path):
    factory = factory_for(folders)
    fitted(factory, pairs(16), tmp_path).save(tmp_path / "w")
    size = (tmp_path / "w" / "weights.safetensors").stat().st_size
    assert size == pytest.approx(factory.disk_bytes(), rel=0.15)


def test_a_loss_that_does_not_fit_is_refused_before_anything_is_loaded(folders):
    task = TaskConfig(problem="multiclass", metric="accuracy", classes=["a", "b", "c"])
    with pytest.raises(UsageError, match="loss mse does not fit a multiclass problem"):
        factory_for({"bert": "/nowhere"}, task=task, outputs=3, loss="mse")


def test_a_full_gpu_is_explained(folders):
    recipe = factory_for(folders, batch_size=32, length_groups=4).shared.recipe
    with (
        pytest.raises(ResourceError, match=r"micro_batch_size to 4 .*gradient_checkpointing"),
        out_of_memory_explained(recipe),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory")
