"""Each check: the fault it is there for is told, and honest files are not accused."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.team.audit import audit
from pipeline.team.candidate_view import CandidateView
from pipeline.team.checks import folds
from pipeline.team.checks.folds import fold_lines
from pipeline.team.checks.shift import distance
from pipeline.team.competition import read_peers
from tests.blendable import Toy, make
from tests.ensemble.toys import CLASSES
from tests.team.files import contest_of, look, predictions, read, said, send


@pytest.fixture
def toy(tmp_path) -> Toy:
    """Regression with two runs."""
    made = make(tmp_path, "regression", "pearson", n=400, m=120, holdout=True)
    made.add_run("m0", 0.8, seed=0)
    made.add_run("m1", 0.9, seed=1)
    return made


def changed(toy: Toy, change, file: str = "train") -> dict[str, np.ndarray]:
    """Predictions of which one file is changed."""
    values = predictions(toy)
    return values | {file: change(values[file])}


KINDS = [
    ("regression", "pearson", {}),
    ("regression", "rmse", {"targets": ["content", "wording", "style"]}),
    ("binary", "auc", {}),
    ("multiclass", "macro-f1", {"sample": (["topic"], ["art"])}),
    ("multilabel", "auc", {}),
]


@pytest.mark.parametrize(("problem", "metric", "more"), KINDS)
def test_an_honest_file_is_in_for_every_kind_of_problem(tmp_path, problem, metric, more):
    toy = make(tmp_path, problem, metric, n=200, m=80, **more)
    toy.add_run("m0", 0.8, seed=0)
    found = look(toy, send(toy))
    assert (said(found, "out"), said(found, "warning"), found.verdict) == ("", "", "in")
    assert found.score is not None
    assert len(found.folds) == 4


def test_missing_doubled_and_broken_rows_are_out_for_good(toy):
    def edit(lines):
        lines[3][-1], lines[4][-1], lines[5][-1] = "", "n/a", "inf"
        return [*lines[7:], *lines[3:6], lines[7], lines[7]]

    found = look(toy, send(toy, edit=edit))
    told = said(found, "out")
    ids = toy.folds.ids.tolist()
    assert f"4 of 400 training rows have no prediction: {ids[0]}, {ids[1]}, {ids[2]}" in told
    assert (
        f"1 of 400 training rows stand more than once. Average them, or keep one: {ids[7]}" in told
    )
    assert (
        "3 of 400 training rows hold no finite number (empty, text, NaN, infinite or beyond "
        f"3.4e38): {ids[3]}" in told
    )
    assert not found.storable


def test_a_file_without_test_rows_is_out(toy):
    told = said(look(toy, send(toy, files=("train",))), "out")
    assert "120 of 120 test rows have no prediction" in told
    assert "If they are in a file of their own, name it: --test FILE" in told


def test_rows_of_nobody_are_left_out_with_a_warning(toy):
    found = look(toy, send(toy, edit=lambda lines: [*lines, ["extra-1", "0", "3.3"]]))
    assert said(found, "warning") == "rows: 1 ids are none of ours, left out: extra-1"


def test_ids_that_were_read_as_numbers_are_recognised(toy):
    def edit(lines):
        return [[line[0].replace("train-0001", " train-0001 "), *line[1:]] for line in lines]

    found = look(toy, send(toy, edit=edit))
    assert "' train-0001 ' looks like our 'train-0001'" in said(found, "out")


def test_a_column_that_calls_all_rows_oof_is_told(toy):
    def edit(lines):
        return [[*line, "oof"] for line in lines]

    found = look(toy, send(toy, header=["score", "part"], edit=edit))
    test = toy.tables.test.ids[0]
    assert f"{test!r} is one of our test rows, but the file says it is not" in said(found, "out")


@pytest.mark.parametrize("some", [[], ["dev"]])
def test_the_holdout_is_optional(toy, some):
    found = look(toy, send(toy, files=("train", "test", *some)))
    assert (found.holdout is not None) == bool(some)
    assert found.verdict == "in"


def test_half_a_holdout_counts_for_none(toy):
    path = send(toy, files=("train", "test", "dev"), edit=lambda lines: lines[:-5])
    found = look(toy, path)
    assert "5 of 40 holdout rows are missing or unusable" in said(found, "warning")
    assert found.holdout is None


def test_a_constant_file_a_constant_fold_and_a_constant_test_are_out(toy):
    flat = look(toy, send(toy, changed(toy, lambda values: values * 0 + 2)))
    assert "all training predictions are the same in label" in said(flat, "out")
    fold = toy.folds.valid_rows(0, 2)
    one = look(toy, send(toy, changed(toy, lambda values: np.where(fold[:, None], 1.5, values))))
    assert "predictions of fold 2 are all 1.5: its training collapsed" in said(one, "out")
    last = look(toy, send(toy, changed(toy, lambda values: values * 0, "test")))
    assert "all test predictions are the same in label" in said(last, "out")


def test_raw_outputs_of_a_sigmoid_are_told_what_helps(tmp_path):
    toy = make(tmp_path, "regression", "pearson", task="label_range: [0, 5]")
    toy.add_run("m0", 0.5)
    raw = {file: each / 5 - 1 for file, each in predictions(toy).items()}
    told = said(look(toy, send(toy, raw)), "warning")
    assert "numbers below 0 may be raw outputs of a sigmoid: --logits brings them between" in told
    above = {file: np.abs(each) / 5 for file, each in predictions(toy).items()}
    assert "--logits" not in said(look(toy, send(toy, above)), "warning")


def test_another_unit_is_told_with_the_slope(toy):
    values = {file: each / 5 for file, each in predictions(toy).items()}
    told = said(look(toy, send(toy, values)), "warning")
    assert "label has another scale than the labels: mean 0.5" in told
    assert "--logits" not in told
    upside = {file: -each for file, each in predictions(toy).items()}
    assert "label falls where the labels rise" in said(look(toy, send(toy, upside)), "out")


@pytest.mark.parametrize(("problem", "metric", "more"), KINDS)
def test_a_file_that_knows_no_more_than_a_constant_is_out(tmp_path, problem, metric, more):
    toy = make(tmp_path, problem, metric, n=900, m=80, **more)
    mixed = changed(toy, np.random.default_rng(4).permutation)
    assert "no better than a constant" in said(look(toy, send(toy, mixed)), "out")


def test_of_few_rows_an_honest_weak_file_may_know_no_more_than_a_constant(tmp_path):
    toy = make(tmp_path, "regression", "pearson", n=200, m=80)
    mixed = changed(toy, np.random.default_rng(1).permutation)
    found = look(toy, send(toy, mixed))
    assert "no better than a constant" in said(found, "warning")
    assert found.verdict == "in"
    turned = {file: -values for file, values in toy.truth.items()}
    assert "no better than a constant" in said(look(toy, send(toy, turned)), "out")
    weak = look(toy, send(toy, predictions(toy, noise=2.0)))
    assert "no better than a constant" not in said(weak, "out")


@pytest.mark.parametrize(("problem", "metric"), [("regression", "pearson"), ("binary", "auc")])
def test_of_few_rows_an_honest_weak_file_may_even_know_a_little_less(tmp_path, problem, metric):
    """A fold with high labels leaves low ones to learn from: nothing learned says the contrary."""
    toy = make(tmp_path, problem, metric, n=120, m=80)
    random, below = np.random.default_rng(0), -0.22
    values = {}
    for file, truth in toy.truth.items():
        unit = (truth - truth.mean()) / truth.std()
        noise = random.normal(size=truth.shape)
        noise = noise - noise.mean() - unit * (unit * noise).mean()
        values[file] = 0.5 + 0.1 * (below * unit + np.sqrt(1 - below**2) * noise / noise.std())
    found = look(toy, send(toy, values))
    assert "no better than a constant: correlation with the labels -0.220" in said(found, "warning")
    assert said(found, "out") == ""


def test_rounded_numbers_are_told(toy):
    values = {file: np.round(each, 1) for file, each in predictions(toy).items()}
    told = said(look(toy, send(toy, values)), "warning")
    assert "values: rounded to 1 decimals: 68 distinct values in 400 rows" in told


def test_many_equal_rows_are_told(toy):
    holes = np.arange(400)[:, None] % 2 == 0
    values = changed(toy, lambda values: np.where(holes, 0.0, values))
    assert "200 of 400 training rows are exactly 0: filled?" in said(
        look(toy, send(toy, values)), "warning"
    )


@pytest.fixture
def classes(tmp_path) -> Toy:
    return make(tmp_path, "multiclass", "accuracy", n=200, m=80, sample=(["topic"], ["art"]))


def test_class_probabilities_that_do_not_sum_to_one_are_out(classes):
    values = {file: each * 0.7 for file, each in predictions(classes).items()}
    assert "sum to one up to 0.3" in said(look(classes, send(classes, values)), "out")
    rounded = {file: np.round(each, 2) for file, each in predictions(classes).items()}
    found = look(classes, send(classes, rounded))
    assert "they were rounded" in said(found, "warning")
    assert found.verdict == "in"


def test_many_classes_may_be_rounded_to_two_decimals(tmp_path):
    toy = make(tmp_path, "multiclass", "accuracy", n=200, m=80)
    values = {file: np.full((len(each), len(CLASSES)), 0.0) for file, each in toy.truth.items()}
    off = 0.005 * len(CLASSES)
    share = np.random.default_rng(0).dirichlet(np.ones(len(CLASSES)), 400)
    for each in values.values():
        each[:] = share[: len(each)] * (1 + off - 1e-9)
    assert "they were rounded" in said(look(toy, send(toy, values)), "warning")
    for each in values.values():
        each *= 1.02 + off
    assert "they are no probabilities" in said(look(toy, send(toy, values)), "out")


def test_a_file_of_probabilities_beside_one_of_logits_is_out(classes):
    values = predictions(classes)
    logits = {file: np.log(np.clip(each, 1e-6, 1)) for file, each in values.items()}
    first = send(classes, values, files=("train",))
    second = send(classes, logits, files=("test",), fold=False, name="test.csv")
    found = look(classes, first, test=second, kind="logits")
    assert "all numbers of mate.csv lie between 0" in said(found, "out")


def test_logits_that_are_probabilities_are_out(classes):
    found = look(classes, send(classes), kind="logits")
    assert "they are probabilities already. Leave the flag out" in said(found, "out")


def test_swapped_class_columns_are_found(classes):
    swapped = [CLASSES[1], CLASSES[0], *CLASSES[2:]]
    found = look(classes, send(classes, header=swapped))
    assert "business predicts art, art predicts business" in said(found, "out")


@pytest.mark.parametrize(("problem", "metric"), [("regression", "rmse"), ("multilabel", "auc")])
def test_swapped_target_columns_are_found(tmp_path, problem, metric):
    names = ["first", "second", "third"]
    toy = make(tmp_path, problem, metric, n=200, m=80, targets=names)
    swapped = [names[1], names[0], *names[2:]]
    found = look(toy, send(toy, header=swapped))
    assert f"{names[1]} predicts {names[0]}" in said(found, "out")
    assert "order" not in said(look(toy, send(toy)), "out")


def test_a_binary_file_turned_round_is_found(tmp_path):
    toy = make(tmp_path, "binary", "auc", n=200, m=80)
    values = {file: 1 - each for file, each in predictions(toy).items()}
    assert "1 predicts 0, 0 predicts 1" in said(look(toy, send(toy, values)), "out")


def with_fold(toy: Toy, noise: float) -> dict[str, np.ndarray]:
    """Predictions of which those of fold 1 have another *noise*."""
    values, rows = predictions(toy), toy.folds.valid_rows(0, 1)
    values["train"][rows] = predictions(toy, noise)["train"][rows]
    return values


def test_a_fold_that_was_trained_on_is_out_and_named(toy):
    found = look(toy, send(toy, with_fold(toy, 0.02)))
    assert "fold 1 scores 0.9999" in said(found, "out")
    assert "were its rows trained on? (bound 3, out from 8)" in said(found, "out")
    assert found.folds[1].distance > 4


def test_a_fold_that_failed_is_told(toy):
    told = said(look(toy, send(toy, with_fold(toy, 30.0))), "warning")
    assert "below the other folds" in told


def test_a_fold_that_is_easy_for_all_is_no_fault(toy):
    toy.truth["train"][toy.folds.valid_rows(0, 1)] *= 9  # a wide fold: all score far better there
    contest = contest_of(toy)
    contest.truth[:] = toy.truth["train"]
    for name, seed in (("m0", 0), ("m1", 1)):
        toy.add_run(name, 0.9, seed=seed)
    candidate = read(toy, send(toy, predictions(toy)))
    peers, _ = read_peers(toy.paths, contest)
    alone = fold_lines(CandidateView(candidate, contest))[1].distance
    among = fold_lines(CandidateView(candidate, contest, peers))[1].distance
    assert abs(among) < 4 < alone


def test_honest_noise_is_not_accused(toy):
    contest = contest_of(toy)
    worst = []
    for seed in range(40):
        candidate = read(toy, send(toy, predictions(toy, 0.9, 100 + seed)))
        lines = fold_lines(CandidateView(candidate, contest))
        worst.append(max(abs(line.distance) for line in lines))
    assert max(worst) < 4


def test_folds_of_few_rows_near_a_perfect_score_are_not_accused(tmp_path):
    """59 rows of which none is wrong are no wonder where one in a hundred is."""
    toy = make(tmp_path, "binary", "auc", n=236, m=60)
    contest = contest_of(toy)
    candidate = read(toy, send(toy))
    for seed in range(30):
        values = candidate.values | {"train": predictions(toy, 0.3, seed)["train"]}
        subject = CandidateView(replace(candidate, values=values), contest)
        assert [each.grade for each in folds.check(subject)] == ["ok"]


def test_predictions_that_are_the_labels_are_out(toy):
    told = said(look(toy, send(toy, {file: toy.truth[file] for file in toy.truth})), "out")
    assert "the predictions are the labels themselves" in told


def test_labels_copied_into_some_rows_are_found(toy):
    rows = np.arange(400)[:, None] % 10 == 0
    mixed = changed(toy, lambda values: np.where(rows, toy.truth["train"], values))
    told = said(look(toy, send(toy, mixed)), "out")
    assert "40 of 400 predictions are exactly the label (by chance 0)" in told


def certain(values: np.ndarray, rows: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The *rows* of probabilities (n, 1) made the labels themselves."""
    changed = values.copy()
    changed[rows] = truth[rows]
    return changed


