"""The transformer learner on a toy task, with a backbone of a few thousand numbers."""

import hashlib
import json
import weakref

import numpy as np
import pytest
import torch

from pipeline.base.config import TaskConfig
from pipeline.base.errors import UsageError
from pipeline.base.paths import Workspace
from pipeline.data.table import Table
from tests.fitting import Listener
from tests.models.transformer.learners import WATCH, backbone, factory_for, fitted, pairs
from tests.nightly import nightly


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("tiny")
    return {kind: backbone(root, kind) for kind in ("bert", "roberta", "electra", "deberta-v2")}


def state_hash(backbone):
    digest = hashlib.sha256()
    for name, value in sorted(backbone.state_dict().items()):
        digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("pairing", ["cross", nightly("siamese")])
def test_it_learns_a_toy_task_far_better_than_a_constant(folders, tmp_path, pairing):
    factory = factory_for(folders["bert"], epochs=8, batch_size=16, pairing=pairing)
    alike = pairing == "siamese"
    learner = fitted(factory, pairs(160, alike=alike), tmp_path)
    unseen = pairs(60, seed=1, alike=alike)
    error = np.square(learner.predict(unseen, WATCH) - unseen.targets).mean()
    assert error < 0.3 * unseen.targets.var()


def test_every_fold_starts_from_the_pristine_weights(folders, tmp_path):
    factory = factory_for(folders["bert"])
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
    first = fitted(factory_for(folders["bert"]), pairs(40), tmp_path, seed=7).predict(test, WATCH)
    factory = factory_for(folders["bert"])
    fitted(factory, pairs(40, seed=9), tmp_path, seed=3)
    torch.manual_seed(123)
    second = fitted(factory, pairs(40), tmp_path, seed=7).predict(test, WATCH)
    assert first.tobytes() == second.tobytes()
    other = fitted(factory, pairs(40), tmp_path, seed=8).predict(test, WATCH)
    assert np.abs(other - first).max() > 1e-4


def test_a_learner_whose_weights_were_taken_refuses_to_predict(folders, tmp_path):
    factory = factory_for(folders["bert"])
    first = fitted(factory, pairs(16), tmp_path)
    first.predict(pairs(4), WATCH)
    factory.make(2)
    for ask in (lambda: first.predict(pairs(4), WATCH), lambda: first.save(tmp_path)):
        with pytest.raises(RuntimeError, match="a newer learner of the same factory"):
            ask()


def test_all_distinct_inputs_are_tokenised_once_before_the_folds(folders):
    factory = factory_for(folders["bert"], max_length=6)
    texts = np.array([["cat", "dog"], ["cat", "dog"], ["the the the the", "dog"]], dtype=object)
    train = Table(ids=np.array(["1", "2", "3"], dtype=object), texts=texts)
    line = factory.prepare([train, train], WATCH)
    assert line == (
        "2 distinct inputs, 11 tokens, 6 on average, 6 at most; 1 (50.0%) truncated to 6"
    )


def test_predictions_do_not_depend_on_where_the_tokens_are_kept(folders, tmp_path):
    train, test = pairs(16), pairs(5, seed=3)
    found = set()
    for tokens in (None, tmp_path / "tokens", tmp_path / "tokens"):  # memory, written, found again
        factory = factory_for(folders["bert"], tokens=tokens)
        factory.prepare([train], WATCH)
        found.add(fitted(factory, train, tmp_path).predict(test, WATCH).tobytes())
    assert len(found) == 1
    assert len(list((tmp_path / "tokens").iterdir())) == 1


def test_a_learner_that_was_not_fitted_refuses_to_predict(folders):
    with pytest.raises(RuntimeError, match="not fitted"):
        factory_for(folders["bert"]).make(1).predict(pairs(4), WATCH)


def test_predictions_stand_in_the_tables_order(folders, tmp_path):
    learner = fitted(factory_for(folders["bert"], predict_batch_size=3), pairs(16), tmp_path)
    table = pairs(11, seed=3)
    forwards = learner.predict(table, WATCH)
    backwards = learner.predict(table.rows(np.arange(11)[::-1]), WATCH)
    np.testing.assert_allclose(forwards, backwards[::-1], atol=1e-5)
    assert len(np.unique(forwards)) > 3


