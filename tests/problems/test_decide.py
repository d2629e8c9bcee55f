from dataclasses import dataclass

import numpy as np
import pytest

from pipeline.base.config import ColumnsConfig, Competition, DataConfig
from pipeline.base.errors import DataError, UsageError
from pipeline.metrics.metric import get_metric
from pipeline.problems.form import match, number_texts
from tests.ensemble.toys import task_of

FREE = (0.0, 1.0)


@dataclass
class SampleOf:
    """A sample submission of one or a few rows."""

    columns: list[str]
    values: np.ndarray
    id_column: str = "id"
    made_up: bool = False

    @property
    def ids(self):
        return np.array([f"t{row}" for row in range(len(self.values))], dtype=object)


def sample_of(columns, *rows):
    return SampleOf(list(columns), np.array(rows, dtype=object).reshape(len(rows), len(columns)))


def form_of(problem, metric, sample, targets=("label",), **task):
    competition = Competition(
        name="toy",
        data=DataConfig(train="train.csv", test="test.csv", sample_submission="sample.csv"),
        columns=ColumnsConfig(id="id", texts=["text"], targets=list(targets)),
        task=task_of(problem, metric, **task),
    )
    needs = get_metric(metric, competition.task).needs
    task = competition.task
    return task.problem_type.form(task, competition.columns.targets, needs, sample), task


def texts_of(problem, metric, sample, predicted, limits=FREE, **more):
    form, task = form_of(problem, metric, sample, **more)
    return task.problem_type.texts(form, task, np.array(predicted, dtype=float), limits)


WORDS = ["negative", "positive"]


@pytest.mark.parametrize(
    ("metric", "classes", "shown", "submit", "kind", "noted"),
    [
        ("f1", ["0", "1"], "0", "auto", "label", False),
        ("auc", ["0", "1"], "0.5", "auto", "value", False),
        ("auc", ["0", "1"], "0", "auto", "value", True),
        ("accuracy", ["0", "1"], "0.0", "auto", "label", True),
        ("accuracy", ["0", "1"], "0.5", "auto", "value", True),
        ("f1", WORDS, "positive", "auto", "label", False),
        ("auc", WORDS, "positive", "auto", "label", True),
        ("f1", WORDS, "?", "auto", "label", True),
        ("auc", WORDS, "", "auto", "value", True),
        ("auc", ["0", "1"], "0.5", "label", "label", False),
        ("f1", ["0", "1"], "0", "value", "value", False),
    ],
)
def test_a_binary_file_takes_the_form_the_sample_shows_else_the_metrics(
    metric, classes, shown, submit, kind, noted
):
    form, _ = form_of(
        "binary", metric, sample_of(["target"], [shown]), classes=classes, submit=submit
    )
    assert form.kind == kind
    assert bool(form.notes) == noted
    assert all("--task.submit" in note for note in form.notes)


def test_binary_labels_are_the_class_names_of_train_from_one_half_on():
    sample = sample_of(["target"], ["no"])
    found = texts_of("binary", "f1", sample, [[0.49], [0.5], [0.9]], classes=["no", "yes"])
    assert found == {"target": ["no", "yes", "yes"]}


def test_whole_numbers_stay_whole_numbers():
    sample = sample_of(["target"], ["0"])
    assert texts_of("binary", "f1", sample, [[0.2], [0.8]]) == {"target": ["0", "1"]}


def test_a_column_per_class_gets_its_probability_whatever_the_order():
    sample = sample_of(["positive", "negative"], ["0.5", "0.5"])
    found = texts_of("binary", "log-loss", sample, [[0.75]], classes=WORDS)
    assert found == {"positive": ["0.75"], "negative": ["0.25"]}


def test_multiclass_labels_are_the_likeliest_classes_by_name():
    sample = sample_of(["topic"], ["art"])
    found = texts_of("multiclass", "accuracy", sample, np.eye(4)[[3, 0, 2]])
    assert found == {"topic": ["world", "art", "sport"]}


@pytest.mark.parametrize("between", [" ", ",", ", ", "|"])
def test_guesses_are_parted_as_in_the_sample(between):
    sample = sample_of(["topic"], [between.join(["art", "world"])])
    found = texts_of("multiclass", "accuracy", sample, [[0.2, 0.1, 0.3, 0.4]])
    assert found == {"topic": [between.join(["world", "sport"])]}


@pytest.mark.parametrize(
    ("classes", "shown", "written"),
    [
        (["False", "True"], "false", ["true", "false"]),
        (["ham", "spam"], "HAM", ["SPAM", "HAM"]),
        (["ham", "spam"], "answer", ["spam", "ham"]),
    ],
)
def test_two_words_are_written_in_the_case_of_the_sample(classes, shown, written):
    found = texts_of("binary", "f1", sample_of(["x"], [shown]), [[0.75], [0.25]], classes=classes)
    assert found == {"x": written}


def test_multiclass_columns_are_matched_by_class_name():
    sample = sample_of(["p_World", "p_Art", "p_Sport", "p_Business"], ["0", "0", "0", "1"])
    found = texts_of("multiclass", "log-loss", sample, [[0.125, 0.25, 0.5, 0.0625]])
    assert found == {
        "p_World": ["0.0625"],
        "p_Art": ["0.125"],
        "p_Sport": ["0.5"],
        "p_Business": ["0.25"],
    }