@pytest.mark.parametrize(("rows", "verdict"), [(15, "unproven"), (40, "out")])
def test_labels_copied_into_some_rows_of_classes_are_found(tmp_path, rows, verdict):
    toy = make(tmp_path, "binary", "auc", n=600, m=150)
    values = predictions(toy, noise=1.5)
    some = np.random.default_rng(0).permutation(600)[:rows]
    toy.add_run("peer", 1.5, seed=3)
    values["train"] = certain(values["train"], some, toy.truth["train"])
    found = look(toy, send(toy, values))
    assert found.verdict == verdict
    assert f"{rows} of 600 rows are predicted with exactly 0 and 1, every one rightly" in said(
        found, verdict
    )


def test_votes_that_are_certain_and_right_by_chance_are_not_out(tmp_path):
    """Seven neighbours agree now and then; on test 28 of four learners would have to."""
    toy = make(tmp_path, "binary", "auc", n=600, m=150)
    toy.add_run("peer", 1.5, seed=3)
    values, truth = predictions(toy, noise=1.5), toy.truth["train"]
    votes = np.rint(7 * values["train"]) / 7
    wrong = np.abs(votes - truth) == 1
    values["train"] = np.where(wrong, np.clip(votes, 1 / 7, 6 / 7), votes)
    found = look(toy, send(toy, values))
    assert "are predicted with exactly 0 and 1, every one rightly" in said(found, "unproven")
    assert found.verdict == "unproven"


