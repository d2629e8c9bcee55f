"""The problem types there are, by the name that stands in a config."""

from typing import TYPE_CHECKING, Literal

from pipeline.problems.classes import BINARY
from pipeline.problems.heads import HEADS
from pipeline.problems.multiclass import MULTICLASS, SOFT_LABELS
from pipeline.problems.multilabel import MULTILABEL
from pipeline.problems.problem import Problem
from pipeline.problems.regression import REGRESSION
from pipeline.problems.span import SPAN
from pipeline.problems.tags import TAGS
from pipeline.problems.text import TEXT

PROBLEMS: tuple[Problem, ...] = (
    *(REGRESSION, BINARY, MULTICLASS, MULTILABEL, SOFT_LABELS),
    *(TAGS, SPAN, HEADS, TEXT),
)
"""A new type is one more entry here."""

TYPES: dict[str, Problem] = {each.name: each for each in PROBLEMS}
"""By name."""

if TYPE_CHECKING:
    ProblemName = str
else:  # the parser offers and checks the names that there are
    ProblemName = Literal[tuple(TYPES)]


def problem_of(name: str) -> Problem:
    """The problem type called *name*: one of TYPES, with a shape in parentheses where it has one.

    >>> problem_of("multiclass").outputs(["label"], ["sad", "happy", "angry"])
    ['sad', 'happy', 'angry']
    >>> problem_of("heads(2+3)").blocks(5)
    [slice(0, 2, None), slice(2, 5, None)]
    """
    if name in TYPES:
        return TYPES[name]
    plain, _, shape = name.removesuffix(")").partition("(")
    return TYPES[plain].of_shape(shape)
