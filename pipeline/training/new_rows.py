"""The learners of a finished run predict rows that came later.

A run's prediction of a row is the mean over its learners: seeds, repeats and folds; texts, which
have no mean, are those of each learner. Each part's
weights are in its workspace, with a digest of all that they were trained under; whatever is not
what the run's predictions were made with is refused. Predictions are kept part by part and piece by
piece, so that a killed command goes on, and a million rows take the memory of a few.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.base import (
    ArtifactError,
    Competition,
    DataError,
    Paths,
    UsageError,
    raise_if,
    read_json,
)
from pipeline.base.doors import load as load_object
from pipeline.base.files import commit_arrays, commit_text, read_arrays
from pipeline.base.parser import from_dict
from pipeline.base.paths import Part
from pipeline.data import Table, load
from pipeline.data.candidates import Candidates, concatenate_rows, read_lines
from pipeline.data.sample import Sample
from pipeline.data.tables import file_to_predict, sample_in
from pipeline.folds.frozen import read_frozen
from pipeline.models import Recipe, Watch
from pipeline.models.learner import LearnerFactory, Resuming
from pipeline.models.recipes import as_begun, further_columns, one_for_all, tta_steps_of
from pipeline.models.registry import LEARNERS
from pipeline.oof.manifest import origin_of, parts_of
from pipeline.submissions.built import Built, make_any
from pipeline.submissions.rebuild import Origin, prove, remake
from pipeline.training.fold import generate_bare, predict_wordings
from pipeline.training.jobs import Job, make_factory
from pipeline.training.options import FailurePolicy
from pipeline.training.progress import Preparing, Progress

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.ensemble import Outcome
    from pipeline.ensemble.texts.outcome import TextOutcome

PIECE = 50_000
"""Rows that are predicted at once."""
KEPT_AS = {"numbers": ".npz", "texts": ".jsonl"}
"""What predictions are (`Problem.predictions`) -> the ending of the file that keeps a piece."""


def parts_in_order(manifest: Mapping[str, Any]) -> list[Part]:
    """The trainings of a run, in the order in which its predictions are added up."""
    by_name = {part.name: part for part in parts_of(manifest)}
    return [by_name[name] for name in manifest["parts"]]


def lacking(paths: Paths, manifest: Mapping[str, Any]) -> str:
    """Why the learners of a run cannot predict anything; an empty text where they can."""
    if origin_of(manifest) is not None:
        return "it is a team-mate's file: its learners are theirs"
    gone = [
        part.name
        for part in parts_in_order(manifest)
        if not (paths.fold_workspace(manifest["name"], *part) / "trained.json").is_file()
    ]
    if not gone:
        return ""
    more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
    return (
        f"weights of {gone[0]}{more} are not in {paths.workspaces / manifest['name']}: bring that "
        "folder here from where it was trained, or train it anew (--fresh, without --no-weights)"
    )


def whole_ensemble(root: Path, origin: Origin, members: Sequence[str] | None) -> Built:
    """The ensemble of a submission, shown to give its bytes, or of some of its *members*.

    Raises ArtifactError where learners are missing, with what remains.
    """
    runs = origin.asked.runs
    if unknown := sorted(set(members or ()) - set(runs)):
        listed = f"it was made from {', '.join(runs)}"
        raise UsageError(f"--members {' '.join(unknown)}: not in {origin.csv.name}; {listed}")
    if members is None or set(members) == set(runs):
        made = remake(root, origin)
        prove(root, origin, made)
    else:
        wanted = [name for name in runs if name in members]
        made = make_any(root, origin.competition, replace(origin.asked, runs=wanted))
    paths = Paths(root, origin.competition.name)
    gone = {
        manifest["name"]: why
        for manifest in made.outcome.manifests
        if (why := lacking(paths, manifest))
    }
    if not gone:
        return made
    left = [name for name in made.outcome.names if name not in gone]
    lines = [f"  - {name}: {why}" for name, why in gone.items()]
    if left:
        rest = make_any(root, origin.competition, replace(origin.asked, runs=left))
        lines.append(
            f"What remains can predict: --members {' '.join(left)} (honest "
            f"{told_score(rest.outcome)}; all of it: {told_score(made.outcome)})"
        )
    raise ArtifactError(f"{origin.csv.name} cannot predict new rows:\n" + "\n".join(lines))


def told_score(outcome: "Outcome | TextOutcome") -> str:
    """The metric and the honest score, for people."""
    if outcome.doubts or outcome.honest is None:
        return f"{outcome.metric.name} untold"
    return f"{outcome.metric.name} {outcome.honest:.4f}"


def rows_to_predict(
    file: Path, competition: Competition, root: Path, encoding: str | None = None, sample: str = ""
) -> tuple[Table, Sample]:
    """The rows of *file*, checked as those of a test file are, and the form of their answers.

    *sample* is a sample submission for them; without it the form is made up. Relative paths of
    files that are joined to the rows start at *root*.
    """
    own = competition.data.how(competition.data.test)
    alike = [own] if Path(own.file).suffix == file.suffix else []
    joined = {join.file for join in competition.data.joins}
    data = replace(
        competition.data,
        test=str(file.absolute()),
        sample_submission=str(Path(sample).absolute()) if sample else "",
        encoding=encoding or competition.data.encoding,
        files=[
            *(replace(each, file=str(file.absolute())) for each in alike),
            *(each for each in competition.data.files if each.file in joined),
        ],
    )
    competition = replace(competition, data=data)
    given = sample_in(competition, root)
    rows, form = file_to_predict(competition, root, given.value)
    raise_if([*given.problems, *rows.problems], DataError)
    assert rows.value is not None, "a file that cannot be read is a problem"
    assert form is not None, "it is made up where there is none"
    return replace(rows.value, source=file.name), form


@dataclass(frozen=True, kw_only=True)
class NewRows:
    """Rows to predict, and where what is done of it is kept."""

    table: Table
    """m rows without targets."""
    kept: Path
    """A folder for these rows alone: their digest is in its name."""

    @property
    def count(self) -> int:
        """How many pieces there are; of no rows one."""
        return max(1, -(-len(self.table) // PIECE))

    def piece(self, number: int) -> Table:
        """The rows of a piece."""
        places = np.arange(len(self.table)) // PIECE
        return self.table.rows(places == number)

    def path(self, saved: "SavedRun", part: Part, number: int) -> Path:
        """Where what a learner says of a piece is kept."""
        kind = saved.competition.task.problem_type.predictions
        return self.kept / saved.run / f"{part.name}-{number}{KEPT_AS[kind]}"

    def lacking(self, saved: "SavedRun") -> int:
        """How many predictions of a piece are not there yet, those of all learners."""
        return sum(
            not self.path(saved, part, number).is_file()
            for part in saved.parts
            for number in range(self.count)
        )

    def watched(self, part: Part, number: int, progress: Progress) -> AbstractContextManager[Watch]:
        """For the time that a piece is predicted: the Watch that tells how far it is."""
        if self.count == 1:
            return progress.timed(part)
        return progress.timed(part, f"piece {number + 1}/{self.count}", "piece")


@dataclass(frozen=True, kw_only=True)
class SavedRun:
    """A finished run whose learners are on the disk."""

    run: str
    competition: Competition
    recipe: Recipe
    factory: LearnerFactory
    parts: list[Part]
    """In the order in which their predictions are added up; one where all learners are the same."""
    weights: Callable[[Part], Path]
    """The folder of a learner; raises ArtifactError where it is not the run's."""
    root: Path = Path()
    """Relative paths of files that the recipe names start there."""


