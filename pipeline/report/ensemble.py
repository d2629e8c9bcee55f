"""What `pipeline.ensemble` prints: members, methods, the choice and why, the submission."""

import shlex
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table as Grid

from pipeline.ensemble.assessment import Assessment
from pipeline.ensemble.outcome import Outcome
from pipeline.report import decisions, leaderboard
from pipeline.report.grids import empty_grid, number, reach, signed
from pipeline.submissions.submission_file import Written

SHOWN = 12  # members in the correlation matrix; more do not fit a terminal
VERDICTS = {
    "real": "real: the whole interval is above 0",
    "undecided": "undecided: the interval holds 0, the gain may be luck",
    "no": "no: blending does not beat the best single model here",
}


def print_outcome(outcome: Outcome, console: Console) -> None:
    """Print all that was found, before anything is written."""

    def say(line: str = "") -> None:
        console.print(line, soft_wrap=True)

    for line in _first_lines(outcome):
        say(line)
    say()
    console.print(_members(outcome))
    console.print(_methods(outcome.assessment))
    for line in _conclusion(outcome):
        say(line)
    say()
    if len(outcome.members.names) > 1:
        console.print(_correlation(outcome.assessment))
    if (grid := decisions.table(outcome.decided)) is not None:
        console.print(grid)
    for line in [*decisions.sentences(outcome), *leaderboard.sentences(outcome)]:
        say(line)


def print_submission(
    outcome: Outcome, written: Written | None, message: str, console: Console
) -> None:
    """Print where the submission lies and how to send it."""

    def say(line: str) -> None:
        console.print(line, soft_wrap=True)

    if written is None:
        say("dry run: nothing was written")
        return
    if written.reused:
        told = "nothing new was written"
        if written.refreshed:
            told = f"its {written.path.with_suffix('.json').name} now holds the ranges above, too"
        say(f"the same bytes as {written.path}, which stands for them: {told}")
    else:
        say(f"wrote {written.path} and {written.path.with_suffix('.json').name}")
    say(f"submit it: {submit_command(outcome.competition.name, written.path, message)}")


def submit_command(competition: str, path: Path, message: str) -> str:
    """The Kaggle client's command line, ready to be pasted.

    >>> submit_command("sts", Path("submissions/sts-001-mean.csv"), "mean of 2 runs")
    "kaggle competitions submit sts -f submissions/sts-001-mean.csv -m 'mean of 2 runs'"
    """
    words = ["kaggle", "competitions", "submit", competition, "-f", str(path), "-m", message]
    return shlex.join(words)


def _first_lines(outcome: Outcome) -> Iterator[str]:
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


def _members(outcome: Outcome) -> Grid:
    columns = ("score", "fold mean", "weight", "loss without it", "± 95 %")
    grid = empty_grid("Members", "run", *columns)
    assessment, holdout = outcome.assessment, outcome.holdout
    if holdout is not None:
        grid.add_column("holdout", justify="right")
    for place, line in enumerate(assessment.members):
        more = [] if holdout is None else [number(holdout.members[place])]
        cells = [number(line.score), number(line.fold_mean), f"{line.weight:.3f}"]
        grid.add_row(line.name, *cells, signed(line.cost_without), reach(line.worth), *more)
    if holdout is not None:
        grid.add_row("ensemble", "", "", "", "", "", number(holdout.ensemble))
    return grid


def _methods(assessment: Assessment) -> Grid:
    columns = ("in-sample", "honest", "difference", "gain over best", "± se")
    grid = empty_grid("Methods", "method", *columns)
    for line in assessment.methods:
        mark = " *" if line.name == assessment.method else ""
        gain = line.over_best
        grid.add_row(
            line.name + mark,
            number(line.in_sample),
            number(line.honest),
            signed(line.optimism),
            "" if line.name == "best" else signed(gain.difference),
            "" if line.name == "best" else f"{gain.error:.5f}",
        )
    return grid


def _conclusion(outcome: Outcome) -> Iterator[str]:
    assessment, line = outcome.assessment, outcome.assessment.headline
    gain = line.over_best
    yield "in-sample: fitted and scored on the same rows; honest: whatever was chosen was chosen"
    yield "without the fold it is scored on; difference: how much in-sample flatters"
    yield ""
    yield f"method   {assessment.method}: {assessment.reason}"
    if assessment.wavers:
        yield f"         without one fold at a time the choice is: {', '.join(assessment.nested)}"
    in_sample = number(outcome.in_sample)
    yield f"honest   {number(outcome.honest)} (in-sample {in_sample}){_with(outcome)}"
    if len(assessment.members) > 1:
        yield (
            f"gain     {gain.difference:+.5f} over the best single model, 95 % interval "
            f"{gain.low:+.5f} to {gain.high:+.5f}; {VERDICTS[assessment.verdict]}"
        )
    if len(assessment.members) > 1 and assessment.method != "mean":
        mean = assessment.over_mean
        yield (
            f"         {mean.difference:+.5f} over the plain mean, 95 % interval "
            f"{mean.low:+.5f} to {mean.high:+.5f}: {mean.verdict}"
        )


def _with(outcome: Outcome) -> str:
    """What the honest score holds besides the blend: decisions, their choice, the file's form."""
    decided, before = outcome.decided, outcome.undecided
    if outcome.honest == before:
        return ""
    if decided.form is not None:
        return f", as the classes of the file; {number(before)} as numbers"
    if decided.decision is None:
        return f", choosing decisions included; {number(before)} if none had been tried"
    return f", with the {decided.chosen} applied; {number(before)} without"


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
