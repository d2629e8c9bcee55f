"""As in `test_remedies`, of what a config's fields can be: what is wrong is said with the way out.

A case is a toy competition, options that do not fit, the words of the remedy, and options that do
as it says: with them the config is read, the tables are, and a submission can be built.
"""

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import cv, init
from pipeline.base.command import run
from pipeline.data.tables import load
from pipeline.folds import __main__ as folds
from pipeline.metrics import get_metric
from pipeline.submissions.submission_file import try_submission
from tests.setup.test_remedies import SAMPLE, TEST, TRAIN, Change, assigned, both, changed
from tests.setup.test_remedies_of_configs import (
    NO_SAMPLE,
    first_words,
    listed,
    long_answers,
    tagged,
    two_targets,
)
from tests.test_shapes import competition, save


def topics(folder: Path) -> None:
    """Places in the titles, and a share of each of three classes."""
    for name in (TRAIN, TEST):
        assigned(name, first="0", last="2", body="a body")(folder)
    assigned(TRAIN, a="0.2", b="0.3", c="0.5")(folder)


def numbers(folder: Path) -> None:
    assigned(TRAIN, topic=[f"{row % 4}.{row % 9}" for row in range(60)], same="1")(folder)
    assigned(SAMPLE, topic="0.5")(folder)


def heads(folder: Path) -> None:
    """Two targets, and both in one column."""
    two_targets()(folder)
    changed(TRAIN, lambda frame: frame.assign(joined=frame["kind"] + "-" + frame["tense"]))(folder)


def tags(folder: Path) -> None:
    """Lists of units, the same as plain text, and a column that is no list."""
    both(tagged, listed)(folder)
    for name in (TRAIN, TEST):
        assigned(name, plain="Bo saw Rome !", gap="no")(folder)


def inside(folder: Path) -> None:
    """The answer is the first word of the title."""
    changed(TRAIN, first_words)(folder)
    (folder / SAMPLE).unlink()


FLAGS: dict[Change, str] = {inside: "--problem span --target topic --text title"}
"""With which init is asked."""


def entity(text: str = "title", mark: str = "@ {text} @") -> str:
    asked = {"text": text, "start": "first", "end": "last", "end_is": "after", "mark": mark}
    return f"--columns.entities '{json.dumps([asked])}'"


def files(**more: object) -> str:
    return f"--data.files '{json.dumps([{'file': 'data/train.csv', **more}])}'"


def join(**other: object) -> str:
    asked = {"file": "data/test.csv", "to": ["test"], "key": "id", "columns": ["body"]}
    asked |= {"prefix": "their_"}
    return f"--data.joins '{json.dumps([asked | other])}'"