def test_multilabel_columns_are_matched_by_name_and_form():
    sample = sample_of(["insult", "toxic"], ["0.5", "0.5"])
    found = texts_of("multilabel", "auc", sample, [[0.25, 0.75]], targets=["toxic", "insult"])
    assert found == {"toxic": ["0.25"], "insult": ["0.75"]}
    sample = sample_of(["insult", "toxic"], ["0", "0"])
    found = texts_of("multilabel", "f1", sample, [[0.25, 0.75]], targets=["toxic", "insult"])
    assert found == {"toxic": ["0"], "insult": ["1"]}


def test_several_numbers_are_matched_by_name():
    sample = sample_of(["wording", "content"], ["0.0", "0.0"])
    found = texts_of("regression", "mcrmse", sample, [[1.5, -2.5]], targets=["content", "wording"])
    assert found == {"wording": ["-2.5"], "content": ["1.5"]}


def test_the_only_column_is_the_target_whatever_its_name():
    sample = sample_of(["target"], ["0.0"])
    assert texts_of("regression", "pearson", sample, [[3.25]]) == {"target": ["3.25"]}


def test_columns_that_are_no_target_are_kept_and_named():
    form, _ = form_of("regression", "rmse", sample_of(["label", "usage"], ["0.0", "x"]))
    assert form.columns == {"label": 0}
    assert form.notes == ["columns ['usage'] are no target of train: kept as the sample shows them"]


def test_rounded_kappa_is_submitted_as_whole_numbers_within_the_range():
    sample = sample_of(["score"], ["1"])
    found = texts_of("regression", "qwk", sample, [[0.2], [2.5], [9.0]], limits=(1.0, 6.0))
    assert found == {"score": ["1", "3", "6"]}


@pytest.mark.parametrize(
    ("problem", "metric", "columns", "submit", "kind", "message"),
    [
        ("multiclass", "accuracy", ["topic"], "value", UsageError, "it takes the class"),
        ("multiclass", "accuracy", ["art", "business", "sport", "world"], "label", UsageError,
         "has a column per class"),
        ("multiclass", "accuracy", ["art", "sport"], "auto", DataError,
         "the sample submission has the columns 'art', 'sport' after the id"),
        ("binary", "auc", ["0", "1"], "label", UsageError, "has a column per class"),
        ("multilabel", "auc", ["labels"], "auto", DataError,
         "named as in train: 'toxic', 'rude'. Call them alike in both files"),
    ],
)  # fmt: skip
def test_a_form_the_sample_cannot_hold_is_refused(problem, metric, columns, submit, kind, message):
    targets = ["toxic", "rude"] if problem == "multilabel" else ["label"]
    with pytest.raises(kind) as caught:
        form_of(problem, metric, sample_of(columns, ["0"] * len(columns)), targets, submit=submit)
    assert message in str(caught.value)


def test_a_sample_that_shows_no_class_of_train_is_noted():
    sample = sample_of(["topic"], ["7"])
    form, _ = form_of("multiclass", "accuracy", sample, classes=["1", "2", "3"])
    assert form.notes == ["the sample shows '7', which is no class of train"]


@pytest.mark.parametrize(
    ("names", "header", "found"),
    [
        (["a", "b"], ["b", "a"], {"b": 1, "a": 0}),
        (["A", "b"], ["B ", " a"], {"B ": 1, " a": 0}),
        (["1", "2"], ["class_1", "class_2"], {"class_1": 0, "class_2": 1}),
        (["a", "A"], ["A", "a"], {"A": 1, "a": 0}),
        (["a", "b"], ["a", "c"], None),
        (["a", "A"], ["x_a", "x_b"], None),
    ],
)
def test_columns_are_matched_as_they_stand_then_plainly_then_without_their_prefix(
    names, header, found
):
    assert match(names, header) == found


def test_numbers_read_back_as_the_same_float32():
    random = np.random.default_rng(0)
    values = np.concatenate(
        [random.normal(size=300), 10.0 ** random.integers(-30, 30, 100), [0, -0.0, 1 / 3]]
    )
    texts = number_texts(values)
    np.testing.assert_array_equal(
        np.array([float(text) for text in texts], dtype=np.float32), values.astype(np.float32)
    )


@pytest.mark.parametrize(
    ("problem", "metric", "submit", "kind"),
    [
        ("binary", "f1", "auto", "label"),
        ("binary", "auc", "auto", "value"),
        ("binary", "f1", "value", "value"),
        ("multilabel", "auc", "label", "label"),
        ("multiclass", "log-loss", "auto", "label"),
    ],
)
def test_where_there_is_no_sample_the_metric_says_what_is_written(problem, metric, submit, kind):
    task = task_of(problem, metric, submit=submit)
    nothing = SampleOf(["label"], np.array([[""]], dtype=object), made_up=True)
    needs = get_metric(metric, task).needs
    found = task.problem_type.form(task, ["label"], needs, nothing)
    assert (found.kind, found.notes) == (kind, [])
