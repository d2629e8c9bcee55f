"""What `pipeline.tune` prints: the trials, and what of their gain holds on folds they never saw."""

import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline.ensemble import Gain
from pipeline.report.page import empty_grid, plural, score_text, signed
from pipeline.report.worth import verdict_text
from pipeline.tune.confirm import Confirmation, Confirmed
from pipeline.tune.study import Search

SHOWN = 10
"""Trials in the table."""


def print_search(search: Search, console: Console) -> None:
    """How the trials ended, the best of them, and how to look at all."""
    standings = search.standings()
    counts = {
        state: sum(each.state == state for each in standings)
        for state in ("complete", "pruned", "failed")
    }
    folds = plural(search.folds, "fold")
    console.print(
        f"{plural(len(standings), 'trial')}: {counts['complete']} to the last of {folds}, "
        f"{counts['pruned']} ended early, {counts['failed']} failed",
        soft_wrap=True,
    )
    grid = empty_grid(f"The best on {folds} of the search", "trial", search.bench.metric.name)
    grid.add_column("settings", overflow="fold")
    for each in search.best(SHOWN):
        grid.add_row(
            str(each.number),
            score_text(each.score),
            ", ".join(each.overrides[len(search.space.fixed) :]),
        )
    console.print(grid)
    console.print(f"all trials: optuna-dashboard {search.storage}", soft_wrap=True)


def print_confirmation(
    search: Search, found: Confirmation, file: tuple[Path, str] | None, console: Console
) -> None:
    """The candidates beside the default on all folds, the optimism, and the winner's file."""
    for note in found.notes:
        console.print(f"note     {note}", soft_wrap=True)
    others = plural(search.bench.ground.folds.count - search.folds, "other")
    columns = ("all folds", "search's", others, "gain on search's", "gain on others")
    grid = empty_grid(f"Confirmed on all folds, {search.bench.metric.name}", "run", *columns)
    grid.add_column("95 % interval", justify="right")
    for line in found.lines:
        grid.add_row(
            line.run,
            score_text(line.score),
            score_text(line.searched),
            score_text(line.others),
            *([signed(line.searched_gain.difference)] if line.trial is not None else ["–"]),
            *(
                [signed(line.gain.difference), _interval(line.gain)]
                if line.trial is not None
                else []
            ),
        )
    console.print(grid)
    for text in _conclusion(search, found, file):
        console.print(text, soft_wrap=True)


def _interval(gain: Gain) -> str:
    return f"{gain.low:+.5f} to {gain.high:+.5f}"


def _conclusion(
    search: Search, found: Confirmation, file: tuple[Path, str] | None
) -> Iterator[str]:
    first = _first_of_search(found)
    name = search.bench.metric.name
    yield (
        f"optimism {signed(first.optimism)} {name}: the search's best, {first.run}, gains "
        f"{signed(first.searched_gain.difference)} over {found.default.run} where it was chosen "
        f"and {signed(first.gain.difference)} on folds that it never saw"
    )
    winner = found.winner
    if winner.trial is None:
        yield f"winner   {winner.run}, the default: nothing that was found is better on all folds"
        return
    yield (
        f"winner   {winner.run} ({', '.join(winner.changed)}): {name} {winner.score:.4f} on all "
        f"folds, {found.default.score:.4f} before; on folds that the search never saw "
        f"{signed(winner.gain.difference)}, 95 % interval {_interval(winner.gain)}; "
        f"{verdict_text(winner.gain)}"
    )
    if file is not None:
        path, what = file
        yield f"recipe   {path} {what}: --model {winner.run}; every fold of it is trained"


def _first_of_search(found: Confirmation) -> Confirmed:
    """The candidate with the largest gain where it was chosen."""
    return max(found.lines[1:], key=lambda line: line.searched_gain.difference)


def as_json(search: Search, found: Confirmation, file: tuple[Path, str] | None) -> dict[str, Any]:
    """Everything on the page, as plain values."""
    first = _first_of_search(found)
    return {
        "competition": search.bench.ground.competition.name,
        "model": search.space.model,
        "metric": search.bench.metric.name,
        "study": search.study.study_name,
        "storage": search.storage,
        "folds": search.folds,
        "trials": [
            {
                "number": each.number,
                "state": each.state,
                "score": _finite(each.score),
                "run": None if each.recipe is None else each.recipe.name,
                "settings": list(each.overrides),
            }
            for each in search.standings()
        ],
        "confirmed": [_values(line) for line in found.lines],
        "optimism": _finite(first.optimism),
        "winner": found.winner.run,
        "recipe": None if file is None else str(file[0]),
        "notes": found.notes,
    }


def _values(line: Confirmed) -> dict[str, Any]:
    gains = {
        name: {key: _finite(value) for key, value in asdict(getattr(line, name)).items()}
        for name in ("searched_gain", "gain")
    }
    return asdict(line) | gains | {"verdict": line.gain.verdict}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
