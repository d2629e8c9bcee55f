"""An answer that stands in the text: which columns hold the text, the answer and the question.

A column that only train has, whose cells stand in the text of their row, word for word, is an
answer in the text; answers that do not are texts of their own, or classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from pipeline.base import DataError
from pipeline.base.config import ColumnsConfig, TaskConfig
from pipeline.data.units import list_in
from pipeline.metrics.registry import suggested
from pipeline.problems.label_texts import is_number
from pipeline.problems.span import SPAN
from pipeline.setup.detection.choices import Choices, Overrides
from pipeline.setup.detection.names import words
from pipeline.setup.detection.profile import Profile

LOOKED_AT = 500
STANDS = 0.9
"""Share of the answers that have to stand in their texts."""
AT_PLACE = 0.8
"""Share of the answers that have to stand where a column of places says."""
FEW = 50
"""Different answers that may be classes, at most; classes come again, AGAIN times on average."""
AGAIN = 3
ASKED = ("question", "query", "ask", "prompt", "sentiment", "label", "aspect", "keyword")
"""Words of the name of a column that says what is asked."""
ASIDE = frozenset({"is_impossible"})
"""Shared columns that tell the answer."""


@dataclass(frozen=True, kw_only=True)
class Spanned:
    """The columns of a competition of answers in texts."""

    target: str
    start: str | None
    texts: str
    question: str | None
    labels: bool
    """Whether what is asked is one of a few labels."""

    @property
    def targets(self) -> list[str]:
        """The answer, and where it begins."""
        return [self.target, *([self.start] if self.start else [])]


def find_spans(
    train: pd.DataFrame,
    only_train: Sequence[str],
    shared: Mapping[str, Profile],
    overrides: Overrides,
) -> Spanned | None:
    """The columns of answers and of the texts that they stand in, where *train* is like that.

    Answers that are few or numbers may be classes: they are taken for pieces of a text where a
    column says where they stand, or a question is asked.

    Args:
        only_train: columns that test lacks.
        shared: columns that test has too, beside the id.

    Raises DataError where a span problem is asked for and no column stands in a text.
    """
    asked = overrides.problem == SPAN.name
    if overrides.problem not in (None, SPAN.name):
        return None
    rows = train.iloc[:LOOKED_AT]
    named = [name for name in overrides.targets if name in train.columns]
    for target in named or only_train:
        cells = [_several(cell) for cell in rows[target].tolist()]
        given = {text for each in cells for text in each[:1]}
        classes = len(given) <= max(2, min(FEW, sum(map(bool, cells)) / AGAIN))
        for texts in [name for name in overrides.texts if name in shared] or list(shared):
            if _stand(cells, rows[texts].tolist()):
                starts = named[1:] or [name for name in only_train if name != target]
                start = [name for name in starts if _places(cells, rows[name], rows[texts])]
                question = _question(texts, shared, overrides)
                open_ = question is not None and shared[question].sentence_like
                few = (classes and not open_) or all(map(is_number, given))
                if few and not start and not asked:
                    continue
                return Spanned(
                    target=target,
                    start=start[0] if start else None,
                    texts=texts,
                    question=question,
                    labels=question is not None and not open_,
                )
    if asked:
        raise DataError(
            "--problem span: no column that train has and test lacks stands in a text that both "
            f"have, row by row (looked at: {', '.join(named or only_train) or 'none'}). Name them "
            "with --target and --text; answers that are no piece of a text are another problem"
        )
    return None


def _several(cell: str) -> list[str]:
    """The answers of a cell: one, those of a list, or none where it is empty."""
    found = list_in(cell)
    return [each.strip() for each in ([cell] if found is None else found) if each.strip()]


def _stand(cells: Sequence[Sequence[str]], texts: Sequence[str]) -> bool:
    """Whether nearly all answers stand in their texts, and are not always all of it."""
    pairs = [(each[0], text) for each, text in zip(cells, texts, strict=True) if each]
    right = [answer in text for answer, text in pairs]
    whole = all(answer == text.strip() for answer, text in pairs)
    return bool(pairs) and sum(right) >= STANDS * len(right) and not whole


def _places(cells: Sequence[Sequence[str]], starts: pd.Series, texts: pd.Series) -> bool:
    """Whether the column *starts* says where the answers stand."""
    right = []
    for answers, cell, text in zip(cells, starts.tolist(), texts.tolist(), strict=True):
        if answers:
            at = _several(cell)[:1]
            whole = bool(at) and at[0].isdecimal()
            right.append(whole and text[int(at[0]) :].lstrip().startswith(answers[0]))
    return bool(right) and sum(right) >= AT_PLACE * len(right)


def _question(texts: str, shared: Mapping[str, Profile], overrides: Overrides) -> str | None:
    """What is asked: by its name, else the one other text, else the one column of few values."""
    others = [name for name in shared if name != texts and name not in ASIDE]
    if wished := [name for name in overrides.texts if name in others]:
        return wished[0]
    for word in ASKED:
        if named := [name for name in others if word in words(name)]:
            return named[0]
    for kind in (
        [name for name in others if shared[name].natural],
        [name for name in others if shared[name].few and not shared[name].numeric],
    ):
        if len(kind) == 1:
            return kind[0]
    return None


def span_columns(
    spanned: Spanned, id_column: str, shared: Mapping[str, Profile], choices: Choices
) -> ColumnsConfig:
    """Which column is what; texts are no features."""
    choices.because("columns.texts", f"What {spanned.target!r} stands in, word for word.")
    also = f"; {spanned.start!r} says where" if spanned.start else ""
    choices.because("columns.targets", f"It stands in {spanned.texts!r} of its row{also}.")
    if spanned.question:
        choices.because("columns.question", f"What is asked of {spanned.texts!r}.")
    features = [
        name
        for name, profile in shared.items()
        if name not in (spanned.texts, *ASIDE) and not profile.natural and not profile.unique
    ]
    return ColumnsConfig(
        id=id_column,
        texts=[spanned.texts],
        targets=spanned.targets,
        features=features,
        question=spanned.question,
    )


def span_task(spanned: Spanned, overrides: Overrides, choices: Choices) -> TaskConfig:
    """What is predicted."""
    told = f"{spanned.target!r} is a piece of {spanned.texts!r}."
    choices.because("task.problem", told)
    metric, reason = suggested("a piece by a label" if spanned.labels else "an answer in the text")
    why = "Given by --metric." if overrides.metric else f"{reason} A guess: check the rules."
    choices.because("task.metric", why)
    return TaskConfig(problem=SPAN.name, metric=overrides.metric or metric)
