"""What `pipeline.ensemble` prints: members, methods, the choice and why, the submission."""

import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Grid

from pipeline.base import Competition
from pipeline.ensemble import Outcome
from pipeline.ensemble.assessment import Assessment, MethodLine
from pipeline.ensemble.decisions.choose import FEWEST, NOTHING, Decided, Line
from pipeline.report.ensemble_answer import answer_lines, leaderboard_sentences, verdict_text
from pipeline.report.page import empty_grid, reach, score_text, signed
from pipeline.submissions.build import decisions, finite, scores
from pipeline.submissions.submission_file import Written

Piece = str | Grid
"""A line, or a table."""

# The piece of the ensemble's page on decisions: what was tried, what it gains, what is applied.


def decision_table(lines: Sequence[Line], word: str) -> Grid | None:
    """The candidates; None where there were none."""
    if not lines:
        return None
    grid = Grid(title="Decisions", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    grid.add_column("decision")
    for column in (f"{word} effect", "95 % interval"):
        grid.add_column(column, justify="right")
    grid.add_column("applied", overflow="fold")
    grid.add_column("fitted on all rows", overflow="fold")
    for line in lines:
        effect = line.effect
        grid.add_row(
            line.name + (" *" if line.applied else ""),
            f"{effect.difference:+.5f}",
            f"{effect.low:+.5f} to {effect.high:+.5f}",
            line.why,
            line.detail,
        )
    return grid


def decision_sentences(outcome: Outcome) -> Iterator[str]:
    """What is written into the file, and what was decided about it."""
    decided, problem = outcome.decided, outcome.competition.task.problem_type
    what = outcome.form.words or problem.written[outcome.form.kind]
    yield f"written  {what} in {', '.join(outcome.form.columns)}"
    for note in outcome.form.notes:
        yield f"  note   {note}"
    yield f"decided  {_chosen(outcome)}"
    if decided.wavers:
        yield f"         without one fold at a time it is: {', '.join(decided.nested)}"
        yield f"         {_told_of(decided, _word(outcome))}"
    if decided.form is not None and decided.chosen == NOTHING:
        numbers = outcome.metric.needs == "value"
        why = f"{outcome.metric.name} takes numbers, the file takes classes: " if numbers else ""
        yield (
            f"  note   {why}{decided.form.says([])}; that changes the {_word(outcome)} score by "
            f"{decided.effect.difference:+.5f} (above 0 is better)"
        )


def _word(outcome: Outcome) -> str:
    """What a score is called: honest, unless a member's own is in doubt."""
    return "claimed" if outcome.doubts else "honest"


def _told_of(decided: Decided, word: str) -> str:
    """What the honest score is of, where folds decide differently."""
    if decided.chosen == NOTHING:
        return f"the {word} score is that of the file, to which nothing is done"
    if decided.with_choice:
        return f"the {word} score holds that choice, and is no higher than with {decided.chosen}"
    return f"the {word} score is that of {decided.chosen} in every fold, as in the file"


def _chosen(outcome: Outcome) -> str:
    decided, effect = outcome.decided, outcome.decided.effect
    if decided.decision is not None:
        fitted = decided.decision.says(outcome.competition.outputs)
        what = "the choice included" if decided.with_choice else "as in the file"
        if decided.form is not None:
            what = "what the file's form asks for included"
        return (
            f"{decided.chosen}: {fitted}. {_word(outcome).capitalize()} effect, {what}, "
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
    if task.problem_type.numeric and task.label_range is None:
        return "there is no label range to clip to (task.label_range), and no grid of labels"
    return f"{metric.name} needs no decision on such a file"


SHOWN = 12  # members in the correlation matrix; more do not fit a terminal


def print_outcome(outcome: Outcome, console: Console) -> None:
    """Print all that was found, before anything is written."""

    def say(line: str = "") -> None:
        console.print(line, soft_wrap=True)

    for section in SECTIONS:
        for piece in section(outcome):
            if isinstance(piece, str):
                say(piece)
            else:
                console.print(piece)


def print_submission(
    about: Competition, written: Written | None, message: str, console: Console
) -> None:
    """Print where the submission lies and how to send it."""

    def say(line: str) -> None:
        console.print(line, soft_wrap=True)

    if written is None:
        say("dry run: nothing was written")
        return
    if written.reused:
        record = written.path.with_suffix(".json").name
        more = f"its {record} now holds the score and ranges above"
        told = more if written.refreshed else "nothing new was written"
        say(f"the same bytes as {written.path}, which stands for them: {told}")
    else:
        say(f"wrote {written.path} and {written.path.with_suffix('.json').name}")
    if not about.submissions.benchmark:  # sent elsewhere, in files of another form
        say(f"submit it: {submit_command(about.name, written.path, message)}")


def submit_command(competition: str, path: Path, message: str) -> str:
    """The Kaggle client's command line, ready to be pasted.

    >>> submit_command("sts", Path("submissions/sts-001-mean.csv"), "mean of 2 runs")
    "kaggle competitions submit sts -f submissions/sts-001-mean.csv -m 'mean of 2 runs'"
    """
    words = ["kaggle", "competitions", "submit", competition, "-f", str(path), "-m", message]
    return shlex.join(words)


def competition(outcome: Outcome) -> Iterator[Piece]:
    """What was read: rows, folds, notes."""
    metric, count = outcome.metric, len(outcome.members.names)
    better = "larger" if metric.greater_is_better else "smaller"
    runs = "1 run" if count == 1 else f"{count} runs"
    yield f"{outcome.competition.name}: {runs}, scored by {metric.name} ({better} is better)"
    folds = outcome.members.manifests[0]["folds"]
    rows = ", ".join(f"{number} {name}" for name, number in outcome.rows.items())
    yield f"  rows     {rows}; {folds} folds, {outcome.groups} groups"
    yield f"  folds    passport {outcome.passport[:16]}, the same for every run"
    for note in outcome.notes:
        yield f"  note     {note}"
    yield ""


def members(outcome: Outcome) -> Iterator[Piece]:
    """Each run, with its weight and what it is worth."""
    yield _members(outcome)


def methods(outcome: Outcome) -> Iterator[Piece]:
    """Each method, with its honest score."""
    yield _methods(outcome.assessment, _word(outcome))


def correlation(outcome: Outcome) -> Iterator[Piece]:
    """How alike the errors of the runs are."""
    if len(outcome.members.names) > 1:
        yield _correlation(outcome.assessment)


def mistakes(outcome: Outcome) -> Iterator[Piece]:
    """What happened to entities or answers, where rows are units of documents."""
    if (found := happened(outcome)) is not None:
        fates, rows = found
        grid = empty_grid(f"What happened to {_word(outcome)} predictions", "", *fates)
        for name, counts in rows.items():
            grid.add_row(name, *(f"{count:,}" for count in counts))
        yield grid


def happened(outcome: Outcome) -> tuple[list[str], dict[str, list[int]]] | None:
    """See `Problem.mistakes`; None where rows are no units."""
    kind, evidence = outcome.competition.task.problem_type, outcome.evidence
    if not kind.units:
        return None
    classes = outcome.competition.task.classes
    first = evidence.truth[:, -1] == 0
    labels = kind.decode(outcome.decided.predicted, first, classes)
    return kind.mistakes(evidence.truth, labels, classes)


def decided(outcome: Outcome) -> Iterator[Piece]:
    """What is done to predictions before they are written."""
    if (grid := decision_table(outcome.decided.lines, _word(outcome))) is not None:
        yield grid
    yield from decision_sentences(outcome)


def _members(outcome: Outcome) -> Grid:
    columns = ("score", "fold mean", "weight", "loss without it", "± 95 %")
    grid = empty_grid("Members", "run", *columns)
    assessment, holdout = outcome.assessment, outcome.holdout
    if holdout is not None:
        grid.add_column("holdout", justify="right")
    for place, line in enumerate(assessment.members):
        more = [] if holdout is None else [score_text(holdout.members[place])]
        cells = [score_text(line.score), score_text(line.fold_mean), f"{line.weight:.3f}"]
        grid.add_row(line.name, *cells, signed(line.cost_without), reach(line.worth), *more)
    if holdout is not None:
        grid.add_row("ensemble", "", "", "", "", "", score_text(holdout.ensemble))
    return grid


def _methods(assessment: Assessment, word: str) -> Grid:
    columns = ("in-sample", word, "difference", "gain over best", "± se")
    grid = empty_grid("Methods", "method", *columns)
    for line in assessment.methods:
        mark = " *" if line.name == assessment.method else ""
        gain = line.over_best
        grid.add_row(
            line.name + mark,
            score_text(line.in_sample),
            score_text(line.honest),
            signed(line.optimism),
            "" if line.name == "best" else signed(gain.difference),
            "" if line.name == "best" else f"{gain.error:.5f}",
        )
    return grid


def conclusion(outcome: Outcome) -> Iterator[Piece]:
    """The method that was chosen, its honest score, and whether its gain is real."""
    assessment, gain = outcome.assessment, outcome.over_single
    word = _word(outcome)
    yield f"in-sample: fitted and scored on the same rows; {word}: whatever was chosen was chosen"
    yield "without the fold it is scored on; difference: how much in-sample flatters"
    yield ""
    yield f"method   {assessment.method}: {assessment.reason}"
    if assessment.wavers:
        yield f"         without one fold at a time the choice is: {', '.join(assessment.nested)}"
        if assessment.told == assessment.method:
            yield f"         the {word} score is that of {assessment.method}, as in the file"
    in_sample = score_text(outcome.in_sample)
    yield f"{word:<8} {score_text(outcome.honest)} (in-sample {in_sample}){_with(outcome)}"
    for run, doubt in outcome.doubts:
        yield f"doubt    {run}: {doubt.says}"
    if outcome.doubts:
        yield "         so no score on this page is honest"
    if len(assessment.members) > 1:
        yield (
            f"gain     {gain.difference:+.5f} over the best single model"
            f"{_its_own(outcome.of_single)}, 95 % interval "
            f"{gain.low:+.5f} to {gain.high:+.5f}; {verdict_text(outcome)}"
        )
    if len(assessment.members) > 1 and assessment.method != "mean":
        mean = outcome.over_mean
        yield (
            f"         {mean.difference:+.5f} over the plain mean{_its_own(outcome.of_mean)}, "
            f"95 % interval {mean.low:+.5f} to {mean.high:+.5f}: "
            f"{'untold' if outcome.doubts else mean.verdict}"
        )
    yield ""


def _its_own(decision: str) -> str:
    """The decision that what is compared with gets."""
    return f" with {decision} of its own" if decision != NOTHING else ""


def _with(outcome: Outcome) -> str:
    """What the honest score holds besides the blend: decisions, their choice, the file's form."""
    decided, before = outcome.decided, outcome.undecided
    if outcome.honest == before or (decided.decision is None and decided.form is None):
        return ""
    if decided.form is not None:
        return f", as the file's form has it; {score_text(before)} before"
    return f", with the {decided.chosen} applied; {score_text(before)} without"


def _correlation(assessment: Assessment) -> Grid:
    order = sorted(range(len(assessment.members)), key=lambda i: -assessment.members[i].weight)
    shown = sorted(order[:SHOWN])
    title = "Correlation of errors"
    if len(shown) < len(order):
        title += f" (the {SHOWN} members with the most weight; --json has all)"
    grid = empty_grid(title, "", *(str(place + 1) for place in shown))
    for row in shown:
        cells = [f"{assessment.correlation[row, column]:.2f}" for column in shown]
        grid.add_row(f"{row + 1} {assessment.members[row].name}", *cells)
    return grid


Section = Callable[[Outcome], Iterator[Piece]]
SECTIONS: tuple[Section, ...] = (
    answer_lines,
    *(competition, members, methods, conclusion, correlation, mistakes, decided),
    leaderboard_sentences,
)
"""The page, from top to bottom."""


# What `pipeline.ensemble --json` prints: everything on the page, as plain values.


def as_json(outcome: Outcome, written: Written | None, message: str) -> dict[str, Any]:
    """Everything that is printed, as plain values."""
    assessment = outcome.assessment
    holdout = outcome.holdout.members if outcome.holdout else [None] * len(assessment.members)
    fates = happened(outcome)
    return {
        "competition": outcome.competition.name,
        "passport": outcome.passport,
        "rows": outcome.rows,
        "groups": outcome.groups,
        "requested": assessment.requested,
        "method": assessment.method,
        "reason": assessment.reason,
        "scores": scores(outcome),
        "members": [
            {
                "name": line.name,
                "score": line.score,
                "fold_scores": line.fold_scores,
                "weight": line.weight,
                "cost_without": line.worth and finite(line.worth.difference),
                "cost_interval_95": line.worth
                and [finite(line.worth.low), finite(line.worth.high)],
                "holdout": score,
            }
            for line, score in zip(assessment.members, holdout, strict=True)
        ],
        "blend": assessment.blend.details(),
        "methods": [_method_values(line, outcome) for line in assessment.methods],
        "error_correlation": assessment.correlation.tolist(),
        "form": outcome.form.kind,
        "decisions": decisions(outcome),
        **({} if fates is None else {"mistakes": {"fates": fates[0], **fates[1]}}),
        "carried_by": outcome.carrier,
        "instead": _instead_values(outcome),
        "notes": outcome.notes,
        "submission": None if written is None else str(written.path),
        "reused": written is not None and written.reused,
        "submit": None
        if written is None
        else submit_command(outcome.competition.name, written.path, message),
    }


def _instead_values(outcome: Outcome) -> dict[str, Any] | None:
    if (found := outcome.instead) is None:
        return None
    gain = found.gain
    return {
        "runs": found.runs,
        "honest": found.honest,
        "gain": finite(gain.difference),
        "interval_95": [finite(gain.low), finite(gain.high)],
        "command": found.command,
    }


def _method_values(line: MethodLine, outcome: Outcome) -> dict[str, Any]:
    gain, honest = line.over_best, _word(outcome)
    return {
        "name": line.name,
        "in_sample": line.in_sample,
        honest: line.honest,
        "optimism": line.optimism,
        "over_best_single": finite(gain.difference),
        "error": finite(gain.error),
        "interval_95": [finite(gain.low), finite(gain.high)],
    }