def test_a_model_that_is_certain_and_honest_is_not_accused_of_copying(tmp_path):
    toy = make(tmp_path, "binary", "auc", n=600, m=150)
    toy.add_run("peer", 1.5, seed=3)
    truth, values = toy.truth["train"], predictions(toy, noise=1.5)
    some = np.random.default_rng(0).permutation(600)[:40]
    wrong = certain(
        values["train"], some, np.where(np.arange(600)[:, None] == some[0], 1 - truth, truth)
    )
    assert "exactly 0 and 1" not in said(look(toy, send(toy, values | {"train": wrong})), "out")
    also = values["test"].copy()
    also[:10] = 1.0  # in test nobody has labels to copy
    copied = certain(values["train"], some, truth)
    both = values | {"train": copied, "test": also}
    assert "exactly 0 and 1" not in said(look(toy, send(toy, both)), "out")


def test_what_only_training_rows_know_of_the_labels_shows_beside_test(tmp_path):
    """Others know a part of the labels; a leak knows half of the rest, on train only."""
    toy = make(tmp_path, "regression", "pearson", n=1000, m=600)
    random, truth = np.random.default_rng(5), dict(toy.truth)
    known = {file: each + random.normal(size=each.shape) for file, each in truth.items()}
    toy.truth = known
    for place, name in enumerate(("m0", "m1")):
        toy.add_run(name, 0.5, seed=place)
    toy.truth = truth

    def say(rest):
        noise = {"train": 0.5, "test": 0.25}  # the mean of four folds is quieter
        values = {
            file: known[file] + random.normal(0, sd, known[file].shape)
            for file, sd in noise.items()
        }
        values["train"] = rest * truth["train"] + (1 - rest) * values["train"]
        return look(toy, send(toy, values))

    assert "much better than on train" in said(say(0.85), "out")
    honest = say(0.0)
    assert (said(honest, "out"), honest.verdict) == ("", "in")


