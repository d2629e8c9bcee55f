"""The learners of a finished run predict rows that came later.

A run's prediction of a row is the mean over its learners: seeds, repeats and folds. Each part's
weights are in its workspace, with a digest of all that they were trained under; whatever is not
what the run's predictions were made with is refused. Predictions are kept part by part and piece by
piece, so that a killed command goes on, and a million rows take the memory of a few.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base import ArtifactError, Competition, Paths, read_json
from pipeline.base.doors import load as load_object
from pipeline.base.files import commit_arrays, read_arrays
from pipeline.base.parser import from_dict
from pipeline.base.paths import Part
from pipeline.data import Table, load
from pipeline.folds.frozen import read_frozen
from pipeline.models import Recipe, Watch
from pipeline.models.recipes import further_columns
from pipeline.models.registry import LEARNERS
from pipeline.oof.manifest import origin_of, parts_of
from pipeline.training.fold import predict_bare
from pipeline.training.jobs import Job, make_factory
from pipeline.training.options import FailurePolicy

PIECE = 50_000
"""Rows that are predicted at once."""


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


@dataclass(frozen=True, kw_only=True)
class NewRows:
    """Rows to predict, and where what is done of it is kept."""

    table: Table
    """m rows without targets."""
    kept: Path
    """A folder for these rows alone: their digest is in its name."""

    def pieces(self) -> Iterator[tuple[int, Table]]:
        """(number, rows) of each piece, in order."""
        places = np.arange(len(self.table))
        for number, start in enumerate(range(0, max(len(places), 1), PIECE)):
            yield number, self.table.rows((places >= start) & (places < start + PIECE))


def predicted(
    job: Job,
    parts: Sequence[Part],
    rows: NewRows,
    watch: Callable[[Part], Watch],
    done: Callable[[Part], None] = lambda part: None,
) -> np.ndarray:
    """(m, k) float64, the mean of the run's learners for the *rows*, added up in the order of
    *parts* as the run's own predictions are.

    *done* is told of each part. Raises ArtifactError where weights are others than the run's.
    """
    total = np.zeros((len(rows.table), len(job.competition.outputs)))
    for part in parts:
        _check(job, part)
        learner = None
        for number, piece in rows.pieces():
            path = rows.kept / job.run / f"{part.name}-{number}.npz"
            if not path.is_file():
                learner = learner or job.factory.load(job.workspace(part).weights)
                commit_arrays(path, {"rows": predict_bare(job, learner, piece, watch(part))})
            start = number * PIECE
            total[start : start + len(piece)] += read_arrays(path)["rows"]
        done(part)
    return total / len(parts)


def _check(job: Job, part: Part) -> None:
    workspace = job.workspace(part)
    if read_json(workspace.trained).get("settings") != workspace.fingerprint:
        raise ArtifactError(
            f"the weights in {workspace.folder} are not those of {part.name} of run {job.run}: "
            "they were trained on other rows, or with another tokenizer or backbone. "
            f"Train it anew: python -m pipeline.cv --model {job.recipe.name} --fresh"
        )


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
        recipe: Recipe = from_dict(kind, manifest["recipe"])
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
        )
        factory.close()
