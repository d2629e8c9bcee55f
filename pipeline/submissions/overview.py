"""The ledger beside what we knew before: honest score, expected range, budget, noise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pipeline.base import read_json
from pipeline.base.config import SubmissionsConfig
from pipeline.base.errors import PipelineError
from pipeline.submissions.already_sent import sent_files
from pipeline.submissions.finalists import Board, Duel, candidates, duel
from pipeline.submissions.ledger import Budget, Entry, budget, read_ledger

PARTS = ("public", "private")


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a part of the leaderboard was expected to say, with a 90 % range."""

    score: float | None
    low: float | None
    high: float | None

    def misses(self, score: float) -> bool:
        """Whether *score* lies outside the range; False where there is none."""
        if self.low is None or self.high is None:
            return False
        return not min(self.low, self.high) <= score <= max(self.low, self.high)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One submission."""

    number: int
    entry: Entry
    csv: Path | None
    """The file, where it still lies in submissions/ as it was sent."""
    method: str | None
    honest: float | None
    """None for a file that is not ours, and where a member's own score is in doubt."""
    doubts: tuple[str, ...]
    """Why its score is not honest; empty as a rule."""
    warnings: tuple[str, ...]
    """What an audit warned of, or what is taken on trust."""
    expected: dict[str, Expected]
    """public, private -> what was expected."""

    def outside(self, part: str) -> bool:
        """Whether the score of that part lies outside its range."""
        score, expected = getattr(self.entry, part), self.expected.get(part)
        return score is not None and expected is not None and expected.misses(score)


@dataclass(frozen=True, kw_only=True)
class Noise:
    """How far the difference of two files strays on the public part by luck alone."""

    files: tuple[str, str]
    rows: int
    duel: Duel


@dataclass(frozen=True, kw_only=True)
class Overview:
    """The whole page."""

    lines: list[Line]
    budget: Budget
    day: date
    rows: tuple[int, int] | None
    """Public and private rows of the test file, where the config tells."""


def standing(folder: Path, competition: str, config: SubmissionsConfig, day: date) -> Overview:
    """Everything in the ledger of *competition*, as of *day* (UTC)."""
    entries = read_ledger(folder, competition)
    paths = sent_files(folder, entries)
    lines, test_rows = [], None
    for number, (entry, path) in enumerate(zip(entries, paths, strict=True), 1):
        record = _record(folder, entry)
        test_rows = record.get("rows", {}).get("test", test_rows)
        scores = record.get("scores", {})
        lines.append(
            Line(
                number=number,
                entry=entry,
                csv=path,
                method=record.get("method"),
                honest=scores.get("honest"),
                doubts=_told(scores, "doubts"),
                warnings=_told(scores, "warnings"),
                expected=_expected(scores),
            )
        )
    rows = None if test_rows is None else config.rows(test_rows)
    return Overview(lines=lines, budget=budget(config, entries, day), day=day, rows=rows)


def _told(scores: Mapping[str, Any], field: str) -> tuple[str, ...]:
    return tuple(f"{each.get('run')}: {each.get('says')}" for each in scores.get(field) or [])


def _record(folder: Path, entry: Entry) -> dict[str, Any]:
    """The provenance of a submission; {} where it has none, or one of other bytes."""
    try:
        found = read_json((folder / Path(entry.file).name).with_suffix(".json"))
    except PipelineError:
        return {}
    return found if found.get("sha256") == entry.sha256 else {}


def _expected(scores: Mapping[str, Any]) -> dict[str, Expected]:
    found = scores.get("expected") or {}
    return {
        part: Expected(**{name: found[part].get(name) for name in ("score", "low", "high")})
        for part in PARTS
        if isinstance(found.get(part), dict)
    }


def noise(
    root: Path, lines: Sequence[Line], rows: int, seed: int, greater_is_better: bool
) -> Noise | None:
    """The noise between the two files one would compare: those with the best public scores.

    None where there are no two files whose honest predictions can be made again.
    """
    scored = [line for line in lines if line.entry.public is not None]
    scored.sort(key=lambda line: line.entry.public or 0.0, reverse=greater_is_better)
    others = [line for line in lines if line.entry.public is None]
    ours = [line.csv for line in [*scored, *others] if line.csv and line.honest is not None]
    found, _ = candidates(root, ours[:2])
    if len(found) < 2:
        return None
    made = found[0].made
    metric = made.outcome.metric
    board = Board.of(rows, made.nest.evidence.group_of_row, made.truth, metric, seed)
    both = duel(*(board.gains(each.made.honest) for each in found))
    if both is None:
        return None
    return Noise(files=(found[0].csv.name, found[1].csv.name), rows=rows, duel=both)
