"""Several independent targets, one class of each per row: a distribution for every target.

Such as the type, polarity, tense and certainty of a sentence. Targets stand in a column each, or
joined in one (`fact-positive-present-sure`); so do the answers, as the sample submission shows.

A target is called a head, as a network has one for each. task.classes names the classes head by
head, as `head=class`; the heads' sizes follow from it, and the object for given sizes is called
`heads(2+3+3)`: under this name whatever stores a problem finds it again.

Targets and predictions are (n, k), k the sum of the sizes: each head's block of targets has one 1,
each block of predictions sums to one.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate, groupby
from typing import ClassVar

import numpy as np

from pipeline.base.errors import DataError
from pipeline.problems.form import (
    LABEL_IN_CLASS_COLUMNS,
    Form,
    Sample,
    columns_by_name,
    match,
    number_columns,
    refuse,
    refuse_contradiction,
    shown_in,
    untouched,
)
from pipeline.problems.label_texts import Reader, class_reader
from pipeline.problems.multilabel import set_strata
from pipeline.problems.problem import Clues, Division, Problem, Task

NAMED = "="
"""Between a head and its class in task.classes."""
FEWEST = 2
"""Heads there are at least, and classes that each has at least."""


def heads_of(classes: Sequence[str]) -> dict[str, list[str]]:
    """Head -> its classes, both in the order of task.classes.

    >>> heads_of(["tense=past", "tense=now", "sure=yes", "sure=no"])
    {'tense': ['past', 'now'], 'sure': ['yes', 'no']}
    """
    parted = [name.partition(NAMED) for name in classes]
    return {
        head: [each[2] for each in own] for head, own in groupby(parted, key=lambda each: each[0])
    }


class Heads(Problem):
    """Several targets, a column of probabilities for each class of each, blocks sum to one."""

    name = "heads"
    scored_as = "heads"
    described = "heads (one class of each of several targets)"
    target_kind = "blocks"
    usual_loss = "cross-entropy"
    alone = "AUC"
    spread = "blocks"
    column_word = "classes"
    in_a_cell = "one of each"
    value_checks = ("sums",)
    written: ClassVar = {"value": "probabilities", "label": "the class of each target"}

    def __init__(self, sizes: tuple[int, ...] = ()) -> None:
        """*sizes* (H,): how many classes each head has; none known, for questions to the type."""
        self.sizes = sizes
        if sizes:
            self.name = f"heads({'+'.join(map(str, sizes))})"

    # The config.

    def of_classes(self, classes: Sequence[str]) -> "Heads":
        """With the sizes that task.classes has."""
        return Heads(tuple(map(len, heads_of(classes).values())))

    def of_shape(self, shape: str) -> "Heads":
        """With the sizes that stand in its name, such as 2+3+3."""
        return Heads(tuple(map(int, shape.split("+"))))

    def blocks(self, k: int) -> list[slice]:
        """Of each head."""
        assert sum(self.sizes) == k, f"{self.name} has no {k} columns"
        ends = accumulate(self.sizes)
        return [slice(end - size, end) for size, end in zip(self.sizes, ends, strict=True)]

    def classes_problem(self, classes: Sequence[str]) -> str | None:
        """Head by head, each with two classes or more."""
        way = "name the classes head by head, as [tense=past, tense=now, sure=yes, sure=no]"
        nameless = [name for name in classes if not all(name.partition(NAMED))]
        if nameless or not classes:
            what = f"has {nameless[0]!r}" if nameless else "is empty"
            return f"task.classes {what}; for heads, {way}"
        heads = [head for head, _ in groupby(name.partition(NAMED)[0] for name in classes)]
        if scattered := [head for head in heads if heads.count(head) > 1]:
            return f"task.classes has the classes of {scattered[0]!r} in several places; {way}"
        found = heads_of(classes)
        if small := [head for head, own in found.items() if len(own) < FEWEST]:
            return f"task.classes names one class of {small[0]!r}; name the others too"
        if len(found) < FEWEST:
            return (
                f"task.classes has the head {heads[0]!r} alone: one head is a multiclass problem. "
                "So set task.problem to multiclass, or name the other heads"
            )
        return None

    def columns_problem(self, targets: Sequence[str], task: Task) -> str | None:
        """A column per head, called like it; or one that has them all, and what parts them."""
        heads = list(heads_of(task.classes))
        if len(targets) == 1:
            if task.separator:
                return None
            return (
                f"columns.targets has {targets[0]!r} alone for {len(heads)} heads; set "
                "task.separator to what parts their classes in its cells, such as '-'"
            )
        if list(targets) == heads:
            return None
        return (
            f"columns.targets has {list(targets)}; expected a column per head of task.classes, in "
            f"their order: {heads}"
        )

    def outputs(self, targets: Sequence[str], classes: Sequence[str]) -> list[str]:
        """The classes, with their heads."""
        return list(classes)

    def spellings(self, outputs: Sequence[str]) -> list[list[str]]:
        """As they stand, with an underscore, and the class alone where no two heads share one."""
        plain = [name.partition(NAMED)[2] for name in outputs]
        scored = [name.replace(NAMED, "_", 1) for name in outputs]
        alone = [plain] if len(set(plain)) == len(plain) else []
        return [list(outputs), scored, *alone]

    def names_in(self, cell: str, task: Task) -> list[str]:
        """One class of each head, from a joined cell."""
        heads, parts = list(heads_of(task.classes)), parts_of(cell, task.separator or NAMED)
        if len(heads) != len(parts):
            return [cell]
        return [f"{head}{NAMED}{part}" for head, part in zip(heads, parts, strict=True)]

    # Labels.

    def reader(self, task: Task) -> Reader:
        """Of the first head; `readers` has all."""
        return self.readers(task, len(self.sizes))[0]

    def readers(self, task: Task, columns: int) -> list[Reader]:
        """The classes of each head."""
        return [class_reader(own) for own in heads_of(task.classes).values()]

    def whole_rows(self, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
        """(n, k) a 1 in each head's block, from class numbers (n, H)."""
        blocks = [
            np.where(np.isfinite(column)[:, None], column[:, None] == np.arange(size), np.nan)
            for column, size in zip(targets.T, self.sizes, strict=True)
        ]
        return np.hstack(blocks), np.zeros(len(targets), dtype=bool), ""

    def label_text(self, values: np.ndarray, classes: Sequence[str]) -> str:
        """The class of each head."""
        return ", ".join(classes[place] for place in np.flatnonzero(values > 0.5).tolist())

    # Folds.

    def strata(self, targets: np.ndarray, bins: int, least: int) -> np.ndarray:
        """The joined class; rare ones by the rarest class in them."""
        return set_strata(targets, least)

    def divisions(
        self, targets: np.ndarray, names: Sequence[str], classes: Sequence[str]
    ) -> list[Division]:
        """The classes of each head; a joined class need not be in every training part."""
        return [
            Division(
                names=[f"class {name!r}" for name in classes[block]],
                class_of_row=targets[:, block].argmax(axis=1),
            )
            for block in self.blocks(targets.shape[1])
        ]

    def shares(
        self, targets: np.ndarray, names: Sequence[str], classes: Sequence[str]
    ) -> dict[str, float]:
        """The share of each class in its head."""
        return dict(zip(classes, targets.mean(axis=0).tolist(), strict=True))

    # Targets and predictions.

    def scored(self, flags: np.ndarray) -> np.ndarray:
        """(n, H) class numbers of labels (n, k)."""
        return np.stack([flags[:, own].argmax(axis=1) for own in self.blocks(flags.shape[1])], 1)

    def within_range(self, values: np.ndarray, floor: float) -> np.ndarray:
        """Probabilities whose blocks sum to one."""
        kept = np.clip(values, floor, 1 - floor)
        sums = [kept[:, own].sum(axis=1, keepdims=True) for own in self.blocks(kept.shape[1])]
        return np.asarray(kept / np.repeat(np.hstack(sums), self.sizes, axis=1))

    def as_labels(self, predicted: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
        """A single 1 in each block; of equals the first."""
        blocks = [predicted[:, own] for own in self.blocks(predicted.shape[1])]
        return np.hstack([np.eye(own.shape[1])[own.argmax(axis=1)] for own in blocks])

    def labels_said(self) -> str:
        """Which classes."""
        return "the likeliest class of each target"

    def to_scores(self, predicted: np.ndarray, lowest: float) -> np.ndarray:
        """Logarithms."""
        return np.log(np.clip(np.asarray(predicted, dtype=float), lowest, 1 - lowest))

    def from_scores(self, scores: np.ndarray) -> np.ndarray:
        """The softmax of each block."""
        from scipy.special import softmax  # here, so that the room stays quick to import

        blocks = self.blocks(scores.shape[1])
        return np.hstack([softmax(scores[:, own], axis=1) for own in blocks])

    # Metrics.

    def looks_like(self, clues: Clues) -> str:
        """By what the sample shows: one answer for all targets, or one for each."""
        joined = clues.shown_columns == 1 or (clues.targets == 1 and not clues.shown_columns)
        return "targets of classes, joined" if joined else "targets of classes"

    # The submission.

    def form(self, task: Task, targets: Sequence[str], needs: str, sample: Sample) -> Form:
        """A column of classes per head, one with the joined class, or a probability per class."""
        heads = heads_of(task.classes)
        for names in self.spellings(task.classes)[:2]:
            if by_class := match(names, sample.columns):
                refuse(task.submit == "label", LABEL_IN_CLASS_COLUMNS)
                notes = untouched(by_class, sample.columns)
                return Form(kind="value", columns=by_class, notes=notes)
        refuse(
            task.submit == "value",
            "task.submit is value, but the sample submission takes the class of each target. Set "
            "task.submit to auto or label",
        )
        if by_head := match(list(heads), sample.columns):
            self._check_shown(
                [shown_in({each: 0}, sample) for each in by_head], by_head.values(), task
            )
            notes = untouched(by_head, sample.columns)
            return Form(
                kind="label", columns=by_head, notes=notes, words="the class of each target"
            )
        return self._joined(task, targets, sample)

    def _joined(self, task: Task, targets: Sequence[str], sample: Sample) -> Form:
        heads = list(heads_of(task.classes))
        expected = f"a column per target {heads}, or one for all of them"
        one = targets if len(targets) == 1 else ["+".join(heads)]
        columns = dict.fromkeys(columns_by_name(one, sample.columns, expected), -1)
        shown = shown_in(columns, sample)
        if not task.separator:
            raise DataError(
                f"the sample submission has one column {next(iter(columns))!r} for the targets "
                f"{heads}; set task.separator to what parts their classes in it, such as '-'"
            )
        parts = [parts_of(text, task.separator) for text in shown]
        strange = [text for text, own in zip(shown, parts, strict=True) if len(own) != len(heads)]
        if strange and any(map(str.isalpha, "".join(strange))):
            raise DataError(
                f"the sample submission shows {strange[0]!r}; expected a class of each of the "
                f"{len(heads)} targets, parted by {task.separator!r}. Set task.separator to what "
                "parts them, or take the sample away"
            )
        whole = [own for own in parts if len(own) == len(heads)]
        distinct = [sorted(set(own)) for own in zip(*whole, strict=True)]
        self._check_shown(distinct, range(len(distinct)), task)
        return Form(
            kind="label",
            columns=columns,
            notes=untouched(columns, sample.columns),
            join=task.separator,
            words=f"the class of each target, joined by {task.separator!r}",
        )

    def _check_shown(
        self, shown: Sequence[Sequence[str]], places: Iterable[int], task: Task
    ) -> None:
        """DataError where what is *shown* of the heads at *places* cannot be what is written."""
        own, blocks = list(heads_of(task.classes).values()), self.blocks(len(task.classes))
        for texts, place in zip(shown, places, strict=True):
            refuse_contradiction(texts, own[place], task.class_codes[blocks[place]])

    def texts(
        self, form: Form, task: Task, predicted: np.ndarray, limits: tuple[float, float]
    ) -> dict[str, list[str]]:
        """The likeliest class of each head, in its column or joined; or the probabilities."""
        if form.kind == "value":
            return number_columns(form, predicted)
        names = task.class_codes or [
            name for own in heads_of(task.classes).values() for name in own
        ]
        answers = [
            [names[own][place] for place in predicted[:, own].argmax(axis=1)]
            for own in self.blocks(predicted.shape[1])
        ]
        if form.join:
            cells = [form.join.join(row) for row in zip(*answers, strict=True)]
            return dict.fromkeys(form.columns, cells)
        return {column: answers[place] for column, place in form.columns.items()}


HEADS = Heads()


# One class of each target, joined in a cell.


JOINS = ("-", "_", "/", "|", "+", ";", ",", ":")
"""What may stand between them. No space: very good is one class."""


def parts_of(cell: str, separator: str) -> list[str]:
    """The parts of a joined *cell*, without outer spaces.

    >>> parts_of("fact-past-sure", "-")
    ['fact', 'past', 'sure']
    """
    return [part.strip() for part in cell.split(separator)]


def parting(cells: Sequence[str]) -> str:
    """What parts all the distinct *cells* into equally many parts, two or more, of which each has
    several values; empty where nothing does.

    >>> parting(["fact-past", "fact-now", "guess-now"]), parting(["sci-fi", "drama"])
    ('-', '')
    """
    for separator in JOINS:
        parted = [parts_of(cell, separator) for cell in cells if cell.strip()]
        amounts = {len(parts) for parts in parted}
        if len(amounts) != 1 or min(amounts) < 2 or not all(all(parts) for parts in parted):
            continue
        if all(len(set(own)) > 1 for own in zip(*parted, strict=True)):
            return separator
    return ""
