"""What an averaged run is made of: the saved learners of finished runs, fold by fold.

All is checked before anything is made: the runs are finished, were trained here on these folds,
read rows alike, and have the same tokens.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.base import ArtifactError, Competition, Paths, UsageError, raise_if, read_json
from pipeline.base.files import commit_json
from pipeline.base.parser import from_dict
from pipeline.base.paths import Part, Workspace
from pipeline.base.seeding import derive_seed
from pipeline.data import Table
from pipeline.folds import Folds
from pipeline.models import Recipe
from pipeline.models.averaged_settings import AVERAGED, BACKBONE, AveragedRecipe
from pipeline.models.learner import Learner
from pipeline.models.registry import TORCH_SAVED
from pipeline.oof.manifest import origin_of, parts_of, read_manifest
from pipeline.oof.runs import complete_runs, doubts_of
from pipeline.training.jobs import Job, fingerprint, made_from

ALIKE = ("learner", *BACKBONE, "clean", "template", "prompt", "prefix", "pairing", "max_source")
"""Settings of how rows are read, which all runs must share."""
ACROSS = (
    "held-out rows are answered by the learners of their own fold, test rows by the mean over all "
    "folds: the score is that of one fold's; what the mean is worth shows on a dev file alone"
)

Learners = list[tuple[int, Path]]
"""The number of a run, and the folder of one of its learners."""


@dataclass(frozen=True, kw_only=True)
class Averaging:
    """What the learner of each part is made of."""

    what: str
    own: Mapping[tuple[int, int], Learners]
    """(repeat, fold) -> the learners that did not see what it holds out."""
    across_folds: bool

    def learner(self, job: Job, part: Part, workspace: Workspace) -> Learner:
        """The one that answers new rows, kept as trained ones are."""
        workspace.check()
        workspace.trained.unlink(missing_ok=True)
        own = self.own[part.repeat, part.fold]
        every = [each for found in self.own.values() for each in found]
        place = _place(job, workspace)
        self._join(every if self.across_folds else own, part, place)
        if job.keep_weights:
            commit_json(workspace.trained, {"settings": workspace.fingerprint})
        return job.factory.load(place)

    def speaker(
        self, job: Job, part: Part, workspace: Workspace, name: str, learner: Learner
    ) -> Learner:
        """Who answers the rows called *name*, after the *learner* that answered those before: where
        test rows are answered by the mean over folds, it saw the held-out rows, and the learners of
        their own fold alone answer these."""
        if not self.across_folds or name not in ("valid", "test"):
            return learner
        place = _place(job, workspace)
        if name == "valid":
            place = workspace.stage("held-out").folder
            self._join(self.own[part.repeat, part.fold], part, place)
        return job.factory.load(place)

    def _join(self, learners: Learners, part: Part, folder: Path) -> None:
        from pipeline.models.transformer.averaged import join  # it needs torch

        join(self.what, learners, derive_seed(part.seed, "learner", *part[1:]), folder)


def _place(job: Job, workspace: Workspace) -> Path:
    """Of a learner that is made of others: for good, or until the fold is finished."""
    return workspace.weights if job.keep_weights else workspace.stage("averaged").folder


@dataclass(frozen=True, kw_only=True)
class Averaged:
    """A recipe that may be of an averaged run, and all that such a run stands on."""

    recipe: Recipe
    """With what the runs say."""
    averaging: Averaging | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    """What predictions depend on beside the recipe: digests of the learners."""
    notes: tuple[str, ...] = ()
    """What a person should know."""


def averaged(
    recipe: Recipe,
    competition: Competition,
    paths: Paths,
    folds: Folds,
    train: Callable[[Recipe], Table],
) -> Averaged:
    """*recipe* as it is; where it averages runs, with their settings and their learners.

    *train*: a run's recipe -> the training rows that it was shown.

    Raises UsageError where the runs cannot be averaged, ArtifactError where learners are missing.
    """
    if not isinstance(recipe, AveragedRecipe):
        return Averaged(recipe=recipe)
    if not recipe.runs:
        there = ", ".join(complete_runs(paths.runs)) or "none yet"
        raise UsageError(
            f"{recipe.name}: runs is empty. Name finished runs: --set runs=[ONE,OTHER] "
            f"(finished: {there})"
        )
    manifests = [_manifest(run, paths, folds) for run in recipe.runs]
    raise_if([each for run in manifests for each in _problems(run)], UsageError)
    first = manifests[0]["recipe"]
    for other in manifests[1:]:
        _check_alike(manifests[0], other)
    texts = competition.task.problem_type.predictions == "texts"
    if not texts and recipe.what == "logits":
        raise UsageError(
            f"what logits is of texts, which are written token by token; what {recipe.runs[0]} "
            "predicts are numbers, and their mean is what the ensemble makes of runs (--method "
            "mean). Set what=weights for one network in place of several"
        )
    if not texts and recipe.decoding:
        raise UsageError(f"decoding is of texts; {recipe.runs[0]} writes none")
    own = _learners(manifests, paths, train)
    _check_tokens(own, recipe)
    if recipe.what == "weights" and len(next(iter(own.values()))) == 1 and not recipe.across_folds:
        raise UsageError(
            f"each fold has one learner of {recipe.runs[0]}, and nothing to average. Name several "
            "runs, train it with more seeds, or set across_folds=true"
        )
    whole = replace(
        recipe,
        recipes=[json.dumps(each["recipe"], sort_keys=True) for each in manifests],
        **{key: first.get(key) for key in BACKBONE},
        clean=list(first.get("clean", [])),
        template=list(first.get("template", [])),
    )
    whole.of_runs()  # raises for a way of decoding that does not hold
    return Averaged(
        recipe=whole,
        averaging=Averaging(what=recipe.what, own=own, across_folds=recipe.across_folds),
        settings={"averaged": _digests(own, recipe.runs)},
        notes=(ACROSS,) if recipe.across_folds else (),
    )


def _manifest(run: str, paths: Paths, folds: Folds) -> dict[str, Any]:
    """That of a finished run on the frozen *folds*."""
    if not paths.run_manifest(run).is_file():
        there = ", ".join(complete_runs(paths.runs)) or "none"
        raise UsageError(f"runs: there is no finished run {run}; finished: {there}")
    found = read_manifest(paths.run(run))
    if found["passport"] != folds.digest:
        raise UsageError(f"runs: {run} was trained on other folds; train it anew (--fresh)")
    return found


def _problems(manifest: Mapping[str, Any]) -> Sequence[str]:
    """Why the learners of a run cannot be averaged."""
    name = manifest["name"]
    if origin_of(manifest) is not None:
        return [f"runs: {name} is a team-mate's file: its learners are theirs"]
    learner = manifest["recipe"]["learner"]
    if learner not in AVERAGED:
        return [
            f"runs: {name} is of learner {learner}; averaged are those of {' and '.join(AVERAGED)}"
        ]
    return [f"runs: {name}: {doubt.says}" for doubt in doubts_of(manifest)]


def _check_alike(first: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    """Raise UsageError where two runs read rows in unlike ways."""
    for key in ALIKE:
        one, two = first["recipe"].get(key), other["recipe"].get(key)
        if (one or None) != (two or None):
            raise UsageError(
                f"runs: {first['name']} has {key} {one!r} and {other['name']} {two!r}; what is "
                "averaged must read rows alike. The ensemble blends what they say: leave one out"
            )


def _learners(
    manifests: Sequence[Mapping[str, Any]], paths: Paths, train: Callable[[Recipe], Table]
) -> dict[tuple[int, int], Learners]:
    """(repeat, fold) -> learners of all runs and seeds.

    Raises ArtifactError where one is missing, or is not the one that made the run's predictions: of
    other folds it may have seen what is held out now.
    """
    own: dict[tuple[int, int], Learners] = {}
    for number, manifest in enumerate(manifests):
        name = manifest["name"]
        recipe = from_dict(AVERAGED[manifest["recipe"]["learner"]], manifest["recipe"])
        rows = train(recipe)
        for part in parts_of(manifest):
            space = Workspace(paths.fold_workspace(name, *part))
            fold = read_json(paths.fold_predictions(name, *part).with_suffix(".json"))
            made = made_from(fold["settings"], fold["factory"], rows)
            if not space.trained.is_file():
                why = "are not there"
            elif read_json(space.trained).get("settings") != fingerprint(part, made):
                why = "are not those that made the run's predictions"
            else:
                own.setdefault((part.repeat, part.fold), []).append((number, space.weights))
                continue
            raise ArtifactError(
                f"the weights of {part.name} of {name} {why} ({space.folder}): bring that folder "
                "here from where the run was trained, or train it anew (--fresh, without "
                "--no-weights)"
            )
    return own


def _check_tokens(own: Mapping[tuple[int, int], Learners], recipe: AveragedRecipe) -> None:
    """Raise UsageError where learners that become one know unlike pieces of words."""
    first = ""
    for place, learners in own.items():
        pieces = [_pieces(path) for _, path in learners]
        for (run, _), each in zip(learners, pieces, strict=True):
            if each != pieces[0]:
                raise UsageError(
                    f"{recipe.runs[run]} and {recipe.runs[0]} have tokenizers of their own in fold "
                    f"{place[1]}, so a token of one means nothing to the other. Train them with "
                    "the same vocabulary; the ensemble blends what they write either way"
                )
        if recipe.across_folds and first and pieces[0] != first:
            raise UsageError(
                f"across_folds: {recipe.runs[0]} learns a tokenizer from the training part of each "
                "fold, so weights of two folds are about other tokens. It is for pretrained "
                "backbones; without it the ensemble blends what the folds' learners write"
            )
        first = pieces[0]


def _pieces(learner: Path) -> str:
    """A tokenizer that was saved with a learner; empty where it is the backbone's."""
    return str(read_json(learner / TORCH_SAVED.settings).get("pieces", ""))


def _digests(own: Mapping[tuple[int, int], Learners], runs: Sequence[str]) -> dict[str, str]:
    """SHA-256, by run, over the digests of its learners' weights."""
    found = {run: hashlib.sha256() for run in runs}
    for learners in own.values():
        for number, path in learners:
            digest = read_json(path / TORCH_SAVED.settings)[TORCH_SAVED.digest]
            found[runs[number]].update(json.dumps([str(path.parent.name), digest]).encode())
    return {run: each.hexdigest() for run, each in found.items()}
