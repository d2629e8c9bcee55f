"""An answer that stands in the text: reading comprehension, extraction of a piece of a tweet.

A text is a document, its characters are the rows (`Problem.units`). The answer is a run of them, or
there is none. What a learner says of a character is how likely the answer begins there and how
likely it ends there; over a text each sums to one less the chance that there is no answer, which
stands beside every character of the text, so that members that cut texts in unlike ways are blended
character by character. The blend is decoded once, last (`decode`).

Targets are (n, 4): where answers begin and where they end (several references: the first is bit 1,
the second bit 2 …), the character's number in Unicode (0 where there is none), and its place in its
text, so that whoever has the targets of some whole texts can read the references. Predictions are
(n, 3): begins here, ends here, no answer.
"""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import ClassVar
from zlib import crc32

import numpy as np

from pipeline.problems.form import Form, Sample, refuse
from pipeline.problems.label_texts import Reader
from pipeline.problems.problem import Clues, Piece, Problem, Task
from pipeline.problems.regression import number_strata

STARTS, ENDS, CHARACTER, PLACE = range(4)
"""Columns of targets."""
BEGINS, STOPS, NONE = range(3)
"""Columns of predictions."""
MOST = 50
"""References of a text: bits of a float64."""
SURE = 1 - 1e-9
"""Highest chance of no answer: what is above it, by whole numbers, is the longest answer."""
CELLS = 2**21
"""Of texts that are decoded at once."""


# References: runs of rows.


@dataclass(frozen=True)
class References:
    """The answers that count as right in d texts, r of them in all."""

    document: np.ndarray
    """(r,) the number of each one's text, ascending."""
    begin: np.ndarray
    """(r,) its first row."""
    end: np.ndarray
    """(r,) its last row."""

    @classmethod
    def of(cls, targets: np.ndarray) -> "References":
        """Those that the targets (n, 4) of whole texts tell."""
        number = np.cumsum(targets[:, PLACE] == 0) - 1
        begun = {key: row for row, key in _bits(targets[:, STARTS], number)}
        found = [(key, begun[key], row) for row, key in _bits(targets[:, ENDS], number)]
        found.sort()
        document = np.array([key[0] for key, _, _ in found], dtype=int)
        begin = np.array([row for _, row, _ in found], dtype=int)
        return cls(document, begin, np.array([row for _, _, row in found], dtype=int))


def _bits(masks: np.ndarray, number: np.ndarray) -> Iterator[tuple[int, tuple[int, int]]]:
    """(row, (number of its text, bit)) of each bit that is set."""
    for row in np.flatnonzero(masks).tolist():
        mask, bit = int(masks[row]), 0
        while mask:
            if mask & 1:
                yield row, (int(number[row]), bit)
            mask, bit = mask >> 1, bit + 1


def letters(targets: np.ndarray) -> str:
    """The characters of the rows, one behind the other: as many as there are rows."""
    codes = targets[:, CHARACTER].astype("<u4")
    return codes.tobytes().decode("utf-32-le", "surrogatepass")


def targets_of(characters: Sequence[str], answers: Sequence[tuple[int, int]]) -> np.ndarray:
    """(n, 4) targets of a text of *characters*, whose *answers* are (first, one behind the last).

    >>> targets_of("a b", [(0, 1), (0, 3)])[:, :2].tolist()
    [[3.0, 1.0], [0.0, 0.0], [0.0, 2.0]]
    """
    found = np.zeros((len(characters), 4))
    for bit, (begin, behind) in enumerate(answers[:MOST]):
        found[begin, STARTS] += 1 << bit
        found[behind - 1, ENDS] += 1 << bit
    found[:, CHARACTER] = [ord(each) if each else 0 for each in characters]
    found[:, PLACE] = np.arange(len(characters))
    return found


# Decoding.


def limited(predicted: np.ndarray, longest: int, factor: float) -> np.ndarray:
    """(n, 3) *predicted* with what a decision says of it, for `best_spans`: an answer has at most
    *longest* characters (0: any number), and no answer counts *factor* times."""
    changed = np.array(predicted, dtype=float)
    changed[:, NONE] = np.clip(changed[:, NONE] * factor, 0.0, SURE) + longest
    return changed


