"""Every problem type keeps the promises of `Problem`, and no other room compares its name."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.base.config import TaskConfig
from pipeline.base.errors import UsageError
from pipeline.ensemble.methods.registry import METHODS
from pipeline.metrics.metric import fitting, get_metric
from pipeline.metrics.registry import suggested
from pipeline.models.linear.class_fits import ANSWERS
from pipeline.problems.problem import Clues, Problem
from pipeline.problems.registry import TYPES, problem_of
from pipeline.setup.inspection.description import SPREADS
from pipeline.setup.inspection.row_properties import MEASURES
from pipeline.team.checks.leakage import COPIES
from pipeline.team.checks.scale import OWN
from tests.ensemble.toys import CLASSES, member, task_of, truth_of
from tests.problems.share import SHARE

PACKAGE = Path(__file__).resolve().parents[2] / "pipeline"
NAMES = [
    name
    for name, each in TYPES.items()
    if each.drawn and each.learnt_as == "rows" and each.in_a_cell != "one of each"
]
"""Those whose labels are what happened to a row by itself, in the columns of every such problem;
test_soft_labels.py, test_tags.py and test_heads.py have the others."""
EXCEPTIONS = {
    "setup/detection/task.py": "says which type the labels look like: a decision between them",
    "metrics/registry.py": "says which types a metric suits, and its formula for each",
    "metrics/families.py": "the same for metrics with something in parentheses",
    "metrics/structured.py": "the same for metrics of tags and of several targets of classes",
    "setup/benchmarks.py": "says which type each benchmark is",
    "data/reading/conll.py": "the name of the column of tags, and of a header of such a file",
}
"""Files outside `problems/` that may name a type, and why."""


WORDS = {"text"}
"""Types called by a word that columns and files are called by, too: they count beside a problem."""


def names_in(source: str) -> list[str]:
    """The problem types that code names in comparisons, cases, keys, collections or results."""
    if not any(f'"{name}"' in source for name in TYPES):
        return []  # most files name none: nothing to look through
    nodes = list(ast.walk(ast.parse(source)))
    docs = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    asked = [node for node in nodes if isinstance(node, ast.Compare | ast.Match | ast.Subscript)]
    asked = [node for node in asked if "problem" in ast.unparse(node).partition("\n")[0]]
    beside = {id(each) for node in asked for each in ast.walk(node)}
    return [
        node.value
        for node in nodes
        if isinstance(node, ast.Constant)
        and node.value in TYPES
        and id(node) not in docs
        and (node.value not in WORDS or id(node) in beside)
    ]


def test_the_search_for_names_sees_every_way_to_compare_one():
    for code in (
        'problem == "binary"',
        'problem in ("binary", "x")',
        '{"binary": 1}[problem]',
        'match problem:\n    case "binary":\n        pass',
    ):
        assert names_in(code) == ["binary"], code
        assert names_in(code.replace("binary", "text")) == ["text"], code
    assert names_in('column == "text"') == []
    assert names_in('"""binary"""\nopen("binary.csv")') == []


def test_no_other_room_compares_the_name_of_a_problem():
    found = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        name = file.relative_to(PACKAGE).as_posix()
        if not name.startswith("problems/") and (said := names_in(file.read_text("utf-8"))):
            found[name] = said
    assert set(found) == set(EXCEPTIONS), found


def test_the_registry_is_quick_to_import():
    code = (
        "import sys\n"
        "import pipeline.problems.registry\n"
        "heavy = {'torch', 'transformers', 'pandas', 'scipy', 'sklearn', 'jsonargparse'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", NAMES)
def test_every_name_that_a_type_gives_stands_in_a_table(name):
    problem = problem_of(name)
    assert problem.name == name
    assert set(problem.refused_methods) <= set(METHODS)
    assert set(problem.value_checks) <= set(OWN)
    assert problem.copied_labels in COPIES
    assert problem.alone in MEASURES
    assert problem.spread in SPREADS
    assert problem.target_kind in ANSWERS


def test_every_entry_of_a_table_is_some_types():
    used = [set(), set(), set(), set()]
    for problem in TYPES.values():
        used[0] |= set(problem.value_checks)
        used[1] |= {problem.copied_labels}
        used[2] |= {problem.alone}
        used[3] |= {problem.spread}
    tables = [OWN, COPIES, MEASURES, SPREADS]
    assert used == [set(table) for table in tables]


def labels_of(name: str, targets: np.ndarray) -> list[list[str]]:
    """The texts that stand in a csv for *targets*."""
    task = task_of(name, fitting(name)[0])
    if task.classes:
        return [[task.classes[int(row[0])]] for row in targets]
    return [[repr(value) if name == "regression" else str(int(value)) for value in row.tolist()]
            for row in targets]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_texts_become_targets_and_targets_texts(name):
    problem, task = problem_of(name), task_of(name, fitting(name)[0])
    targets = truth_of(name, 30, 1 if problem.named_classes else 3)
    number_of = problem.reader(task)
    texts = labels_of(name, targets)
    np.testing.assert_array_equal([[number_of(text) for text in row] for row in texts], targets)
    shown = [problem.label_text(row, task.classes).split(", ") for row in targets]
    back = [[number_of(text) for text in row] for row in shown]
    np.testing.assert_allclose(np.array(back, dtype=float), targets, atol=1e-4)
    assert number_of("") == "no label"
    assert isinstance(number_of("certainly not"), str)


@pytest.mark.parametrize("name", NAMES)
def test_predictions_have_a_column_per_output_and_targets_expand_to_them(name):
    problem, task = problem_of(name), task_of(name, fitting(name)[0])
    columns = ["label"] if problem.named_classes else ["a", "b", "c"]
    targets = truth_of(name, 40, len(columns))
    predicted = member(name, targets, noise=0.5, seed=1)
    outputs = problem.outputs(columns, task.classes)
    assert predicted.shape == (40, len(outputs))
    expanded = problem.expand(targets, len(outputs))
    assert expanded.shape == predicted.shape
    assert (expanded.sum(axis=1) == 1).all() == problem.exclusive
    if problem.exclusive:
        np.testing.assert_array_equal(expanded.argmax(axis=1), targets[:, 0])
    labels = problem.as_labels(expanded, (0.0, 5.0))
    if not problem.numeric:
        np.testing.assert_array_equal(labels, expanded)
    if problem.named_classes:
        assert problem.by_class(predicted).shape == (40, len(task.classes))
        np.testing.assert_allclose(problem.by_class(predicted).sum(axis=1), 1)


@pytest.mark.parametrize("name", NAMES)
def test_stray_values_come_back_into_range_and_others_stay(name):
    problem = problem_of(name)
    targets = truth_of(name, 40, 1)
    predicted = member(name, targets, noise=0.2, seed=2)
    stray = predicted * 3 - 1
    kept = problem.within_range(stray, 0.001)
    if problem.numeric:
        np.testing.assert_array_equal(kept, stray)
        return
    assert kept.min() > 0
    assert kept.max() < 1
    if problem.exclusive:
        np.testing.assert_allclose(kept.sum(axis=1), 1)


@pytest.mark.parametrize("name", NAMES)
def test_scores_lead_back_to_the_predictions(name):
    problem = problem_of(name)
    predicted = member(name, truth_of(name, 40, 1), noise=0.5, seed=3)
    scores = problem.to_scores(predicted, 1e-6)
    np.testing.assert_allclose(problem.from_scores(scores), predicted)
    if not problem.numeric:
        assert scores.min() < 0


@pytest.mark.parametrize("name", NAMES)
def test_strata_tell_rows_apart_and_divisions_name_every_class(name):
    problem, task = problem_of(name), task_of(name, fitting(name)[0])
    columns = ["label"] if problem.named_classes else ["a", "b"]
    targets = truth_of(name, 200, len(columns))
    assert len(np.unique(problem.strata(targets, 5, 5))) > 1
    divisions = problem.divisions(targets, columns, task.classes)
    assert (divisions == []) == problem.numeric
    for division in divisions:
        assert division.class_of_row.shape == (200,)
        assert set(division.class_of_row) == set(range(len(division.names)))
    shares = problem.shares(targets, columns, task.classes)
    assert list(shares) == (task.classes or columns)
    if problem.named_classes:
        assert sum(shares.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "clues", "metric"),
    [
        ("regression", {"targets": 2}, "mcrmse"),
        ("regression", {"labels": ["1", "2", "3"]}, "qwk"),
        ("regression", {"labels": ["1", "2", "3"], "shown": ["1.5"]}, "rmse"),
        ("regression", {"labels": ["0.5"], "pairs": True, "bounded": True}, "pearson"),
        ("regression", {"labels": ["0.5"], "pairs": True}, "rmse"),
        ("binary", {"labels": ["0", "1"], "shown": ["0"]}, "f1"),
        ("binary", {"labels": ["0", "1"], "shown": ["0.5"]}, "auc"),
        ("binary", {"labels": ["0", "1"]}, "auc"),
        ("binary", {"labels": ["0", "1"], "shown": ["0.5"], "shown_columns": 2}, "log-loss"),
        ("multiclass", {}, "macro-f1"),
        ("multiclass", {"shown_columns": 4}, "log-loss"),
        ("multilabel", {"targets": 3, "shown_columns": 3}, "auc"),
    ],
)
def test_a_metric_is_suggested_that_fits(name, clues, metric):
    plain = {"targets": 1, "labels": ["a"], "pairs": False, "bounded": False}
    plain |= {"shown": [], "shown_columns": 1}
    found, reason = suggested(problem_of(name).looks_like(Clues(**{**plain, **clues})))
    assert found == metric
    assert reason.endswith(".")
    get_metric(found, task_of(name, found))  # raises where it does not fit


@pytest.mark.parametrize(
    ("name", "classes", "said"),
    [
        ("multiclass", ["a", "b"], "multiclass needs 3 or more"),
        ("binary", ["a", "b", "c"], "binary needs 2: negative, positive"),
        ("binary", [], "task.classes has 0 entries"),
    ],
)
def test_the_config_refuses_a_wrong_number_of_classes(name, classes, said):
    with pytest.raises(UsageError, match=said):
        TaskConfig(problem=name, metric="accuracy", classes=classes)


def test_a_type_that_is_like_another_is_scored_by_its_metrics(monkeypatch):
    monkeypatch.setitem(TYPES, "share", SHARE)
    assert fitting("share") == fitting("regression")
    task = TaskConfig(problem="share", metric="rmse")
    truth = np.array([[0.2], [0.6], [1.0]])
    assert get_metric("rmse", task).score(truth, truth - 0.1) == pytest.approx(0.1)
    with pytest.raises(UsageError, match="does not fit a share problem"):
        get_metric("f1", task)


def test_a_type_that_leaves_out_a_part_cannot_be_made():
    class Half(Problem):
        name = "half"

    with pytest.raises(TypeError, match="abstract"):
        Half()


def test_the_classes_of_the_toys_are_those_of_a_multiclass_problem():
    assert problem_of("multiclass").classes_problem(CLASSES) is None
