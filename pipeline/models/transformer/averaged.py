"""Learners of finished runs that answer as one: the mean of their weights, or of their logits.

    0/ 1/ …          the learners, as they saved themselves; of weights one, with their mean
    averaged.json    written last: what is averaged, and of which run each learner is

Such a folder is made from the folders of a fold's learners (`join`), and `AveragedFactory.load`
opens it: what comes out is a learner like those that it was made of.
"""

import copy
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from pipeline.base import ArtifactError, Competition, UsageError, read_json
from pipeline.base.doors import load as load_object
from pipeline.base.files import commit, commit_json
from pipeline.data import Table
from pipeline.models.averaged_settings import AveragedRecipe
from pipeline.models.learner import Engine, Learner, WrappedFactory
from pipeline.models.registry import LEARNERS
from pipeline.models.transformer.fine_tuning import SETTINGS, WEIGHTS
from pipeline.models.transformer.tensor_file import read_checked, write

ABOUT = "averaged.json"
KEPT = ("rate_scale", "learnt", "pieces")
"""Facts of a learner that its mean has, too."""
COUNTED = ("without",)
"""Facts that say how a learner answers (whether it learned "no answer"): the most of any."""


class AveragedFactory(WrappedFactory):
    """Opens what `join` has made; all else is that of the first run, whose settings say how rows
    are read and answered."""

    def __init__(self, recipe: AveragedRecipe, competition: Competition, engine: Engine) -> None:
        """The backbone of the runs is loaded; raises UsageError where it cannot be had, or where
        something is to be trained: only `pipeline.cv` knows the runs."""
        self.recipe = recipe
        if not (recipes := recipe.of_runs()):
            raise self._untrained()
        place = LEARNERS[recipes[0].learner].factory_for(competition.task.problem_type)
        make = load_object(place)
        together = recipes if recipe.what == "logits" else recipes[:1]
        self.factories: list[Any] = [make(each, competition, engine) for each in together]
        super().__init__(self.factories[0])

    def facts(self) -> dict[str, Any]:
        """Those of the first run's learners, and what is averaged."""
        return self.inner.facts() | {"averaged": self.recipe.what, "runs": list(self.recipe.runs)}

    def make(self, seed: int) -> Learner:
        """Never: nothing is trained."""
        raise self._untrained()

    def _untrained(self) -> UsageError:
        runs = ", ".join(self.recipe.runs) or "finished runs"
        return UsageError(
            f"{self.recipe.name} is made of the learners of {runs} by pipeline.cv; it cannot be "
            "trained on other rows. Name one of those, or another recipe"
        )

    def load(self, folder: Path) -> Learner:
        """The learner in *folder*; ArtifactError where it is damaged."""
        about = read_json(folder / ABOUT)
        if about.get("what") != self.recipe.what:
            raise ArtifactError(
                f"{folder} holds a mean of {about.get('what')}, the recipe asks for the mean of "
                f"{self.recipe.what}"
            )
        beside = []
        for place, run in list(enumerate(about["runs"]))[1:]:
            other: Any = self.factories[run].load(folder / str(place))
            beside.append(copy.deepcopy(other.module.network.backbone))
        learner: Any = self.factories[about["runs"][0]].load(folder / "0")
        if beside:
            learner.module.network.write_with(beside)
        return learner

    def seeds_matter(self, train: Table) -> bool:
        """Whether answers are drawn."""
        return self.recipe.draws

    def disk_bytes(self) -> int:
        """Bytes that a fold's learners take."""
        return sum(each.disk_bytes() for each in self.factories)

    def close(self) -> None:
        """Close those of the runs."""
        for each in self.factories:
            each.close()

    def settle(self) -> None:
        """Likewise."""
        for each in self.factories:
            each.settle()

    def forget(self) -> None:
        """Likewise."""
        for each in self.factories:
            each.forget()


def make_factory(
    recipe: AveragedRecipe, competition: Competition, engine: Engine
) -> AveragedFactory:
    """The factory of a run on this machine's hardware."""
    return AveragedFactory(recipe, competition, engine)


def join(what: str, learners: Sequence[tuple[int, Path]], seed: int, folder: Path) -> None:
    """Make one of the saved *learners*, each of the run with that number, in *folder*.

    *seed* is what it draws by. Raises ArtifactError where one is damaged, UsageError where weights
    are not of the same shapes.
    """
    shutil.rmtree(folder, ignore_errors=True)
    if what == "weights":
        _save_mean([path for _, path in learners], seed, folder / "0")
        runs = [0]
    else:
        for place, (_, path) in enumerate(learners):
            _copy(path, seed, folder / str(place))
        runs = [run for run, _ in learners]
    commit_json(folder / ABOUT, {"what": what, "runs": runs, "learners": len(learners)})


def _settings_of(paths: Sequence[Path], seed: int) -> dict[str, Any]:
    """What stands beside the weights of a learner that is made of those saved at *paths*."""
    settings = read_json(paths[0] / SETTINGS)
    every = [read_json(path / SETTINGS)["facts"] for path in paths]
    facts = {key: every[0][key] for key in KEPT if key in every[0]}
    most = {key: max(each[key] for each in every) for key in COUNTED if key in every[0]}
    return settings | {"seed": seed, "facts": facts | most | {"averaged": len(paths)}}


def _copy(path: Path, seed: int, folder: Path) -> None:
    settings = _settings_of([path], seed)
    with (path / WEIGHTS).open("rb") as source:
        found = commit(folder / WEIGHTS, lambda stream: shutil.copyfileobj(source, stream))
    if found != settings["weights_sha256"]:
        raise ArtifactError(f"{path / WEIGHTS} has changed since it was written; train it again")
    commit_json(folder / SETTINGS, settings)


def _save_mean(paths: Sequence[Path], seed: int, folder: Path) -> None:
    """The mean of what is saved at *paths*, added up in float64 in their order."""
    settings = _settings_of(paths, seed)
    total: dict[str, Tensor] = {}
    first: Mapping[str, Tensor] = {}
    for path in paths:
        state = read_checked(path / WEIGHTS, read_json(path / SETTINGS)["weights_sha256"])
        first = first or state
        if differ := unlike(first, state):
            raise UsageError(
                f"the weights in {path} and {paths[0]} have no mean: {differ}. Take runs of one "
                "backbone with the same pooling, head and adapters"
            )
        for name, each in state.items():
            if each.is_floating_point():
                total[name] = total.get(name, 0.0) + each.double()
    mean = {
        name: (total[name] / len(paths)).to(each.dtype) if name in total else each
        for name, each in first.items()
    }
    digest = commit(folder / WEIGHTS, lambda stream: write(stream, mean))
    commit_json(folder / SETTINGS, settings | {"weights_sha256": digest})


def unlike(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> str:
    """Why two states have no mean; an empty text where they have.

    >>> unlike({"a": Tensor([1, 2])}, {"a": Tensor([1, 2, 3])})
    'a has the shape [2] in one and [3] in the other'
    """
    if apart := sorted(one.keys() ^ other.keys()):
        return f"only one of them has {apart[0]}"
    for name, each in one.items():
        if each.shape != other[name].shape:
            shapes = f"{list(each.shape)} in one and {list(other[name].shape)} in the other"
            return f"{name} has the shape {shapes}"
    return ""
