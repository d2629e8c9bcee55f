"""Targets as the network sees them, its loss, and its outputs as people read them."""

import json

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, mean_squared_error

from pipeline.base.config import TaskConfig, as_dict
from pipeline.base.errors import DataError, UsageError
from pipeline.models.transformer.losses import TargetCodec, divergence
from pipeline.models.transformer.objective import check_loss, fit_codec

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
        (SCORES, "pearson", "leaves height and scale of predictions open, and rmse sees them"),
        (SCORES, {"mse": 1.0, "bce": 1.0, "focal": 1.0}, "loss focal does not fit a regression"),
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


GRADES = TaskConfig(problem="regression", metric="pearson", label_range=(0.0, 5.0))
HITS = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
SAID = torch.tensor([[2.0, -1.0], [0.5, 0.0], [-0.3, 1.2], [-2.0, 0.1]])


def loss_of(task, asked, targets, outputs, **more):
    codec = fit_codec(task, asked, targets, **more)
    outputs = outputs.clone().requires_grad_()
    loss = codec.mean_loss(outputs, torch.from_numpy(codec.encode(targets)))
    loss.backward()
    assert outputs.grad.isfinite().all()
    return loss.item()


def test_pearson_is_one_minus_the_correlation_of_a_steps_rows_in_each_column():
    targets, said = rng.uniform(0, 5, (9, 2)), torch.from_numpy(rng.normal(size=(9, 2)))
    found = loss_of(GRADES, "pearson", targets, said)
    expected = np.mean([np.corrcoef(targets[:, at], said[:, at])[0, 1] for at in (0, 1)])
    assert found == pytest.approx(1 - expected, abs=1e-6)
    assert loss_of(GRADES, "pearson", targets, 3 * said - 7) == pytest.approx(found, abs=1e-5)


@pytest.mark.parametrize("loss", ["pearson", "concordance", "ranking"])
@pytest.mark.parametrize("rows", [1, 4])
def test_rows_that_are_all_alike_have_a_finite_loss_and_gradient(loss, rows):
    assert np.isfinite(loss_of(GRADES, loss, np.full((rows, 1), 2.0), torch.zeros(rows, 1)))


def test_concordance_wants_height_and_spread_as_well():
    targets = rng.uniform(0, 5, (9, 1))
    inner = torch.from_numpy(targets / 5)
    assert loss_of(GRADES, "concordance", targets, inner) == pytest.approx(0, abs=1e-6)
    x, y = targets[:, 0] / 5, targets[:, 0] / 10 + 1
    by_hand = 2 * np.cov(x, y, ddof=0)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    found = loss_of(GRADES, "concordance", targets, inner / 2 + 1)
    assert found == pytest.approx(1 - by_hand, abs=1e-5)


def test_ranking_is_the_logistic_loss_of_every_pair_in_the_wrong_order():
    targets = np.array([[1.0], [3.0], [3.0]])
    said = torch.tensor([[0.2], [1.0], [-0.5]])
    pairs = [np.log1p(np.exp(0.2 - 1.0)), np.log1p(np.exp(0.2 + 0.5))]
    assert loss_of(GRADES, "ranking", targets, said) == pytest.approx(np.mean(pairs), rel=1e-5)


def test_smoothed_and_weighted_classes_are_torchs():
    targets = np.array([[0.0], [2.0], [1.0], [1.0], [0.0], [2.0], [2.0]])
    said, true = torch.from_numpy(LOGITS).float(), torch.from_numpy(targets[:, 0].astype(int))
    smoothed = torch.nn.functional.cross_entropy(said, true, label_smoothing=0.1).item()
    options = {"smoothing": 0.1}
    found = loss_of(TOPICS, "cross-entropy", targets, said, options=options)
    assert found == pytest.approx(smoothed, rel=1e-5)
    weights = [1.0, 2.0, 0.5]
    each = torch.nn.functional.cross_entropy(
        said, true, weight=torch.tensor(weights), reduction="none"
    )
    found = loss_of(TOPICS, "cross-entropy", targets, said, class_weights=weights)
    assert found == pytest.approx(each.mean().item(), rel=1e-5)


def test_a_smoothed_label_is_a_chance():
    options = {"smoothing": 0.2}
    found = loss_of(LABELS, "bce", HITS.numpy(), SAID, options=options)
    chances = torch.where(HITS > 0, 0.9, 0.1)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(SAID, chances).item()
    assert found == pytest.approx(expected, rel=1e-5)
    weights = torch.tensor([2.0, 0.5])
    found = loss_of(LABELS, "bce", HITS.numpy(), SAID, class_weights=weights.tolist())
    expected = torch.nn.functional.binary_cross_entropy_with_logits(SAID, HITS, pos_weight=weights)
    assert found == pytest.approx(expected.item(), rel=1e-5)


def test_balanced_classes_count_alike_and_rows_one_on_average():
    targets = np.array([[0.0]] * 6 + [[1.0]] * 3 + [[2.0]])
    codec = fit_codec(TOPICS, "auto", targets, class_weights="balanced")
    of_rows = np.array(codec.class_weights)[targets[:, 0].astype(int)]
    assert of_rows.mean() == pytest.approx(1)
    sums = [of_rows[targets[:, 0] == each].sum() for each in range(3)]
    assert sums == pytest.approx([10 / 3] * 3)
    labels = fit_codec(LABELS, "auto", HITS.numpy(), class_weights="balanced")
    assert labels.class_weights == (1.0, 1.0)
    rare = fit_codec(YES_NO, "auto", np.array([[1.0], [0], [0], [0]]), class_weights="balanced")
    assert rare.class_weights == (3.0,)


