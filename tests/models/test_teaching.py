"""Rows that a teacher judges: inside the fold, without a say of held-out rows, killed or not."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse

from pipeline import cv
from pipeline.base.command import run as guarded
from pipeline.base.errors import UsageError
from pipeline.base.fault_injection import Injected
from pipeline.base.files import read_json, sha256
from pipeline.metrics.label_doubt import LabelDoubts, label_doubts
from pipeline.models.linear.class_fits import SOFT, answers_of, learn_answers
from pipeline.models.linear.solver import Design, fit_glm
from pipeline.models.recipes import LinearRecipe, as_values
from pipeline.models.registry import LEARNERS
from pipeline.models.teaching.learner import Help, TaughtFactory, surest
from pipeline.models.teaching.settings import Distil, Noise, Pseudo, Teacher
from pipeline.models.transformer.losses import TargetCodec, counted
from pipeline.problems.registry import problem_of
from tests.models.transformer.learners import WATCH, backbone, factory_for, fitted, pairs
from tests.test_bad_files import Folder
from tests.training.toys import COMPETITION, Factory, LengthRidge, inject, make_job, run, table


class Asked(LengthRidge):
    """Remembers what it was trained on and what it was asked about."""

    def __init__(self):
        self.asked: list[set] = []

    def fit(self, train, workspace, watch, rate_scale=1.0):
        super().fit(train, workspace, watch)
        self.train = train

    def predict(self, table, watch):
        assert table.targets is None, "a learner must not be shown the answers"
        self.asked.append(set(table.ids))
        return super().predict(table, watch)


def taught_job(root, unlabelled=None, **settings):
    """A run of three folds whose learners are taught."""
    help_ = Help(
        competition=COMPETITION,
        recipe=LinearRecipe(**settings),
        unlabelled=unlabelled,
    )
    return make_job(root, factory=TaughtFactory(Factory(Asked), help_))


def digests(job):
    return [sha256(job.predictions(part)) for part in job.parts()]


def facts(job):
    return [
        read_json(job.predictions(part).with_suffix(".json"))["learner"]["taught"]
        for part in job.parts()
    ]


def test_no_label_of_a_held_out_row_and_none_of_the_row_itself_is_in_an_answer(tmp_path):
    job = taught_job(tmp_path, distil=Distil(weight=0.5, teacher=Teacher(folds=4)))
    run(job)
    made = job.factory.inner.made
    assert len(made) == 3 * 5
    for part, first in zip(job.parts(), range(0, 15, 5), strict=True):
        *teachers, student = made[first : first + 5]
        train = set(job.tables.train.ids[job.folds.training_rows(part.repeat, part.fold)])
        assert student.heard == train
        for teacher in teachers:
            assert teacher.heard | teacher.asked[0] == train
            assert not teacher.heard & teacher.asked[0]
        assert set.union(*(teacher.asked[0] for teacher in teachers)) == train
        before = job.tables.train.rows(job.folds.training_rows(part.repeat, part.fold))
        assert not np.allclose(student.train.targets, before.targets)


@pytest.mark.parametrize("point", ["stage:3:raise", "trained:2:raise"])
def test_a_fold_killed_between_its_teachers_ends_in_the_same_bytes(tmp_path, monkeypatch, point):
    settings = {"distil": Distil(weight=0.5), "noise": Noise(action="drop", share=0.1)}
    golden = taught_job(tmp_path / "golden", **settings)
    run(golden)
    inject(monkeypatch, point)
    with pytest.raises(Injected):
        run(taught_job(tmp_path, **settings))
    job = taught_job(tmp_path, **settings)
    run(job)
    assert len(job.factory.inner.made) < 15
    assert digests(job) == digests(golden)
    assert facts(job) == facts(golden)
    assert not any(job.workspace(part).stages.exists() for part in job.parts())


def test_rows_that_look_wrong_are_left_out_weighed_or_relabelled_and_held_out_rows_are_not(
    tmp_path,
):
    found = {}
    for action in ("drop", "down-weight", "relabel"):
        job = taught_job(tmp_path / action, noise=Noise(action=action, share=0.2))
        run(job)
        found[action] = job.factory.inner.made[4].train
        part = next(iter(job.parts()))
        score = read_json(job.predictions(part).with_suffix(".json"))["score"]
        assert score is not None
    train = job.tables.train.rows(job.folds.training_rows(0, 0))
    wrong = np.isin(train.ids, facts(job)[0]["noise"]["ids"])
    assert wrong.sum() == round(0.2 * len(train))
    assert found["drop"].ids.tolist() == train.ids[~wrong].tolist()
    assert (found["down-weight"].weights == np.where(wrong, 0.3, 1.0)).all()
    changed = (found["relabel"].targets != train.targets).any(axis=1)
    assert changed.tolist() == wrong.tolist()
    assert found["relabel"].targets.max() <= 5


def test_rows_without_labels_join_by_the_folds_own_learner_round_by_round(tmp_path):
    more = table(9, "un", labelled=False)
    pseudo = Pseudo(rows="more.csv", share=0.5, rounds=2)
    job = taught_job(tmp_path, unlabelled=more, pseudo=pseudo)
    run(job)
    first, second, student = job.factory.inner.made[:3]
    train = set(job.tables.train.ids[job.folds.training_rows(0, 0)])
    assert first.heard == train
    assert first.asked == [set(more.ids)]
    assert second.heard - train == second.heard & set(more.ids) != set()
    told = facts(job)[0]["pseudo"]
    assert [each["rows"] for each in told["rounds"]] == [4, 4]
    assert student.heard - train == set(told["rounds"][1]["ids"])
    assert len({each["labels_sha256"] for each in told["rounds"]}) == 2


def test_the_surest_of_each_label_are_chosen():
    sure = np.array([0.9, 0.8, 0.7, 0.6, 0.55, 0.51])
    labels = np.array([[0], [0], [0], [0], [1], [1]])
    chosen = surest(sure, labels, 0.5, np.random.default_rng(0))
    assert chosen.tolist() == [True, True, False, False, True, False]


# What learners make of weights and of soft labels.


def test_a_row_that_counts_twice_is_as_good_as_two_rows():
    rng = np.random.default_rng(0)
    dense = np.hstack([np.ones((12, 1)), rng.normal(size=(12, 3))]).astype(np.float32)
    ngrams = np.abs(rng.normal(size=(12, 5))).astype(np.float32)
    targets = (rng.random((12, 1)) > 0.5).astype(np.float32)
    for loss in ("squared", "sigmoid"):
        counts = np.where(np.arange(12) < 4, 2.0, 1.0)
        once = Design(dense, sparse.csr_array(ngrams))
        twice = once.rows(np.r_[np.arange(12), np.arange(4)])
        more = np.r_[targets, targets[:4]]
        weighed = fit_glm(once.weighed(counts), targets, loss, 1.0, 1.0)
        assert weighed == pytest.approx(fit_glm(twice, more, loss, 1.0, 1.0), abs=6e-3)
        assert not np.allclose(weighed, fit_glm(once, targets, loss, 1.0, 1.0), atol=1e-2)


def test_a_gradient_counts_by_row_in_any_loss_and_the_value_stays():
    values = torch.randn(4, 2, requires_grad=True)
    counts = torch.tensor([[1.0], [0.3], [1.0], [0.0]])
    loss = (counted(values, counts) ** 2).mean()
    (found,) = torch.autograd.grad(loss, values)
    assert loss.item() == pytest.approx((values**2).mean().item())
    assert torch.allclose(found, counts * 2 * values / 8)


def test_a_training_whose_rows_all_count_one_is_the_plain_one_bit_for_bit(tmp_path):
    where, train, test = backbone(tmp_path), pairs(24), pairs(6, seed=2, labelled=False)

    def predicted(table, name):
        return fitted(factory_for(where), table, tmp_path / name).predict(test, WATCH)

    plain = predicted(train, "plain")
    assert predicted(train.weighed(np.ones(24)), "ones").tobytes() == plain.tobytes()
    assert predicted(train.weighed(np.full(24, 0.2)), "less").tobytes() != plain.tobytes()


def test_soft_labels_of_classes_are_learned_by_their_cross_entropy():
    codec = TargetCodec(problem="multiclass", loss="cross-entropy")
    soft = np.array([[0.7, 0.2, 0.1], [0.0, 0.5, 0.5]])
    logits = torch.randn(2, 3)
    expected = -(torch.tensor(soft) * logits.double().log_softmax(1)).sum(1).mean()
    found = codec.mean_loss(logits, torch.from_numpy(codec.encode(soft)))
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    assert codec.encode(np.array([[2.0], [0.0]])).dtype == np.int64


@pytest.mark.parametrize("class_fit", ["squares", "logistic"])
@pytest.mark.parametrize("problem", ["multiclass", "heads"])
def test_soft_labels_without_doubt_are_fitted_as_the_labels_themselves(problem, class_fit):
    classes = ["a", "b", "c"] if problem == "multiclass" else ["x=a", "x=b", "y=a", "y=b"]
    task = replace(COMPETITION.task, problem=problem, metric="accuracy", classes=classes)
    task = replace(task, label_range=None)
    hard = np.array([[0.0], [1], [2], [1], [0]])
    if problem == "heads":
        hard = np.array([[1.0, 0, 0, 1], [0, 1, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0], [1, 0, 0, 1]])
    rows = replace(table(5, "tr"), targets=hard)
    (plain,) = learn_answers(rows, task, len(classes), class_fit)
    flags = task.problem_type.expand(hard, len(classes))
    soft = SOFT[answers_of(task, class_fit)[0]]
    made = soft.of_heads(flags, (2, 2)) if problem == "heads" else soft.learn(flags, len(classes))
    scores = np.random.default_rng(1).normal(size=(5, len(classes))).astype(np.float32)
    assert made.way == plain.way
    encoded = made.encode(flags), plain.encode(hard)
    assert (encoded[0] > 0.5).tolist() == (encoded[1] > 0.5).tolist()
    surprise = made.surprise(scores, encoded[0]), plain.surprise(scores, encoded[1])
    assert surprise[0] == pytest.approx(surprise[1], rel=0.05)


# The judgement, and the command.


def test_planted_labels_are_found_and_the_share_is_kept():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 300)
    chances = 0.1 + 0.7 * np.eye(3)[truth] + 0.05 * rng.random((300, 3))
    chances /= chances.sum(axis=1, keepdims=True)
    labels = truth.copy()
    labels[:15] = (labels[:15] + 1) % 3
    found = label_doubts(problem_of("multiclass"), labels[:, None].astype(float), chances)
    assert found.flagged[:15].all()
    assert found.flagged[15:].sum() == 0
    assert found.chosen(0.02).sum() == 6
    assert found.chosen(0.02)[:15].sum() == 6
    numbers = rng.normal(size=(100, 1))
    away = numbers + 0.1 * rng.normal(size=(100, 1))
    away[3], away[5] = numbers[3] + 4, np.nan
    judged = label_doubts(problem_of("regression"), numbers, away)
    assert judged.flagged.nonzero()[0].tolist() == [3]
    assert np.isnan(judged.score[5])
    assert not LabelDoubts(judged.score, judged.flagged).chosen(0.99)[5]


def test_a_recipe_without_teachers_has_the_settings_that_it_had():
    assert not {"noise", "distil", "pseudo"} & as_values(LinearRecipe()).keys()


@pytest.mark.parametrize(
    ("model", "setting", "message"),
    [
        ("boosting", "distil={weight: 0.5}", "learner boosting learns no soft labels"),
        ("boosting", "noise={action: down-weight}", "lets all rows count alike"),
        ("linear", "noise={action: drop, share: 2}", "noise.share is 2"),
        ("linear", "distil={weight: 0}", "distil.weight is 0"),
        ("linear", "distil={teacher: {folds: 1}}", "teacher.folds is 1"),
        ("linear", "distil={teacher: {model: gone}}", "there is no model 'gone'"),
        ("linear", "pseudo={rows: gone.csv}", "there is no file"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_trained(
    tmp_path, capsys, monkeypatch, model, setting, message
):
    monkeypatch.setitem(LEARNERS, "boosting", replace(LEARNERS["boosting"], weighs=False))
    folder = Folder(tmp_path)
    folder.write()
    arguments = ["--config", str(tmp_path / "configs" / "default.yaml"), "--root", str(tmp_path)]
    code = guarded(cv.main, [*arguments, "--model", model, "--set", setting])
    assert code == UsageError.exit_code
    assert message in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.glob("oof/**/*.npz"))


def test_a_taught_run_of_the_command_is_noted_and_predicts_again(tmp_path, capsys):
    folder = Folder(tmp_path)
    folder.write()
    folder.call(cv)
    settings = ["--set", "noise={action: drop, share: 0.1, teacher: {model: linear, folds: 2}}"]
    settings += ["--set", "pseudo={rows: test}"]
    assert folder.call(cv, *settings) == 0
    found = capsys.readouterr()
    said = " ".join(found.out.split())
    assert "teachers: linear, 2 inner folds in every fold" in said
    assert "2 of 16 labels look wrong: they are left out" in found.err
    assert "with labels of its own: not every competition's rules allow that" in said
    assert folder.call(cv, *settings, "--dry-run") == 0
    assert "would train nothing" in capsys.readouterr().out
