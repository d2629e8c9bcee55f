"""What the page about errors asks of rows, whatever an answer is: numbers, a text, entities.

All of it is said of the honest predictions: each row predicted by what was fitted without its fold,
before any decision, or each text as it was taken, each document as it was decoded. The error of a
row is the distance of its prediction from its label, the mean over columns; of one class of several
it is the probability that the other classes got, so it goes from 0 to 1. That of a text is what it
is short of a perfect score alone, that of a document how much of it is wrong (`Problem.amiss`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.data import Table as Rows
from pipeline.data.table import Units
from pipeline.data.units import documents
from pipeline.ensemble.assessment import score_or_none
from pipeline.ensemble.predictor import RowFeatures, about_rows
from pipeline.metrics import Metric
from pipeline.metrics.label_doubt import FAR, LabelDoubts, answer_doubts, label_doubts, standardised
from pipeline.problems.problem import Piece, Problem
from pipeline.report.drawn.disk import Disk
from pipeline.setup.inspection.description import bins

Slice = tuple[str, str, np.ndarray]
"""What the rows are cut by, the name of the part, which rows."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Errors:
    """Errors of n rows whose answers are numbers, or labels."""

    kind: Problem
    rows: Rows
    truth: np.ndarray
    """(n, …)."""
    target: np.ndarray
    """(n, k) the truth in the shape of predictions."""
    predicted: np.ndarray
    """(n, …)."""
    members: Sequence[np.ndarray]
    """M arrays like it."""
    names: Sequence[str]
    """(M,)."""
    outputs: Sequence[str]
    classes: Sequence[str]
    limits: tuple[float, float] | None
    """Lowest and highest label that there may be."""
    metric: Metric
    fold_of_row: np.ndarray
    facts: RowFeatures | None
    what: str = "label"

    @property
    def unit(self) -> str:
        """What an error is measured in."""
        numeric = self.kind.numeric
        return "in the label's unit" if numeric else "of 1: the probability that was amiss"

    def of(self, predicted: np.ndarray) -> np.ndarray:
        """(n,) the error of each row."""
        off = np.abs(self.target - predicted)
        # of one class of several, what the others got is what its own lacks
        return np.asarray(off.sum(axis=1) / 2 if self.kind.exclusive else off.mean(axis=1))

    def doubts(self) -> LabelDoubts:
        """How doubtful each label is."""
        return label_doubts(self.kind, self.truth, self.predicted)

    def label(self, row: int) -> str:
        """The label of a row in words."""
        return self.kind.label_text(self.truth[row], self.classes or self.outputs)

    def said(self, values: Any) -> str:
        """A prediction (k,) in words."""
        if self.kind.numeric:
            return ", ".join(f"{value:.2f}" for value in values)
        if len(values) == 1:
            return f"{values[0]:.2f}"
        if self.kind.exclusive:
            top = int(values.argmax())
            return f"{self.outputs[top]} {values[top]:.2f}"
        shown = np.flatnonzero(values >= 0.5).tolist() or [int(values.argmax())]
        return ", ".join(f"{self.outputs[place]} {values[place]:.2f}" for place in shown)

    def score(self, here: np.ndarray) -> float | None:
        """The metric of the rows *here* (n,)."""
        return score_or_none(self.metric, self.truth[here], self.predicted[here])

    def label_slices(self, targets: Sequence[str]) -> Iterator[Slice]:
        """Rows by their label."""
        if self.kind.numeric and len(self.outputs) == 1:
            values = self.truth[:, 0]
            edges, names = bins(values, self.limits)
            part = np.searchsorted(edges, values, side="right") - 1
            for place, name in enumerate(names):
                yield self.what, name, part == place
        for each in self.kind.divisions(self.truth, targets, self.classes)[:30]:
            for place, name in enumerate(each.names[:30]):
                yield self.what, name, each.class_of_row == place


@dataclass(frozen=True, eq=False, kw_only=True)
class TextErrors(Errors):
    """The same of texts: truth has the references, predictions are texts (n,)."""

    what: str = "right answers"

    @property
    def unit(self) -> str:
        """What an error is measured in."""
        return "what a text, scored alone, is short of a perfect score"

    def of(self, predicted: np.ndarray) -> np.ndarray:
        """(n,) the error of each row."""
        score = self.metric.formula.texts
        assert score is not None, "a metric of texts"
        return np.asarray(self.metric.best - score.alone(self.truth, predicted))

    def doubts(self) -> LabelDoubts:
        """How much better the members' texts agree with each other than the ensemble's does with
        the right answers; of one member alone, how far that is from them."""
        score = self.metric.formula.texts
        assert score is not None, "a metric of texts"
        agreed = np.full(len(self.truth), self.metric.best)
        if (count := len(self.members)) > 1:
            others = ~np.eye(count, dtype=bool)
            rows = zip(*(each.tolist() for each in self.members), strict=True)
            agreed = np.array([score.between(said)[others].mean() for said in rows])
        off = self.of(self.predicted) - (self.metric.best - agreed)
        flagged = (standardised(off[:, None])[:, 0] > FAR) & (off > 0)
        return LabelDoubts(np.maximum(off, 0.0), flagged)

    def label(self, row: int) -> str:
        """The right answers of a row."""
        return " / ".join(self.truth[row])

    def said(self, values: Any) -> str:
        """The text itself."""
        return str(values)

    def label_slices(self, targets: Sequence[str]) -> Iterator[Slice]:
        """Rows by how many right answers they have."""
        counts = np.array([len(each) for each in self.truth])
        for count in np.unique(counts).tolist():
            yield self.what, str(count), counts == count


