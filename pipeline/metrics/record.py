"""What is known of a metric: one frozen record, and nothing about it stands anywhere else.

A record holds the facts (which way is better, what a leaderboard takes, the bounds …) and, for each
problem type that the metric suits, a `Formula`. A formula is a plain function; beside it there may
be faster ways to the same numbers. Whoever uses a fast way asks for it here and calls the function
where there is none, so a metric with nothing but a function works everywhere, only slower.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from pipeline.metrics.formulas import Score
from pipeline.metrics.greedy import Prepared
from pipeline.metrics.linearised_metrics import LabelSums, Sums
from pipeline.metrics.moments import FromMoments, OfMean
from pipeline.metrics.texts.scores import TextScore
from pipeline.problems.form import Kind
from pipeline.problems.registry import problem_of

Needs = Kind
Sees = Literal["level", "shape", "order"]
Columns = Literal["mean", "all", "together"]

Greedy = Callable[[np.ndarray, Sequence[np.ndarray]], Prepared | None]
"""(truth, M members (n, k)) -> the members made ready for greedy steps; None where the way does not
hold for such members."""


@dataclass(frozen=True, kw_only=True)
class Formula:
    """A metric for one problem type.

    Targets are (n, 1) class numbers for multiclass, else (n, k). Predictions are as the record's
    `needs` says: "value" takes them raw, (n, k); "label" takes the decided labels in the shape of
    the targets. Only `score` is needed.
    """

    score: Score
    """(targets, predictions) -> score. Raises MetricError where there is no value."""
    columns: Columns = "together"
    """How several target columns are scored: each alone and then the mean; a row counts if all are
    right; or in a way that is not known."""
    from_moments: FromMoments | None = None
    """The gain from second moments of predictions and targets: no pass over the rows. For numbers
    only: blends of probabilities are kept within 0 and 1, which moments know nothing of."""
    of_mean: OfMean | None = None
    """What the mean of several learners gains over one of them, where that is known without labels
    (Krogh & Vedelsby, "Neural network ensembles, cross validation, and active learning", 1995)."""
    row_sums: Sums | None = None
    """The gain from sums over rows of raw predictions: a bootstrap draw is then one product."""
    label_sums: LabelSums | None = None
    """The gain from sums over rows of decided labels: the same, and cuts are tried all at once. Of
    several targets of classes: from class numbers (n, 1) of one of them where the score is the
    mean over targets (`columns`), else of their joined class."""
    of_classes: "Callable[[tuple[str, ...]], Formula] | None" = None
    """Where it depends on what the classes are called: the formula for these names, to be used in
    place of this one."""
    needs_rows: bool = False
    """Whether `score` wants targets that know which rows of their file they are (`data.table`)."""
    answer_sums: Sums | None = None
    """The same for labels in the shape of `Problem.scored`, where that is not that of targets."""
    greedy: Greedy | None = None
    """Members made ready for greedy steps that pass over the rows."""
    texts: TextScore | None = None
    """Of answers that are texts: targets are then references (n,), predictions texts (n,)."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One metric. The fields without a default must be thought about, so they must be given."""

    formulas: Mapping[str, Formula]
    """The problem types that it suits, and its formula for each."""
    greater_is_better: bool
    needs: Needs
    """What a leaderboard of it takes: a number or probability, or a class."""
    bounds: tuple[float, float]
    """The lowest and the highest score there can be; infinite where it is open."""
    sees: Sees = "level"
    """What of the predictions it sees: the values themselves; only their shape (the same score
    after any shift and stretch); only their order."""
    unit_error: bool = False
    """Whether it is made of errors in the label's unit: clipping to the label range cannot harm."""
    ordered_labels: bool = False
    """Whether it knows how far labels are apart: numbers, or mean classes, may be cut into them."""
    log_likelihood: bool = False
    """Whether it is minus the mean log-likelihood: blends then fit by maximum likelihood."""
    usual_for: Mapping[str, str] = field(default_factory=dict)
    """What `Problem.looks_like` says where pipeline.init suggests it, and the reason it prints."""
    place: Mapping[str, int] = field(default_factory=dict)
    """Its place in the list of metrics that fit a problem; those without follow in table order."""

    def __post_init__(self) -> None:
        if not self.formulas:
            raise ValueError("a metric suits at least one problem type: formulas is empty")
        for problem, formula in self.formulas.items():
            if formula.from_moments and not problem_of(problem).numeric:
                raise ValueError(f"from_moments is for numbers, not for {problem}")
        if not self.bounds[0] < self.bounds[1]:
            raise ValueError(f"bounds are (lowest, highest), not {self.bounds}")
