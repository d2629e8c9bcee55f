"""Functions of one's own that score tags, answers in texts and texts: two lists, or document by
document. Those for numbers and classes are in test_metric."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline import bundle, cv, init, rebuild
from pipeline.base import UsageError
from pipeline.base.command import run
from pipeline.base.config import TaskConfig
from pipeline.ensemble import __main__ as ensemble
from pipeline.metrics import Draws, MetricError, get_metric, resampled_gains
from pipeline.problems.span import targets_of
from tests import test_tags, test_texts
from tests.nightly import every
from tests.reading_comprehension import asked, write_squad

BODY = """
from pipeline.metrics.texts.scores import rouge_l, words
from pipeline.metrics.spans import over_references, squad_normal

def right_units(y_true, y_pred):
    assert isinstance(y_true[0], list) and isinstance(y_pred[0][0], str)
    units = [a == b for one, other in zip(y_true, y_pred) for a, b in zip(one, other)]
    return sum(units) / len(units)

def wrong_units(y_true, y_pred):
    return 1 - right_units(y_true, y_pred)

wrong_units.greater_is_better = False

def right_document(y_true, y_pred):
    assert isinstance(y_true, list) and isinstance(y_pred, list)
    return sum(a == b for a, b in zip(y_true, y_pred))

right_document.per_document = True

def wrong_document(y_true, y_pred):
    return len(y_true) - right_document(y_true, y_pred)

wrong_document.per_document = True
wrong_document.greater_is_better = False

exact = over_references(squad_normal, lambda answer, right: float(answer == right))

def exact_answer(y_true, y_pred):
    assert isinstance(y_true, list) and isinstance(y_pred, str)
    return exact(y_pred, tuple(y_true))

exact_answer.per_document = True

def exact_answers(y_true, y_pred):
    return sum(map(exact_answer, y_true, y_pred)) / len(y_true)

rouge = rouge_l(words)

def rouge_of_all(y_true, y_pred):
    assert isinstance(y_true[0], list) and isinstance(y_pred[0], str)
    return rouge.rows(y_true, y_pred)[:, 0].mean()

def rouge_of_one(y_true, y_pred):
    return rouge.rows([y_true], [y_pred])[0, 0]

rouge_of_one.per_document = True

def off_of_one(y_true, y_pred):
    return 1 - rouge_of_one(y_true, y_pred)

off_of_one.per_document = True
off_of_one.greater_is_better = False

def off_of_all(y_true, y_pred):
    return 1 - rouge_of_all(y_true, y_pred)

off_of_all.greater_is_better = False

def fails(y_true, y_pred):
    raise ValueError("not so")

def fails_for_one(y_true, y_pred):
    raise ValueError("not so")

fails_for_one.per_document = True

def breaks(y_true, y_pred):
    return y_true.shape

def a_list(y_true, y_pred):
    return [1.0 for _ in y_true]

def of_tables(y_true, y_pred, table):
    return 1.0
"""
TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
ROWS = 24


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("own")
    (root / "own_of_documents.py").write_text(BODY, encoding="utf-8")
    yield root
    sys.modules.pop("own_of_documents", None)


def data(problem: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets, predictions, and the document of each row."""
    random = np.random.default_rng(2)
    if problem == "text":
        truth, said = np.empty(ROWS, dtype=object), np.empty(ROWS, dtype=object)
        for row in range(ROWS):
            words = [" ".join(random.choice(list("abcdef"), size=6)) for _ in range(3)]
            truth[row], said[row] = tuple(words[:2]), words[2]
        return truth, said, np.arange(ROWS)
    if problem == "span":
        texts = [targets_of("the cat sat", [(4, 7), (8, 11)][: 1 + row % 2]) for row in range(ROWS)]
        truth = np.concatenate(texts)
        return truth, random.random((len(truth), 3)) * (1, 1, 0.3), np.repeat(np.arange(ROWS), 11)
    tags = random.integers(len(TAGS), size=ROWS * 6)
    truth = np.column_stack([tags, np.tile(np.arange(6), ROWS)]).astype(float)
    return truth, random.dirichlet(np.ones(len(TAGS)), len(truth)), np.repeat(np.arange(ROWS), 6)


def metric_of(problem: str, name: str, root: Path):
    classes = list(TAGS) if problem == "tags" else []
    task = TaskConfig(problem=problem, metric=name, classes=classes)
    return get_metric(name, task, root)


SAME = [
    ("tags", "right_units", "accuracy", 1, 0),
    ("tags", "wrong_units", "accuracy", -1, 1),
    ("span", "exact_answer", "exact-match", 1, 0),
    ("span", "exact_answers", "exact-match", 1, 0),
    ("text", "rouge_of_all", "rouge-l", 1, 0),
    ("text", "rouge_of_one", "rouge-l", 1, 0),
    ("text", "off_of_all", "rouge-l", -1, 1),
    ("text", "off_of_one", "rouge-l", -1, 1),
]


@pytest.mark.parametrize(("problem", "name", "known", "sign", "base"), SAME)
def test_a_function_of_documents_gives_what_the_same_metric_gives(
    home, problem, name, known, sign, base
):
    own, built_in = (
        metric_of(problem, f"own_of_documents:{name}", home),
        metric_of(problem, known, home),
    )
    truth, said, document = data(problem)
    assert own.score(truth, said) == pytest.approx(base + sign * built_in.score(truth, said))
    assert own.gain(truth, said) == pytest.approx(sign * own.score(truth, said))
    draws = Draws.over(document, 3, 200)
    drawn, expected = (resampled_gains(each, truth, said, draws) for each in (own, built_in))
    assert drawn.std() == pytest.approx(expected.std(), rel=0.5)
    if own.row_sums:
        assert drawn == pytest.approx(expected - (base if sign < 0 else 0)), "the very same draws"
    if problem == "text":
        pair = ["a b c", "a b", "c d"]
        utilities = [each.formula.texts.between(pair) for each in (own, built_in)]
        assert utilities[0] == pytest.approx(utilities[1] - (base if sign < 0 else 0))