def test_a_leak_is_better_than_all_with_errors_like_nobodys(toy):
    """Honest runs share the noise of the labels; predictions that fit it share nothing."""
    random = np.random.default_rng(5)
    noise = random.normal(size=(400, 1))
    for name, own in (("m0", 0.3), ("m1", 0.4)):
        saved, toy.truth["train"] = toy.truth["train"], toy.truth["train"] + noise
        toy.add_run(name, own, seed=len(name))
        toy.truth["train"] = saved
    leaky = changed(toy, lambda values: toy.truth["train"] + 0.2 * random.normal(size=(400, 1)))
    assert "its errors are like no other run's" in said(look(toy, send(toy, leaky)), "out")
    better = changed(
        toy, lambda values: toy.truth["train"] + 0.95 * noise + 0.1 * random.normal(size=(400, 1))
    )
    quiet = said(look(toy, send(toy, better)), "ok")
    assert "leakage: nothing found (agreement with labels, other runs' errors)" in quiet
    assert "would not have shown" in quiet
    assert "no sign" not in quiet  # it removes 13 %, of which these checks can see nothing


def test_out_of_fold_far_above_its_own_holdout_is_told(tmp_path):
    toy = make(tmp_path, "regression", "pearson", n=400, m=120, holdout=True, h=400)
    toy.add_run("m0", 0.8, seed=0)
    values = predictions(toy, 0.9) | {"train": predictions(toy, 0.3)["train"]}
    told = said(look(toy, send(toy, values, files=("train", "test", "dev"))), "unproven")
    assert "Were out-of-fold rows trained on?" in told
    turned = predictions(toy, 1.5) | {"dev": predictions(toy, 0.05)["dev"]}
    told = said(look(toy, send(toy, turned, files=("train", "test", "dev"))), "unproven")
    assert "Was the holdout trained on?" in told