def saved_run(job: Job, manifest: Mapping[str, Any]) -> SavedRun:
    """The run of a *job*, its learners where they were trained."""

    def weights(part: Part) -> Path:
        workspace = job.workspace(part)
        if read_json(workspace.trained).get("settings") != workspace.fingerprint:
            raise ArtifactError(
                f"the weights in {workspace.folder} are not those of {part.name} of run {job.run}: "
                "they were trained on other rows, or with another tokenizer or backbone. "
                f"Train it anew: python -m pipeline.cv --model {job.recipe.name} --fresh"
            )
        return workspace.weights

    return SavedRun(
        run=job.run,
        competition=job.competition,
        recipe=job.recipe,
        factory=job.factory,
        parts=parts_in_order(manifest)[: 1 if one_for_all(job.recipe) else None],
        weights=weights,
        root=job.root,
    )


def predicted(
    saved: SavedRun,
    rows: NewRows,
    progress: Progress,
    apart: dict[str, np.ndarray] | None = None,
) -> np.ndarray:
    """(m, k) float64, the mean of the run's learners for the *rows*, added up in the order of
    the parts as the run's own predictions are.

    *apart* is given the run's (m,) by which the wordings of each row
    are apart, where the recipe asks about several. Raises ArtifactError where weights are others
    than the run's.
    """
    total = np.zeros((len(rows.table), len(saved.competition.outputs)))
    far = np.zeros(len(rows.table))
    for part in saved.parts:
        weights, learner = saved.weights(part), None
        for number in range(rows.count):
            path = rows.path(saved, part, number)
            if not path.is_file():
                with rows.watched(part, number, progress) as watch:
                    learner = learner or saved.factory.load(weights)
                    values, between = predict_wordings(saved, learner, rows.piece(number), watch)
                found = {"rows": values} | ({} if between is None else {"apart": between})
                commit_arrays(path, found)
            arrays = read_arrays(path)
            here = slice(number * PIECE, number * PIECE + len(arrays["rows"]))
            total[here] += arrays["rows"]
            far[here] += arrays.get("apart", 0.0)
    if apart is not None and tta_steps_of(saved.recipe):
        apart[saved.run] = far / len(saved.parts)
    return total / len(saved.parts)