@pytest.mark.parametrize(("name", "sign"), [("right_document", 1), ("wrong_document", -1)])
def test_a_function_that_is_called_document_by_document_is_the_mean_over_them(home, name, sign):
    own = metric_of("tags", f"own_of_documents:{name}", home)
    truth, said, document = data("tags")
    right = own.labels(truth, said)[:, 0] == truth[:, 0]
    each = np.bincount(document, weights=right if sign > 0 else ~right)
    assert own.score(truth, said) == pytest.approx(each.mean())
    assert own.row_sums is not None
    terms, finish = own.row_sums(truth, said)
    assert float(finish(terms.sum(axis=0))) == pytest.approx(own.gain(truth, said))
    assert own.score(truth[:30], said[:30]) == pytest.approx(each[:5].mean())


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("fails", MetricError, "it raised ValueError: not so"),
        ("fails_for_one", UsageError, "per_document = True and no value for a document"),
        ("breaks", UsageError, "raised AttributeError.*it gets two lists"),
        ("a_list", UsageError, r"returned list, expected a number.*a_list.per_document = True"),
        ("of_tables", UsageError, "asks for table, but of .* a function gets two lists"),
    ],
)
@pytest.mark.parametrize("problem", ["tags", "text"])
def test_a_function_of_documents_that_fails_says_how(home, problem, name, kind, message):
    truth, said, _ = data(problem)
    with pytest.raises(kind, match=message):
        metric_of(problem, f"own_of_documents:{name}", home).score(truth, said)


def test_numbers_have_no_documents(home):
    with pytest.raises(UsageError, match="only tags, answers in a text and texts have documents"):
        metric_of("regression", "own_of_documents:right_document", home)


# From files to a submission: the same blend as by the metric that the function imitates.


def tags(root: Path) -> list[str]:
    test_tags.competition(root, "accuracy")
    return ["--root", str(root), "--config", str(root / "names.yaml")]


def spans(root: Path) -> list[str]:
    (root / "letters").mkdir()
    rows = [asked(number, unanswered=0.25) for number in range(36)]
    write_squad(root / "letters" / "train.json", rows)
    tests = [asked(number, unanswered=0.25) for number in range(36, 42)]
    write_squad(root / "letters" / "test.json", tests, labelled=False)
    sample = {row.name: "" for row in tests}
    (root / "letters" / "sample_submission.json").write_text(json.dumps(sample), encoding="utf-8")
    given = ["--folds", "3", "--root", str(root), "--metric", "exact-match"]
    assert run(init.main, [str(root / "letters"), *given]) == 0
    return ["--root", str(root), "--config", str(root / "configs" / "letters.yaml")]


def texts(root: Path) -> list[str]:
    test_texts.competition(root)
    given = ["--root", str(root), "--name", "facts", "--metric", "rouge-l", "--folds", "3"]
    assert run(init.main, [*given, str(root)]) == 0
    return ["--root", str(root), "--config", str(root / "configs" / "facts.yaml")]


CRF = ["crf", "--set", "iterations=15"]
WAYS = [
    (tags, "accuracy", "right_units", [CRF, [*CRF, "--set", "window=1"]]),
    (spans, "exact-match", "exact_answer", [CRF, [*CRF, "--set", "window=1"]]),
    (texts, "rouge-l", "off_of_all", [["nearest"], ["nearest", "--set", "char_ngrams=[1, 1]"]]),
]


@pytest.mark.parametrize(("made", "known", "name", "members"), every(3, WAYS))
def test_the_whole_way_by_own_lists(home, tmp_path, capsys, made, known, name, members):
    where = made(tmp_path)
    shutil.copy(home / "own_of_documents.py", tmp_path)
    own = ["--task.metric", f"own_of_documents:{name}"]
    for member in members:
        assert run(cv.main, [*where, *own, "--model", *member]) == 0
    capsys.readouterr()
    assert run(ensemble.main, [*where, *own, "--method", "greedy", "--json"]) == 0
    ours = json.loads(capsys.readouterr().out)
    other = ["--task.metric", known, "--method", "greedy", "--json", "--dry-run"]
    assert run(ensemble.main, [*where, *other]) == 0
    theirs = json.loads(capsys.readouterr().out)
    turned = name == "off_of_all"
    for key in ("honest", "in_sample"):
        score = theirs["scores"][key]
        assert ours["scores"][key] == pytest.approx(1 - score if turned else score)
    assert ours["blend"] == theirs["blend"]
    low, high = ours["scores"]["interval_95"]
    assert low <= ours["scores"]["gain_over_best_single"] <= high
    (record,) = (tmp_path / "submissions").glob("*-greedy.json")
    assert json.loads(record.read_text(encoding="utf-8"))["config"]["task"]["metric"] == own[1]
    assert run(rebuild.main, [str(record.with_suffix(".csv")), "--root", str(tmp_path)]) == 0
    if made is texts:
        place = ["--root", str(tmp_path), "-o", str(tmp_path / "b")]
        assert run(bundle.main, [str(record.with_suffix(".csv")), *place]) == 2
        assert "your own function, which a bundle does not hold" in capsys.readouterr().err