def test_test_rows_of_another_unit_are_told(toy):
    values = changed(toy, lambda values: values + 1.5, "test")
    assert "test against out-of-fold: KS distance" in said(look(toy, send(toy, values)), "warning")
    far = changed(toy, lambda values: values + 50, "test")
    assert "made by another model, or in another unit?" in said(look(toy, send(toy, far)), "out")


def test_means_of_votes_that_are_seldom_nought_are_no_other_distribution():
    """One of five learners votes 0 for most rows; the mean of five hardly ever does."""
    random = np.random.default_rng(0)
    votes = random.binomial(15, random.choice([0.0, 0.01, 0.3], size=2000)[:, None], (2000, 5)) / 15
    assert abs((votes[:, 0] == 0).mean() - (votes.mean(axis=1) == 0).mean()) > 0.1
    assert distance(votes[:1000, 0], votes[1000:].mean(axis=1)) < 0.1
    assert distance(votes[:1000, 0], votes[1000:].mean(axis=1) + 0.2) > 0.5


def test_swapped_columns_are_found_where_the_model_is_never_sure(tmp_path):
    toy = make(tmp_path, "multiclass", "macro-f1", n=600, sample=(["topic"], ["art"]))
    values = {file: 0.02 * each + 0.98 / each.shape[1] for file, each in predictions(toy).items()}
    assert look(toy, send(toy, values)).verdict == "in"
    swapped = {file: each[:, [1, 0, *range(2, each.shape[1])]] for file, each in values.items()}
    assert "in another order than the classes" in said(look(toy, send(toy, swapped)), "out")