def of_each_fold(saved: SavedRun, rows: NewRows) -> dict[tuple[int, int], np.ndarray]:
    """(repeat, fold) -> (m, k) float64, the mean over seeds of what the learners of that fold said
    of the *rows*; `predicted` was asked before, and its pieces are still there."""
    found: dict[tuple[int, int], list[np.ndarray]] = {}
    for part in saved.parts:
        pieces = [
            read_arrays(rows.path(saved, part, number))["rows"] for number in range(rows.count)
        ]
        found.setdefault((part.repeat, part.fold), []).append(np.concatenate(pieces))
    return {place: np.stack(each).mean(axis=0, dtype=np.float64) for place, each in found.items()}


def said(
    saved: SavedRun,
    rows: NewRows,
    progress: Progress,
    apart: dict[str, np.ndarray] | None = None,
) -> list[Candidates]:
    """What each learner of a run whose predictions are texts says of the *rows*, in the order of
    the parts.

    As `predicted`; what a learner is in the middle of is kept, too. Nothing is *apart*.
    """
    found = []
    for part in saved.parts:
        weights, learner, pieces = saved.weights(part), None, []
        for number in range(rows.count):
            path = rows.path(saved, part, number)
            if not path.is_file():
                piece, answers = rows.piece(number), rows.kept / ".answers"
                with rows.watched(part, number, progress) as watch:
                    learner = learner or saved.factory.load(weights)
                    if isinstance(learner, Resuming):
                        learner.keep_below(answers)
                    texts = generate_bare(saved, learner, piece, watch)
                commit_text(path, texts.lines(piece.ids.tolist()))
                shutil.rmtree(answers, ignore_errors=True)
            pieces.append(read_lines(path.read_bytes().decode("utf-8"), str(path))[1])
        found.append(concatenate_rows(pieces))
    return found


ASKED: dict[str, Callable[..., Any]] = {"numbers": predicted, "texts": said}
"""What predictions are (`Problem.predictions`) -> how a run is asked for them."""


def by_members(
    runs: Iterable[SavedRun],
    rows: NewRows,
    console: "Console",
    apart: dict[str, np.ndarray] | None = None,
) -> list[Any]:
    """What each of the *runs* predicts, as `predicted` or `said`; with progress on *console*."""
    found = []
    for saved in runs:
        saved.factory.prepare([rows.table], Preparing(saved.run, console))
        with Progress(saved.run, rows.lacking(saved), console) as progress:
            ask = ASKED[saved.competition.task.problem_type.predictions]
            found.append(ask(saved, rows, progress, apart=apart))
        count = len(saved.parts)
        console.print(f"{saved.run}: {len(rows.table):,} rows by {count} learners", soft_wrap=True)
    return found


def teaching_of(paths: Paths, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What the run's rows were taught with, as its own folds say: only their digest is needed."""
    first = paths.fold_predictions(manifest["name"], *parts_in_order(manifest)[0])
    found: dict[str, Any] = read_json(first.with_suffix(".json"))["settings"].get("teaching", {})
    return found


def jobs_again(
    root: Path, competition: Competition, manifests: Sequence[Mapping[str, Any]]
) -> Iterator[Job]:
    """The jobs that made finished runs, each from its own manifest and the data of today.

    Weights of backbones are loaded one run at a time.
    """
    paths, tables = Paths(root, competition.name), load(competition, root)
    folds = read_frozen(competition, paths, tables.train)
    for manifest in manifests:
        kind = load_object(LEARNERS[manifest["recipe"]["learner"]].recipe)
        recipe: Recipe = as_begun(from_dict(kind, manifest["recipe"]), manifest["recipe"])
        further = further_columns(recipe)
        factory = make_factory(recipe, competition, FailurePolicy(), paths.tokens)
        yield Job(
            run=manifest["name"],
            competition=competition,
            recipe=recipe,
            tables=load(competition, root, further) if further else tables,
            folds=folds,
            factory=factory,
            paths=paths,
            seeds=manifest["seeds"],
            teaching=teaching_of(paths, manifest),
        )
        factory.close()


def saved_again(
    root: Path, competition: Competition, manifests: Sequence[Mapping[str, Any]]
) -> Iterator[SavedRun]:
    """The finished runs of these *manifests*, one at a time."""
    jobs = jobs_again(root, competition, manifests)
    for job, manifest in zip(jobs, manifests, strict=True):
        yield saved_run(job, manifest)
