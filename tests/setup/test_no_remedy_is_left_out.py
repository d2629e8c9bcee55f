"""Whether any sentence that tells what to do is left out by the tests that do it.

The sources are read: a sentence that names a flag, or a field of a config, is quoted by one of the
tests `test_remedies*.py`, which do what it says; or by the test of its own room that stands with it
in IN_ITS_ROOM; or it stands in NOT_FOLLOWED with the reason why nobody follows it. A sentence of
the other rooms, which come after the ensemble, is quoted by some test.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path

from pipeline import init

PACKAGE = Path(init.__file__).resolve().parent
TESTS = Path(__file__).resolve().parents[1]
ROOMS = ("base", "data", "setup", "folds", "problems", "metrics", "models", "training", "oof")
ROOMS += ("ensemble", "team", "doctor")
COMMANDS = ("init.py", "cv.py")
FLAG = re.compile(r"(?:^|[ (`])--[a-z]")
FIELD = re.compile(r"(?<![\w{.])(?:data|columns|task|folds|submissions)\.[a-z]\w*")
JOINED = re.compile(r'"\s*\n\s*f?"')
"""Between two lines of one text."""
SHORTEST, LONGEST = 9, 24
"""Characters that a test must quote of a sentence: all of it, or so many."""
IN_ITS_ROOM = {
    "team/checks/test_checks.py": ["may be raw outputs of a sigmoid: --logits brings them"],
    "ensemble/test_command.py": [", as a file of it is decided, scores honest"],
    "team/test_reading.py": ["ids that stand in several of"],
    "training/parallel/test_scheduler.py": [
        "no Ray cluster at",
        "a fold is to get {}, and no node",
    ],
    "training/parallel/test_shares.py": ["this machine shows {} {}"],
    "training/test_averaging.py": [
        "runs is empty. Name finished runs",
        "was trained on other folds; train it anew",
        "bring that folder here from where the run was trained",
        "folds do not say what the file scores; a dev file (data.holdout) does",
    ],
    "training/test_disk_space.py": ["has room for {} more files (inodes)"],
    "oof/test_arrays.py": ["need {} on the disk of"],
    "oof/test_predictions.py": ["the tokenizer output changed"],
    "test_predict.py": ["What remains can predict: --members"],
    "models/test_row_transforms.py": [
        "it is about pairs, and columns.texts names",
        "set task.label_range, or",
    ],
    "models/transformer/test_losses.py": [
        "task.label_range is not set. Set it",
        "labels lie outside task.label_range",
    ],
    "models/test_first_stage.py": ["the config has no data.extra_train"],
}
"""Tests -> what they follow or ask for themselves, beside what it takes: a machine, a model."""
NOT_FOLLOWED = {
    "it takes a network, a cluster, a full disk, or memory that runs out": [
        "--cluster needs Ray",
        "restore it there: mlflow experiments restore",
        "A process is killed when memory runs out",
        "The kernel does that when memory runs out",
        "use another --root, or keep no weights",
        "are to stay free (--min-free-gb)",
        "cannot write {}: {}. Make the folder writable",
        "--from-hub needs the package datasets",
        "--from-hub loads a benchmark",
    ],
    "it takes weights of a backbone, or libraries of two versions": [
        "bring that folder here from where it was trained",
        "the weights in {} are not those of",
        "the loss is {} at step",
        "install the versions of the parts you want to keep",
        "networks side by side are drawn",
        "puts no token before a text",
    ],
    "a benchmark that there is not, and a list of names that there are": [
        "klue-mrc asks for a span",
        "--members {}: not in {}; {}",
    ],
    "no data are known that lead there": ["no folds can be made; another folds.seed may do"],
    "it takes folds with repeats, two folds alone, or a search in which every trial is pruned": [
        "a student is taught on folds without repeats",
        "is left to train a teacher on without two",
        "so there is nothing to confirm: widen the space",
    ],
    "what a bundle's papers say to do where it is taken": [
        "without a network Attach two data sets to this notebook",
        "%pip install --quiet --no-index",
        "!HF_HUB_OFFLINE=1 python",
        "# docker build -t predictions",
    ],
    "the field only says why, and what to do stands beside it": [
        "of a single row {} trained on in every fold and never scored (folds.rare)",
        "rows (data.short_sample): the submission has all",
        "lists the probabilities in the order of task.classes",
        "default: the first of columns.features",
    ],
    "a reason that a config or a page gives, not a remedy": [
        "Relative paths start at --root",
        "Further fields: repeats, bins",
        "--encoding FILE=NAME says otherwise",
        "Given by --names or --skip-broken",
        "The columns of --text, put together",
        "The texts that --template names",
        "Every field is an option of the other commands too",
        "(--task.submit changes that)",
        "As one class of {} instead",
        "so {}s are written, although the metric",
        "with --benchmark: load it by datasets",
        "the column of ids (of --test",
        "of FILE and --test, such as cp949",
        "Audit a team-mate's predictions on one page",
        "A proof for a run in doubt",
        "Write a run as one csv with a sidecar",
        "python -m pipeline.team challenge {} --answer",
        "is blended (--force) although",
        "Given by --",
        "see {} --help",
        "--notify {}: {}",
        "--method {}: {}",
        "--no-joins leaves them out.",
        "text files, which can be a table (--test)",
        "--help says more about each.",
        "as --model of pipeline.cv",
        "or a file with the text columns, below --root",
        "of --export",
        "with --export: weights in whole numbers, too",
        "training rows are answered by",
        "training rows keep their labels",
        "it is a student itself; --runs takes it",
        "--track {}",
        "left out (--quick)",
        "; --report refreshes it)",
        "there is no label range to clip to",
        "members with the most weight; --json has all",
        "tells the public and the private part apart",
        "- and {} more (--why)",
        "{} --runs {}",
        "nothing is trained: --dry-run",
        "every fold of it is trained",
        "a line for every finished fold too; --json has them",
        "give every fold its share of it",
    ],
    "the name of a choice, which stands in a sentence that is followed": [
        "--target COLUMN (repeatable)",
        "--classes HEAD=CLASS …",
        "--classes O 0 1 …",
        "--class-codes CLASS=CODE …",
        "--template TEXT",
    ],
}


def test_every_sentence_that_names_a_flag_or_a_field_is_followed():
    here = sorted(TESTS.rglob("*test_remedies*.py"))
    quoted = {"": "\n".join(text for path in here for text in texts(path))}
    for name in IN_ITS_ROOM:
        quoted[name] = "\n".join(texts(TESTS / name)).replace("\\", "")
    excused = [_plain(each) for group in NOT_FOLLOWED.values() for each in group]
    elsewhere = [(_plain(each), name) for name, own in IN_ITS_ROOM.items() for each in own]
    rooms = chain.from_iterable(sorted((PACKAGE / room).rglob("*.py")) for room in ROOMS)
    early = [*rooms, *(PACKAGE / name for name in COMMANDS)]
    later = sorted(set(PACKAGE.rglob("*.py")) - set(early))
    own = Path(__file__).name
    tests = (each for each in TESTS.rglob("test_*.py") if each.name != own)
    anywhere = "\n".join(JOINED.sub("", each.read_text(encoding="utf-8")) for each in tests)
    left, used = {}, set()
    for path in [*early, *later]:
        for sentence in texts(path):
            plain = _plain(sentence)
            if " " not in plain or not (FLAG.search(sentence) or FIELD.search(sentence)):
                continue  # the name of an option
            reasons = {each for each in excused if each in plain}
            there = {(each, name) for each, name in elsewhere if each in plain}
            reasons |= {each for each, name in there if followed(sentence, quoted[name])}
            used |= reasons
            if reasons or (path in later and in_pieces(sentence, anywhere)):
                continue
            if path in later or not followed(sentence, quoted[""]):
                left[sentence] = path.relative_to(PACKAGE).as_posix()
    assert left == {}, "write a case in test_remedies*.py, or say above why there is none"
    assert {*excused, *(each for each, _ in elsewhere)} - used == set(), "no sentence says so today"


def texts(path: Path) -> Iterator[str]:
    """The strings of a file, {} for what is put into them; docstrings are none."""
    every = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    inner = set()
    for node in every:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            inner.add(id(node.value))
        elif isinstance(node, ast.JoinedStr):
            inner |= {id(part) for part in ast.walk(node) if part is not node}
    for node in every:
        if id(node) in inner:
            continue
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(x.value) if isinstance(x, ast.Constant) else "{}" for x in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _plain(sentence: str) -> str:
    return " ".join(re.sub(r"\{\d*\}", "{}", sentence).split())


def followed(sentence: str, quoted: str) -> bool:
    """Whether tests quote all that stands between two gaps of a *sentence*, or enough of it; or a
    flag that stands in it and is no shorter than that."""
    return in_pieces(sentence, quoted) or any(each in sentence for each in flags(quoted))


@cache
def flags(quoted: str) -> list[str]:
    """The short lines of *quoted* that name one."""
    return [
        each
        for each in quoted.splitlines()
        if SHORTEST <= len(each) < LONGEST and FLAG.search(each)
    ]


def in_pieces(sentence: str, quoted: str) -> bool:
    """Whether *quoted* holds all that stands between two gaps of a *sentence*, or enough of it."""
    for piece in re.split(r"\{\w*\}", sentence):
        plain = " ".join(piece.split())
        starts = range(max(len(plain) - LONGEST, 0) + 1)
        if len(plain) >= SHORTEST and any(plain[at : at + LONGEST] in quoted for at in starts):
            return True
    return False
