"""What `pipeline.ensemble` prints where answers are texts."""

from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

from rich.console import Console
from rich.table import Table as Grid

from pipeline.ensemble.decisions.choose import FEWEST, NOTHING
from pipeline.ensemble.texts.nest import DECISIONS
from pipeline.ensemble.texts.outcome import Interval, TextOutcome
from pipeline.ensemble.texts.pool import TRUST
from pipeline.report.ensemble import decision_table, submit_command
from pipeline.report.ensemble_answer import board_of, leaderboard_sentences, verdict_text
from pipeline.report.page import empty_grid, reach, score_text, signed
from pipeline.submissions.build import finite
from pipeline.submissions.submission_file import Written
from pipeline.submissions.texts import gained, text_decisions, text_scores

WAYS = {
    "best": "the first candidate of the best member",
    "mean": "minimum Bayes risk, all members and candidates alike",
    "length": "minimum Bayes risk, with trust in probabilities and a length",
    "greedy": "minimum Bayes risk, members weighted",
}


def text_lines(outcome: TextOutcome) -> Iterator[str | Grid]:
    """The page, from top to bottom."""
    metric, gain = outcome.metric.name, outcome.over_single
    names, word = ", ".join(outcome.names), "claimed" if outcome.doubts else "honest"
    yield (
        f"answer   {outcome.method} of {names}: {word} {metric} {score_text(outcome.honest)} "
        f"(95 %: {_ends(outcome.interval)}){board_of(outcome.leaderboard)}"
    )
    yield (
        f"         {gain.difference:+.4f} over the best single model's first candidates: "
        f"{verdict_text(outcome)}"
    )
    yield ""
    runs = "1 run" if len(outcome.names) == 1 else f"{len(outcome.names)} runs"
    better = "larger" if outcome.metric.greater_is_better else "smaller"
    yield f"{outcome.competition.name}: {runs}, scored by {metric} ({better} is better)"
    rows = ", ".join(f"{number} {name}" for name, number in outcome.rows.items())
    folds = outcome.manifests[0]["folds"]
    yield f"  rows     {rows}; {folds} folds, {outcome.groups} groups"
    yield f"  folds    passport {outcome.passport[:16]}, the same for every run"
    for note in outcome.notes:
        yield f"  note     {note}"
    yield ""
    yield _members(outcome)
    yield _methods(outcome, word)
    if (grid := decision_table(outcome.decisions, word)) is not None:
        yield grid
    yield f"method   {outcome.method} ({WAYS[outcome.method]}): {outcome.reason}"
    if outcome.wavers:
        yield "         without some fold another method is chosen: the lower score is told"
    if not outcome.blend.alone:
        yield f"         {_trust(outcome)}"
    if outcome.blend.decision and outcome.decided == NOTHING:
        yield f"         {outcome.blend.says()}"
    yield f"decided  {_decided(outcome)}"
    yield (
        f"{word:<8} {score_text(outcome.honest)}, 95 % interval {_ends(outcome.interval)} "
        f"(in-sample {score_text(outcome.in_sample)})"
    )
    for run, doubt in outcome.doubts:
        yield f"doubt    {run}: {doubt.says}"
    yield (
        f"gain     {gain.difference:+.5f} over the best single model, 95 % interval "
        f"{gain.low:+.5f} to {gain.high:+.5f}; {verdict_text(outcome)}"
    )
    if outcome.holdout is not None:
        yield f"holdout  {score_text(outcome.holdout)}"
    said, right = outcome.lengths
    yield f"length   {said:.0f} characters on average, right answers have {right:.0f}"
    yield ""
    yield _others(outcome, word)
    yield from leaderboard_sentences(outcome)
    yield f"written  texts in {', '.join(outcome.form.columns)}"


def _decided(outcome: TextOutcome) -> str:
    """What is done about the length of texts, or why nothing is."""
    if outcome.decided != NOTHING:
        return f"{outcome.decided}: {outcome.blend.says()}"
    if outcome.decisions:
        return "nothing: no decision clears its hurdle"
    if outcome.method in DECISIONS:
        return f"nothing: fitting and comparing decisions honestly takes {FEWEST} folds"
    return f"nothing: {outcome.method} holds the length"