def test_focal_is_cross_entropy_times_the_chance_of_being_wrong():
    targets = np.array([[0.0], [2.0], [1.0], [1.0], [0.0], [2.0], [2.0]])
    said, true = torch.from_numpy(LOGITS).float(), torch.from_numpy(targets.astype(int))
    right = said.softmax(1).gather(1, true)[:, 0]
    by_hand = (-((1 - right) ** 2) * right.log()).mean().item()
    assert loss_of(TOPICS, "focal", targets, said) == pytest.approx(by_hand, rel=1e-5)
    plain = loss_of(TOPICS, "auto", targets, said)
    assert loss_of(TOPICS, "focal", targets, said, options={"gamma": 0.0}) == pytest.approx(
        plain, rel=1e-6
    )
    of_labels = loss_of(LABELS, "focal", HITS.numpy(), SAID, options={"gamma": 0.0})
    assert of_labels == pytest.approx(loss_of(LABELS, "bce", HITS.numpy(), SAID), rel=1e-6)
    chance = SAID.sigmoid() * HITS + (1 - SAID.sigmoid()) * (1 - HITS)
    by_hand = (-((1 - chance) ** 2) * chance.log()).mean().item()
    assert loss_of(LABELS, "focal", HITS.numpy(), SAID) == pytest.approx(by_hand, rel=1e-5)


def test_the_asymmetric_loss_forgets_zeros_of_little_chance():
    bare = {"gamma_positive": 0.0, "gamma_negative": 0.0, "clip": 0.0}
    plain = loss_of(LABELS, "asymmetric", HITS.numpy(), SAID, options=bare)
    assert plain == pytest.approx(loss_of(LABELS, "bce", HITS.numpy(), SAID), rel=1e-5)
    sure = torch.full((2, 1), -4.0)  # a chance of 0.018, below the clip of 0.05
    task = TaskConfig(problem="binary", metric="auc", classes=["no", "yes"])
    assert loss_of(task, "asymmetric", np.zeros((2, 1)), sure) == pytest.approx(0, abs=1e-7)
    p = torch.sigmoid(torch.tensor(1.0)).item()
    by_hand = -((p - 0.05) ** 4) * np.log(1 - (p - 0.05))
    found = loss_of(task, "asymmetric", np.zeros((1, 1)), torch.ones(1, 1))
    assert found == pytest.approx(by_hand, rel=1e-5)


def test_a_sum_of_losses_is_their_weighted_sum_and_probabilities_are_compared_as_such():
    targets, said = np.array([[1.0], [3.0], [5.0]]), torch.tensor([[0.3], [-0.2], [1.5]])
    both = loss_of(SCORES, {"mse": 0.7, "pearson": 0.3}, targets, said)
    parts = [loss_of(SCORES, "mse", targets, said), loss_of(GRADES, "pearson", targets, said)]
    assert both == pytest.approx(0.7 * parts[0] + 0.3 * parts[1], rel=1e-5)
    mixed = loss_of(SCORES, {"mse": 1.0, "bce": 1.0}, targets, said)
    of_chances = ((said.sigmoid() - torch.tensor([[0.0], [0.5], [1.0]])) ** 2).mean().item()
    assert mixed == pytest.approx(loss_of(SCORES, "bce", targets, said) + of_chances, rel=1e-5)
    codec = fit_codec(SCORES, {"mse": 1.0, "bce": 1.0}, targets)
    np.testing.assert_allclose(codec.decode(torch.zeros(1, 1)), [[3.0]])


@pytest.mark.parametrize(
    ("task", "asked", "more", "message"),
    [
        (TOPICS, "auto", {"options": {"gamma": 1}}, "loss cross-entropy; it has: smoothing"),
        (SCORES, "bce", {"options": {"smoothing": 0.1}}, "no option of loss bce; it has: none"),
        (TOPICS, "auto", {"options": {"smoothing": 1.0}}, "must be at least 0, below 1"),
        (SCORES, "auto", {"class_weights": "balanced"}, "class_weights are for classes"),
        (LABELS, "asymmetric", {"class_weights": "balanced"}, "not for asymmetric"),
        (TOPICS, "auto", {"class_weights": [1.0], "outputs": 3}, "expected one for each of 3"),
    ],
)
def test_options_and_weights_that_do_not_fit_the_loss_are_refused(task, asked, more, message):
    with pytest.raises(UsageError) as caught:
        check_loss(task, asked, **more)
    assert message in str(caught.value)


def test_a_codec_of_before_is_written_as_before_and_another_comes_back_whole():
    plain = fit_codec(SCORES, "auto", np.array([[1.0], [5.0]]))
    assert list(plain.as_json()) == ["problem", "loss", "shift", "scale", "huber_delta"]
    codec = fit_codec(TOPICS, "focal", np.array([[0.0], [1]]), {"gamma": 3.0}, "balanced")
    assert TargetCodec.from_json(json.loads(json.dumps(codec.as_json()))) == codec


def test_the_divergence_of_two_outputs_is_the_mean_of_both_kullback_leiblers():
    one, other = torch.from_numpy(LOGITS).float(), torch.from_numpy(LOGITS[::-1].copy()).float()
    p, q = one.softmax(1), other.softmax(1)
    both = ((p * (p / q).log()).sum(1) + (q * (q / p).log()).sum(1)) / 2
    assert divergence(one, other, "softmax").item() == pytest.approx(both.mean().item(), rel=1e-5)
    p, q = one.sigmoid(), other.sigmoid()
    both = sum(a * (a / b).log() + (1 - a) * ((1 - a) / (1 - b)).log() for a, b in ((p, q), (q, p)))
    found = divergence(one, other, "sigmoid").item()
    assert found == pytest.approx(both.mean().item() / 2, rel=1e-5)
    assert divergence(one, one, "identity") == 0
