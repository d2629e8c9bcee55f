"""A problem type of our own, as docs/extending.md has it: one file, one line of the registry."""

from pipeline.problems.classes import YesOrNo
from pipeline.problems.label_texts import Reader, number
from pipeline.problems.problem import Task
from pipeline.problems.regression import Regression


class Share(YesOrNo, Regression):
    """A share from 0 to 1 per row, such as the part of the judges who said yes."""

    name = "share"
    described = "share (from 0 to 1)"
    numeric = False  # predictions stay between 0 and 1, as probabilities do
    scored_by_log_odds = True
    refused_methods = {}  # noqa: RUF012 (a constant of the class)
    alone = "Pearson"
    written = {"value": "shares", "label": "whole numbers"}  # noqa: RUF012

    def reader(self, task: Task) -> Reader:
        """Numbers from 0 to 1."""
        return lambda text: number(text, (0.0, 1.0))


SHARE = Share()