def _ends(found: Interval) -> str:
    return f"{found.low:.4f} to {found.high:.4f}"


def _trust(outcome: TextOutcome) -> str:
    """How a member's candidates count."""
    power = TRUST[outcome.blend.trust]
    if power == 0:
        return "a member's candidates count alike, whatever their probability"
    if power == 1:
        return "a member's candidates count by their probability"
    return f"a member's candidates count by the power {power:g} of their probability"


def _members(outcome: TextOutcome) -> Grid:
    columns = ("first candidate", "own consensus", "weight", "loss without it", "± 95 %")
    grid = empty_grid("Members", "run", *columns)
    for line in outcome.members:
        cost = None if line.worth is None else line.worth.difference
        cells = [score_text(line.score), score_text(line.alone), f"{line.weight:.3f}"]
        grid.add_row(line.name, *cells, signed(cost), reach(line.worth))
    return grid


def _methods(outcome: TextOutcome, word: str) -> Grid:
    grid = empty_grid("Methods", "method", "in-sample", word, "gain over best", "95 % interval")
    for line in outcome.methods:
        gain, mark = line.over_best, " *" if line.name == outcome.method else ""
        cells = [score_text(line.in_sample), score_text(line.honest)]
        alone = line.name == "best"
        cells += ["", ""] if alone else [signed(gain.difference), _of(gain.low, gain.high)]
        grid.add_row(line.name + mark, *cells)
    return grid


def _of(low: float, high: float) -> str:
    return f"{low:+.5f} to {high:+.5f}"


def _others(outcome: TextOutcome, word: str) -> Grid:
    """The same texts by all metrics."""
    columns = (word, "95 % interval", "best single model", "95 % interval")
    grid = empty_grid("The same texts by other metrics", "metric", *columns)
    for name, found in outcome.others.items():
        cells = [each for one in found for each in (score_text(one.score), _ends(one))]
        grid.add_row(name, *cells)
    return grid


def print_texts(outcome: TextOutcome, console: Console) -> None:
    """The whole page."""
    for piece in text_lines(outcome):
        console.print(piece, soft_wrap=isinstance(piece, str))


def texts_as_json(outcome: TextOutcome, written: Written | None, message: str) -> dict[str, Any]:
    """Everything that is printed, as plain values."""
    return {
        "competition": outcome.competition.name,
        "passport": outcome.passport,
        "rows": outcome.rows,
        "groups": outcome.groups,
        "requested": outcome.requested,
        "method": outcome.method,
        "reason": outcome.reason,
        "scores": text_scores(outcome),
        "members": [
            {
                "name": line.name,
                "score": line.score,
                "own_consensus": line.alone,
                "weight": line.weight,
                "cost_without": line.worth and finite(line.worth.difference),
                "cost_interval_95": line.worth
                and [finite(line.worth.low), finite(line.worth.high)],
            }
            for line in outcome.members
        ],
        "methods": [
            {
                "name": line.name,
                "in_sample": line.in_sample,
                "honest": line.honest,
                **gained(line.over_best),
            }
            for line in outcome.methods
        ],
        "blend": outcome.blend.details(),
        "decisions": text_decisions(outcome),
        "notes": outcome.notes,
        "submission": None if written is None else str(written.path),
        "reused": written is not None and written.reused,
        "submit": None
        if written is None
        else submit_command(outcome.competition.name, written.path, message),
    }


LINE_EVERY_SECONDS = 5.0


class ComparedLine:
    """Says after some seconds how many rows' candidates are left to compare."""

    def __init__(
        self, say: Callable[[str], object], clock: Callable[[], float] = monotonic
    ) -> None:
        self.say, self.clock = say, clock
        self.began = self.shown = clock()

    def __call__(self, kind: str, done: int, rows: int) -> None:
        """*done* of the *rows* of a *kind*."""
        now = self.clock()
        if done == 1:
            self.began = self.shown = now
        if now - self.shown >= LINE_EVERY_SECONDS:
            self.shown = now
            left = (now - self.began) / done * (rows - done)
            self.say(f"candidates: {done:,} of {rows:,} {kind} rows, about {left:.0f} s left")
