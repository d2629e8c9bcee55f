"""What is told of rows, of what the learners said: the answer, how sure it is, who disagrees.

Numbers have a mean and a spread over all learners. Of pieces of texts (tags, answers in texts) and
of texts there is none, so how sure an answer is is told as the share of the learners that give the
same one alone.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.base import Competition
from pipeline.data import Table
from pipeline.data.candidates import Candidates
from pipeline.ensemble.predictor import Fitted
from pipeline.ensemble.texts.outcome import FittedTexts
from pipeline.submissions.build import answers

Said = Mapping[str, Sequence[Any]]
"""Member -> what each of its learners says of the rows of a table."""
Told = Iterator[dict[str, Any]]


def of_numbers(fitted: Fitted, competition: Competition, table: Table, said: Said) -> Told:
    """For each row: the answer's cells, the prediction, its spread, members, who disagrees."""
    means, outputs = _means(said), competition.outputs
    learners = [each for of_member in said.values() for each in of_member]
    spread = np.std(learners, axis=0, dtype=np.float64)
    predicted = _blended(fitted, competition, table, means)
    texts = answers(fitted, competition.task, table.ids.tolist(), predicted)
    apart = _apart(fitted, competition, predicted, means, spread_within(said))
    for row in range(len(table)):
        yield {
            "answer": {column: cells[row] for column, cells in texts.items()},
            "prediction": dict(zip(outputs, predicted[row].tolist(), strict=True)),
            "spread": dict(zip(outputs, spread[row].tolist(), strict=True)),
            "members": {
                name: values[row].tolist() for name, values in zip(said, means, strict=True)
            },
            "disagree": [name for name, far in zip(said, apart, strict=True) if far[row]],
        }


FAR = 2.0
"""Standard deviations."""


def spread_within(said: Said) -> np.ndarray:
    """(n, k) how far the learners of one member are spread, the root of the mean over members that
    have several: what all learners are spread by holds the members' own distance, beyond which two
    can never be. Where no member has several, that is taken all the same."""
    several = [each for each in said.values() if len(each) > 1] or [
        [one for each in said.values() for one in each]
    ]
    found: np.ndarray = np.sqrt(np.mean([np.var(each, axis=0) for each in several], axis=0))
    return found


def _means(said: Said) -> list[np.ndarray]:
    """(M,) of (n, k): added up in the order of the learners, as runs are."""
    return [
        np.asarray(np.sum(each, axis=0, dtype=np.float64) / len(each)) for each in said.values()
    ]


def _blended(
    fitted: Fitted, competition: Competition, table: Table, means: Sequence[np.ndarray]
) -> np.ndarray:
    rows = fitted.rows(means, table)
    found: np.ndarray = fitted.blend.predict(rows, competition.task.problem_type.name)
    return found


def _apart(
    fitted: Fitted,
    competition: Competition,
    predicted: np.ndarray,
    means: Sequence[np.ndarray],
    within: np.ndarray,
) -> list[np.ndarray]:
    """(M,) of (n,): whether a member would say something else. Of classes another label; of numbers
    one further from the blend than learners of one member usually are from each other."""
    problem, limits = competition.task.problem_type, fitted.limits
    if problem.numeric:
        return [(np.abs(each - predicted) > FAR * within).any(axis=1) for each in means]
    said = problem.as_labels(predicted, limits)
    return [(problem.as_labels(each, limits) != said).any(axis=1) for each in means]


def of_pieces(fitted: Fitted, competition: Competition, table: Table, said: Said) -> Told:
    """For each document: the pieces of its text, with places in it, and who finds others."""
    means = _means(said)
    predicted = fitted.decide(_blended(fitted, competition, table, means))
    found = _pieces(competition, table, predicted)
    members = [_pieces(competition, table, each) for each in means]
    learners = [_pieces(competition, table, each) for held in said.values() for each in held]
    column = competition.columns.targets[0]
    shown = _shown(table)
    for row, pieces in enumerate(found):
        yield {
            "text": shown[row],
            "answer": {column: pieces},
            **_agreed(said, pieces, [each[row] for each in members], [e[row] for e in learners]),
        }


def _shown(table: Table) -> list[str]:
    """The text of each document, in which its pieces have their places."""
    units, written = table.units, _written(table)
    assert units is not None, "rows are units"
    return ["".join(written[rows]) for rows in units.documents]


def _written(table: Table) -> list[str]:
    """Each unit with what stands behind it."""
    assert table.units is not None, "rows are units"
    pairs = zip(table.texts[:, 0].tolist(), table.units.after.tolist(), strict=True)
    return ["".join(pair) for pair in pairs]


def _pieces(
    competition: Competition, table: Table, predicted: np.ndarray
) -> list[list[dict[str, Any]]]:
    """The pieces in each document by what is *predicted* (n, k) of its units."""
    units, task = table.units, competition.task
    assert units is not None, "rows are units"
    problem, first = task.problem_type, units.first
    labels = problem.decode(predicted, first, task.classes)
    lengths = np.array([len(unit) for unit in table.texts[:, 0]])
    ends = np.cumsum(lengths + [len(each) for each in units.after])
    begins = ends - lengths - [len(each) for each in units.after]
    texts, written = table.texts[:, 0].tolist(), _written(table)
    found: list[list[dict[str, Any]]] = [[] for _ in units.documents]
    starts = [each.start for each in units.documents]
    for begin, end, kind in problem.pieces(labels, first, task.classes):
        document = int(units.number[begin])
        origin = int(begins[starts[document]])
        piece = {
            "start": int(begins[begin]) - origin,
            "end": int(begins[end] + lengths[end]) - origin,
            "text": "".join([*written[begin:end], texts[end]]),
        }
        found[document].append(piece | ({"label": kind} if kind else {}))
    return found


def of_texts(fitted: FittedTexts, competition: Competition, table: Table, said: Said) -> Told:
    """For each row: the text, each member's own and who would write another."""
    sets: list[Sequence[Candidates]] = list(said.values())
    taken = fitted.chosen(sets, competition).tolist()
    cells = competition.task.problem_type.texts(
        fitted.form, competition.task, np.array([*taken, None], dtype=object)[:-1], (0, 0)
    )
    for row, text in enumerate(taken):
        firsts = [[each.texts[row][0] for each in held] for held in sets]
        own = [Counter(each).most_common(1)[0][0] for each in firsts]
        yield {
            "answer": {column: each[row] for column, each in cells.items()},
            **_agreed(said, text, own, [one for each in firsts for one in each]),
        }


def _agreed(said: Said, answer: Any, own: list[Any], learners: list[Any]) -> dict[str, Any]:
    return {
        "agreement": sum(each == answer for each in learners) / len(learners),
        "members": dict(zip(said, own, strict=True)),
        "disagree": [name for name, each in zip(said, own, strict=True) if each != answer],
    }


WAYS: dict[str, Callable[..., Told]] = {
    "rows": of_numbers,
    "units": of_pieces,
    "spans": of_pieces,
    "texts": of_texts,
}
"""What is learnt (`Problem.learnt_as`) -> how it is told."""
