"""The piece of the ensemble's page on decisions: what was tried, what it gains, what is applied."""

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.table import Table as Grid

from pipeline.ensemble.decisions.choose import FEWEST, NOTHING, Decided
from pipeline.ensemble.outcome import Outcome

KINDS = {
    ("value", "regression"): "numbers",
    ("label", "regression"): "whole numbers",
    ("value", "binary"): "probabilities",
    ("value", "multiclass"): "probabilities",
    ("value", "multilabel"): "probabilities",
}


def table(decided: Decided) -> Grid | None:
    """The candidates; None where there were none."""
    if not decided.lines:
        return None
    grid = Grid(title="Decisions", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    grid.add_column("decision")
    for column in ("honest effect", "95 % interval"):
        grid.add_column(column, justify="right")
    grid.add_column("applied", overflow="fold")
    grid.add_column("fitted on all rows", overflow="fold")
    for line in decided.lines:
        effect = line.effect
        grid.add_row(
            line.name + (" *" if line.applied else ""),
            f"{effect.difference:+.5f}",
            f"{effect.low:+.5f} to {effect.high:+.5f}",
            line.why,
            line.detail,
        )
    return grid


def sentences(outcome: Outcome) -> Iterator[str]:
    """What is written into the file, and what was decided about it."""
    decided, problem = outcome.decided, outcome.competition.task.problem
    kind = KINDS.get((outcome.form.kind, problem), "classes")
    yield f"written  {kind} in {', '.join(outcome.form.columns)}"
    for note in outcome.form.notes:
        yield f"  note   {note}"
    yield f"decided  {_chosen(outcome)}"
    if decided.wavers:
        yield f"         without one fold at a time it is: {', '.join(decided.nested)}"
    if decided.form is not None and decided.chosen == NOTHING:
        yield (
            f"  note   {outcome.metric.name} takes numbers, the file takes classes: "
            f"{decided.form.says([])}; that changes the honest score by "
            f"{decided.effect.difference:+.5f} (above 0 is better)"
        )


def _chosen(outcome: Outcome) -> str:
    decided, effect = outcome.decided, outcome.decided.effect
    if decided.decision is not None:
        fitted = decided.decision.says(outcome.competition.outputs)
        what = "the choice" if decided.form is None else "classes instead of numbers"
        return (
            f"{decided.chosen}: {fitted}. Honest effect, {what} included, "
            f"{effect.difference:+.5f} ({effect.low:+.5f} to {effect.high:+.5f})"
        )
    if decided.lines:
        return "nothing: no decision clears its hurdle"
    return f"nothing: {_none_why(outcome)}"


def _none_why(outcome: Outcome) -> str:
    task, metric = outcome.competition.task, outcome.metric
    if outcome.assessment.nest.evidence.folds and len(outcome.decided.nested) < FEWEST:
        return f"fitting and comparing decisions honestly takes {FEWEST} folds"
    if outcome.form.kind == "value" and metric.needs == "label":
        return (
            f"the file takes probabilities, so the leaderboard makes the classes; {metric.name} is "
            "scored as if by 0.5 or the largest"
        )
    if task.problem == "regression" and task.label_range is None:
        return "there is no label range to clip to (task.label_range), and no grid of labels"
    return f"{metric.name} needs no decision on such a file"
