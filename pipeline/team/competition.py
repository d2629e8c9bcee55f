"""What a team-mate's file is held against: today's rows, labels, folds and metric, and the runs
that are there already, as far as they can be read."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base import ArtifactError, Competition, Paths, UsageError, read_json
from pipeline.base.errors import PipelineError
from pipeline.data import Table, Tables, load
from pipeline.folds import Folds
from pipeline.folds.frozen import read_frozen
from pipeline.metrics import Metric, MetricError, metric_of
from pipeline.oof import Members, origin_of, read_manifest
from pipeline.oof.members import read_members
from pipeline.oof.predictions import Wanted, complete_runs
from pipeline.oof.runs import standing
from pipeline.oof.texts import TextRun, read_text_members
from pipeline.problems.problem import Problem

PARTS = ("train", "test", "holdout")


@dataclass(frozen=True, eq=False)
class CompetitionView:
    """One competition with everything frozen."""

    competition: Competition
    metric: Metric
    tables: Tables
    folds: Folds
    digests: Mapping[str, str]
    """What the passport's digest was made from: of texts, labels and folds."""

    @cached_property
    def ids(self) -> dict[str, np.ndarray]:
        """Part (train, test, holdout) -> its ids, in the order of its table."""
        holdout = self.tables.holdout
        return {
            "train": self.folds.ids,
            "test": self.tables.test.ids,
            "holdout": self.tables.test.ids[:0] if holdout is None else holdout.ids,
        }

    @cached_property
    def truth(self) -> np.ndarray:
        """(n, k) targets of train, (n, 1) class numbers for multiclass; (n,) references."""
        found = truth_of(self.tables.train.in_order(self.folds.ids))
        assert found is not None
        return found

    @property
    def holdout_truth(self) -> np.ndarray | None:
        """The same of the holdout; None where there is none."""
        return None if self.tables.holdout is None else truth_of(self.tables.holdout)

    @property
    def problem(self) -> str:
        """The name of its type, as `problem_of` takes it."""
        return self.kind.name

    @property
    def kind(self) -> Problem:
        """The problem type."""
        return self.competition.task.problem_type


def truth_of(table: Table) -> np.ndarray | None:
    """What metrics compare with."""
    return table.targets if table.references is None else table.references


def whole(values: np.ndarray) -> bool:
    """Whether no prediction is missing: NaN of numbers, None of texts."""
    if values.dtype == object:
        return all(each is not None for each in values.tolist())
    return bool(np.isfinite(values).all())


# From a config to the contest that files are held against.


def load_contest(competition: Competition, root: Path) -> tuple[Paths, CompetitionView]:
    """Read tables, frozen folds and passport; see `load` and `read_frozen` for what they raise."""
    paths = Paths(root, competition.name)
    tables = load(competition, root)
    contest = CompetitionView(
        competition=competition,
        metric=metric_of(competition, root),
        tables=tables,
        folds=read_frozen(competition, paths, tables.train),
        digests=read_json(paths.passport)["digests"],
    )
    return paths, contest


# The runs that are there already.


@dataclass(frozen=True, kw_only=True, eq=False)
class Peer:
    """One complete run."""

    name: str
    manifest: dict[str, Any]
    oof: np.ndarray
    """(n, k); of texts (n,) the best candidate of each row."""
    test: np.ndarray
    """(m, k), or (m,) of the first learner."""
    holdout: np.ndarray
    """(h, k); NaN for a run that came without. Or (h,), None likewise."""
    said: TextRun | None = None
    """Of texts all candidates."""

    def kind_in(self, problem: Problem) -> str:
        """What its predictions are: texts, probabilities, or values in the label's unit."""
        if self.said is not None:
            return "texts"
        return "values" if problem.numeric else "probabilities"

    @property
    def weighed(self) -> Any:
        """What is blended of the training rows."""
        return self.oof if self.said is None else self.said.oof


def read_peers(
    paths: Paths, contest: CompetitionView, without: str = "", runs: Sequence[str] | None = None
) -> tuple[list[Peer], list[str]]:
    """The complete runs (or *runs*) but *without* one, and notes about those that cannot be read.

    A run of other folds, or a damaged one, is no reason not to look at a team-mate's file.
    """
    found = complete_runs(paths.runs) if runs is None else runs
    names = [name for name in found if name != without]
    with suppress(ArtifactError):  # together they share one file where they are large
        return read_named(paths, contest, names), []
    peers, notes = [], []
    for name in names:
        try:
            peers += read_named(paths, contest, [name])
        except ArtifactError as error:
            notes.append(f"not compared with {name}: {str(error).splitlines()[0]}")
    return peers, notes


