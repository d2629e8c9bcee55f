"""What to do about a run: which files to delete, which command to run, and what it costs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

from pipeline.base.errors import PipelineError
from pipeline.base.files import read_json
from pipeline.base.paths import Paths
from pipeline.doctor.advice import Commands, lasting, model_options
from pipeline.doctor.names import Part

Manifests = Mapping[Part, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Mending:
    """Advice for one run."""

    paths: Paths
    run: str
    recipe: Any = None
    """As a manifest of the run holds it."""
    took: Mapping[Part, float] = field(default_factory=dict)
    """Seconds that finished folds took."""
    given: bool = False
    """Whether a team-mate gave it, so that nothing here can train it."""

    def command(self, parts: Iterable[Part]) -> str:
        """The command that trains what is missing of the seeds of *parts*."""
        if self.given:
            return f"python -m pipeline.team add FILE --name {self.run} --replace"
        seeds = {part.seed for part in parts}
        if not self._model:
            return f"the pipeline.cv command that you trained run {self.run} with"
        return Commands(self.paths.root, self.paths.competition).cv(self._model, seeds)

    @cached_property
    def _model(self) -> list[str]:
        return model_options(self.paths.root, self.run, self.recipe)

    @property
    def _made(self) -> str:
        """What becomes of a fold of this run."""
        return "stored" if self.given else "trained"

    def again(self, part: Part) -> str:
        """Bring one damaged fold back."""
        npz = self.paths.fold_predictions(self.run, *part)
        return (
            f"Restore both files of the fold (git, or a teammate's copy); or delete {npz} and "
            f"{npz.with_suffix('.json').name}, then run: {self.command([part])} "
            f"({part.said} of run {self.run} is {self._made} again{self._lasting([part])})."
        )

    def all_again(self, parts: Sequence[Part]) -> str:
        """Train *parts*, which are all there is of the run."""
        return (
            f"delete {self.paths.run(self.run)}, then run: {self.command(parts)} "
            f"(all {len(parts)} finished folds of run {self.run} are {self._made} again"
            f"{self._lasting(parts)})."
        )

    def go_on(self, missing: Sequence[Part], done: str = "") -> str:
        """The command for what is *missing*, and its cost; *done* says what of it is saved."""
        folds = f"{len(missing)} fold{'' if len(missing) == 1 else 's'}"
        todo = f"{folds} to {'store' if self.given else 'train'}{self._lasting(missing)}{done}"
        return f"{self.command(missing)} ({todo})."

    def manifest_again(self, parts: Sequence[Part], first: str = "") -> str:
        """Have run.json written from the finished folds; *first* is to be done before."""
        start = f"{first}, then run" if first else "Run"
        effect = f"writes run.json; no finished fold is {self._made} again"
        return f"{start}: {self.command(parts)} ({effect})."

    def _lasting(self, parts: Sequence[Part]) -> str:
        if not self.took:
            return ""
        usual = median(self.took.values())
        return lasting(sum(self.took.get(part, usual) for part in parts))


def mending(paths: Paths, run: str, parts: Iterable[Part]) -> Mending:
    """Advice for *run*, from what the manifests of its *parts* tell where they can be read."""
    manifests = {part: _manifest(paths.fold_predictions(run, *part)) for part in parts}
    settings = [
        found
        for manifest in manifests.values()
        if isinstance(found := manifest.get("settings"), Mapping)
    ]
    return Mending(
        paths=paths,
        run=run,
        recipe=next((each.get("recipe") for each in settings), None),
        took=_took(manifests),
        given=any("team" in each for each in settings),
    )


def _manifest(path: Path) -> Mapping[str, Any]:
    try:
        return read_json(path.with_suffix(".json"))
    except (PipelineError, OSError, ValueError, RecursionError):  # told where the part is checked
        return {}


def _took(manifests: Manifests) -> dict[Part, float]:
    took = {}
    for part, manifest in manifests.items():
        seconds = manifest.get("seconds")
        if isinstance(seconds, Mapping):
            took[part] = float(sum(s for s in seconds.values() if isinstance(s, int | float)))
    return took
