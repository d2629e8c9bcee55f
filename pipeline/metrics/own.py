"""A metric of the user's own: a function in a file of theirs, named as `module:function`.

Their code is run because they named it, and only then. The names of its parameters say what it
wants: two of any name get float64 arrays, each (n,) where it has one column and (n, k) otherwise;
`table` gets the rows of the labelled file as a DataFrame as well; `solution` and `submission` get
two DataFrames, as the metrics that Kaggle publishes do. It returns a number; larger is better
unless the function has an attribute greater_is_better = False.

A function that only computes a metric of the table is that metric: it is asked on tables of made-up
rows (`tables_like`), and where it says what one of ours says on all of them, it is treated as
that one: the same fast ways, decisions and errors, so the same answers.
"""

import hashlib
import importlib
import inspect
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import combinations
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pipeline.base import UsageError, generator
from pipeline.base.config import TaskConfig
from pipeline.data.table import Targets
from pipeline.metrics.formulas import MetricError, Score
from pipeline.metrics.registry import METRICS, fitting


class Calls(Protocol):
    """Told of every call of a user's function."""

    def expect(self, calls: int) -> None:
        """About so many are to come in all."""

    def one_more(self) -> None:
        """One is about to be made."""


CALLS: ContextVar[Calls | None] = ContextVar("calls", default=None)
"""Who is told, for a line about the time left (`ensemble.__main__`)."""


SHAPES = (
    "def score(y_true, y_pred), def score(y_true, y_pred, table) or "
    "def score(solution, submission, row_id_column_name)"
)


def own_score(name: str, function: Callable[..., Any]) -> Score:
    """The score by a user's *function* of arrays or tables."""
    if getattr(function, "per_document", False):
        raise UsageError(
            f"the metric {name} has per_document = True, but only tags, answers in a text and "
            "texts have documents: take the line away"
        )
    return once(name, _call_of(name, function))


def once(name: str, call: Callable[[np.ndarray, np.ndarray], Any]) -> Score:
    """The score by *call*, each different call made once."""
    known: dict[bytes, float | MetricError] = {}

    def score(truth: np.ndarray, guess: np.ndarray) -> float:
        asked = hashlib.blake2b(_bytes(truth), digest_size=16)
        asked.update(_bytes(guess))
        if isinstance(truth, Targets) and truth.file is not None:
            asked.update(truth.places.tobytes() + str(id(truth.file)).encode())
        if (found := known.get(asked.digest())) is None:
            if (told := CALLS.get()) is not None:
                told.one_more()
            try:
                found = number(name, call(truth, guess))
            except MetricError as error:
                found = error
            known[asked.digest()] = found
        if isinstance(found, MetricError):
            raise found
        return found

    return score


def _bytes(values: np.ndarray) -> bytes:
    if values.dtype == object:  # texts, or their references
        return repr(values.tolist()).encode("utf-8", "surrogatepass")
    return np.asarray(values).tobytes()


def parameters(function: Callable[..., Any]) -> list[str]:
    """What its parameters are called."""
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # compiled: it does not say
        return []


def _call_of(name: str, function: Callable[..., Any]) -> Callable[[np.ndarray, np.ndarray], Any]:
    """What calls *function* with what its parameters are called after."""
    asked = parameters(function)
    of_tables = "solution" in asked or "submission" in asked

    def call(truth: np.ndarray, guess: np.ndarray) -> Any:
        given: dict[str, Any] = {}
        flat: list[Any] = [
            each[:, 0] if each.shape[1] == 1 else each
            for each in (np.asarray(truth, np.float64), guess)
        ]
        if of_tables or "table" in asked:
            table = truth.rows() if isinstance(truth, Targets) else None
            if table is None:
                raise MetricError("it looks at the rows of the labelled file, and these are others")
            given = {"table": table}
            if of_tables:
                flat, given = [], _as_kaggle(truth, table, guess)
                given = {key: value for key, value in given.items() if key in asked}
        held = given.get("table", given.get("solution"))
        told = "" if held is None else f"Its table has the columns {', '.join(held.columns)}. "
        with theirs(name, f"{told}Mend the function; it may be one of: {SHAPES} (docs/metrics.md)"):
            return function(*flat, **given)

    return call


@contextmanager
def theirs(name: str, advice: str) -> Iterator[None]:
    """While the user's code of the metric *name* runs: what it raises means that there is no score
    (MetricError), or that the code has to change (UsageError, with *advice*)."""
    try:
        yield
    except (ArithmeticError, ValueError) as error:
        raise MetricError(f"it raised {type(error).__name__}: {error}") from error
    except Exception as error:  # whatever it is
        raise UsageError(
            f"the metric {name} raised {type(error).__name__}: {error}. {advice}"
        ) from error


def _as_kaggle(truth: np.ndarray, table: Any, guess: np.ndarray) -> dict[str, Any]:
    """The arguments of a metric in Kaggle's form: ids and labels, ids and predictions."""
    import pandas as pd

    assert isinstance(truth, Targets), "it has a table"
    file = truth.file
    assert file is not None
    submission = pd.DataFrame(guess, columns=list(file.outputs))
    submission.insert(0, file.id_column, table[file.id_column])
    return {
        "solution": table,
        "submission": submission,
        "row_id_column_name": file.id_column,
    }