@dataclass(frozen=True, eq=False, kw_only=True)
class DocumentErrors(Errors):
    """The same of documents, the rows here: predictions are (n,) sets of pieces."""

    units: Units
    texts: np.ndarray
    """Of the units."""
    chances: np.ndarray
    """(n, k) of the units, honest."""
    tagged: np.ndarray
    """(n, t) targets of the units."""

    @property
    def unit(self) -> str:
        """What an error is measured in."""
        what = "answers" if self.kind.spans else "entities"
        return f"{what} that are missing, and such as are none"

    def of(self, predicted: np.ndarray) -> np.ndarray:
        """(n,) the error of each row."""
        pairs = zip(predicted.tolist(), self.truth.tolist(), strict=True)
        return np.array([self.kind.amiss(said, right) for said, right in pairs])

    def doubts(self) -> LabelDoubts:
        """Those of the most doubtful tag of each document (Wang & Mueller, "Detecting Label Errors
        in Token Classification Data", 2022); those of its answer, where it has one."""
        if self.kind.spans:
            return answer_doubts(self.tagged, self.chances)
        found = label_doubts(self.kind, self.tagged, self.chances)
        starts = np.flatnonzero(self.units.first)
        score = np.maximum.reduceat(found.score, starts)
        return LabelDoubts(score, np.logical_or.reduceat(found.flagged, starts))

    def label(self, row: int) -> str:
        """The right pieces of a document."""
        return self.said(self.truth[row])

    def said(self, values: Any) -> str:
        """The *values*, pieces, in words."""
        found = [self._words(piece) for piece in sorted(values)]
        return "; ".join(found) or "none"

    def _words(self, piece: Piece) -> str:
        begin, end, name = piece
        after = self.units.after[begin:end].tolist()
        text = "".join(
            each + gap
            for each, gap in zip(self.texts[begin : end + 1].tolist(), [*after, ""], strict=True)
        )
        return f"{text} ({name})" if name else text

    def score(self, here: np.ndarray) -> float | None:
        """None: it is told for all of them."""
        return None

    def label_slices(self, targets: Sequence[str]) -> Iterator[Slice]:
        """Documents by what stands in them."""
        held = [{name for _, _, name in pieces} for pieces in self.truth.tolist()]
        for name in sorted(set().union(*held)):
            if name:
                yield "holds", name, np.array([name in each for each in held])
        empty = np.array([not each for each in held])
        yield "holds", "none", empty
        yield "holds", "some", ~empty


def errors_of(disk: Disk) -> Errors:
    """Those of the ensemble of all complete runs, by its honest predictions."""
    return MADE[disk.shape](disk)


def _common(disk: Disk) -> dict[str, Any]:
    competition = disk.competition
    return {
        "kind": competition.task.problem_type,
        "names": disk.made.outcome.names,
        "outputs": competition.outputs,
        "classes": competition.task.classes,
        "limits": competition.task.label_range,
        "metric": disk.metric,
    }


def _numbers(disk: Disk) -> Errors:
    evidence = disk.outcome.evidence
    return Errors(
        rows=disk.train,
        truth=evidence.truth,
        target=evidence.kind.expand(evidence.truth, evidence.given.columns),
        predicted=disk.honest,
        members=evidence.oof,
        fold_of_row=evidence.fold_of_row,
        facts=evidence.facts,
        **_common(disk),
    )


def _texts(disk: Disk) -> Errors:
    made = disk.made
    return TextErrors(
        rows=disk.train,
        truth=made.truth,
        target=disk.folds.fold_of_row[:0],
        predicted=made.honest,
        members=[run.oof[0].best for run in disk.texts.runs],
        fold_of_row=disk.folds.fold_of_row[0],
        facts=about_rows(disk.train),
        **_common(disk),
    )


def _documents(disk: Disk) -> Errors:
    common = _common(disk)
    kind, classes, evidence = common["kind"], common["classes"], disk.outcome.evidence
    units = disk.train.units
    assert units is not None, "rows are units"
    first, number = units.first, units.number
    whole = documents(disk.train, disk.competition.task)

    def by_document(pieces: Sequence[Piece]) -> np.ndarray:
        found = np.empty(len(whole), dtype=object)
        found[:] = [set() for _ in range(len(whole))]
        for piece in pieces:
            found[number[piece[0]]].add(piece)
        return found

    def read(values: np.ndarray) -> np.ndarray:
        return by_document(kind.pieces(kind.decode(values, first, classes), first, classes))

    return DocumentErrors(
        rows=whole,
        truth=by_document(kind.right_pieces(evidence.truth, classes)),
        target=evidence.truth[:0],
        predicted=read(disk.outcome.decided.predicted),
        members=[read(each) for each in evidence.oof],
        fold_of_row=evidence.fold_of_row[first],
        facts=about_rows(whole),
        units=units,
        texts=disk.train.texts[:, 0],
        chances=disk.honest,
        tagged=evidence.truth,
        **common,
    )


MADE: dict[str, Callable[[Disk], Errors]] = {
    "numbers": _numbers,
    "texts": _texts,
    "documents": _documents,
}
"""What rows are (`Disk.shape`) -> what is known of their errors."""
