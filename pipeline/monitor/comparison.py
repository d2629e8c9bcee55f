"""New rows laid beside the rows that a bundle was trained on.

The forecast of the leaderboard (`pipeline.ensemble.forecast`) is asked about the new rows in place
of the test file: the same checks of texts and of label shares, the same range. A bundle holds no
training rows, so they are read where it was made.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.base import ArtifactError, Competition, DataError, Paths, UsageError, raise_if
from pipeline.data import Table, Tables, load
from pipeline.data.join import kept_by_fold, shared
from pipeline.data.tables import labelled_file
from pipeline.data.units import documents
from pipeline.ensemble import Outcome
from pipeline.ensemble.assessment import as_score, score_or_none
from pipeline.ensemble.forecast.given import forecast, known_rows
from pipeline.ensemble.forecast.leaderboard import Leaderboard
from pipeline.ensemble.forecast.ranges import INSIDE, Scored, deviations
from pipeline.ensemble.forecast.shift import Copied, copied
from pipeline.ensemble.predictor import RowFeatures, Rows, about_rows
from pipeline.ensemble.texts.outcome import FittedTexts, TextOutcome
from pipeline.folds.frozen import Folds, read_frozen
from pipeline.oof import Members
from pipeline.serve.bundle import Bundle, digest_of, open_bundle
from pipeline.setup.inspection.adversarial import Alike, alike
from pipeline.setup.inspection.duplicates import code
from pipeline.submissions.build import fitted_of
from pipeline.submissions.built import Built, make_any
from pipeline.submissions.rebuild import Origin, find_file, prove, read_origin, remake
from pipeline.training.jobs import rows_digest
from pipeline.training.new_rows import (
    NewRows,
    SavedRun,
    by_members,
    of_each_fold,
    rows_to_predict,
)

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, kw_only=True)
class Real:
    """The score of rows whose labels are known by now."""

    rows: int
    score: float | None
    """None where the metric is undefined on them."""
    low: float | None
    high: float | None
    """The ends of its 90 % interval, as other rows of the same kind would have it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """What is to be said of the new rows."""

    rows: Table
    outcome: Outcome | TextOutcome
    """The ensemble of the bundle."""
    alike: Alike | None
    """None where there are too few rows to tell."""
    copies: Copied
    expected: Leaderboard
    real: Real | None
    """None where no labels were asked for."""

    @property
    def honest(self) -> float | None:
        """On the training rows."""
        return None if self.outcome.doubts else self.outcome.honest

    @property
    def verdict(self) -> str:
        """alike: a score is expected from the folds as they are. shifted: expected, but otherwise
        than the folds say. unlike: nothing can be promised. unknown: too few rows to tell."""
        if not self.expected.parts:
            return "unlike"
        if self.alike is None:
            return "unknown"
        moved = {move.name for move in self.expected.moves}
        return "shifted" if moved & {"label shares", "texts as in test"} else "alike"

    @property
    def against(self) -> str | None:
        """The real score: inside, better or worse than the range; None where one is unknown."""
        part = self.expected.parts.get("whole")
        if part is None or self.real is None or self.real.score is None:
            return None
        if part.low <= self.real.score <= part.high:
            return "inside"
        above = self.real.score > part.high
        return "better" if above == self.outcome.metric.greater_is_better else "worse"


def compare(
    root: Path,
    folder: Path,
    file: Path,
    labels: bool,
    encoding: str | None,
    console: "Console",
) -> Comparison:
    """Compare the rows of *file* with those that the bundle in *folder* was trained on.

    Args:
        root: where the competition and the bundle's submission are.
        folder: the bundle's.
        file: the new rows, in any format that `pipeline.init` reads.
        labels: whether *file* has the columns of targets, too.
        encoding: of *file*; None for that of the config.
        console: shows progress.

    Raises UsageError where the submission is not under *root*, ArtifactError where it is another.
    """
    bundle = open_bundle(folder)
    table, _ = rows_to_predict(file, bundle.competition, root, encoding)
    truth = labels_of(file, bundle.competition, root, encoding) if labels else None
    outcome = ensemble_of(root, bundle).outcome
    about = json.dumps([rows_digest(table), digest_of(bundle.about)])
    name = hashlib.sha256(about.encode()).hexdigest()[:12]
    kept = Paths(root, outcome.competition.name).workspaces / ".monitor" / name
    rows = NewRows(table=table, kept=kept)
    if isinstance(outcome, Outcome):
        found = compared(root, outcome, answered(bundle, outcome, rows, console), table, truth)
    else:
        found = compared_texts(root, outcome, texts_of(bundle, rows, console), table, truth)
    shutil.rmtree(kept, ignore_errors=True)
    with suppress(OSError):  # another look may be at work beside it
        kept.parent.rmdir()
    return found