def find(name: str, root: Path) -> Callable[..., Any]:
    """The function called *name*, which is looked for in *root*."""
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name:
        raise UsageError(f"the metric {name!r} is not module:function")
    place = str(root.resolve())
    sys.path.insert(0, place)
    try:
        importlib.invalidate_caches()
        module = importlib.import_module(module_name)
    except Exception as error:  # a missing module, or anything that importing theirs runs into
        raise UsageError(
            f"the metric {name!r} cannot be imported: {type(error).__name__}: {error}. "
            f"Expected {module_name.replace('.', '/')}.py in {place}, or an installed module"
        ) from error
    finally:
        sys.path.remove(place)
    function = getattr(module, function_name, None)
    if not callable(function):
        there = [key for key, value in vars(module).items() if callable(value) and key[0] != "_"]
        raise UsageError(
            f"the metric {name!r}: {module.__file__} has no function {function_name!r}; "
            f"it has: {', '.join(there) or 'none'}"
        )
    return function


def number(name: str, value: Any) -> float:
    """What a function returned; UsageError where it is no number."""
    try:
        score = float(value)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"the metric {name} returned {type(value).__name__}, expected a number; one that is "
            "made for one document (tags, spans, texts) says so: "
            f"{name.partition(':')[2]}.per_document = True"
        ) from error
    if not math.isfinite(score):
        raise MetricError(f"it returned {score}")
    return score


# Is it a metric that we know?


TABLES, ENOUGH = 12, 6  # made-up tables it is asked on, and those on which both must have a value
CLASSES_NAMED = 50  # classes, up to which F1 without one of them is among what it may be
CLOSE = 1e-9  # share of a score that adding up in another order may change


def names_it_may_be(task: TaskConfig) -> Iterator[str]:
    """Metrics of such a task by name, the usual ones first; some of them with something in
    parentheses."""
    known = fitting(task.problem)
    yield from known
    kind = task.problem_type
    if kind.target_kind == "flags":
        yield from ("f-beta(0.5)", "f-beta(2)")
    if kind.exclusive:
        yield from (f"{name}({k})" for name in ("map", "top-accuracy") for k in (2, 3, 5))
        if len(task.classes) <= CLASSES_NAMED:
            averages = ("micro", "macro", "weighted")
            yield from (f"{each}-f1({name})" for name in task.classes for each in averages)
    alike = [(METRICS[name].needs, METRICS[name].greater_is_better) for name in known]
    for one, other in combinations(range(len(known)), 2):
        if alike[one] == alike[other]:
            yield f"mean({known[one]}, {known[other]})"


def sign_between(own: Score, known: Score, tables: Sequence[tuple[np.ndarray, np.ndarray]]) -> int:
    """1 where *own* says what *known* says on all *tables* on which both have a value, -1 where it
    says its negative, else 0."""
    sign = met = 0
    for truth, guess in tables:
        try:
            mine, theirs = own(truth, guess), known(truth, guess)
        except (MetricError, UsageError):
            continue
        near = [each for each in (1, -1) if math.isclose(mine, each * theirs, rel_tol=CLOSE)]
        sign, met = sign or (near or [0])[0], met + 1
        if sign not in near:
            return 0
    return sign if met >= ENOUGH else 0


def tables_like(task: TaskConfig, k: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Targets and raw predictions (n, k) of made-up rows as a *task* may have them: rare and
    frequent labels, good and bad models, sure ones, numbers outside of the labels' range."""
    return [_table(task, k, place) for place in range(TABLES)]


def _table(task: TaskConfig, k: int, place: int) -> tuple[np.ndarray, np.ndarray]:
    kind, random = task.problem_type, generator(0, "a made-up table", place)
    n, noise = max(60 + 7 * place, 4 * k), (0.5, 1.0, 2.0)[place % 3]
    if kind.numeric:
        low, high = task.label_range or (0.0, 4.0)
        drawn = random.uniform(low, high, size=(n, k))
        truth = np.rint(drawn) if place % 2 else drawn  # for a metric of whole numbers, too
        spread = (high - low) / 4 * noise * random.uniform(0.5, 1.5, size=k)
        moved = (high - low) * (place % 4 == 3)
        return truth, truth + spread * random.normal(size=(n, k)) + moved
    blocks = kind.blocks(k)
    if not blocks:
        truth = (random.random((n, k)) < random.uniform(0.15, 0.6, size=k)) * 1.0
        leaning = 2 * truth - 1 + noise * random.normal(size=(n, k))
        return truth, np.clip(1 / (1 + np.exp(-3 * leaning)), 1e-6, 1 - 1e-6)
    truth, guess = np.zeros((n, k)), np.zeros((n, k))
    for block in blocks:
        c = block.stop - block.start
        classes = random.choice(c, size=n, p=random.dirichlet(np.full(c, 3.0)))
        classes[:c] = np.arange(c)  # every one occurs
        truth[:, block] = np.eye(c)[classes]
        leaning = 2 * truth[:, block] + noise * random.normal(size=(n, c))
        chance = np.clip(np.exp(1.5 * leaning - 1.5 * leaning.max(axis=1, keepdims=True)), 1e-6, 1)
        guess[:, block] = chance / chance.sum(axis=1, keepdims=True)
    if kind.target_kind == "shares":
        return random.dirichlet(np.full(k, 0.7), size=n), guess
    return (truth.argmax(axis=1)[:, None] * 1.0 if kind.target_kind == "classes" else truth), guess
