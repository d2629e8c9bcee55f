"""What to do about a run: which files to delete, which command to run, and what it costs."""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

from pipeline.base import Paths, read_json
from pipeline.base.config import as_dict
from pipeline.base.errors import PipelineError
from pipeline.base.parser import DEFAULT_CONFIG
from pipeline.base.paths import safe_name
from pipeline.doctor.finding import Part
from pipeline.models.recipes import find

# The commands that mend something, as a person would type them.


NAME_LINE = re.compile(r"""^name:[ \t]*['"]?(.+?)['"]?[ \t]*(?:#.*)?$""", re.MULTILINE)
VARIANT = re.compile(r"-[0-9a-f]{6}$")
NO_SETTINGS = ("name", "source", "learner")
USUAL_SEEDS = [42]


@dataclass(frozen=True)
class Commands:
    """Commands for one competition under one root."""

    root: Path
    competition: str

    def folds(self) -> str:
        """Check the folds, or freeze them."""
        return shlex.join(self._start("folds"))

    def ensemble(self) -> str:
        """Blend, and write a submission."""
        return shlex.join(self._start("ensemble"))

    def rebuild(self, name: str) -> str:
        """Make a submission's bytes again."""
        return shlex.join([*self._module("rebuild"), name])

    def cv(self, model: Sequence[str], seeds: Iterable[int]) -> str:
        """Train what is missing of a run; *model* as `model_options` gives it."""
        wanted = sorted(set(seeds))
        seed = [] if wanted in ([], USUAL_SEEDS) else ["--seed", *map(str, wanted)]
        return shlex.join([*self._start("cv"), *model, *seed])

    def _start(self, command: str) -> list[str]:
        return [*self._module(command), *self._config()]

    def _module(self, command: str) -> list[str]:
        root = [] if str(self.root) == "." else ["--root", str(self.root)]
        return ["python", "-m", f"pipeline.{command}", *root]

    def _config(self) -> list[str]:
        files = [self.root / DEFAULT_CONFIG, *sorted((self.root / "configs").glob("*.yaml"))]
        own = next((file for file in files if _names(file, self.competition)), None)
        if own == files[0]:
            return []
        name = self.competition if own is None else own.stem
        return ["--config", f"configs/{name}.yaml"]


def _names(config: Path, competition: str) -> bool:
    """Whether *config* is the config of *competition*."""
    try:
        found = NAME_LINE.search(config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return False
    return found is not None and safe_name(found[1]) == competition


def model_options(root: Path, run: str, recipe: Any) -> list[str]:
    """--model and --set that give *run*; [] where no recipe of today does.

    *recipe* is what a manifest of the run holds, or anything else where none does.
    """
    settings = recipe if isinstance(recipe, Mapping) else {}
    backbone, revision = settings.get("backbone"), settings.get("revision")
    names = [run, VARIANT.sub("", run), backbone, f"{backbone}@{revision}"]
    for name in dict.fromkeys(name for name in names if isinstance(name, str)):
        for overrides in ((), _changed(root, name, settings)):
            if _run_of(root, name, overrides) == run:
                sets = [word for override in overrides for word in ("--set", override)]
                return ["--model", name, *sets]
    return []


def _changed(root: Path, name: str, settings: Mapping[str, Any]) -> Sequence[str]:
    """KEY=VALUE where *settings* differ from the recipe *name* as it is shipped."""
    try:
        shipped = as_dict(find(name, root))
    except (PipelineError, OSError):
        return ()
    return [
        f"{key}={_written(value)}"
        for key, value in settings.items()
        if key not in NO_SETTINGS and key in shipped and value != shipped[key]
    ]


def _run_of(root: Path, name: str, overrides: Sequence[str]) -> str:
    try:
        return find(name, root, overrides).name
    except (PipelineError, OSError):
        return ""


def _written(value: Any) -> str:
    """A setting's value as --set takes it.

    >>> _written(None), _written(True), _written([1, 2]), _written("fp32")
    ('null', 'true', '[1, 2]', 'fp32')
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def lasting(seconds: float | None) -> str:
    """How long training again takes, for the end of a sentence; empty where nobody knows.

    >>> lasting(20), lasting(700), lasting(9000), lasting(None)
    (', under a minute', ', about 12 minutes', ', about 2.5 hours', '')
    """
    if seconds is None:
        return ""
    if seconds < 60:
        return ", under a minute"
    if seconds < 5400:
        return f", about {seconds / 60:.0f} minutes"
    return f", about {seconds / 3600:.1f} hours"


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