def ensemble_of(root: Path, bundle: Bundle) -> Built:
    """The ensemble that *bundle* was packed from, fitted again from the runs under *root*."""
    about = bundle.about
    try:
        csv = find_file(root, about["submission"])
    except UsageError as error:
        raise UsageError(
            f"{bundle.folder} was packed from {about['submission']}, and a bundle holds no "
            "training rows to compare with: run this where it was made, or name that place with "
            f"--root: {error}"
        ) from error
    origin = read_origin(csv)
    if origin.sha256 != about["sha256"]:
        raise ArtifactError(
            f"{csv} is not the submission that {bundle.folder} was packed from: it has the SHA-256 "
            f"{origin.sha256[:16]}, not {str(about['sha256'])[:16]}. Pack it anew: pipeline.bundle"
        )
    if about["whole"]:
        made = remake(root, origin)
        prove(root, origin, made)
        return made
    return make_any(root, origin.competition, replace(origin.asked, runs=_some(origin, bundle)))


def _some(origin: Origin, bundle: Bundle) -> list[str]:
    """The members that were asked for when it was packed."""
    there = {each["name"] for each in bundle.members} | set(bundle.about["left_out"])
    return [name for name in origin.asked.runs if name in there]


def answered(bundle: Bundle, outcome: Outcome, rows: NewRows, console: "Console") -> Members:
    """The members of *outcome* with what the learners of *bundle* say of the *rows* as their test
    predictions. Members without weight are not in a bundle: they stand with zeros, which count
    nothing."""
    members, k = outcome.members, len(outcome.competition.outputs)
    runs = list[SavedRun]()

    def each_noted() -> Iterator[SavedRun]:
        for saved in bundle.runs(tokens=rows.kept / ".tokens"):
            runs.append(saved)
            yield saved

    said_by = by_members(each_noted(), rows, console)
    means = dict(zip([each.run for each in runs], said_by, strict=True))
    folds = {each.run: of_each_fold(each, rows) for each in runs}
    count = 1 + max(fold for each in folds.values() for _, fold in each)
    places = kept_by_fold(rows.table.ids)
    by_fold = []
    for name in members.names:
        said = folds.get(name, {})
        each = [
            np.mean(_of_fold(said, fold), axis=0) if said else np.zeros((len(rows.table), k))
            for fold in range(count)
        ]
        by_fold.append(np.stack(each)[:, places].astype(np.float32))
    nothing = np.zeros((len(rows.table), k))
    test = [means.get(name, nothing) for name in members.names]
    return replace(members, test=test, by_fold={**members.by_fold, "test": by_fold})


def _of_fold(said: dict[tuple[int, int], np.ndarray], fold: int) -> list[np.ndarray]:
    """What the learners of a fold say; where one learner stands for all folds, that one."""
    return [values for (_, own), values in said.items() if own == fold] or [*said.values()]


def compared(
    root: Path,
    outcome: Outcome,
    members: Members,
    table: Table,
    truth: tuple[np.ndarray, np.ndarray] | None,
) -> Comparison:
    """What the forecast says of *table*, which *members* have predicted as their test rows.

    *truth*: positions of the rows whose labels are known, and their targets.
    """
    competition = outcome.competition
    tables, folds, train = trained_on(root, competition)
    fitted, facts = fitted_of(outcome), dict[str, RowFeatures]()
    named = {"train": train, "test": table, "holdout": tables.holdout}
    for name, each in named.items():
        if each is not None:
            facts[name] = about_rows(each, fitted.column, fitted.levels)
    assessment, decided = outcome.assessment, outcome.decided
    held = Rows(members.holdout, facts.get("holdout"))
    known = known_rows(outcome.evidence, tables.holdout, held, assessment.blend, decided)
    expected = (
        Leaderboard(notes=["withheld: a member's own score is in doubt"])
        if outcome.doubts
        else forecast(
            replace(
                outcome.given,
                competition=whole(competition),
                members=members,
                test=table,
                facts=facts,
            ),
            known,
        )
    )
    real = None
    if truth is not None:
        places, right = truth
        rows = Rows(members.test, facts["test"]).take(places)
        problem = competition.task.problem_type.name
        said = decided.apply(assessment.blend.predict(rows, problem))
        real = _real(outcome, right, said, table.document[places])
    return _found(outcome, folds, train, table, expected, real)