MARKED = """--columns.template '["{title!marked}"]'"""
SHARES = f"--task.problem soft-labels --task.metric log-loss --columns.targets [a,b,c] {NO_SAMPLE}"
SEVERAL = "--task.problem multilabel --task.metric macro-f1"
HEADS = "--task.classes [kind=fact,kind=guess,tense=now,tense=past]"
TAGS = "--task.classes [O,B-LC,B-PS]"
# toy, options, the words of the remedy, options
FIELDS: list[tuple[Change, str, str, str]] = [
    # data and columns
    (topics, '--data.files \'[{"file": "x.csv"}]\'', "is none of the files of data", files()),
    (
        topics,
        files(names=["id", "id"]),
        "have a name twice; give each column one of its own",
        files(),
    ),
    (
        topics,
        "--columns.texts [title,body,id]",
        "expected 1 (single sentences) or 2 (pairs)",
        "--columns.texts [title,body]",
    ),
    (
        topics,
        "--columns.texts [title,body,id]",
        "or a columns.template that puts them together",
        """--columns.texts [title,body,id] --columns.template '["{title} {body} {id}"]'""",
    ),
    (topics, entity(), "write {title!marked} in the template", f"{entity()} {MARKED}"),
    (topics, entity("titel"), "which columns.texts does not have", f"{entity()} {MARKED}"),
    (
        topics,
        entity(mark="@"),
        "columns.entities: mark is '@'; expected {text} once",
        f"{entity()} {MARKED}",
    ),
    (topics, "--columns.targets []", "name the column to predict", "--columns.targets [topic]"),
    (topics, "--columns.question title", "leave columns.question out", ""),
    # classes
    (
        topics,
        "--task.class_codes [a,b]",
        "name what is written for each of task.classes",
        "--task.class_codes [art,money,state]",
    ),
    (
        topics,
        "--task.classes [art,art,money,state]",
        "names a class twice; name each class once",
        "",
    ),
    (
        topics,
        "--task.classes [art,money]",
        "multiclass needs 3 or more: name all, or set task.problem",
        "",
    ),
    (topics, "--task.classes [art,money,sport]", "a class that is not in task.classes", ""),
    (
        topics,
        "--task.separator ','",
        "task.problem must be multilabel",
        f"{SEVERAL} --task.separator ','",
    ),
    (
        topics,
        f"{SEVERAL} --task.separator ',' --task.classes [art,money]",
        "a label that is not in task.classes",
        f"{SEVERAL} --task.separator ','",
    ),
    (
        topics,
        "--task.metric 'macro-f1(sport)'",
        "expected classes that do not count, of task.classes",
        "--task.metric 'macro-f1(art)'",
    ),
    (topics, "--columns.targets [topic,title]", "has one, or one of 0 and 1 per class", ""),
    # numbers
    (
        numbers,
        "--task.label_range [5,0]",
        "the first must be the smaller",
        "--task.label_range [0,5]",
    ),
    (
        numbers,
        "--task.label_range [0,1]",
        "where they are right, widen task.label_range",
        "--task.label_range [0,5]",
    ),
    (
        numbers,
        "--task.label_range [0,1]",
        "a label outside task.label_range",
        "--task.label_range [0,5]",
    ),
    (numbers, "--task.label_range [0,1]", "or set it to null", "--task.label_range null"),
    # several targets
    (
        heads,
        "--columns.targets [joined]",
        "set task.separator to what parts",
        "--columns.targets [joined] --task.separator=-",
    ),
    (
        heads,
        "--columns.targets [tense,kind]",
        "expected a column per head of task.classes, in their order",
        "--columns.targets [kind,tense]",
    ),
    (
        heads,
        "--task.classes [kind=fact,tense=now,kind=guess,tense=past]",
        "in several places; name the classes head by head",
        HEADS,
    ),
    (heads, "--task.classes [kind=fact,tense=now,tense=past]", "; name the others too", HEADS),
    (
        heads,
        "--task.classes [kind=fact,kind=guess]",
        "So set task.problem to multiclass, or name the other heads",
        HEADS,
    ),
    # tags
    (
        tags,
        "--task.separator ','",
        "; for tags it can be spans, where cells list",
        "--task.separator null",
    ),
    (tags, "--task.classes [O]", "has O and at least one other tag", TAGS),
    (tags, "--task.classes [O,B-LC,S-PS]", "write them as IOB2 (B- where an entity begins", TAGS),
    (tags, "--task.classes [O,B-LC,PS]", "write all of them with B- and I-, or none", TAGS),
    (
        tags,
        "--task.classes [O,B-LC,B-PS,I-DT]",
        "but no B-DT: name that too",
        f"{TAGS[:-1]},B-DT,I-DT]",
    ),
    (tags, "--task.classes [O,B-LC]", "a tag that is not in task.classes", TAGS),
    (
        tags,
        "--columns.texts [plain]",
        "Set columns.unit to character or word where cells are plain",
        "--columns.texts [plain] --columns.unit word",
    ),
    (tags, "--columns.texts [plain]", "no list of units (columns.unit is given)", ""),
    (
        tags,
        "--columns.space_after gap",
        "or set columns.space_after to null",
        "--columns.space_after null",
    ),
    # answers
    (long_answers, "--task.classes [a,b]", "a text has no classes: leave them out", ""),
    (long_answers, "--columns.targets [topic,title]", "a text problem has one, of answers", ""),
    (inside, "--task.classes [a,b]", "leave them out of a span problem", ""),
    (
        inside,
        "--columns.targets [topic,id,title]",
        "expected the column of the answer, and",
        "--columns.targets [topic]",
    ),
    # shares
    (
        topics,
        SHARES,
        "leave them out: soft-labels have a column of columns.targets",
        f"{SHARES} --task.classes []",
    ),
    # tables beside the rows
    (topics, join(to=[]), "is empty; expected one of train", join()),
    (topics, join(columns=[]), "is empty; expected the columns that the rows get", join()),
    (topics, join(spans="word"), "has spans; expected text, the column they are of", join()),
    (
        numbers,
        files(numbers={"topic": "12,50"}),
        "data.files: numbers of 'topic' in 'data/train.csv': '12,50' is no way to write 1234.5",
        files(numbers={"topic": "1,234.5"}),
    ),
    # folds
    (topics, "--folds.whole 2", "; it must be from 0 to 1", "--folds.whole 1"),
    (
        topics,
        "--folds.file x.csv --folds.repeats 2",
        "one assignment; set folds.repeats to 1",
        "--folds.file x.csv --folds.repeats 1",
    ),
]


def dry(argv: list[str]) -> int:
    """A run that trains nothing, of the learner of words."""
    return cv.main([*argv, "--model", "linear", "--dry-run"])


def readable(argv: list[str]) -> int:
    """The config, its tables and a dry submission."""
    options = folds.parser()
    args = options.read(argv)
    asked = options.competition(args)
    tables = load(asked, Path(args.root))
    try_submission(asked, tables, get_metric(asked.task.metric, asked.task, Path(args.root)))
    return 0


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Change], list[str]]:
    """Toy -> the options that name its config, which init has written; made where it is asked."""
    made: dict[Change, list[str]] = {}

    def of(toy: Change) -> list[str]:
        if toy not in made:
            root = tmp_path_factory.mktemp("toy")
            train, test, rows = competition(root / "data")
            save(root / "data", train=train, test=test, sample_submission=rows)
            toy(root / "data")
            asked = [str(root / "data"), "--root", str(root), "--name", "toy"]
            assert run(init.main, [*asked, *FLAGS.get(toy, "").split()]) == 0
            made[toy] = ["--root", str(root), "--config", str(root / "configs" / "toy.yaml")]
        return made[toy]

    return of


@pytest.mark.parametrize(
    ("toy", "asked", "said", "remedy"),
    FIELDS,
    ids=[f"{n} {x[2][:30]}" for n, x in enumerate(FIELDS)],
)
def test_a_field_that_does_not_fit_says_what_it_takes(toys, capsys, toy, asked, said, remedy):
    where = toys(toy)
    capsys.readouterr()
    assert run(readable, [*where, *shlex.split(asked)]) in (2, 3)
    message = " ".join(capsys.readouterr().err.split())
    assert said in message
    assert "Traceback" not in message
    assert run(readable, [*where, *shlex.split(remedy)]) == 0, capsys.readouterr().err


def test_rows_of_marked_entities_are_changed_by_what_knows_them_or_not_at_all(toys, capsys):
    where = [*toys(topics), *shlex.split(f"{entity()} {MARKED}")]
    assert run(dry, [*where, "--set", "rows=[aeda]"]) == 2
    assert "it changes texts, and columns.entities are places in them" in capsys.readouterr().err
    assert run(dry, [*where, "--set", "rows=[]"]) == 0, capsys.readouterr().err