def best_spans(
    predicted: np.ndarray, first: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First rows (d,), last rows (d,) and scores (d,) of the likeliest answer of each text; -1, -1
    where no answer is likelier.

    The likeliest answer has the largest product of the chances to begin and to end there, with the
    first row not behind the last, as in Devlin et al., "BERT", NAACL 2019, section 4.2; no answer
    is as likely as the root of that product would have to be.

    Args:
        predicted: (n, 3), whole texts, as learners or `limited` give it.
        first: (n,) bool, where a text begins.
    """
    rows = np.asarray(predicted, dtype=float)
    starts = np.flatnonzero(first)
    lengths = np.diff(starts, append=len(rows))
    said = rows[starts, NONE]
    longest = np.floor(said)
    begin, end = np.full(len(starts), -1), np.full(len(starts), -1)
    best = np.zeros(len(starts))
    for most in np.unique(longest).tolist():
        order = np.flatnonzero(longest == most)
        order = order[np.argsort(lengths[order], kind="stable")]
        for block in _blocks(order, lengths):
            part = _best_of(rows, starts[block], lengths[block], int(most))
            begin[block], end[block], best[block] = part
    none = np.sqrt(best) < said - longest
    begin[none], end[none] = -1, -1
    return begin, end, best


def _blocks(order: np.ndarray, lengths: np.ndarray) -> Iterator[np.ndarray]:
    """*order* in pieces whose texts, filled up to the longest, have at most CELLS cells."""
    at = 0
    while at < len(order):
        size = 1
        while at + size < len(order) and (size + 1) * lengths[order[at + size]] <= CELLS:
            size += max(min(size, len(order) - at - size) // 2, 1)
            size = min(size, len(order) - at)
        while size > 1 and size * lengths[order[at + size - 1]] > CELLS:
            size -= 1
        yield order[at : at + size]
        at += size


def _best_of(
    rows: np.ndarray, starts: np.ndarray, lengths: np.ndarray, longest: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `best_spans`, of some texts, without a look at no answer."""
    width = int(lengths.max())
    inside = np.arange(width) < lengths[:, None]
    place = np.where(inside, starts[:, None] + np.arange(width), starts[:, None])
    opening = np.where(inside, rows[place, BEGINS], -1.0)
    closing = np.where(inside, rows[place, STOPS], -1.0)
    if longest and longest < width:
        from scipy.ndimage import maximum_filter1d  # here, so that the room stays quick to import

        origin = (longest - 1) // 2  # of the window: it ends at the character itself
        before = maximum_filter1d(
            opening, longest, axis=1, mode="constant", cval=-1.0, origin=origin
        )
    else:
        before = np.maximum.accumulate(opening, axis=1)
    scores = np.where(inside, before * closing, -1.0)
    last = scores.argmax(axis=1)
    row = np.arange(len(starts))
    reach = np.arange(width) <= last[:, None]
    if longest:
        reach &= np.arange(width) > last[:, None] - longest
    begun = np.where(reach, opening, -2.0).argmax(axis=1)
    return starts + begun, starts + last, np.maximum(scores[row, last], 0.0)


FATES = ("right", "wrong border", "elsewhere", "missed", "invented")
"""What may happen to the answer of a text."""


class Span(Problem):
    """Where an answer begins, where it ends, and whether there is none."""

    name = "span"
    scored_as = "span"
    described = "span (an answer that stands in the text)"
    target_kind = "classes"  # an answer's start is one place of many
    usual_loss = "cross-entropy"
    refused_methods: ClassVar = {
        "logistic": "logistic blends yes and no; where answers begin and end is one place of many",
        "rank-mean": "rank-mean blends orders of rows; characters of unlike texts have none",
    }
    scored_by_log_odds = False
    copied_labels = "certain"
    alone = "Pearson"
    spread = "numbers"
    units = True
    spans = True
    learnt_as = "spans"
    column_word = "columns"
    first_recipe = "crf"
    own_decisions = ("limits of answers",)
    stored: ClassVar[type] = np.float16
    written: ClassVar = {"value": "probabilities", "label": "answers"}
    documents_as: ClassVar[str] = "regression"

    def classes_problem(self, classes: Sequence[str]) -> str | None:
        """There are none."""
        if not classes:
            return None
        return f"task.classes has {len(classes)} entries; leave them out of a span problem"

    def columns_problem(self, targets: Sequence[str], task: Task) -> str | None:
        """The answer, and maybe where it begins."""
        if len(targets) <= 2:
            return None
        return (
            f"columns.targets names {len(targets)} columns; expected the column of the answer, and "
            "after it, where there is one, that of the place of its first character"
        )

    def outputs(self, targets: Sequence[str], classes: Sequence[str]) -> list[str]:
        """Begins here, ends here, no answer."""
        return ["start", "end", "no answer"]

    def reader(self, task: Task) -> Reader:
        """None: answers are read with their texts."""
        raise NotImplementedError(self.name)

    def expand(self, targets: np.ndarray, k: int) -> np.ndarray:
        """What a learner that knows would say; several references share."""
        number = np.cumsum(targets[:, PLACE] == 0) - 1
        found = np.zeros((len(targets), k))
        for column in (STARTS, ENDS):
            held = (targets[:, column] > 0).astype(float)
            total = np.bincount(number, weights=held)
            found[:, column] = held / np.maximum(total, 1.0)[number]
        found[:, NONE] = (total == 0)[number]
        return found

    def mistakes(
        self, targets: np.ndarray, labels: np.ndarray, classes: Sequence[str]
    ) -> tuple[list[str], dict[str, list[int]]]:
        """Texts whose answer is a reference, shares a character with one, stands elsewhere, was not
        found, or was found where there is none."""
        first = targets[:, PLACE] == 0
        number = np.cumsum(first) - 1
        pieces = self.pieces(labels, first, classes)
        given = {int(number[begin]): (begin, end) for begin, end, _ in pieces}
        fates = [0] * len(FATES)
        wanted: dict[int, list[tuple[int, int]]] = {}
        held = References.of(targets)
        for document, begin, end in zip(held.document, held.begin, held.end, strict=True):
            wanted.setdefault(int(document), []).append((begin, end))
        for document in range(int(first.sum())):
            own, right = given.get(document), wanted.get(document, [])
            if own is None or not right:
                fate = "right" if own is None and not right else "invented" if own else "missed"
            elif own in right:
                fate = "right"
            else:
                near = any(own[0] <= end and begin <= own[1] for begin, end in right)
                fate = "wrong border" if near else "elsewhere"
            fates[FATES.index(fate)] += 1
        return list(FATES), {"answers": fates}

    def pieces(self, labels: np.ndarray, first: np.ndarray, classes: Sequence[str]) -> list[Piece]:
        """The answers; two that touch where one text ends and the next begins are two."""
        inside = labels > 0
        starts = np.flatnonzero(inside & (first | ~np.append(False, inside[:-1])))
        ends = np.flatnonzero(inside & (np.append(first[1:], True) | ~np.append(inside[1:], False)))
        return [(begin, end, "") for begin, end in zip(starts.tolist(), ends.tolist(), strict=True)]

    def right_pieces(self, targets: np.ndarray, classes: Sequence[str]) -> list[Piece]:
        """The references."""
        held = References.of(targets)
        return [
            (begin, end, "")
            for begin, end in zip(held.begin.tolist(), held.end.tolist(), strict=True)
        ]

    def amiss(self, said: Set[Piece], right: Set[Piece]) -> float:
        """0 where an answer is a reference, or neither is there; else 1."""
        return float(not (said & right) if right else bool(said))

    def document_labels(
        self, targets: np.ndarray, classes: Sequence[str]
    ) -> tuple[list[str], np.ndarray]:
        """How many characters the answer has."""
        return ["characters of the answer"], targets[:, :1]

    def document_targets(self, targets: np.ndarray, classes: Sequence[str]) -> np.ndarray:
        """(d, 2): characters of the first answer (0: there is none), and a number that stands for
        all answers of the text, so that a change of any of them is seen."""
        starts = np.flatnonzero(targets[:, PLACE] == 0)
        references = References.of(targets)
        found = np.zeros((len(starts), 2))
        size = references.end - references.begin + 1
        found[references.document[::-1], 0] = size[::-1]
        parts = np.split(np.ascontiguousarray(targets[:, :CHARACTER]), starts[1:])
        found[:, 1] = [crc32(part.tobytes()) for part in parts]
        return found

    def decode(
        self, predicted: np.ndarray, first: np.ndarray, classes: Sequence[str]
    ) -> np.ndarray:
        """(n,) 1 for the characters of each text's answer, else 0."""
        begin, end, _ = best_spans(predicted, first)
        edges = np.zeros(len(predicted) + 1, dtype=np.int64)
        edges[begin[begin >= 0]] += 1
        edges[end[end >= 0] + 1] -= 1
        return np.cumsum(edges)[:-1]

    # Of documents: targets as `document_targets` gives them.

    def strata(self, targets: np.ndarray, bins: int, least: int) -> np.ndarray:
        """No answer, or by its length."""
        found, answered = np.zeros(len(targets), dtype=np.int64), targets[:, 0] > 0
        found[answered] = 1 + number_strata(targets[answered, :1], bins)
        return found

    def shares(
        self, targets: np.ndarray, names: Sequence[str], classes: Sequence[str]
    ) -> dict[str, float]:
        """Texts without an answer, and characters of an answer on average."""
        none = targets[:, 0] == 0
        length = float(targets[~none, 0].mean()) if not none.all() else 0.0
        return {"no answer": float(none.mean()), "characters": length}

    def label_text(self, values: np.ndarray, classes: Sequence[str]) -> str:
        """How long the answer is."""
        return f"an answer of {values[0]:.0f} characters" if values[0] else "no answer"

    def as_labels(self, predicted: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
        """As they are: answers are read off whole texts, last."""
        return predicted

    def labels_said(self) -> str:
        """Which answer."""
        return "the likeliest answer of a text"

    def within_range(self, values: np.ndarray, floor: float) -> np.ndarray:
        """Probabilities."""
        return np.clip(values, 0.0, 1.0)

    def looks_like(self, clues: Clues) -> str:
        """Always the same."""
        return "an answer in the text"

    def form(self, task: Task, targets: Sequence[str], needs: str, sample: Sample) -> Form:
        """The text of the answer."""
        refuse(
            task.submit == "value",
            "task.submit is value, but a submission of answers takes their texts. Set it to auto "
            "or label",
        )
        return Form(kind="label", columns={sample.columns[0]: -1})

    def texts(
        self, form: Form, task: Task, predicted: np.ndarray, limits: tuple[float, float]
    ) -> dict[str, list[str]]:
        """1 for each character of the answer: the file's form has the characters."""
        inside = predicted.argmax(axis=1)
        return dict.fromkeys(form.columns, np.array(["", "1"])[inside].tolist())


SPAN = Span()
