"""The piece of the ensemble's page on the leaderboard: expected score and 90 % ranges."""

from collections.abc import Iterator

from pipeline.ensemble.forecast.leaderboard import INSIDE
from pipeline.ensemble.outcome import Outcome

AVERAGED = (
    "test predictions are means of the folds' learners, so the score tends to be a bit better"
)
NO_SHARE = "--public-share 0.5 tells the public and the private part apart"


def sentences(outcome: Outcome) -> Iterator[str]:
    """What the leaderboard will say, a line for each part of the test file."""
    found = outcome.leaderboard
    title = "leaderboard"
    for name, part in found.parts.items():
        yield (
            f"{title:<12} {name:<7} {part.score:.4f} ({INSIDE} %: {part.low:.4f} to "
            f"{part.high:.4f}, {part.rows:,} rows)"
        )
        title = ""
    for note in found.notes:
        yield f"{title:<12} {note}"
        title = ""
    if found.parts and found.basis == "train":
        yield f"{'':<12} {AVERAGED}"
    if list(found.parts) == ["whole"]:
        yield f"{'':<12} {NO_SHARE}"
