"""A text as the answer: a summary, a translation, a sentence that says some facts, a reply.

A row has one or several right answers, its references. What a learner says of it are candidates,
texts with a probability each (`pipeline.data.candidates`); metrics compare one of them with all
references.

Targets are (n, 2), numbers that stand for a row's references: how long they are, in characters, on
average, by which folds are stratified; and a fingerprint, so that a change of any of them is seen.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import ClassVar

import numpy as np

from pipeline.problems.form import Form, Sample, form_of
from pipeline.problems.label_texts import Reader
from pipeline.problems.problem import Clues, Problem, Task
from pipeline.problems.regression import number_strata

BYTES = 6
"""Of a fingerprint: a number of so many bytes is a float64 without loss."""


class Text(Problem):
    """A text per row."""

    name = "text"
    scored_as = "text"
    described = "text (written by the model: a summary, a translation)"
    target_kind = "numbers"
    predictions = "texts"
    learnt_as = "texts"
    usual_loss = "mse"
    first_recipe = "nearest"
    documents_as = "regression"
    scored_by_log_odds = False
    alone = "Pearson"
    spread = "numbers"
    written: ClassVar = {"value": "texts", "label": "texts"}
    column_word = "texts"

    def classes_problem(self, classes: Sequence[str]) -> str | None:
        """There are none."""
        return (
            "task.classes has names, but a text has no classes: leave them out" * bool(classes)
            or None
        )

    def columns_problem(self, targets: Sequence[str], task: Task) -> str | None:
        """One."""
        if len(targets) == 1:
            return None
        return f"columns.targets names {len(targets)} columns; a text problem has one, of answers"

    def reader(self, task: Task) -> Reader:
        """Any text is an answer, but an empty one; its number is its length."""
        return lambda text: float(len(text)) if text else "no answer"

    def reference_targets(self, references: Sequence[Sequence[str]]) -> np.ndarray:
        """(n, 2) mean length and fingerprint of each row's answers.

        >>> Text().reference_targets([["abc", "a"], ["abc"]])[:, 0].tolist()
        [2.0, 3.0]
        """
        found = np.empty((len(references), 2))
        for row, answers in enumerate(references):
            content = "\x00".join(answers).encode("utf-8", "surrogatepass")
            mark = int.from_bytes(blake2b(content, digest_size=BYTES).digest(), "big")
            found[row] = sum(map(len, answers)) / len(answers), mark
        return found

    def strata(self, targets: np.ndarray, bins: int, least: int) -> np.ndarray:
        """Quantile bins of the answers' lengths."""
        return number_strata(targets[:, :1], bins)

    def shares(
        self, targets: np.ndarray, names: Sequence[str], classes: Sequence[str]
    ) -> dict[str, float]:
        """How long answers are, on average."""
        return {f"characters of {names[0]}": float(targets[:, 0].mean())}

    def label_text(self, values: np.ndarray, classes: Sequence[str]) -> str:
        """What can be said of an answer by its numbers."""
        return f"an answer of {values[0]:.0f} characters"

    def alike(self, rows: int, k: int, limits: tuple[float, float]) -> np.ndarray:
        """(rows,) the same word."""
        return np.full(rows, "text", dtype=object)

    def as_labels(self, predicted: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
        """As they are: nothing is left to decide about a text."""
        return predicted

    def labels_said(self) -> str:
        """Which text."""
        return "the chosen candidate"

    def looks_like(self, clues: Clues) -> str:
        """Always the same."""
        return "a text"

    def form(self, task: Task, targets: Sequence[str], needs: str, sample: Sample) -> Form:
        """One column of texts."""
        return form_of("texts", task.submit, targets, sample)

    def texts(
        self, form: Form, task: Task, predicted: np.ndarray, limits: tuple[float, float]
    ) -> dict[str, list[str]]:
        """The texts (m,) in *predicted*."""
        return dict.fromkeys(form.columns, predicted.tolist())


TEXT = Text()