def read_one(paths: Paths, contest: CompetitionView, run: str) -> Peer:
    """The complete run called *run*; UsageError where there is none, ArtifactError as members."""
    name, complete = paths.run(run).name, complete_runs(paths.runs)
    if name not in complete:
        there = ", ".join(complete) or "none"
        raise UsageError(f"there is no complete run {run}; complete runs: {there}")
    return read_named(paths, contest, [name])[0]


def read_named(paths: Paths, contest: CompetitionView, runs: Sequence[str]) -> list[Peer]:
    """These runs, all of them; ArtifactError as members, where they do not belong together."""
    return READ[contest.kind.predictions](paths, contest, runs)


def _of_numbers(paths: Paths, contest: CompetitionView, runs: Sequence[str]) -> list[Peer]:
    found = _members(paths, contest, runs)
    return [
        Peer(name=name, manifest=manifest, oof=oof, test=test, holdout=holdout)
        for name, manifest, oof, test, holdout in zip(
            found.names, found.manifests, found.oof, found.test, found.holdout, strict=True
        )
    ]


def _of_texts(paths: Paths, contest: CompetitionView, runs: Sequence[str]) -> list[Peer]:
    ids, outputs = contest.ids, contest.competition.outputs
    wanted = Wanted.of(ids["train"], ids["test"], ids["holdout"])
    found = read_text_members(paths, runs, contest.folds, outputs, wanted)
    return [text_peer(run, len(ids["holdout"])) for run in found]


def text_peer(run: TextRun, holdout: int) -> Peer:
    """A *run* of texts; *holdout* rows there are."""
    nothing = np.full(holdout, None, dtype=object)
    return Peer(
        name=run.name,
        manifest=run.manifest,
        oof=run.oof[0].best,
        test=run.test[0].best,
        holdout=run.holdout[0].best if run.holdout else nothing,
        said=run,
    )


READ = {"numbers": _of_numbers, "texts": _of_texts}
"""What predictions are (`Problem.predictions`) -> how runs are read."""


def _members(paths: Paths, contest: CompetitionView, runs: Sequence[str]) -> Members:
    ids, outputs = contest.ids, contest.competition.outputs
    return read_members(paths, runs, contest.folds, outputs, ids["test"], ids["holdout"])


# All runs of a competition, our own and those of others.


UNREADABLE = "not usable"
TRAINED_HERE, NOT_KNOWN = "trained here", "?"
"""Who gave a run, where it is no team-mate."""


@dataclass(frozen=True, kw_only=True)
class RunLine:
    """One complete run."""

    run: str
    by: str
    """Who gave it; `TRAINED_HERE` for our own, `NOT_KNOWN` where its manifest cannot be read."""
    when: str
    score: float | None
    """Out-of-fold, by today's metric and labels."""
    holdout: float | None
    passport: str
    proof: str
    """How it is known that it stands on these folds."""
    verdict: str
    """Of the audit; empty for our own runs; "not usable" with the reason in *says*."""
    says: str = ""

    @property
    def given(self) -> bool:
        """Whether a team-mate gave it."""
        return self.by not in (TRAINED_HERE, NOT_KNOWN)


def list_runs(paths: Paths, contest: CompetitionView) -> list[RunLine]:
    """One line per complete run, scored anew."""
    return [_line(paths, contest, run) for run in complete_runs(paths.runs)]


def _line(paths: Paths, contest: CompetitionView, run: str) -> RunLine:
    try:
        manifest: dict[str, Any] = read_manifest(paths.runs / run)
        team = origin_of(manifest)
    except PipelineError as error:
        return _unreadable(run, str(error).splitlines()[0])
    peers, notes = read_peers(paths, contest, runs=[run])
    proof = "trained on it" if team is None else str(team["proof"]["kind"])
    peer = peers[0] if peers else None
    verdict: str = "" if team is None else standing(manifest)
    if team and isinstance(team.get("challenge"), dict):
        verdict = f"{verdict}, challenge {team['challenge'].get('verdict')}"
    return RunLine(
        run=run,
        by=TRAINED_HERE if team is None else str(team["by"] or "a team-mate"),
        when="" if team is None else str(team["when"]),
        score=None if peer is None else _score(contest, contest.truth, peer.oof),
        holdout=None if peer is None else _score(contest, contest.holdout_truth, peer.holdout),
        passport=str(manifest["passport"]),
        proof={"none": "unproven"}.get(proof, proof),
        verdict=verdict if peer is not None else UNREADABLE,
        says=notes[0] if notes else "",
    )


def _unreadable(run: str, says: str) -> RunLine:
    return RunLine(
        run=run,
        by=NOT_KNOWN,
        when="",
        score=None,
        holdout=None,
        passport="?",
        proof="?",
        verdict=UNREADABLE,
        says=says,
    )


def _score(
    contest: CompetitionView, truth: np.ndarray | None, predicted: np.ndarray
) -> float | None:
    if truth is None or not whole(predicted):
        return None
    try:
        return contest.metric.score(truth, predicted)
    except MetricError:
        return None
