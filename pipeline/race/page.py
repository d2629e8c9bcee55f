"""What `pipeline.race` prints at its end: every model as it stands, and what was bought."""

import math
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline.race.race import Race
from pipeline.race.rule import Racer
from pipeline.report.page import empty_grid, score_text, signed
from pipeline.submissions.build import finite


def print_race(race: Race, console: Console) -> None:
    """Every model as it stands, what the last hour and the whole race bought, and what is next."""
    columns = ("folds", "min/fold", "gain", "± se", "expected per min")
    grid = empty_grid(f"The race, {race.bench.metric.name}", "run", *columns)
    grid.add_column("stands", overflow="fold")
    for each in race.racers():
        measured = each.open and each.done and math.isfinite(each.error)
        grid.add_row(
            each.name,
            f"{each.done}/{each.folds}",
            "–" if each.seconds is None else f"{each.seconds / 60:.2f}",
            *(
                [signed(each.gain), f"{each.error:.5f}", f"{each.per_minute:+.6f}"]
                if measured
                else ["–", "–", "–"]
            ),
            _stands(each),
        )
    console.print(grid)
    console.print(race.last_hour(), soft_wrap=True)
    if (found := race.account()) is not None:
        gain, runs = found
        console.print(
            f"this race bought {signed(gain)} {race.bench.metric.name}: "
            f"{', '.join(runs) or 'no further run'}; honest "
            f"{score_text(race.honest)} now",
            soft_wrap=True,
        )


def _stands(racer: Racer) -> str:
    if racer.complete:
        return "complete"
    if racer.out:
        return f"out: {racer.out}"
    return "begun" if racer.done else "not begun"


def race_as_json(race: Race, written: Path | None) -> dict[str, Any]:
    """Everything on the page, as plain values."""
    bought = race.account()
    return {
        "competition": race.bench.ground.competition.name,
        "metric": race.bench.metric.name,
        "honest": race.honest,
        "bought": None if bought is None else {"gain": bought[0], "runs": bought[1]},
        "submission": None if written is None else str(written),
        "runs": [
            {
                "run": each.name,
                "folds": each.done,
                "of": each.folds,
                "seconds_per_fold": each.seconds,
                "gain": finite(each.gain),
                "error": finite(each.error),
                "expected_per_minute": each.per_minute,
                "stands": _stands(each),
            }
            for each in race.racers()
        ],
    }
