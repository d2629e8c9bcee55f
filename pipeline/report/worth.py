"""What `pipeline.worth` prints: the gain of adding a candidate, and what it costs."""

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table as Grid

from pipeline.ensemble import Gain
from pipeline.ensemble.assessment import CUTS
from pipeline.metrics.metric import judging
from pipeline.report.page import empty_grid, score_text
from pipeline.team import CompetitionView
from pipeline.team.worth import MethodWorth, Worth

VERDICTS = {
    "real": "real: the whole interval is above 0",
    "undecided": "undecided: the interval holds 0, the gain may be luck",
    "no": "no: it does not reach above 0",
}


NOTHING = "no gain to be seen: with it the honest score is no better, and the interval holds 0"


def verdict_text(gain: Gain) -> str:
    """The verdict in words: luck is spoken of where there is a gain."""
    if gain.verdict == "undecided" and gain.difference <= 0:
        return NOTHING
    return VERDICTS[gain.verdict]


def print_worth(worth: Worth, contest: CompetitionView, console: Console) -> None:
    """Print the whole page."""

    def say(line: str = "") -> None:
        console.print(line, soft_wrap=True)

    for line in _first_lines(worth, contest):
        say(line)
    say()
    console.print(_methods(worth))
    console.print(_runs(worth))
    for line in _conclusion(worth, contest):
        say(line)


def _first_lines(worth: Worth, contest: CompetitionView) -> Iterator[str]:
    metric = contest.metric
    better = "larger" if metric.greater_is_better else "smaller"
    count = "1 run" if len(worth.runs) == 1 else f"{len(worth.runs)} runs"
    yield (
        f"{contest.competition.name}: is {worth.name} worth adding to {count}? Scored by "
        f"{metric.name} ({better} is better)"
    )
    yield f"  folds    passport {contest.folds.digest[:16]}, {contest.folds.count} folds"
    yield f"  score    {score_text(worth.score)} alone"
    if judging(metric).cuts is not None:
        yield f"  note     {CUTS.format(metric=metric.name)}"
    for note in worth.notes:
        yield f"  note     {note}"


def _methods(worth: Worth) -> Grid:
    columns = ("without", "with", "gain", "± se", "95 % interval", "its weight")
    grid = empty_grid("Honest score of the ensemble", "method", *columns)
    for line in worth.methods:
        gain = line.gain
        chosen = "" if line.chosen == line.method else f" ({line.chosen})"
        grid.add_row(
            line.method + chosen,
            score_text(line.without),
            score_text(line.score),
            f"{gain.difference:+.5f}",
            f"{gain.error:.5f}",
            f"{gain.low:+.5f} to {gain.high:+.5f}",
            f"{line.weight:.3f}",
        )
    return grid


def _runs(worth: Worth) -> Grid:
    grid = empty_grid("Runs that are there", "run", "score", "error correlation")
    for name, score, each in zip(worth.runs, worth.scores, worth.correlations, strict=True):
        grid.add_row(name, score_text(score), f"{each:.3f}")
    grid.add_row(
        "ensemble of them", score_text(worth.methods[0].without), f"{worth.with_ensemble:.3f}"
    )
    return grid


def _conclusion(worth: Worth, contest: CompetitionView) -> Iterator[str]:
    first = worth.methods[0]
    gain = first.gain
    yield (
        f"worth    {gain.difference:+.5f} {contest.metric.name} to the ensemble ({first.method}), "
        f"95 % interval {gain.low:+.5f} to {gain.high:+.5f}; {verdict_text(gain)}"
    )
    yield f"costs    {_costs(worth, contest)}"


def _costs(worth: Worth, contest: CompetitionView) -> str:
    if worth.seconds is None:
        return "unknown: no seconds are recorded with it"
    fit, predict = worth.seconds["fit"], worth.seconds["predict"]
    return (
        f"{_time(fit)} of training and {_time(predict)} of prediction, all folds together "
        "(recorded when it was trained)"
    )


def _time(seconds: float) -> str:
    """Seconds for people.

    >>> _time(3.2), _time(75), _time(7300)
    ('3.2 s', '1:15 min', '2:01 h')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    big, unit = (60, "min") if seconds < 3600 else (3600, "h")
    whole, rest = divmod(int(seconds), big)
    return f"{whole}:{rest * 60 // big:02d} {unit}"


def as_json(worth: Worth, contest: CompetitionView) -> dict[str, Any]:
    """Everything on the page, as plain values."""
    return {
        "competition": contest.competition.name,
        "passport": contest.folds.digest,
        "metric": contest.metric.name,
        "name": worth.name,
        "verdict": worth.verdict,
        "score": worth.score,
        "methods": [_values(line) for line in worth.methods],
        "runs": [
            {"name": name, "score": score, "error_correlation": each}
            for name, score, each in zip(worth.runs, worth.scores, worth.correlations, strict=True)
        ],
        "error_correlation_with_ensemble": worth.with_ensemble,
        "seconds": worth.seconds,
        "notes": worth.notes,
    }


def _values(line: MethodWorth) -> dict[str, Any]:
    gain = {name: _finite(value) for name, value in asdict(line.gain).items()}
    return {
        "method": line.method,
        "chosen": line.chosen,
        "without": line.without,
        "with": line.score,
        "gain": gain | {"verdict": line.gain.verdict},
        "weight": line.weight,
    }


def _finite(value: Any) -> Any:
    return value if not isinstance(value, float) or math.isfinite(value) else None
