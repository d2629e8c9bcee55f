"""The last two submissions: the best honest score, and a hedge.

The leaderboard takes the better of two files, so the second one is worth what it adds on the draws
in which the first is unlucky. Among files whose honest score is near the best, the hedge is the one
with the largest expected gain of the better of both over the first alone; that is large where both
are good and their errors, and test predictions, correlate little. Leaderboard scores have no say.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.base import UsageError, generator
from pipeline.base.config import SubmissionsConfig
from pipeline.base.errors import PipelineError
from pipeline.ensemble import Outcome
from pipeline.ensemble.assessment import as_score
from pipeline.ensemble.texts.outcome import TextOutcome
from pipeline.metrics import Draws, Metric, MetricError, resampled_gains
from pipeline.metrics.bootstrap import RESAMPLES
from pipeline.submissions.already_sent import Likeness, likeness, sent_files
from pipeline.submissions.built import Built
from pipeline.submissions.ledger import Entry
from pipeline.submissions.rebuild import prove, read_origin, remake
from pipeline.submissions.submission_file import existing

# What luck does to leaderboard scores: the bootstrap at the size of the leaderboard's part.
#
# Rows are drawn from the honest out-of-fold predictions, whole groups at a time and the same ones
# for every file, so differences between files are paired.
#
# Two questions, two kinds of draws. *Noise*: with the truth as it is on our rows, how far does the
# difference of two files stray on so many rows? Each draw takes that many rows from ours. *Chance*:
# which file will be the better one? Our own rows are a sample as well, so each draw first resamples
# them (a world that could have given our rows) and then takes the leaderboard's rows from that
# world.
#
# How much of a leaderboard difference is noise is measured on honest out-of-fold rows, never on the
# leaderboard.


BLOCKS = 4096
LEAST_DRAWN = 50
"""Blocks a draw takes at least, where there are so many: else its size would be too coarse."""


@dataclass(frozen=True, eq=False)
class Board:
    """Draws of as many rows as a part of the leaderboard has."""

    kept: np.ndarray
    """(n',) positions of our rows that can be drawn: all, or those of a random part of groups."""
    draws: Draws
    metric: Metric
    truth: np.ndarray
    """(n, …) of all our rows."""

    @classmethod
    def of(
        cls,
        rows: int,
        group_of_row: np.ndarray,
        truth: np.ndarray,
        metric: Metric,
        seed: int,
        worlds: bool = False,
    ) -> "Board":
        """Draws of *rows* rows on average; with *worlds* each from a resampled world of its own."""
        random = generator(seed, "leaderboard", rows, int(worlds))
        groups, group = np.unique(group_of_row, return_inverse=True)
        drawn = len(groups) * rows / len(group_of_row)  # groups that a draw takes
        chosen = random.permutation(len(groups))[: BLOCKS * max(1, int(drawn / LEAST_DRAWN))]
        block_of_group = np.full(len(groups), -1)
        block_of_group[chosen] = np.arange(len(chosen)) % BLOCKS
        block = block_of_group[group]
        kept = np.flatnonzero(block >= 0)
        blocks = min(BLOCKS, len(chosen))
        size = max(1, round(rows / (len(kept) / blocks)))
        even = np.full(blocks, 1 / blocks)
        counts = np.empty((RESAMPLES, blocks))
        for place in range(RESAMPLES):
            world = random.multinomial(blocks, even) / blocks if worlds else even
            counts[place] = random.multinomial(size, world)
        return cls(kept, Draws(block[kept], counts), metric, truth)

    def gains(self, predicted: np.ndarray) -> np.ndarray:
        """(B,) gain of *predicted* (n, …) on each draw; NaN where the metric is undefined."""
        truth = self.truth[self.kept]
        return resampled_gains(self.metric, truth, predicted[self.kept], self.draws)


@dataclass(frozen=True, kw_only=True)
class Duel:
    """Two files on the same draws."""

    first_wins: float
    """Share of the draws in which the first is the better one; ties count half."""
    spread: float
    """Standard deviation of their difference, in the metric's unit."""
    worth: float
    """By how much the better of the two beats the first alone, on average; 0 or more."""


def duel(first: np.ndarray, second: np.ndarray) -> Duel | None:
    """Compare the gains (B,) of two files; None where no draw has both."""
    known = np.isfinite(first) & np.isfinite(second)
    if not known.any():
        return None
    ahead = (first - second)[known]
    return Duel(
        first_wins=float((ahead > 0).mean() + (ahead == 0).mean() / 2),
        spread=float(ahead.std()),
        worth=float(np.maximum(-ahead, 0).mean()),
    )


# Submissions made again, with the honest out-of-fold predictions behind them.


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidate:
    """A file that was made again."""

    csv: Path
    made: Built

    @property
    def outcome(self) -> Outcome | TextOutcome:
        """What it was made from."""
        return self.made.outcome


def choose_files(
    folder: Path, competition: str, entries: Sequence[Entry], everything: bool
) -> tuple[list[Path], list[str]]:
    """The files to compare, and why other sent ones cannot be.

    Raises UsageError where there is none.
    """
    if everything:
        files = [path for _, path in sorted(existing(folder, competition).items())]
        if not files:
            raise UsageError(f"there is no submission of {competition} in {folder}")
        return files, []
    if not entries:
        raise UsageError(
            f"nothing of {competition} is in the ledger. Enter what was sent (python -m "
            "pipeline.ledger add FILE), or compare every written file with --all"
        )
    files, foreign = [], []
    for entry, path in zip(entries, sent_files(folder, entries), strict=True):
        if path is None:
            foreign.append(f"{entry.file}: not in {folder} as it was sent")
        elif not path.with_suffix(".json").is_file():
            foreign.append(f"{entry.file}: has no provenance, so its honest score is not known")
        else:
            files.append(path)
    return files, foreign


def private_rows(config: SubmissionsConfig, candidate: Candidate) -> tuple[int, bool]:
    """Rows of the private part, and whether that is a guess: all test rows."""
    test = candidate.outcome.rows["test"]
    parts = config.rows(test)
    return (test, True) if parts is None or parts[1] == 0 else (parts[1], False)


def candidates(root: Path, files: Sequence[Path]) -> tuple[list[Candidate], list[str]]:
    """The files of one competition made again and proved, and why the others cannot be."""
    found: list[Candidate] = []
    left_out = []
    for csv in files:
        try:
            origin = read_origin(csv)
            made = remake(root, origin)
            prove(root, origin, made)
        except PipelineError as error:
            left_out.append(f"{csv.name}: {error}")
            continue
        if doubts := made.outcome.doubts:
            told = "; ".join(f"{run}: {doubt.says}" for run, doubt in doubts)
            left_out.append(f"{csv.name}: its score is not honest ({told})")
            continue
        found.append(Candidate(csv=csv, made=made))
    return found, left_out


NEAR = 2.0
"""Standard deviations of their difference on the private part that a file may be behind the best
and still count as near it."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One candidate beside the best."""

    csv: Path
    honest: float | None
    made_for: str | None
    """The metric that it was fitted and decided for, where that is another one."""
    behind: float
    """Honest gain lost against the best; 0 for the best itself."""
    errors_alike: float
    """Correlation of its honest errors with those of the best."""
    test_alike: Likeness | None
    """Of the two files."""
    duel: Duel | None
    """The best against this one on the private part."""
    warnings: list[str]
    """What an audit warned of its members, or what is taken on trust."""

    @property
    def near(self) -> bool:
        """Whether luck on the private part may well turn the order."""
        return self.duel is not None and self.behind <= NEAR * self.duel.spread

    @property
    def same(self) -> bool:
        """Whether it is the best file in all but name."""
        return self.test_alike is not None and self.test_alike.same

    @property
    def worth(self) -> float:
        """What it adds to the best one on average; 0 where that is not known."""
        return 0.0 if self.duel is None else self.duel.worth


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """The two files, and the table they were taken from."""

    lines: list[Line]
    """From the best honest score down; the first is the first finalist."""
    hedge: Line | None
    rows: int
    """Of the private part."""
    left_out: list[str]
    """Files that could not be compared, with the reason."""


def propose(
    found: Sequence[Candidate], left_out: Sequence[str], rows: int, seed: int, metric: Metric
) -> Proposal:
    """Choose two of the candidates (one or more) for a private part of *rows* rows.

    All are scored by *metric*, whatever metric a file was made for. Raises MetricError where it has
    a value for none of them.
    """
    gains = [_gain(each, metric) for each in found]
    order = sorted(range(len(found)), key=lambda place: -gains[place])
    best, highest = found[order[0]], gains[order[0]]
    truth = best.made.truth
    if not np.isfinite(highest):  # let the metric say why
        metric.score(truth, best.made.honest)
    groups = best.made.nest.evidence.group_of_row
    board = Board.of(rows, groups, truth, metric, seed, worlds=True)
    top = board.gains(best.made.honest)
    lines = [
        Line(
            csv=found[place].csv,
            honest=as_score(metric, gains[place]),
            made_for=_other_metric(found[place], metric),
            behind=highest - gains[place],
            errors_alike=errors_alike(best.made, found[place].made),
            test_alike=likeness(best.made.content, found[place].made.content),
            duel=duel(top, board.gains(found[place].made.honest)),
            warnings=[f"{run}: {says}" for run, says in found[place].outcome.warnings],
        )
        for place in order
    ]
    hedges = [line for line in lines[1:] if line.near and not line.same and line.worth > 0]
    hedge = max(hedges, key=lambda line: line.worth, default=None)
    return Proposal(lines=lines, hedge=hedge, rows=rows, left_out=list(left_out))


def _gain(candidate: Candidate, metric: Metric) -> float:
    try:
        return metric.gain(candidate.made.truth, candidate.made.honest)
    except MetricError:
        return -np.inf


def _other_metric(candidate: Candidate, metric: Metric) -> str | None:
    own = candidate.outcome.metric.name
    return None if own == metric.name else own


def errors_alike(one: Built, other: Built) -> float:
    """Correlation of the honest errors of two files over all rows and columns."""
    ours, theirs = (made.errors.ravel() for made in (one, other))
    ours, theirs = ours - ours.mean(), theirs - theirs.mean()
    scale = float(np.sqrt((ours @ ours) * (theirs @ theirs)))
    return float(np.clip(ours @ theirs / scale, -1, 1)) if scale > 0 else 0.0