def trained_on(root: Path, competition: Competition) -> tuple[Tables, Folds, Table]:
    """The files, the folds, and the training rows in their order."""
    tables = load(competition, root)
    folds = read_frozen(competition, Paths(root, competition.name), tables.train)
    return tables, folds, tables.train.in_order(folds.ids)


def whole(competition: Competition) -> Competition:
    """*competition* without a public part: new rows are one file."""
    settings = replace(competition.submissions, public_share=None, public_rows=None)
    return replace(competition, submissions=settings)


def texts_of(bundle: Bundle, rows: NewRows, console: "Console") -> np.ndarray:
    """(m,) the texts that *bundle* gives for the *rows*."""
    fitted = bundle.fitted
    assert isinstance(fitted, FittedTexts)
    said = by_members(bundle.runs(tokens=rows.kept / ".tokens"), rows, console)
    return fitted.chosen(said, bundle.competition)


def compared_texts(
    root: Path,
    outcome: TextOutcome,
    said: np.ndarray,
    table: Table,
    truth: tuple[np.ndarray, np.ndarray] | None,
) -> Comparison:
    """As `compared`, of the texts *said* (m,) of *table*; *truth* has references."""
    competition = outcome.competition
    _, folds, train = trained_on(root, competition)
    expected = outcome.expects(whole(competition), table)
    real = None
    if truth is not None:
        places, references = truth
        real = _real(outcome, references, said[places], places)
    return _found(outcome, folds, train, table, expected, real)


def _found(
    outcome: Outcome | TextOutcome,
    folds: Folds,
    train: Table,
    table: Table,
    expected: Leaderboard,
    real: Real | None,
) -> Comparison:
    competition = outcome.competition
    ours, theirs = documents(train, competition.task), documents(table, competition.task)
    codes = code([ours.texts, theirs.texts])
    groups = folds.group_of_row
    if train.units is not None:
        groups = groups[train.units.first]
    return Comparison(
        rows=theirs,
        outcome=outcome,
        alike=alike(ours, codes[0], theirs, codes[1], competition.folds.group_columns),
        copies=copied(codes[0], groups, codes[1]),
        expected=expected,
        real=real,
    )


def labels_of(
    file: Path, competition: Competition, root: Path, encoding: str | None
) -> tuple[np.ndarray, np.ndarray]:
    """Positions in *file* of the rows that have labels, and their targets (of texts their
    references).

    Raises DataError where a column of targets is missing, or a label cannot be read.
    """
    given, name = competition.data, str(file.absolute())
    own = given.how(given.train)
    alike_files = [own] if Path(own.file).suffix == file.suffix else []
    data = replace(
        given,
        train=name,
        encoding=encoding or given.encoding,
        files=[
            *(replace(each, file=name) for each in alike_files),
            *(each for each in given.files if each.file != given.train),
        ],
    )
    asked = replace(competition, data=data)
    found = labelled_file(name, asked, root, competition.columns.features, "test")
    raise_if([each.replace(name, file.name) for each in found.problems], DataError)
    rows, _ = rows_to_predict(file, competition, root, encoding)
    assert found.value is not None, "a file that cannot be read is a problem"
    assert found.value.targets is not None
    _, places = shared(found.value.ids, rows.ids)
    right = found.value.references
    return places, found.value.targets if right is None else right


def _real(
    outcome: Outcome | TextOutcome, truth: np.ndarray, predicted: np.ndarray, groups: np.ndarray
) -> Real:
    """The score of rows that are *predicted*, whose targets are *truth*; *groups* (n,) has the
    numbers of their documents."""
    metric, seed = outcome.metric, outcome.competition.folds.seed
    problem = outcome.competition.task.problem_type.name
    score = score_or_none(metric, truth, predicted)
    ends: Sequence[float | None] = (None, None)
    if score is not None:
        scored = Scored(metric, problem, truth, predicted, groups)
        drawn = metric.as_gain(score) + deviations(scored, len(truth), seed, "real")
        if len(drawn):
            edge = (100 - INSIDE) / 2
            both = np.percentile(drawn, [edge, 100 - edge]).tolist()
            ends = sorted(
                end for end in (as_score(metric, each) for each in both) if end is not None
            )
    return Real(rows=len(np.unique(groups)), score=score, low=ends[0], high=ends[1])