def test_one_shifted_run_does_not_excuse_the_next(toy):
    contest = contest_of(toy)
    peers, _ = read_peers(toy.paths, contest)
    bad = replace(peers[0], name="bad", test=peers[0].test + 50)
    shifted = read(toy, send(toy, changed(toy, lambda values: values + 1.5, "test")))
    for others in ([*peers, bad], [peers[0], bad]):
        told = said(audit(CandidateView(shifted, contest, others)), "warning")
        assert "test against out-of-fold: KS distance" in told


def test_test_rows_in_another_order_are_found(toy):
    shuffled = changed(toy, np.random.default_rng(1).permutation, "test")
    assert "its test rows are in another order" in said(look(toy, send(toy, shuffled)), "out")


def test_training_rows_in_another_order_are_found(toy):
    shuffled = changed(toy, np.random.default_rng(1).permutation)
    assert "its training rows are in another order" in said(look(toy, send(toy, shuffled)), "out")


def test_a_level_for_each_fold_is_no_other_order(toy):
    """What a learner of a weak model does not know is where its fold lies."""
    values, random = predictions(toy), np.random.default_rng(2)
    levels = np.array([-2.0, 2.0, -2.0, 2.0])[toy.folds.fold_of_row[0]]
    values["train"] = 0.3 * values["train"] + levels[:, None]
    values["test"] = 0.3 * values["test"]
    assert "another order" not in said(look(toy, send(toy, values)), "out")
    values["train"] = 0.3 * random.permutation(predictions(toy)["train"]) + levels[:, None]
    told = said(look(toy, send(toy, values)), "out")
    assert "its training rows are in another order" in told


def test_turned_predictions_are_not_called_another_order(toy):
    values = predictions(toy, noise=3.0) | {"test": predictions(toy, noise=0.1)["test"]}
    turned = {file: -each for file, each in values.items()}
    assert "another order" not in said(look(toy, send(toy, turned)), "out")


def test_a_weak_model_whose_test_predictions_are_means_is_not_accused(toy):
    values = predictions(toy, noise=3.0) | {"test": predictions(toy, noise=1.0)["test"]}
    assert "another order" not in said(look(toy, send(toy, values)), "out")


def test_what_cannot_be_compared_is_said_to_be_so(toy):
    told = said(look(toy, send(toy, edit=lambda lines: lines[1:])), "unproven")
    assert "not compared: rows are missing" in told
    strangers = send(toy, edit=lambda lines: [[f"x{line[0]}", *line[1:]] for line in lines])
    assert "copies: not compared: no training row has its numbers" in said(
        look(toy, strangers), "ok"
    )


def test_a_copy_of_a_run_is_found(toy):
    peer = read_peers(toy.paths, contest_of(toy))[0][0]
    values = {"train": peer.oof, "test": peer.test}
    assert "these are the predictions of m0, number for number" in said(
        look(toy, send(toy, values)), "out"
    )
    near = {file: each + 0.001 * predictions(toy, seed=3)[file] for file, each in values.items()}
    assert "errs exactly as m0" in said(look(toy, send(toy, near)), "warning")
    near = {file: each + 0.05 * predictions(toy, seed=3)[file] for file, each in values.items()}
    assert "errs nearly as m0" in said(look(toy, send(toy, near)), "warning")


def test_other_labels_in_the_file_are_named(toy):
    truth = toy.truth["train"].copy()
    truth[7] = 1.25
    values = predictions(toy)
    both = {
        "train": np.hstack([truth, values["train"]]),
        "test": np.hstack([np.full((120, 1), np.nan), values["test"]]),
    }
    told = said(look(toy, send(toy, both, ["label", "pred"])), "out")
    today = f"{toy.truth['train'][7, 0]:g}"
    assert f"1 of 400 rows differ, first {toy.folds.ids[7]} (1.25, today {today})" in told
    assert toy.folds.digest[:16] in told