@pytest.mark.parametrize("kind", ["roberta", "electra", "deberta-v2"])
def test_every_common_architecture_trains(folders, tmp_path, kind):
    learner = fitted(factory_for(folders[kind], epochs=2), pairs(24), tmp_path)
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
    learner = fitted(factory_for(folders["bert"], task=task, outputs=outputs), table, tmp_path)
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
    sure = backbone(tmp_path, dropout=0.0)
    options = {"head_dropout": 0.0, "length_groups": 1, "learning_rate": 1e-3}
    plain = fitted(factory_for(sure, **options), pairs(20), tmp_path)
    expected = plain.predict(test, WATCH)
    lean = fitted(factory_for(sure, **{**options, **changes}), pairs(20), tmp_path)
    np.testing.assert_allclose(lean.predict(test, WATCH), expected, atol=2e-3)


def test_the_facts_tell_what_was_done_and_go_into_json(folders, tmp_path):
    factory = factory_for(folders["bert"], epochs=2, max_length=6)
    watch = Listener()
    learner = factory.make(1)
    learner.fit(pairs(20), Workspace(tmp_path), watch, rate_scale=0.5)
    facts = json.loads(json.dumps(learner.facts))
    assert facts["steps"] == 2 * 3
    assert facts["rows"] == 2 * 20
    assert facts["rate_scale"] == 0.5
    assert facts["learnt"] == {"micro_rows": None, "predict_rows": None, "precision": None}
    assert 0 < facts["truncated_inputs"] < 20
    assert facts["truncated_share"] == facts["truncated_inputs"] / 20
    assert 0.5 < facts["useful_token_share"] <= 1
    assert facts["train_loss"] > 0
    run = json.loads(json.dumps(factory.facts()))
    assert run["parameters"] * 4 == factory.disk_bytes()
    assert len(run["backbone_sha256"]) == 64
    assert factory.checkpoint_bytes() == 3 * factory.disk_bytes()
    assert (run["precision"], run["deterministic"]) == ("32-true", True)
    assert watch.phases == [("train", 6, 0, 3)]
    assert (watch.steps, watch.rows, watch.tokens) == (6, 40, facts["tokens"])
    ((what, message, told),) = watch.events
    assert (what, told) == ("truncated", {"inputs": facts["truncated_inputs"]})
    assert f"{facts['truncated_inputs']} of 20 training texts" in message


def test_predicting_tells_its_progress(folders, tmp_path):
    learner = fitted(factory_for(folders["bert"], predict_batch_size=4), pairs(16), tmp_path)
    watch = Listener()
    learner.predict(pairs(10), watch)
    assert watch.phases == [("predict", 3, 0, 0)]
    assert (watch.steps, watch.rows) == (3, 10)
    assert watch.tokens > 10 * 5


def test_training_logs_for_tensorboard_without_being_asked(folders, tmp_path):
    fitted(factory_for(folders["bert"]), pairs(16), tmp_path)
    assert list((tmp_path / "logs").glob("events.out.tfevents.*"))


def test_a_loss_that_does_not_fit_is_refused_before_anything_is_loaded(folders):
    task = TaskConfig(problem="multiclass", metric="accuracy", classes=["a", "b", "c"])
    with pytest.raises(UsageError, match="loss mse does not fit a multiclass problem"):
        factory_for("/nowhere", task=task, outputs=3, loss="mse")


def test_a_closed_factory_holds_no_backbone_any_more(tmp_path):
    factory = factory_for(backbone(tmp_path))
    learner = fitted(factory, pairs(16), tmp_path / "w")
    held = [weakref.ref(each) for each in (factory.shared.pristine.backbone, learner.module)]
    factory.close()
    with pytest.raises(RuntimeError, match="weights are gone"):
        learner.predict(pairs(4, labelled=False), WATCH)
    del learner
    factory.close()
    assert [each() for each in held] == [None, None]
