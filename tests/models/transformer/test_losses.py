"""Targets as the network sees them, its loss, and its outputs as people read them."""

import json

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, mean_squared_error

from pipeline.base.config import TaskConfig, as_dict
from pipeline.base.errors import DataError, UsageError
from pipeline.models.transformer.losses import TargetCodec, fit_codec

SCORES = TaskConfig(problem="regression", metric="rmse", label_range=(1.0, 5.0))
AMOUNTS = TaskConfig(problem="regression", metric="rmse")
TOPICS = TaskConfig(problem="multiclass", metric="accuracy", classes=["a", "b", "c"])
YES_NO = TaskConfig(problem="binary", metric="auc", classes=["no", "yes"])
LABELS = TaskConfig(problem="multilabel", metric="auc")
rng = np.random.default_rng(0)
LOGITS = rng.normal(size=(7, 3))


def inside(codec, targets):
    return torch.from_numpy(codec.encode(targets))


def test_a_label_range_becomes_zero_to_one():
    codec = fit_codec(SCORES, "auto", np.array([[2.0], [3.0]]))
    np.testing.assert_allclose(codec.encode(np.array([[1.0], [3.0], [5.0]])), [[0], [0.5], [1]])


def test_without_a_range_each_column_is_standardised_by_the_training_part():
    train = np.array([[1.0, 100.0], [3.0, 300.0], [5.0, 500.0]])
    codec = fit_codec(AMOUNTS, "auto", train)
    encoded = codec.encode(train)
    np.testing.assert_allclose(encoded.mean(axis=0), 0, atol=1e-7)
    np.testing.assert_allclose(encoded.std(axis=0), 1, rtol=1e-6)
    np.testing.assert_allclose(codec.encode(np.array([[3.0, 300.0]])), [[0, 0]])


@pytest.mark.parametrize("task", [SCORES, AMOUNTS])
@pytest.mark.parametrize("loss", ["mse", "huber"])
def test_a_network_that_outputs_the_encoded_targets_predicts_the_targets(task, loss):
    targets = rng.uniform(1, 5, size=(20, 2))
    codec = fit_codec(task, loss, targets)
    assert codec.mean_loss(inside(codec, targets), inside(codec, targets)) == 0
    np.testing.assert_allclose(codec.decode(inside(codec, targets)), targets, rtol=1e-5)


def test_a_constant_target_is_predicted_as_it_is():
    codec = fit_codec(AMOUNTS, "auto", np.full((4, 1), 7.0))
    np.testing.assert_allclose(codec.decode(inside(codec, np.full((4, 1), 7.0))), 7.0)


def test_numbers_read_as_probabilities_stay_inside_the_range():
    codec = fit_codec(SCORES, "bce", np.array([[1.0], [5.0]]))
    predicted = codec.decode(torch.tensor([[-50.0], [0.0], [50.0]]))
    np.testing.assert_allclose(predicted, [[1.0], [3.0], [5.0]])


def test_bce_on_numbers_is_least_at_the_target():
    codec = fit_codec(SCORES, "bce", np.array([[1.0], [5.0]]))
    target = inside(codec, np.array([[4.0]]))  # 0.75 of the range
    at = [codec.mean_loss(torch.tensor([[z]]), target).item() for z in (0.9, np.log(3), 1.3)]
    assert min(at) == at[1]


def test_the_classes_loss_and_probabilities_are_sklearns():
    targets = np.array([[0], [2], [1], [1], [0], [2], [2]], dtype=float)
    codec = fit_codec(TOPICS, "auto", targets)
    predicted = codec.decode(torch.from_numpy(LOGITS)).numpy().astype(float)
    np.testing.assert_allclose(predicted.sum(axis=1), 1, rtol=1e-6)
    predicted /= predicted.sum(axis=1, keepdims=True)  # sklearn warns beyond 1e-8
    ours = codec.mean_loss(torch.from_numpy(LOGITS), inside(codec, targets)).item()
    assert ours == pytest.approx(log_loss(targets[:, 0], predicted), rel=1e-5)


def test_the_labels_loss_and_probabilities_are_sklearns():
    targets = (rng.random((7, 3)) < 0.5).astype(float)
    codec = fit_codec(LABELS, "auto", targets)
    predicted = codec.decode(torch.from_numpy(LOGITS)).numpy().astype(float)
    ours = codec.mean_loss(torch.from_numpy(LOGITS), inside(codec, targets)).item()
    columns = [log_loss(targets[:, j], predicted[:, j], labels=[0, 1]) for j in range(3)]
    assert ours == pytest.approx(np.mean(columns), rel=1e-5)


def test_a_binary_problem_has_one_column_with_the_probability_of_yes():
    targets = np.array([[0.0], [1.0]])
    codec = fit_codec(YES_NO, "auto", targets)
    predicted = codec.decode(torch.tensor([[-100.0], [100.0]]))
    np.testing.assert_allclose(predicted, targets, atol=1e-7)
    assert codec.mean_loss(torch.tensor([[-100.0], [100.0]]), inside(codec, targets)) < 1e-6


def test_the_squared_error_is_that_of_the_scaled_targets():
    targets = rng.uniform(1, 5, size=(7, 3))
    codec = fit_codec(SCORES, "auto", targets)
    ours = codec.mean_loss(torch.from_numpy(LOGITS), inside(codec, targets)).item()
    assert ours == pytest.approx(mean_squared_error(codec.encode(targets), LOGITS), rel=1e-5)


def test_huber_counts_a_far_error_linearly_and_a_near_one_as_half_a_square():
    codec = fit_codec(SCORES, "huber", np.array([[1.0], [5.0]]))
    zero = torch.zeros(1, 1)
    assert codec.mean_loss(torch.tensor([[0.1]]), zero).item() == pytest.approx(0.1**2 / 2)
    far = [codec.mean_loss(torch.tensor([[z]]), zero).item() for z in (1.0, 2.0, 3.0)]
    assert far[2] - far[1] == pytest.approx(far[1] - far[0]) == pytest.approx(0.25)


@pytest.mark.parametrize("task", [SCORES, AMOUNTS, TOPICS, YES_NO, LABELS])
def test_predictions_are_float32_whatever_the_network_computed_in(task):
    codec = fit_codec(task, "auto", np.array([[1.0], [2.0]]))
    logits = torch.from_numpy(LOGITS[:, :1]).to(torch.bfloat16)
    assert codec.decode(logits).dtype == torch.float32


@pytest.mark.parametrize("task", [SCORES, AMOUNTS, TOPICS])
def test_a_codec_survives_json(task):
    codec = fit_codec(task, "auto", np.array([[1.1], [2.3], [4.7]]))
    assert TargetCodec.from_json(json.loads(json.dumps(as_dict(codec)))) == codec


@pytest.mark.parametrize(
    ("task", "asked", "message"),
    [
        (AMOUNTS, "bce", "task.label_range is not set"),
        (TOPICS, "mse", "loss mse does not fit a multiclass problem. Set loss: auto"),
        (TOPICS, "bce", "loss bce does not fit a multiclass problem"),
        (YES_NO, "huber", "loss huber does not fit a binary problem"),
    ],
)
def test_a_loss_that_does_not_fit_the_problem_is_refused(task, asked, message):
    with pytest.raises(UsageError) as caught:
        fit_codec(task, asked, np.zeros((2, 1)))
    assert message in str(caught.value)


def test_a_label_outside_its_range_is_no_probability():
    with pytest.raises(DataError, match=r"1 labels lie outside task.label_range \[1, 5\].*is 9"):
        fit_codec(SCORES, "bce", np.array([[1.0], [9.0], [5.0]]))
